"""Masks of instances in NumPy: the twin of csrc/postprocess/instance_masks.cpp, bit for bit.

For: which source pixels an object's mask has, from coefficients and prototypes. Not for: which objects there are
(reference.py), runs (masks.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.kernels.geometry import Geometry
from seatrial.kernels.reference import F32, I64

Bits = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Between:
    """Where centres of source rows, or columns, lie between cells: behind `first` by `share` of the way to `second`."""

    first: I64
    second: I64
    share: F32

    def part(self, begin: int, end: int) -> Between:
        return Between(self.first[begin:end], self.second[begin:end], self.share[begin:end])


def cells_between(geometry: Geometry, cells_hw: tuple[int, ...]) -> tuple[Between, Between]:
    """Of the source's rows and columns, in cells that cover the input."""
    (in_h, in_w), (h, w), (resized_h, resized_w) = geometry.input_hw, geometry.source_hw, geometry.resized_hw
    return (
        _between(h, resized_h, geometry.offset_y, in_h, cells_hw[0]),
        _between(w, resized_w, geometry.offset_x, in_w, cells_hw[1]),
    )


def _between(source: int, resized: int, offset: int, inputs: int, count: int) -> Between:
    scale, a_pixel = resized / source, count / inputs
    # Cells whose centres lie in the image: what a padding holds is nothing of it.
    low = min(count - 1, max(0, math.ceil(offset * a_pixel - 0.5)))
    high = min(count - 1, max(low, math.ceil((offset + resized) * a_pixel - 0.5) - 1))
    at = np.clip(((np.arange(source) + 0.5) * scale + offset) * a_pixel - 0.5, low, high)
    first = np.floor(at).astype(np.int64)
    return Between(first, np.minimum(first + 1, high), (at - first).astype(np.float32))


def pixels_within(low: float, high: float, size: int) -> tuple[int, int]:
    """First and end of the whole numbers from `low` on, below `high`, of 0 to size."""
    first = min(size, max(0, math.ceil(low)))
    return first, min(size, max(first, math.ceil(high)))


def instance_mask(
    coefficients: F32, prototypes: F32, box_xyxy: F32, geometry: Geometry
) -> tuple[Bits, tuple[int, int]]:
    """Pixels of one object within its box (source pixels), and the box's first row and column.

    A pixel is set where the sum of the prototypes (K, h, w), each times its coefficient (K,), is above zero: there its sigmoid
    is above a half. Sums are made in the prototypes' cells, and drawn out linearly between the cells' centres, along the rows
    first. A pixel is in the box where x1 <= x < x2 and y1 <= y < y2. So Ultralytics' process_mask_native and crop_mask have it.
    """
    height, width = geometry.source_hw
    x, x_end = pixels_within(float(box_xyxy[0]), float(box_xyxy[2]), width)
    y, y_end = pixels_within(float(box_xyxy[1]), float(box_xyxy[3]), height)
    if x == x_end or y == y_end:
        return np.zeros((y_end - y, x_end - x), np.bool_), (y, x)
    rows, columns = cells_between(geometry, prototypes.shape[1:])
    rows, columns = rows.part(y, y_end), columns.part(x, x_end)
    sums = _sums(coefficients, prototypes, rows, columns)
    with np.errstate(over="ignore", invalid="ignore"):
        across = drawn_out(sums.T, columns).T
        return drawn_out(across, rows) > 0, (y, x)


def _sums(coefficients: F32, prototypes: F32, rows: Between, columns: Between) -> F32:
    """Of all cells up to the last that is read: one prototype after the other, each product and each sum rounded to float32."""
    part = prototypes[:, : rows.second.max() + 1, : columns.second.max() + 1]
    total: F32 = np.zeros(part.shape[1:], np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        for coefficient, prototype in zip(coefficients, part, strict=True):
            total = total + coefficient * prototype
    return total


def drawn_out(cells: npt.NDArray[Any], at: Between) -> F32:
    """Along the first axis."""
    first, second = cells[at.first], cells[at.second]
    drawn: F32 = first + (second - first) * at.share[:, None]
    return drawn
