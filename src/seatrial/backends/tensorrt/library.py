"""What differs between TensorRT 10, TensorRT 11 and TensorRT-RTX: the one place that knows.

Package and cure, choice of capabilities, names that went or came with `_v2`, options that a library has or lacks, kind of
cache. Everything else here speaks of one library. Not for: what an engine is built from (network.py) or kept as.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

from seatrial.backends.tensorrt.driver import Device
from seatrial.backends.tensorrt.options import EngineOptions
from seatrial.errors import BackendUnavailableError, did_you_mean

MODULES = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"}
CURES = {
    # PyPI has its bindings whole, and stubs in place of its libraries.
    "tensorrt": "python -m pip install tensorrt --extra-index-url https://pypi.nvidia.com (PyPI alone has no libraries "
    "of it, and beside onnxruntime-gpu, whose provider wants TensorRT 10, it is 'tensorrt-cu13<11' in place of tensorrt)",
    "tensorrt-rtx": "python -m pip install 'seatrial[tensorrt-rtx]'",
}
MAJORS = (10, 11)


@dataclass(frozen=True)
class Library:
    """An imported TensorRT. name: the backend's. cuda: the major version of CUDA that it is made for; 0 where nothing tells."""

    name: str
    trt: Any
    version: str
    cuda: int

    @property
    def rtx(self) -> bool:
        return self.name == "tensorrt-rtx"

    @property
    def label(self) -> str:
        return f"{'TensorRT-RTX' if self.rtx else 'TensorRT'} {self.version}"

    @cached_property
    def capabilities(self) -> tuple[str, ...]:
        """What engines can be built for without a device, as 'sm89'; empty where a library builds for the one at hand."""
        known = getattr(self.trt, "ComputeCapability", None)
        names = known.__members__ if known is not None else {}
        return tuple(name.lower() for name in names if name.startswith("SM"))

    def builds_for(self, capabilities: tuple[str, ...]) -> None:
        """BackendUnavailableError where engines for these cannot be built here, with what can."""
        if not self.rtx:
            if capabilities:
                raise BackendUnavailableError(
                    f"{self.label} builds for the device at hand alone, got {', '.join(capabilities)}: build there, or with "
                    "tensorrt-rtx, which builds for named ones"
                )
            return
        if not capabilities:
            raise BackendUnavailableError(
                f"{self.label}: expected the compute capabilities to build for, such as sm89; it knows "
                f"{', '.join(self.capabilities)}"
            )
        for given in capabilities:
            if given not in self.capabilities:
                near = did_you_mean(given, list(self.capabilities))
                cure = (
                    ": onnxruntime-tensorrt or tensorrt runs on that card"
                    if given in ("sm70", "sm90", "sm100", "sm103")
                    else near
                )
                raise BackendUnavailableError(
                    f"{self.label} knows no {given}{cure}; it builds for {', '.join(self.capabilities)}"
                )

    def runs_on(self, device: Device) -> str:
        """Why it cannot run on that device, with the cure; or ''."""
        if self.cuda and device.driver[0] < self.cuda:
            spoken = ".".join(map(str, device.driver))
            cure = "update the driver" + (
                ", or install tensorrt-rtx-cu12 in its place" if self.rtx and device.driver[0] == 12 else ""
            )
            return f"it is made for CUDA {self.cuda}, and the driver speaks {spoken}: {cure}"
        if self.rtx and device.capability not in self.capabilities:
            return (
                f"it knows no {device.capability}, which {device.name} is, only {', '.join(self.capabilities)}: "
                "onnxruntime-tensorrt or tensorrt runs on that card"
            )
        return ""

    def new_network(self, builder: Any) -> Any:
        """Strongly typed: a tensor has the type that the file gives it, and no flag of the builder another one."""
        return builder.create_network(1 << int(self.trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))

    def configure(self, config: Any, options: EngineOptions) -> None:
        """Everything that is asked of an engine but its profiles. BackendUnavailableError for what the library lacks."""
        trt = self.trt
        self._refuse_what_it_lacks(options)
        config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
        # On by default: products of an fp32 network would have ten bits of fraction.
        (config.set_flag if options.tf32 else config.clear_flag)(trt.BuilderFlag.TF32)
        if options.weight_streaming:
            config.set_flag(trt.BuilderFlag.WEIGHT_STREAMING)
        if options.workspace_mib is not None:
            config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_mib << 20)
        if self.rtx:
            config.num_compute_capabilities = len(options.capabilities)
            for index, name in enumerate(options.capabilities):
                if not config.set_compute_capability(trt.ComputeCapability.__members__[name.upper()], index):
                    raise BackendUnavailableError(f"{self.label} does not take {name} among {options.capabilities}")
            return
        if options.builder_level is not None:
            config.builder_optimization_level = options.builder_level
        level = {"none": "NONE", "ampere_plus": "AMPERE_PLUS", "same_capability": "SAME_COMPUTE_CAPABILITY"}
        config.hardware_compatibility_level = trt.HardwareCompatibilityLevel.__members__[
            level[options.hardware_compatibility]
        ]
        if options.version_compatible:
            config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)

    def _refuse_what_it_lacks(self, options: EngineOptions) -> None:
        """TensorRT-RTX takes these calls, and at most warns in its log: nothing comes of them."""
        if not self.rtx:
            return
        cures = {
            "builder_level": "leave it out: it compiles for the device when the engine is loaded",
            "hardware_compatibility": "name the capabilities that the engine is for instead",
            "version_compatible": "build the engine again with the version that will run it",
        }
        for name in options.given:
            if name in cures:
                raise BackendUnavailableError(f"{name}: {self.label} has no such option; {cures[name]}")

    @property
    def has_timing_cache(self) -> bool:
        """RTX's is a no-op that asks for a device; what it has in its place is a runtime cache of compiled kernels."""
        return not self.rtx

    def device_memory_bytes(self, engine: Any) -> int:
        size = getattr(engine, "device_memory_size_v2", None)
        return int(engine.device_memory_size if size is None else size)

    def streams_weights(self, engine: Any) -> bool:
        """Whether the engine was built to; the size is 0 where it was not."""
        return bool(getattr(engine, "streamable_weights_size", 0))

    def stream_weights(self, engine: Any, budget_bytes: int | None) -> None:
        """None: what the library itself thinks right."""
        budget = engine.get_weight_streaming_automatic_budget() if budget_bytes is None else budget_bytes
        if hasattr(engine, "weight_streaming_budget_v2"):
            engine.weight_streaming_budget_v2 = budget
        else:
            engine.weight_streaming_budget = budget


