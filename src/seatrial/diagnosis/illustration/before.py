"""Faults in front of the model, made by the mutations that the diagnosis tries, in the demo's own pipeline.

For: pixels at the stage where the fault is first seen. Not for: boxes (behind.py). The model is never run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.demo import PLAN
from seatrial.diagnosis.illustration.chroma import REPEATED_CHROMA
from seatrial.diagnosis.illustration.sides import U8, Sides, encoded
from seatrial.diagnosis.mutations.every import mutations_of
from seatrial.diagnosis.runner import Runner
from seatrial.diagnosis.stages import INPUT
from seatrial.diagnosis.way import Feeds, Subject, Way, way_of
from seatrial.model.file import inspect_model
from seatrial.plan.load import load_plan

Array = npt.NDArray[Any]
# Slices of rows and columns, in shares of the image.
Window = tuple[tuple[float, float], tuple[float, float]]
_ALL: Window = ((0.0, 1.0), (0.0, 1.0))
_IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
_CROPPED = {"mode": "resize_center_crop", "resize_short": 366}
_SMOOTH = {"interpolation": "antialias_linear"}


@dataclass(frozen=True)
class Made:
    """says: words of the mutation's own, where a fault has several. image: a scene or a telling picture. preprocess: what the
    demo's plan has otherwise, so that the fault can be made. window: what of the image is shown."""

    says: str = ""
    image: str = "scene-06.jpg"
    preprocess: Mapping[str, Any] = field(default_factory=dict)
    window: Window = _ALL


MADE = {
    "exif": Made("does not turn", "exif-6.jpg"),
    "jpeg-decoder": Made("repeats", "coloured-edges-420.jpg", window=((0.3, 0.5), (0.3, 0.5))),
    "yuv-range": Made("limited-range YUV for full"),
    "yuv-matrix": Made("", "coloured-edges-444.jpg"),
    "chroma-subsampling": Made("interpolated", "coloured-edges-444.jpg", window=((0.3, 0.5), (0.3, 0.5))),
    "alpha-or-depth": Made("on black", "alpha.png"),
    "antialias": Made("resizes linearly", "fine-detail-1280.png", _SMOOTH, ((0.1, 0.6), (0.1, 0.6))),
    "interpolation": Made("nearest", preprocess=_SMOOTH, window=((0.3, 0.6), (0.3, 0.6))),
    "half-pixel": Made("align_corners", "small.png", window=((0.3, 0.6), (0.3, 0.6))),
    "resize-mode": Made("stretches"),
    "crop-fraction": Made("crop fraction 1)", preprocess=_CROPPED),
    "pad-value": Made("pads with 0"),
    "pad-anchor": Made("right and below"),
    "channel-order": Made(),
    "scale-missing": Made(),
    "scale-doubled": Made(),
    "scale-wrong": Made("127.5"),
    "mean-std": Made("no mean", preprocess=_IMAGENET),
    "normalise-order": Made(preprocess=_IMAGENET),
    "layout-reshape": Made("reshapes HWC"),
    "non-contiguous": Made("transposed"),
}


def sides_before(fault: str) -> Sides:
    made = MADE[fault]
    way = _demo_way(made)
    mutation = next(m for m in (REPEATED_CHROMA, *mutations_of(way)) if m.fault == fault and made.says in m.what)
    runner = Runner(lambda _: encoded(made.image))
    right, wrong = (runner.at(w, 0, mutation.stage).value for w in (way, mutation.change(way)))
    if mutation.stage == INPUT:
        right, wrong = _as_pixels(right, right), _as_pixels(wrong, right)
    return Sides(_within(right, made.window), _within(wrong, made.window), mutation.what, made.image)


def _demo_way(made: Made) -> Way:
    changes = {f"pipelines.baseline.preprocess.{key}": value for key, value in made.preprocess.items()}
    plan = load_plan(PLAN, changes)
    return way_of(_subject(), plan.plan.pipelines["baseline"])


@cache
def _subject() -> Subject:
    def never(_feeds: Feeds) -> list[Array]:
        raise AssertionError("the fault lies in front of the model")

    return Subject("baseline", inspect_model(PLAN.parent / "models" / "seamarks-v1.onnx"), PLAN.parent, never)


def _as_pixels(tensor: Array, reference: Array) -> U8:
    """(1, 3, H, W) in RGB as BGR pixels: black and white are where the reference has its least and greatest value."""
    low, high = float(reference.min()), float(reference.max())
    levels = (tensor[0].transpose(1, 2, 0)[..., ::-1].astype(np.float32) - low) * (255 / (high - low))
    return np.asarray(np.rint(np.clip(levels, 0, 255)), np.uint8)


def _within(image: U8, window: Window) -> U8:
    """Small windows are drawn large, pixel by pixel."""
    rows, columns = (
        slice(round(a * side), round(b * side)) for (a, b), side in zip(window, image.shape[:2], strict=True)
    )
    return np.ascontiguousarray(image[rows, columns])
