"""Views and axes handed over by their memory: what NumPy's own `.data` and strides give. Not for: values (test_values.py)."""

from __future__ import annotations

from functools import partial

import cv2
import numpy as np
import pytest
from image_candidates import RIGHT, SIZE, assert_named, compared, letterbox, named, reference, said, tensor, what


def memory(view):
    """What a function reads that is given the view's address and size and not its strides."""
    base = view
    while isinstance(base.base, np.ndarray):
        base = base.base
    begin = (view.__array_interface__["data"][0] - base.__array_interface__["data"][0]) // view.itemsize
    flat = base.reshape(-1)[begin : begin + view.size]
    # What lies behind the end is anybody's.
    return np.concatenate([flat, np.zeros(view.size - flat.size, view.dtype)]).reshape(view.shape)


def rgb(image):
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB).astype(np.float32) / 255


def planar_view(image):
    return memory(rgb(image).transpose(2, 0, 1)[None])


def reversed_view(image):
    """BGR in memory, RGB by its strides."""
    bgr = np.ascontiguousarray(image)
    late = memory(bgr[..., ::-1])
    return np.ascontiguousarray((late.astype(np.float32) / 255).transpose(2, 0, 1)[None])


def width_first(image):
    return np.ascontiguousarray(rgb(image).transpose(2, 1, 0)[None])


def padded_rows(pitch):
    def tensor_of(image):
        row = image.shape[1] * 3
        rows = np.zeros((image.shape[0], pitch), np.uint8)
        rows[:, :row] = image.reshape(image.shape[0], row)
        return memory(rows[:, :row]).reshape(image.shape)

    def resize(image):
        out, scale, offset = letterbox(image)
        return tensor_of(out), scale, offset

    return RIGHT.but(resize=resize)


def region(pixels):
    """A region of a larger frame, by its address."""

    def resize(image):
        frame = cv2.copyMakeBorder(image, 0, 0, 0, pixels, cv2.BORDER_CONSTANT)
        return letterbox(memory(frame[:, : image.shape[1]]))

    return RIGHT.but(resize=resize)


def every_second(image):
    """Made smaller by a step of two, of which the address does not know."""
    h, w = image.shape[:2]
    out, scale, offset = letterbox(memory(np.ascontiguousarray(image)[::2, ::2]))
    del h, w
    return out, scale, offset


def crop_view(image):
    h, w = image.shape[:2]
    nh, nw = (366, int(366 * w / h)) if h <= w else (int(366 * h / w), 366)
    top, left = round((nh - SIZE[0]) / 2), round((nw - SIZE[1]) / 2)
    large = cv2.resize(image, (nw, nh))
    return memory(large[top : top + SIZE[0], left : left + SIZE[1]]), (nh / h, nw / w), (-top, -left)


TENSORS = {
    "planar-view": ({"layout-reshape", "non-contiguous"}, planar_view),
    "reshape": ({"layout-reshape", "non-contiguous"}, lambda image: rgb(image).reshape(1, 3, *SIZE)),
    "reversed-view": ({"non-contiguous"}, reversed_view),
    "width-first": ({"layout-reshape", "non-contiguous"}, width_first),
}


def faults(found):
    """The one that is named, and all that these images cannot tell from it."""
    part = next(p.found for p in found.parts if p.found)
    assert part.best, said(found)
    return {*part.best.faults, *(f for e in part.alike for f in e.faults)}


@pytest.mark.parametrize("level", ["taps", "input", "answers"])
@pytest.mark.parametrize("case", TENSORS)
def test_a_tensor_of_the_right_shape(case, level):
    """The memory of a view that says CHW is what a reshape gives: both are said."""
    if case == "reversed-view" and level == "answers":
        pytest.skip("all channels but for the last red are right: boxes hardly move")
    wanted, function = TENSORS[case]
    assert faults(compared(RIGHT.but(tensor=function), level)) <= wanted


@pytest.mark.parametrize("pitch", [1024, 961, 963, 1000])
def test_rows_that_are_longer_than_they_are_taken_for(pitch):
    assert_named("non-contiguous", padded_rows(pitch), "taps")


def test_the_pitch_is_fitted_and_said():
    assert "970 bytes apart" in what(compared(padded_rows(970), "taps"))


@pytest.mark.parametrize("pixels", [16, 23])
@pytest.mark.parametrize("level", ["taps", "input"])
def test_a_region_of_a_frame(pixels, level):
    found = assert_named("non-contiguous", region(pixels), level)
    assert f"{pixels} pixels wider" in what(found)


def test_a_region_of_a_frame_by_answers():
    assert_named("non-contiguous", region(16), "answers")


def test_a_view_of_the_centre():
    plan = reference(mode="resize_center_crop", pad_value=None, resize_short=366)
    assert_named("non-contiguous", RIGHT.but(resize=crop_view), "taps", plan)


def test_every_second_pixel():
    assert_named("non-contiguous", RIGHT.but(resize=every_second), "taps")


def test_a_right_copy_is_no_fault():
    assert not named(compared(RIGHT.but(tensor=lambda image: np.array(tensor(image))), "input"))


def test_a_view_is_what_it_says_where_strides_are_kept():
    assert (memory(np.arange(12).reshape(3, 4)[1:]) == [[4, 5, 6, 7], [8, 9, 10, 11]]).all()
    assert (memory(np.arange(6).reshape(2, 3).T) == [[0, 1], [2, 3], [4, 5]]).all()
    assert partial(memory, np.arange(4)[::2])().tolist() == [0, 1]
