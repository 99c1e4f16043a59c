"""Anchors from a file beside the plan: what is read, what is refused, and that the file is part of what a run keeps."""

import pickle

import heads.detectors  # noqa: F401
import numpy as np
import pytest
from heads.encode import build

from seatrial.cells.preflight import preflight
from seatrial.errors import PlanError
from seatrial.kernels.geometry import fit
from seatrial.kernels.postprocess import DetectionDecoder
from seatrial.pipeline.anchors import load_anchors
from seatrial.plan.load import load_plan
from seatrial.plan.pipelines import Postprocess

GOOD = np.array([[0, 0, 10, 20], [30, 10, 50, 30]], np.float64)
SQUARE = fit((64, 64), (64, 64), "stretch")


def test_both_kinds_of_files_are_read(tmp_path):
    np.save(tmp_path / "a.npy", GOOD)
    (tmp_path / "b.csv").write_text("0,0,10,20\n30,10,50,30\n", "utf-8-sig")
    for name in ("a.npy", "b.csv"):
        found = load_anchors(tmp_path / name)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, GOOD)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.npy", GOOD[:, :3], r"expected numbers \(N, 4\), got float64 of shape \(2, 3\)"),
        ("a.npy", GOOD[:, [2, 3, 0, 1]], r"the second behind the first, got \[10.0, 20.0, 0.0, 0.0\] in row 0"),
        ("a.npy", np.full((1, 4), np.nan), "the second behind the first"),
        ("a.npy", np.array([["a"] * 4]), r"expected numbers \(N, 4\)"),
        ("a.npy", pickle.dumps(GOOD), "cannot be read"),
        ("a.npy", b"", "cannot be read"),
        ("a.csv", b"x1,y1,x2,y2\n1,2,3,4\n", "cannot be read"),
        ("a.csv", b"1,2,3\n", r"\(1, 3\)"),
        ("a.txt", b"1,2,3,4\n", "ends in .npy or .csv"),
        ("gone.npy", None, "cannot be read"),
    ],
)
def test_another_file_is_refused_with_the_cure(tmp_path, name, content, said):
    path = tmp_path / name
    if isinstance(content, np.ndarray):
        np.save(path, content)
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(PlanError, match=rf"{said}.*expected a .npy or .csv file of \(N, 4\)"):
        load_anchors(path)


def test_an_object_array_is_not_unpickled(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[{}]], object), allow_pickle=True)
    with pytest.raises(PlanError, match="cannot be read"):
        load_anchors(tmp_path / "a.npy")


@pytest.mark.parametrize("engine", ["native", "reference"])
def test_offsets_are_against_their_anchor(engine):
    """Of the second anchor, centre (40, 20) and 20 × 20: a fifth of its size to the right, half as high."""
    offsets = np.array([[[0, 0, 0, 0], [2, 0, 0, np.log(0.5) / 0.2]]], np.float32)
    logits = np.array([[[9, 0], [0, 2]]], np.float32)
    found = DetectionDecoder("ssd_anchors", anchors_xyxy=GOOD, engine=engine)([offsets, logits], [SQUARE])[0]
    np.testing.assert_allclose(found.boxes_xyxy, [[34, 15, 54, 25]], atol=1e-4)
    np.testing.assert_allclose(found.scores, [1 / (1 + np.exp(-2))], rtol=1e-6)
    turned = offsets[..., [1, 0, 3, 2]] * [0.1, 0.1, 0.2, 0.2]
    found = DetectionDecoder("efficientdet", anchors_xyxy=GOOD, engine=engine)([turned, logits[..., 1:] / 4], [SQUARE])[
        0
    ]
    np.testing.assert_allclose(found.boxes_xyxy, [[34, 15, 54, 25]], atol=1e-4)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"format": "ssd_anchors"}, "reads offsets from anchors: give them"),
        ({"format": "yolov8", "anchors_xyxy": GOOD}, "reads none"),
        ({"format": "yolov8", "variances": (1, 1, 1, 1)}, "expected four, of a format with anchors"),
        ({"format": "efficientdet", "anchors_xyxy": GOOD, "variances": (1, 1)}, "expected four"),
    ],
)
def test_anchors_are_given_where_they_are_read_and_nowhere_else(settings, said):
    with pytest.raises(ValueError, match=said):
        DetectionDecoder(**settings)


def test_as_many_anchors_as_boxes():
    decoder = DetectionDecoder("efficientdet", anchors_xyxy=GOOD)
    with pytest.raises(ValueError, match="expected an anchor a box, 3, got 2 anchors"):
        decoder([np.zeros((1, 3, 4), np.float32), np.zeros((1, 3, 5), np.float32)], [SQUARE])


@pytest.mark.parametrize(
    ("post", "said"),
    [
        ({"format": "ssd_anchors"}, "name their file"),
        ({"format": "yolov8", "anchors": "a.npy"}, "has no anchors of its own; leave 'anchors' out"),
        ({"format": "yolov8", "variances": [1, 1, 1, 1]}, "leave 'variances' out"),
        ({"format": "yolov8", "boxes": "source"}, "boxes of format 'yolov8' are pixels or fractions, not 'source'"),
        ({"format": "rtdetr", "boxes": "fractions"}, "are always the same, not 'fractions'"),
    ],
)
def test_a_plan_says_what_its_format_needs(post, said):
    with pytest.raises(ValueError, match=said):
        Postprocess.model_validate({"task": "detect", **post})


def test_the_file_is_an_input_of_the_run(tmp_path):
    plan = build("anchored-ssd", tmp_path)
    ready = preflight(load_plan(plan), False, lambda _: None)
    assert ready.inputs.changed("only") == ""
    np.save(tmp_path / "anchors.npy", GOOD)
    assert "anchors.npy changed" in ready.inputs.changed("only")
    (tmp_path / "anchors.npy").unlink()
    with pytest.raises(PlanError, match="anchors.npy: the anchors cannot be read"):
        preflight(load_plan(plan), False, lambda _: None)
