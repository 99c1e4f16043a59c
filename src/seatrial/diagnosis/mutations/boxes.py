"""Mistakes of boxes: how their four numbers are read and written, what these count, and the way back to the picture.

For: detectors' boxes, and the way back of whatever lies in the picture. Not for: which boxes stay (thresholds.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.diagnosis import detector
from seatrial.diagnosis.detector import (
    CENTRE,
    CENTRE_Y_FIRST,
    CORNER_SIZE,
    CORNER_SIZE_Y_FIRST,
    CORNERS,
    FAMILIES,
    Y_FIRST,
    Placed,
    Rules,
    with_rules,
)
from seatrial.diagnosis.mutation import Mutation
from seatrial.diagnosis.stages import RESULTS
from seatrial.diagnosis.way import At, Way
from seatrial.kernels.detector_format import FRACTIONS, PIXELS, SOURCE
from seatrial.kernels.geometry import Geometry
from seatrial.plan import pipelines, tasks

F64 = npt.NDArray[np.float64]
_FORMS = {
    CORNERS: "x1, y1, x2, y2",
    CENTRE: "the centre's x, y, width, height",
    CORNER_SIZE: "the corner's x, y, width, height",
    Y_FIRST: "y1, x1, y2, x2",
    CENTRE_Y_FIRST: "the centre's y, x, height, width",
    CORNER_SIZE_Y_FIRST: "the corner's y, x, height, width",
}


def box_mutations(post: pipelines.Postprocess) -> Iterator[Mutation]:
    if post.task == "detect" and post.format in FAMILIES:
        yield from _read(post)
        yield from _counted(post)
        yield from _back_of_boxes()
        yield from _written()
    elif post.task in (*tasks.OBJECTS, "segment", "dense") or post.format == "db":
        yield from _back_of_all(masks=post.task in ("segment", "dense"))


def rule(fault: str, what: str, key: str, parameters: int = 0, **values: Any) -> Mutation:
    """A detector's rules with other values."""

    def change(rules: Rules) -> Rules:
        return replace(rules, **values)

    return Mutation(
        fault, what, RESULTS, lambda way: with_rules(way, change), f"postprocess.{key}" if key else "", parameters
    )


def _read(post: pipelines.Postprocess) -> Iterator[Mutation]:
    own = FAMILIES[post.format or ""].form
    for form, said in _FORMS.items():
        if form != own:
            # Turned inside out, such boxes are dropped by some code and kept by other.
            yield rule("box-format", f"reads boxes as {said}", "format", form=form)
            kept = f"reads boxes as {said}, and keeps what has no area"
            yield rule("box-format", kept, "format", 1, form=form, keeps_empty=True)


def _counted(post: pipelines.Postprocess) -> Iterator[Mutation]:
    own = post.boxes or FAMILIES[post.format or ""].unit
    words = {
        PIXELS: "takes boxes for pixels of the input",
        FRACTIONS: "takes boxes for fractions of the input and multiplies them by its sides",
        SOURCE: "takes boxes for pixels of the picture",
    }
    for unit, said in words.items():
        if unit == own:
            continue
        fault = "unletterbox" if {unit, own} == {PIXELS, SOURCE} else "box-normalised"
        yield rule(fault, said, "boxes", unit=unit)
        yield rule(fault, f"{said}, and does not clip them", "boxes", 1, unit=unit, clip=False, keeps_empty=True)
    if own == FRACTIONS:
        yield rule("box-normalised", "multiplies x by the height and y by the width", "boxes", unit="fractions_hw")


def _back_of_boxes() -> Iterator[Mutation]:
    key = "preprocess.mode"
    for said, back in BACKS.items():
        yield _way_back(said, key, 0, back=back)
        yield _way_back(f"{said}, and does not clip them", key, 1, back=back, clip=False, keeps_empty=True)
    yield _way_back("does not clip boxes to the picture", "", 0, clip=False)
    yield _way_back("clips boxes to the last pixel's index", "", 0, margin=1)


def _way_back(what: str, key: str, parameters: int, **values: Any) -> Mutation:
    return replace(rule("unletterbox", what, "", parameters, **values), key=key)


def _scales(g: Geometry) -> F64:
    return np.array([g.scale_x, g.scale_y] * 2)


def _offsets(g: Geometry) -> F64:
    return np.array([g.offset_x, g.offset_y] * 2, np.float64)


