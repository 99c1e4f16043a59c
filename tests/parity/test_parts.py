"""Raw outputs as parts that mean one thing each, as every format names them."""

import numpy as np
import pytest

from seatrial.kernels.detection_formats import FORMATS
from seatrial.model.file import TensorInfo
from seatrial.parity.parts import split
from seatrial.plan.pipelines import Postprocess, UserCode

HEAD = np.arange(9 * 20, dtype=np.float32).reshape(9, 20)
BOXES, SCORES = np.arange(80, dtype=np.float32).reshape(20, 4), np.arange(60, dtype=np.float32).reshape(20, 3)


def infos(arrays, names=None):
    names = names or [f"o{k}" for k in range(len(arrays))]
    return [TensorInfo(n, ("n", *a.shape), a.dtype.name) for n, a in zip(names, arrays, strict=True)]


def parts(task, form, arrays, names=None, by_rank=False, **fields):
    spec = Postprocess(**{"task": task, "format": form, **fields})
    return split(spec, infos(arrays, names), [arrays, arrays], by_rank)


@pytest.mark.parametrize(
    ("form", "outputs", "names", "shapes"),
    [
        ("yolov8", [HEAD], ["o0 boxes", "o0 scores"], [(4, 20), (5, 20)]),
        ("yolo11", [HEAD], ["o0 boxes", "o0 scores"], [(4, 20), (5, 20)]),
        ("yolov5", [HEAD.T], ["o0 boxes", "o0 objectness", "o0 scores"], [(20, 4), (20, 1), (20, 4)]),
        ("yolox", [HEAD.T], ["o0 boxes", "o0 objectness", "o0 scores"], [(20, 4), (20, 1), (20, 4)]),
        ("end_to_end", [HEAD.T[:, :6]], ["o0 boxes", "o0 scores", "o0 classes"], [(20, 4), (20, 1), (20, 1)]),
        ("ssd", [BOXES, SCORES], ["o0 boxes", "o1 scores"], [(20, 4), (20, 3)]),
        ("ssd", [SCORES, BOXES], ["o1 boxes", "o0 scores"], [(20, 4), (20, 3)]),
        ("detr", [BOXES, SCORES], ["o0 boxes", "o1 logits"], [(20, 4), (20, 3)]),
        ("rtdetr", [SCORES, BOXES], ["o1 boxes", "o0 logits"], [(20, 4), (20, 3)]),
    ],
)
def test_each_format_names_its_parts(form, outputs, names, shapes):
    found = parts("detect", form, outputs)
    assert list(found.names) == names
    assert [[a.shape for a in row] for row in found.arrays] == [shapes] * 2
    assert found.unit_range == tuple("scores" in n or "objectness" in n for n in names)
    # Nothing is lost, and nothing stands in two parts.
    assert sum(a.size for a in found.arrays[0]) == sum(o.size for o in outputs)


def test_every_format_has_parts():
    assert all(form.parts for form in FORMATS.values())


@pytest.mark.parametrize(
    ("postprocess", "outputs"),
    [
        (Postprocess(), [HEAD]),
        (Postprocess(task="classify"), [HEAD[0]]),
        (UserCode(python="a:b"), [HEAD]),
        (Postprocess(task="detect", format="yolov8"), [HEAD[:4]]),
        (Postprocess(task="detect", format="yolov8"), [HEAD[0]]),
        (Postprocess(task="detect", format="ssd"), [HEAD]),
        (Postprocess(task="detect", format="yolov8"), [HEAD, HEAD]),
    ],
)
def test_without_a_format_that_fits_an_output_is_one_part(postprocess, outputs):
    names = [f"o{k}" for k in range(len(outputs))]
    found = split(postprocess, infos(outputs), [outputs])
    assert found.names == tuple(names)
    assert [a.shape for a in found.arrays[0]] == [o.shape for o in outputs]


def test_a_raw_task_may_name_its_format():
    assert parts("raw", "yolov8", [HEAD]).names == ("o0 boxes", "o0 scores")


def test_outputs_that_the_plan_leaves_out_are_parts_of_their_own():
    found = split(
        Postprocess(task="detect", format="yolov8", outputs=["head"]),
        infos([HEAD, HEAD], ["aux", "head"]),
        [[HEAD, HEAD]],
    )
    assert found.names == ("head boxes", "head scores", "aux")


@pytest.mark.parametrize(
    ("form", "outputs", "name"),
    [("end_to_end", [HEAD.T[:, :6]], "o0 scores"), ("rtdetr", [BOXES, SCORES], "o1 logits")],
)
def test_where_rows_are_ordered_by_score_only_sorted_scores_keep_their_place(form, outputs, name):
    straight, shuffled = (
        parts("detect", form, [o[order] for o in outputs], by_rank=True)
        for order in (slice(None), slice(None, None, -1))
    )
    assert straight.names == (name,)
    np.testing.assert_array_equal(straight.arrays[0][0], shuffled.arrays[0][0])


def test_no_images_have_whole_outputs():
    assert split(Postprocess(task="detect", format="yolov8"), [TensorInfo("y", (1, 9, 20), "float32")], []).arrays == []


FOUR = np.arange(80, dtype=np.float32).reshape(20, 4) + 100


@pytest.mark.parametrize(
    ("names", "asked", "found"),
    [
        (["pred_logits", "pred_boxes"], None, ["pred_boxes boxes", "pred_logits logits"]),
        (["pred_boxes", "pred_logits"], None, ["pred_boxes boxes", "pred_logits logits"]),
        (["a", "b"], ["b", "a"], ["b boxes", "a logits"]),
        (["boxes", "scores"], ["scores", "boxes"], ["scores boxes", "boxes logits"]),
    ],
)
def test_with_four_classes_names_or_the_plan_say_which_are_the_boxes(names, asked, found):
    assert list(parts("detect", "detr", [BOXES, FOUR], names, outputs=asked).names) == found
