"""Which box is which: the same pairs as the rule itself gives, applied one pair at a time to every pair there is."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seatrial.diagnosis.matching import LEAST_OVERLAP, SAME_SCORE, is_object, matched, overlaps_of
from seatrial.diagnosis.result_distance import result_distance
from seatrial.kernels.results import Detections


def plain(reference, candidate, by_class=True):
    """The greatest of a matrix of ranks, its row and column struck out, and again."""
    boxes = [np.asarray(x.boxes_xyxy, np.float64) for x in (reference, candidate)]
    overlaps = np.array([[plain_overlap(a, b) for b in boxes[1]] for a in boxes[0]]).reshape(
        len(boxes[0]), len(boxes[1])
    )
    pairs = []
    left = {
        (i, j)
        for i in np.flatnonzero(is_object(reference)).tolist()
        for j in np.flatnonzero(is_object(candidate)).tolist()
    }

    def rank(i, j):
        alike = bool(reference.class_ids[i] == candidate.class_ids[j])
        near = abs(np.float64(reference.scores[i]) - np.float64(candidate.scores[j]))
        if overlaps[i, j] < LEAST_OVERLAP:
            return 0.05 - near if alike and near < SAME_SCORE else -1.0
        return overlaps[i, j] + 0.05 * (alike and by_class) - 0.01 * (0.0 if np.isnan(near) else min(1.0, near))

    ranks = {pair: rank(*pair) for pair in left}
    while ranks:
        best = max(ranks.values())
        i, j = min(pair for pair, value in ranks.items() if value == best)
        if best <= -1.0:
            break
        pairs.append((i, j, overlaps[i, j]))
        ranks = {pair: value for pair, value in ranks.items() if pair[0] != i and pair[1] != j}
    return pairs


def plain_overlap(a, b):
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return float(np.array_equal(a, b) and (a[2] <= a[0] or a[3] <= a[1]))
    sizes = [np.clip(x[2:] - x[:2], 0, None) for x in (a, b)]
    if not all(s.all() for s in sizes):
        apart = np.abs(a - b).mean()
        longest = max(np.abs(x[2:] - x[:2]).max() for x in (a, b))
        return 1.0 if apart == 0 else float(np.clip(1 - apart / longest, 0, 1)) if longest else 0.0
    shared = np.prod(np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None))
    return float(shared / (sum(np.prod(s) for s in sizes) - shared))


# Few values, so that boxes, scores and ranks are often the same; inside out, of no side, of NaN.
SIDES = st.sampled_from([0.0, 1.0, 2.0, 2.5, 3.0, 7.0, 100.0, -4.0, np.nan])
SCORES = st.sampled_from([0.0, 0.25, 0.2515, 0.25 + 1e-5, 0.5, 0.9, 7.5, np.nan])


@st.composite
def found(draw):
    count = draw(st.integers(0, 9))
    boxes = draw(st.lists(st.tuples(SIDES, SIDES, SIDES, SIDES), min_size=count, max_size=count))
    scores = draw(st.lists(SCORES, min_size=count, max_size=count))
    classes = draw(st.lists(st.integers(0, 2), min_size=count, max_size=count))
    return Detections(np.array(boxes, np.float32).reshape(-1, 4), np.array(scores, np.float32), np.array(classes))


@settings(max_examples=300, deadline=None)
@given(found(), found(), st.booleans())
def test_the_same_pairs_as_one_at_a_time(reference, candidate, by_class):
    expected = plain(reference, candidate, by_class)
    near = [p for p in expected if p[2] >= LEAST_OVERLAP]
    pairs = list(matched(reference, candidate, by_class))

    assert [p[:2] for p in pairs] == [p[:2] for p in expected]
    assert [p[2] for p in pairs[: len(near)]] == pytest.approx([p[2] for p in near])
    assert 0 <= result_distance(reference, candidate) <= 1


def test_thousands_of_boxes_that_lie_over_each_other():
    rng = np.random.default_rng(3)
    corner = rng.uniform(0, 300, (700, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(10, 60, (700, 2))], axis=1).astype(np.float32)
    # As behind two sigmoids: all scores nearly, and many exactly, the same.
    scores = np.sort(np.float32(0.5) + rng.integers(0, 40, 700).astype(np.float32) * np.float32(1e-4))[::-1].copy()
    reference = Detections(boxes, scores, rng.integers(0, 5, 700))
    mixed = rng.permutation(700)
    candidate = Detections(boxes[mixed], scores[mixed], reference.class_ids[mixed])
    pairs = matched(reference, candidate)

    assert np.array_equal(mixed[pairs.candidate], pairs.reference)
    assert (pairs.overlap == 1).all()
    assert len(pairs) == 700


def test_what_lies_elsewhere_goes_by_class_and_score():
    boxes = np.array([[0, 0, 10, 10], [20, 20, 30, 30], [50, 50, 60, 60]], np.float32)
    reference = Detections(boxes, np.float32([0.9, 0.8, 0.7]), np.array([1, 2, 1]))
    candidate = Detections(boxes + np.float32(500), np.float32([0.7, 0.8, 0.5]), np.array([1, 2, 1]))

    assert list(matched(reference, candidate)) == [(1, 1, 0.0), (2, 0, 0.0)]


def test_a_box_that_is_nowhere_leaves_the_others_theirs():
    boxes = np.array([[0, 0, 10, 10], [np.nan] * 4], np.float32)
    reference = Detections(boxes, np.float32([0.9, 0.8]), np.array([1, 2]))

    assert next(iter(matched(reference, reference))) == (0, 0, 1.0)
    assert overlaps_of(boxes[1].astype(float), boxes[0].astype(float)) == 0


def test_a_log_without_scores_is_not_one_of_wrong_ones():
    boxes = np.array([[0, 0, 10, 10], [20, 20, 30, 30]], np.float32)
    reference = Detections(boxes, np.float32([0.9, 0.8]), np.array([1, 2]))
    bare, half = (Detections(boxes, np.float32(s), np.array([1, 2])) for s in ([np.nan, np.nan], [0.9, np.nan]))

    assert result_distance(reference, bare, scored=False) == 0
    assert result_distance(reference, half) == pytest.approx(1 / 6)
