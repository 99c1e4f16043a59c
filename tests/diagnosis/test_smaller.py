"""Pictures that were decoded at a part of their size, or made smaller before the resize. Not for: one resize (test_samples.py)."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from image_candidates import RIGHT, assert_named, letterbox, what
from PIL import Image


def reduced(flag):
    return lambda data: cv2.imdecode(np.frombuffer(data, np.uint8), flag)


def thumbnail(image, hw):
    small = Image.fromarray(image)
    small.thumbnail((500, 500))
    return cv2.resize(np.asarray(small), hw[::-1])


def long_side(image, hw):
    ratio = min(1, 480 / max(image.shape[:2]))
    small = cv2.resize(image, None, fx=ratio, fy=ratio, interpolation=cv2.INTER_AREA) if ratio < 1 else image
    return cv2.resize(small, hw[::-1])


DECODES = {
    "reduced-2": ("1/2 of their size", reduced(cv2.IMREAD_REDUCED_COLOR_2)),
    "reduced-4": ("1/4 of their size", reduced(cv2.IMREAD_REDUCED_COLOR_4)),
}
TWO_STEPS = {"thumbnail": ("of 500 pixels", thumbnail), "long-side": ("of 480 pixels", long_side)}


@pytest.mark.parametrize("level", ["taps", "answers"])
@pytest.mark.parametrize("case", DECODES)
def test_a_smaller_decode(case, level):
    """Boxes are given in the smaller picture, which the taps' own decoded image shows alone."""
    words, decode = DECODES[case]
    found = assert_named("jpeg-decoder", RIGHT.but(decode=decode), level)
    assert words in what(found)
    if level == "answers":
        assert "in the smaller picture" in what(found)


@pytest.mark.parametrize("level", ["taps", "input"])
@pytest.mark.parametrize("case", TWO_STEPS)
def test_a_resize_in_two_steps(case, level):
    words, how = TWO_STEPS[case]
    found = assert_named("interpolation", RIGHT.but(resize=lambda image: letterbox(image, how)), level)
    assert words in what(found)
