"""Boxes read, counted, put back and written wrongly by a detector's user, and named. Not for: which boxes stay."""

import numpy as np
import pytest
from result_candidates import Detector, xyxy

RIGHT = Detector()


def centred(b):
    return np.concatenate([(b[:, :2] + b[:, 2:]) / 2, b[:, 2:] - b[:, :2]], axis=1)


def unrounded(b, _gain, _left, _top, w, h):
    """Ultralytics' own ratio, with padding that is not rounded either."""
    ratio = min(320 / w, 320 / h)
    return (b - np.array([(320 - w * ratio) / 2, (320 - h * ratio) / 2] * 2)) / ratio


CASES = {
    "read-as-corners": ("box-format", RIGHT.but(to_boxes=lambda b: b)),
    "read-as-corner-and-size": (
        "box-format",
        RIGHT.but(to_boxes=lambda b: np.concatenate([b[:, :2], b[:, :2] + b[:, 2:]], axis=1)),
    ),
    "x-and-y-swapped": ("box-format", RIGHT.but(finish=lambda b, s, c: (b[:, [1, 0, 3, 2]], s, c))),
    "read-centre-y-first": ("box-format", RIGHT.but(to_boxes=lambda b: xyxy(*b.T)[:, [1, 0, 3, 2]])),
    "ratio-of-two-digits": (
        "unletterbox",
        RIGHT.but(back=lambda b, _g, x, y, w, h: (b - [x, y, x, y]) / round(min(320 / w, 320 / h), 2)),
    ),
    "written-as-corner-and-size": (
        "box-format",
        RIGHT.but(finish=lambda b, s, c: (np.concatenate([b[:, :2], b[:, 2:] - b[:, :2]], axis=1), s, c)),
    ),
    "written-as-centre-and-size": ("box-format", RIGHT.but(finish=lambda b, s, c: (centred(b), s, c))),
    "fractions-written": (
        "box-normalised",
        RIGHT.but(back=lambda b, g, x, y, w, h: (b - [x, y, x, y]) / g / [w, h, w, h]),
    ),
    "multiplied-again": ("box-normalised", RIGHT.but(to_boxes=lambda b: xyxy(*(b * 320).T), clip=False)),
    "left-in-input": ("unletterbox", RIGHT.but(back=lambda b, *_: b, clip=False)),
    "left-in-input-clipped": ("unletterbox", RIGHT.but(back=lambda b, *_: b)),
    "padding-left": ("unletterbox", RIGHT.but(back=lambda b, gain, *_: b / gain)),
    "padding-after-scaling": ("unletterbox", RIGHT.but(back=lambda b, g, x, y, *_: b / g - [x, y, x, y])),
    "as-after-a-stretch": (
        "unletterbox",
        RIGHT.but(back=lambda b, g, x, y, w, h: b * np.array([w / 320, h / 320] * 2)),
    ),
    "other-ratio": (
        "unletterbox",
        RIGHT.but(back=lambda b, g, x, y, w, h: (b - [x, y, x, y]) / max(320 / w, 320 / h)),
    ),
    "shifted-by-two": ("unletterbox", RIGHT.but(back=lambda b, g, x, y, *_: (b - [x, y, x, y]) / g + [2, -3, 2, -3])),
    "shifted-in-the-input": (
        "unletterbox",
        RIGHT.but(back=lambda b, g, x, y, *_: (b * 1.02 + 1.5 - [x, y, x, y]) / g),
    ),
}
QUICK = ("read-as-corner-and-size", "read-centre-y-first", "ratio-of-two-digits", "padding-left", "shifted-by-two")


@pytest.mark.parametrize("case", QUICK)
def test_named_behind_the_outputs(case):
    fault, candidate = CASES[case]

    assert candidate.named("outputs") == (fault,)


@pytest.mark.slow
@pytest.mark.parametrize("case", [c for c in CASES if c not in QUICK])
def test_all_named_behind_the_outputs(case):
    fault, candidate = CASES[case]

    assert candidate.named("outputs") == (fault,)


@pytest.mark.slow
@pytest.mark.parametrize("case", ["written-as-corner-and-size"])
def test_named_by_answers_alone(case):
    fault, candidate = CASES[case]

    assert candidate.named("answers") == (fault,)


@pytest.mark.slow
@pytest.mark.parametrize("case", [c for c in CASES if c != "written-as-corner-and-size"])
def test_all_named_by_answers_alone(case):
    fault, candidate = CASES[case]

    assert candidate.named("answers") == (fault,)


@pytest.mark.parametrize("level", ["outputs", "answers"])
def test_a_right_pipeline_is_not_accused(level):
    assert RIGHT.named(level) == ()


def test_a_ratio_and_padding_before_they_are_rounded():
    assert RIGHT.but(back=unrounded).named("outputs") == ("unletterbox",)
