"""Mistakes of where a box ends: in the last pixel or behind it, half a pixel aside, clipped or dropped at another edge.

For: a detector's boxes, whose numbers are read in the right order. Not for: that order (boxes.py), or shifts of any size
(shift_fits.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.diagnosis import detector
from seatrial.diagnosis.detector import Placed
from seatrial.diagnosis.mutation import Mutation
from seatrial.diagnosis.mutations.boxes import rule
from seatrial.kernels.geometry import Geometry

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
_END = np.array([0.0, 0.0, 1.0, 1.0])


def edge_mutations() -> Iterator[Mutation]:
    """Of a detector that detector.py has rules of."""
    yield from _last_pixels()
    yield from _half_pixels()
    for what, values in _CLIPS.items():
        yield replace(rule("unletterbox", what, "", **values), key="preprocess.mode")


def _last_pixels() -> Iterator[Mutation]:
    """As old code counts, in which a box of one pixel has a width of 1 and x2 = x1."""
    read: dict[str, Callable[[F32], F32]] = {
        "ends boxes in their last pixel (x2 = x1 + w - 1)": _moved_by(0, -1),
        "ends boxes a pixel behind their end (x2 = x1 + w + 1)": _moved_by(0, 1),
        "takes a width less one from the centre (x1 = cx - (w - 1) / 2)": _moved_by(0.5, -0.5),
    }
    for what, corners in read.items():
        yield rule("box-format", what, "format", corners=corners)
    written: dict[str, Placed] = {
        "writes width and height with one more (w = x2 - x1 + 1)": lambda b, _: b + _END,
        "writes the last pixel for the end of a box (x2 - 1)": lambda b, _: b - _END,
        "counts pixels of the picture from 1, as VOC's boxes do": lambda b, _: b + 1,
    }
    for what, form in written.items():
        yield rule("box-format", what, "format", written=form)


def _moved_by(first: float, second: float) -> Callable[[F32], F32]:
    by = np.array([first, first, second, second], np.float32)
    return lambda boxes: boxes + by


def _half_pixels() -> Iterator[Mutation]:
    for half in (-0.5, 0.5):
        said = f"moves boxes by half a pixel ({half:+g})"
        yield rule("unletterbox", f"{said} of the picture", "", back=_moved_in_picture(half))
        yield rule("unletterbox", f"{said} of the input", "", back=_moved_in_input(half))


def _moved_in_picture(by: float) -> Placed:
    return lambda b, g: detector.back(b, g) + by


def _moved_in_input(by: float) -> Placed:
    return lambda b, g: detector.back(b + by, g)


def _sides(hw: tuple[int, int]) -> F64:
    return np.array(hw[::-1] * 2, np.float64)


def _only(inside: Callable[[F64, Geometry], Any]) -> Placed:
    """NaN for the others, which no rule takes for a box."""
    return lambda b, g: np.where(inside(b, g)[:, None], b, np.nan)


def _in_picture(b: F64, g: Geometry) -> Any:
    placed = detector.back(b, g)
    return ((placed >= 0) & (placed <= _sides(g.source_hw))).all(axis=1)


def _in_input(b: F64, g: Geometry) -> Any:
    return ((b >= 0) & (b <= _sides(g.input_hw))).all(axis=1)


def _dropped(inside: Callable[[F64, Geometry], Any], before: bool) -> dict[str, Any]:
    """before: NMS, so that they suppress nobody."""
    kept = _only(inside)
    values: dict[str, Any] = {"back": lambda b, g: detector.back(kept(b, g), g)}
    return values | ({"suppressed": kept} if before else {})


_CLIPS: dict[str, dict[str, Any]] = {
    "clips boxes to the input, and not to the picture": {
        "back": lambda b, g: detector.back(np.clip(b, 0, _sides(g.input_hw)), g),
        "clip": False,
    },
    "clips boxes to the input's width and height in place of the picture's": {
        "back": lambda b, g: np.clip(detector.back(b, g), 0, _sides(g.input_hw)),
        "clip": False,
    },
    "clips x to the picture's height and y to its width": {
        "back": lambda b, g: np.clip(detector.back(b, g), 0, _sides(g.source_hw[::-1])),
        "clip": False,
    },
    "drops boxes that reach beyond the picture": _dropped(_in_picture, before=False),
    "drops boxes that reach beyond the picture before NMS": _dropped(_in_picture, before=True),
    "drops boxes that reach beyond the input": _dropped(_in_input, before=False),
    "drops boxes that reach beyond the input before NMS": _dropped(_in_input, before=True),
}
