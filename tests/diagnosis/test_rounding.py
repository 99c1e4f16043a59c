"""What another runtime's rounding may make of results, and what it may not."""

import numpy as np
import pytest

from seatrial.diagnosis.rounding import may_be_rounding as of_all
from seatrial.kernels.results import (
    Classification,
    DenseMap,
    Detections,
    Embedding,
    Labels,
    OrientedBoxes,
    Poses,
    SemanticMask,
    Text,
)
from seatrial.plan import pipelines

SPEC = pipelines.Pipeline.model_validate(
    {
        "model": "m.onnx",
        "preprocess": {"size": [8, 8]},
        "postprocess": {"task": "detect", "format": "yolov8", "confidence": 0.25},
    }
)


def may_be_rounding(reference, candidate, spec):
    return of_all([(reference, candidate)], spec)


def boxes(*rows):
    rows = np.array(rows, np.float32).reshape(-1, 6)
    return Detections(rows[:, :4], rows[:, 4], rows[:, 5].astype(np.int64))


SURE, EDGE = (10, 10, 50, 60, 0.9, 1), (70, 10, 90, 30, 0.253, 0)


@pytest.mark.parametrize(
    ("candidate", "may"),
    [
        ([SURE, EDGE], True),
        ([(10.1, 10, 50, 60, 0.899, 1), EDGE], True),
        ([SURE], True),  # the other one fell below the threshold
        ([SURE, EDGE, (0, 0, 5, 5, 0.252, 2)], True),
        ([EDGE], False),  # a sure one is gone
        ([SURE, EDGE, (0, 0, 5, 5, 0.4, 2)], False),
        ([(10, 10, 50, 60, 0.9, 2), EDGE], False),
        ([(10, 10, 50, 60, 0.8, 1), EDGE], False),
        ([(20, 20, 60, 70, 0.9, 1), EDGE], False),
        ([SURE, SURE, EDGE], False),  # each box twice
        ([SURE, EDGE, EDGE], True),
    ],
)
def test_boxes(candidate, may):
    assert may_be_rounding(boxes(SURE, EDGE), boxes(*candidate), SPEC) is may


def classes(ids, scores):
    return Classification(np.array(ids), np.array(scores, np.float32))


@pytest.mark.parametrize(
    ("candidate", "may"),
    [
        (classes([3, 5], [0.503, 0.496]), True),
        (classes([3, 5], [0.503, 0.48]), False),
        (classes([5, 3], [0.500, 0.499]), True),
        (classes([7, 3], [0.50, 0.49]), False),
        (classes([3, 5], [0.60, 0.3]), False),
        (classes([3], [np.nan]), True),  # a log of classes alone
    ],
)
def test_a_class_may_be_another_only_where_two_are_as_good(candidate, may):
    assert may_be_rounding(classes([3, 5], [0.500, 0.498]), candidate, SPEC) is may


@pytest.mark.parametrize(("scores", "may"), [([0.902, 0.6], True), ([0.3, 0.6], False), ([np.nan, np.nan], True)])
def test_labels_of_other_scores_are_others(scores, may):
    one, other = (Labels(np.array([4, 2]), np.array(s, np.float32)) for s in ([0.9, 0.6], scores))
    assert may_be_rounding(one, other, SPEC) is may


def test_unlike_kinds_texts_and_none_are_no_rounding():
    mask = SemanticMask(np.zeros((4, 4), np.uint8))
    assert not may_be_rounding(mask, boxes(), SPEC)
    assert not may_be_rounding(None, mask, SPEC)
    assert not may_be_rounding(Text.of("a", 0.5), Text.of("b", 0.5), SPEC)
    other = np.zeros((10, 30), np.uint8)
    other[0, :3] = 1
    assert may_be_rounding(SemanticMask(np.zeros((10, 30), np.uint8)), SemanticMask(other), SPEC)
    other[0] = 1
    assert not may_be_rounding(SemanticMask(np.zeros((10, 30), np.uint8)), SemanticMask(other), SPEC)


@pytest.mark.parametrize(
    ("change", "may"),
    [
        (lambda b, s, k: (b + np.array([0.05, -0.05, 0.05, -0.05]) if k % 2 else b - 0.05, s), True),
        (lambda b, s, k: (b + np.array([-0.4, -0.5, 0.4, 0.5]), s), False),  # 2 % larger
        (lambda b, s, k: (b + np.array([0.5, 0, 0.5, 0]), s), False),
        (lambda b, s, k: (b, s - 0.004), False),
        (lambda b, s, k: (b, s + (0.004 if k % 2 else -0.004)), True),
        (lambda b, s, k: (b, s - 0.001), True),
    ],
)
def test_what_all_images_have_in_common_is_no_rounding(change, may):
    pairs = []
    for k in range(12):
        box, score = np.array([10, 10, 50, 60], np.float64) + 3 * k, 0.5 + 0.03 * k
        other, rose = change(box, score, k)
        pairs.append((boxes((*box, score, 1)), boxes((*other, rose, 1))))
    assert of_all(pairs, SPEC) is may


