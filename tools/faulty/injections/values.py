"""Faults from the input's levels to the tensor: order, scale, mean and std, layout."""

from __future__ import annotations

import cv2
import numpy as np

from faulty.injections.injection import ALL, BOXES, Injection, Setting, step
from faulty.pipelines import tensor_of
from faulty.tasks import ZERO
from faulty.way import Array, Placement, Steps

NORMALISED = ("classify", "text", "segment")
HALF = (0.5, 0.5, 0.5)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
CAFFE = (103.939, 116.779, 123.68)
# The same numbers as levels of 255, as torchvision-less code has them.
LEVELS, LEVEL_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
SQUARE = ("detect", "classify", "text")


def channels_kept(setting: Setting):
    right = tensor_of(setting.task)
    return lambda image: right(image[:, :, ::-1])


def bgr_means(setting: Setting):
    """cv2.dnn.blobFromImage without swapRB, mean and std of R, G, B."""
    mean, std = np.array(setting.task.mean), np.float32(setting.task.std)

    def tensor(image: Array) -> Array:
        blob = cv2.dnn.blobFromImage(image, 1 / 255, mean=tuple(255 * mean), swapRB=False)
        return np.ascontiguousarray(blob / std.reshape(1, 3, 1, 1), np.float32)

    return tensor


def order_turned(setting: Setting):
    """mean and std, which are of 0 to 1, before the division by 255."""

    def tensor(image: Array) -> Array:
        rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB).astype(np.float32)
        values = (rgb - np.float32(setting.task.mean)) / np.float32(setting.task.std) / np.float32(255)
        return np.ascontiguousarray(values.transpose(2, 0, 1)[None])

    return tensor


def caffe(image: Array) -> Array:
    """BGR less Caffe's mean, not scaled: what Keras' caffe mode and old detectors take."""
    return np.ascontiguousarray((image.astype(np.float32) - np.float32(CAFFE)).transpose(2, 0, 1)[None])


def reshaped(setting: Setting):
    right = tensor_of(setting.task)

    def tensor(image: Array) -> Array:
        values = right(image)
        return np.ascontiguousarray(values[0].transpose(1, 2, 0)).reshape(values.shape)

    return tensor


def width_first(setting: Setting):
    right = tensor_of(setting.task)
    return lambda image: np.ascontiguousarray(right(image).swapaxes(2, 3))


def reversed_view(setting: Setting):
    """A view that runs its channels backwards, handed on by its address: what is read begins two values late."""
    right = tensor_of(setting.task)

    def tensor(image: Array) -> Array:
        values = right(image)
        memory = np.ascontiguousarray(values[0, ::-1].transpose(1, 2, 0)).reshape(-1)
        return np.concatenate([memory[2:], memory[:2]]).reshape(values.shape)

    return tensor


def padded_after(steps: Steps, setting: Setting) -> Steps:
    """The padding is put around the tensor, as zeros, when mean and std are through."""
    from dataclasses import replace

    place: list[Placement] = []

    def resize(image: Array):
        out, placement = steps.resize(image)
        place[:] = [placement]
        return out, placement

    def tensor(image: Array) -> Array:
        values, where = tensor_of(setting.task)(image), place[0]
        inside = np.zeros(values.shape[2:], bool)
        (h, w), (sx, sy), (ox, oy) = where.source_hw, where.scale_xy, where.offset_xy
        inside[oy : oy + round(h * sy), ox : ox + round(w * sx)] = True
        return np.where(inside, values, 0).astype(np.float32)

    return replace(steps, resize=resize, tensor=tensor)


def _tensor(fault: str, variant: str, tasks: tuple[str, ...] = ALL, **changed) -> Injection:
    return Injection(fault, variant, step("tensor", lambda s: tensor_of(s.task, **changed)), tasks)


INJECTIONS = (
    Injection("channel-order", "bgr", step("tensor", channels_kept)),
    _tensor("scale-missing", "no-division", scale=1.0),
    _tensor("scale-doubled", "divided-twice", scale=1 / 255 / 255),
    _tensor("scale-wrong", "256", scale=1 / 256),
    _tensor("scale-wrong", "200", scale=1 / 200),
    _tensor("scale-wrong", "127.5", scale=1 / 127.5),
    _tensor("mean-std", "imagenet", ("detect",), mean=MEAN, std=STD),
    _tensor("mean-std", "half", mean=HALF, std=HALF),
    _tensor("mean-std", "clip", mean=CLIP_MEAN, std=CLIP_STD),
    _tensor("mean-std", "none", NORMALISED, mean=ZERO, std=(1.0, 1.0, 1.0)),
    _tensor("mean-std", "mean-only", NORMALISED, std=(1.0, 1.0, 1.0)),
    _tensor("mean-std", "turned", NORMALISED, mean=MEAN[::-1], std=STD[::-1]),
    _tensor("mean-std", "levels-on-fractions", mean=LEVELS, std=LEVEL_STD),
    _tensor("mean-std", "levels-mean-on-fractions", mean=LEVELS, std=(1.0, 1.0, 1.0)),
    _tensor("mean-std", "minus-one-to-one-of-the-plan-s", NORMALISED, mean=HALF, std=(1.0, 1.0, 1.0)),
    Injection("channel-order", "bgr-with-rgb-means", step("tensor", bgr_means), NORMALISED),
    Injection("mean-std", "caffe", step("tensor", lambda _s: caffe), also=("channel-order", "scale-missing")),
    Injection("normalise-order", "before-the-division", step("tensor", order_turned), NORMALISED),
    Injection("pad-value", "zero-after-normalising", padded_after, BOXES),
    Injection("layout-reshape", "reshape", step("tensor", reshaped), also=("non-contiguous",)),
    Injection("layout-reshape", "width-first", step("tensor", width_first), SQUARE),
    Injection("non-contiguous", "reversed-view", step("tensor", reversed_view), also=("layout-reshape",)),
)
