"""Faults behind the model: true boxes of a scene of the demo's, and what each fault makes of them, drawn.

Not for: what a detector finds; none is run here, so that the picture is the same on every machine.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import numpy.typing as npt

from seatrial.diagnosis.illustration.sides import SCENES, Sides, scene
from seatrial.drawing.results import PALETTE, Look, draw
from seatrial.kernels.results import Detections

SCENE, BEFORE = "scene-02.jpg", "scene-10.jpg"
# Pixels of a drawing.
SIZE_WH = (400, 320)
# The demo's letterbox.
_SIDE = 320


@dataclass(frozen=True)
class Drawn:
    """what: the wrong side does. change: of the true boxes."""

    what: str
    change: Callable[[Detections], Detections]


def _twice_squeezed(d: Detections) -> Detections:
    return replace(d, scores=(1 / (1 + np.exp(-d.scores))).astype(np.float32))


def _offset(d: Detections) -> Detections:
    return replace(d, class_ids=d.class_ids + 1)


def _other_list(d: Detections) -> Detections:
    return replace(d, class_ids=len(_truth().names) - 1 - d.class_ids)


def _still_letterboxed(d: Detections) -> Detections:
    height, width = scene(SCENE).shape[:2]
    scale = _SIDE / max(height, width)
    padding = (_SIDE - np.array([width, height]) * scale) / 2
    return _with_boxes(d, d.boxes_xyxy * scale + np.tile(padding, 2))


def _centres_as_corners(d: Detections) -> Detections:
    b = d.boxes_xyxy
    return _with_boxes(d, np.concatenate([(b[:, :2] + b[:, 2:]) / 2, b[:, 2:] - b[:, :2]], axis=1))


def _fractions(d: Detections) -> Detections:
    height, width = scene(SCENE).shape[:2]
    return _with_boxes(d, d.boxes_xyxy / np.array([width, height, width, height]))


def _without_nms(d: Detections) -> Detections:
    """Two more boxes for each, a little off and less sure."""
    sizes = np.tile(d.boxes_xyxy[:, 2:] - d.boxes_xyxy[:, :2], 2)
    shifts = [np.array(s) for s in ((0, 0, 0, 0), (-0.08, 0.05, 0.04, 0.1), (0.09, -0.06, 0.05, -0.03))]
    boxes = np.concatenate([d.boxes_xyxy + s * sizes for s in shifts])
    scores = np.concatenate([d.scores - 0.11 * k for k in range(3)])
    return Detections(boxes.astype(np.float32), scores.astype(np.float32), np.tile(d.class_ids, 3))


def _read_by_rows(d: Detections) -> Detections:
    """All numbers of all boxes in the order of another layout."""
    mixed = np.concatenate([d.boxes_xyxy.T.reshape(-1, 4), d.boxes_xyxy[:, ::-1]])
    scores = np.concatenate([d.scores, 1 - d.scores])
    ids = np.concatenate([d.class_ids, np.arange(len(d)) % len(_truth().names)])
    return Detections(mixed.astype(np.float32), scores.astype(np.float32), ids.astype(np.int64))


def _of_the_image_before(_: Detections) -> Detections:
    return objects_of(BEFORE)


def _none(_: Detections) -> Detections:
    return Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))


DRAWN = {
    "fp16-overflow": Drawn("has NaN for scores, so that no box is above the threshold", _none),
    "stale-output": Drawn("gives the boxes of the image before", _of_the_image_before),
    "activation": Drawn("applies the sigmoid twice", _twice_squeezed),
    "label-offset": Drawn("counts classes +1", _offset),
    "label-map": Drawn("looks numbers up in a list of another order", _other_list),
    "unletterbox": Drawn("leaves boxes in pixels of the padded input", _still_letterboxed),
    "box-format": Drawn("takes centre and size for two corners", _centres_as_corners),
    "box-normalised": Drawn("takes fractions of the image for pixels", _fractions),
    "nms-settings": Drawn("runs NMS at an IoU of 1", _without_nms),
    "decode-mode": Drawn("reads columns of numbers as rows", _read_by_rows),
}


@dataclass(frozen=True)
class Truth:
    names: list[str]
    boxes: dict[str, list[tuple[int, list[float]]]]


@cache
def _truth() -> Truth:
    found = json.loads((SCENES / "annotations.json").read_text("utf-8"))
    categories = sorted(found["categories"], key=lambda c: c["id"])
    index = {c["id"]: k for k, c in enumerate(categories)}
    files = {i["id"]: i["file_name"] for i in found["images"]}
    boxes: dict[str, list[tuple[int, list[float]]]] = {}
    for a in found["annotations"]:
        boxes.setdefault(files[a["image_id"]], []).append((index[a["category_id"]], a["bbox"]))
    return Truth([c["name"].replace("_", " ") for c in categories], boxes)


def objects_of(name: str) -> Detections:
    """Of a scene, with scores as a detector gives them."""
    own = _truth().boxes[name]
    xywh = np.array([box for _, box in own], np.float32)
    boxes = np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1)
    scores = np.linspace(0.93, 0.61, len(own), dtype=np.float32)
    return Detections(boxes, scores, np.array([k for k, _ in own], np.int64))


def _with_boxes(d: Detections, boxes: npt.NDArray[np.floating]) -> Detections:
    return replace(d, boxes_xyxy=boxes.astype(np.float32))


def sides_behind(fault: str) -> Sides:
    drawn, pixels = DRAWN[fault], scene(SCENE)
    right = objects_of(SCENE)
    names = _truth().names
    # A number beyond the list has no name, but a colour.
    colours = {name: PALETTE[k % len(PALETTE)] for k, name in enumerate([*names, f"class {len(names)}"])}
    look = Look(names, colours)
    one, other = (draw(pixels, result, look, SIZE_WH) for result in (right, drawn.change(right)))
    return Sides(one, other, drawn.what, SCENE)
