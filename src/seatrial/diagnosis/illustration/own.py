"""Faults of colours and sampling by OpenCV's own functions, for eyes. Not for: finding them, which takes exact ones."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from seatrial.diagnosis.mutation import Mutation
from seatrial.diagnosis.stages import DECODED, RESIZED
from seatrial.diagnosis.way import At, Way

U8 = npt.NDArray[np.uint8]
# Of R, G and B in luma, as BT.709 has it.
_709 = (0.2126, 0.7152, 0.0722)


def _changed(fault: str, what: str, change: Callable[[U8], U8]) -> Mutation:
    return Mutation(fault, what, DECODED, lambda way: way.behind(DECODED, lambda at: At(change(at.value), at.geometry)))


def _chroma(image: U8, back: int) -> U8:
    """Colour at half its resolution and back again."""
    ycc = cv2.cvtColor(image, cv2.COLOR_BGR2YCrCb)
    small = cv2.resize(ycc, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    ycc[..., 1:] = cv2.resize(small, image.shape[1::-1], interpolation=back)[..., 1:]
    return np.asarray(cv2.cvtColor(ycc, cv2.COLOR_YCrCb2BGR), np.uint8)


def _limited(image: U8) -> U8:
    ycc = cv2.cvtColor(image, cv2.COLOR_BGR2YCrCb).astype(np.float32)
    ycc[..., 0] = ycc[..., 0] * (219 / 255) + 16
    ycc[..., 1:] = (ycc[..., 1:] - 128) * (224 / 255) + 128
    return np.asarray(cv2.cvtColor(np.rint(ycc).astype(np.uint8), cv2.COLOR_YCrCb2BGR), np.uint8)


def _other_matrix(image: U8) -> U8:
    """To YCbCr by BT.601, back by BT.709."""
    ycc = cv2.cvtColor(image, cv2.COLOR_BGR2YCrCb).astype(np.float32)
    y, cr, cb = ycc[..., 0], ycc[..., 1] - 128, ycc[..., 2] - 128
    red, green, blue = _709
    r, b = y + 2 * (1 - red) * cr, y + 2 * (1 - blue) * cb
    g = (y - red * r - blue * b) / green
    return np.asarray(np.rint(np.clip(np.stack([b, g, r], axis=2), 0, 255)), np.uint8)


def _aligned_corners(way: Way) -> Way:
    """Corners of the source on corners of the target, where half pixels would have edges on edges."""
    step = way.steps[RESIZED]

    def aligned(at: At) -> At:
        right = step(at)
        g = right.geometry
        assert g
        (h, w), (rows, columns) = g.resized_hw, g.source_hw
        x = np.linspace(0, columns - 1, w, dtype=np.float32)
        y = np.linspace(0, rows - 1, h, dtype=np.float32)
        across, down = np.meshgrid(x, y)
        out = right.value.copy()
        out[g.offset_y : g.offset_y + h, g.offset_x : g.offset_x + w] = cv2.remap(
            at.value, across, down, cv2.INTER_LINEAR
        )
        return At(out, g)

    return way.with_step(RESIZED, aligned)


OWN = (
    _changed(
        "jpeg-decoder", "repeats colour samples instead of interpolating them", lambda i: _chroma(i, cv2.INTER_NEAREST)
    ),
    _changed(
        "chroma-subsampling", "stores colours at half their resolution (4:2:0)", lambda i: _chroma(i, cv2.INTER_LINEAR)
    ),
    _changed("yuv-range", "takes limited range for full range", _limited),
    _changed("yuv-matrix", "reads BT.601 colours by BT.709", _other_matrix),
    Mutation("half-pixel", "samples with aligned corners", RESIZED, _aligned_corners),
)
