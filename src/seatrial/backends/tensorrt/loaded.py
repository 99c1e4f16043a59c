"""An engine loaded on the device: deserialized from bytes that were checked, and what it says of itself.

For: what all clients of one engine share. Not for: running it (backend.py), or where its bytes come from (engine_files.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seatrial.backends.base import TensorSpec
from seatrial.backends.tensorrt.driver import Device
from seatrial.backends.tensorrt.kernel_cache import kernel_cache_path, read, write
from seatrial.backends.tensorrt.layers import Layer, of_inspector
from seatrial.backends.tensorrt.library import Library
from seatrial.backends.tensorrt.log import Log, logger_of, plain
from seatrial.backends.tensorrt.options import RunOptions
from seatrial.backends.tensorrt.profiles import Shape
from seatrial.errors import BackendUnavailableError, CellError, ModelError, PlanError, flag
from seatrial.units import format_value


@dataclass
class LoadedEngine:
    """runtime and log are kept since the engine needs them. note: what the library thinks of the engine on this device."""

    library: Library
    device: Device
    engine: Any
    runtime: Any
    log: Log
    run: RunOptions
    note: str = ""
    build_number: int = 0
    runtime_cache: Any = None

    @property
    def names(self) -> list[str]:
        return [self.engine.get_tensor_name(i) for i in range(self.engine.num_io_tensors)]

    def is_input(self, name: str) -> bool:
        return bool(self.engine.get_tensor_mode(name) == self.library.trt.TensorIOMode.INPUT)

    def profile_of(self, shapes: Mapping[str, Shape]) -> int:
        """The first profile that holds these shapes. ModelError where none does."""
        for index in range(self.engine.num_optimization_profiles):
            bounds = {n: self.engine.get_tensor_profile_shape(n, index) for n in shapes}
            if all(
                len(low) == len(shapes[n]) and all(a <= b <= c for a, b, c in zip(low, shapes[n], high, strict=True))
                for n, (low, _, high) in bounds.items()
            ):
                return index
        shown = ", ".join(f"{n} {'x'.join(map(str, s))}" for n, s in shapes.items())
        raise ModelError(
            f"the engine has no optimisation profile for {shown}; build it with that {flag('shape')} and {flag('batch')}"
        )

    def details(self, about: Mapping[str, str], taken_bytes: int, launch: str) -> dict[str, str]:
        """For the record. about: of where the engine is from; taken_bytes: of the device, by one client; launch: of kernels."""
        scratch, taken = format_value(self.scratch_bytes, "B"), format_value(taken_bytes, "B")
        said = {
            "runtime": self.library.label,
            "device": f"{self.device.name} ({self.device.capability}), driver for CUDA "
            f"{'.'.join(map(str, self.device.driver))}",
            **about,
            "device_memory": f"{taken} taken since the engine was loaded, {scratch} of it scratch a client",
            "launch": launch,
        }
        if self.note:
            said["engine_note"] = self.note
        if self.library.rtx:
            changing = ": general kernels first, others while it runs" if self.run.kernel_strategy == "lazy" else ""
            said["kernel_strategy"] = self.run.kernel_strategy + changing
        return said

    @property
    def scratch_bytes(self) -> int:
        """Of each context."""
        return self.library.device_memory_bytes(self.engine)

    def new_context(self, batch: int, free_bytes: int, input_bytes: int) -> Any:
        """An execution context. CellError where the device has no room for it, with the batch that may fit.

        input_bytes: of the buffers that are to come beside it; of the outputs only a context tells.
        """
        self.log.clear()
        context = self.engine.create_execution_context(*self._runtime_config())
        if context is None:
            said = plain(self.log.first_error())
            if self.scratch_bytes > free_bytes or self.log.is_out_of_memory():
                raise out_of_device_memory(self.scratch_bytes + input_bytes, free_bytes, batch)
            raise CellError(f"{self.library.label} makes no context: {said or 'it does not say why'}", refusal=True)
        return context

    def _runtime_config(self) -> tuple[Any, ...]:
        """Of TensorRT-RTX, which compiles kernels for the device when a context is made or first run."""
        if not self.library.rtx:
            return ()
        config = self.engine.create_runtime_config()
        strategies = self.library.trt.DynamicShapesKernelSpecializationStrategy
        config.dynamic_shapes_kernel_specialization_strategy = strategies.__members__[self.run.kernel_strategy.upper()]
        if self.run.kernel_cache:
            if self.runtime_cache is None:
                self.runtime_cache = config.create_runtime_cache()
                # What was written elsewhere, or by another version, it refuses itself, and starts empty.
                if found := read(self._kept_kernels()):
                    self.runtime_cache.deserialize(found)
            config.set_runtime_cache(self.runtime_cache)
        return (config,)

    def keep_compiled(self) -> None:
        """After a first run: what was compiled for this device is there for the next process."""
        if self.runtime_cache is not None:
            write(self._kept_kernels(), bytes(self.runtime_cache.serialize()))

    def _kept_kernels(self) -> Path:
        """Of builds that are to be independent, each has its own."""
        kind = f"{self.build_number or ''}runtime"
        return kernel_cache_path(self.library, self.device, kind)

    def layers(self) -> tuple[Layer, ...]:
        inspector = self.engine.create_engine_inspector()
        return of_inspector(inspector.get_engine_information(self.library.trt.LayerInformationFormat.JSON))

    def spec(self, name: str, shape: Shape) -> TensorSpec:
        """ModelError for a type that NumPy has not."""
        dtype = self.engine.get_tensor_dtype(name)
        try:
            return TensorSpec(name, shape, str(self.library.trt.nptype(dtype).__name__).rstrip("_"))
        except TypeError:
            raise ModelError(
                f"{name} is {dtype.name.lower()}, which NumPy does not have; export the model with float32 in and out"
            ) from None


def load(
    library: Library,
    device: Device,
    data: bytes,
    run: RunOptions,
    free_bytes: int,
    streamed: bool | None,
    portable: bool = False,
    build_number: int = 0,
) -> LoadedEngine:
    """Of bytes whose digest was checked: to deserialize is to run code of theirs.

    streamed: whether it was built to stream its weights; None: nobody knows, and the engine is asked. portable: built to run
    with other versions, for which they bring code for the host too.

    Raises:
        BackendUnavailableError: the library takes them for no engine of this device and version.
        CellError: the device has no room for the weights.
        PlanError: a budget for weights that do not stream.
    """
    logger, log = logger_of(library)
    runtime = library.trt.Runtime(logger)
    validity, why = _validity(library, runtime, data)
    if validity == "INVALID":
        raise BackendUnavailableError(
            f"{library.label} refuses the engine: {why}; build it again with 'seatrial build'"
        )
    if portable:
        runtime.engine_host_code_allowed = True
    engine = runtime.deserialize_cuda_engine(data)
    if engine is None:
        if log.is_out_of_memory():
            raise CellError(
                f"out of device memory: the engine of {format_value(len(data), 'B')}, weights above all, does not go into "
                f"the {format_value(free_bytes, 'B')} free, whatever the batch; free what other programs hold (nvidia-smi), "
                "or set weight_streaming"
            )
        said = plain(log.first_error()) or "it does not say why"
        raise BackendUnavailableError(
            f"{library.label} does not load the engine: {said}; build it again with 'seatrial build'"
        )
    budget = None if run.weight_budget_mib is None else run.weight_budget_mib << 20
    if streamed is None:
        streamed = budget is not None and library.streams_weights(engine)
    if streamed:
        library.stream_weights(engine, budget)
    elif budget is not None:
        raise PlanError(
            "the engine was built without weight_streaming, and holds all of its weights on the device; leave the budget out, "
            "or build it again with weight_streaming",
            key="options.weight_budget_mib",
        )
    note = f"suboptimal here: {why}" if validity == "SUBOPTIMAL" else ""
    return LoadedEngine(library, device, engine, runtime, log, run, note, build_number)


def _validity(library: Library, runtime: Any, data: bytes) -> tuple[str, str]:
    """TensorRT-RTX's own word on an engine's header, before it is loaded, and why; others say nothing."""
    if not hasattr(runtime, "get_engine_validity"):
        return "", ""
    validity, bits = runtime.get_engine_validity(data)
    known = library.trt.EngineInvalidityDiagnostics.__members__
    said = [name.lower().replace("_", " ") for name, bit in known.items() if int(bits) & int(bit)]
    return validity.name, ", ".join(said) or "the library gives no reason"


def out_of_device_memory(needed: int, free: int, batch: int) -> CellError:
    """needed: scratch and buffers of a client, which both grow with the batch; by a rule of three, that is no promise."""
    fits = int(batch * free / needed) if needed else 0
    cure = f"a batch of {fits} may fit, or " if 0 < fits < batch else "use a smaller batch, or " if batch > 1 else ""
    return CellError(
        f"out of device memory: a batch of {batch} needs {format_value(needed, 'B')} or more, and {format_value(free, 'B')} "
        f"are free; {cure}free what other programs hold (nvidia-smi)"
    )
