"""ONNX Runtime through Python's I/O binding, on any of its providers. Not for: silent fallback between them.

Its C API, without the interpreter, is native.py; how a session is opened, session.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from seatrial._native.ort import reads_host_memory
from seatrial._native.timing import PythonWork, Work
from seatrial.backends.base import BoundKey, Closing, OpenOptions, TensorSpec, bound_key, check_array, check_feeds
from seatrial.backends.onnxruntime.assignment import RECORD, in_words, recorded
from seatrial.backends.onnxruntime.device_io import device_place, next_graph
from seatrial.backends.onnxruntime.providers import PROVIDERS, Provider
from seatrial.backends.onnxruntime.session import open_session, profiled_types, run_failure, uncaptured
from seatrial.backends.onnxruntime.settings import session_setup
from seatrial.errors import CellError

_DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(uint8)": "uint8",
    "tensor(int8)": "int8",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(bool)": "bool",
    "tensor(uint16)": "uint16",
    "tensor(int16)": "int16",
    "tensor(uint32)": "uint32",
    "tensor(uint64)": "uint64",
}


class OnnxRuntimeBackend(Closing):
    name: str = "onnxruntime-cpu"

    def __init__(self, session: Any, model: Path, options: OpenOptions) -> None:
        self.session = session
        self._model = model
        self._options = options
        self._setup = session_setup(model, options, self._provider())
        self._inputs = [TensorSpec(i.name, _ints(i.shape), _DTYPES.get(i.type, i.type)) for i in session.get_inputs()]
        self._outputs = [TensorSpec(o.name, _ints(o.shape), _DTYPES.get(o.type, o.type)) for o in session.get_outputs()]
        self._input_names = [i.name for i in self._inputs]
        self._known = {i.name: i for i in self._inputs}
        self._binding = session.io_binding()
        self._run_options = uncaptured(self._setup)
        self.kernels_change = self._setup.kernels_change
        self.in_place = reads_host_memory(self._provider().execution_provider)
        self._bound: dict[str, BoundKey] = {}
        # Kept alive for as long as the runtime may write to it.
        self._preallocated: list[npt.NDArray[Any] | None] = []
        for spec in self._outputs:
            self._preallocated.append(self._bind_output(spec))

    @classmethod
    def _provider(cls) -> Provider:
        return PROVIDERS[cls.name]

    @classmethod
    def open(cls, model: Path, options: OpenOptions) -> Self:
        setup = session_setup(model, options, cls._provider())
        return cls(open_session(model, cls._provider(), setup), model, options)

    def inputs(self) -> list[TensorSpec]:
        return self._inputs

    def outputs(self) -> list[TensorSpec]:
        return self._outputs

    def run(self, feeds: Mapping[str, npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        if feeds.keys() != self._known.keys():
            check_feeds(self._model, self._input_names, feeds)
        try:
            for name, array in feeds.items():
                key = bound_key(array)
                if self._bound.get(name) != key:
                    self._bind_input(name, array)
                    # Elsewhere binding is what copies it to the device: that belongs into every run.
                    if self.in_place:
                        self._bound[name] = key
            if not self.in_place:
                # A provider may only have queued its copies.
                self._binding.synchronize_inputs()
            for spec, kept in zip(self._outputs, self._preallocated, strict=True):
                if kept is None:
                    # A bound output keeps the shape of its first run; this one's depends on the data.
                    self._binding.bind_output(spec.name, "cpu")
            self.session.run_with_iobinding(self._binding, self._run_options)
        except CellError:
            raise
        except Exception as e:  # see open()
            raise self.failure(e) from e
        if all(a is not None for a in self._preallocated):
            return list(self._preallocated)  # type: ignore[arg-type]
        values = self._binding.get_outputs()
        return [v.numpy() if kept is None else kept for v, kept in zip(values, self._preallocated, strict=True)]

    def failure(self, error: Exception) -> CellError:
        return run_failure(self._provider(), self._model, self._setup, error)

    def another(self) -> Self:
        return type(self)(self.session, self._model, self._options)

    def work(self, feeds: Mapping[str, npt.NDArray[Any]]) -> Work:
        """By way of run(); with device_io inputs are copied to the device now, and no run copies anything."""
        if not self._setup.device_io:
            return super().work(feeds)
        check_feeds(self._model, self._input_names, feeds)
        self.works_on_device = True
        binding, options = self._device_binding(feeds), next_graph(self._setup)

        def once(lap: Callable[[], None]) -> None:
            self.session.run_with_iobinding(binding, options)
            binding.synchronize_outputs()
            lap()

        return PythonWork(once)

    def details(self) -> dict[str, str]:
        import onnxruntime as ort

        kept = sum(a is not None for a in self._preallocated)
        parallel = "in parallel" if self._setup.parallel else ""
        found = {
            "runtime": f"onnxruntime {ort.__version__}",
            "provider": self._provider().execution_provider,
            "threads": f"{self._options.threads} intra-op, {self._setup.inter_threads} inter-op {parallel}".strip(),
            "outputs": f"{kept} of {len(self._outputs)} preallocated",
            "called": "from Python",
        }
        if RECORD in self._setup.config and hasattr(self.session, "get_provider_graph_assignment_info"):
            found["nodes"] = in_words(recorded(self.session))
        # Where no policy is shown beside a figure, as in a comparison's sides, this tells unlike ones apart.
        return found | self._setup.details() | ({"io": self.io_policy()} if self.works_on_device else {})

    def computed_in(self, feeds: Mapping[str, npt.NDArray[Any]]) -> dict[str, int]:
        return profiled_types(self._model, self._options, self._provider(), feeds)

    def close(self) -> None:
        self._binding = self.session = None

    def _bind_input(self, name: str, array: npt.NDArray[Any]) -> None:
        check_array(self._known[name], array)
        self._binding.bind_input(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)

    def _device_binding(self, feeds: Mapping[str, npt.NDArray[Any]]) -> Any:
        """Inputs copied to the device, and room there for outputs: neither moves again, as a captured graph needs it."""
        binding, place = self.session.io_binding(), device_place(self._provider(), self._setup)
        for name, array in feeds.items():
            given = np.ascontiguousarray(array)
            check_array(self._known[name], given)
            binding.bind_ortvalue_input(name, place.holding(given))
        for spec in self._outputs:
            if not spec.shape or not all(isinstance(d, int) for d in spec.shape) or spec.dtype not in _DTYPES.values():
                raise CellError(
                    f"output {spec.name}: device_io needs outputs of known shape, and this one's depends on the data"
                )
            binding.bind_ortvalue_output(spec.name, place.empty([d for d in spec.shape if d is not None], spec.dtype))
        return binding

    def _bind_output(self, spec: TensorSpec) -> npt.NDArray[Any] | None:
        """Preallocates an output of known shape; one whose shape depends on the data is the runtime's own.

        No dimensions stand for a scalar, or for a rank that only a run decides.
        """
        if spec.shape and all(isinstance(d, int) for d in spec.shape) and spec.dtype in _DTYPES.values():
            array: npt.NDArray[Any] = np.zeros([d for d in spec.shape if d is not None], spec.dtype)
            self._binding.bind_output(spec.name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
            return array
        self._binding.bind_output(spec.name, "cpu")
        return None


class OnnxRuntimeCudaBackend(OnnxRuntimeBackend):
    name: str = "onnxruntime-cuda"


class OnnxRuntimeTensorRtBackend(OnnxRuntimeBackend):
    name: str = "onnxruntime-tensorrt"


class OnnxRuntimeTensorRtRtxBackend(OnnxRuntimeBackend):
    name: str = "onnxruntime-tensorrt-rtx"


class OnnxRuntimeOpenVinoBackend(OnnxRuntimeBackend):
    name: str = "onnxruntime-openvino"


def _ints(shape: list[Any]) -> tuple[int | None, ...]:
    return tuple(d if isinstance(d, int) else None for d in shape)
