"""Masks as runs: what pycocotools makes of them, and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco

from seatrial.kernels.masks import bits_of, coco_rle, runs_of
from seatrial.kernels.results import Detections, Instances

masks = hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9))


@given(masks)
def test_runs_are_those_of_pycocotools_and_lead_back(mask):
    runs = runs_of(mask, (0, 0), mask.shape)
    expected = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert coco_rle(runs, mask.shape) == expected
    np.testing.assert_array_equal(bits_of(runs, mask.shape), mask)
    assert runs.dtype == np.uint32
    assert (runs[1:] > 0).all()


@given(masks, st.integers(0, 3), st.integers(0, 3), st.integers(0, 3), st.integers(0, 3))
def test_a_part_is_where_it_was_cut_out(part, top, left, below, right):
    whole = np.pad(part, ((top, below), (left, right)))
    np.testing.assert_array_equal(runs_of(part, (top, left), whole.shape), runs_of(whole, (0, 0), whole.shape))


def test_runs_of_another_size_are_no_mask():
    with pytest.raises(ValueError, match="lengths that add up to 2 × 3, got 5"):
        bits_of(np.array([2, 3], np.uint32), (2, 3))


@given(st.lists(hnp.arrays(np.bool_, (4, 6)), max_size=4))
def test_instances_hold_each_mask_by_itself(masks):
    n = len(masks)
    boxes = Detections(np.zeros((n, 4), np.float32), np.ones(n, np.float32), np.zeros(n, np.int64))
    found = Instances.of_masks(boxes, masks, (4, 6))
    assert len(found) == n
    for k, mask in enumerate(masks):
        np.testing.assert_array_equal(found.mask(k), mask)


def test_as_many_masks_as_boxes():
    boxes = Detections(np.zeros((1, 4), np.float32), np.ones(1, np.float32), np.zeros(1, np.int64))
    with pytest.raises(ValueError, match=r"masks: expected 1 of shape \(4, 6\), got 1 of \(6, 4\)"):
        Instances.of_masks(boxes, [np.zeros((6, 4), bool)], (4, 6))
