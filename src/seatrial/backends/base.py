"""The Backend protocol, and what opening one takes. Not for: any particular runtime."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from seatrial._native.timing import PythonWork, Work
from seatrial.backends.reasons import first_line
from seatrial.errors import CellError, ModelError, did_you_mean
from seatrial.runtimes.settings import Value

if TYPE_CHECKING:
    from seatrial.model.file import ModelInfo


@dataclass(frozen=True)
class TensorSpec:
    """A tensor as the runtime sees it once opened: all dimensions that are known are ints."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str


@dataclass(frozen=True)
class OpenOptions:
    """threads is the runtime's intra-op pool, of each client; input_shapes fixes dynamic dimensions by input name, and
    named_sizes says the same by dimension name, for runtimes that ask for that. clients says how many requests will run
    at once: `another()` gives each its own. open_shapes: none is fixed, since each request brings its own. settings: the
    backend's own options, by the names in runtimes/settings.py, as the plan gives them. build_number: which of several
    independent builds of an engine, for backends that keep one; 0 is the one that cells run, and the others share nothing
    with it or one another of what a builder remembers.
    """

    threads: int = 1
    clients: int = 1
    input_shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    named_sizes: Mapping[str, int] = field(default_factory=dict)
    open_shapes: bool = False
    settings: Mapping[str, Value] = field(default_factory=dict)
    build_number: int = 0

    @classmethod
    def for_shapes(
        cls, model: ModelInfo, threads: int, input_shapes: Mapping[str, tuple[int, ...]], clients: int = 1
    ) -> Self:
        return cls(threads, clients, input_shapes, model.named_sizes(input_shapes))

    @classmethod
    def for_mix(cls, threads: int, clients: int = 1) -> Self:
        return cls(threads, clients, open_shapes=True)


@dataclass(frozen=True)
class Availability:
    """Whether a backend can run here; where not, why and the cure."""

    name: str
    ok: bool
    version: str = ""
    reason: str = ""
    cure: str = ""


