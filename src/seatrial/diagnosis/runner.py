"""Ways run over images, each stage no more often than needed: ways that share steps share what these gave.

For: dozens of mutations of one pipeline, and what a candidate shows of many images. What is kept cannot be written to: whoever
works in place gets an error. Not for: what is compared (distance.py) or tried (search.py).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

import numpy as np
import numpy.typing as npt

from seatrial.diagnosis.stages import ENCODED, OUTPUTS, RESULTS
from seatrial.diagnosis.way import At, Step, Way
from seatrial.errors import SeatrialError
from seatrial.kernels.arguments import ArgumentError
from seatrial.kernels.geometry import Geometry

# Results and raw outputs of hundreds of images, which are small and dear to make; decoded images and tensors of some dozens.
# What falls out is made again: without shares of their own a look at all images would push out the former for the latter.
MEMORY_BYTES = 384 << 20
_SHARES = {RESULTS: 1 / 8, OUTPUTS: 3 / 8}
Value = TypeVar("Value")
Given = ParamSpec("Given")


class StepError(SeatrialError):
    """What a step raised that is no check of seatrial's: a runtime that refuses it, or a mistake that cannot be made there."""


def told(step: Callable[Given, Value], *args: Given.args, **kwargs: Given.kwargs) -> Value:
    try:
        return step(*args, **kwargs)
    except (SeatrialError, ArgumentError, ValueError, MemoryError):
        raise
    except (Exception, SystemExit) as e:  # whatever it is, it must not cost the others
        raise StepError(f"{type(e).__name__}: {str(e).strip()[:200]}") from e


@dataclass(frozen=True)
class Form:
    """What a value is like, without it. shapes, dtypes: of its arrays, one of each; none of results."""

    geometry: Geometry | None
    shapes: tuple[tuple[int, ...], ...]
    dtypes: tuple[np.dtype[Any], ...]


class Runner:
    """encoded(image): its bytes, by index."""

    def __init__(self, encoded: Callable[[int], bytes], memory_bytes: int = MEMORY_BYTES) -> None:
        self._encoded = encoded
        self._memories = {stage: _Memory(int(share * memory_bytes)) for stage, share in _SHARES.items()}
        self._others = _Memory(int((1 - sum(_SHARES.values())) * memory_bytes))
        self._forms: dict[Hashable, tuple[Form, tuple[Step, ...]]] = {}

    @property
    def bytes(self) -> int:
        return sum(m.bytes for m in (*self._memories.values(), self._others))

    def forget(self) -> None:
        for memory in (*self._memories.values(), self._others):
            memory.forget()

    def kept(self, owner: object, image: int, make: Callable[[], Value]) -> Value:
        """What its owner has of an image, made again where it has fallen out."""
        key = (id(owner), image)
        known = self._others.get(key)
        if known is not None:
            found: Value = known[0]
            return found
        found = make()
        self._others.keep(key, found, (owner,))
        return found

    def form(self, way: Way, image: int, stage: str) -> Form:
        """Of what the way has at a stage from the encoded bytes: never forgotten."""
        names = list(way.steps)
        steps = tuple(way.steps[s] for s in names[: names.index(stage) + 1])
        key = (image, tuple(map(id, steps)))
        if key not in self._forms:
            at = self.at(way, image, stage)
            arrays = [a for a in (at.value if isinstance(at.value, list) else [at.value]) if isinstance(a, np.ndarray)]
            form = Form(at.geometry, tuple(a.shape for a in arrays), tuple(a.dtype for a in arrays))
            self._forms[key] = form, steps
        return self._forms[key][0]

    def at(self, way: Way, image: int, stage: str, begun: tuple[str, At] | None = None) -> At:
        """What the way has at a stage, from the encoded bytes, or from a value that it is given at an earlier stage."""
        start, value = begun or (ENCODED, None)
        if stage == start:
            return value or At(self._encoded(image))
        names = [ENCODED, *way.steps]
        path = names[names.index(start) + 1 : names.index(stage) + 1] if start in names else names[1:]
        steps = tuple(way.steps[s] for s in path)
        # A step is known by itself, not by what it is called: a mutation's is another one.
        key = (image, start, id(value), tuple(map(id, steps)))
        memory = self._memories.get(stage, self._others)
        known = memory.get(key)
        if known is not None:
            at: At = known[0]
            return at
        before = path[-2] if len(path) > 1 else start
        found = told(steps[-1], self.at(way, image, before, begun))
        memory.keep(key, found, (value, *steps))
        return found


class _Memory:
    """What was asked for last, up to so many bytes."""

    def __init__(self, most_bytes: int) -> None:
        self._most = self._left = most_bytes
        self._kept: OrderedDict[Hashable, tuple[Any, int, tuple[object, ...]]] = OrderedDict()

    @property
    def bytes(self) -> int:
        return self._most - self._left

    def forget(self) -> None:
        self._kept.clear()
        self._left = self._most

    def get(self, key: Hashable) -> tuple[Any, int, tuple[object, ...]] | None:
        """The value first."""
        if key in self._kept:
            self._kept.move_to_end(key)
        return self._kept.get(key)

    def keep(self, key: Hashable, found: object, alive: tuple[object, ...]) -> None:
        """alive: what the key names by its address, which must not be given to another meanwhile."""
        size = sum(array.nbytes for array in _arrays(found))
        for array in _arrays(found):
            array.flags.writeable = False
        self._kept[key] = found, size, alive
        self._left -= size
        while self._left < 0 and len(self._kept) > 1:
            _, (_, freed, _) = self._kept.popitem(last=False)
            self._left += freed


def _arrays(value: Any) -> Iterator[npt.NDArray[Any]]:
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _arrays(each)
    elif hasattr(value, "__dict__"):
        yield from _arrays(list(vars(value).values()))
