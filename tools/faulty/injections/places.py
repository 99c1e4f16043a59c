"""Faults of where results lie: a batch's first image's scale, legacy pixels, boxes that are clipped or dropped elsewhere.

For: the way back from the input, and what a box's sides count. Not for: which box stays (suppression.py).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from faulty import postprocess
from faulty.injections.injection import BOXES, Injection, Setting, after
from faulty.injections.results import DETECT, back, of_task
from faulty.postprocess import Results
from faulty.way import Array, Placement, Steps


def first_of_its_batch(size: int, own_picture: bool = False):
    """Boxes of a batch are all brought back by what was kept of its first image, into its picture or (own_picture) the box's
    own."""

    def change(steps: Steps, _setting: Setting) -> Steps:
        seen: list[Placement] = []

        def results(outputs: dict[str, Array], placement: Placement) -> Results:
            if len(seen) == size:
                seen.clear()
            seen.append(placement)
            first = seen[0]
            return steps.results(outputs, replace(first, source_hw=placement.source_hw) if own_picture else first)

        return replace(steps, results=results, batch=min(size, 4))

    return change


def by_the_other_side(points: Array, placement: Placement) -> Array:
    """image.shape is height, width, and was read as width, height: as after a stretch."""
    ratio = np.array(placement.source_hw) / placement.input_hw[::-1]
    return (points.reshape(-1, 2, 2) * ratio).reshape(points.shape)


def clipped_to_other_sides(boxes: Array, placement: Placement) -> Array:
    points = (boxes.reshape(-1, 2, 2) - placement.offset_xy) / placement.scale_xy
    return np.clip(points, 0, placement.source_hw).reshape(-1, 4)


def clipped_to_input(boxes: Array, placement: Placement) -> Array:
    """np.clip(boxes, 0, 320), then the way back, and nothing more."""
    inside = np.clip(boxes.reshape(-1, 2, 2), 0, placement.input_hw[::-1])
    return ((inside - placement.offset_xy) / placement.scale_xy).reshape(-1, 4)


def clipped_to_input_size(boxes: Array, placement: Placement) -> Array:
    """The way back, and then clipped to the wrong width and height."""
    points = (boxes.reshape(-1, 2, 2) - placement.offset_xy) / placement.scale_xy
    return np.clip(points, 0, placement.input_hw[::-1]).reshape(-1, 4)


def not_clipped(boxes: Array, placement: Placement) -> Array:
    return ((boxes.reshape(-1, 2, 2) - placement.offset_xy) / placement.scale_xy).reshape(-1, 4)


def crossing_dropped(boxes: Array, placement: Placement) -> Array:
    """A box that reaches into the padding is no box: it is made empty, which drops it."""
    points = (boxes.reshape(-1, 2, 2) - placement.offset_xy) / placement.scale_xy
    size = np.array(placement.source_hw[::-1])
    inside = (points >= 0).all(axis=(1, 2)) & (points <= size).all(axis=(1, 2))
    return np.where(inside[:, None], points.reshape(-1, 4), 0)


def out_of_input_dropped(boxes: Array, placement: Placement) -> Array:
    """The same at the edges of the input, padding included."""
    size = np.array(placement.input_hw[::-1] * 2)
    inside = (boxes >= 0).all(axis=1) & (boxes <= size).all(axis=1)
    return np.where(inside[:, None], postprocess.to_picture(boxes, placement), 0)


def shifted_picture(by: float):
    return lambda points, placement: (
        (points.reshape(-1, 2, 2) - placement.offset_xy) / placement.scale_xy + by
    ).reshape(points.shape)


def shifted_input(by: float):
    return lambda points, placement: (
        (points.reshape(-1, 2, 2) + by - placement.offset_xy) / placement.scale_xy
    ).reshape(points.shape)


def size_less_one(head: Array) -> tuple[Array, Array, Array]:
    """x2 = x1 + w - 1, as Caffe's and Detectron's boxes end in the last pixel."""
    boxes, *rest = postprocess.yolov8(head)
    return boxes - np.float32([0, 0, 1, 1]), *rest


def legacy_centre(head: Array) -> tuple[Array, Array, Array]:
    """bbox_transform_inv of the old Faster R-CNN: both corners from half of (w - 1)."""
    boxes, *rest = postprocess.yolov8(head)
    return boxes + np.float32([0.5, 0.5, -0.5, -0.5]), *rest


def written(by: float):
    """w = x2 - x1 + by in a results file, read as x1 + w."""

    def changed(found: Results) -> Results:
        return {**found, "boxes_xyxy": found["boxes_xyxy"] + np.float32([0, 0, by, by])}

    return changed


def _clip(function, variant: str) -> Injection:
    return Injection("unletterbox", variant, of_task(back=function), DETECT)


BATCHED = ("taps", "answers")
INJECTIONS = (
    Injection("unletterbox", "first-of-its-batch", first_of_its_batch(4), BOXES, BATCHED),
    Injection("unletterbox", "first-scale-of-its-batch", first_of_its_batch(4, own_picture=True), BOXES, BATCHED),
    Injection("unletterbox", "first-of-two", first_of_its_batch(2), BOXES, BATCHED),
    Injection("unletterbox", "first-of-all", first_of_its_batch(10**9), BOXES, BATCHED),
    *back("other-side-s-ratio", by_the_other_side),
    _clip(clipped_to_other_sides, "clipped-to-the-other-sides"),
    _clip(clipped_to_input, "clipped-to-the-input"),
    _clip(clipped_to_input_size, "clipped-to-the-input-s-size"),
    _clip(not_clipped, "not-clipped"),
    _clip(crossing_dropped, "crossing-dropped"),
    _clip(out_of_input_dropped, "out-of-the-input-dropped"),
    *back("half-pixel-of-the-picture", shifted_picture(-0.5)),
    *back("half-pixel-of-the-input", shifted_input(0.5)),
    Injection("box-format", "size-less-one", of_task(head=size_less_one), DETECT),
    Injection("box-format", "legacy-centre", of_task(head=legacy_centre), DETECT),
    Injection("box-format", "written-size-plus-one", after("results", written(1)), DETECT),
    Injection("box-format", "written-last-pixel", after("results", written(-1)), DETECT),
)  # fmt: skip
