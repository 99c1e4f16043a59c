"""ONNX Runtime through Python's I/O binding: CPU, CUDA and TensorRT providers. Not for: silent fallback between them.

Its C API, without the interpreter, is onnxruntime_native.py.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from seatrial._native.ort import reads_host_memory
from seatrial.backends.base import Closing, OpenOptions, TensorSpec, bound_key, check_feeds
from seatrial.backends.computed_in import of_profile
from seatrial.backends.reasons import first_line
from seatrial.errors import BackendUnavailableError, CellError, ModelError

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
    provider: ClassVar[str] = "CPUExecutionProvider"

    def __init__(self, session: Any, model: Path, options: OpenOptions) -> None:
        self.session = session
        self._model = model
        self._options = options
        self._inputs = [TensorSpec(i.name, _ints(i.shape), _DTYPES.get(i.type, i.type)) for i in session.get_inputs()]
        self._outputs = [TensorSpec(o.name, _ints(o.shape), _DTYPES.get(o.type, o.type)) for o in session.get_outputs()]
        self._input_names = [i.name for i in self._inputs]
        self._known = set(self._input_names)
        self._binding = session.io_binding()
        self.in_place = reads_host_memory(self.provider)
        self._bound: dict[str, tuple[int, tuple[int, ...], str]] = {}
        # Kept alive for as long as the runtime may write to it.
        self._preallocated: list[npt.NDArray[Any] | None] = []
        for spec in self._outputs:
            self._preallocated.append(self._bind_output(spec))

    @classmethod
    def open(cls, model: Path, options: OpenOptions) -> Self:
        import onnxruntime as ort

        if cls.provider not in ort.get_available_providers():
            raise BackendUnavailableError(
                f"{cls.name}: this onnxruntime has no {cls.provider}, only {', '.join(ort.get_available_providers())}; "
                "install seatrial[gpu] in place of seatrial[cpu]"
            )
        try:
            session = ort.InferenceSession(
                str(model), session_settings(options, cls.provider), providers=[cls.provider]
            )
        except Exception as e:  # onnxruntime raises its own types, none with a common public base
            raise ModelError(f"onnxruntime cannot load the model: {first_line(e)}", subject=model, refusal=True) from e
        # By default a session that fails later goes on with another provider; here that must be an error.
        session.disable_fallback()
        active = session.get_providers()
        if active[0] != cls.provider:
            raise BackendUnavailableError(
                f"{cls.name}: asked for {cls.provider}, but {active[0]} would run; check the driver with 'seatrial doctor'"
            )
        return cls(session, model, options)

    def inputs(self) -> list[TensorSpec]:
        return self._inputs

    def outputs(self) -> list[TensorSpec]:
        return self._outputs

    def run(self, feeds: Mapping[str, npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        if feeds.keys() != self._known:
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
            self.session.run_with_iobinding(self._binding)
        except CellError:
            raise
        except Exception as e:  # see open()
            raise CellError(f"onnxruntime failed in a run: {first_line(e)}", refusal=True) from e
        if all(a is not None for a in self._preallocated):
            return list(self._preallocated)  # type: ignore[arg-type]
        values = self._binding.get_outputs()
        return [v.numpy() if kept is None else kept for v, kept in zip(values, self._preallocated, strict=True)]

    def another(self) -> Self:
        return type(self)(self.session, self._model, self._options)

    def details(self) -> dict[str, str]:
        import onnxruntime as ort

        kept = sum(a is not None for a in self._preallocated)
        return {
            "runtime": f"onnxruntime {ort.__version__}",
            "provider": self.provider,
            "threads": f"{self._options.threads} intra-op, 1 inter-op",
            "outputs": f"{kept} of {len(self._outputs)} preallocated",
            "called": "from Python",
        }

    def computed_in(self, feeds: Mapping[str, npt.NDArray[Any]]) -> dict[str, int]:
        return profiled_types(self._model, self._options, self.provider, feeds)

    def close(self) -> None:
        self._binding = self.session = None

    def _bind_input(self, name: str, array: npt.NDArray[Any]) -> None:
        if not array.flags.c_contiguous:
            raise CellError(f"input {name}: expected a contiguous array, got strides {array.strides}")
        # The runtime is told a type and an address, and neither tells the order of bytes.
        if not array.dtype.isnative:
            raise CellError(f"input {name}: expected this machine's byte order, got {array.dtype.str}")
        self._binding.bind_input(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)

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


def session_settings(options: OpenOptions, provider: str) -> Any:
    import onnxruntime as ort

    settings = ort.SessionOptions()
    settings.intra_op_num_threads = options.threads
    settings.inter_op_num_threads = 1
    settings.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    settings.log_severity_level = 3
    if provider != "CPUExecutionProvider":
        # Nodes that the device cannot run would otherwise go to the CPU without a word.
        settings.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    for name, size in options.named_sizes.items():
        settings.add_free_dimension_override_by_name(name, size)
    return settings


def profiled_types(
    model: Path, options: OpenOptions, provider: str, feeds: Mapping[str, npt.NDArray[Any]]
) -> dict[str, int]:
    """By the profile of a session of its own, as its kernels ran: fused and cast as the measured one's."""
    import onnxruntime as ort

    settings = session_settings(options, provider)
    settings.enable_profiling = True
    with tempfile.TemporaryDirectory() as folder:
        settings.profile_file_prefix = str(Path(folder) / "profile")
        session = ort.InferenceSession(str(model), settings, providers=[provider])
        session.run(None, dict(feeds))
        return of_profile(Path(session.end_profiling()))


class OnnxRuntimeCudaBackend(OnnxRuntimeBackend):
    name: str = "onnxruntime-cuda"
    provider: ClassVar[str] = "CUDAExecutionProvider"


class OnnxRuntimeTensorRtBackend(OnnxRuntimeBackend):
    name: str = "onnxruntime-tensorrt"
    provider: ClassVar[str] = "TensorrtExecutionProvider"


def _ints(shape: list[Any]) -> tuple[int | None, ...]:
    return tuple(d if isinstance(d, int) else None for d in shape)
