"""TensorRT and TensorRT-RTX as backends: an engine's context, its buffers, and one run from host memory to host memory.

For: what a trial measures. Not for: building (building.py), or which library is which (library.py). Inputs go to the device and
outputs come back in every run, by pinned memory, since users pay for that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from seatrial.backends.base import Closing, OpenOptions, TensorSpec, check_feeds
from seatrial.backends.tensorrt.cache import build_and_keep, found_engine
from seatrial.backends.tensorrt.driver import Device
from seatrial.backends.tensorrt.engine_files import Manifest, read_engine
from seatrial.backends.tensorrt.layers import computed_in
from seatrial.backends.tensorrt.library import Library
from seatrial.backends.tensorrt.loaded import LoadedEngine, load, out_of_device_memory
from seatrial.backends.tensorrt.network import named_products
from seatrial.backends.tensorrt.options import EngineOptions, RunOptions, options_of
from seatrial.backends.tensorrt.profiles import Profile, Shape
from seatrial.backends.tensorrt.status import usable
from seatrial.errors import CellError, ModelError, PlanError
from seatrial.model.file import ModelInfo, inspect_model
from seatrial.model.shapes import batch_input, fixed_shapes
from seatrial.units import format_seconds, format_value

Array = npt.NDArray[Any]


@dataclass
class _Slot:
    """One tensor: on the device, and in pinned host memory as an array."""

    spec: TensorSpec
    device: Any
    pinned: Any
    array: Array


class TensorRtBackend(Closing):
    name: str = "tensorrt"
    in_place: bool = False

    def __init__(
        self,
        loaded: LoadedEngine,
        model: ModelInfo,
        options: OpenOptions,
        shapes: Mapping[str, Shape],
        about: Mapping[str, str],
    ) -> None:
        self._loaded: LoadedEngine | None = loaded
        self._model = model
        self._options = options
        self._shapes = shapes
        self._about = about
        self._cuda = import_module("seatrial._native.cuda")
        self._cuda_context = self._cuda.Context()
        self._stream = self._cuda.Stream(self._cuda_context)
        self._context: Any = loaded.new_context(self._batch, self._free_bytes)
        self._slots = self._bind(loaded)
        self._input_names = [s.spec.name for s in self._slots if loaded.is_input(s.spec.name)]
        self._graph: Any = None
        self._graph_said = self._warm_and_capture()

    @classmethod
    def open(cls, model: Path, options: OpenOptions) -> Self:
        library, device = usable(cls.name)
        engine_options, run = options_of(options.settings)
        check_settings(library, engine_options, run)
        if options.open_shapes:
            raise ModelError(
                f"{cls.name} runs fixed shapes, and each request of a mix brings its own; use onnxruntime-tensorrt for those",
                subject=model,
            )
        info = inspect_model(model)
        shapes = dict(options.input_shapes) or fixed_shapes(info, 1, {})
        data, manifest, about = _engine(library, device, info, shapes, engine_options, run)
        streamed = engine_options.weight_streaming or bool(manifest and manifest.options.get("weight_streaming"))
        return cls(load(library, device, data, run, streamed), info, options, shapes, about)

    @property
    def _batch(self) -> int:
        return (self._shapes.get(batch_input(self._model)) or (1,))[0]

    @property
    def _free_bytes(self) -> int:
        free, _ = self._cuda_context.memory_info()
        return int(free)

    def _bind(self, loaded: LoadedEngine) -> list[_Slot]:
        """Shapes and addresses of every tensor, once: they do not change from run to run."""
        profile = loaded.profile_of(self._shapes)
        if not self._context.set_optimization_profile_async(profile, self._stream.handle):
            raise CellError(f"{self.name} does not take optimisation profile {profile}")
        names = loaded.names
        for name in names:
            if loaded.engine.is_shape_inference_io(name):
                raise ModelError(f"{name} gives a shape, which is to lie in host memory; fold it into the model")
            if loaded.is_input(name) and not self._context.set_input_shape(name, tuple(self._shapes[name])):
                raise CellError(f"{self.name} does not take {name} as {self._shapes[name]}")
        slots = []
        for name in names:
            shape = tuple(int(d) for d in self._context.get_tensor_shape(name))
            if any(d < 0 for d in shape):
                raise ModelError(
                    f"the shape of {name} depends on what the model sees, which {self.name} does not run here; use "
                    "onnxruntime-tensorrt",
                    subject=self._model.path,
                )
            slots.append(self._slot(loaded.spec(name, shape)))
            if not self._context.set_tensor_address(name, slots[-1].device.pointer):
                raise CellError(f"{self.name} does not take the memory of {name}")
        return slots

    def _slot(self, spec: TensorSpec) -> _Slot:
        shape = tuple(d or 0 for d in spec.shape)
        size = max(1, int(np.prod(shape)) * np.dtype(spec.dtype).itemsize)
        try:
            device, pinned = (
                kind(self._cuda_context, size) for kind in (self._cuda.DeviceBuffer, self._cuda.PinnedBuffer)
            )
        except self._cuda.OutOfDeviceMemoryError:
            raise out_of_device_memory(size, self._free_bytes, self._batch) from None
        array = np.frombuffer(pinned, np.dtype(spec.dtype), int(np.prod(shape))).reshape(shape)
        return _Slot(spec, device, pinned, array)

    def _warm_and_capture(self) -> str:
        """One plain run, in which kernels are loaded and compiled; then the same once more, kept as a graph.

        Returns how runs are launched, for details().
        """
        assert self._loaded is not None
        self._enqueue()
        self._stream.synchronize()
        self._loaded.keep_compiled()
        if not self._loaded.run.cuda_graph:
            return "one call after the other"
        capturable = getattr(self._context, "is_stream_capturable", None)
        if capturable is not None and not capturable(self._stream.handle):
            return "one call after the other: the library says that this engine cannot be captured"
        self._stream.begin_capture()
        problem = ""
        try:
            self._enqueue()
        except CellError as e:
            problem = str(e)
        try:
            self._graph = self._stream.end_capture()
        except self._cuda.CudaError as e:
            problem = problem or str(e)
        if problem:
            self._graph = None
            return f"one call after the other: capturing a graph failed ({problem})"
        return "one CUDA graph of copies and kernels"

    def _enqueue(self) -> None:
        """Everything of one run, in the stream's order."""
        assert self._loaded is not None
        given = [s for s in self._slots if s.spec.name in self._input_names]
        for slot in given:
            self._stream.copy_to_device(slot.device, slot.pinned)
        if not self._context.execute_async_v3(self._stream.handle):
            raise CellError(f"{self.name} failed in a run: {self._loaded.log.first_error()}", refusal=True)
        for slot in self._slots:
            if slot not in given:
                self._stream.copy_to_host(slot.pinned, slot.device)

    def inputs(self) -> list[TensorSpec]:
        return [s.spec for s in self._slots if s.spec.name in self._input_names]

    def outputs(self) -> list[TensorSpec]:
        return [s.spec for s in self._outputs()]

    def _outputs(self) -> list[_Slot]:
        """In the order of the file, which an engine may not keep."""
        order = {o.name: i for i, o in enumerate(self._model.outputs)}
        found = [s for s in self._slots if s.spec.name not in self._input_names]
        return sorted(found, key=lambda s: order.get(s.spec.name, len(order)))

    def run(self, feeds: Mapping[str, Array]) -> list[Array]:
        check_feeds(self._model.path, self._input_names, feeds)
        for slot in self._slots:
            if slot.spec.name in self._input_names:
                given = feeds[slot.spec.name]
                if given.shape != slot.array.shape or given.dtype != slot.array.dtype:
                    raise CellError(
                        f"input {slot.spec.name}: expected {slot.array.dtype.name}{list(slot.array.shape)}, got "
                        f"{given.dtype.name}{list(given.shape)}"
                    )
                np.copyto(slot.array, given)
        try:
            if self._graph is not None:
                self._graph.launch(self._stream)
            else:
                self._enqueue()
            self._stream.synchronize()
        except self._cuda.CudaError as e:
            raise CellError(f"{self.name} failed in a run: {e}", refusal=True) from e
        return [s.array for s in self._outputs()]

    def another(self) -> Self:
        assert self._loaded is not None
        return type(self)(self._loaded, self._model, self._options, self._shapes, self._about)

    def details(self) -> dict[str, str]:
        assert self._loaded is not None
        loaded = self._loaded
        memory = format_value(loaded.library.device_memory_bytes(loaded.engine), "B")
        said = {
            "runtime": loaded.library.label,
            "device": f"{loaded.device.name} ({loaded.device.capability}), driver for CUDA "
            f"{'.'.join(map(str, loaded.device.driver))}",
            **self._about,
            "device_memory": f"{memory} of scratch memory a client",
            "launch": self._graph_said,
        }
        if loaded.library.rtx:
            changing = ": general kernels first, others while it runs" if loaded.run.kernel_strategy == "lazy" else ""
            said["kernel_strategy"] = loaded.run.kernel_strategy + changing
        return said

    def computed_in(self, _feeds: Mapping[str, Array]) -> dict[str, int]:
        assert self._loaded is not None
        return computed_in(self._loaded.layers(), named_products(self._model))

    def close(self) -> None:
        # In this order: each needs the one that goes after it.
        self._graph = self._context = None
        self._slots = []
        self._loaded = None