def _ratio(g: Geometry) -> float:
    """The letterbox's, before its sides are rounded to whole pixels."""
    return min(g.input_hw[0] / g.source_hw[0], g.input_hw[1] / g.source_hw[1])


def _spare(g: Geometry) -> F64:
    """Half of the padding, not rounded."""
    r = _ratio(g)
    return np.array([(g.input_hw[1] - g.source_hw[1] * r) / 2, (g.input_hw[0] - g.source_hw[0] * r) / 2] * 2)


def _as_if_stretched(b: F64, g: Geometry) -> F64:
    return np.asarray(b / np.array([g.input_hw[1] / g.source_hw[1], g.input_hw[0] / g.source_hw[0]] * 2))


def _as_if_turned(b: F64, g: Geometry) -> F64:
    """Of a picture whose shape is read as width and height."""
    return np.asarray(b * np.array([g.source_hw[0] / g.input_hw[1], g.source_hw[1] / g.input_hw[0]] * 2))


def _longer(g: Geometry) -> float:
    return max(g.input_hw[0] / g.source_hw[0], g.input_hw[1] / g.source_hw[1])


def _longer_ratio(b: F64, g: Geometry) -> F64:
    return np.asarray((b - _offsets(g)) / _longer(g))


def _rounded(digits: int) -> Placed:
    return lambda b, g: (b - _offsets(g)) / _short_ratio(g, digits)


def _short_ratio(g: Geometry, digits: int) -> float:
    """Never nothing: a scale of 0 brings nothing back."""
    return max(round(_ratio(g), digits), 10.0**-digits)


_DIGITS = {1: "one digit", 2: "two digits", 3: "three digits"}
BACKS: dict[str, Placed] = {
    "leaves boxes in pixels of the input": lambda b, _: b,
    "takes the padding off, and does not scale": lambda b, g: b - _offsets(g),
    "scales back without taking the padding off": lambda b, g: b / _scales(g),
    "takes the padding off after scaling": lambda b, g: b / _scales(g) - _offsets(g),
    "adds the padding in place of taking it off": lambda b, g: (b + _offsets(g)) / _scales(g),
    "takes the padding's top off x and its left off y": lambda b, g: (b - _offsets(g)[[1, 0, 3, 2]]) / _scales(g),
    "scales each side by itself, as after a stretch": _as_if_stretched,
    "scales by the other side's ratio": _longer_ratio,
    "scales x by the height's ratio and y by the width's, as after a stretch": _as_if_turned,
    "takes off half of the padding on both sides, where it is at one": lambda b, g: (b - _spare(g)) / _ratio(g),
    "takes the letterbox's ratio and padding before they are rounded": lambda b, g: (b - _spare(g)) / _ratio(g),
    "takes the letterbox's ratio before its sides are rounded": lambda b, g: (b - _offsets(g)) / _ratio(g),
    **{f"rounds the letterbox's ratio to {said}": _rounded(digits) for digits, said in _DIGITS.items()},
    "rounds the padding up": lambda b, g: (b - np.ceil(_spare(g))) / _scales(g),
    "takes the padding before it is rounded": lambda b, g: (b - _spare(g)) / _scales(g),
    "takes pixels' centres for whole numbers": lambda b, g: (b - _offsets(g) + 0.5) / _scales(g) - 0.5,
    "cuts corners to whole pixels": lambda b, g: np.trunc(detector.back(b, g)),
    "rounds corners to whole pixels": lambda b, g: np.rint(detector.back(b, g)),
    "cuts corners to whole pixels of the input": lambda b, g: detector.back(np.trunc(b), g),
    "rounds corners to whole pixels of the input": lambda b, g: detector.back(np.rint(b), g),
}


