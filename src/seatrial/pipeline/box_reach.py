"""Whether boxes that a model has chosen fit what the plan says they count: pixels of the input, or of the picture.

Both are pixels, so that ranges alone do not tell them apart: only pictures larger or smaller than the input do. For:
plausibility.py. Not for: fractions, which ranges tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.kernels.detector_format import PIXELS, SOURCE, Format
from seatrial.kernels.geometry import Geometry

# A box that is sure of itself leaves its picture by little. Where some end beyond half of it again, their pixels are others.
MOST_BEYOND, LEAST_BEYOND, SURE = 1.5, 3, 0.25
# Of boxes that never leave what is much smaller than they may fill, so many say something, on so many images.
LEAST_BOXES, LEAST_IMAGES = 30, 10


class Reach:
    """How far boxes reach, as shares of the input and of their pictures."""

    def __init__(self, form: Format, unit: str, confidence: float) -> None:
        self._form, self._unit, self._confidence = form, unit, max(confidence, SURE)
        self.told = form.choose is not None and SOURCE in form.units and unit in (PIXELS, SOURCE)
        self._of = {PIXELS: 0.0, SOURCE: 0.0}
        self._boxes = self._images = self._beyond = 0
        # The least by which pictures are larger, and smaller, than the input, over all images with boxes.
        self._larger, self._smaller = np.inf, np.inf

    def add(self, rows: Sequence[npt.NDArray[Any]], geometry: Geometry) -> None:
        """rows: one image's tensors in the decoder's order. What does not fit the format, its decoder refuses."""
        if not self.told or self._form.choose is None:
            return
        with np.errstate(over="ignore", invalid="ignore"):
            found = self._form.choose([np.asarray(r, np.float32) for r in rows], geometry.input_hw, self._confidence)
        boxes = found.boxes_xyxy[np.isfinite(found.boxes_xyxy).all(axis=1)]
        if not len(boxes):
            return
        for unit, (height, width) in ((PIXELS, geometry.input_hw), (SOURCE, geometry.source_hw)):
            shares = np.maximum(boxes[:, 2] / width, boxes[:, 3] / height)
            self._of[unit] = max(self._of[unit], float(shares.max()))
            self._beyond += int((shares > MOST_BEYOND).sum()) if unit == self._unit else 0
        sides = [s / i for s, i in zip(geometry.source_hw, geometry.input_hw, strict=True)]
        self._larger, self._smaller = min(self._larger, *sides), min(self._smaller, *(1 / s for s in sides))
        self._boxes, self._images = self._boxes + len(boxes), self._images + 1

    def problem(self) -> str:
        """Why the boxes cannot be what the plan says, as a phrase behind 'which'."""
        if not self.told or self._beyond < LEAST_BEYOND:
            return ""
        beyond = self._of[self._unit]
        return (
            f"expects boxes in pixels of the {_WORDS[self._unit]}, but they reach to {beyond:.3g} times its size: are they "
            f"pixels of the {_WORDS[self._other]} (boxes: {self._other})?"
        )

    def doubt(self) -> str:
        """Why they may well be the other."""
        room = self._larger if self._unit == SOURCE else self._smaller
        few = self._boxes < LEAST_BOXES or self._images < LEAST_IMAGES
        if not self.told or few or room < MOST_BEYOND or self._of[self._other] > 1.02:
            return ""
        return (
            f"{self._boxes} boxes on {self._images} images all lie within the size of the {_WORDS[self._other]}, which is "
            f"smaller: are they pixels of the {_WORDS[self._other]} (boxes: {self._other})?"
        )

    @property
    def _other(self) -> str:
        return PIXELS if self._unit == SOURCE else SOURCE


_WORDS = {PIXELS: "input", SOURCE: "picture"}