class TensorRtRtxBackend(TensorRtBackend):
    name: str = "tensorrt-rtx"


def check_settings(library: Library, engine: EngineOptions, run: RunOptions) -> None:
    """PlanError for settings that this library, or one another, leave without an effect."""
    if run.kernel_strategy != "eager" and not library.rtx:
        raise PlanError(
            "only tensorrt-rtx compiles kernels for shapes as they come; leave it out", key="settings.kernel_strategy"
        )
    if run.weight_budget_mib is not None and not (engine.weight_streaming or run.engine):
        raise PlanError("it needs weight_streaming: true", key="settings.weight_budget_mib")
    if run.engine and engine.given:
        raise PlanError(
            f"{', '.join(engine.given)} belongs to building, and the engine is given; leave one out",
            key="settings.engine",
        )


def _engine(
    library: Library,
    device: Device,
    info: ModelInfo,
    shapes: Mapping[str, Shape],
    options: EngineOptions,
    run: RunOptions,
) -> tuple[bytes, Manifest | None, dict[str, str]]:
    """The engine that was named, else one out of the cache, else one that is built now; and words on it for the record."""
    if run.engine:
        path, how = Path(run.engine), "as the plan names it"
    else:
        found = found_engine(library, info, shapes, options, device)
        path, how = found or Path(), "from the cache"
        if found is None:
            own = EngineOptions(**{**vars(options), "capabilities": (device.capability,) if library.rtx else ()})
            path, _, _ = build_and_keep(library, info, [Profile.exactly(shapes)], own, device)
            how = "built now"
    data, manifest = read_engine(path, library, info, device, run.allow_engine)
    about = {"engine": f"{path.name}, {how}, {format_value(len(data), 'B')}"}
    if manifest is not None:
        about["engine_digest"] = manifest.digest
        about["engine_build"] = f"{format_seconds(manifest.build_s)}, for {', '.join(manifest.capabilities)}"
        about["engine_options"] = ", ".join(f"{k}={v}" for k, v in manifest.options.items() if k != "capabilities")
        about["engine_profiles"] = "; ".join(map(str, manifest.profiles))
    else:
        about["engine_build"] = "unknown: not built by seatrial, and allowed by allow_engine"
    return data, manifest, about
