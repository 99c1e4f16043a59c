"""Faults from levels to the input's size: filters, modes, crops, padding, rows that are longer than they are taken for."""

from __future__ import annotations

from functools import partial

import cv2
import numpy as np
from PIL import Image

from faulty.injections.injection import ALL, BOXES, Injection, Setting, after, step
from faulty.pipelines import RESIZE, letterbox, resize_of, stretch
from faulty.way import Array, Placement


def pillow(filter: Image.Resampling):
    def by(image: Array, size_hw: tuple[int, int]) -> Array:
        return np.asarray(Image.fromarray(image).resize(size_hw[::-1], filter))

    return by


def grid(source: int, size: int, rule: str) -> Array:
    """Where each pixel's value is taken, in the source's pixel indices."""
    k = np.arange(size)
    if rule == "align_corners":
        return k * (source - 1) / max(size - 1, 1)
    return k * source / size if rule == "asymmetric" else (k + 0.5) * source / size - 0.5


def numpy_linear(rule: str):
    def by(image: Array, size_hw: tuple[int, int]) -> Array:
        values = image.astype(np.float64)
        for axis, size in enumerate(size_hw):
            at = np.clip(grid(image.shape[axis], size, rule), 0, image.shape[axis] - 1)
            low = np.floor(at).astype(int)
            high = np.minimum(low + 1, image.shape[axis] - 1)
            share = (at - low).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
            values = values.take(low, axis=axis) * (1 - share) + values.take(high, axis=axis) * share
        return np.round(values).astype(np.uint8)

    return by


def _resize(fault: str, variant: str, tasks: tuple[str, ...] = ALL, also: tuple[str, ...] = (), **changed) -> Injection:
    return Injection(fault, variant, step("resize", lambda s: resize_of(s.task, **changed)), tasks, also=also)


def _mode(variant: str, function, tasks: tuple[str, ...]) -> Injection:
    """Another mode, undone by its own rule: the results alone show what the model saw."""
    return Injection("resize-mode", variant, step("resize", lambda s: partial(function, size_hw=s.task.size_hw)), tasks)


def longer_rows(given: tuple[Array, Placement]) -> tuple[Array, Placement]:
    """The levels lie in memory with rows that are padded to 64 bytes, and are read as if they were not."""
    image, placement = given
    height, row = image.shape[0], image.shape[1] * image.shape[2]
    pitch = (row // 64 + 1) * 64
    memory = np.zeros((height, pitch), np.uint8)
    memory[:, :row] = image.reshape(height, row)
    return memory.reshape(-1)[: height * row].reshape(image.shape).copy(), placement


def rows_of_a_frame(setting: Setting):
    """The picture is a region of a larger frame, of which the resize is told the size but not how long a row is."""

    def resize(image: Array):
        height, width = image.shape[:2]
        frame = cv2.copyMakeBorder(image, 0, 0, 0, 16, cv2.BORDER_CONSTANT)
        sheared = frame.reshape(-1)[: height * width * 3].reshape(height, width, 3).copy()
        return RESIZE[setting.task.mode](sheared, size_hw=setting.task.size_hw)

    return resize


INJECTIONS = (
    _resize("antialias", "pillow-bilinear", by=pillow(Image.Resampling.BILINEAR), also=("interpolation",)),
    _resize("interpolation", "nearest", by=cv2.INTER_NEAREST),
    _resize("interpolation", "cubic", by=cv2.INTER_CUBIC),
    _resize("interpolation", "area", by=cv2.INTER_AREA),
    _resize("interpolation", "pillow-bicubic", by=pillow(Image.Resampling.BICUBIC), also=("antialias",)),
    _resize("interpolation", "pillow-nearest", by=pillow(Image.Resampling.NEAREST)),
    _resize("interpolation", "float-linear", by=numpy_linear("half_pixel")),
    _resize("half-pixel", "align-corners", by=numpy_linear("align_corners")),
    _resize("half-pixel", "asymmetric", by=numpy_linear("asymmetric")),
    _mode("stretch", stretch, ("detect", "text", "classify")),
    _mode("letterbox", letterbox, ("classify", "segment")),
    _resize("crop-fraction", "short-224", ("classify",), short=224),
    _resize("crop-fraction", "short-232", ("classify",), short=232),
    _resize("crop-fraction", "short-299", ("classify",), short=299),
    _resize("pad-value", "black", BOXES, pad=0),
    _resize("pad-value", "grey", BOXES, pad=128),
    _resize("pad-value", "white", BOXES, pad=255),
    _resize("pad-anchor", "top-left", BOXES, top_left=True),
    Injection("non-contiguous", "pitch-of-the-input", after("resize", longer_rows)),
    Injection("non-contiguous", "region-of-a-frame", step("resize", rows_of_a_frame)),
)
