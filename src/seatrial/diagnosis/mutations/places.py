"""Mistakes of where pixels go: the mode of the resize and its crop. Not for: sampling (samples.py) or padding (padding.py)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from seatrial.diagnosis.mutation import Mutation, setting
from seatrial.diagnosis.resize import HW, Border, Place
from seatrial.diagnosis.stages import RESIZED
from seatrial.diagnosis.way import Way
from seatrial.kernels.geometry import VARYING, Geometry, fit
from seatrial.pipeline.build import pick_input
from seatrial.plan import pipelines

# Share of the resized short side that is kept: torchvision's, timm's and others' usual ones.
CROP_FRACTIONS = (0.875, 0.9, 0.95, 0.965, 0.94, 0.96, 1.0, 0.85, 0.8)
# Of a letterbox where the plan has none, so that the plan does not say what it would pad with.
_USUAL_PADS = (0, 114, 127, 128, 255)
# Tasks whose results lie somewhere in the picture.
_WITH_PLACES = ("detect", "instances", "pose", "oriented", "text", "segment", "dense", "raw")


@dataclass(frozen=True)
class _Mode:
    what: str
    place: Place
    border: Border | None = None
    parameters: int = 0


def place_mutations(way: Way) -> Iterator[Mutation]:
    pre = way.spec.preprocess
    if not isinstance(pre, pipelines.Preprocess):
        return
    yield from _modes(way, pre)
    if pre.mode == "resize_center_crop":
        yield from _crops(pre)


def _modes(way: Way, pre: pipelines.Preprocess) -> Iterator[Mutation]:
    post = way.spec.postprocess
    placed = not isinstance(post, pipelines.Postprocess) or post.task in _WITH_PLACES
    for mode in _other_modes(pre):
        yield Mutation("resize-mode", mode.what, RESIZED, _placed(mode), "preprocess.mode", mode.parameters)
        if placed:
            what = f"{mode.what}, and brings results back as if it did not"
            yield Mutation("resize-mode", what, RESIZED, _placed(mode, back=True), "preprocess.mode", mode.parameters)
    for varying in VARYING:
        if varying != pre.mode and pre.resize_short is None and _takes_any_size(way):
            what = f"gives each image an input of its own size (mode {varying})"
            yield setting("resize-mode", what, RESIZED, "preprocess", mode=varying)


def _takes_any_size(way: Way) -> bool:
    fed = pick_input(way.subject.name, way.spec, way.subject.model)
    return sum(isinstance(side, str) or side is None for side in fed.shape[1:]) >= 2


def _placed(mode: _Mode, back: bool = False) -> Callable[[Way], Way]:
    def change(way: Way) -> Way:
        own = way.resize
        border = mode.border if mode.border is not None else own.border
        return way.with_resize(place=mode.place, border=border, back=own.kernel.geometry if back else own.back)

    return change


def _other_modes(pre: pipelines.Preprocess) -> Iterator[_Mode]:
    size = pre.size
    if pre.mode != "stretch":
        yield _Mode("stretches both sides to the size", lambda hw: fit(hw, size, "stretch"))
    yield from _swapped(pre)
    if pre.mode in ("letterbox", "rect"):
        for said, whole in _WHOLE.items():
            yield _Mode(f"{said}, which are rounded here", _letterbox(size, whole, pre.pad_anchor))
            if pre.pad_anchor == "center":
                where = "pads with an odd pixel at the left and above"
                # Two mistakes in one: either alone is meant where it does as well.
                place = _letterbox(size, whole, "odd_first")
                yield _Mode(f"{said}, which are rounded here, and {where}", place, parameters=1)
        small = _letterbox(size, round, pre.pad_anchor, largest=1.0)
        yield _Mode("keeps the aspect and pads, but never enlarges", small)
    else:
        for anchor, where in (("center", "on all sides"), ("top_left", "at the right and below")):
            for level in _USUAL_PADS:
                said = f"keeps the aspect and pads {where} with {level}"
                yield _Mode(said, _letterbox(size, round, anchor), (level,))
    if pre.mode != "resize_center_crop":
        said = "resizes the short side to the input's and crops the centre"
        yield _Mode(said, lambda hw: fit(hw, size, "resize_center_crop", resize_short=max(size)))
        said = "resizes the short side to 8/7 of the input's and crops the centre"
        yield _Mode(said, lambda hw: fit(hw, size, "resize_center_crop", resize_short=round(max(size) / 0.875)))
    for fraction in (0.875, 0.9, 0.95):
        said = f"stretches both sides to the size / {fraction:g} and crops the centre"
        yield _Mode(said, _squashed(size, fraction))
    if pre.mode != "pad":
        yield _Mode("does not resize, but crops or pads at the centre", _unresized(size))
        yield _Mode(
            "does not resize, but crops or pads at the right and below", lambda hw: Geometry(hw, hw, size, 0, 0)
        )


def _letterbox(size: HW, whole: Callable[[float], int], anchor: str, largest: float = float("inf")) -> Place:
    def place(hw: HW) -> Geometry:
        ratio = min(size[0] / hw[0], size[1] / hw[1], largest)
        resized = min(size[0], max(1, whole(hw[0] * ratio))), min(size[1], max(1, whole(hw[1] * ratio)))
        spare_h, spare_w = size[0] - resized[0], size[1] - resized[1]
        return Geometry(hw, resized, size, _offset(spare_w, anchor), _offset(spare_h, anchor))

    return place


def _offset(spare: int, anchor: str) -> int:
    if anchor == "top_left":
        return 0
    return -(-spare // 2) if anchor == "odd_first" else spare // 2


_WHOLE: dict[str, Callable[[float], int]] = {
    "cuts the resized sides to whole pixels": int,
    "rounds the resized sides up": math.ceil,
    "rounds halves of the resized sides up": lambda side: int(side + 0.5),
}


def _swapped(pre: pipelines.Preprocess) -> Iterator[_Mode]:
    """As cv2.resize given (h, w) where it takes (w, h), and Pillow's resize."""

    def turned(hw: HW) -> Geometry:
        g = fit(hw, pre.size, pre.mode, pre.pad_anchor, pre.resize_short)
        h, w = g.resized_hw[::-1]
        anchor = "center" if pre.mode == "resize_center_crop" else pre.pad_anchor
        spare_h, spare_w = pre.size[0] - h, pre.size[1] - w
        return Geometry(hw, (h, w), pre.size, _offset(spare_w, anchor), _offset(spare_h, anchor))

    if pre.mode in ("letterbox", "resize_center_crop"):
        yield _Mode("resizes to the new height for the width, and to the width for the height", turned)
    if pre.size[0] != pre.size[1] and pre.mode in ("letterbox", "stretch", "resize_center_crop"):
        size = pre.size[::-1]
        said = "gives the input's height for its width, and its width for its height"
        yield _Mode(said, lambda hw: fit(hw, size, pre.mode, pre.pad_anchor, pre.resize_short))


