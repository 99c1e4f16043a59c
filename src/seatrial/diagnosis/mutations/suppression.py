"""Mistakes of what NMS is handed: boxes in another form or cut to whole pixels, too few of them, a score by halves.

For: a detector's NMS. Not for: its thresholds and how many it keeps (thresholds.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.diagnosis import detector
from seatrial.diagnosis.detector import FAMILIES, Placed
from seatrial.diagnosis.mutation import Mutation
from seatrial.diagnosis.mutations.boxes import rule
from seatrial.kernels.detection_formats import FORMATS
from seatrial.kernels.geometry import Geometry
from seatrial.plan import pipelines

F64 = npt.NDArray[np.float64]
_END = np.array([0.0, 0.0, 1.0, 1.0])
BEFORE = (10, 20, 30, 50, 100, 200, 300, 400, 500, 1000)


def suppression_mutations(post: pipelines.Postprocess) -> Iterator[Mutation]:
    if post.task != "detect" or post.format not in FAMILIES:
        return
    if FORMATS[post.format].needs_nms:
        yield from _taken()
        for most in BEFORE:
            yield rule(
                "nms-settings", f"lets the best {most} candidates alone into NMS", "max_detections", before_nms=most
            )
    if post.format in ("yolov5", "yolox", "yolox_decoded"):
        for held, said in ((detector.OBJECTNESS, "objectness"), (detector.CLASS_ALONE, "the class's score")):
            what = f"holds {said} alone against the confidence, before both are multiplied"
            yield rule("nms-settings", what, "confidence", held=held)


def _taken() -> Iterator[Mutation]:
    """By class, and across classes as cv2.dnn.NMSBoxes and torchvision's nms do."""
    for across in (False, True):
        where = " across classes" if across else ""
        values: dict[str, Any] = {"class_agnostic": True} if across else {}
        for what, taken in _FORMS.items():
            yield rule("nms-settings", f"hands NMS{where} {what}", "iou", suppressed=taken, **values)
        for what, whole in _WHOLE.items():
            said = f"cuts corners to whole pixels of the {what} before NMS{where}"
            yield rule("nms-settings", said, "iou", suppressed=whole, **values)
            yield rule(
                "nms-settings", f"{said}, and keeps them so", "iou", suppressed=whole, back=_KEPT[what], **values
            )


def _size(b: F64) -> F64:
    return b[:, 2:] - b[:, :2]


def _joined(first: F64, second: F64) -> F64:
    return np.concatenate([first, second], axis=1)


_FORMS: dict[str, Placed] = {
    "corners where it takes x, y, width, height (cv2.dnn.NMSBoxes)": lambda b, _: _joined(
        b[:, :2], b[:, :2] + b[:, 2:]
    ),
    "the centre, width and height where it takes the corner's x, y, width, height": lambda b, _: _joined(
        (b[:, :2] + b[:, 2:]) / 2, (b[:, :2] + b[:, 2:]) / 2 + _size(b)
    ),
    "x, y, width, height where it takes corners": lambda b, _: _joined(b[:, :2], _size(b)),
    "the centre, width and height where it takes corners": lambda b, _: _joined((b[:, :2] + b[:, 2:]) / 2, _size(b)),
    "boxes that end in their last pixel, whose sides count one more": lambda b, _: b + _END,
}


def _in_picture(b: F64, g: Geometry) -> F64:
    sides = np.array(g.source_hw[::-1] * 2, np.float64)
    return np.trunc(np.clip(detector.back(b, g), 0, sides))


_WHOLE: dict[str, Placed] = {"picture": _in_picture, "input": lambda b, _: np.trunc(b)}
_KEPT: dict[str, Placed] = {"picture": _in_picture, "input": lambda b, g: detector.back(np.trunc(b), g)}
