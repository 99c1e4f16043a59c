"""ONNX Runtime through its C API, from the installed wheel's own library: what is timed holds no interpreter.

For: bench and compare, where microseconds of Python would count. Not for: wheels without that library; `library_path` says
so, and onnxruntime.py serves. Options, binding and errors are the same in both, and their outputs are compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from seatrial._native.ort import LoadedModel, Request, library_version, reads_host_memory
from seatrial._native.timing import Work
from seatrial.backends.base import BoundKey, Closing, OpenOptions, TensorSpec, bound_key, check_array, check_feeds
from seatrial.backends.onnxruntime.assignment import FORBID, RECORD, Assigned, in_words, of_native, refuse_fallback
from seatrial.backends.onnxruntime.providers import PROVIDERS, Provider
from seatrial.backends.onnxruntime.settings import SessionSetup, session_setup
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

    def __init__(self, loaded: Any, library: Path, model: Path, options: OpenOptions) -> None:
        self._loaded = loaded
        self._library = library
        self._model = model
        self._options = options
        self._setup = session_setup(model, options, self._provider())
        self.kernels_change = self._setup.kernels_change
        self.in_place = reads_host_memory(self._provider().execution_provider)
        self._inputs = [_spec(p) for p in loaded.inputs]
        self._outputs = [_spec(p) for p in loaded.outputs]
        self._input_names = [i.name for i in self._inputs]
        self._request: Any
        self._request, self._preallocated = self._new_request()
        self._bound: dict[str, BoundKey] = {}

    @classmethod
    def _provider(cls) -> Provider:
        return PROVIDERS[cls.name]

    @classmethod
    def open(cls, model: Path, options: OpenOptions) -> Self:
        library = library_path()
        if library is None:
            raise BackendUnavailableError(
                f"{cls.name}: this onnxruntime has no libonnxruntime to load; the Python path serves instead"
            )
        setup = session_setup(model, options, cls._provider())
        loaded = _load(library, model, cls._provider(), setup)
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
            raise self.failure(e) from e
        return [self._request.fetch(i) if kept is None else kept for i, kept in enumerate(self._preallocated)]

    def failure(self, error: Exception) -> CellError:
        from seatrial.backends.onnxruntime.session import run_failure

        return run_failure(self._provider(), self._model, self._setup, error)

    def work(self, feeds: Mapping[str, npt.NDArray[Any]]) -> Work:
        """A request of its own: its outputs are not those of run(). With device_io it copies its inputs now, and only now."""
        self.works_on_device = self.works_on_device or self._setup.device_io
        request, _ = self._new_request(self._setup.device_io)
        self._bind(request, feeds, {})
        return request

    def another(self) -> Self:
        return type(self)(self._loaded, self._library, self._model, self._options)

    def details(self) -> dict[str, str]:
        kept = sum(a is not None for a in self._preallocated)
        parallel = "in parallel" if self._setup.parallel else ""
        found = {
            "runtime": f"onnxruntime {library_version(str(self._library))}",
            "provider": self._provider().execution_provider,
            "threads": f"{self._options.threads} intra-op, {self._setup.inter_threads} inter-op {parallel}".strip(),
            "outputs": f"{kept} of {len(self._outputs)} preallocated",
            "called": f"by the C API of {self._library.name}",
        }
        if RECORD in self._setup.config and (assigned := _assigned(self._loaded)) is not None:
            found["nodes"] = in_words(assigned)
        # Where no policy is shown beside a figure, as in a comparison's sides, this tells unlike ones apart.
        return found | self._setup.details() | ({"io": self.io_policy()} if self.works_on_device else {})

    def computed_in(self, feeds: Mapping[str, npt.NDArray[Any]]) -> dict[str, int]:
        from seatrial.backends.onnxruntime.session import profiled_types

        return profiled_types(self._model, self._options, self._provider(), feeds)

    def close(self) -> None:
        # Requests that were given out keep the model for as long as they live.
        self._request = self._loaded = None

    def _new_request(self, on_device: bool = False) -> tuple[Request, list[npt.NDArray[Any] | None]]:
        request = Request(self._loaded, on_device)
        kept: list[npt.NDArray[Any] | None] = []
        for i, spec in enumerate(self._outputs):
            if on_device:
                if not spec.shape or any(d is None for d in spec.shape):
                    raise CellError(
                        f"output {spec.name}: device_io needs outputs of known shape, and this one's depends on the data"
                    )
                request.leave_output(i)
                continue
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
        bound: dict[str, BoundKey],
    ) -> None:
        check_feeds(self._model, self._input_names, feeds)
        for index, name in enumerate(self._input_names):
            key = bound_key(feeds[name])
            if bound.get(name) != key:
                check_array(self._inputs[index], feeds[name])
                try:
                    request.bind_input(index, feeds[name])
                except ValueError as e:
                    raise CellError(f"input {e}") from None
                bound[name] = key


class NativeOnnxRuntimeCudaBackend(NativeOnnxRuntimeBackend):
    name: str = "onnxruntime-cuda"


class NativeOnnxRuntimeTensorRtBackend(NativeOnnxRuntimeBackend):
    name: str = "onnxruntime-tensorrt"


class NativeOnnxRuntimeTensorRtRtxBackend(NativeOnnxRuntimeBackend):
    name: str = "onnxruntime-tensorrt-rtx"


class NativeOnnxRuntimeOpenVinoBackend(NativeOnnxRuntimeBackend):
    name: str = "onnxruntime-openvino"


NATIVE: dict[str, type[NativeOnnxRuntimeBackend]] = {
    kind.name: kind
    for kind in (
        NativeOnnxRuntimeBackend,
        NativeOnnxRuntimeCudaBackend,
        NativeOnnxRuntimeTensorRtBackend,
        NativeOnnxRuntimeTensorRtRtxBackend,
        NativeOnnxRuntimeOpenVinoBackend,
    )
}


def _load(library: Path, model: Path, provider: Provider, setup: SessionSetup) -> LoadedModel:
    """As session.open_session does it, with the same refusals in the same words."""
    from seatrial.backends.onnxruntime.session import failure, make_ready, no_device, not_in_this_build, plugin_path

    make_ready(provider, setup)
    config, records = dict(setup.config), _keeps_records(library)
    if RECORD in config and not setup.cpu_fallback and not records:
        config[FORBID] = "1"
    try:
        loaded = LoadedModel(
            str(library),
            str(model),
            setup.threads,
            provider.execution_provider,
            setup.named_sizes,
            inter_threads=setup.inter_threads,
            parallel=setup.parallel,
            graph_optimization=setup.graph_optimization,
            arena=setup.arena,
            memory_pattern=setup.memory_pattern,
            config=config,
            provider_options=setup.provider_options,
            plugin=str(plugin_path(provider)) if provider.plugin else "",
            plugin_device=_DEVICE_TYPES[provider.device],
            device=int(setup.given.get("device_id", 0)),
            captured=setup.cuda_graph,
        )
    except RuntimeError as e:
        if "is not enabled in this build" in str(e):
            raise not_in_this_build(provider) from None
        if str(e).startswith("the plugin offers no device"):
            raise no_device(provider) from None
        raise failure(provider, model, setup, e) from e
    if RECORD in config and not setup.cpu_fallback and (assigned := _assigned(loaded)) is not None:
        refuse_fallback(provider, model, assigned)
    return loaded


# ONNX Runtime's OrtHardwareDeviceType.
_DEVICE_TYPES = {"CPU": 0, "GPU": 1}


def _keeps_records(library: Path) -> bool:
    major, minor = (int(n) for n in library_version(str(library)).split(".")[:2])
    return (major, minor) >= (1, 24)


def _assigned(loaded: LoadedModel) -> list[Assigned] | None:
    """None where this version keeps no record."""
    try:
        return of_native(loaded.assigned())
    except RuntimeError as e:
        if "keeps no record" in str(e):
            return None
        raise


def _spec(port: Port) -> TensorSpec:
    return TensorSpec(*port)
