"""Other libraries' resizes and other grids, by OpenCV, Pillow, scikit-image and NumPy's own indices."""

from __future__ import annotations

from functools import partial

import cv2
import numpy as np
import pytest
from image_candidates import RIGHT, assert_named, letterbox, reference, what
from PIL import Image


def pillow(how):
    return lambda image, hw: np.asarray(Image.fromarray(image).resize(hw[::-1], how))


def two_steps(image, hw):
    return np.asarray(Image.fromarray(image).resize(hw[::-1], Image.Resampling.BILINEAR, reducing_gap=2.0))


def scikit(image, hw):
    from skimage.transform import resize

    return np.round(resize(image, hw, anti_aliasing=True, preserve_range=True)).astype(np.uint8)


def by_index(rule, end=np.round):
    """Linear between the four neighbours, in float64; rule: of k, source and size, to where in the source."""

    def resize(image, hw):
        values = image.astype(np.float64)
        for axis in (0, 1):
            source, size = image.shape[axis], hw[axis]
            at = np.clip(rule(np.arange(size), source, size), 0, source - 1)
            low = np.floor(at).astype(int)
            share = (at - low).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
            values = values.take(low, axis) * (1 - share) + values.take(np.minimum(low + 1, source - 1), axis) * share
        return end(values).astype(np.uint8)

    return resize


def corners(k, source, size):
    return k * (source - 1) / (size - 1)


def asymmetric(k, source, size):
    return k * source / size


def halves(k, source, size):
    return (k + 0.5) * source / size - 0.5


LINEAR = {
    "align-corners": ("half-pixel", by_index(corners)),
    "asymmetric": ("half-pixel", by_index(asymmetric)),
    "asymmetric-cut": ("half-pixel", by_index(asymmetric, np.floor)),
    "float": ("interpolation", by_index(halves)),
    "nearest": ("interpolation", cv2.INTER_NEAREST),
    "area": ("interpolation", cv2.INTER_AREA),
    "cubic": ("interpolation", cv2.INTER_CUBIC),
    "lanczos4": ("interpolation", cv2.INTER_LANCZOS4),
    "pillow-bilinear": ("antialias", pillow(Image.Resampling.BILINEAR)),
    "pillow-nearest": ("interpolation", pillow(Image.Resampling.NEAREST)),
    "pillow-box": ("interpolation", pillow(Image.Resampling.BOX)),
    "pillow-hamming": ("interpolation", pillow(Image.Resampling.HAMMING)),
    "pillow-bicubic": ("interpolation", pillow(Image.Resampling.BICUBIC)),
    "pillow-lanczos": ("interpolation", pillow(Image.Resampling.LANCZOS)),
    "pillow-two-steps": ("antialias", two_steps),
    "scikit-image": ("antialias", scikit),
}
SEEN_BY_ANSWERS = ("align-corners", "nearest", "pillow-bilinear")


def candidate(how):
    return RIGHT.but(resize=partial(letterbox, how=how))


@pytest.mark.parametrize("case", LINEAR)
def test_plan_of_linear(case):
    assert_named(LINEAR[case][0], candidate(LINEAR[case][1]), "taps")


@pytest.mark.parametrize("case", ["align-corners", "cubic", "pillow-bilinear"])
def test_plan_of_linear_by_the_input(case):
    assert_named(LINEAR[case][0], candidate(LINEAR[case][1]), "input")


@pytest.mark.parametrize("case", SEEN_BY_ANSWERS)
def test_plan_of_linear_by_answers(case):
    assert_named(LINEAR[case][0], candidate(LINEAR[case][1]), "answers")


@pytest.mark.slow
@pytest.mark.parametrize("case", [c for c in LINEAR if c not in (*SEEN_BY_ANSWERS, "float")])
def test_plan_of_linear_by_answers_all(case):
    assert_named(LINEAR[case][0], candidate(LINEAR[case][1]), "answers")


OTHER = {
    "area-by-position": ("area", "interpolation", cv2.INTER_LINEAR),
    "area-for-antialias": ("antialias_linear", "interpolation", cv2.INTER_AREA),
    "no-antialias": ("antialias_linear", "antialias", cv2.INTER_LINEAR),
    "no-antialias-cubic": ("antialias_cubic", "antialias", cv2.INTER_CUBIC),
    "pillow-nearest": ("nearest", "half-pixel", pillow(Image.Resampling.NEAREST)),
}


@pytest.mark.parametrize("case", OTHER)
def test_other_plans(case):
    plan, fault, how = OTHER[case]
    found = assert_named(fault, candidate(how), "taps", reference(interpolation=plan))
    if case == "area-by-position":
        assert "INTER_AREA given by position" in what(found)


def test_levels_between_whole_ones_show_in_the_tensor():
    """PyTorch's interpolate on a float tensor: no image of bytes has ever been."""

    def resize(image):
        out, scale, offset = letterbox(np.zeros_like(image))
        h, w = image.shape[:2]
        small = in_floats(image, (round(h * scale[0]), round(w * scale[1])))
        canvas = np.full(out.shape, 114, np.float32)
        canvas[offset[0] : offset[0] + small.shape[0], offset[1] : offset[1] + small.shape[1]] = small
        return canvas, scale, offset

    def tensor(image):
        return np.ascontiguousarray((image[..., ::-1] / np.float32(255)).transpose(2, 0, 1)[None], np.float32)

    found = assert_named("interpolation", RIGHT.but(resize=resize, tensor=tensor), "input")
    assert "not rounded" in what(found)


def in_floats(image, hw):
    values = image.astype(np.float32)
    for axis in (0, 1):
        source, size = image.shape[axis], hw[axis]
        at = np.clip(halves(np.arange(size), source, size), 0, source - 1)
        low = np.floor(at).astype(int)
        share = np.float32((at - low).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1)))
        values = values.take(low, axis) * (1 - share) + values.take(np.minimum(low + 1, source - 1), axis) * share
    return values
