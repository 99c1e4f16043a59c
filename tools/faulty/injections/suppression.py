"""Faults of which boxes stay, as OpenCV's and PyTorch's users write them: NMSBoxes on other numbers, candidates cut before NMS.

For: one detector's NMS. Not for: its thresholds alone (results.py).
"""

from __future__ import annotations

from functools import partial

import cv2
import numpy as np

from faulty import postprocess
from faulty.injections.injection import Injection, step
from faulty.injections.results import DETECT
from faulty.postprocess import Results
from faulty.way import Array, Placement

CONFIDENCE, IOU = 0.25, 0.45


def candidates(outputs: dict[str, Array]) -> tuple[Array, Array, Array]:
    boxes, scores, classes = postprocess.yolov8(next(iter(outputs.values()))[0])
    keep = scores > CONFIDENCE
    return boxes[keep], scores[keep], classes[keep]


def finished(boxes: Array, scores: Array, classes: Array) -> Results:
    seen = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    found = boxes.astype(np.float32)[seen], scores[seen], classes[seen]
    return dict(zip(("boxes_xyxy", "scores", "class_ids"), found))


def by_opencv(outputs: dict[str, Array], placement: Placement, *, given, batched: bool, whole: bool = False) -> Results:
    """cv2.dnn.NMSBoxes, which takes x, y, width, height. given: what it is handed, of corners. whole: corners are brought to
    the picture and cut to whole pixels first, as for cv2.rectangle."""
    boxes, scores, classes = candidates(outputs)
    boxes = postprocess.to_picture(boxes.astype(np.float64), placement) if whole else boxes.astype(np.float64)
    boxes = boxes.astype(np.int64).astype(np.float64) if whole else boxes
    rows, numbers = given(boxes).tolist(), scores.tolist()
    if batched:
        order = cv2.dnn.NMSBoxesBatched(rows, numbers, classes.tolist(), CONFIDENCE, IOU)
    else:
        order = cv2.dnn.NMSBoxes(rows, numbers, CONFIDENCE, IOU)
    order = np.array(order, np.int64).reshape(-1)
    order = order[np.argsort(-scores[order], kind="stable")]
    chosen = boxes[order] if whole else postprocess.to_picture(boxes[order], placement)
    return finished(chosen, scores[order], classes[order])


def corner_size(boxes: Array) -> Array:
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)


def corners(boxes: Array) -> Array:
    return boxes


def centre_size(boxes: Array) -> Array:
    return np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], axis=1)


def by_iou_of(outputs: dict[str, Array], placement: Placement, *, seen, most: int = 10**9, agnostic=False) -> Results:
    """The right NMS on other boxes (seen: of corners), of the best `most` candidates alone."""
    boxes, scores, classes = candidates(outputs)
    first = np.argsort(-scores, kind="stable")[:most]
    boxes, scores, classes = boxes[first], scores[first], classes[first]
    order = postprocess.nms(seen(boxes), scores, classes, IOU, agnostic)
    placed = postprocess.to_picture(boxes[order].astype(np.float64), placement)
    return finished(placed, scores[order], classes[order])


def legacy_areas(boxes: Array) -> Array:
    """py_cpu_nms: x2 - x1 + 1."""
    return boxes + np.float32([0, 0, 1, 1])


def _nms(variant: str, function, also=(), **more) -> Injection:
    return Injection("nms-settings", variant, step("results", lambda _s: partial(function, **more)), DETECT, also=also)


INJECTIONS = (
    _nms("opencv-agnostic", by_opencv, given=corner_size, batched=False),
    _nms("opencv-whole-pixels", by_opencv, given=corner_size, batched=True, whole=True, also=("unletterbox",)),
    _nms("opencv-corners-as-sizes", by_opencv, given=corners, batched=True),
    _nms("opencv-corners-as-sizes-agnostic", by_opencv, given=corners, batched=False),
    _nms("opencv-centre-as-corner", by_opencv, given=centre_size, batched=True),
    _nms("sizes-as-corners", by_iou_of, seen=corner_size),
    _nms("centres-as-corners", by_iou_of, seen=centre_size),
    _nms("legacy-areas", by_iou_of, seen=legacy_areas),
    _nms("best-10-before", by_iou_of, seen=corners, most=10),
    _nms("best-30-before", by_iou_of, seen=corners, most=30),
)
