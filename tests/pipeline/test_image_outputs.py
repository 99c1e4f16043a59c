"""Which part of a run's outputs is which image's, for whoever keeps them."""

import numpy as np
import pytest

from seatrial.errors import ModelError
from seatrial.model.file import TensorInfo
from seatrial.pipeline.image_outputs import outputs_by_image, rows_without_image
from seatrial.plan.pipelines import Postprocess, UserPostprocess

FLAT = [TensorInfo("dets", ("n", 7), "float32"), TensorInfo("map", ("batch", 2), "float32")]
YOLOV7 = Postprocess(task="detect", format="yolov7_end_to_end", outputs=["dets"])


def test_rows_of_a_list_go_to_their_image_though_there_are_as_many_as_images():
    rows = np.zeros((2, 7), np.float32)
    rows[:, 0], rows[:, 6] = [1, 1], [0.9, 0.8]
    whole = np.arange(4.0).reshape(2, 2)
    first, second = outputs_by_image(YOLOV7, FLAT, [rows, whole], 2)
    assert (len(first[0]), second[0][:, 6].tolist()) == (0, pytest.approx([0.9, 0.8]))
    assert (first[1].tolist(), second[1].tolist()) == ([0, 1], [2, 3])


def test_a_raw_task_that_names_its_format_is_cut_in_the_same_way():
    rows = np.zeros((2, 7), np.float32)
    rows[:, 0] = [1, 1]
    raw = Postprocess(task="raw", format="yolov7_end_to_end", outputs=["dets"])
    assert [len(own[0]) for own in outputs_by_image(raw, FLAT, [rows, np.zeros((2, 2))], 2)] == [0, 2]


@pytest.mark.parametrize("post", [Postprocess(task="detect", format="yolov8"), UserPostprocess(python="mine:post")])
def test_other_outputs_have_a_row_an_image(post):
    infos = [TensorInfo("y", ("batch", 3), "float32"), TensorInfo("one", (), "float32")]
    found = outputs_by_image(post, infos, [np.arange(6).reshape(2, 3), np.array(7.0)], 2)
    assert [own[0].tolist() for own in found] == [[0, 1, 2], [3, 4, 5]]
    assert [float(own[1]) for own in found] == [7, 7]


def test_counts_of_detections_cut_what_is_filled_up():
    infos = [
        TensorInfo(n, s, "float32")
        for n, s in (("boxes", (1, 3, 4)), ("scores", (1, 3)), ("classes", (1, 3)), ("num", (1, 1)))
    ]
    outputs = [np.zeros((1, 3, 4)), np.zeros((1, 3)), np.zeros((1, 3)), np.array([[2]])]
    (own,) = outputs_by_image(Postprocess(task="detect", format="nms_tensors"), infos, outputs, 1)
    assert [len(o) for o in own] == [2, 2, 2, 1]


def test_images_that_cannot_be_told_apart_are_an_error_of_the_model():
    infos = [TensorInfo("dets", ("n", 6), "float32")]
    with pytest.raises(ModelError, match="'detections_flat': expected one image.*batch_sizes"):
        outputs_by_image(Postprocess(task="detect", format="detections_flat"), infos, [np.zeros((2, 6))], 2)


def test_rows_that_are_no_images_are_named_where_no_format_cuts_them():
    raw, outputs = Postprocess(task="raw"), [np.zeros((9, 7)), np.zeros((2, 2))]
    assert rows_without_image(raw, FLAT, outputs, 2) == {"dets": 9}
    assert rows_without_image(UserPostprocess(python="mine:post"), FLAT, outputs, 2) == {"dets": 9}
    assert rows_without_image(YOLOV7, FLAT, outputs, 2) == {}
    assert rows_without_image(raw, FLAT, [np.zeros((9, 7)), np.zeros((1, 2))], 1) == {}
    # Anchors, the same for all images: the file says how many there are.
    fixed = [TensorInfo("anchors", (9, 4), "float32"), TensorInfo("one", (), "float32")]
    assert rows_without_image(raw, fixed, [np.zeros((9, 4)), np.array(7.0)], 2) == {}