def import_library(name: str) -> Library:
    """Imports it; asks nothing of a device.

    Raises:
        BackendUnavailableError: it is not installed, lacks its libraries, or is of a version that is not known here.
    """
    package = MODULES[name]
    if find_spec(package) is None:
        raise BackendUnavailableError(f"{name}: the package {package} is not installed; {CURES[name]}")
    try:
        trt = import_module(package)
    except Exception as e:  # a stub package raises whatever its author likes
        raise BackendUnavailableError(f"{name}: {package} does not import: {e}; {CURES[name]}") from None
    found = str(getattr(trt, "__version__", ""))
    missing = [part for part in ("Builder", "OnnxParser", "Runtime") if not hasattr(trt, part)]
    if missing:
        raise BackendUnavailableError(
            f"{name}: {package} {found} has no {', '.join(missing)}: a lean or a dispatch runtime alone builds nothing; "
            f"{CURES[name]}"
        )
    if name == "tensorrt" and not found.startswith(tuple(f"{m}." for m in MAJORS)):
        raise BackendUnavailableError(f"{name}: expected TensorRT 10 or 11, got {found or 'none'}; {CURES[name]}")
    return Library(name, trt, found, _cuda_major(package))


def _cuda_major(package: str) -> int:
    """By which distribution its libraries are from."""
    for major in (13, 12):
        for part in ("", "_bindings", "_libs"):
            try:
                version(f"{package}_cu{major}{part}")
            except PackageNotFoundError:
                continue
            return major
    return 0
