"""TensorRT and TensorRT-RTX as backends: an engine's context, its buffers, and one run from host memory to host memory.

For: what a trial measures. Not for: building (building.py), or which library is which (library.py). Inputs go to the device and
outputs come back in every run, by pinned memory, since users pay for that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from seatrial._native.timing import Work
from seatrial.backends.base import Closing, OpenOptions, TensorSpec, check_feeds
from seatrial.backends.tensorrt.buffers import Buffers, Place, buffers_of, in_order, size_of
from seatrial.backends.tensorrt.chosen import check_settings, chosen_engine
from seatrial.backends.tensorrt.layers import computed_in
from seatrial.backends.tensorrt.loaded import LoadedEngine, load, out_of_device_memory
from seatrial.backends.tensorrt.log import plain
from seatrial.backends.tensorrt.network import named_products
from seatrial.backends.tensorrt.options import options_of
from seatrial.backends.tensorrt.profiles import Shape
from seatrial.backends.tensorrt.status import usable
from seatrial.cuda import (
    CudaError,
    Graph,
    OutOfDeviceMemoryError,
    Request,
    Slot,
    Stream,
    captured,
)
from seatrial.errors import CellError, ModelError
from seatrial.model.file import ModelInfo, inspect_model
from seatrial.model.shapes import batch_input, fixed_shapes
from seatrial.units import format_value

Array = npt.NDArray[Any]


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
        place: Place,
    ) -> None:
        self._loaded: LoadedEngine | None = loaded
        self._model = model
        self._options = options
        self._shapes = shapes
        self._about = about
        self._place = place
        self._others: list[TensorRtBackend] = []
        # Whether a request was asked for, which obeys options that a run does not.
        self._has_worked = False
        self._graph: Graph | None = None
        self.kernels_change = loaded.library.rtx and loaded.run.kernel_strategy == "lazy"
        try:
            self._stream = Stream(place.context)
            free_bytes = place.free_bytes
            self._context: Any = loaded.new_context(self._batch, free_bytes, self._input_bytes(loaded))
            slots = self._bind(loaded, free_bytes)
            # Inputs and outputs in the order of the file, which an engine does not keep.
            self._given = in_order(model.inputs, [s for s in slots if loaded.is_input(s.spec.name)])
            self._made = in_order(model.outputs, [s for s in slots if not loaded.is_input(s.spec.name)])
            self._input_names = [s.spec.name for s in self._given]
            self._graph_said = self._warm_and_capture()
            free_bytes = place.free_bytes
        except CudaError as e:
            raise CellError(f"{self.name} failed before its first answer: {e}", refusal=True) from e
        # A graph is launched without the interpreter; the library's own function is not called so.
        self.native = self._graph is not None
        # Other programs' memory is in it too, where they take or give some meanwhile.
        self._taken_bytes = max(0, place.free_at_first - free_bytes)

    @classmethod
    def open(cls, model: Path, options: OpenOptions) -> Self:
        library, device = usable(cls.name)
        engine_options, run = options_of(options.settings)
        engine_options = replace(engine_options, build_number=options.build_number)
        check_settings(library, run)
        if options.open_shapes:
            raise ModelError(
                f"{cls.name} runs fixed shapes, and each request of a mix brings its own; use onnxruntime-tensorrt for those",
                subject=model,
            )
        info = inspect_model(model)
        shapes = dict(options.input_shapes) or fixed_shapes(info, 1, {})
        data, manifest, about = chosen_engine(library, device, info, shapes, engine_options, run)
        streamed = None if manifest is None else bool(manifest.options.get("weight_streaming"))
        portable = bool(manifest and manifest.options.get("version_compatible"))
        place = Place.of_first_device(cls.name)
        loaded = load(library, device, data, run, place.free_at_first, streamed, portable, options.build_number)
        return cls(loaded, info, options, shapes, about, place)

    @property
    def _batch(self) -> int:
        return (self._shapes.get(batch_input(self._model)) or (1,))[0]

    def _input_bytes(self, loaded: LoadedEngine) -> int:
        return sum(size_of(loaded.spec(n, self._shapes[n])) for n in loaded.names if loaded.is_input(n))

    def _bind(self, loaded: LoadedEngine, free_bytes: int) -> list[Buffers]:
        """Shapes and addresses of every tensor, once: they do not change from run to run.

        free_bytes: before there was a context. CellError where that is too little for it and the buffers.
        """
        profile = loaded.profile_of(self._shapes)
        if not self._context.set_optimization_profile_async(profile, self._stream.handle):
            raise CellError(f"{self.name} does not take optimisation profile {profile}")
        names = loaded.names
        for name in names:
            if loaded.engine.is_shape_inference_io(name):
                raise ModelError(f"{name} gives a shape, which is to lie in host memory; fold it into the model")
            if loaded.is_input(name) and not self._context.set_input_shape(name, tuple(self._shapes[name])):
                raise CellError(f"{self.name} does not take {name} as {self._shapes[name]}")
        specs = []
        for name in names:
            shape = tuple(int(d) for d in self._context.get_tensor_shape(name))
            if any(d < 0 for d in shape):
                raise ModelError(
                    f"the shape of {name} depends on what the model sees, which {self.name} does not run here; use "
                    "onnxruntime-tensorrt",
                    subject=self._model.path,
                )
            specs.append(loaded.spec(name, shape))
        try:
            slots = [buffers_of(spec, self._place) for spec in specs]
        except OutOfDeviceMemoryError:
            needed = loaded.scratch_bytes + sum(map(size_of, specs))
            raise out_of_device_memory(needed, free_bytes, self._batch) from None
        for slot in slots:
            if not self._context.set_tensor_address(slot.spec.name, slot.device.pointer):
                raise CellError(f"{self.name} does not take the memory of {slot.spec.name}")
        return slots

    def _warm_and_capture(self) -> str:
        """One plain run, in which kernels are loaded and compiled; then what computes once more, kept as a graph.

        Returns how runs are launched, for details().
        """
        loaded = self._of_open()
        self._copy_in()
        self._compute()
        self._stream.synchronize()
        loaded.keep_compiled()
        if not loaded.run.cuda_graph:
            return "kernel by kernel"
        if self.kernels_change:
            return "kernel by kernel: a graph would keep the general kernels that kernel_strategy: lazy begins with"
        capturable = getattr(self._context, "is_stream_capturable", None)
        if capturable is not None and not capturable(self._stream.handle):
            return "kernel by kernel: the library says that this engine cannot be captured"
        try:
            self._graph = captured(self._stream, self._context.execute_async_v3)
        except (CudaError, ValueError) as e:
            return f"kernel by kernel: capturing a graph failed ({e})"
        return "one CUDA graph"

    def _copy_in(self) -> None:
        for slot in self._given:
            self._stream.copy_to_device(slot.device, slot.pinned)

    def _compute(self) -> None:
        if not self._context.execute_async_v3(self._stream.handle):
            raise CellError(f"{self.name} failed in a run: {plain(self._of_open().log.first_error())}", refusal=True)

    def _of_open(self) -> LoadedEngine:
        if self._loaded is None:
            raise CellError(f"{self.name}: the backend is closed; open it again")
        return self._loaded

    def inputs(self) -> list[TensorSpec]:
        return [s.spec for s in self._given]

    def outputs(self) -> list[TensorSpec]:
        return [s.spec for s in self._made]

    def run(self, feeds: Mapping[str, Array]) -> list[Array]:
        self._take(feeds)
        try:
            self._copy_in()
            if self._graph is not None:
                self._graph.launch(self._stream)
            else:
                self._compute()
            for slot in self._made:
                self._stream.copy_to_host(slot.pinned, slot.device)
            self._stream.synchronize()
        except CudaError as e:
            raise CellError(f"{self.name} failed in a run: {e}", refusal=True) from e
        return [s.array for s in self._made]

    def _take(self, feeds: Mapping[str, Array]) -> None:
        """What the feeds hold now, into pinned memory."""
        check_feeds(self._model.path, self._input_names, feeds)
        for slot in self._given:
            given = feeds[slot.spec.name]
            if given.shape != slot.array.shape or given.dtype != slot.array.dtype:
                raise CellError(
                    f"input {slot.spec.name}: expected {slot.array.dtype.name}{list(slot.array.shape)}, got "
                    f"{given.dtype.name}{list(given.shape)}"
                )
            np.copyto(slot.array, given)

    def request(self, feeds: Mapping[str, Array], in_flight: int = 1, **settings: Any) -> Request:
        """For the timing loops by the device's own clock: a seatrial.cuda.Request, whose settings these are.

        in_flight: more than one is pipelined, each with a context and buffers of its own. They live as long as the request.
        """
        while len(self._others) < in_flight - 1:
            self._others.append(self.another())
        slots = [self._device_slot(feeds), *(other._device_slot(feeds) for other in self._others[: in_flight - 1])]
        return Request(self._stream, slots, **settings)

    def work(self, feeds: Mapping[str, Array]) -> Work:
        """By the device's own clock, and without the interpreter where there is a graph: stages as runtimes/tensorrt.py has
        them."""
        run = self._of_open().run
        self._has_worked = True
        flushed = self._place.context.device.l2_bytes if run.l2_flush else 0
        try:
            made = self.request(
                feeds,
                run.in_flight,
                transfers=run.transfers,
                synchronisation=run.synchronisation,
                hold=run.hold,
                flush_bytes=flushed,
            )
            # Holding begins with kernels that are loaded.
            made.run()
        except CudaError as e:
            raise CellError(f"{self.name} failed in its first timed request: {e}", refusal=True) from e
        return made

    def io_policy(self) -> str:
        said = super().io_policy()
        return self._of_open().run.policy(said) if self._has_worked else said

    def _device_slot(self, feeds: Mapping[str, Array]) -> Slot:
        self._take(feeds)
        return Slot(
            self._context.execute_async_v3 if self._graph is None else self._graph,
            [(s.device, s.pinned) for s in self._given],
            [(s.pinned, s.device) for s in self._made],
            self,
        )

    def another(self) -> Self:
        return type(self)(self._of_open(), self._model, self._options, self._shapes, self._about, self._place)

    def details(self) -> dict[str, str]:
        loaded = self._of_open()
        scratch = format_value(loaded.library.device_memory_bytes(loaded.engine), "B")
        taken = format_value(self._taken_bytes, "B")
        said = {
            "runtime": loaded.library.label,
            "device": f"{loaded.device.name} ({loaded.device.capability}), driver for CUDA "
            f"{'.'.join(map(str, loaded.device.driver))}",
            **self._about,
            "device_memory": f"{taken} taken since the engine was loaded, {scratch} of it scratch a client",
            "launch": self._graph_said,
        }
        if loaded.note:
            said["engine_note"] = loaded.note
        if loaded.library.rtx:
            changing = ": general kernels first, others while it runs" if loaded.run.kernel_strategy == "lazy" else ""
            said["kernel_strategy"] = loaded.run.kernel_strategy + changing
        return said

    def computed_in(self, _feeds: Mapping[str, Array]) -> dict[str, int]:
        return computed_in(self._of_open().layers(), *named_products(self._model))

    def close(self) -> None:
        # In this order: each needs the one that goes after it.
        for other in self._others:
            other.close()
        self._graph = self._context = None
        self._given, self._made, self._others = [], [], []
        self._loaded = None


class TensorRtRtxBackend(TensorRtBackend):
    name: str = "tensorrt-rtx"
