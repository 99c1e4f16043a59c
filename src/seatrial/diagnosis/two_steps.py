"""A resize in two steps, as where a service makes a thumbnail first: the size in between is looked for among usual ones.

For: pictures that were made smaller for transport or storage, and resized to the input behind it. Not for: one step, by
whatever filter (sampling.py), or a decoder that gives a smaller picture (mutations/reduced.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from seatrial.diagnosis.mutation import Mutation
from seatrial.diagnosis.mutations.samples import sampled
from seatrial.diagnosis.resize import HW, Sample
from seatrial.diagnosis.stages import INPUT, RESIZED
from seatrial.diagnosis.stretch import Stretch
from seatrial.diagnosis.way import Way
from seatrial.plan import pipelines

Array = npt.NDArray[Any]
# Long sides, in pixels: what services, cameras and web pages make pictures of; and shares of the input's own.
SIDES = (
    256,
    320,
    384,
    400,
    416,
    480,
    500,
    512,
    600,
    608,
    640,
    720,
    768,
    800,
    832,
    896,
    960,
    1000,
    1024,
    1080,
    1200,
    1280,
    1333,
)
TIMES = (1.5, 2.0, 3.0)
# Behind the model each costs a run.
FEW_SIDES = (512, 640, 1024)


def fit_two_steps(stretch: Stretch, way: Way, images: Sequence[int]) -> list[Mutation]:
    """The one that comes nearest on the smallest of the images: it differs, so that its size in between is smaller still."""
    pre = way.spec.preprocess
    if not isinstance(pre, pipelines.Preprocess) or RESIZED not in stretch.stages:
        return []
    long_sides = {i: max(_source_hw(stretch, way, i)) for i in images}
    image = min(images, key=lambda i: long_sides[i])
    shows_pixels = stretch.end in (RESIZED, INPUT)
    sides = (*SIDES, *(round(max(pre.size) * t) for t in TIMES)) if shows_pixels else FEW_SIDES
    best: Mutation | None = None
    least = np.inf
    for tried in _all(way, [s for s in dict.fromkeys(sides) if s < long_sides[image]]):
        apart = stretch.distance(tried.change(way), image)
        if apart < least:
            best, least = tried, apart
        if not apart:
            break
    return [best] if best else []


def _source_hw(stretch: Stretch, way: Way, image: int) -> HW:
    geometry = stretch.made(way, image).geometry
    assert geometry
    return geometry.source_hw


def _all(way: Way, sides: Sequence[int]) -> Iterator[Mutation]:
    seconds: dict[str, Sample] = {"as the plan says": way.resize.by_plan, "by Pillow's BILINEAR": _bilinear_by_pillow}
    for what, first in _FIRST.items():
        for then, second in seconds.items():
            for side in sides:
                said = f"{what} of {side} pixels, and resizes that {then}"
                yield replace(sampled("interpolation", said, _in_two(first, side, second)), parameters=1)


def _thumbnail(image: Array, side: int) -> Array:
    """Bicubic, and behind a plain reduction where that is by two or more."""
    small = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
    small.thumbnail((side, side))
    made = np.asarray(small)
    return made if made.ndim == 3 else made[..., None]


def _long_side(flag: int, whole: Callable[[float], int]) -> Callable[[Array, int], Array]:
    def first(image: Array, side: int) -> Array:
        height, width = image.shape[:2]
        ratio = side / max(height, width)
        size_wh = max(1, whole(width * ratio)), max(1, whole(height * ratio))
        made = cv2.resize(image, size_wh, interpolation=flag)
        return np.asarray(made if made.ndim == 3 else made[..., None])

    return first


def _by_factor(flag: int) -> Callable[[Array, int], Array]:
    """cv2.resize(image, None, fx=factor, fy=factor), which samples by the factor and not by the sides that come of it."""

    def first(image: Array, side: int) -> Array:
        factor = side / max(image.shape[:2])
        made = cv2.resize(image, None, fx=factor, fy=factor, interpolation=flag)
        return np.asarray(made if made.ndim == 3 else made[..., None])

    return first


_FIRST: dict[str, Callable[[Array, int], Array]] = {
    "makes a thumbnail (Pillow's thumbnail())": _thumbnail,
    "resizes linearly (OpenCV's INTER_LINEAR) to a long side": _long_side(cv2.INTER_LINEAR, round),
    "averages areas (OpenCV's INTER_AREA) to a long side": _long_side(cv2.INTER_AREA, round),
    "resizes linearly (OpenCV's fx and fy) to a long side": _by_factor(cv2.INTER_LINEAR),
    "averages areas (OpenCV's fx and fy) to a long side": _by_factor(cv2.INTER_AREA),
    "resizes linearly (OpenCV's INTER_LINEAR, other sides cut) to a long side": _long_side(cv2.INTER_LINEAR, int),
    "averages areas (OpenCV's INTER_AREA, other sides cut) to a long side": _long_side(cv2.INTER_AREA, int),
}


def _bilinear_by_pillow(image: Array, size_hw: HW) -> Array:
    given = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
    made = np.asarray(given.resize(size_hw[::-1], Image.Resampling.BILINEAR))
    return made if made.ndim == 3 else made[..., None]


def _in_two(first: Callable[[Array, int], Array], side: int, second: Sample) -> Sample:
    def sample(image: Array, size_hw: HW) -> Array:
        small = first(image, side) if max(image.shape[:2]) > side else image
        return small if small.shape[:2] == size_hw else second(small, size_hw)

    return sample
