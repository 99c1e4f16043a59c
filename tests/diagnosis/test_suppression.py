"""NMS that is handed other numbers than it takes, as OpenCV's and old Caffe code does it: its rules against these libraries' own."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from result_candidates import demo_way

from seatrial.diagnosis.detector import rules_of
from seatrial.diagnosis.mutations.suppression import suppression_mutations
from seatrial.diagnosis.stages import RESULTS
from seatrial.diagnosis.way import At
from seatrial.kernels.geometry import Geometry
from seatrial.plan import pipelines

SQUARE = Geometry((640, 640), (320, 320), (320, 320), 0, 0)


def crowd(seed: int) -> np.ndarray:
    """A YOLOv8 head (1, 4 + classes, N) of many boxes that lie upon each other, of scores that are all unlike."""
    rng = np.random.default_rng(seed)
    centre = np.repeat(rng.uniform(60, 260, (6, 2)), 12, axis=0) + rng.normal(0, 6, (72, 2))
    size = np.repeat(rng.uniform(18, 60, (6, 2)), 12, axis=0) * rng.uniform(0.8, 1.25, (72, 2))
    scores = np.full((72, 5), 0.01)
    scores[np.arange(72), rng.integers(0, 2, 72)] = rng.permutation(np.linspace(0.3, 0.95, 72))
    return np.concatenate([centre, size, scores], axis=1).T[None].astype(np.float32)


def corners(head):
    x, y, w, h = head[0, :4].astype(np.float64)
    return np.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], axis=1)


def legacy(boxes, scores, classes, iou):
    """py_cpu_nms."""
    order, kept = np.argsort(-scores, kind="stable"), []
    area = (boxes[:, 2] - boxes[:, 0] + 1) * (boxes[:, 3] - boxes[:, 1] + 1)
    while len(order):
        best, rest = order[0], order[1:]
        kept.append(best)
        low, high = np.maximum(boxes[best, :2], boxes[rest, :2]), np.minimum(boxes[best, 2:], boxes[rest, 2:])
        shared = np.maximum(0, high - low + 1).prod(axis=1)
        order = rest[(shared / (area[best] + area[rest] - shared) <= iou) | (classes[rest] != classes[best])]
    return np.array(kept)


def opencv(given):
    def kept(boxes, scores, classes, iou):
        return np.array(cv2.dnn.NMSBoxes(given(boxes).tolist(), scores.tolist(), 0.25, iou)).reshape(-1)

    return kept


def opencv_by_class(given):
    def kept(boxes, scores, classes, iou):
        found = cv2.dnn.NMSBoxesBatched(given(boxes).tolist(), scores.tolist(), classes.tolist(), 0.25, iou)
        return np.array(found).reshape(-1)

    return kept


def whole(boxes):
    cut = np.trunc(boxes * 2)
    return np.concatenate([cut[:, :2], cut[:, 2:] - cut[:, :2]], axis=1)


def centre_size(b):
    return np.concatenate([(b[:, :2] + b[:, 2:]) / 2, b[:, 2:] - b[:, :2]], axis=1)


@pytest.mark.parametrize(
    ("what", "chosen"),
    [
        ("hands NMS boxes that end in their last pixel, whose sides count one more", legacy),
        ("hands NMS across classes corners where it takes x, y, width, height (cv2.dnn.NMSBoxes)", opencv(lambda b: b)),
        ("hands NMS corners where it takes x, y, width, height (cv2.dnn.NMSBoxes)", opencv_by_class(lambda b: b)),
        (
            "hands NMS the centre, width and height where it takes the corner's x, y, width, height",
            opencv_by_class(centre_size),
        ),
        ("cuts corners to whole pixels of the picture before NMS across classes", opencv(whole)),
    ],
)
def test_each_suppresses_what_the_library_does(what, chosen):
    way = demo_way()
    assert isinstance(way.spec.postprocess, pipelines.Postprocess)
    mutation = next(m for m in suppression_mutations(way.spec.postprocess) if m.what == what)
    step, other = mutation.change(way).steps[RESULTS], 0
    for seed in range(8):
        head = crowd(seed)
        scores, classes = head[0, 4:].max(axis=0), head[0, 4:].argmax(axis=0)
        wanted = chosen(corners(head), scores, classes, 0.45)
        found = step(At([head], SQUARE)).value
        assert sorted(found.scores.tolist()) == pytest.approx(sorted(scores[wanted].tolist())), seed
        other += len(found) != len(way.steps[RESULTS](At([head], SQUARE)).value)
    assert other, "the crowd must show it"


def test_few_go_into_nms():
    rules = replace(rules_of(demo_way().spec), before_nms=5)
    head = crowd(0)
    found = rules([head[0]], SQUARE)
    best = np.sort(head[0, 4:].max(axis=0))[::-1][:5]
    assert set(found.scores.tolist()) <= set(best.tolist())
    assert 0 < len(found) <= 5


@pytest.mark.parametrize(("held", "kept"), [("score", 1), ("objectness", 2), ("class_alone", 2)])
def test_the_confidence_is_held_against_a_half_of_the_score(held, kept):
    """YOLOv5's rows: objectness times class is 0.72, 0.18 and 0.18, above 0.25 once."""
    spec = demo_way().spec.model_dump(exclude_unset=True)
    spec["postprocess"]["format"] = "yolov5"
    rules = replace(rules_of(pipelines.Pipeline.model_validate(spec)), held=held)
    rows = np.array(
        [[50, 50, 20, 20, 0.9, 0.8, 0], [150, 50, 20, 20, 0.9, 0.2, 0], [250, 50, 20, 20, 0.2, 0.9, 0]], np.float32
    )
    assert len(rules([rows], SQUARE)) == kept
