"""Two images beside each other, and between them what they differ by, made large enough to be seen.

For: a fault's picture, and a diverging stage's. Not for: how far they are apart (diagnosis/distance.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

U8 = npt.NDArray[np.uint8]
# What one pixel in a thousand exceeds is drawn white; a difference of one level is no more than this.
LARGEST_FACTOR = 64
_SHARE = 99.9
GAP, HEAD = 12, 22
_INK, _PAPER = (51, 41, 31), (255, 255, 255)
_FONT, _SIZE = cv2.FONT_HERSHEY_SIMPLEX, 0.42


@dataclass(frozen=True, eq=False)
class Difference:
    """pixels: |Δ| of each channel, `factor` times as large, (H, W, 3). Where one image alone has pixels it is white."""

    pixels: U8
    factor: int

    @property
    def said(self) -> str:
        return "difference" if self.factor == 1 else f"difference x {self.factor}"


def difference(reference: U8, candidate: U8) -> Difference:
    """Of two (H, W, 3) images; of unlike sizes both from their upper left corners."""
    height, width = (max(a, b) for a, b in zip(reference.shape[:2], candidate.shape[:2], strict=True))
    h, w = (min(a, b) for a, b in zip(reference.shape[:2], candidate.shape[:2], strict=True))
    delta = np.abs(reference[:h, :w].astype(np.int16) - candidate[:h, :w].astype(np.int16))
    most = float(np.percentile(delta.max(axis=2), _SHARE)) or float(delta.max())
    factor = int(np.clip(255 // most, 1, LARGEST_FACTOR)) if most else 1
    drawn = np.zeros((height, width, 3), np.uint8)
    for image in (reference, candidate):
        drawn[: image.shape[0], : image.shape[1]] = 255
    drawn[:h, :w] = np.minimum(delta * factor, 255)
    return Difference(drawn, factor)


def side_by_side(images: Sequence[tuple[str, U8]], height: int) -> U8:
    """All at one height, each below its caption, on white. Pixels that are drawn larger stay square."""
    columns = [_captioned(caption, _at_height(pixels, height)) for caption, pixels in images]
    gap = np.full((columns[0].shape[0], GAP, 3), _PAPER, np.uint8)
    parts = [part for column in columns for part in (column, gap)][:-1]
    return cv2.copyMakeBorder(np.hstack(parts), GAP, GAP, GAP, GAP, cv2.BORDER_CONSTANT, value=_PAPER)  # type: ignore[no-any-return]


def _at_height(pixels: U8, height: int) -> U8:
    width = max(1, round(pixels.shape[1] * height / pixels.shape[0]))
    larger = height > pixels.shape[0]
    how = cv2.INTER_NEAREST if larger else cv2.INTER_AREA
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=how), np.uint8)


def _captioned(caption: str, pixels: U8) -> U8:
    (w, _), _ = cv2.getTextSize(caption, _FONT, _SIZE, 1)
    width = max(w + 2, pixels.shape[1])
    out = np.full((HEAD + pixels.shape[0], width, 3), _PAPER, np.uint8)
    cv2.putText(out, caption, (0, HEAD - 8), _FONT, _SIZE, _INK, 1, cv2.LINE_AA)
    out[HEAD:, : pixels.shape[1]] = pixels
    return out
