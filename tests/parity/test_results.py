"""Agreement of decoded results: hand-counted F1, bounds by the best assignment, masks, classes and vectors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from seatrial.kernels.results import Classification, Detections, Embedding, SemanticMask
from seatrial.parity.results import agreement, match
from seatrial.parity.seen import seen

A, B, C = (0, 0, 10, 10), (20, 20, 30, 30), (50, 0, 60, 10)
NEAR_A, HALF_A, LESS_A = (0, 0, 10, 9), (0, 0, 10, 5), (0, 0, 10, 4.9)


def found(*boxes, classes=None, scores=None):
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(scores or [0.5] * len(boxes), np.float32),
        np.array(classes or [0] * len(boxes), np.int64),
    )


def f1(reference, candidate):
    found = agreement([reference], [candidate])
    assert found.unit == "boxes matched (F1 over all boxes at IoU 0.5, same class)"
    assert found.value in (None, pytest.approx(found.by_image[0]))
    return found.by_image[0]


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
    pairs = match(found((0, 0, 10, 8), A), found(A, (0, 0, 10, 7)))
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
    pairs = match(*(found(*[b for b, _ in s], classes=[c for _, c in s]) for s in (reference, candidate)))
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
        # What a crop cut away is 255 of a few classes, 65535 of many: no class, and no part of what is compared.
        (mask([255, 1, 2, 255]), mask([65535, 1, 3, 65535], dtype=np.uint16), 0.5, "same class, share of pixels"),
        (mask([255, 1, 2]), mask([255, 1, 3]), 0.5, "same class, share of pixels"),
        (mask([255, 1]), mask([2, 1]), 0.5, "same class, share of pixels"),
        # Among 300 classes 255 is one.
        (mask([255, 1]), mask([255, 1], dtype=np.uint16), 0.5, "same class, share of pixels"),
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
    said = agreement([reference], [candidate])
    assert said.by_image == pytest.approx([expected])
    assert said.value == pytest.approx(expected)
    assert said.unit == unit


def test_one_value_an_image_in_order_and_boxes_counted_over_all():
    both = agreement([found(A), found(A, B), found()], [found(B), found(B), found()])
    assert both.by_image.tolist() == [0, pytest.approx(2 / 3), 1]
    assert both.value == 2 * 1 / (3 + 2)
    assert both.count == 2.5


NAMES = [f"{i}.png" for i in range(10)]


def test_empty_images_do_not_make_boxes_agree():
    reference = [found(A, B), found(C), found(), *[found()] * 7]
    candidate = [found(A, B), found(C), found(A), *[found()] * 7]
    both = agreement(reference, candidate)
    assert both.value == pytest.approx(6 / 7)
    assert both.said(NAMES) == "3 of 3 boxes matched, 1 extra in 2.png; 7 images empty on both sides"
    low, high = both.interval(0)
    assert low < 0.9 < high


@pytest.mark.parametrize(
    ("reference", "candidate", "said"),
    [
        ([found(A)], [found()], "0 of 1 boxes matched, 1 missing in 0.png"),
        ([found(A, B), found(A)], [found(), found(B, C)], "0 of 3 boxes matched, 2 extra most in 1.png, 3 missing most in 0.png"),
        ([found()], [found()], "0 of 0 boxes matched; 1 image empty on both sides"),
        ([top(1), top(1)], [top(1), top(2)], "1 of 2 images alike in full"),
        ([top(1), None], [top(1), top(2)], "1 of 2 images alike in full; 1 image with a result on one side only, first 1.png"),
        ([top(1), None], [top(1), None], "1 of 1 images alike in full; 1 image without a result on either side"),
        ([found(A), None], [found(A), found(B)], "1 of 1 boxes matched, 1 extra in 1.png; 1 image with a result on one side only, first 1.png"),
    ],
)  # fmt: skip
def test_what_was_matched_is_said(reference, candidate, said):
    assert agreement(reference, candidate).said(NAMES) == said


@pytest.mark.parametrize(
    ("reference", "candidate", "value"),
    [([top(1), None], [top(1), top(1)], 0.5), ([top(1), top(1)], [None, top(1)], 0.5), ([top(1), None], [top(1), None], 1.0),
     ([found(A), None], [found(A), found(B)], 2 / 3), ([vector(1, 0), None], [vector(1, 0), vector(1, 0)], 0.5)],
)  # fmt: skip
def test_a_result_on_one_side_only_is_a_disagreement(reference, candidate, value):
    assert agreement(reference, candidate).value == pytest.approx(value)


@pytest.mark.parametrize(
    ("reference", "candidate", "empty"),
    [
        ([found(), found()], [found(A), found()], True),
        ([found(), found(A)], [found(), found()], False),
        ([None, None], [top(1), top(1)], True),
        ([None, top(1)], [top(1), top(1)], False),
        ([top(1), top(1)], [top(1), top(1)], True),
        ([found(A), found(A)], [found(A), found(A)], True),
        ([found(A), found(B)], [found(A), found(B)], False),
        ([vector(1, 0), vector(1, 0)], [vector(1, 0), vector(1, 0)], True),
        ([vector(1, 0), vector(0, 1)], [vector(1, 0), vector(0, 1)], False),
        ([mask(0, 0), mask(0, 0, 0)], [mask(0, 0), mask(0, 0, 0)], True),
        ([mask(0, 0), mask(1, 1)], [mask(0, 0), mask(1, 1)], False),
        ([mask(0, 1)], [mask(0, 1)], False),
        ([mask(0, 1), mask(0, 1)], [mask(0, 1), mask(0, 1)], True),
    ],
)
def test_a_reference_without_results_is_told(reference, candidate, empty):
    assert agreement(reference, candidate).reference_empty == empty


def test_bounds_of_images_are_exact_and_boxes_are_no_surer_than_their_images():
    assert agreement([top(1)] * 10 + [top(2)], [top(1)] * 10 + [top(2)]).interval(0) == (
        pytest.approx(0.05 ** (1 / 11)),
        1,
    )
    low, high = agreement([found(A)] * 30, [found(A)] * 30).interval(0)
    assert (low, high) == (pytest.approx(0.05 ** (1 / 30)), 1)
    # A hundred boxes on each of ten images fail with their images.
    many = found(*[(20 * i, 0, 20 * i + 10, 10) for i in range(100)])
    assert agreement([many] * 10, [many] * 10).interval(0)[0] < 0.8


def test_images_that_no_side_answers_do_not_move_the_bounds():
    answered = [vector(1, 0), vector(0.999, 0.05)] * 30
    low, high = agreement(answered, answered[::-1]).interval(0)
    assert agreement(answered + [None] * 40, answered[::-1] + [None] * 40).interval(0) == (low, high)


@pytest.mark.parametrize(
    "reference", [[vector(0, 0)] * 3, [top(1, 0)] * 3], ids=["vectors of zeros", "the same answer for every image"]
)
def test_a_reference_that_sees_nothing_is_nothing_to_agree_with(reference):
    assert agreement(reference, reference).reference_empty


def test_a_cosine_is_one_at_most():
    v = Embedding(np.random.default_rng(8).random(128).astype(np.float32))
    assert agreement([v] * 3, [v] * 3).value <= 1


def test_boxes_that_fail_together_count_for_fewer():
    many = found(*[(20 * i, 0, 20 * i + 10, 10) for i in range(10)])
    scattered = agreement([many] * 100, [found(*many.boxes_xyxy[1:])] * 100)
    together = agreement([many] * 100, [found()] * 10 + [many] * 90)
    assert scattered.value == pytest.approx(together.value)
    assert together.interval(0)[0] < scattered.interval(0)[0]


def test_shares_of_pixels_have_bounds_that_one_lost_image_widens():
    low, high = agreement([mask([1, 2, 3, 4])] * 12, [mask([1, 2, 3, 5])] * 12).interval(0)
    assert low < 0.75 <= high


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
    assert agreement(reference, candidate).by_image.tolist() == expected
    assert agreement(candidate, reference).by_image.tolist() == expected


@pytest.mark.parametrize(("reference", "candidate"), [([], []), ([None], [None]), ([None] * 3, [None] * 3)])
def test_nothing_decoded_is_no_agreement(reference, candidate):
    assert agreement(reference, candidate) is None


@pytest.mark.parametrize(
    ("reference", "candidate", "message"),
    [
        ([found(A)], [], "shorter"),
        ([vector(1, 2)], [vector(1, 2, 3)], "mismatch"),
        ([found(A)], [top(1)], "expected results of one kind, got Classification and Detections"),
        ([top(1)], [found(A)], "expected results of one kind, got Classification and Detections"),
        ([mask([1])], [top(1)], "expected results of one kind, got Classification and SemanticMask"),
        ([vector(1), top(1)], [vector(1), top(1)], "expected results of one kind, got Classification and Embedding"),
        ([None, top(1)], [found(A), None], "expected results of one kind, got Classification and Detections"),
    ],
)
def test_results_that_do_not_compare_are_refused(reference, candidate, message):
    with pytest.raises(ValueError, match=message):
        agreement(reference, candidate)


def test_what_a_crop_cut_away_is_no_answer_that_changes():
    """A mask of one class is an empty answer, also with a border that has none."""
    cropped = mask([255, 3, 3, 255])
    assert agreement([cropped], [cropped]).reference_empty
    assert not agreement([mask([255, 3, 4, 255])], [cropped]).reference_empty
    nothing = mask([255, 255])
    assert agreement([nothing], [nothing]).value is None
    assert seen([cropped], ["a", "b", "c", "sea"]) == "1 class on 1 image, most of all sea (100% of the pixels)"
    assert seen([nothing], None) == "no class on 1 image"


def test_the_interval_of_one_image_warns_of_nothing():
    """Only one image has an object: leaving it out leaves none."""
    one = agreement([found((0, 0, 9, 9)), found()], [found((0, 0, 9, 9)), found()])
    with np.errstate(invalid="raise", divide="raise"):
        low, high = one.interval(0)
    assert 0 <= low <= high <= 1
