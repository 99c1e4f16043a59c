"""Mistakes behind the model: activation, labels, box formats, thresholds, NMS, the way back to the picture's pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from seatrial.diagnosis.mutation import Mutation, setting
from seatrial.diagnosis.stages import RESULTS
from seatrial.diagnosis.way import At, Way
from seatrial.kernels.results import Detections
from seatrial.plan import pipelines


def result_mutations(way: Way) -> Iterator[Mutation]:
    post = way.spec.postprocess
    if not isinstance(post, pipelines.Postprocess):
        return
    yield from _label_offsets()
    if post.task == "detect":
        yield from _boxes()
        yield from _thresholds(post)


def _changed(fault: str, what: str, change: Callable[[Any], Any], key: str) -> Mutation:
    return Mutation(
        fault, what, RESULTS, lambda way: way.behind(RESULTS, lambda at: At(change(at.value), at.geometry)), key
    )


def _label_offsets() -> Iterator[Mutation]:
    for offset in (-2, -1, 1, 2):

        def change(result: Any, offset: int = offset) -> Any:
            return replace(result, class_ids=result.class_ids + offset)

        yield _changed("label-offset", f"counts classes {offset:+d}", change, "postprocess.labels")


def _boxes() -> Iterator[Mutation]:
    forms: dict[str, Callable[[Any], Any]] = {
        "x, y, width, height of the corner": lambda b: np.concatenate([b[:, :2], b[:, 2:] - b[:, :2]], axis=1),
        "x, y of the centre, width, height": lambda b: np.concatenate(
            [(b[:, :2] + b[:, 2:]) / 2, b[:, 2:] - b[:, :2]], axis=1
        ),
        "y, x, y, x": lambda b: b[:, [1, 0, 3, 2]],
    }
    for said, change in forms.items():

        def changed(result: Detections, change: Callable[[Any], Any] = change) -> Detections:
            return replace(result, boxes_xyxy=change(result.boxes_xyxy).astype(np.float32))

        yield _changed("box-format", f"gives boxes as {said}", changed, "postprocess.format")


def _thresholds(post: pipelines.Postprocess) -> Iterator[Mutation]:
    key = "postprocess"
    for confidence in (0.001, 0.01, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9):
        if confidence != post.confidence:
            yield setting("nms-settings", f"keeps scores above {confidence:g}", RESULTS, key, confidence=confidence)
    for iou in (0.1, 0.2, 0.3, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.9, 1.0):
        if iou != post.iou:
            yield setting("nms-settings", f"runs NMS at an IoU of {iou:g}", RESULTS, key, iou=iou)
    agnostic = not post.class_agnostic
    said = "runs NMS across classes" if agnostic else "runs NMS class by class"
    yield setting("nms-settings", said, RESULTS, key, class_agnostic=agnostic)
    for most in (1, 5, 10, 20, 50, 100, 200, 1000):
        if most != post.max_detections:
            yield setting("nms-settings", f"keeps {most} boxes at most", RESULTS, key, max_detections=most)
