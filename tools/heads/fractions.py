"""Heads of masks and poses whose boxes and keypoints go from 0 to 1, as TFLite-born exports of Ultralytics write them.

For: `boxes: fractions` of what stands behind the classes. Not for: boxes alone (detectors.py).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from heads.encode import HEADS, POINTS, SIDE, Head


def in_fractions(head: Head, points_at: int | None = None, values: int = 3, columns_axis: int = 1) -> Head:
    """The same head with its boxes, and keypoints from that column on, divided by the input's side."""

    def outputs(things, at, rng):
        found = head.outputs(things, at, rng)
        rows = np.moveaxis(found["output0"].copy(), columns_axis, 0)
        rows[:4] /= SIDE
        for k in range(2 if points_at is not None else 0):
            rows[points_at + k : points_at + values * POINTS : values] /= SIDE
        return found | {"output0": np.ascontiguousarray(np.moveaxis(rows, 0, columns_axis))}

    return replace(head, outputs=outputs, post={**head.post, "boxes": "fractions"})


HEADS |= {
    "pose-yolov8-fractions": in_fractions(HEADS["pose-yolov8"], 7, columns_axis=0),
    "pose-yolov8-2d-fractions": in_fractions(HEADS["pose-yolov8-2d"], 7, 2, columns_axis=0),
    "pose-end-to-end-fractions": in_fractions(HEADS["pose-end-to-end"], 6),
    "instances-yolov8-fractions": in_fractions(HEADS["instances-yolov8"], columns_axis=0),
    "instances-yolov5-fractions": in_fractions(HEADS["instances-yolov5"]),
    "instances-end-to-end-fractions": in_fractions(HEADS["instances-end-to-end"]),
}
