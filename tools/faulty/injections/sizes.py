"""Faults of the size that a picture gets, and of resizing it at another time, in floats or twice.

For: letterboxes that round otherwise, sides that change places, orders of resize and normalisation. Not for: filters alone
(resize.py).
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import cv2
import numpy as np
from PIL import Image

from faulty.injections.injection import ALL, BOXES, Injection, Setting, step
from faulty.injections.resize import pillow
from faulty.pipelines import resize_of
from faulty.way import Array, Placement, Steps


def laid(small: Array, source_hw: tuple[int, int], size_hw: tuple[int, int], odd_first: bool = False):
    """On a canvas, in its middle; an odd row or column of it behind the picture, or in front."""
    spare_h, spare_w = size_hw[0] - small.shape[0], size_hw[1] - small.shape[1]
    top, left = (-(-spare_h // 2), -(-spare_w // 2)) if odd_first else (spare_h // 2, spare_w // 2)
    canvas = np.full((*size_hw, 3), 114, small.dtype)
    canvas[top : top + small.shape[0], left : left + small.shape[1]] = small
    scale = small.shape[1] / source_hw[1], small.shape[0] / source_hw[0]
    return canvas, Placement(source_hw, size_hw, scale, (left, top))


def letterbox(image: Array, size_hw: tuple[int, int], whole=round, odd_first: bool = False, by=None):
    height, width = image.shape[:2]
    ratio = min(size_hw[0] / height, size_hw[1] / width)
    new_w, new_h = min(size_hw[1], whole(width * ratio)), min(size_hw[0], whole(height * ratio))
    small = by(image, (new_h, new_w)) if by else cv2.resize(image, (new_w, new_h))
    return laid(small, (height, width), size_hw, odd_first)


def sides_swapped(image: Array, size_hw: tuple[int, int], by_shape: bool = True):
    """cv2.resize(image, (h, w)): as high as it should be wide. by_shape: the way back goes by what came out, not by what was
    meant."""
    height, width = image.shape[:2]
    ratio = min(size_hw[0] / height, size_hw[1] / width)
    new_w, new_h = round(width * ratio), round(height * ratio)
    canvas, placed = laid(cv2.resize(image, (new_h, new_w)), (height, width), size_hw)
    if by_shape:
        return canvas, placed
    meant = (size_hw[1] - new_w) // 2, (size_hw[0] - new_h) // 2
    return canvas, replace(placed, scale_xy=(new_w / width, new_h / height), offset_xy=meant)


def of_size(function, **changed):
    return step("resize", lambda s: partial(function, size_hw=s.task.size_hw, **changed))


def normalised_first(interpolation: int):
    """mean and std on the whole picture, then cv2.resize of floats: levels are not rounded in between."""

    def change(steps: Steps, setting: Setting) -> Steps:
        mean, std = np.float32(setting.task.mean), np.float32(setting.task.std)

        def normalised(image: Array, size_hw: tuple[int, int]) -> Array:
            values = (image[:, :, ::-1].astype(np.float32) / np.float32(255) - mean) / std
            small = cv2.resize(values, size_hw[::-1], interpolation=interpolation)
            return ((small * std + mean) * np.float32(255))[:, :, ::-1]

        return replace(steps, resize=resize_of(setting.task, by=normalised), tensor=of_levels(setting))

    return change


def of_levels(setting: Setting):
    """Levels between whole ones to the tensor."""
    mean, std = np.float32(setting.task.mean), np.float32(setting.task.std)

    def tensor(image: Array) -> Array:
        values = (image[:, :, ::-1].astype(np.float32) / np.float32(255) - mean) / std
        return np.ascontiguousarray(values.transpose(2, 0, 1)[None], np.float32)

    return tensor


def in_floats(by):
    def change(steps: Steps, setting: Setting) -> Steps:
        return replace(steps, resize=resize_of(setting.task, by=by), tensor=of_levels(setting))

    return change


def pillow_floats(filter: Image.Resampling):
    """Pillow's own float images, a channel each: antialiased and not rounded, as torchvision's of a float tensor."""

    def by(image: Array, size_hw: tuple[int, int]) -> Array:
        planes = [Image.fromarray(np.ascontiguousarray(image[..., c], np.float32)) for c in range(3)]
        return np.stack([np.asarray(p.resize(size_hw[::-1], filter)) for p in planes], axis=-1)

    return by


def thumbnail_first(side: int, then):
    """Image.thumbnail((side, side)), which is Pillow's bicubic with a gap, and then the size. then: of (image, size)."""

    def by(image: Array, size_hw: tuple[int, int]) -> Array:
        small = Image.fromarray(image)
        small.thumbnail((side, side))
        return then(np.asarray(small), size_hw)

    return by


def opencv_first(side: int, first: int, second: int):
    """The long side to `side`, as a camera's service does for transport, and then the size."""

    def by(image: Array, size_hw: tuple[int, int]) -> Array:
        height, width = image.shape[:2]
        ratio = min(1.0, side / max(height, width))
        small = cv2.resize(image, (round(width * ratio), round(height * ratio)), interpolation=first)
        return cv2.resize(small, size_hw[::-1], interpolation=second)

    return by


def linear(image: Array, size_hw: tuple[int, int]) -> Array:
    return cv2.resize(image, size_hw[::-1])


def _resize(fault: str, variant: str, tasks=ALL, also=(), **changed) -> Injection:
    return Injection(fault, variant, step("resize", lambda s: resize_of(s.task, **changed)), tasks, also=also)


TWO_STEPS = ("antialias",)
INJECTIONS = (
    Injection("resize-mode", "sides-cut", of_size(letterbox, whole=int), BOXES),
    Injection("resize-mode", "sides-ceiled", of_size(letterbox, whole=math.ceil), BOXES),
    Injection("resize-mode", "sides-half-up", of_size(letterbox, whole=lambda v: int(v + 0.5)), BOXES),
    Injection("resize-mode", "sides-cut-odd-first", of_size(letterbox, whole=int, odd_first=True), BOXES,
              also=("pad-anchor",)),
    Injection("pad-anchor", "odd-pixel-first", of_size(letterbox, odd_first=True), BOXES),
    Injection("resize-mode", "sides-swapped", of_size(sides_swapped), BOXES),
    Injection("resize-mode", "sides-swapped-way-back-as-meant", of_size(sides_swapped, by_shape=False), BOXES),
    Injection("interpolation", "normalised-first", normalised_first(cv2.INTER_LINEAR), also=("normalise-order",)),
    Injection("interpolation", "normalised-first-cubic", normalised_first(cv2.INTER_CUBIC), also=("normalise-order",)),
    Injection("antialias", "pillow-floats", in_floats(pillow_floats(Image.Resampling.BILINEAR)), also=("interpolation",)),
    _resize("interpolation", "thumbnail-500-then-linear", by=thumbnail_first(500, linear), also=TWO_STEPS),
    _resize("interpolation", "thumbnail-512-then-bilinear", by=thumbnail_first(512, pillow(Image.Resampling.BILINEAR)),
            also=TWO_STEPS),
    _resize("interpolation", "linear-480-then-linear", by=opencv_first(480, cv2.INTER_LINEAR, cv2.INTER_LINEAR),
            also=TWO_STEPS),
    _resize("interpolation", "area-512-then-linear", by=opencv_first(512, cv2.INTER_AREA, cv2.INTER_LINEAR),
            also=TWO_STEPS),
)  # fmt: skip
