"""The execution providers of ONNX Runtime that are backends here: their names, packages and libraries.

For: one row a provider, read by the Python and the C API loop, by what explains a failure and by the catalogue. Not for:
opening anything (provider_library.py), nor their settings (settings.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

CPU = "CPUExecutionProvider"


@dataclass(frozen=True)
class Provider:
    """name: the backend's. execution_provider: ONNX Runtime's. distribution: what pip installs.

    library: a file in onnxruntime's own folder; or, where plugin names a package, a file in that. memory: the device's, as
    ONNX Runtime's Python API names it; '' where nothing is to be bound there. device: the kind that is asked for of
    a plugin. nvidia: whether it needs NVIDIA's driver. dynamic: libraries that it opens itself, later than its own.
    """

    name: str
    execution_provider: str
    distribution: str
    library: str = ""
    plugin: str = ""
    memory: str = ""
    device: str = "CPU"
    nvidia: bool = False
    dynamic: tuple[str, ...] = ()

    def folder(self) -> Path | None:
        """Where its library lies, whether or not it is there; None without its package. Imports nothing."""
        spec = find_spec(self.plugin or "onnxruntime")
        for folder in (spec.submodule_search_locations or []) if spec else []:
            return Path(folder) if self.plugin else Path(folder, "capi")
        return None

    def library_path(self) -> Path | None:
        """Its library, where there is one. Imports nothing."""
        folder = self.folder()
        path = folder / self.library if folder and self.library else None
        return path if path and path.is_file() else None


PROVIDERS: Mapping[str, Provider] = {
    p.name: p
    for p in (
        Provider("onnxruntime-cpu", CPU, "onnxruntime"),
        Provider(
            "onnxruntime-cuda",
            "CUDAExecutionProvider",
            "onnxruntime-gpu",
            "libonnxruntime_providers_cuda.so",
            memory="cuda",
            device="GPU",
            nvidia=True,
            # Not linked: a convolution opens it when it first runs.
            dynamic=("libcudnn.so.9",),
        ),
        Provider(
            "onnxruntime-tensorrt",
            "TensorrtExecutionProvider",
            "onnxruntime-gpu",
            "libonnxruntime_providers_tensorrt.so",
            memory="cuda",
            device="GPU",
            nvidia=True,
            # Not linked either, and nothing works without it.
            dynamic=("libcuda.so.1",),
        ),
        Provider(
            "onnxruntime-tensorrt-rtx",
            "NvTensorRTRTXExecutionProvider",
            "onnxruntime-ep-nv-tensorrt-rtx-cu13",
            "libonnxruntime_providers_nv_tensorrt_rtx.so",
            plugin="onnxruntime_ep_nv_tensorrt_rtx",
            memory="gpu",
            device="GPU",
            nvidia=True,
        ),
        Provider(
            "onnxruntime-openvino",
            "OpenVINOExecutionProvider",
            "onnxruntime-ep-openvino",
            "libonnxruntime_providers_openvino_plugin.so",
            plugin="onnxruntime_ep_openvino",
        ),
    )
}
