"""Oriented boxes in COCO truth, and how far they are the same as those that a pipeline found.

For: the four corners of an annotation, and overlaps as pycocotools wants them. Not for: matching (objects.py), or folders of
labels (oriented_labels.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.kernels.oriented import are_convex_with_area, corners_of
from seatrial.kernels.polygons import polygon_areas, polygon_intersections

F64 = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
# DOTA's evaluation has this threshold alone.
DIFFICULT_IOU = 0.5
NEEDED = (
    "four corners: a 'segmentation' of one polygon with four points that turn one way, or a 'bbox' of five numbers (centre x, "
    "centre y, width, height, degrees counter-clockwise)"
)


def annotated_corners(annotation: Mapping[str, Any]) -> F64 | None:
    """(4, 2) in source pixels; None where an annotation has no sound ones, as an upright box has none.

    A `bbox` of five numbers is as detectron2's RotatedBoxes has it: degrees, counter-clockwise to the eye.
    """
    try:
        box = np.asarray(annotation.get("bbox", ()), np.float64)
        polygons = annotation.get("segmentation")
        if box.shape == (5,):
            if not (np.isfinite(box).all() and (box[2:4] > 0).all()):
                return None
            corners = corners_of([[*box[:4], -np.deg2rad(box[4])]])[0]
        elif isinstance(polygons, list) and len(polygons) == 1:
            corners = np.asarray(polygons[0], np.float64).reshape(4, 2)
        else:
            return None
    except (TypeError, ValueError):
        return None
    return corners if np.isfinite(corners).all() and are_convex_with_area(corners[None])[0] else None


def oriented_overlaps(found: Sequence[Mapping[str, Any]], annotations: Sequence[Mapping[str, Any]]) -> F64:
    """(N, M) of rows with `corners` and of annotations that all have some: IoU, and of a crowd how much of what was found lies
    in it, as pycocotools has it for upright boxes; of what is 'difficult' as _with_difficult says."""
    ours = np.array([row["corners"] for row in found]).reshape(-1, 4, 2)
    theirs = np.array([annotated_corners(a) for a in annotations]).reshape(-1, 4, 2)
    difficult = np.array([bool(a.get("iscrowd") and a.get("difficult")) for a in annotations], np.bool_)
    crowd = np.array([bool(a.get("iscrowd")) for a in annotations], np.bool_) & ~difficult
    shared, own = polygon_intersections(ours, theirs), polygon_areas(ours)[:, None]
    either = np.where(crowd, own, own + polygon_areas(theirs) - shared)
    overlaps = np.divide(shared, either, out=np.zeros_like(shared), where=either > 0)
    return _with_difficult(overlaps, difficult, crowd) if difficult.any() and found else overlaps


def _with_difficult(overlaps: F64, difficult: Flags, crowd: Flags) -> F64:
    """The object that a box overlaps most decides, as DOTA's devkit (voc_eval) and Pascal VOC have it: is that a difficult one,
    with an IoU from DIFFICULT_IOU, the box is neither right nor wrong, at any of COCO's thresholds; otherwise the difficult
    ones do not excuse it. pycocotools alone would take a plain object first, and excuse the box up to its IoU only."""
    plain = overlaps.max(axis=1, initial=0.0, where=~difficult & ~crowd)
    best = overlaps.max(axis=1, initial=0.0, where=difficult)
    excused = (best >= DIFFICULT_IOU) & (best > plain)
    return np.where(difficult, excused[:, None], np.where(excused[:, None] & ~crowd, 0.0, overlaps))
