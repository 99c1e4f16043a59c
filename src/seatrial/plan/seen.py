"""What a model's outputs held on some images, in a few numbers an output: ranges, whole numbers, sums.

For: telling heads apart (heads.py) and finding a decoder whose assumption is false (pipeline/plausibility.py). Not for:
differences between runs (parity). Nothing is copied but small bit masks: it is cheap enough for every image of a trial.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.kernels.maps import whole

Array = npt.NDArray[Any]
F64 = npt.NDArray[np.float64]
# A head's narrow side: four values of a box and its classes. The other side counts anchors.
WIDEST = 2048


@dataclass
class Ranges:
    """Least and greatest value of each column over all rows of all images, and whether all of them were whole numbers."""

    low: F64
    high: F64
    whole: npt.NDArray[np.bool_]

    def part(self, start: int, stop: int | None = None) -> Ranges:
        return Ranges(self.low[start:stop], self.high[start:stop], self.whole[start:stop])

    def every(self, step: int, start: int) -> Ranges:
        """Each `step`th column from `start` on."""
        return Ranges(self.low[start::step], self.high[start::step], self.whole[start::step])

    @property
    def least(self) -> float:
        return float(self.low.min(initial=np.inf))

    @property
    def most(self) -> float:
        return float(self.high.max(initial=-np.inf))

    def to_json(self) -> dict[str, Any]:
        return {"low": self.low.tolist(), "high": self.high.tolist(), "whole": self.whole.tolist()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Ranges:
        return cls(np.array(data["low"], float), np.array(data["high"], float), np.array(data["whole"], bool))

    @property
    def blank(self) -> bool:
        """Nothing but zeros, or the -1 that some exports fill up with: it says nothing."""
        return self.most <= 0 and self.least >= -1

    def within(self, low: float, high: float) -> bool:
        return self.least >= low and self.most <= high

    @property
    def probabilities(self) -> bool:
        """A hundredth beyond 0 and 1 is rounding in low precision."""
        return self.within(-0.01, 1.01)


@dataclass
class Seen:
    """One output over the images given to `add`.

    shape: of the last run, with the batch. an_image_a_row: whether its first dimension was the batch each time. columns:
    along the last axis, of a single one all of it; rows: along axis 1 of three; each None where that side is longer than
    WIDEST. sums: least and greatest sum along the last axis; lengths: the same of its Euclidean length, of two dimensions.
    channel_sums: of four dimensions, along axis 1, of every fourth row and column. span: least and greatest of all finite
    values, whole: whether all are whole numbers, both of three and four dimensions. counts: what `share` divides.
    """

    shape: tuple[int, ...] = ()
    dtype: str = ""
    an_image_a_row: bool = True
    columns: Ranges | None = None
    rows: Ranges | None = None
    sums: tuple[float, float] = (np.inf, -np.inf)
    lengths: tuple[float, float] = (np.inf, -np.inf)
    span: tuple[float, float] = (np.inf, -np.inf)
    channel_sums: tuple[float, float] = (np.inf, -np.inf)
    whole: bool = True
    finite: bool = True
    images: int = 0
    counts: dict[str, int] = field(default_factory=dict)

    def share(self, what: str) -> float:
        """Of rows along the last axis in which 'first' or 'last' is the greatest, or all are 'negative'; of those that
        begin with a box that is not all zeros, in which it is one of 'corners': x1, y1, x2, y2 in that order;
        'corners_of_rows': the same of columns that begin so, along axis 1 of three. Of every fourth row and column of four
        dimensions, in which all channels are below 0: 'cells_negative'; in which all are below a half and do not add up to
        1: 'cells_of_none', or 'pixels_of_none' where the channels are last.
        """
        of = {
            "corners": "boxes",
            "corners_of_rows": "boxes_of_rows",
            "cells_negative": "cells",
            "cells_of_none": "cells",
            "pixels_of_none": "pixels",
        }.get(what, "rows")
        return self.counts.get(what, 0) / max(1, self.counts.get(of, 0))

    def add(self, output: Array, batch: int, images: int | None = None) -> None:
        """One run's. images: how many of the batch are new, where it was filled up. Of text only the shape is kept."""
        self.shape, self.dtype = output.shape, output.dtype.name
        self.images += batch if images is None else images
        self.an_image_a_row &= output.ndim > 0 and len(output) == batch
        if output.ndim == 4 and output.shape[2:] == (1, 1):
            output = output.reshape(output.shape[:2])
        if output.dtype.kind in "fiub" and output.ndim in (3, 4) and output.size:
            self._add_span(output)
        if output.dtype.kind == "f" and output.ndim == 4 and output.size:
            cells = output[:, :, ::4, ::4].astype(np.float32)
            self.channel_sums = _extended(self.channel_sums, cells.sum(axis=1, dtype=np.float64))
            self._count({"cells": cells[:, 0].size, "cells_negative": int((cells.max(axis=1) < 0).sum())})
            last = output[:, ::4, ::4].astype(np.float32)
            self._count(
                {"cells_of_none": _of_none(cells, 1), "pixels": last[..., 0].size, "pixels_of_none": _of_none(last, 3)}
            )
        if output.dtype.kind not in "fiub" or output.ndim not in (1, 2, 3) or output.size == 0:
            return
        # A list of one value each is a column.
        values = output if output.ndim == 3 else output.reshape(len(output), 1, -1)
        if output.dtype.kind == "f" and not np.isfinite([values.min(), values.max()]).all():
            self.finite = False
            values = np.where(np.isfinite(values), values, 0)
        if values.shape[2] <= WIDEST:
            self.columns = _widened(self.columns, values, (0, 1))
            self._add_rows(values)
        else:
            self._add_winners(values)
        if output.ndim == 3 and values.shape[1] <= WIDEST:
            self.rows = _widened(self.rows, values, (0, 2))
            if values.shape[1] >= 4:
                boxes, ordered = values[:, :4].any(axis=1), (values[:, 2:4] >= values[:, 0:2]).all(axis=1)
                self._count({"boxes_of_rows": int(boxes.sum()), "corners_of_rows": int((boxes & ordered).sum())})
        if output.ndim == 2:
            self.lengths = _extended(self.lengths, np.linalg.norm(values.astype(np.float64), axis=-1))

    def _add_span(self, values: Array) -> None:
        self.whole = self.whole and whole(values)
        ends = np.array([values.min(), values.max()], np.float64)
        if not np.isfinite(ends).all():
            self.finite = False
            finite = values[np.isfinite(values)]
            ends = np.array([finite.min(), finite.max()], np.float64) if finite.size else np.zeros(0)
        self.span = _extended(self.span, ends) if ends.size else self.span

    def _add_rows(self, values: Array) -> None:
        # Added up in float64: a hundred thousand float16 probabilities would leave its range.
        self.sums = _extended(self.sums, values.sum(axis=-1, dtype=np.float64))
        self._add_winners(values)
        counts = {"negative": int((values.max(axis=-1) < 0).sum())}
        if values.shape[2] >= 4:
            boxes = values[..., :4].any(axis=-1)
            ordered = (values[..., 2:4] >= values[..., 0:2]).all(axis=-1)
            counts |= {"boxes": int(boxes.sum()), "corners": int((boxes & ordered).sum())}
        self._count(counts)

    def _add_winners(self, values: Array) -> None:
        winners = values.argmax(axis=-1)
        first, last = int((winners == 0).sum()), int((winners == values.shape[2] - 1).sum())
        self._count({"rows": winners.size, "first": first, "last": last})

    def _count(self, counts: Mapping[str, int]) -> None:
        for name, count in counts.items():
            self.counts[name] = self.counts.get(name, 0) + count

    def to_json(self) -> dict[str, Any]:
        """Plain values, for another process."""
        plain = {name: value for name, value in vars(self).items() if not isinstance(value, Ranges)}
        return plain | {n: r and r.to_json() for n, r in (("columns", self.columns), ("rows", self.rows))}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Seen:
        ranges = {name: Ranges.from_json(data[name]) if data[name] else None for name in ("columns", "rows")}
        pairs: dict[str, Any] = {
            name: tuple(data[name]) for name in ("shape", "sums", "lengths", "span", "channel_sums")
        }
        return cls(**{**data, **ranges, **pairs})


