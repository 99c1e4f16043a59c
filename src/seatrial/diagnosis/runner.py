"""Ways run over images, each stage no more often than needed: ways that share steps share what these gave.

For: dozens of mutations of one pipeline, and what a candidate shows of many images. What is kept cannot be written to: whoever
works in place gets an error. Not for: what is compared (distance.py) or tried (search.py).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from typing import Any, ParamSpec, TypeVar

import numpy as np
import numpy.typing as npt

from seatrial.diagnosis.stages import ENCODED
from seatrial.diagnosis.way import At, Way
from seatrial.errors import SeatrialError
from seatrial.kernels.arguments import ArgumentError

# Decoded images and tensors of some dozens of images; what falls out is made again.
MEMORY_BYTES = 256 << 20
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


class Runner:
    """encoded(image): its bytes, by index."""

    def __init__(self, encoded: Callable[[int], bytes], memory_bytes: int = MEMORY_BYTES) -> None:
        self._encoded = encoded
        self._memory_bytes = self._left = memory_bytes
        self._kept: OrderedDict[Hashable, tuple[Any, int, tuple[object, ...]]] = OrderedDict()

    def forget(self) -> None:
        self._kept.clear()
        self._left = self._memory_bytes

    def kept(self, owner: object, image: int, make: Callable[[], Value]) -> Value:
        """What its owner has of an image, made again where it has fallen out."""
        key = (id(owner), image)
        if key in self._kept:
            self._kept.move_to_end(key)
            found: Value = self._kept[key][0]
            return found
        found = make()
        self._keep(key, found, (owner,))
        return found

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
        if key in self._kept:
            self._kept.move_to_end(key)
            at: At = self._kept[key][0]
            return at
        before = path[-2] if len(path) > 1 else start
        found = told(steps[-1], self.at(way, image, before, begun))
        self._keep(key, found, (value, *steps))
        return found

    def _keep(self, key: Hashable, found: object, alive: tuple[object, ...]) -> None:
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
