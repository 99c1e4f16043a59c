"""How far two objects are the same, by what they are: IoU of boxes, masks, oriented boxes or regions of text, OKS of poses.

For: matching one pipeline's objects with another's (results.py). Not for: the truth, which pycocotools matches (accuracy.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.kernels.masks import coco_rle
from seatrial.kernels.polygons import polygon_iou
from seatrial.kernels.reference import iou_one_to_many
from seatrial.kernels.results import Detections, Instances, OrientedBoxes, Poses, TextRegions

F64 = npt.NDArray[np.float64]
# Of a box, how much a person fills it, roughly: what OKS scales by where no mask says it (as Ultralytics has it).
FILLED = 0.53
# A keypoint that the reference is less sure of says nothing.
SURE = 0.5


@dataclass(frozen=True)
class Overlap:
    """between(reference, candidate) -> (N, M), 0 to 1. objects: what is matched, one and many."""

    name: str
    objects: tuple[str, str]
    between: Callable[[Any, Any], F64]


def box_iou(reference: Detections, candidate: Detections) -> F64:
    rows = [iou_one_to_many(box, candidate.boxes_xyxy) for box in reference.boxes_xyxy]
    return np.asarray(rows, np.float64).reshape(len(reference), len(candidate))


def mask_iou(reference: Instances, candidate: Instances) -> F64:
    """By pycocotools; 0 where the two are of images of unlike sizes."""
    from pycocotools import mask

    if not len(reference) or not len(candidate) or not np.array_equal(reference.source_hw, candidate.source_hw):
        return np.zeros((len(reference), len(candidate)))
    hw = int(reference.source_hw[0]), int(reference.source_hw[1])
    ours, theirs = ([coco_rle(r.runs_of(k), hw) for k in range(len(r))] for r in (reference, candidate))
    found = np.asarray(mask.iou(ours, theirs, [0] * len(theirs)), np.float64)
    # Masks without a pixel have no overlap: such objects are the same where their boxes are.
    bare = (np.asarray(mask.area(ours)) == 0)[:, None] & (np.asarray(mask.area(theirs)) == 0)
    return np.where(bare, box_iou(reference, candidate), found) if bare.any() else found


def object_keypoint_similarity(reference: Poses, candidate: Poses) -> F64:
    """OKS as COCO has it, mean of exp(-d² / (2 s² (2σ)²)) over the keypoints that the reference is sure of, or over all where
    it is of none; s² is FILLED of its box. 0 where the two have unlike numbers of keypoints."""
    if reference.keypoints.shape[1] != candidate.keypoints.shape[1]:
        return np.zeros((len(reference), len(candidate)))
    sides = (reference.boxes_xyxy[:, 2:] - reference.boxes_xyxy[:, :2]).astype(np.float64)
    scale = FILLED * sides.prod(axis=1) + np.spacing(1)
    ours, theirs = reference.keypoints.astype(np.float64), candidate.keypoints.astype(np.float64)
    squares = ((ours[:, None, :, :2] - theirs[None, :, :, :2]) ** 2).sum(axis=-1)
    variances = (2 * reference.sigmas.astype(np.float64)) ** 2
    near = np.exp(-squares / (2 * variances * scale[:, None, None]))
    sure = ours[..., 2] > SURE
    sure |= ~sure.any(axis=1, keepdims=True)
    return np.asarray((near * sure[:, None]).sum(axis=-1) / sure.sum(axis=1)[:, None])


def corner_iou(reference: OrientedBoxes, candidate: OrientedBoxes) -> F64:
    return polygon_iou(reference.corners_xy, candidate.corners_xy)


def region_iou(reference: TextRegions, candidate: TextRegions) -> F64:
    """Of the polygons, which are convex."""
    return polygon_iou(reference.polygons, candidate.polygons)


OVERLAPS: dict[type, Overlap] = {
    Detections: Overlap("IoU", ("box", "boxes"), box_iou),
    Instances: Overlap("IoU", ("mask", "masks"), mask_iou),
    Poses: Overlap("OKS", ("pose", "poses"), object_keypoint_similarity),
    OrientedBoxes: Overlap("IoU", ("oriented box", "oriented boxes"), corner_iou),
    TextRegions: Overlap("IoU", ("text region", "text regions"), region_iou),
}
