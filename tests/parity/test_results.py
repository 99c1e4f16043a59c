"""Agreement of decoded results: hand-counted F1, bounds by the best assignment, masks, classes and vectors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from seatrial.kernels.postprocess import Classification, Detections, Embedding, SemanticMask
from seatrial.parity.results import agreement, match_boxes, paired

A, B, C = (0, 0, 10, 10), (20, 20, 30, 30), (50, 0, 60, 10)
NEAR_A, HALF_A, LESS_A = (0, 0, 10, 9), (0, 0, 10, 5), (0, 0, 10, 4.9)


def found(*boxes, classes=None, scores=None):
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(scores or [0.5] * len(boxes), np.float32),
        np.array(classes or [0] * len(boxes), np.int64),
    )


def f1(reference, candidate):
    values, unit = agreement([reference], [candidate])
    assert unit == "boxes matched (F1 at IoU 0.5, same class)"
    return values[0]


@pytest.mark.parametrize(
    ("reference", "candidate", "expected"),
    [
        (found(), found(), 1),
        (found(A), found(), 0),
        (found(A), found(A), 1),
        (found(A, B, C), found(C, A, B), 1),
        (found(A, B), found(A), 2 / 3),
        (found(A, B, C), found(A), 0.5),
        (found(A), found(B), 0),
        (found(A), found(HALF_A), 1),
        (found(A), found(LESS_A), 0),
        (found(A, A), found(A), 2 / 3),
        (found(A, NEAR_A), found(NEAR_A, A), 1),
        (found(A), found(A, classes=[1]), 0),
        (found(A, A, classes=[0, 1]), found(A, A, classes=[1, 0]), 1),
        (found(A, scores=[0.9]), found(A, scores=[0.1]), 1),
        (found((1, 1, 1, 1)), found((1, 1, 1, 1)), 0),
    ],
)
def test_boxes_agree_as_counted_by_hand_and_both_ways(reference, candidate, expected):
    assert f1(reference, candidate) == pytest.approx(expected)
    assert f1(candidate, reference) == pytest.approx(expected)


def test_the_best_overlap_is_taken_first():
    # The second reference box fits the first candidate exactly; the first one would do too.
    pairs = match_boxes(found((0, 0, 10, 8), A), found(A, (0, 0, 10, 7)))
    assert [(i, j) for i, j, _ in pairs] == [(1, 0), (0, 1)]
    np.testing.assert_allclose([iou for *_, iou in pairs], [1, 7 / 8])


box = st.tuples(st.integers(0, 12), st.integers(0, 12), st.integers(1, 8), st.integers(1, 8)).map(
    lambda v: (v[0], v[1], v[0] + v[2], v[1] + v[3])
)
boxes = st.lists(st.tuples(box, st.integers(0, 1)), max_size=8)


def overlap(a, b):
    inter = max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
    return inter / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter)


@given(boxes, boxes)
def test_matches_are_one_to_one_and_near_the_best_possible(reference, candidate):
    fits = np.array([[a == b and overlap(p, q) >= 0.5 for q, b in candidate] for p, a in reference])
    fits = fits.reshape(len(reference), len(candidate)).astype(int)
    pairs = match_boxes(*(found(*[b for b, _ in s], classes=[c for _, c in s]) for s in (reference, candidate)))
    assert len({i for i, *_ in pairs}) == len({j for _, j, _ in pairs}) == len(pairs)
    assert all(fits[i, j] for i, j, _ in pairs)
    assert [iou for *_, iou in pairs] == sorted((iou for *_, iou in pairs), reverse=True)
    # A greedy matching that nothing can be added to has at least half of the pairs of the largest one.
    largest = fits[linear_sum_assignment(fits, maximize=True)].sum()
    assert largest / 2 <= len(pairs) <= largest


@given(boxes, boxes)
def test_agreement_does_not_depend_on_the_side(reference, candidate):
    sides = [found(*[b for b, _ in s], classes=[c for _, c in s]) for s in (reference, candidate)]
    assert f1(*sides) == pytest.approx(f1(*sides[::-1]))
    assert f1(sides[0], sides[0]) == 1


def mask(*rows, dtype=np.uint8):
    return SemanticMask(np.array(rows, dtype))


def vector(*values):
    return Embedding(np.array(values, np.float32))


def top(*class_ids):
    return Classification(np.array(class_ids), np.linspace(0.9, 0.1, len(class_ids)).astype(np.float32))


@pytest.mark.parametrize(
    ("reference", "candidate", "expected", "unit"),
    [
        (top(3, 1), top(3, 2), 1, "same top-1 class"),
        (top(3, 1), top(1, 3), 0, "same top-1 class"),
        (mask([1, 2], [3, 4]), mask([1, 2], [3, 5]), 0.75, "same class, share of pixels"),
        (mask([1, 2]), mask([1, 2], dtype=np.uint16), 1, "same class, share of pixels"),
        (mask([1, 1]), mask([1], [1]), 0, "same class, share of pixels"),
        (vector(1, 0), vector(1, 1), 2**-0.5, "cosine similarity"),
        (vector(3, 4), vector(-3, -4), -1, "cosine similarity"),
        (vector(3, 4), vector(300, 400), 1, "cosine similarity"),
        (vector(0, 0), vector(0, 0), 1, "cosine similarity"),
        (vector(0, 0), vector(1, 0), 0, "cosine similarity"),
        (vector(1, 0), vector(0, 0), 0, "cosine similarity"),
        (vector(np.nan, 0), vector(1, 0), 0, "cosine similarity"),
        (vector(np.nan, 0), vector(np.nan, 0), 0, "cosine similarity"),
        (vector(np.inf, 0), vector(1, 0), 0, "cosine similarity"),
        (vector(1e30, 0), vector(1e30, 0), 1, "cosine similarity"),
        (vector(1e-30, 0), vector(1e-30, 0), 1, "cosine similarity"),
    ],
)
def test_other_tasks_agree_as_counted_by_hand(reference, candidate, expected, unit):
    values, said = agreement([reference], [candidate])
    assert values == [pytest.approx(expected)]
    assert said == unit


def test_one_value_an_image_in_order():
    values, _ = agreement([found(A), found(A, B), found()], [found(B), found(B), found()])
    assert values == [0, pytest.approx(2 / 3), 1]


@pytest.mark.parametrize(
    ("reference", "candidate", "expected"),
    [
        ([found(A), None], [found(A), None], [1, 1]),
        ([found(A), None], [found(A), found(B)], [1, 0]),
        ([found(A), found(B)], [None, found(B)], [0, 1]),
        ([None, None], [top(1), None], [0, 1]),
        ([None, top(1)], [top(1), None], [0, 0]),
        ([None, None], [None, top(1)], [1, 0]),
    ],
)
def test_one_sides_none_is_a_disagreement_and_both_sides_is_agreement(reference, candidate, expected):
    assert agreement(reference, candidate)[0] == expected
    assert agreement(candidate, reference)[0] == expected


def test_images_are_sorted_by_which_side_gave_a_result():
    sides = paired([found(A), None, None, found(B)], [found(A), found(A), None, None])
    assert (sides.both, sides.one_sided, sides.neither) == ((0,), (1, 3), (2,))


@pytest.mark.parametrize(("reference", "candidate"), [([], []), ([None], [None]), ([None] * 3, [None] * 3)])
def test_nothing_decoded_is_no_agreement(reference, candidate):
    assert agreement(reference, candidate) is None


@pytest.mark.parametrize(
    ("reference", "candidate", "message"),
    [
        ([found(A)], [], "shorter"),
        ([vector(1, 2)], [vector(1, 2, 3)], "mismatch"),
        ([found(A)], [top(1)], "expected results of one kind, Detections, got Classification"),
        ([top(1)], [found(A)], "expected results of one kind, Classification, got Detections"),
        ([mask([1])], [top(1)], "expected results of one kind, SemanticMask, got Classification"),
        ([None, top(1)], [found(A), None], "expected results of one kind, Classification, got Detections"),
        ([vector(1), top(1)], [vector(1), top(1)], "expected results of one kind, Embedding, got Classification"),
    ],
)
def test_results_that_do_not_compare_are_refused(reference, candidate, message):
    with pytest.raises(ValueError, match=message):
        agreement(reference, candidate)
