"""Thresholds and NMS that are not the plan's, on and off the usual grid and several at once. Not for: boxes themselves."""

import pytest
from result_candidates import Detector

RIGHT = Detector()
# The plan's own keep much, so that there is something to be lost and to be suppressed.
LOW = {"confidence": 0.05, "iou": 0.9}
FULL = RIGHT.but(confidence=0.05, iou=0.9)
CASES = {
    "confidence": FULL.but(confidence=0.5),
    "odd-confidence": FULL.but(confidence=0.37),
    "iou": FULL.but(iou=0.5),
    "odd-iou": FULL.but(iou=0.83),
    "few": FULL.but(most=5),
    "odd-count": FULL.but(most=7),
    "confidence-and-iou": FULL.but(confidence=0.3, iou=0.45),
    "confidence-iou-across": FULL.but(confidence=0.17, iou=0.62, across=True),
}
QUICK = ("odd-confidence", "confidence-and-iou", "odd-count")


@pytest.mark.parametrize("case", QUICK)
def test_named_behind_the_outputs(case):
    assert CASES[case].named("outputs", **LOW) == ("nms-settings",)


@pytest.mark.slow
@pytest.mark.parametrize("level", ["outputs", "answers"])
@pytest.mark.parametrize("case", CASES)
def test_all_named(case, level):
    assert CASES[case].named(level, **LOW) == ("nms-settings",)


def test_lower_than_the_plans():
    assert RIGHT.but(confidence=0.11).named("outputs") == ("nms-settings",)


@pytest.mark.parametrize("level", ["outputs"])
def test_the_same_thresholds_are_no_fault(level):
    assert FULL.named(level, **LOW) == ()
