"""Faults of scores and classes: percent, log-odds, softmax along another axis, a background that is dropped, classes mixed.

For: what is made of scores. Not for: boxes (places.py) or NMS (suppression.py).
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from faulty import postprocess
from faulty.injections.injection import Injection, Setting, after, step
from faulty.injections.results import DETECT, activated, of_task, softmax
from faulty.postprocess import RESULTS, Results
from faulty.way import Array, Placement, Steps

SCORED = ("detect", "classify", "text")


def rescored(function):
    """What is logged, when all is chosen."""
    return after("results", lambda found: {**found, "scores": function(found["scores"].astype(np.float64))})


def log_odds(p: Array) -> Array:
    p = np.clip(p, 1e-7, 1 - 1e-7)
    return np.log(p / (1 - p))


def along(axis: int):
    def function(x: Array) -> Array:
        e = np.exp(x - x.max(axis=axis, keepdims=True))
        return (e / e.sum(axis=axis, keepdims=True)).astype(np.float32)

    return function


def along_batch(steps: Steps, _setting: Setting) -> Steps:
    """softmax(x, axis=0) of a batch: each class's shares of the images."""

    def infer(batch: Array) -> dict[str, Array]:
        return {k: along(0)(v) for k, v in steps.infer(batch).items()}

    return replace(steps, infer=infer, batch=4)


def without_background(number: int):
    """detect: the first class is taken for a background, and never found. number: of the class behind it."""

    def head(given: Array) -> tuple[Array, Array, Array]:
        boxes, _, _ = postprocess.yolov8(given)
        return boxes, given[5:].max(axis=0), given[5:].argmax(axis=0) + number

    return of_task(head=head)


def classes_behind_first(number: int):
    def make(setting: Setting):
        right = RESULTS[setting.task.name]

        def results(outputs: dict[str, Array], placement: Placement) -> Results:
            found = right({k: np.ascontiguousarray(v[:, 1:]) for k, v in outputs.items()}, placement)
            return {**found, "class_ids": (found["class_ids"] + number).astype(found["class_ids"].dtype)}

        return results

    return step("results", make)


def classes_between(outputs: dict[str, Array], placement: Placement) -> Results:
    """argmax first, then the map of classes is drawn out linearly: borders get the classes between two numbers."""
    cells = next(iter(outputs.values()))[0].argmax(axis=0).astype(np.uint8)
    height, width = placement.source_hw
    return {"class_ids": cv2.resize(cells, (width, height), interpolation=cv2.INTER_LINEAR)}


def scores_drawn(outputs: dict[str, Array], placement: Placement) -> Results:
    """The other way round: scores are drawn out, then argmax."""
    height, width = placement.source_hw
    channels = next(iter(outputs.values()))[0]
    drawn = [cv2.resize(c, (width, height), interpolation=cv2.INTER_LINEAR) for c in channels]
    return {"class_ids": np.argmax(drawn, axis=0).astype(np.uint8)}


INJECTIONS = (
    Injection("activation", "percent", rescored(lambda s: s * 100), SCORED),
    Injection("activation", "logged-log-odds", rescored(log_odds), ("detect", "text")),
    Injection("activation", "logged-logarithms", rescored(lambda s: np.log(np.maximum(s, 1e-30))), ("classify",)),
    Injection("activation", "softmax-along-the-width", activated(slice(None), along(-1)), ("segment",)),
    Injection("activation", "softmax-at-the-end", activated(slice(4, None), softmax), DETECT),
    Injection("label-offset", "first-dropped", without_background(0), DETECT),
    Injection("label-offset", "first-never-found", without_background(1), DETECT),
    Injection("label-offset", "behind-first", classes_behind_first(0), ("classify", "segment")),
    Injection("label-offset", "first-never-given", classes_behind_first(1), ("classify", "segment")),
    Injection("interpolation", "classes-between", step("results", lambda _s: classes_between), ("segment",)),
    Injection("interpolation", "scores-drawn-out", step("results", lambda _s: scores_drawn), ("segment",)),
)
ALONG_BATCH = Injection("activation", "softmax-along-the-batch", along_batch, ("classify",), ("taps", "answers"),
                        also=("batch-dependent",))  # fmt: skip
