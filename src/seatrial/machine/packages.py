"""Installed distributions that decode, prepare or run a model here, by version.

For: the machine's fingerprint, and the names of cached models. Not for: whether a backend runs (backends/catalogue.py).
"""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, version

from seatrial.runtimes.names import third_party

# One module comes in several distributions: whichever is installed is what runs.
OPENCV = ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless")
PILLOW = ("pillow", "pillow-simd")
ONNX_RUNTIME = (
    "onnxruntime",
    "onnxruntime-gpu",
    "onnxruntime-openvino",
    "onnxruntime-directml",
    "onnxruntime-migraphx",
    "onnxruntime-rocm",
    "onnxruntime-training",
    "ort-nightly",
    "ort-nightly-gpu",
)
# What decodes, prepares or runs a model here: another version of one is another thing measured.
PACKAGES = (
    "seatrial",
    "numpy",
    *OPENCV,
    *PILLOW,
    "onnx",
    *ONNX_RUNTIME,
    "openvino",
    "openvino-nightly",
    "tensorrt",
    "tensorrt-cu12",
    "tensorrt-cu13",
    "tensorrt-rtx-cu12",
    "tensorrt-rtx-cu13",
    "onnxruntime-ep-nv-tensorrt-rtx-cu12",
    "onnxruntime-ep-nv-tensorrt-rtx-cu13",
    "onnxruntime-ep-openvino",
    "nvidia-cublas",
    "nvidia-cublas-cu12",
    "nvidia-cuda-runtime",
    "nvidia-cuda-runtime-cu12",
    "nvidia-cudnn-cu12",
    "nvidia-cudnn-cu13",
)
# Recorded, but nothing here runs on it.
BYSTANDERS = ("torch",)


def packages(names: tuple[str, ...] | None = None) -> dict[str, str]:
    """By default PACKAGES, and those that bring backends of their own, with what these require."""
    found = {}
    for name in PACKAGES if names is None else names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found if names is not None else packages(_of_plugins()) | found


def _of_plugins() -> tuple[str, ...]:
    """Distributions that register a backend, and what each requires: the runtime is mostly one of those."""
    own = [point.dist for point in third_party().values() if point.dist]
    required = [r for dist in own for r in dist.requires or () if "extra ==" not in r.replace("extra==", "extra ==")]
    return tuple(
        dict.fromkeys([*(dist.name for dist in own), *(re.split(r"[^\w.-]", r, maxsplit=1)[0] for r in required)])
    )
