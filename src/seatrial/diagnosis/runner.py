"""Ways run over images, each stage no more often than needed: ways that share steps share what these gave.

For: dozens of mutations of one pipeline. Not for: what is compared (distance.py) or tried (search.py).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np

from seatrial.diagnosis.stages import ENCODED
from seatrial.diagnosis.way import At, Way

# Decoded images and tensors of some dozens of images; what falls out is made again.
MEMORY_BYTES = 256 << 20


class Runner:
    """encoded(image): its bytes, by index."""

    def __init__(self, encoded: Callable[[int], bytes], memory_bytes: int = MEMORY_BYTES) -> None:
        self._encoded = encoded
        self._left = memory_bytes
        self._kept: OrderedDict[Hashable, tuple[At, int, tuple[object, ...]]] = OrderedDict()

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
            return self._kept[key][0]
        before = path[-2] if len(path) > 1 else start
        found = steps[-1](self.at(way, image, before, begun))
        self._keep(key, found, (value, *steps))
        return found

    def _keep(self, key: Hashable, found: At, alive: tuple[object, ...]) -> None:
        """alive: what the key names by its address, which must not be given to another meanwhile."""
        size = _size(found.value)
        self._kept[key] = found, size, alive
        self._left -= size
        while self._left < 0 and len(self._kept) > 1:
            _, (_, freed, _) = self._kept.popitem(last=False)
            self._left += freed


def _size(value: Any) -> int:
    if isinstance(value, np.ndarray):
        return int(value.nbytes)
    if isinstance(value, list | tuple):
        return sum(map(_size, value))
    return sum(map(_size, vars(value).values())) if hasattr(value, "__dict__") else 64
