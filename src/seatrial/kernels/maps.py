"""Maps of a model's output, cells that cover its input, at the source's size, in NumPy.

For: the twin of the argmax drawn out linearly, class numbers, one channel against a threshold, values. Not for: the argmax at
the cells (reference.py), or which output this is (postprocess.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.kernels import reference
from seatrial.kernels.geometry import Geometry
from seatrial.kernels.reference_masks import cells_between, drawn_out

Array = npt.NDArray[Any]
F32 = npt.NDArray[np.float32]
Mask = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
# Of class numbers nobody knows how many there are: always as wide, so that 255 is a class among 300.
NO_CLASS = 65535


def cut_away(geometry: Geometry, cells_hw: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """(H, W): pixels of the source that a crop left out of the input."""
    rows, columns = reference.cells(geometry, cells_hw)
    return np.asarray((rows < 0)[:, None] | (columns < 0)[None, :])


def nearest(cells: Array, geometry: Geometry) -> Array:
    """(H, W) of cells (h, w): of each pixel the cell in which its centre lies; of those cut away some cell."""
    rows, columns = reference.cells(geometry, cells.shape)
    return np.asarray(cells[rows][:, columns])


def linear(cells: Array, geometry: Geometry) -> F32:
    """(H, W) float32 of cells (h, w), drawn out linearly between the cells' centres, along the rows first.

    Half-pixel centres, as torch's interpolate has them with align_corners=False; beyond the outermost centres the outermost
    cell. Cells whose centres lie in a padding have no part: they are those of no pixel. A pixel between a value that is not
    finite and another is not finite either.
    """
    rows, columns = cells_between(geometry, cells.shape)
    with np.errstate(over="ignore", invalid="ignore"):
        values = cells.astype(np.float32)
        return drawn_out(drawn_out(values.T, columns).T, rows)


def argmax_linear(scores_chw: Array, geometry: Geometry) -> Mask:
    """Class of each source pixel: the greatest of the scores drawn out linearly; ties go to the lower class, NaN never wins.

    Held are the scores of one class and the best so far, not of all at the source's size. What a crop cut away, and how many
    classes need 16 bits: as reference.argmax_mask. The twin of csrc/postprocess/linear_mask.cpp, bit for bit.
    """
    wide, ignored = reference.mask_kind(len(scores_chw))
    found: Any = np.zeros(geometry.source_hw, np.uint16 if wide else np.uint8)
    best = np.full(geometry.source_hw, -np.inf, np.float32)
    for k, scores in enumerate(scores_chw):
        own = linear(scores, geometry)
        better = own > best
        found[better] = k
        best[better] = own[better]
    found[cut_away(geometry, scores_chw.shape[1:])] = ignored
    mask: Mask = found
    return mask


def class_numbers(numbers_hw: Array, geometry: Geometry) -> npt.NDArray[np.uint16]:
    """The numbers at the source's size, nearest: between two classes there is none. NO_CLASS where a crop cut away.

    ValueError for numbers that are no classes: not whole, negative, or above 65534.
    """
    low, high = float(numbers_hw.min()), float(numbers_hw.max())
    if not whole(numbers_hw) or not 0 <= low <= high < NO_CLASS:
        raise ValueError(
            f"segmentation: format class_map reads whole class numbers from 0 to {NO_CLASS - 1}, but the values go from "
            f"{low:.6g} to {high:.6g}{'' if whole(numbers_hw) else ' and are not whole'}; use format one_channel for a mask "
            "with a threshold"
        )
    found: npt.NDArray[np.uint16] = nearest(numbers_hw.astype(np.uint16), geometry)
    found[cut_away(geometry, numbers_hw.shape)] = NO_CLASS
    return found


def above_threshold(
    values_hw: Array, geometry: Geometry, resize: str, activation: str, threshold: float
) -> npt.NDArray[np.uint8]:
    """1 where the value, drawn out first and then activated, is above the threshold, else 0; 255 where a crop cut away."""
    drawn = linear(values_hw, geometry) if resize == "linear" else nearest(values_hw.astype(np.float32), geometry)
    if activation == "sigmoid":
        drawn = reference.sigmoid(drawn)
    found: npt.NDArray[np.uint8] = (drawn > np.float32(threshold)).astype(np.uint8)
    found[cut_away(geometry, values_hw.shape)] = 255
    return found


def whole(values: Array) -> bool:
    """Whether all values are whole numbers; NaN and infinity are none."""
    if values.dtype.kind != "f":
        return True
    few = values.reshape(-1)[:4096]
    with np.errstate(invalid="ignore"):
        return bool((few == np.rint(few)).all() and (values == np.rint(values)).all() and np.isfinite(values).all())
