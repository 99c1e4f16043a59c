"""Where text stands in an image, from a map of probabilities: the DB detector's postprocess. Public as
seatrial.TextRegionDecoder.

For: PaddleOCR's det models, RapidOCR, docTR's db_resnet and others with one map. Not for: reading the text (text.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from seatrial.kernels import reference
from seatrial.kernels.arguments import is_number, is_whole, one_of
from seatrial.kernels.geometry import Geometry
from seatrial.kernels.postprocess import Outputs, checked_outputs
from seatrial.kernels.results import TextRegions

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
ONE_MAP = "expected one output (B, 1, height, width)"
# By how much a region's short side grows at least, as PaddleOCR has it: two pixels more than it had to have.
GROWTH_PX = 2


@dataclass(frozen=True)
class TextRegionDecoder:
    """One output (B, 1, h, w), the probability that a cell is text, to TextRegions, by the steps of PaddleOCR's DBPostProcess.
    docTR's own are others: outer contours alone, a box_thresh of 0.1, and upright boxes by default.

    Cells above `threshold` make contours (also around holes); each has its rectangle of least area, and the mean probability
    within it as score, or within the contour itself where `score_mode` is slow. A region counts where its score is above
    `confidence` and its rectangle's short side is `min_size` cells or more. The rectangle then grows by area · unclip_ratio /
    perimeter on each side, the inverse of the shrinking in training, and counts if it is now GROWTH_PX longer than `min_size`.
    A rectangle grown on each side is the rectangle of least area around its offset with round joins, which PaddleOCR computes
    of corners cut to whole cells: the two differ by about a cell.

    A cell's index is its coordinate, as in PaddleOCR and in the maps that such models are trained with. Corners go to source
    pixels as they are: neither rounded nor cut at the image's edge, where PaddleOCR does both. A region with nothing in the
    image is dropped. The best `max_detections` are kept, and ties keep the order of contours. PaddleOCR's order by lines is
    for readers, and is not made.

    Args:
        threshold, confidence: from 0 to 1; PaddleOCR's thresh and box_thresh.
        unclip_ratio, min_size: numbers of at least 0.
        score_mode: fast or slow.
        dilation: cells beside text, to the right and below, are text too; PaddleOCR's use_dilation, which RapidOCR sets.
        activation: sigmoid where the map holds logits, as docTR's exports do; else none.
        max_detections: most regions an image.

    Raises:
        ValueError: an argument or an output's shape is not as expected.
    """

    threshold: float = 0.3
    confidence: float = 0.6
    unclip_ratio: float = 1.5
    min_size: float = 3.0
    score_mode: str = "fast"
    dilation: bool = False
    activation: str = "none"
    max_detections: int = 1000

    def __post_init__(self) -> None:
        one_of("score_mode", self.score_mode, ["fast", "slow"])
        one_of("activation", self.activation, ["none", "sigmoid"])
        for name, most in (("threshold", 1.0), ("confidence", 1.0), ("unclip_ratio", np.inf), ("min_size", np.inf)):
            value = getattr(self, name)
            if not is_number(value) or not 0 <= value <= most or not np.isfinite(value):
                wanted = "a threshold from 0 to 1" if most == 1 else "a number of at least 0"
                raise ValueError(f"{name}: expected {wanted}, got {value!r}")
            # A NumPy scalar would make NumPy compare in its own precision.
            object.__setattr__(self, name, float(value))
        if not is_whole(self.max_detections) or self.max_detections < 1:
            raise ValueError(f"max_detections: expected a whole number of at least 1, got {self.max_detections!r}")

    def __call__(self, outputs: Outputs, geometries: Sequence[Geometry]) -> list[TextRegions]:
        maps = self._maps(checked_outputs(outputs, geometries))
        return [self._regions(m[0], g) for m, g in zip(maps, geometries, strict=True)]

    def _maps(self, outputs: list[npt.NDArray[Any]]) -> F32:
        if len(outputs) != 1 or outputs[0].ndim != 4 or outputs[0].shape[1] != 1 or 0 in outputs[0].shape:
            shapes = ", ".join(str(tuple(o.shape)) for o in outputs) or "none"
            raise ValueError(f"text regions: {ONE_MAP}, got outputs of shape {shapes}")
        # A broken model's infinities are left out below.
        with np.errstate(over="ignore"):
            maps = np.asarray(outputs[0], np.float32)
        return reference.sigmoid(maps) if self.activation == "sigmoid" else maps

    def _regions(self, probabilities: F32, geometry: Geometry) -> TextRegions:
        bits = (probabilities > self.threshold).astype(np.uint8)
        if self.dilation:
            bits = cv2.dilate(bits, np.ones((2, 2), np.uint8)).astype(np.uint8)
        contours, _ = cv2.findContours(bits, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
        found = [r for c in contours if (r := self._region(np.asarray(c), probabilities)) is not None]
        scores = np.array([score for score, _ in found], np.float32)
        best = reference.top_k(scores, self.max_detections)
        corners = np.array([corners for _, corners in found], np.float64).reshape(-1, 4, 2)[best]
        polygons = ordered_corners(_to_source(corners, probabilities.shape, geometry)).astype(np.float32)
        low, high = polygons.min(axis=1), polygons.max(axis=1)
        width_height = np.array(geometry.source_hw[::-1], np.float32)
        boxes = np.concatenate([np.clip(low, 0, width_height), np.clip(high, 0, width_height)], axis=1)
        seen = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        return TextRegions(boxes[seen], scores[best][seen], np.zeros(int(seen.sum()), np.int64), polygons[seen])

    def _region(self, contour: npt.NDArray[Any], probabilities: F32) -> tuple[float, F64] | None:
        """Score and grown corners (4, 2) in cells of the map; None where it does not count."""
        centre, (width, height), angle = cv2.minAreaRect(contour)
        if min(width, height) < self.min_size or min(width, height) == 0:
            return None
        inside = (
            contour.reshape(-1, 2) if self.score_mode == "slow" else cv2.boxPoints((centre, (width, height), angle))
        )
        score = mean_inside(probabilities, np.asarray(inside, np.float64))
        # NaN is above nothing.
        if not self.confidence < score < np.inf:
            return None
        distance = width * height * self.unclip_ratio / (2 * (width + height))
        width, height = width + 2 * distance, height + 2 * distance
        if min(width, height) < self.min_size + GROWTH_PX:
            return None
        return score, np.asarray(cv2.boxPoints((centre, (width, height), angle)), np.float64)


def mean_inside(values: F32, polygon: F64) -> float:
    """Mean of the values (h, w) whose cells OpenCV fills for the polygon (P, 2), its corners cut to whole cells from the
    enclosing box's on, as PaddleOCR's box_score_fast has it; NaN where one of them is."""
    height, width = values.shape
    low = np.clip(np.floor(polygon.min(axis=0)), 0, (width - 1, height - 1)).astype(int)
    high = np.clip(np.ceil(polygon.max(axis=0)), 0, (width - 1, height - 1)).astype(int)
    mask = np.zeros((high[1] - low[1] + 1, high[0] - low[0] + 1), np.uint8)
    cv2.fillPoly(mask, [(polygon - low).astype(np.int32)], (1,))
    return float(cv2.mean(values[low[1] : high[1] + 1, low[0] : high[0] + 1], mask)[0])


def ordered_corners(polygons: F64) -> F64:
    """Quadrilaterals (N, 4, 2), each turned so that it goes clockwise as seen, y downwards, from the corner whose x + y is
    least, of two the upper."""
    beside = polygons - polygons[:, :1]
    ahead = np.roll(beside, -1, axis=1)
    turns = (beside[..., 0] * ahead[..., 1] - beside[..., 1] * ahead[..., 0]).sum(axis=1)
    polygons = np.where((turns < 0)[:, None, None], polygons[:, ::-1], polygons)
    sums, y = polygons.sum(axis=2), polygons[..., 1]
    first = np.lexsort((y, sums), axis=1)[:, :1]
    order = (first + np.arange(4)) % 4
    return np.take_along_axis(polygons, order[..., None], axis=1)


def _to_source(points: F64, map_hw: tuple[int, ...], geometry: Geometry) -> F64:
    """Points (…, 2) in cells of a map that covers the input, to source pixels."""
    cells = np.array([geometry.input_hw[1] / map_hw[1], geometry.input_hw[0] / map_hw[0]])
    offset, scale = (geometry.offset_x, geometry.offset_y), (geometry.scale_x, geometry.scale_y)
    return np.asarray((points * cells - offset) / scale)
