"""Mistakes of where pixels go: the resize, its mode, crop and padding. Not for: sampling grids (sampling.py)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from seatrial.diagnosis.mutation import Mutation, setting
from seatrial.diagnosis.stages import RESIZED
from seatrial.diagnosis.way import Way
from seatrial.plan import pipelines

_SAMPLED = {
    "linear": "resizes linearly without antialiasing (OpenCV's INTER_LINEAR)",
    "nearest": "takes the nearest pixel (OpenCV's INTER_NEAREST)",
    "area": "averages areas (OpenCV's INTER_AREA)",
    "cubic": "resizes cubically without antialiasing (OpenCV's INTER_CUBIC)",
    "antialias_linear": "resizes linearly with antialiasing (Pillow's, torchvision's)",
    "antialias_cubic": "resizes cubically with antialiasing (Pillow's, torchvision's)",
}
# Share of the resized short side that is kept: torchvision's, timm's and others' usual ones.
CROP_FRACTIONS = (0.875, 0.9, 0.95, 0.965, 0.94, 0.96, 1.0, 0.85, 0.8)
PADS = (0, 114, 127, 128, 255, 104, 123)


def place_mutations(way: Way) -> Iterator[Mutation]:
    pre = way.spec.preprocess
    if not isinstance(pre, pipelines.Preprocess):
        return
    for how, what in _SAMPLED.items():
        if how != pre.interpolation:
            yield _set(_fault_of(pre.interpolation, how), what, interpolation=how)
    yield from _modes(pre)
    if pre.mode == "resize_center_crop":
        yield from _crops(pre)
    if pre.mode in ("letterbox", "pad", "rect", "keep_ratio"):
        for level in PADS:
            if level != pre.pad_value:
                yield _set("pad-value", f"pads with {level}", pad_value=level)
        other = "top_left" if pre.pad_anchor == "center" else "center"
        where = "pads at the right and below alone" if other == "top_left" else "pads on all sides"
        yield _set("pad-anchor", where, pad_anchor=other)


def _set(fault: str, what: str, **values: Any) -> Mutation:
    return setting(fault, what, RESIZED, "preprocess", **values)


def _fault_of(ours: str, other: str) -> str:
    """Whether the two differ by the filter's width alone."""
    pair = {ours, other}
    return "antialias" if pair in ({"linear", "antialias_linear"}, {"cubic", "antialias_cubic"}) else "interpolation"


def _modes(pre: pipelines.Preprocess) -> Iterator[Mutation]:
    words = {
        "letterbox": "keeps the aspect and pads",
        "stretch": "stretches both sides to the size",
        "resize_center_crop": "resizes the short side and crops the centre",
    }
    # What only other modes read must not stand in the plan.
    cleared: dict[str, Any] = {} if pre.resize_short is None else {"resize_short": None}
    for mode, what in words.items():
        if mode == pre.mode:
            continue
        extra = cleared if mode != "resize_center_crop" else {"resize_short": min(pre.size)}
        yield _set("resize-mode", what, mode=mode, **extra)


def _crops(pre: pipelines.Preprocess) -> Iterator[Mutation]:
    ours = pre.resize_short or round(min(pre.size) / 0.875)
    sides = {round(min(pre.size) / f): f for f in CROP_FRACTIONS}
    sides |= {int(min(pre.size) / f): f for f in CROP_FRACTIONS}
    for short, fraction in sides.items():
        if short != ours:
            what = f"resizes the short side to {short} (crop fraction {fraction:g})"
            yield _set("crop-fraction", what, resize_short=short)
