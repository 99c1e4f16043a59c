"""ONNX Runtime through its C API, from the installed wheel's own library: what is timed holds no interpreter.

For: bench and compare, where microseconds of Python would count. Not for: wheels without that library; `library_path` says
so, and onnxruntime.py serves. Options, binding and errors are the same in both, and their outputs are compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from seatrial._native.ort import LoadedModel, Request, library_version, reads_host_memory
from seatrial._native.timing import Work
from seatrial.backends.base import Closing, OpenOptions, TensorSpec, bound_key, check_feeds
from seatrial.backends.reasons import first_line
from seatrial.errors import BackendUnavailableError, CellError, ModelError, option

if TYPE_CHECKING:
    from seatrial._native.ort import Port


def library_path() -> Path | None:
    """ONNX Runtime's shared library in the installed wheel, or None. Does not import onnxruntime."""
    spec = find_spec("onnxruntime")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        # The name ends in the version: libonnxruntime.so.1.32.0; libonnxruntime_providers_*.so are others.
        found = sorted(Path(folder, "capi").glob("libonnxruntime.*so*"))
        if found:
            return found[-1]
    return None


class NativeOnnxRuntimeBackend(Closing):
    name: str = "onnxruntime-cpu"
    native: bool = True
    provider: ClassVar[str] = "CPUExecutionProvider"

    def __init__(self, loaded: Any, library: Path, model: Path, options: OpenOptions) -> None:
        self._loaded = loaded
        self._library = library
        self._model = model
        self._options = options
        self.in_place = reads_host_memory(self.provider)
        self._inputs = [_spec(p) for p in loaded.inputs]
        self._outputs = [_spec(p) for p in loaded.outputs]
        self._input_names = [i.name for i in self._inputs]
        self._request: Any
        self._request, self._preallocated = self._new_request()
        self._bound: dict[str, tuple[int, tuple[int, ...], str]] = {}

    @classmethod
    def open(cls, model: Path, options: OpenOptions) -> Self:
        library = library_path()
        if library is None:
            raise BackendUnavailableError(
                f"{cls.name}: this onnxruntime has no libonnxruntime to load; the Python path serves instead"
            )
        try:
            loaded = LoadedModel(str(library), str(model), options.threads, cls.provider, options.named_sizes)
        except RuntimeError as e:
            if "is not enabled in this build" in str(e):
                raise BackendUnavailableError(
                    f"{cls.name}: this onnxruntime has no {cls.provider}; install seatrial[gpu] in place of seatrial[cpu]"
                ) from None
            raise ModelError(f"onnxruntime cannot load the model: {first_line(e)}", subject=model, refusal=True) from e
        unknown = [p[0] for p in (*loaded.inputs, *loaded.outputs) if p[2] == "unknown"]
        if unknown:
            raise ModelError(
                f"{', '.join(unknown)} is not a tensor of numbers, which the C API path cannot bind; "
                f"use {option('loop')} python",
                subject=model,
            )
        return cls(loaded, library, model, options)

    def inputs(self) -> list[TensorSpec]:
        return self._inputs

    def outputs(self) -> list[TensorSpec]:
        return self._outputs

    def run(self, feeds: Mapping[str, npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        self._bind(self._request, feeds, self._bound)
        try:
            self._request.run()
        except RuntimeError as e:
            raise CellError(f"onnxruntime failed in a run: {first_line(e)}", refusal=True) from e
        return [self._request.fetch(i) if kept is None else kept for i, kept in enumerate(self._preallocated)]

    def work(self, feeds: Mapping[str, npt.NDArray[Any]]) -> Work:
        """A request of its own: its outputs are not those of run()."""
        request, _ = self._new_request()
        self._bind(request, feeds, {})
        return request

    def another(self) -> Self:
        return type(self)(self._loaded, self._library, self._model, self._options)

    def details(self) -> dict[str, str]:
        kept = sum(a is not None for a in self._preallocated)
        return {
            "runtime": f"onnxruntime {library_version(str(self._library))}",
            "provider": self.provider,
            "threads": f"{self._options.threads} intra-op, 1 inter-op",
            "outputs": f"{kept} of {len(self._outputs)} preallocated",
            "called": f"by the C API of {self._library.name}",
        }

    def computed_in(self, feeds: Mapping[str, npt.NDArray[Any]]) -> dict[str, int]:
        from seatrial.backends.onnxruntime import profiled_types

        return profiled_types(self._model, self._options, self.provider, feeds)

    def close(self) -> None:
        # Requests that were given out keep the model for as long as they live.
        self._request = self._loaded = None

    def _new_request(self) -> tuple[Request, list[npt.NDArray[Any] | None]]:
        request = Request(self._loaded)
        kept: list[npt.NDArray[Any] | None] = []
        for i, spec in enumerate(self._outputs):
            # No dimensions: a scalar, or a tensor whose rank only a run decides; ONNX Runtime does not say which.
            if spec.shape and all(d is not None for d in spec.shape):
                kept.append(np.zeros([d for d in spec.shape if d is not None], spec.dtype))
                request.bind_output(i, kept[-1])  # type: ignore[arg-type]
            else:
                kept.append(None)
                request.leave_output(i)
        return request, kept

    def _bind(
        self,
        request: Request,
        feeds: Mapping[str, npt.NDArray[Any]],
        bound: dict[str, tuple[int, tuple[int, ...], str]],
    ) -> None:
        check_feeds(self._model, self._input_names, feeds)
        for index, name in enumerate(self._input_names):
            key = bound_key(feeds[name])
            if bound.get(name) != key:
                try:
                    request.bind_input(index, feeds[name])
                except ValueError as e:
                    raise CellError(f"input {e}") from None
                bound[name] = key


class NativeOnnxRuntimeCudaBackend(NativeOnnxRuntimeBackend):
    name: str = "onnxruntime-cuda"
    provider: ClassVar[str] = "CUDAExecutionProvider"


class NativeOnnxRuntimeTensorRtBackend(NativeOnnxRuntimeBackend):
    name: str = "onnxruntime-tensorrt"
    provider: ClassVar[str] = "TensorrtExecutionProvider"


NATIVE: dict[str, type[NativeOnnxRuntimeBackend]] = {
    kind.name: kind
    for kind in (NativeOnnxRuntimeBackend, NativeOnnxRuntimeCudaBackend, NativeOnnxRuntimeTensorRtBackend)
}


def _spec(port: Port) -> TensorSpec:
    return TensorSpec(*port)
