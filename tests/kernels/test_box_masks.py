"""Masks over a box's own grid: as SciPy's linear interpolation has them, and nothing outside."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

from seatrial.kernels.box_masks import mask_in_box
from seatrial.kernels.geometry import fit
from seatrial.kernels.instances import InstanceDecoder
from seatrial.kernels.postprocess import DetectionDecoder

HW = (40, 60)
sides = st.floats(0.5, 70)


@given(
    st.floats(-20, 50), st.floats(-20, 70), sides, sides, st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**31)
)
def test_pixels_are_those_of_an_interpolation_that_knows_no_box(top, left, tall, wide, h, w, seed):
    values = np.random.default_rng(seed).uniform(0, 1, (h, w)).astype(np.float32)
    box = np.array([left, top, left + wide, top + tall], np.float32)
    part, (y, x) = mask_in_box(values, box, HW)
    whole = np.zeros(HW, bool)
    whole[y : y + part.shape[0], x : x + part.shape[1]] = part
    x0, y0, x1, y1 = box.astype(float)
    rows = (np.arange(HW[0]) + 0.5 - y0) / (y1 - y0) * h - 0.5
    columns = (np.arange(HW[1]) + 0.5 - x0) / (x1 - x0) * w - 0.5
    expected = map_coordinates(
        values.astype(float), np.meshgrid(rows, columns, indexing="ij"), order=1, mode="grid-constant", cval=0
    )
    clear = np.abs(expected - 0.5) > 1e-9
    np.testing.assert_array_equal(whole[clear], (expected >= 0.5)[clear])


def test_what_is_at_a_half_is_set():
    part, _ = mask_in_box(np.full((2, 2), 0.5, np.float32), np.array([10, 10, 14, 14], np.float32), HW)
    assert part.sum() == 4, "the four pixels between the cells' centres; beyond them it falls to nothing"


def chosen(masks, dtype=np.int64):
    n = len(masks)
    boxes = np.tile(np.array([8, 8, 40, 40], np.float32), (n, 1))
    return [boxes, np.linspace(0.9, 0.5, n, dtype=np.float32), np.arange(n).astype(dtype), masks]


@pytest.mark.parametrize("engine", ["native", "reference"])
def test_a_mask_as_large_as_the_input_lies_over_the_input(engine):
    masks = np.zeros((2, 1, 64, 64), np.float32)
    masks[0, 0, :, :20], masks[1, 0, 30:] = 0.5, 1
    (found,) = InstanceDecoder("mask_rcnn", engine=engine)(chosen(masks), [fit((64, 64), (64, 64), "stretch")])
    assert [found.mask(k).sum() for k in range(2)] == [64 * 20, 64 * 34]


def test_masks_follow_their_detections_through_threshold_and_order():
    masks = np.zeros((3, 1, 4, 4), np.float32)
    for k in range(3):
        masks[k] = k == 1
    boxes, scores, classes, _ = chosen(masks)
    scores[:] = (0.1, 0.6, 0.9)
    (found,) = InstanceDecoder("mask_rcnn")([boxes, scores, classes, masks], [fit((64, 64), (64, 64), "stretch")])
    assert found.class_ids.tolist() == [2, 1]
    assert [bool(found.mask(k).any()) for k in range(2)] == [False, True]


def test_nothing_found_is_no_mask():
    (found,) = InstanceDecoder("mask_rcnn")(
        chosen(np.zeros((0, 1, 28, 28), np.float32)), [fit(HW, (64, 64), "stretch")]
    )
    assert (len(found), found.runs.size) == (0, 0)


@pytest.mark.parametrize(
    ("name", "shapes", "said"),
    [
        ("mask_rcnn", [(3, 4), (3,), (3,), (2, 1, 28, 28)], "format 'mask_rcnn': expected boxes"),
        ("mask_rcnn", [(3, 4), (3,), (3,)], "format 'mask_rcnn': expected boxes"),
        ("mmdet_masks", [(1, 3, 5), (1, 3)], "format 'mmdet_masks': expected dets"),
    ],
)
def test_tensors_that_do_not_fit_are_named(name, shapes, said):
    with pytest.raises(ValueError, match=said):
        InstanceDecoder(name)([np.zeros(s, np.float32) for s in shapes], [fit(HW, (64, 64), "stretch")])


def test_rows_of_one_image_are_not_shared_by_two():
    with pytest.raises(
        ValueError, match="expected one image, because nothing in its outputs says which rows are whose"
    ):
        InstanceDecoder("mask_rcnn")(chosen(np.zeros((2, 1, 28, 28), np.float32)), [fit(HW, (64, 64), "stretch")] * 2)


def test_a_mask_lies_over_the_whole_of_its_box_also_beyond_the_picture():
    """200 × 400 in 400 × 400: rows 100 to 299 of the input. The box begins 50 rows above the picture; its lower half is set."""
    masks = np.zeros((1, 1, 28, 28), np.float32)
    masks[..., 14:, :] = 1
    outputs = [np.array([[0, 50, 400, 250]], np.float32), np.ones(1, np.float32), np.zeros(1, np.int64), masks]
    (found,) = InstanceDecoder("mask_rcnn")(outputs, [fit((200, 400), (400, 400), "letterbox")])
    rows = np.flatnonzero(found.mask(0)[:, 200])
    assert abs(rows[0] - 50) <= 4
    assert abs(rows[-1] - 149) <= 4


def test_masks_of_the_picture_itself_are_taken_as_they_are():
    mask = np.random.default_rng(0).random((1, 1, 30, 50)).astype(np.float32)
    outputs = [np.array([[0, 0, 50, 30]], np.float32), np.ones(1, np.float32), np.zeros(1, np.int64), mask]
    (found,) = InstanceDecoder("mask_rcnn", boxes="source")(outputs, [fit((30, 50), (64, 64), "stretch")])
    np.testing.assert_array_equal(found.mask(0), mask[0, 0] >= 0.5)


@pytest.mark.parametrize("count", [np.inf, np.nan, 1.7])
def test_what_is_no_count_is_named(count):
    outputs = [np.zeros((1, 3, 4), np.float32), np.zeros((1, 3), np.float32), np.zeros((1, 3), np.float32), np.full((1, 1), count, np.float32)]  # fmt: skip
    with pytest.raises(ValueError, match="expected a whole number of detections"):
        DetectionDecoder("nms_tensors")(outputs, [fit(HW, (64, 64), "stretch")])
