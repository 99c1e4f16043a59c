"""Backend names to backends, and what stands in the way of each on this machine. Imports a runtime only to open it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import cast

from seatrial.backends import plugins
from seatrial.backends.base import Availability, Backend, OpenOptions
from seatrial.backends.onnxruntime.provider_library import also_needed, provider_problem
from seatrial.backends.onnxruntime.providers import PROVIDERS
from seatrial.errors import BackendUnavailableError
from seatrial.runtimes.choice import BackendChoice, choice_of
from seatrial.runtimes.names import third_party
from seatrial.runtimes.options import settings_of
from seatrial.runtimes.settings import Setting


@dataclass(frozen=True)
class _Entry:
    module: str
    class_name: str
    package: str
    distributions: tuple[str, ...]
    extra: str


_ORT = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino", "onnxruntime-directml")
_ENTRIES = {
    "onnxruntime-cpu": _Entry("onnxruntime.python", "OnnxRuntimeBackend", "onnxruntime", _ORT, "cpu"),
    "onnxruntime-cuda": _Entry("onnxruntime.python", "OnnxRuntimeCudaBackend", "onnxruntime", _ORT, "gpu"),
    "onnxruntime-tensorrt": _Entry("onnxruntime.python", "OnnxRuntimeTensorRtBackend", "onnxruntime", _ORT, "gpu"),
    "onnxruntime-tensorrt-rtx": _Entry(
        "onnxruntime.python", "OnnxRuntimeTensorRtRtxBackend", "onnxruntime", _ORT, "onnxruntime-tensorrt-rtx"
    ),
    "onnxruntime-openvino": _Entry(
        "onnxruntime.python", "OnnxRuntimeOpenVinoBackend", "onnxruntime", _ORT, "onnxruntime-openvino"
    ),
    "openvino-cpu": _Entry("openvino", "OpenVinoBackend", "openvino", ("openvino",), "cpu"),
    "openvino-gpu": _Entry("openvino", "OpenVinoGpuBackend", "openvino", ("openvino",), "cpu"),
}
_TENSORRT = ("tensorrt", "tensorrt-rtx")


def availability(name: str) -> Availability:
    """Whether the backend's packages, provider and device are here. Does not load a model."""
    if name == "fake":
        return Availability(name, True, "scripted")
    if name in _TENSORRT:
        from seatrial.backends.tensorrt.status import availability_of

        return availability_of(name)
    if name in third_party():
        return plugins.availability(name)
    entry = _ENTRIES[name]
    if find_spec(entry.package) is None:
        cure = f"python -m pip install 'seatrial[{entry.extra}]'"
        if name in PROVIDERS and PROVIDERS[name].nvidia:
            cure += f"; {also_needed(PROVIDERS[name])}"
        return Availability(name, False, reason=f"the package {entry.package} is not installed", cure=cure)
    found = _version(entry.distributions)
    if name in PROVIDERS and (problem := provider_problem(PROVIDERS[name])):
        return Availability(name, False, found, problem.reason, problem.cure)
    if name == "openvino-gpu" and not any(
        d.startswith("GPU") for d in import_module("openvino").Core().available_devices
    ):
        return Availability(
            name, False, found, "OpenVINO sees no Intel GPU", "install Intel's compute runtime, or use openvino-cpu"
        )
    return Availability(name, True, found)


def takes(name: str) -> tuple[Setting, ...]:
    """Which options a backend has. A third party's package is imported to ask; where it does not import it has none."""
    return plugins.settings(name) if name in third_party() else settings_of(name)


def missing_extra(name: str) -> str:
    """The extra of seatrial that would bring the backend's package or provider, where it is not here; '' where none would."""
    if name == "tensorrt-rtx":
        return "" if find_spec("tensorrt_rtx") else name
    entry = _ENTRIES.get(name)
    if entry is None or availability(name).ok:
        return ""
    if find_spec(entry.package) is None:
        return entry.extra
    # A provider's wheel that is here already lacks no package, but a driver or another library.
    provider = PROVIDERS.get(name)
    return entry.extra if provider and provider.library and provider.library_path() is None else ""


def has_native_loop(name: str, library: bool | None = None) -> bool:
    """Whether the backend can be called without the interpreter: ONNX Runtime, where its library lies in the wheel.

    For who must know before a process opens it. library: whether it lies in another interpreter's wheel; None asks this one.
    """
    from seatrial.backends.onnxruntime.native import NATIVE, library_path

    return name in NATIVE and (library_path() is not None if library is None else library)


def open_backend(backend: str | BackendChoice, model: Path, options: OpenOptions, native: bool = False) -> Backend:
    """Opens a model with the choice's own options; `native`: so that it is called without the interpreter where that can be, as
    its `native` then says.

    BackendUnavailableError names what is missing and the cure.
    """
    choice = choice_of(backend)
    name, options = choice.backend, replace(options, settings=choice.options) if choice.options else options
    status = availability(name)
    if not status.ok:
        raise BackendUnavailableError(f"backend {name}: {status.reason}; {status.cure}")
    if name == "fake":
        from seatrial.backends.fake import FakeBackend

        return FakeBackend.open(model, options)
    if name in _TENSORRT:
        from seatrial.backends.tensorrt.backend import TensorRtBackend, TensorRtRtxBackend

        return (TensorRtRtxBackend if name == "tensorrt-rtx" else TensorRtBackend).open(model, options)
    if native and has_native_loop(name):
        from seatrial.backends.onnxruntime.native import NATIVE

        return NATIVE[name].open(model, options)
    if name in third_party():
        return plugins.open_plugin(name, model, options)
    entry = _ENTRIES[name]
    kind = getattr(import_module(f"seatrial.backends.{entry.module}"), entry.class_name)
    return cast(Backend, kind.open(model, options))


def _version(distributions: tuple[str, ...]) -> str:
    for name in distributions:
        try:
            return f"{name} {version(name)}"
        except PackageNotFoundError:
            continue
    return ""
