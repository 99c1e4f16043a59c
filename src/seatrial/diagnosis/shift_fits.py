"""Boxes that lie elsewhere by the same numbers in all pictures: shifts, scales and corners, read off the candidate's own.

For: mistakes of the way back, and of what a box's end means, that no list has. Not for: other fits behind the model
(result_fits.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.diagnosis import detector
from seatrial.diagnosis.matching import matched
from seatrial.diagnosis.mutation import Mutation
from seatrial.diagnosis.mutations.boxes import rule
from seatrial.diagnosis.stretch import Stretch
from seatrial.diagnosis.way import Way
from seatrial.kernels.geometry import Geometry
from seatrial.kernels.results import Detections
from seatrial.plan import pipelines

F64 = npt.NDArray[np.float64]
# Boxes for four numbers, with enough over that these are not made of noise.
LEAST_BOXES = 8
# Pixels of the input, and shares of a side, below which a shift is rounding.
LEAST_SHIFT_PX, LEAST_STRETCH = 0.02, 2e-4
# What fitted shifts and scales of boxes are.
SHIFT = "unletterbox"


def fit_shift(stretch: Stretch, way: Way, images: Sequence[int]) -> Iterator[Mutation]:
    """A scale and a shift of each axis, and a shift of each corner, in pixels of the input and in the picture's own."""
    post = way.spec.postprocess
    if not isinstance(post, pipelines.Postprocess) or post.task != "detect" or post.format not in detector.FAMILIES:
        return
    made = [stretch.made(way, i) for i in images]
    pairs = [(m.value, stretch.candidate(i)) for m, i in zip(made, images, strict=True)]
    places = [m.geometry for m in made]
    inside: list[tuple[F64, F64]] = []
    in_input: list[tuple[F64, F64]] = []
    for (reference, candidate), geometry in zip(pairs, places, strict=True):
        if not isinstance(candidate, Detections) or not isinstance(reference, Detections) or geometry is None:
            continue
        for i, j, _ in matched(reference, candidate, by_class=True):
            own, other = reference.boxes_xyxy[i][None], candidate.boxes_xyxy[j][None]
            if _free(own[0], geometry) and _free(other[0], geometry):
                inside.append((own[0].astype(np.float64), other[0].astype(np.float64)))
                in_input.append((geometry.to_input(own)[0].astype(float), geometry.to_input(other)[0].astype(float)))
    if len(inside) < LEAST_BOXES:
        return
    for found, whose in ((in_input, "the input"), (inside, "the picture")):
        scale, shift = _line(found)
        if np.abs(scale - 1).max() < LEAST_STRETCH and np.abs(shift).max() < LEAST_SHIFT_PX:
            continue
        yield _moved(scale, shift, whose, 4)
        plain = np.median([o - r for r, o in found], axis=0)
        if np.abs(plain).max() >= LEAST_SHIFT_PX:
            yield _moved(np.ones(2), np.array([plain[[0, 2]].mean(), plain[[1, 3]].mean()]), whose, 2)
        if np.abs(plain[2:] - plain[:2]).max() >= LEAST_SHIFT_PX:
            yield _grown(plain, whose)


def _free(box: npt.NDArray[Any], g: Geometry) -> bool:
    """Not cut at the picture's edge."""
    return bool(box[0] > 0.5 and box[1] > 0.5 and box[2] < g.source_hw[1] - 1.5 and box[3] < g.source_hw[0] - 1.5)


def _line(pairs: Sequence[tuple[F64, F64]]) -> tuple[F64, F64]:
    """Of x and y: scale and shift by least squares, once more without what lies far off."""
    own = np.array([r.reshape(2, 2) for r, _ in pairs]).reshape(-1, 2)
    other = np.array([c.reshape(2, 2) for _, c in pairs]).reshape(-1, 2)
    scale, shift = np.ones(2), np.zeros(2)
    for axis in (0, 1):
        x, y = own[:, axis], other[:, axis]
        near = np.ones(len(x), np.bool_)
        for _ in range(3):
            scale[axis], shift[axis] = np.polyfit(x[near], y[near], 1)
            apart = np.abs(y - scale[axis] * x - shift[axis])
            near = apart <= 3 * np.median(apart) + 1e-6
    return scale, shift


def _moved(scale: F64, shift: F64, whose: str, parameters: int) -> Mutation:
    scales, shifts = np.tile(scale, 2), np.tile(shift, 2)

    def back(boxes: F64, g: Geometry) -> F64:
        if whose == "the input":
            return detector.back(boxes * scales + shifts, g)
        return detector.back(boxes, g) * scales + shifts

    stretched = f", and its sides by {scale[0]:.4f} and {scale[1]:.4f}" if parameters == 4 else ""
    what = f"moves boxes by {shift[0]:.2f}, {shift[1]:.2f} pixels of {whose}{stretched}"
    return rule(SHIFT, what, "", parameters, back=back)


def _grown(by: F64, whose: str) -> Mutation:
    """Each corner by itself: what a box's end means, or how its sides count."""

    def back(boxes: F64, g: Geometry) -> F64:
        return detector.back(boxes + by, g) if whose == "the input" else detector.back(boxes, g) + by

    what = (
        f"moves the upper left corner of boxes by {by[0]:.2f}, {by[1]:.2f} and the lower right one by {by[2]:.2f}, {by[3]:.2f} "
        f"pixels of {whose}"
    )
    return rule("box-format", what, "format", 4, back=back)
