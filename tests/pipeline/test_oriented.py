"""Task `oriented` between plan and verdict: what a plan may say, what is read of a head, and what cannot be right."""

from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from seatrial.errors import ModelError, PlanError
from seatrial.kernels.oriented import OrientedDecoder, corners_of
from seatrial.kernels.results import OrientedBoxes
from seatrial.model.file import ModelInfo, TensorInfo
from seatrial.parity.parts import split
from seatrial.pipeline.class_count import head_classes
from seatrial.pipeline.decoders import decoder_of
from seatrial.pipeline.plausibility import Plausibility
from seatrial.pipeline.results import ResultsWriter, check_result
from seatrial.pipeline.stored import load_results_file
from seatrial.plan import pipelines

RNG = np.random.default_rng(8)
SIDE, ANCHORS = 320, 2100
BOXES = np.concatenate([RNG.uniform(0, SIDE, (ANCHORS, 2)), RNG.uniform(4, SIDE / 2, (ANCHORS, 2))], axis=1)
SCORES, ANGLES = RNG.uniform(0, 0.02, (ANCHORS, 3)), RNG.uniform(-0.78, 2.35, (ANCHORS, 1))
SCORES[:3] = 0.9


def head(boxes=BOXES, scores=SCORES, angles=ANGLES):
    return np.concatenate([boxes, scores, angles], axis=1).T[None].astype(np.float32)


def rows(boxes=BOXES, angles=ANGLES):
    kinds = np.arange(300)[:, None] % 3
    return np.concatenate([boxes[:300], SCORES[:300, :1], kinds, angles[:300]], axis=1)[None].astype(np.float32)


def post(form="yolov8", **more):
    return pipelines.Postprocess.model_validate({"task": "oriented", "format": form, **more})


def model(output, *, known=True):
    shape = (1, *output.shape[1:]) if known else ("n", "a", "b")
    tensors = (TensorInfo("output0", shape, "float32"),)
    return ModelInfo(Path("m.onnx"), (TensorInfo("x", ("n", 3, SIDE, SIDE), "float32"),), tensors, {}, 17, 1, "")


# --- The plan.


def test_a_plan_names_the_nms_of_oriented_boxes_and_of_nothing_else():
    assert decoder_of(post(), "native") == OrientedDecoder("yolov8", 0.25, 0.45, 300, nms="probiou")
    assert decoder_of(post("yolo11", nms="polygon", iou=0.3), "reference") == OrientedDecoder(
        "yolo11", 0.25, 0.3, engine="reference", nms="polygon"
    )
    with pytest.raises(ValidationError, match="only task oriented reads 'nms', not 'detect'; leave it out"):
        pipelines.Postprocess(task="detect", format="yolov8", nms="polygon")
    with pytest.raises(ValidationError, match="task 'oriented' reads formats yolov8, .*not 'yolov5'"):
        post("yolov5")
    with pytest.raises(ValidationError, match="reads 'boxes', not 'oriented'; leave it out"):
        post(boxes="fractions")
    with pytest.raises(ValueError, match="boxes: expected .*pixels.*, got 'fractions'"):
        OrientedDecoder(boxes="fractions")
    with pytest.raises(ValidationError, match="task 'oriented' needs a format"):
        pipelines.Postprocess(task="oriented")


# --- The head.


@pytest.mark.parametrize(
    ("form", "shape", "count"),
    [
        ("yolov8", (1, 20, 21504), 15),
        ("yolo11", (1, 6, 2100), 1),
        ("yolov8", (1, 5, 2100), None),
        ("yolo26", (1, 300, 7), None),
    ],
)
def test_the_angle_is_no_class(form, shape, count):
    assert head_classes(post(form), model(np.zeros(shape))) == count


def test_the_angle_is_a_part_of_its_own():
    """Scores and pixels beside it would hide what became of it."""
    (found,) = [split(post(), [TensorInfo("o", ("n", 8, ANCHORS), "float32")], [[head()[0]]])]
    assert found.names == ("o boxes", "o scores", "o angle")
    assert [a.shape for a in found.arrays[0]] == [(4, ANCHORS), (3, ANCHORS), (1, ANCHORS)]
    np.testing.assert_array_equal(found.arrays[0][2][0], head()[0, -1])
    ends = split(post("yolo26"), [TensorInfo("o", ("n", 300, 7), "float32")], [[rows()[0]]])
    assert ends.names == ("o boxes", "o scores", "o classes", "o angle")
    assert [a.shape[1] for a in ends.arrays[0]] == [4, 1, 1, 1]


