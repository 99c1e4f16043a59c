"""What is on neither side, or was never annotated, must not look like agreement or like a right answer."""

import json

import cv2
import numpy as np
import pytest

from seatrial.errors import DataError
from seatrial.images.files import ImageFile
from seatrial.kernels.results import DenseMap, Detections, Instances, SemanticMask, Text
from seatrial.parity.classes import ClassMap
from seatrial.parity.evaluation import value_of
from seatrial.parity.label_images import map_numbers, read_label_images
from seatrial.parity.overlaps import FILLED
from seatrial.parity.pixels import evaluate_pixels
from seatrial.parity.results import agreement
from seatrial.parity.text_truth import read_texts
from seatrial.parity.truth import load_truth


def maps(*values):
    return [DenseMap(np.full((4, 4), v, np.float32)) for v in values]


def test_maps_without_a_value_on_either_side_agree_in_nothing():
    found = agreement(maps(np.nan, np.nan), maps(np.nan, np.nan))
    assert (found.value, found.reference_empty) == (None, True)


def test_what_a_crop_cut_away_is_not_counted_as_alike():
    a, b = (np.full((4, 4), np.nan, np.float32) for _ in range(2))
    a[0], b[0] = 1, (1, 1, 1, 2)
    found = agreement([DenseMap(a)] * 2, [DenseMap(b)] * 2)
    assert found.value == pytest.approx(0.75)
    b[1, 0] = 5
    assert agreement([DenseMap(a)], [DenseMap(b)]).value == pytest.approx(3 / 5), (
        "a value on one side alone is a difference"
    )


def test_maps_of_one_value_and_no_value_are_one_answer():
    half = np.full((4, 4), np.nan, np.float32)
    half[:2] = 3
    assert agreement([DenseMap(half), *maps(3)], [DenseMap(half), *maps(3)]).reference_empty


def test_texts_that_are_empty_on_both_sides_agree_in_nothing():
    empty, word, other = Text.of("", 0.0), Text.of("a", 0.9), Text.of("b", 0.9)
    found = agreement([empty] * 97 + [word] * 3, [empty] * 97 + [other] * 3)
    assert (found.value, found.count) == (0.0, 3)
    assert agreement([empty, word], [word, word]).value == 0.5


def test_an_object_without_a_pixel_agrees_with_itself_by_its_box():
    boxes = Detections(np.array([[1, 1, 3, 3]], np.float32), np.ones(1, np.float32), np.zeros(1, np.int64))
    bare = Instances.of_masks(boxes, [np.zeros((9, 9), bool)], (9, 9))
    there = Instances.of_masks(boxes, [np.ones((9, 9), bool)], (9, 9))
    assert agreement([bare, there], [bare, there]).value == 1
    assert agreement([bare], [there]).value == 0


def labelled(tmp_path, pixels, count=2):
    (tmp_path / "labels").mkdir()
    images = []
    for k in range(count):
        cv2.imwrite(str(tmp_path / "labels" / f"{k}.png"), pixels)
        images.append(ImageFile(tmp_path / f"{k}.png", f"{k}.png"))
    return images


@pytest.mark.parametrize("head", [2, 21, None])
def test_label_images_of_nothing_but_0_and_255_are_refused(tmp_path, head):
    pixels = np.zeros((6, 6), np.uint8)
    pixels[:3] = 255
    images = labelled(tmp_path, pixels)
    truth, _ = read_label_images(tmp_path / "labels", images)
    with pytest.raises(DataError, match="hold 0 and 255 alone, and 255 is what is not judged"):
        map_numbers(tmp_path / "labels", truth, None, None, head)


@pytest.mark.parametrize("classes", [255, 256, 300])
def test_255_is_not_judged_however_many_classes_there_are(tmp_path, classes):
    pixels = np.full((6, 6), 255, np.uint8)
    pixels[:3] = 1
    images = labelled(tmp_path, pixels)
    truth = load_truth(tmp_path / "labels", images)
    results = [SemanticMask(np.where(pixels == 1, 1, 7).astype(np.uint16))] * 2
    assert value_of(evaluate_pixels(truth, images, results, ClassMap(tuple(range(classes))))) == 1


def test_a_picture_is_not_its_own_label_image(tmp_path):
    pixels = np.ones((6, 6), np.uint8)
    images = labelled(tmp_path, pixels)
    for image in images:
        cv2.imwrite(str(image.path), np.full((6, 6), 3, np.uint8))
    truth, _ = read_label_images(tmp_path, images)
    assert {f.parent.name for f in truth.files.values()} == {"labels"}
    assert dict(truth.values).keys() == {1}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "image,text\n0.jpg,12,50 EUR\n",
            "0.jpg has more columns than the header; a text with a comma in it needs quotes",
        ),
        ("image, text\n0.jpg,a\n", "expected a header line image,text without spaces, got 'image', ' text'"),
    ],
)
def test_a_text_that_would_be_cut_off_is_refused(tmp_path, text, said):
    with pytest.raises(DataError, match=said):
        read_texts(tmp_path / "t.csv", text, [ImageFile(tmp_path / "0.jpg", "0.jpg")])


def test_a_pose_without_an_area_is_judged_as_one_that_fills_a_part_of_its_box(tmp_path):
    annotation = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 10, 20], "keypoints": [1, 2, 2]}
    rows = {"images": [{"id": 1, "file_name": "0.jpg"}], "categories": [{"id": 1, "name": "a"}]}
    for given, expected in (({}, FILLED * 200), ({"area": 200}, 200), ({"area": 50}, 50)):
        (tmp_path / "t.json").write_text(json.dumps(rows | {"annotations": [annotation | given]}))
        truth = load_truth(tmp_path / "t.json", [ImageFile(tmp_path / "0.jpg", "0.jpg")])
        assert truth.coco["annotations"][0]["area"] == pytest.approx(expected)
