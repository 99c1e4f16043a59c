"""Scores in other units and along other axes, classes that are dropped, maps of classes drawn out."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from result_candidates import Detector, demo_way

from seatrial.diagnosis.mutations.labels import label_mutations
from seatrial.diagnosis.mutations.maps import CENTRES, Sampled
from seatrial.diagnosis.stages import RESULTS
from seatrial.diagnosis.way import At
from seatrial.kernels.geometry import Geometry
from seatrial.kernels.results import Detections
from seatrial.plan import pipelines

RIGHT = Detector()


def first_dropped(number):
    return lambda boxes, scores, classes: (boxes, scores, classes + number)


CASES = {
    "percent": ("activation", RIGHT.but(finish=lambda b, s, c: (b, s * 100, c))),
    "log-odds": ("activation", RIGHT.but(finish=lambda b, s, c: (b, np.log(s / (1 - s)), c))),
    "softmax-along-the-anchors": (
        "activation",
        RIGHT.but(to_scores=lambda s: np.exp(s) / np.exp(s).sum(axis=0), confidence=0.0001),
    ),
    "first-class-dropped": ("label-offset", RIGHT.but(to_scores=lambda s: s[:, 1:])),
    "first-class-never-found": ("label-offset", RIGHT.but(to_scores=lambda s: s[:, 1:], finish=first_dropped(1))),
}


@pytest.mark.parametrize("case", ["percent", "first-class-dropped"])
def test_named_behind_the_outputs(case):
    fault, candidate = CASES[case]
    assert candidate.named("outputs") == (fault,)


@pytest.mark.slow
@pytest.mark.parametrize("case", [c for c in CASES if "anchors" not in c])
def test_named_from_answers(case):
    fault, candidate = CASES[case]
    assert candidate.named("answers") == (fault,)


def test_classes_between_two_are_those_that_a_linear_resize_makes():
    """OpenCV's of a map of class numbers, to twice and three times its size; with bars, as one works it out."""
    rng = np.random.default_rng(1)
    scores = rng.random((6, 8, 10)).astype(np.float32)
    for times in (2, 3):
        size = (8 * times, 10 * times)
        geometry = Geometry(size, (8, 10), (8, 10), 0, 0)
        post = pipelines.Postprocess.model_validate({"task": "segment", "format": "scores"})
        found = Sampled(post, CENTRES, True, numbers=True)([scores[None]], [geometry])[0].class_ids
        classes = scores.argmax(axis=0).astype(np.uint8)
        wanted = cv2.resize(classes, size[::-1], interpolation=cv2.INTER_LINEAR)
        assert np.array_equal(found, wanted), times
        barred = Geometry(size, (8, 8), (8, 10), 1, 0)
        inside = Sampled(post, CENTRES, True, numbers=True)([scores[None]], [barred])[0].class_ids
        cut = cv2.resize(classes[:, 1:9].astype(np.float32), size[::-1], interpolation=cv2.INTER_LINEAR)
        assert (np.abs(inside - cut) <= 0.5 + 1e-4).mean() > 0.99
        assert not np.array_equal(found, np.kron(classes, np.ones((times, times))))


def test_coco_s_gaps_are_a_list_of_their_own():
    """80 classes in order, logged as COCO's category ids of 1 to 90."""
    spec = demo_way().spec.model_dump(exclude_unset=True)
    spec["postprocess"] |= {"labels": [f"c{k}" for k in range(80)]}
    made = pipelines.Pipeline.model_validate(spec)
    found = [
        m
        for m in label_mutations(replace(demo_way(), spec=made), made.postprocess)
        if "category ids (1 to 90)" in m.what
    ]
    own = Detections(np.ones((3, 4), np.float32), np.ones(3, np.float32), np.array([0, 11, 79]))
    changed = [_renumbered(m, own) for m in found]
    assert [1, 13, 90] in changed


def _renumbered(mutation, own):
    way = demo_way().wrapped(RESULTS, lambda _step: lambda _at: At(own))
    return mutation.change(way).steps[RESULTS](At(None)).value.class_ids.tolist()
