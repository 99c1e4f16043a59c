"""What another runtime's rounding may make of results, and what it may not."""

import numpy as np
import pytest

from seatrial.diagnosis.rounding import may_be_rounding
from seatrial.kernels.results import Classification, Detections, Labels, SemanticMask, Text
from seatrial.plan import pipelines

SPEC = pipelines.Pipeline.model_validate(
    {
        "model": "m.onnx",
        "preprocess": {"size": [8, 8]},
        "postprocess": {"task": "detect", "format": "yolov8", "confidence": 0.25},
    }
)


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
    ],
)
def test_boxes(candidate, may):
    assert may_be_rounding(boxes(SURE, EDGE), boxes(*candidate), SPEC) is may


def classes(ids, scores):
    return Classification(np.array(ids), np.array(scores, np.float32))


@pytest.mark.parametrize(
    ("candidate", "may"),
    [
        (classes([3, 5], [0.503, 0.48]), True),
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
