"""TensorRT and TensorRT-RTX as backends: an engine's context, its buffers, and one run from host memory to host memory.

For: what a trial measures. Not for: building (building.py), or which library is which (library.py). Inputs go to the device and
outputs come back in every run, by pinned memory, since users pay for that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy.typing as npt

from seatrial._native.timing import Work
from seatrial.backends.base import Closing, OpenOptions, TensorSpec, check_feeds
from seatrial.backends.tensorrt.buffers import Buffers, Place, buffers_of, in_order, size_of
from seatrial.backends.tensorrt.chosen import check_settings, chosen_engine
from seatrial.backends.tensorrt.inputs import Inputs, OnDevice, addresses_of
from seatrial.backends.tensorrt.layers import computed_in
from seatrial.backends.tensorrt.loaded import LoadedEngine, load, out_of_device_memory
from seatrial.backends.tensorrt.log import plain
from seatrial.backends.tensorrt.network import named_products
from seatrial.backends.tensorrt.options import options_of
from seatrial.backends.tensorrt.profiles import Shape
from seatrial.backends.tensorrt.status import usable
from seatrial.cuda import CudaError, Graph, OutOfDeviceMemoryError, Request, Slot, Stream, captured
from seatrial.errors import CellError, ModelError
from seatrial.model.file import ModelInfo, inspect_model
from seatrial.model.shapes import batch_input, fixed_shapes

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
        # Of inputs that lie on the device: where those of the last run lay, and a graph that reads them there.
        self._last_addresses: dict[str, int] = {}
        self._graph_there: Graph | None = None
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
            self._inputs = Inputs(self._context, self._stream, self._given)
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
        self._inputs.copy_in({})
        self._compute({})
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
            self._graph = self._captured({})
        except (CudaError, ValueError) as e:
            return f"kernel by kernel: capturing a graph failed ({e})"
        return "one CUDA graph"

    def _compute(self, there: OnDevice) -> None:
        self._inputs.bind(there)
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

    @property
    def stream(self) -> Stream:
        """Of who makes inputs on the device: there they need not be waited for."""
        return self._stream

    def run(self, feeds: Mapping[str, Any]) -> list[Array]:
        """An input may lie on the device, as torch's, cupy's and pycuda's arrays do: it is read there, without a copy."""
        check_feeds(self._model.path, self._input_names, feeds)
        try:
            there = self._inputs.take(feeds)
            self._inputs.copy_in(there)
            if graph := self._graph_of(there):
                graph.launch(self._stream)
            else:
                self._compute(there)
            for slot in self._made:
                self._stream.copy_to_host(slot.pinned, slot.device)
            self._stream.synchronize()
        except CudaError as e:
            raise CellError(f"{self.name} failed in a run: {e}", refusal=True) from e
        return [s.array for s in self._made]

    def _graph_of(self, there: OnDevice) -> Graph | None:
        """A graph reads at the addresses of its capture: one that is made anew where inputs lie elsewhere, once they stay."""
        if not there or self._graph is None:
            return self._graph
        addresses = addresses_of(there)
        if addresses != self._last_addresses:
            self._last_addresses, self._graph_there = addresses, None
        elif self._graph_there is None:
            self._graph_there = self._captured(there)
        return self._graph_there

    def _captured(self, there: OnDevice) -> Graph:
        self._inputs.bind(there)
        return captured(self._stream, self._context.execute_async_v3)

    def request(self, feeds: Mapping[str, Any], in_flight: int = 1, **settings: Any) -> Request:
        """For the timing loops by the device's own clock: a seatrial.cuda.Request, whose settings these are.

        in_flight: more than one is pipelined, each with a context and buffers of its own. They live as long as the request.
        """
        while len(self._others) < in_flight - 1:
            self._others.append(self.another())
        slots = [self._device_slot(feeds), *(other._device_slot(feeds) for other in self._others[: in_flight - 1])]
        return Request(self._stream, slots, **settings)

    def work(self, feeds: Mapping[str, Any]) -> Work:
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

    def _device_slot(self, feeds: Mapping[str, Any]) -> Slot:
        check_feeds(self._model.path, self._input_names, feeds)
        there = self._inputs.take(feeds)

        context, inputs = self._context, self._inputs

        def enqueue(handle: int) -> object:
            # A run in between may have had others.
            inputs.bind(there)
            return context.execute_async_v3(handle)

        graph = self._graph if self._graph is None or not there else self._captured(there)
        return Slot(
            enqueue if graph is None else graph,
            [(s.device, s.pinned) for s in self._inputs.from_host(there)],
            [(s.pinned, s.device) for s in self._made],
            (self, there),
        )

    def another(self) -> Self:
        return type(self)(self._of_open(), self._model, self._options, self._shapes, self._about, self._place)

    def details(self) -> dict[str, str]:
        return self._of_open().details(self._about, self._taken_bytes, self._graph_said)

    def computed_in(self, _feeds: Mapping[str, Array]) -> dict[str, int]:
        return computed_in(self._of_open().layers(), *named_products(self._model))

    def close(self) -> None:
        # In this order: each needs the one that goes after it.
        for other in self._others:
            other.close()
        self._graph = self._graph_there = self._context = None
        self._inputs = Inputs(None, self._stream, ())
        self._given, self._made, self._others = [], [], []
        self._loaded = None


class TensorRtRtxBackend(TensorRtBackend):
    name: str = "tensorrt-rtx"
