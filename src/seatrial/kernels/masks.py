"""Masks of objects as runs, as COCO has them: thousands of images of them do not need gigabytes.

For: runs to and from pixels. Not for: which pixels a detector's mask has (reference.py, csrc/postprocess/instance_masks.cpp).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

U32 = npt.NDArray[np.uint32]
I64 = npt.NDArray[np.int64]
Bits = npt.NDArray[np.bool_]


def runs_of(bits_hw: Bits, at_yx: tuple[int, int], source_hw: tuple[int, int]) -> U32:
    """Runs of a part of a mask, whose first pixel is `at_yx` of the whole; beyond the part no pixel is set.

    Lengths in column order, of unset and set pixels in turn, unset first (COCO's uncompressed RLE).
    """
    height, width = source_hw
    if not bits_hw.any():
        return np.array([height * width], np.uint32)
    padded = np.zeros((bits_hw.shape[1], bits_hw.shape[0] + 2), np.int8)
    padded[:, 1:-1] = bits_hw.T
    columns, rows = np.nonzero(np.diff(padded, axis=1))
    toggles = (at_yx[1] + columns.astype(np.int64)) * height + at_yx[0] + rows
    # A run that ends with its column goes on where the next one begins with a set pixel.
    goes_on = toggles[1:] == toggles[:-1]
    toggles = toggles[~(np.append(goes_on, False) | np.insert(goes_on, 0, False))]
    ends = np.concatenate([[0], toggles, [height * width]])
    runs = np.diff(ends)
    return np.asarray(runs if runs[-1] or len(runs) == 1 else runs[:-1], np.uint32)


def bits_of(runs: U32, source_hw: tuple[int, int]) -> Bits:
    """(H, W) bool. ValueError where the runs are not as long as the mask."""
    height, width = source_hw
    if int(runs.sum(dtype=np.int64)) != height * width:
        raise ValueError(f"runs: expected lengths that add up to {height} × {width}, got {runs.sum(dtype=np.int64)}")
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape(width, height).T


def coco_rle(runs: U32, source_hw: tuple[int, int]) -> dict[str, Any]:
    """As pycocotools takes it, compressed."""
    from pycocotools import mask

    height, width = source_hw
    return dict(mask.frPyObjects({"counts": runs.tolist(), "size": [height, width]}, height, width))
