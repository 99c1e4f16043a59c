"""Masks that a model gives for each box in the box's own grid, drawn out to source pixels.

For: Mask R-CNN's 28 × 28. Not for: masks over the whole input (reference_masks.py).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from seatrial.kernels.reference_masks import Bits, pixels_within

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]


def mask_in_box(
    values: F32, box_xyxy: F32, source_hw: tuple[int, int], threshold: float = 0.5
) -> tuple[Bits, tuple[int, int]]:
    """Pixels of one object in and around its box (source pixels), and the part's first row and column.

    values (h, w) cover the box. A pixel is set where they reach the threshold, drawn out linearly between the centres of the
    grid's cells to the pixel's centre, and to nothing beyond the outermost: detectron2's paste_masks_in_image, which replaced
    the rounding of boxes to whole pixels that torchvision and maskrcnn-benchmark do.
    """
    height, width = source_hw
    x0, y0, x1, y1 = (float(v) for v in box_xyxy)
    # Half a cell around the box there may still be something.
    rim_y, rim_x = (y1 - y0) / values.shape[0] / 2, (x1 - x0) / values.shape[1] / 2
    y, y_end = pixels_within(math.floor(y0 - rim_y), y1 + rim_y + 1, height)
    x, x_end = pixels_within(math.floor(x0 - rim_x), x1 + rim_x + 1, width)
    rows = _weights(np.arange(y, y_end), y0, y1, values.shape[0])
    columns = _weights(np.arange(x, x_end), x0, x1, values.shape[1])
    with np.errstate(over="ignore", invalid="ignore"):
        return rows @ values.astype(np.float64) @ columns.T >= threshold, (y, x)


def _weights(pixels: npt.NDArray[np.int64], low: float, high: float, cells: int) -> F64:
    """(pixels, cells): how much of each cell a pixel takes; less than one in all where it lies beyond the outermost centre."""
    at = (pixels + 0.5 - low) / (high - low) * cells - 0.5
    return np.asarray(np.maximum(0.0, 1.0 - np.abs(at[:, None] - np.arange(cells))))