def _squashed(size: HW, fraction: float) -> Place:
    larger = round(size[0] / fraction), round(size[1] / fraction)
    left, top = -round((larger[1] - size[1]) / 2), -round((larger[0] - size[0]) / 2)
    return lambda hw: Geometry(hw, larger, size, left, top)


def _unresized(size: HW) -> Place:
    return lambda hw: Geometry(hw, hw, size, (size[1] - hw[1]) // 2, (size[0] - hw[0]) // 2)


def short_of(pre: pipelines.Preprocess) -> int:
    """The short side that the plan's crop is taken from."""
    return pre.resize_short or round(min(pre.size) / 0.875)


def cropped_from(short: int, what: str, parameters: int = 0) -> Mutation:
    return Mutation(
        "crop-fraction",
        what,
        RESIZED,
        lambda way: way.with_settings("preprocess", resize_short=short),
        "preprocess.resize_short",
        parameters,
    )


def _crops(pre: pipelines.Preprocess) -> Iterator[Mutation]:
    side, ours = min(pre.size), short_of(pre)
    sides = {whole(side / f): f for f in CROP_FRACTIONS for whole in (int, round)}
    for short, fraction in sides.items():
        if short != ours:
            yield cropped_from(short, f"resizes the short side to {short} (crop fraction {fraction:g})")
    roundings: dict[str, tuple[Callable[[float], int], Callable[[int], int]]] = {
        "rounds the long side, which is cut to whole pixels here": (round, lambda spare: round(spare / 2)),
        "rounds the long side up, which is cut to whole pixels here": (math.ceil, lambda spare: round(spare / 2)),
        "crops at the lower of two centre pixels": (int, lambda spare: spare // 2),
        "crops at the upper of two centre pixels": (int, lambda spare: -(-spare // 2)),
        "rounds the long side and crops at the lower of two centre pixels": (round, lambda spare: spare // 2),
    }
    for what, (whole, half) in roundings.items():
        mode = _Mode(what, _crop(pre.size, ours, whole, half))
        yield Mutation("crop-fraction", what, RESIZED, _placed(mode), "preprocess.resize_short")


def _crop(size: HW, short: int, whole: Callable[[float], int], half: Callable[[int], int]) -> Place:
    def place(hw: HW) -> Geometry:
        h, w = hw
        resized = (short, whole(short * w / h)) if h <= w else (whole(short * h / w), short)
        spare_h, spare_w = resized[0] - size[0], resized[1] - size[1]
        if min(spare_h, spare_w) < 0:
            return fit(hw, size, "resize_center_crop", resize_short=short)
        return Geometry(hw, resized, size, -half(spare_w), -half(spare_h))

    return place
