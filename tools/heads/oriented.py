"""Layouts of oriented boxes, added to HEADS: centre, size, classes, and an angle behind.

For: YOLOv8-, 11- and 26-obb. Not for: upright boxes (encode.py).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from heads.encode import ANCHORS, HEADS, QUERIES, SIDE, Head, f32, post, ultralytics
from heads.scene import CLASSES, Thing, Way


def boxes(
    things: Sequence[Thing], at: Way, rng: np.random.Generator, count: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """cx, cy, w, h (count, 4) in input pixels, scores (count, classes) and angles (count, 1), things among much that is nothing.

    An angle may stand with another that is half a turn away, or a quarter with the sides swapped: all mean one box.
    """
    xywh = np.concatenate([rng.uniform(0, SIDE, (count, 2)), rng.uniform(4, SIDE * 0.2, (count, 2))], axis=1)
    scores, angles = rng.uniform(0, 0.05, (count, len(CLASSES))), rng.uniform(-np.pi / 4, 3 * np.pi / 4, (count, 1))
    for place, thing in zip(rng.permutation(count), things, strict=False):
        cx, cy, w, h, angle = thing.oriented
        assert abs(at.sx / at.sy - 1) < 0.01, "a stretch makes a parallelogram, which no layout can say"
        xywh[place] = [*at.points(np.array([cx, cy])), w * at.sx, h * at.sy]
        if place % 2:
            xywh[place, 2:], angle = xywh[place, 3:1:-1], angle + np.pi / 2
        scores[place, thing.class_id], angles[place] = thing.score, angle
    return xywh, scores, angles


def yolov8(things: Sequence[Thing], at: Way, rng: np.random.Generator) -> dict[str, np.ndarray]:
    return {"output0": f32(*boxes(things, at, rng, ANCHORS)).T}


def end_to_end(things: Sequence[Thing], at: Way, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Rows with the best score first; YOLO26's angles may lie in any turn."""
    xywh, scores, angles = boxes(things, at, rng, QUERIES)
    rows = f32(xywh, scores.max(axis=1, keepdims=True), scores.argmax(axis=1)[:, None], angles - np.pi)
    return {"output0": rows[np.argsort(-rows[:, 4], kind="stable")]}


OBB = ultralytics("obb")
HEADS |= {
    "oriented-yolov8": Head(yolov8, post("oriented", "yolov8"), "oriented", metadata=OBB, metric="oriented mAP"),
    "oriented-polygon-nms": Head(
        yolov8, post("oriented", "yolo11", nms="polygon"), "oriented", metadata=OBB, metric="oriented mAP"
    ),
    "oriented-end-to-end": Head(
        end_to_end, post("oriented", "yolo26"), "oriented", metadata=OBB, metric="oriented mAP"
    ),
}
