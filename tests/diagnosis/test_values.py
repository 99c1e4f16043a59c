"""Channel order, scale, mean and std: wrong tensors as people write them, named at each level. Not for: memory (test_memory.py)."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from image_candidates import RIGHT, assert_named, compared, named, reference, said, what

MEAN, STD = np.float32((0.485, 0.456, 0.406)), np.float32((0.229, 0.224, 0.225))
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


def of_rgb(function):
    """function: float32 (H, W, 3) in R, G, B to values."""

    def tensor(image):
        values = function(cv2.cvtColor(image, cv2.COLOR_BGR2RGB).astype(np.float32)).astype(np.float32)
        return np.ascontiguousarray(values.transpose(2, 0, 1)[None])

    return RIGHT.but(tensor=tensor)


def normalised(image, mean=MEAN, std=STD):
    return (image / 255 - np.float32(mean)) / np.float32(std)


PLAIN = {
    "bgr": ("channel-order", of_rgb(lambda x: x[..., ::-1] / 255)),
    "no-division": ("scale-missing", of_rgb(lambda x: x)),
    "divided-twice": ("scale-doubled", of_rgb(lambda x: x / 255 / 255)),
    "by-200": ("scale-wrong", of_rgb(lambda x: x / 200)),
    "by-256": ("scale-wrong", of_rgb(lambda x: x / 256)),
    "imagenet": ("mean-std", of_rgb(normalised)),
    "imagenet-turned": ("mean-std", of_rgb(lambda x: normalised(x, MEAN[::-1], STD[::-1]))),
    "halves": ("mean-std", of_rgb(lambda x: x / 127.5 - 1)),
    "own-statistics": ("mean-std", of_rgb(lambda x: (x - x.mean()) / x.std())),
    "caffe": ("mean-std", of_rgb(lambda x: x[..., ::-1] - np.float32((103.939, 116.779, 123.68)))),
}
NORMALISED = {
    "bgr": ("channel-order", of_rgb(lambda x: normalised(x[..., ::-1]))),
    "none": ("mean-std", of_rgb(lambda x: x / 255)),
    "mean-alone": ("mean-std", of_rgb(lambda x: x / 255 - MEAN)),
    "before-the-division": ("normalise-order", of_rgb(lambda x: (x - MEAN) / STD / 255)),
    "no-division": ("scale-missing", of_rgb(lambda x: (x - MEAN) / STD)),
    "divided-by-std-first": ("normalise-order", of_rgb(lambda x: x / 255 / STD - MEAN)),
    "twice": ("mean-std", of_rgb(lambda x: (normalised(x) - MEAN) / STD)),
    "times-std": ("mean-std", of_rgb(lambda x: (x / 255 - MEAN) * STD)),
    "by-256": ("scale-wrong", of_rgb(lambda x: (x / 256 - MEAN) / STD)),
}
FITTED = {
    "by-219": ("scale-wrong", of_rgb(lambda x: x / 219), "219"),
    "own-means": (
        "mean-std",
        of_rgb(lambda x: (x / 255 - np.float32((0.4, 0.41, 0.42))) / np.float32((0.2, 0.3, 0.25))),
        "0.4, 0.41, 0.42",
    ),
}


@pytest.mark.parametrize("level", ["taps", "input"])
@pytest.mark.parametrize("case", PLAIN)
def test_plain_plan(case, level):
    assert_named(PLAIN[case][0], PLAIN[case][1], level)


@pytest.mark.parametrize("case", ["bgr", "by-200", "halves"])
def test_plain_plan_by_answers(case):
    assert_named(PLAIN[case][0], PLAIN[case][1], "answers")


@pytest.mark.slow
@pytest.mark.parametrize("case", ["no-division", "imagenet", "imagenet-turned", "caffe"])
def test_plain_plan_by_answers_all(case):
    assert_named(PLAIN[case][0], PLAIN[case][1], "answers")


@pytest.mark.parametrize("case", NORMALISED)
def test_plan_with_mean_and_std(case):
    assert_named(NORMALISED[case][0], NORMALISED[case][1], "input", reference(**IMAGENET))


@pytest.mark.parametrize("level", ["taps", "input"])
@pytest.mark.parametrize("case", FITTED)
def test_numbers_of_no_list_are_fitted_and_said(case, level):
    fault, candidate, number = FITTED[case]
    found = assert_named(fault, candidate, level)
    assert number in what(found)
    best = next(p.found.best for p in found.parts if p.found)
    assert best.parameters > 0
    assert best.exact


def test_a_fitted_divisor_beside_mean_and_std():
    candidate = of_rgb(lambda x: (x / 240 - MEAN) / STD)
    assert "divides by 240" in what(assert_named("scale-wrong", candidate, "input", reference(**IMAGENET)))


@pytest.mark.parametrize("level", ["input", "taps"])
def test_order_and_scale_together(level):
    found = compared(of_rgb(lambda x: x[..., ::-1]), level)
    assert set(named(found)) == {"channel-order", "scale-missing"}, said(found)


def test_order_and_fitted_scale_together():
    found = compared(of_rgb(lambda x: x[..., ::-1] / 210), "input")
    assert set(named(found)) == {"channel-order", "scale-wrong"}, said(found)


@pytest.mark.parametrize("level", ["taps", "input", "answers"])
def test_the_same_in_other_operations_is_no_fault(level):
    for same in (lambda x: x * np.float32(1 / 255), lambda x: (x.astype(np.float64) / 255).astype(np.float32)):
        assert not said(compared(of_rgb(same), level))