# --- The numbers of a run.


def seen(form, output, labels=None):
    spec = pipelines.Pipeline.model_validate(
        {"model": "m.onnx", "preprocess": {"size": [SIDE, SIDE]}, "postprocess": {"task": "oriented", "format": form}}
    )
    found = Plausibility("only", spec, model(output, known=False), labels)
    found.add([output], 1)
    return found


@pytest.mark.parametrize(
    ("form", "output"),
    [
        ("yolov8", head()),
        ("yolo26", rows()),
        ("yolov8", head(angles=ANGLES + 2 * np.pi)),
        ("yolo26", np.zeros((1, 300, 7), np.float32)),
    ],
)
def test_what_may_be_right_runs(form, output):
    assert seen(form, output, ["a", "b", "c"]).problem() == ""


@pytest.mark.parametrize(
    ("form", "output", "said"),
    [
        (
            "yolov8",
            head(angles=np.degrees(ANGLES)),
            r"expects an angle in radians in the last column, but they go from -44",
        ),
        ("yolo26", rows(angles=np.degrees(ANGLES)), "expects an angle in radians"),
        ("yolov8", head(BOXES / SIDE), "expects boxes in pixels, but all are smaller than 2 px"),
        ("yolo26", rows(BOXES / SIDE), "expects boxes in pixels"),
        ("yolov8", head(scores=SCORES[:, :2]), "reads 2 classes from the head, but there are 3 labels"),
        ("yolo26", rows()[..., :6], "but there are 6"),
        ("yolov8", head(scores=SCORES * 20), "expects probabilities"),
    ],
)
def test_what_cannot_be_right_fails_the_cell(form, output, said):
    with pytest.raises(ModelError, match=said):
        seen(form, output, ["a", "b", "c"]).settle(reduced=False)


@pytest.mark.parametrize(("form", "make"), [("yolov8", head), ("yolo26", rows)])
def test_a_class_that_is_read_as_an_angle_is_said(form, make):
    """Without labels or metadata nothing else tells the head of a plain detector."""
    assert seen(form, make()).settle(reduced=False) == []
    (said,) = seen(form, make(angles=np.abs(ANGLES) / 3)).settle(reduced=False)
    assert (
        "reads an angle in the last column, but all of it lies between 0 and 1 over 1 image: is it a class?"
        in said.text
    )


# --- A user's own results.


def boxes(corners, count=1):
    return OrientedBoxes(
        np.zeros((count, 4)), np.full(count, 0.5), np.zeros(count, np.int64), np.asarray(corners, float)
    )


def test_a_users_own_boxes_are_kept_and_read_again(tmp_path):
    own = OrientedBoxes.of_corners(corners_of([(9, 9, 8, 4, 0.3), (20, 9, 8, 4, 2)]), [0.9, 0.8], [0, 1], (30, 30))
    kept = check_result(own)
    with ResultsWriter(tmp_path / "results.npz") as writer:
        writer.add(kept)
    ((back,), _) = load_results_file(tmp_path / "results.npz")
    assert isinstance(back, OrientedBoxes)
    for ours, theirs in zip(vars(own).values(), vars(back).values(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert len(check_result(boxes(np.zeros((0, 4, 2)), 0))) == 0


@pytest.mark.parametrize(
    "corners",
    [
        [[(0, 0), (4, 4), (4, 0), (0, 4)]],
        [[(0, 0), (4, 0), (1, 1), (0, 4)]],
        [[(0, 0), (1, 0), (2, 0), (3, 0)]],
        [[(0, 0), (4, 0), (4, 4)]],
        [[0, 0, 4, 0, 4, 4, 0, 4]],
        [[(0, 0), (4, 0), (4, 4), (0, np.nan)]],
    ],
)
def test_corners_of_which_no_overlap_can_be_told_are_refused(corners):
    with pytest.raises(PlanError, match="the Python postprocess gave OrientedBoxes"):
        check_result(boxes(corners))
