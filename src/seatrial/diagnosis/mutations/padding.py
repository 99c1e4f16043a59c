"""Mistakes of padding: its level, when it is laid, and on which sides. Not for: whether there is any (places.py)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from seatrial.diagnosis.at import At
from seatrial.diagnosis.mutation import Mutation, setting
from seatrial.diagnosis.resize import HW, Border, Place, content
from seatrial.diagnosis.stages import INPUT, RESIZED
from seatrial.diagnosis.tensors import as_hwc, like_hwc
from seatrial.diagnosis.way import Way
from seatrial.kernels.geometry import Geometry
from seatrial.plan import pipelines

PADDED = ("letterbox", "pad", "rect", "keep_ratio")
LEVELS = (0, 114, 127, 128, 255, 104, 123)
# R, G, B: ImageNet's mean in levels, and Caffe's.
_COLORS = {"ImageNet's mean": (124, 116, 104), "Caffe's mean": (123, 117, 104)}
_EDGES = {"replicate": "pads by repeating the image's border", "reflect": "pads by reflecting the image"}


def padding_mutations(way: Way) -> Iterator[Mutation]:
    pre = way.spec.preprocess
    if not isinstance(pre, pipelines.Preprocess) or pre.mode not in PADDED:
        return
    for level in LEVELS:
        if level != pre.pad_value:
            yield padded((level,), f"pads with {level}")
    if way.spec.decode.color != "gray":
        for name, color in _COLORS.items():
            yield padded(in_image_order(way, color), f"pads with {name}, {color}")
    for edge, what in _EDGES.items():
        yield padded(edge, what)
    if any(pre.mean):
        yield filled((0.0,), "pads with 0 after normalising, a value that no level gives")
    yield from _anchors(pre)


def in_image_order(way: Way, color_rgb: tuple[int, ...]) -> tuple[int, ...]:
    return color_rgb[::-1] if way.spec.decode.color == "bgr" else color_rgb


def padded(border: Border, what: str, parameters: int = 0) -> Mutation:
    return Mutation(
        "pad-value", what, RESIZED, lambda way: way.with_resize(border=border), "preprocess.pad_value", parameters
    )


def filled(values: tuple[float, ...], what: str, parameters: int = 0) -> Mutation:
    """The border of the finished tensor: one value, or one a channel."""

    def fill(at: At) -> At:
        if at.geometry is None:
            return at
        hwc = as_hwc(at.value)
        out = np.empty_like(hwc)
        out[...] = values
        rows, columns = content(at.geometry)
        out[rows, columns] = hwc[rows, columns]
        return At(like_hwc(out, at.value), at.geometry)

    return Mutation("pad-value", what, INPUT, lambda way: way.behind(INPUT, fill), "preprocess.pad_value", parameters)


def _anchors(pre: pipelines.Preprocess) -> Iterator[Mutation]:
    other = "top_left" if pre.pad_anchor == "center" else "center"
    where = "pads at the right and below alone" if other == "top_left" else "pads on all sides"
    yield setting("pad-anchor", where, RESIZED, "preprocess", pad_anchor=other)
    moves: dict[str, Callable[[int, int], tuple[int, int]]] = {
        "pads at the left and above alone": lambda x, y: (x, y),
        "pads at the left and below alone": lambda x, _y: (x, 0),
        "pads at the right and above alone": lambda _x, y: (0, y),
        "pads on all sides, an odd pixel at the left and above": lambda x, y: (-(-x // 2), -(-y // 2)),
    }
    for what, offset in moves.items():
        yield Mutation("pad-anchor", what, RESIZED, _moved(offset), "preprocess.pad_anchor")


def _moved(offset: Callable[[int, int], tuple[int, int]]) -> Callable[[Way], Way]:
    """offset: of the spare columns and rows, to left and top."""

    def change(way: Way) -> Way:
        own = way.resize

        def place(hw: HW) -> Geometry:
            g = (own.place or own.kernel.geometry)(hw)
            (height, width), (h, w) = g.input_hw, g.resized_hw
            left, top = offset(max(0, width - w), max(0, height - h))
            return Geometry(g.source_hw, g.resized_hw, g.input_hw, left, top)

        placed: Place = place
        return way.with_resize(place=placed)

    return change
