"""What a model is sure of and cannot be: counted and told, and never said of what is right."""

import re
from pathlib import Path

import numpy as np
import pytest

from seatrial.kernels.geometry import fit
from seatrial.model.file import ModelInfo, TensorInfo
from seatrial.pipeline.sure_objects import sure_objects_of
from seatrial.plan.pipelines import Pipeline

F = np.float32
SIDE, ANCHORS = 64, 84
# A picture twice as wide as high: the input's rows from 16 to 48.
GEOMETRY = fit((100, 200), (SIDE, SIDE), "letterbox")
# Corners in input pixels, at the picture's own corners.
BOXES = np.array([[2, 18, 20, 30], [40, 18, 60, 30], [2, 34, 20, 46], [44, 34, 63, 46]], F)


def centred(corners):
    return np.concatenate([(corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]], axis=1)


def yolov8(boxes, behind=None, score=0.9):
    """Anchors that hold nothing, and the boxes."""
    columns = 4 + 2 + (0 if behind is None else behind.shape[1])
    head = np.random.default_rng(0).uniform(0, 0.05, (ANCHORS, columns)).astype(F)
    head[: len(boxes), :4], head[: len(boxes), 4] = boxes, score
    if behind is not None:
        head[: len(boxes), 6:] = behind
    return head.T


def listed(boxes, score=0.9, label=0.0, behind=None):
    rows = np.zeros((12, 6 + (0 if behind is None else behind.shape[1])), F)
    rows[:, 4:6] = -1
    rows[: len(boxes), :4], rows[: len(boxes), 4], rows[: len(boxes), 5] = boxes, score, label
    if behind is not None:
        rows[: len(boxes), 6:] = behind
    return rows


def told(post, *outputs, geometry=GEOMETRY):
    tensors = tuple(TensorInfo(f"o{k}", ("n", *o.shape), "float32") for k, o in enumerate(outputs))
    info = ModelInfo(Path("m.onnx"), (TensorInfo("x", ("n", 3, SIDE, SIDE), "float32"),), tensors, {}, 17, 1, "")
    spec = Pipeline.model_validate({"model": "m.onnx", "preprocess": {"size": [SIDE, SIDE]}, "postprocess": post})
    sure = sure_objects_of("only", spec, info, Path())
    for _ in range(2):
        sure.add([list(outputs)], [geometry])
    return {w.code: str(w) for w in sure.warnings()}


DETECT = {"task": "detect", "format": "yolov8"}
END = {"task": "detect", "format": "end_to_end"}
NMS = {"task": "detect", "format": "nms_tensors", "outputs": ["o0", "o1", "o2"]}
POSE = {"task": "pose", "format": "yolov8", "keypoints": [2, 3]}
OBB = {"task": "oriented", "format": "yolov8"}
ABOVE = BOXES - np.array([0, 18, 0, 18], F)


def points(boxes, times=1.0, sure=0.9):
    """Two corners of each box, each with how sure it is."""
    rows = [[b[0] * times, b[1] * times, sure, b[2] * times, b[3] * times, sure] for b in boxes]
    return np.array(rows, F)


SOUND = {
    "yolov8": (DETECT, yolov8(centred(BOXES))),
    "yolov8 in fractions": (DETECT | {"boxes": "fractions"}, yolov8(centred(BOXES / SIDE))),
    "end to end, with what it is filled up with": (END, listed(BOXES)),
    "end to end in fractions": (END | {"boxes": "fractions"}, listed(BOXES / SIDE)),
    "end to end of the picture": (END | {"boxes": "source"}, listed(BOXES * 2)),
    "one that lies half in the padding": (END, listed(BOXES - np.array([0, 10, 0, 10], F))),
    "one large object, seen by many": (DETECT, yolov8(np.tile(F([32, 32, 64, 60]), (30, 1)))),
    "outside, but not sure": (END, listed(ABOVE, score=0.2)),
    "no class, but not sure": (NMS, BOXES, np.full(4, 0.2, F), np.full(4, -1, F)),
    "a pose": (POSE, yolov8(centred(BOXES), points(BOXES))),
    "a pose whose points are not seen": (POSE, yolov8(centred(BOXES), points(BOXES, 9, sure=0.1))),
    "one of thousands in the padding": (
        NMS,
        np.concatenate([np.tile(BOXES, (600, 1)), ABOVE[:1]]),
        np.full(2401, 0.9, F),
        np.zeros(2401, F),
    ),
    "two-number keypoints of which the hidden stand at 0": (
        POSE | {"keypoints": [2, 2]},
        yolov8(centred(BOXES), points(BOXES)[:, [0, 1, 3, 4]] * np.array([1, 1, 0, 0], F)),
    ),
    "oriented": (OBB, yolov8(centred(BOXES), np.full((4, 1), 0.7, F))),
}


@pytest.mark.parametrize("name", SOUND)
def test_nothing_is_said_of_what_may_be_right(name):
    assert told(*SOUND[name]) == {}


LOST, READ, APART = "lost-objects", "corners-or-centres", "keypoints-apart"
WRONG = {
    "above the picture": (END, (listed(ABOVE[:2]),), {LOST: "of 4 candidates with a score above 0.25 4 lie wholly outside"}),
    "above the picture, above a confidence": (
        END | {"confidence": 0.5}, (listed(ABOVE[:2], score=0.6),), {LOST: "score above 0.5 4 lie wholly outside"}),
    "anchors above the picture": (DETECT, (yolov8(centred(ABOVE[:2])),), {LOST: "4 lie wholly outside"}),
    "no class": (END | {"boxes": "fractions"}, (listed(BOXES / SIDE, label=-1),), {LOST: "of 8 .* 8 have a class below 0"}),
    "no class, in tensors": (NMS, (BOXES, np.full(4, 0.9, F), F([0, -1, 1, -1])), {LOST: "of 8 .* 4 have a class below 0"}),
    "without area": (NMS, (BOXES[:, [2, 3, 0, 1]], np.full(4, 0.9, F), np.zeros(4, F)), {LOST: "8 have a box without area"}),
    "corners as centre and size": (DETECT, (yolov8(BOXES),), {READ: "centre and size: .* as two corners all lie in"}),
    "centre and size as corners": (
        END, (listed(centred(BOXES)),), {LOST: "8 have a box without area", READ: "two corners: 8 of 8 .* as centre and size"}),
    "keypoints in cells": (POSE, (yolov8(centred(BOXES), points(BOXES, 1 / 8)),), {APART: "of 8 poses .* 8 have most"}),
    "keypoints in pixels of boxes in fractions": (
        POSE | {"boxes": "fractions"}, (yolov8(centred(BOXES / SIDE), points(BOXES)),), {APART: "of 8 poses .* 8 have most"}),
    "oriented, outside": (
        OBB, (yolov8(centred(ABOVE[:2]), np.full((2, 1), 0.1, F)),), {LOST: "of 4 .* 4 lie wholly outside"}),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_is_counted(name):

    post, outputs, expected = WRONG[name]
    found = told(post, *outputs)
    assert set(found) == set(expected), found
    for code, said in expected.items():
        assert re.search(said, found[code]), found


def test_other_tasks_have_no_objects():
    spec = Pipeline(model="m.onnx", preprocess={"size": (64, 64)}, postprocess={"task": "classify"})
    info = ModelInfo(Path("m.onnx"), (), (TensorInfo("y", ("n", 2), "float32"),), {}, 17, 1, "")
    assert sure_objects_of("only", spec, info, Path()) is None
