"""Mistakes of which objects stay: thresholds, NMS, how many. Not for: numbers fitted to the candidate (result_fits.py)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from seatrial.diagnosis.mutation import Mutation, setting
from seatrial.diagnosis.mutations.boxes import rule
from seatrial.diagnosis.stages import RESULTS
from seatrial.kernels.detection_formats import FORMATS
from seatrial.plan import pipelines, tasks

CONFIDENCES = (0.001, 0.01, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9)
OVERLAPS = (0.1, 0.2, 0.3, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.9, 1.0)
MOST = (1, 5, 10, 20, 50, 100, 200, 1000)


def threshold_mutations(post: pipelines.Postprocess) -> Iterator[Mutation]:
    if post.task in tasks.OBJECTS or post.multi_label or post.format == "db":
        for confidence in CONFIDENCES:
            if confidence != post.confidence or "confidence" not in post.model_fields_set:
                yield kept(f"keeps scores above {confidence:g}", confidence=confidence)
    if post.task in tasks.OBJECTS:
        yield from _suppression(post)
    if post.task in (*tasks.OBJECTS, "text") and post.format != "ctc":
        for most in MOST:
            if most != post.max_detections:
                yield kept(f"keeps {most} at most", max_detections=most)
    if post.format == "db":
        yield from _regions(post)
    if post.format == "one_channel":
        for threshold in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9):
            if threshold != (0.5 if post.threshold is None else post.threshold):
                yield kept(f"takes what is above {threshold:g}", threshold=threshold)


def kept(what: str, parameters: int = 0, **values: Any) -> Mutation:
    return setting_with(parameters, "nms-settings", what, **values)


def setting_with(parameters: int, fault: str, what: str, **values: Any) -> Mutation:
    plain = setting(fault, what, RESULTS, "postprocess", **values)
    return replace(plain, parameters=parameters)


def _suppression(post: pipelines.Postprocess) -> Iterator[Mutation]:
    if not FORMATS[post.format or ""].needs_nms:
        if post.task == "detect":
            for iou in OVERLAPS[:-1]:
                what = f"runs NMS, which the model has done or needs none of, at an IoU of {iou:g}"
                yield rule("nms-settings", what, "iou", nms=True, iou=iou)
        return
    for iou in OVERLAPS:
        if iou != post.iou:
            yield kept("runs no NMS" if iou == 1 else f"runs NMS at an IoU of {iou:g}", iou=iou)
    said = "runs NMS class by class" if post.class_agnostic else "runs NMS across classes"
    yield kept(said, class_agnostic=not post.class_agnostic)
    if post.task == "oriented":
        other = "polygon" if post.nms == "probiou" else "probiou"
        yield kept(f"suppresses by the IoU of {other}", nms=other)


def _regions(post: pipelines.Postprocess) -> Iterator[Mutation]:
    own = 0.3 if post.threshold is None else post.threshold
    for threshold in (0.1, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.7):
        if threshold != own:
            yield kept(f"takes cells above {threshold:g} for text", threshold=threshold)
    for ratio in (0.0, 1.0, 1.2, 1.4, 1.5, 1.6, 1.7, 1.8, 2.0, 2.2, 2.5, 3.0):
        if ratio != post.unclip_ratio:
            yield kept(f"grows regions by a ratio of {ratio:g}", unclip_ratio=ratio)
    for size in (0.0, 1.0, 2.0, 3.0, 5.0):
        if size != post.min_size:
            yield kept(f"keeps regions of {size:g} cells and more", min_size=size)
    other = "slow" if post.score_mode == "fast" else "fast"
    yield kept(f"scores regions by the {other} mode", score_mode=other)
    said = "does not dilate what is text" if post.dilation else "dilates what is text"
    yield kept(said, dilation=not post.dilation)