def _back_of_all(masks: bool) -> Iterator[Mutation]:
    """Of masks and points, whose decoders ask where the image's pixels went: they are told otherwise."""
    ways: dict[str, Callable[[Geometry], Geometry]] = {
        "leaves results in pixels of the input": lambda g: Geometry(g.input_hw, g.input_hw, g.input_hw, 0, 0),
        "scales back without taking the padding off": lambda g: replace(g, offset_x=0, offset_y=0),
        "scales each side by itself, as after a stretch": lambda g: Geometry(g.source_hw, g.input_hw, g.input_hw, 0, 0),
        "takes the padding's top off x and its left off y": lambda g: replace(
            g, offset_x=g.offset_y, offset_y=g.offset_x
        ),
        "takes off half of the padding, where it is at one side": lambda g: replace(
            g,
            offset_x=(g.input_hw[1] - g.resized_hw[1]) // 2,
            offset_y=(g.input_hw[0] - g.resized_hw[0]) // 2,
        ),
        "rounds the padding up": lambda g: replace(
            g,
            offset_x=-(-(g.input_hw[1] - g.resized_hw[1]) // 2) if g.offset_x else 0,
            offset_y=-(-(g.input_hw[0] - g.resized_hw[0]) // 2) if g.offset_y else 0,
        ),
    }
    if not masks:
        ways |= _of_points()
    for what, told in ways.items():
        yield Mutation("unletterbox", what, RESULTS, _told(told), "preprocess.mode")


def _of_points() -> dict[str, Callable[[Geometry], Geometry]]:
    """With scales that no whole number of pixels makes, by which masks are not drawn."""
    ways: dict[str, Callable[[Geometry], Geometry]] = {
        "scales x by the height's ratio and y by the width's, as after a stretch": lambda g: _Scaled(
            g.source_hw, g.input_hw, g.input_hw, 0, 0, (g.input_hw[1] / g.source_hw[0], g.input_hw[0] / g.source_hw[1])
        ),
        "takes the padding off, and does not scale": lambda g: _scaled(g, 1.0),
        "scales by the other side's ratio": lambda g: _scaled(g, _longer(g)),
        "takes the letterbox's ratio before its sides are rounded": lambda g: _scaled(g, _ratio(g)),
    }
    for digits, said in _DIGITS.items():
        ways[f"rounds the letterbox's ratio to {said}"] = lambda g, n=digits: _scaled(g, _short_ratio(g, n))  # type: ignore[misc]
    return ways


@dataclass(frozen=True)
class _Scaled(Geometry):
    """One that points are brought back by, with scales of its own."""

    scales_xy: tuple[float, float] = (1.0, 1.0)

    @property
    def scale_x(self) -> float:
        return self.scales_xy[0]

    @property
    def scale_y(self) -> float:
        return self.scales_xy[1]


def scaled(g: Geometry, scales_xy: tuple[float, float]) -> Geometry:
    return _Scaled(g.source_hw, g.resized_hw, g.input_hw, g.offset_x, g.offset_y, scales_xy)


def _scaled(g: Geometry, ratio: float) -> Geometry:
    return scaled(g, (ratio, ratio))


def _told(geometry: Callable[[Geometry], Geometry]) -> Callable[[Way], Way]:
    def change(at: At) -> At:
        assert at.geometry
        return At(at.value, geometry(at.geometry))

    return lambda way: way.before(RESULTS, change)


def _written() -> Iterator[Mutation]:
    """Of finished boxes. What reads them takes corners for corners, or a corner and a size for that."""
    forms: dict[str, Placed] = {
        "writes the corner's x, y, width, height for corners": lambda b, _: _joined(b[:, :2], b[:, 2:] - b[:, :2]),
        "writes the centre's x, y, width, height for corners": lambda b, _: _joined(
            (b[:, :2] + b[:, 2:]) / 2, b[:, 2:] - b[:, :2]
        ),
        "writes y1, x1, y2, x2": lambda b, _: b[:, [1, 0, 3, 2]],
        "writes corners for the corner's x, y, width, height": lambda b, _: _joined(b[:, :2], b[:, :2] + b[:, 2:]),
        "writes the centre for the corner, with width and height": lambda b, _: _joined(
            (b[:, :2] + b[:, 2:]) / 2, (b[:, :2] + b[:, 2:]) / 2 + b[:, 2:] - b[:, :2]
        ),
    }
    for what, form in forms.items():
        yield rule("box-format", what, "format", written=form)
    units: dict[str, Placed] = {
        "writes fractions of the picture": lambda b, g: b / np.array(g.source_hw[::-1] * 2),
        "writes fractions of the input": lambda b, g: _to_input(b, g) / np.array(g.input_hw[::-1] * 2),
        "multiplies boxes by the picture's sides though they are its pixels": lambda b, g: (
            b * np.array(g.source_hw[::-1] * 2)
        ),
    }
    for what, unit in units.items():
        yield rule("box-normalised", what, "boxes", written=unit)


def _joined(first: F64, second: F64) -> F64:
    return np.concatenate([first, second], axis=1)


def _to_input(b: F64, g: Geometry) -> F64:
    return b * _scales(g) + _offsets(g)
