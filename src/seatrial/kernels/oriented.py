"""Oriented boxes: raw outputs to rectangles at any angle, in source pixels. Public as seatrial.OrientedDecoder.

For: YOLOv8-, 11- and 26-obb; ProbIoU; which of overlapping boxes stay. Not for: what polygons share (polygons.py), or
upright boxes (postprocess.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.kernels import reference_oriented
from seatrial.kernels.arguments import one_of
from seatrial.kernels.detection_formats import pick_head
from seatrial.kernels.detector_format import PIXELS
from seatrial.kernels.geometry import Geometry
from seatrial.kernels.polygons import polygon_iou
from seatrial.kernels.postprocess import DetectionDecoder, Outputs, checked_outputs
from seatrial.kernels.reference import top_k
from seatrial.kernels.results import Detections, OrientedBoxes

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

FORMATS_OF_ORIENTED = ("yolov8", "yolo11", "end_to_end", "yolov10", "yolo26")
NMS = ("probiou", "polygon")
# What Ultralytics keeps distances and logarithms away from 0 by, and the distance beyond which it counts none.
EPSILON, FARTHEST = 1e-7, 100.0
# Boxes that are compared with all better ones at once: few enough for memory, enough for NumPy.
BLOCK = 128
# Boxes whose polygons are compared with all later ones at once: what they drop need not be compared.
FEW = 64


def corners_of(xywhr: npt.ArrayLike) -> F64:
    """(N, 4, 2) corners of boxes (N, 5): centre, width and height in pixels, angle in radians from x towards y, so that it is
    clockwise to the eye. The first corner is the upper left one at an angle of 0, the others follow clockwise to the eye."""
    boxes = np.asarray(xywhr, np.float64)
    cos, sin = np.cos(boxes[:, 4]), np.sin(boxes[:, 4])
    along = np.stack([cos, sin], axis=1) * boxes[:, 2:3] / 2
    across = np.stack([-sin, cos], axis=1) * boxes[:, 3:4] / 2
    centre = boxes[:, :2]
    return np.stack(
        [centre - along - across, centre + along - across, centre + along + across, centre - along + across], axis=1
    )


def are_convex_with_area(corners_xy: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """(N,): whether quadrilaterals (N, 4, 2) have an area and turn one way only, as far as float32 tells."""
    corners = np.asarray(corners_xy, np.float64)
    edges = np.roll(corners, -1, axis=1) - corners
    ahead = np.roll(edges, -1, axis=1)
    turns = edges[..., 0] * ahead[..., 1] - edges[..., 1] * ahead[..., 0]
    # Half of what the turns add up to is the area of a quadrilateral that does not cross itself.
    area = np.abs(turns.sum(axis=1))
    slack = 1e-5 * area[:, None]
    return np.asarray((area > 0) & ((turns >= -slack).all(axis=1) | (turns <= slack).all(axis=1)))


def prob_iou(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> F64:
    """How far boxes a (…, 5) and b (…, 5), which broadcast, are the same, 0 to 1: 1 minus the Hellinger distance of the
    Gaussians that have the boxes' centres and covariances (Llerena et al., Gaussian Bounding Boxes and Probabilistic
    Intersection-over-Union, 2021), guarded by EPSILON as Ultralytics' batch_probiou is: 0.9996 of a box with itself.

    Boxes as corners_of takes them, with widths and heights above 0.
    """
    xx, yy, xy, size = _covariance(a)
    xx_b, yy_b, xy_b, size_b = _covariance(b)
    xx, yy, xy, both = xx + xx_b, yy + yy_b, xy + xy_b, 4 * size * size_b
    # Of two covariances the sum has at least four times their geometric mean; cancellation must not make it less.
    determinant = np.maximum(xx * yy - xy * xy, both)
    dx, dy = (np.subtract(a[..., k], b[..., k], dtype=np.float64) for k in range(2))
    centres = (xx * dy * dy + yy * dx * dx - 2 * xy * dx * dy) / (4 * determinant)
    bhattacharyya = np.clip(centres + np.log(determinant / both) / 2, EPSILON, FARTHEST)
    return np.asarray(1 - np.sqrt(1 - np.exp(-bhattacharyya) + EPSILON))


def _covariance(boxes: npt.NDArray[Any]) -> tuple[F64, F64, F64, F64]:
    """xx, yy and xy of a uniform density over each box, and the root of their determinant."""
    width, height, angle = (np.asarray(boxes[..., k], np.float64) for k in (2, 3, 4))
    along, across = width * width / 12, height * height / 12
    cos, sin = np.cos(angle), np.sin(angle)
    return (
        along * cos * cos + across * sin * sin,
        along * sin * sin + across * cos * cos,
        (along - across) * cos * sin,
        width * height / 12,
    )


def fast_nms(xywhr: npt.NDArray[Any], class_ids: I64, iou: float, class_agnostic: bool, most: int) -> I64:
    """Which of boxes (N, 5), best first, stay: those that no better one of their class reaches `iou` with, by ProbIoU.

    In one pass, as Ultralytics' fast_nms has it: a box that is dropped drops others all the same, so that fewer stay than of
    greedy suppression. At most `most`.
    """
    centres, largest = xywhr[:, :2].astype(np.float64), xywhr[:, 2:4].max(axis=1).astype(np.float64)
    kept: list[int] = []
    for start in range(0, len(xywhr), BLOCK):
        stop = min(start + BLOCK, len(xywhr))
        better = np.arange(stop) < np.arange(start, stop)[:, None]
        if not class_agnostic:
            better &= class_ids[start:stop, None] == class_ids[None, :stop]
        better &= _within_reach(centres, largest, slice(start, stop), iou)
        own, others = np.nonzero(better)
        near = prob_iou(xywhr[start + own], xywhr[others]) >= iou
        stays = np.ones(stop - start, np.bool_)
        stays[own[near]] = False
        kept += (start + np.flatnonzero(stays)).tolist()
        if len(kept) >= most:
            break
    return np.asarray(kept[:most], np.int64)


def _within_reach(centres: F64, largest: F64, own: slice, iou: float) -> npt.NDArray[np.bool_]:
    """(own, up to the last of them): where ProbIoU may be `iou`, by how far the centres lie apart; elsewhere it is surely less.

    d² / (4 (λ + λ')) is the least that the Bhattacharyya distance can be, where λ = side² / 12 is the greater eigenvalue of a
    covariance.
    """
    apart = sum((centres[own, None, k] - centres[None, : own.stop, k]) ** 2 for k in range(2))
    farthest = -np.log(1 + EPSILON - (1 - iou) ** 2)
    squares = largest**2 / 3
    return np.asarray(apart <= (1 + EPSILON) * farthest * (squares[own, None] + squares[None, : own.stop]))


def greedy_nms(xywhr: npt.NDArray[Any], class_ids: I64, iou: float, class_agnostic: bool, most: int) -> I64:
    """Which of boxes (N, 5), best first, stay: those whose polygons have an IoU of at most `iou` with each better one of their
    class that stays. At most `most`."""
    corners = corners_of(xywhr)
    stays = np.ones(len(corners), np.bool_)
    stop = 0
    while stop < len(corners) and stays[:stop].sum() < most:
        start, stop = stop, stop + FEW
        own, later = start + np.flatnonzero(stays[start:stop]), start + np.flatnonzero(stays[start:])
        drops = (polygon_iou(corners[own], corners[later]) > iou) & (later > own[:, None])
        if not class_agnostic:
            drops &= class_ids[own, None] == class_ids[later]
        for best, dropped in zip(own, drops, strict=True):
            if stays[best]:
                stays[later[dropped]] = False
    return np.flatnonzero(stays[:stop])[:most]


@dataclass(frozen=True)
class OrientedDecoder(DetectionDecoder):
    """One output of cx, cy, w, h in input pixels, classes, and last an angle in radians from x towards y, to OrientedBoxes.

    A candidate counts where its score is above `confidence` (NaN never is) and its numbers are finite with a width and height
    above 0; of those that overlap NMS leaves the best; then the best `max_detections`; then corners go to source pixels, where
    a stretch makes a parallelogram of a rectangle, and are not clipped. A box wholly outside the image is dropped. Angles may
    lie in any turn: those of YOLOv8 and 11 go from -π/4 to 3π/4, those of YOLO26 have no bound.

    Args: as of DetectionDecoder; format: one of FORMATS_OF_ORIENTED; of end_to_end, yolov10 and yolo26 the NMS is in the model.
    nms: probiou, by fast_nms, as Ultralytics has it, or polygon, by greedy_nms. engine: both are NumPy; reference takes the
    readable loops of reference_oriented.py.

    Raises:
        ValueError: an argument or an output's shape is not as expected.
    """

    nms: str = "probiou"

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("format", self.format, list(FORMATS_OF_ORIENTED))
        one_of("nms", self.nms, list(NMS))
        one_of("boxes", self.units, [PIXELS])

    def __call__(self, outputs: Outputs, geometries: Sequence[Geometry]) -> list[Detections]:
        head = pick_head(self.format, checked_outputs(outputs, geometries), 1, "of them an angle")
        return [self._oriented(head[i], g) for i, g in enumerate(geometries)]

    def _oriented(self, head: F32, geometry: Geometry) -> OrientedBoxes:
        boxes, scores, classes = self._candidates(head, geometry)
        order = top_k(scores, len(scores))
        boxes, scores, classes = boxes[order], scores[order], classes[order]
        chosen = self._chosen(boxes, classes)
        corners = geometry.points_to_image(corners_of(boxes[chosen]), clip=False)
        found = OrientedBoxes.of_corners(corners, scores[chosen], classes[chosen], geometry.source_hw)
        sides = found.boxes_xyxy[:, 2:] - found.boxes_xyxy[:, :2]
        there = (sides > 0).all(axis=1) & np.isfinite(corners).all(axis=(1, 2))
        return found.part(np.asarray(there))

    def _candidates(self, head: F32, geometry: Geometry) -> tuple[F32, F32, I64]:
        """xywhr (N, 5) in input pixels, scores and classes (N,), in the tensor's order."""
        if self.form.anchor_axis:
            # Most of the anchors hold nothing: they are not worth the search for their class.
            head = head[:, head[4:-1].max(axis=0) > self.confidence]
        with np.errstate(over="ignore", invalid="ignore"):
            assert self.form.decode is not None
            _, scores, classes = self.form.decode(self.form.without([head], 1), geometry.input_hw)
        rows = head.T if self.form.anchor_axis else head
        boxes = np.concatenate([rows[:, :4], rows[:, -1:]], axis=1)
        keep = (scores > self.confidence) & np.isfinite(boxes).all(axis=1) & (boxes[:, 2:4] > 0).all(axis=1)
        return boxes[keep], scores[keep], classes[keep]

    def _chosen(self, boxes: F32, classes: I64) -> I64:
        """Which of the candidates, best first."""
        if not self.form.needs_nms:
            return np.arange(min(len(boxes), self.max_detections))
        if self.engine == "reference":
            suppress = reference_oriented.fast_nms if self.nms == "probiou" else reference_oriented.greedy_nms
        else:
            suppress = fast_nms if self.nms == "probiou" else greedy_nms
        return suppress(boxes, classes, self.iou, self.class_agnostic, self.max_detections)