class Backend(Protocol):
    """An opened model. Use as a context manager; `close` may be called twice.

    native: whether its work is called without the interpreter. kernels_change: whether the runtime may exchange kernels for
    quicker ones while it runs, so that a warm-up is over once the latency keeps its level.
    """

    name: str
    native: bool
    kernels_change: bool

    @classmethod
    def open(cls, model: Path, options: OpenOptions) -> Self:
        """ModelError where the model does not load; BackendUnavailableError where the device is not there."""
        ...

    def inputs(self) -> list[TensorSpec]: ...

    def outputs(self) -> list[TensorSpec]: ...

    def run(self, feeds: Mapping[str, npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        """Outputs in the order of outputs(). They are views that the next run overwrites: copy what you keep.

        What the feeds hold when it is called is what it answers for: read in place, or copied to the device in this call.
        One that is read in place, and is the same memory as in the last call, is not bound again.
        """
        ...

    def work(self, feeds: Mapping[str, npt.NDArray[Any]]) -> Work:
        """One inference on these feeds, bound now, for the timing loops. It keeps the feeds and this backend alive."""
        ...

    def another(self) -> Self:
        """Requests of another client on the same loaded model, which may run while this one's do."""
        ...

    def details(self) -> dict[str, str]:
        """What really runs: runtime version, provider or device, inference precision, threads, and what calls it."""
        ...

    def failure(self, error: Exception) -> CellError:
        """What a request failed with that the timing loops ran, in words for people."""
        ...

    def computed_in(self, feeds: Mapping[str, npt.NDArray[Any]]) -> dict[str, int]:
        """How many convolutions and matrix products compute in which type, by the runtime's own account: {'fp32': 54}.

        It may load the model once more, and run it: not while something is timed. Empty where the runtime does not tell.
        """
        ...

    def io_policy(self) -> str:
        """How inputs get in and outputs out, and what of that each run pays for. For people, beside every figure."""
        ...

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Closing(ABC):
    """What backends have in common: they close, can be timed, and say what a run moves.

    in_place: whether the device reads inputs where they lie in host memory, so that binding them once is enough.
    works_on_device: whether a work was asked for that copies its inputs to the device once, and no output back.
    """

    name: str
    native: bool = False
    kernels_change: bool = False
    in_place: bool = True
    works_on_device: bool = False
    _options: OpenOptions

    @abstractmethod
    def close(self) -> None: ...

    @abstractmethod
    def run(self, feeds: Mapping[str, npt.NDArray[Any]]) -> list[npt.NDArray[Any]]: ...

    def work(self, feeds: Mapping[str, npt.NDArray[Any]]) -> Work:
        """By way of `run`, with the interpreter; a backend without it overrides this."""

        return PythonWork(run_once(self, feeds))

    def computed_in(self, _feeds: Mapping[str, npt.NDArray[Any]]) -> dict[str, int]:
        return {}

    def io_policy(self) -> str:
        """The same for all that read in place, so that no row of a table pays for a copy that its neighbour does not."""
        inputs, outputs = "inputs bound in place", "outputs read without a copy"
        if self.works_on_device:
            inputs, outputs = "inputs bound on the device once", "outputs left on the device"
        elif not self.in_place:
            inputs, outputs = "inputs copied to the device in each run", "outputs copied back"
        elif self._options.open_shapes:
            outputs = "outputs allocated in each run"
        return ", ".join([inputs, outputs, "shapes open" if self._options.open_shapes else "shapes fixed when opened"])

    def failure(self, error: Exception) -> CellError:
        """Of a request that the timing loops ran without `run`."""
        return CellError(f"{self.name} failed in a run: {first_line(error)}", refusal=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def run_once(backend: Any, feeds: Mapping[str, npt.NDArray[Any]]) -> Callable[[Callable[[], None]], None]:
    """A request of one stage by way of a backend's `run`, for PythonWork."""

    def once(lap: Callable[[], None]) -> None:
        backend.run(feeds)
        lap()

    return once


def check_feeds(model: Path, known: Sequence[str], feeds: Mapping[str, Any]) -> None:
    """ModelError where the names of the feeds are not the model's input names."""
    for name in feeds:
        if name not in known:
            raise ModelError(
                f"the model has no input called {name!r}{did_you_mean(name, list(known))}; its inputs are {', '.join(known)}",
                subject=model,
            )
    missing = [name for name in known if name not in feeds]
    if missing:
        raise ModelError(
            f"no values for input {', '.join(missing)}; expected feeds for {', '.join(known)}; a Python "
            "preprocess stage may return a dict with one array an input",
            subject=model,
        )


# Address, shape, strides, type with its byte order.
BoundKey = tuple[int, tuple[int, ...], tuple[int, ...], str]


def bound_key(array: npt.NDArray[Any]) -> BoundKey:
    """Identity of an array's memory as it is read: bind again only where this changes. To be kept only where binding copies
    nothing."""
    return array.__array_interface__["data"][0], array.shape, array.strides, array.dtype.str


def check_array(spec: TensorSpec, array: npt.NDArray[Any]) -> None:
    """CellError where a runtime that is told an address, a type and a shape would read something else, or refuse it in its own
    words. Types that NumPy has no name for, and shapes of unknown rank, are the runtime's own to judge."""
    fits = len(spec.shape) == array.ndim and all(d in (None, n) for d, n in zip(spec.shape, array.shape, strict=True))
    if spec.dtype in np.sctypeDict and array.dtype.name != spec.dtype:
        problem = f"expected {spec.dtype}, got {array.dtype.name}; give array.astype('{spec.dtype}')"
    elif spec.shape and not fits:
        expected = ", ".join("?" if d is None else str(d) for d in spec.shape)
        problem = (
            f"expected shape [{expected}], got {list(array.shape)}; the stage in front of the model is to make that"
        )
    elif not array.flags.c_contiguous:
        problem = f"expected a contiguous array, got strides {array.strides}; give np.ascontiguousarray(array)"
    elif not array.dtype.isnative:
        problem = f"expected this machine's byte order, got {array.dtype.str}; give array.astype('{array.dtype.name}')"
    else:
        return
    raise CellError(f"input {spec.name}: {problem}")
