"""How far keypoints may miss where nobody says it: never so far that nothing can fail, and never without a word."""

import json

import numpy as np
import pytest

from seatrial.cells.class_checks import sigma_notes
from seatrial.images.files import ImageFile
from seatrial.kernels.poses import COCO_SIGMAS, sigmas_of
from seatrial.kernels.results import Poses
from seatrial.parity.classes import ClassMap
from seatrial.parity.evaluation import value_of
from seatrial.parity.objects import evaluate_objects
from seatrial.parity.overlaps import FILLED, object_keypoint_similarity
from seatrial.parity.pose_sigmas import default_sigmas, forgiven
from seatrial.parity.truth import load_truth
from seatrial.plan.load import plan_in_memory

SIDE = 80.0


def posed(points, by=0.0):
    keypoints = np.array(points, np.float32).reshape(1, -1, 3) + np.array([by, 0, 0], np.float32)
    box = np.array([[0, 0, SIDE, SIDE]], np.float32)
    sigmas = np.array(sigmas_of(keypoints.shape[1]), np.float32)
    return Poses(box, np.array([0.9], np.float32), np.zeros(1, np.int64), keypoints, sigmas)


def truth_of(tmp_path, points, count=3, **more):
    fields = {"category_id": 1, "keypoints": points, "bbox": [0, 0, SIDE, SIDE], "area": SIDE**2, **more}
    data = {
        "images": [{"id": i, "file_name": f"{i}.jpg"} for i in range(count)],
        "annotations": [{"id": i, "image_id": i, **fields} for i in range(count)],
        "categories": [{"id": 1, "name": "tool"}],
    }
    (tmp_path / "t.json").write_text(json.dumps(data))
    return load_truth(tmp_path / "t.json", images_of(tmp_path, count))


def images_of(tmp_path, count=3):
    return [ImageFile(tmp_path / f"{i}.jpg", f"{i}.jpg") for i in range(count)]


@pytest.mark.parametrize("count", [1, 2, 3, 5, 9])
def test_few_keypoints_that_all_miss_are_not_right(tmp_path, count):
    """An eighth of the object's size, of which 1 / 3 as sigma would make an OKS of 0.98."""
    points = [20.0, 30.0, 2.0] * count
    truth = truth_of(tmp_path, points)
    values = []
    for by in (0, SIDE / 8, SIDE / 4):
        found = evaluate_objects(truth, images_of(tmp_path), [posed(points, by)] * 3, ClassMap((1,)))
        values.append(value_of(found))
    assert values[0] == pytest.approx(1)
    assert values[1] < 0.5
    assert values[2] == 0


@pytest.mark.parametrize("count", [1, 3, 15, 40])
def test_what_is_forgiven_is_where_oks_is_a_half(count):
    points = [20.0, 30.0, 2.0] * count
    by = forgiven(sigmas_of(count)[0]) * np.sqrt(FILLED) * SIDE
    assert object_keypoint_similarity(posed(points), posed(points, by))[0, 0] == pytest.approx(0.5, abs=1e-3)


def test_the_default_is_said_in_pixels_of_the_truth(tmp_path):
    said = str(default_sigmas(3, truth_of(tmp_path, [20.0, 30.0, 2.0] * 3)))
    assert "OKS takes sigma 0.0669 for each" in said
    assert "OKS 0.5 forgives 16% of an object's size: about 13 px on the median object" in said
    assert "square root of area 80 px" in said
    assert said.endswith("set postprocess.sigmas, one a keypoint")


def test_objects_that_are_not_judged_have_no_size(tmp_path):
    for more in ({"iscrowd": 1}, {"keypoints": [0.0, 0.0, 0] * 3}):
        assert "median object" not in str(default_sigmas(3, truth_of(tmp_path, [1.0, 1.0, 2] * 3, **more)))


def test_cocos_own_points_have_cocos_own_sigmas():
    assert default_sigmas(len(COCO_SIGMAS), None) is None


PLAN = """version: 1
images: {path: photos}
pipelines:
  baseline:
    model: m.onnx
    preprocess: {mode: letterbox, size: [64, 64]}
    postprocess: {task: pose, format: yolov8, keypoints: [3, 3]%s}
  candidate: {extends: baseline, model: n.onnx}
matrix: {backends: [onnxruntime-cpu]}
%s"""
PARITY = "parity: {reference: {pipeline: baseline}}\n"


@pytest.mark.parametrize(
    ("sigmas", "parity", "count"),
    [("", PARITY, 1), (", sigmas: [0.1, 0.1, 0.1]", PARITY, 0), ("", "", 0)],
)
def test_it_is_said_once_where_poses_are_compared_at_all(tmp_path, sigmas, parity, count):
    plan = plan_in_memory(PLAN % (sigmas, parity), tmp_path / "plan.yaml")
    assert [w.code for w in sigma_notes(plan, None)] == ["default-sigmas"] * count


def test_the_first_look_names_the_sigmas(tmp_path):
    points = [20.0, 30.0, 2.0] * 17
    found = evaluate_objects(truth_of(tmp_path, points), images_of(tmp_path), [posed(points)] * 3, ClassMap((1,)))
    assert found.beside == "OKS sigma 0.025 to 0.107"
