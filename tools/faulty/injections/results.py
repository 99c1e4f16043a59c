"""Faults from raw outputs to results: activations, labels, boxes, NMS, the way back, another head's rule."""

from __future__ import annotations

from functools import partial

import numpy as np

from faulty import postprocess
from faulty.injections.injection import Injection, Setting, after, step
from faulty.postprocess import RESULTS, Results
from faulty.way import Array, Placement


def of_task(**changed):
    """The task's postprocess with other keywords."""
    return step("results", lambda s: partial(RESULTS[s.task.name], **changed))


def activated(rows: slice, function):
    """Outputs go through an activation that is in the model already."""

    def make(setting: Setting):
        right = RESULTS[setting.task.name]

        def results(outputs: dict[str, Array], placement: Placement) -> Results:
            changed = {k: v.copy() for k, v in outputs.items()}
            for value in changed.values():
                value[:, rows] = function(value[:, rows])
            return right(changed, placement)

        return results

    return step("results", make)


def sigmoid(x: Array) -> Array:
    return (1 / (1 + np.exp(-x))).astype(np.float32)


def softmax(x: Array) -> Array:
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return (e / e.sum(axis=1, keepdims=True)).astype(np.float32)


def offset(by: int):
    def shifted(found: Results) -> Results:
        return {**found, "class_ids": (found["class_ids"] + by).astype(found["class_ids"].dtype)}

    return shifted


def alphabetic(setting: Setting):
    """The labels were sorted by name when the training set was read, or when the service's list was made."""
    return np.argsort(np.argsort(setting.task.labels))


def swapped(setting: Setting):
    order = np.arange(len(setting.task.labels))
    order[[0, 1]] = 1, 0
    return order


def by_map(order_of):
    def make(setting: Setting):
        right, order = RESULTS[setting.task.name], order_of(setting)

        def results(outputs: dict[str, Array], placement: Placement) -> Results:
            found = right(outputs, placement)
            return {**found, "class_ids": order[found["class_ids"]].astype(found["class_ids"].dtype)}

        return results

    return step("results", make)


def corner_and_size(head: Array) -> tuple[Array, Array, Array]:
    """x, y taken for the upper left corner."""
    x, y, w, h = head[:4]
    return np.stack([x, y, x + w, y + h], axis=1), *postprocess.yolov8(head)[1:]


def four_corners(head: Array) -> tuple[Array, Array, Array]:
    """Centre and size taken for two corners."""
    return np.ascontiguousarray(head[:4].T), *postprocess.yolov8(head)[1:]


def y_first(head: Array) -> tuple[Array, Array, Array]:
    boxes, *rest = postprocess.yolov8(head)
    return boxes[:, [1, 0, 3, 2]], *rest


def yolov5(head: Array) -> tuple[Array, Array, Array]:
    """YOLOv5's rule: the fifth row is objectness, classes come behind it."""
    boxes, _, _ = postprocess.yolov8(head)
    scores = head[4] * head[5:]
    return boxes, scores.max(axis=0), scores.argmax(axis=0)


def turned_head(head: Array) -> tuple[Array, Array, Array]:
    """YOLOv8's head taken for one with anchors first, as other exports have it."""
    return postprocess.yolov8(np.ascontiguousarray(head.reshape(head.shape[::-1]).T))


def written_as_size(found: Results) -> Results:
    """Results are written as x, y, width, height where corners are read."""
    boxes = found["boxes_xyxy"].copy()
    boxes[:, 2:] -= boxes[:, :2]
    return {**found, "boxes_xyxy": boxes}


def written_y_first(found: Results) -> Results:
    return {**found, "boxes_xyxy": found["boxes_xyxy"][:, [1, 0, 3, 2]]}


def fractions(setting: Setting):
    """Boxes from 0 to 1 of the picture."""
    right = RESULTS[setting.task.name]

    def results(outputs: dict[str, Array], placement: Placement) -> Results:
        found = right(outputs, placement)
        size = np.array(placement.source_hw[::-1] * 2, np.float32)
        return {**found, "boxes_xyxy": found["boxes_xyxy"] / size}

    return results


def stays(points: Array, _placement: Placement) -> Array:
    """Pixels of the input, as they are."""
    return points


def scaled_only(points: Array, placement: Placement) -> Array:
    """The padding is forgotten."""
    return (points.reshape(-1, 2, 2) / placement.scale_xy).reshape(points.shape)


def moved_only(points: Array, placement: Placement) -> Array:
    """The scale is forgotten."""
    return (points.reshape(-1, 2, 2) - placement.offset_xy).reshape(points.shape)