def observe(names: Sequence[str], runs: Iterable[tuple[Sequence[Array], int]]) -> dict[str, Seen]:
    """Each output over all runs; a run is its outputs and how many images it was of."""
    seen = {name: Seen() for name in names}
    for outputs, batch in runs:
        add_run(seen, names, outputs, batch)
    return seen


def add_run(
    seen: Mapping[str, Seen], names: Sequence[str], outputs: Sequence[Array], batch: int, images: int | None = None
) -> None:
    """One run's outputs, as Seen.add takes each."""
    for name, output in zip(names, outputs, strict=True):
        seen[name].add(output, batch, images)


def _of_none(scores: Array, axis: int) -> int:
    """In how many cells no channel reaches a half, of scores that are no shares of one whole."""
    odd = np.abs(scores.sum(axis=axis, dtype=np.float64) - 1) > 0.1
    return int((odd & (scores.max(axis=axis) < 0.5)).sum())


def _widened(before: Ranges | None, values: Array, axes: tuple[int, int]) -> Ranges:
    low, high = values.min(axis=axes).astype(np.float64), values.max(axis=axes).astype(np.float64)
    whole = np.ones(low.shape, np.bool_)
    # Class numbers stand in narrow lists of detections; looking for them in every head would cost a copy of it.
    if values.dtype.kind == "f" and (len(low) <= 64 or values.shape[1] == 1) and values.size <= 1 << 17:
        whole = (values == np.rint(values)).all(axis=axes)
    elif values.dtype.kind == "f":
        whole = (low == np.rint(low)) & (high == np.rint(high)) & (low == high)
    if before is None or before.low.shape != low.shape:
        return Ranges(low, high, whole)
    return Ranges(np.minimum(before.low, low), np.maximum(before.high, high), before.whole & whole)


def _extended(before: tuple[float, float], values: F64) -> tuple[float, float]:
    return min(before[0], float(values.min())), max(before[1], float(values.max()))
