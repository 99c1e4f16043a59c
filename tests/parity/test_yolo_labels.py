"""YOLO's text files of upright boxes as truth, and numbers of label images that are not judged or are of 16 bits."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from seatrial.errors import DataError, did_you_mean
from seatrial.images.files import ImageFile
from seatrial.kernels.results import SemanticMask, Text
from seatrial.parity.classes import ClassMap
from seatrial.parity.evaluation import value_of
from seatrial.parity.label_images import label_image
from seatrial.parity.pixels import evaluate_pixels
from seatrial.parity.texts import evaluate_texts, unreadable
from seatrial.parity.truth import Truth, load_truth


def images(folder: Path) -> list[ImageFile]:
    return [ImageFile(folder / "pictures" / "a.jpg", "a.jpg")]


def labelled(folder: Path, line: str) -> Truth:
    (folder / "labels").mkdir()
    (folder / "labels" / "a.txt").write_text(line)
    return load_truth(folder / "labels", images(folder), [(100, 200)])


def test_fractions_of_centre_and_size_become_boxes_in_pixels(tmp_path: Path):
    truth = labelled(tmp_path, "3 0.5 0.4 0.2 0.1\n0 0.1 0.1 0.2 0.2\n")
    assert truth.coco is not None
    assert truth.numbered
    assert [a["category_id"] for a in truth.coco["annotations"]] == [3, 0]
    boxes = [a["bbox"] for a in truth.coco["annotations"]]
    assert np.allclose(boxes, [[80, 35, 40, 10], [0, 0, 40, 20]])
    assert not any("segmentation" in a for a in truth.coco["annotations"])


@pytest.mark.parametrize("line", ["0 0.5 0.5 0.2 0", "0 50 40 20 10", "0 0.9 0.5 0.4 0.1"])
def test_boxes_that_leave_the_image_are_refused(tmp_path: Path, line: str):
    with pytest.raises(DataError, match=r"a\.txt:1: expected YOLO's class x_center y_center width height from 0 to 1"):
        labelled(tmp_path, line)


def test_polygons_are_told_to_be_converted(tmp_path: Path):
    with pytest.raises(DataError, match="a polygon of YOLO's segmentation labels: convert them to COCO JSON"):
        labelled(tmp_path, "0 0.1 0.1 0.3 0.1 0.2 0.3")


def test_two_layouts_in_a_folder_are_refused(tmp_path: Path):
    with pytest.raises(DataError, match="expected lines of one kind, got two"):
        labelled(tmp_path, "0 0.5 0.5 0.2 0.2\n0 0.1 0.1 0.3 0.1 0.3 0.3 0.1 0.3\n")


def masks(folder: Path, label: np.ndarray, *not_judged: int) -> Truth:
    (folder / "masks").mkdir()
    cv2.imwrite(str(folder / "masks" / "a.png"), label)
    return load_truth(folder / "masks", images(folder), not_judged=not_judged)


def test_a_number_that_is_not_judged_counts_nowhere(tmp_path: Path):
    label = np.repeat(np.array([0, 1, 2], np.uint8), 20).reshape(6, 10)
    found = [SemanticMask(np.maximum(label, 1).astype(np.int32) - 1)]
    ids = ClassMap((1, 2), how="plan")
    truth = masks(tmp_path, label, 0)
    assert value_of(evaluate_pixels(truth, images(tmp_path), found, ids)) == 1
    assert truth.masks is not None
    assert truth.masks.judged == [1, 2]
    (tmp_path / "other").mkdir()
    judged = masks(tmp_path / "other", label)
    assert value_of(evaluate_pixels(judged, images(tmp_path), found, ids)) == pytest.approx((0 + 0.5 + 1) / 3)


def test_not_judged_is_refused_where_no_number_is_read(tmp_path: Path):
    (tmp_path / "t.csv").write_text("image,class\na.jpg,0\n")
    with pytest.raises(DataError, match=r"images\.not_judged names numbers of label images"):
        load_truth(tmp_path / "t.csv", images(tmp_path), not_judged=[0])


def test_label_images_of_16_bits(tmp_path: Path):
    label = np.array([[0, 7], [254, 255]], np.uint16)
    cv2.imwrite(str(tmp_path / "a.png"), label)
    assert label_image(tmp_path / "a.png").tolist() == label.tolist()
    cv2.imwrite(str(tmp_path / "a.png"), label * 257)
    with pytest.raises(DataError, match=r"of 16 bits holds 1799, 65278, 65535; expected classes from 0 to 254"):
        label_image(tmp_path / "a.png")


def test_label_images_among_the_pictures_are_told(tmp_path: Path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((2, 2), np.uint8))
    with pytest.raises(DataError, match="all PNGs of the folder are images of the trial.*into a folder of their own"):
        load_truth(tmp_path, [ImageFile(tmp_path / "a.png", "a.png")])


def test_names_of_another_unicode_form_are_told():
    assert did_you_mean("gro\u0308ße.png", ["x.png", "größe.png"]) == (
        " ('größe.png' has the same letters in Unicode's form NFC, this one in NFD: rename one)"
    )


def test_characters_that_no_class_stands_for():
    truth = Truth(Path("t.csv"), texts={"a.jpg": "cafe\u0301 1", "b.jpg": "face"})
    (found,) = unreadable(truth, list("acef1"), True)
    assert found.code == "unreadable-texts"
    assert found.text.startswith("1 of 2 texts in the truth have characters that no class of the dictionary stands for")
    assert "'é' (in 1)" in found.text
    assert unreadable(truth, list("acefé1"), True) == []
    assert unreadable(truth, list("acefé1"), False)[0].cure.startswith("set space: true")
    own = [Text.of("caf 1", 1.0), Text.of("face", 1.0)]
    pictures = [ImageFile(Path(n), n) for n in ("a.jpg", "b.jpg")]
    assert value_of(evaluate_texts(truth.texts or {}, pictures, own)) == 0.5