def one_ratio(points: Array, placement: Placement) -> Array:
    """As if the picture had been stretched: each side by its own ratio."""
    ratio = np.array(placement.source_hw[::-1]) / placement.input_hw[::-1]
    return (points.reshape(-1, 2, 2) * ratio).reshape(points.shape)


def rounded_ratio(points: Array, placement: Placement) -> Array:
    """The ratio was kept with two digits."""
    ratio = round(min(placement.scale_xy), 2)
    return ((points.reshape(-1, 2, 2) - placement.offset_xy) / ratio).reshape(points.shape)


def back(variant: str, function) -> tuple[Injection, Injection]:
    clipped = partial(_clipped, function)
    change_boxes, change_corners = of_task(back=clipped), of_task(corners_back=function)
    return (
        Injection("unletterbox", variant, change_boxes, ("detect",)),
        Injection("unletterbox", variant, change_corners, ("text",)),
    )


def _clipped(function, boxes: Array, placement: Placement) -> Array:
    moved = function(boxes, placement).reshape(-1, 2, 2)
    return np.clip(moved, 0, placement.source_hw[::-1]).reshape(-1, 4)


def channels_last(outputs: dict[str, Array], placement: Placement) -> Results:
    """The scores (classes, h, w) read as (h, w, classes)."""
    turned = {}
    for key, value in outputs.items():
        batch, classes, h, w = value.shape
        turned[key] = np.ascontiguousarray(value.reshape(batch, h, w, classes).transpose(0, 3, 1, 2))
    return postprocess.mask(turned, placement)


def upper_left(pixels: int, cells: int) -> Array:
    """cv2.INTER_NEAREST: by a pixel's corner, not its centre."""
    return np.floor(np.arange(pixels) * cells / pixels).astype(int)


DETECT = ("detect",)
LABELLED = ("detect", "classify", "segment")
INJECTIONS = (
    Injection("activation", "sigmoid-twice", activated(slice(4, None), sigmoid), DETECT),
    Injection("activation", "softmax-twice", activated(slice(None), softmax), ("classify",)),
    Injection("activation", "sigmoid-twice", activated(slice(None), sigmoid), ("text",)),
    Injection("label-offset", "plus-one", after("results", offset(1)), LABELLED),
    Injection("label-offset", "minus-one", after("results", offset(-1)), ("detect", "classify")),
    Injection("label-map", "alphabetic", by_map(alphabetic), ("detect", "classify")),
    Injection("label-map", "two-swapped", by_map(swapped), LABELLED),
    Injection("box-format", "corner-and-size", of_task(head=corner_and_size), DETECT),
    Injection("box-format", "as-corners", of_task(head=four_corners), DETECT),
    Injection("box-format", "y-first", of_task(head=y_first), DETECT),
    Injection("box-format", "written-as-size", after("results", written_as_size), DETECT),
    Injection("box-format", "written-y-first", after("results", written_y_first), DETECT),
    Injection("box-normalised", "of-the-picture", step("results", fractions), DETECT),
    Injection("nms-settings", "confidence-0.5", of_task(confidence=0.5), DETECT),
    Injection("nms-settings", "confidence-0.1", of_task(confidence=0.1), DETECT),
    Injection("nms-settings", "iou-0.7", of_task(iou=0.7), DETECT),
    Injection("nms-settings", "iou-0.2", of_task(iou=0.2), DETECT),
    Injection("nms-settings", "no-nms", of_task(iou=1.0), DETECT),
    Injection("nms-settings", "agnostic", of_task(agnostic=True), DETECT),
    Injection("nms-settings", "at-most-3", of_task(most=3), DETECT),
    Injection("nms-settings", "confidence-0.9", of_task(confidence=0.9), ("text",)),
    Injection("nms-settings", "confidence-0.3", of_task(confidence=0.3), ("text",)),
    Injection("decode-mode", "yolov5", of_task(head=yolov5), DETECT),
    Injection("decode-mode", "anchors-first", of_task(head=turned_head), DETECT, also=("layout-reshape",)),
    Injection("decode-mode", "channels-last", step("results", lambda _s: channels_last), ("segment",)),
    Injection("half-pixel", "mask", of_task(cells_of=upper_left), ("segment",)),
    *back("missing", stays),
    *back("no-padding", scaled_only),
    *back("no-scale", moved_only),
    *back("as-stretched", one_ratio),
    *back("ratio-rounded", rounded_ratio),
)
