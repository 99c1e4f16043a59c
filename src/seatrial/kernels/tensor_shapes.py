"""Which tensors a layout reads, by their shapes, and which rows of them are whose image's.

For: layouts whose outputs do not all begin with the batch, or come in several tensors. Not for: numbers (detection_layouts.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.errors import count_of

Array = npt.NDArray[Any]
# Whose image a row is: said by the first dimension, by column 0, by how many each image has (the last tensor), or by nothing.
BATCH, COLUMN, COUNTS, NOTHING = "batch", "column", "counts", "nothing"
Dim = int | str | None


@dataclass(frozen=True)
class Shapes:
    """One way in which a layout's tensors come, in the decoder's order.

    tensors: such as ('B N 4', 'B N C'): letters are sizes, one letter the same throughout. by: how rows are told apart.
    counted: the last tensor says how many rows of each image count; what follows is filling.
    """

    tensors: tuple[str, ...]
    by: str = BATCH
    counted: bool = False

    def fit(self, shapes: Sequence[Sequence[Dim]]) -> bool:
        """Whether these may be its tensors. A size that a file leaves open fits anything."""
        return len(shapes) == len(self.tensors) and _bound(self.tensors, shapes)

    def images(self, tensors: Sequence[Array], batch: int) -> list[list[Array]]:
        """Each image's rows of each tensor. ValueError where they cannot be told apart, or are of other images."""
        if self.by == BATCH:
            rows = [list(r) for r in zip(*tensors, strict=True)] if batch else []
            if any(len(t) != batch for t in tensors):
                shapes = ", ".join(str(tuple(t.shape)) for t in tensors)
                raise ValueError(f"expected outputs for {count_of(batch, 'image')}, got tensors of shape {shapes}")
            return [_first(r, _whole(np.ravel(r[-1])[0])) for r in rows] if self.counted else rows
        if self.by == COLUMN:
            return _by_column(tensors[0], batch)
        if self.by == COUNTS:
            return _by_counts(tensors, batch)
        if batch != 1:
            raise ValueError(
                f"expected one image, because nothing in its outputs says which rows are whose, got {batch}; run it at batch 1 "
                "(matrix.batch_sizes: [1])"
            )
        return [list(tensors)]


def _bound(specs: Sequence[str], shapes: Sequence[Sequence[Dim]]) -> bool:
    sizes: dict[str, int] = {}
    for spec, shape in zip(specs, shapes, strict=True):
        wanted = spec.split()
        if len(wanted) != len(shape):
            return False
        for name, size in zip(wanted, shape, strict=True):
            if isinstance(size, int) and not _size_fits(name, size, sizes):
                return False
    return True


def _size_fits(name: str, size: int, sizes: dict[str, int]) -> bool:
    if name.isdigit():
        return size == int(name)
    return sizes.setdefault(name, size) == size and (size > 0 or name != "C")


def _whole(count: Any) -> int:
    """ValueError for what is no count."""
    if not np.isfinite(count) or count != np.rint(count):
        raise ValueError(f"expected a whole number of detections, got {count}")
    return int(count)


def _first(tensors: list[Array], count: int) -> list[Array]:
    """The rows that count, and the count."""
    whole = min((len(t) for t in tensors[:-1]), default=0)
    if not 0 <= count <= whole:
        raise ValueError(f"expected a count of detections from 0 to {whole}, got {count}")
    return [*(t[:count] for t in tensors[:-1]), tensors[-1]]


def _by_column(rows: Array, batch: int) -> list[list[Array]]:
    """Column 0 is the image's place in the batch. A row that names none, as an export fills up with -1, is nobody's."""
    named = rows[:, 0]
    beyond = named[(named >= batch) | (named < -1) | (named != np.rint(named))]
    if len(beyond):
        raise ValueError(f"expected the image's number from 0 to {batch - 1} in column 0, got {beyond[0]:g}")
    return [[rows[named == k]] for k in range(batch)]


def _by_counts(tensors: Sequence[Array], batch: int) -> list[list[Array]]:
    rows, counts = tensors
    if len(counts) != batch:
        raise ValueError(f"expected outputs for {count_of(batch, 'image')}, got counts of {len(counts)}")
    counts = np.array([_whole(c) for c in np.ravel(counts)], np.int64)
    ends = np.cumsum(counts)
    # Where nothing is found, some exports give a row that stands for nothing: its class is below 0.
    filled = len(rows) == 1 and batch >= 1 and ends[-1] == 0
    if (counts < 0).any() or (batch and ends[-1] != len(rows) and not filled):
        raise ValueError(f"expected as many rows as the counts add up to, {int(ends[-1])}, got {len(rows)}")
    starts = ends - counts
    return [[rows[a:b], counts[k : k + 1]] for k, (a, b) in enumerate(zip(starts, ends, strict=True))]