def poses(keypoints):
    own = boxes(SURE)
    return Poses(own.boxes_xyxy, own.scores, own.class_ids, np.asarray(keypoints, np.float32)[None], np.ones(2))


def test_what_stands_beside_a_box_counts():
    points = [(20, 20, 1), (40, 20, 1)]
    assert may_be_rounding(poses(points), poses([(20.2, 20, 1), (40, 19.9, 1)]), SPEC)
    assert not may_be_rounding(poses(points), poses(points[::-1]), SPEC)
    own, corners = boxes(SURE), np.array([[[10, 10], [50, 10], [50, 60], [10, 60]]], np.float32)
    right, wrong = (OrientedBoxes(own.boxes_xyxy, own.scores, own.class_ids, c) for c in (corners, corners + 15))
    assert may_be_rounding(right, right, SPEC)
    assert not may_be_rounding(right, wrong, SPEC)


def test_maps_vectors_labels_and_masks_in_all_they_hold():
    rng = np.random.default_rng(0)
    vector = rng.normal(size=64).astype(np.float32)
    assert may_be_rounding(Embedding(vector), Embedding(vector * 1.001), SPEC)
    assert not may_be_rounding(Embedding(vector), Embedding(vector * 3), SPEC)
    depth = (100 + rng.random((20, 20))).astype(np.float32)
    assert may_be_rounding(DenseMap(depth), DenseMap(depth + np.float32(1e-3)), SPEC)
    assert not may_be_rounding(DenseMap(depth), DenseMap(np.full_like(depth, 100.5)), SPEC)
    there, less = (Labels(np.array([2, 4]), np.array([s, 0.5], np.float32)) for s in (0.95, 0.55))
    assert may_be_rounding(there, there, SPEC)
    assert not may_be_rounding(there, less, SPEC)
    mask = np.zeros((100, 100), np.uint8)
    mask[10:15, 10:15] = 3
    renamed = np.where(mask == 3, 4, 0).astype(np.uint8)
    assert may_be_rounding(SemanticMask(mask), SemanticMask(mask), SPEC)
    assert not may_be_rounding(SemanticMask(mask), SemanticMask(renamed), SPEC)


def test_a_list_of_other_classes_behind_the_first_is_no_rounding():
    own, other = classes([1, 2, 3], [0.6, 0.3, 0.1]), classes([1, 7, 8], [0.6, 0.3, 0.1])
    assert not may_be_rounding(own, other, SPEC)
    assert may_be_rounding(own, classes([1, 2, 9], [0.6, 0.3, 0.098]), SPEC)  # as good as the last
    assert may_be_rounding(own, classes([1], [np.nan]), SPEC)
    assert not may_be_rounding(own, classes([1, 3, 2], [np.nan] * 3), SPEC)


@pytest.mark.parametrize(
    "change",
    [
        lambda v: Embedding(v * np.float32(1.01)),
        lambda v: DenseMap(v.reshape(8, 8) + np.float32(0.005)),
    ],
)
def test_lengths_and_levels_that_go_one_way_are_no_rounding(change):
    rng = np.random.default_rng(1)
    vectors = [rng.normal(size=64).astype(np.float32) for _ in range(8)]
    kind = type(change(vectors[0]))
    right = [Embedding(v) if kind is Embedding else DenseMap(v.reshape(8, 8)) for v in vectors]
    pairs = list(zip(right, map(change, vectors), strict=True))
    assert of_all(pairs[:1], SPEC)
    assert not of_all(pairs, SPEC)


def test_objects_lost_at_the_threshold_on_one_side_alone_are_no_rounding():
    lost = [(boxes(SURE, EDGE), boxes(SURE))] * 8
    assert of_all(lost[:7], SPEC)
    assert not of_all(lost, SPEC)
    assert of_all([*lost, (boxes(SURE), boxes(SURE, EDGE))], SPEC)


def test_a_pixel_on_large_boxes_is_no_rounding():
    pairs = []
    for k in range(12):
        box = np.array([10, 10, 410, 510], np.float64) + 2 * k
        score = 0.5 + 0.03 * k
        pairs.append((boxes((*box, score, 1)), boxes((*(box + 1), score + 0.0015 * (-1) ** k, 1))))
    assert not of_all(pairs, SPEC)
