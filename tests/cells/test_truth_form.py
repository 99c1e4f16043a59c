"""Truth whose form is not that of the plan's task: what was expected, and the cure, in the task's own words."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seatrial.cells.truth_form import check_file, check_label_sizes, check_objects, order_told
from seatrial.errors import DataError
from seatrial.images.files import ImageFile
from seatrial.parity.truth import Truth, load_truth
from seatrial.plan.pipelines import Postprocess
from seatrial.warning import Warning

IMAGES = [ImageFile(Path("a.png"), "a.png"), ImageFile(Path("b.png"), "b.png")]
TEXT = {"task": "text", "format": "ctc", "labels": ["a"]}
DETECT, POSE = {"task": "detect", "format": "yolov8"}, {"task": "pose", "format": "yolov8", "keypoints": [17, 3]}
MANY = {"task": "classify", "multi_label": True, "activation": "none"}
FORMS = {
    "text": (TEXT, "t.csv", "image,label\na.png,x\n", "expected a header line with columns image,text, got image, label"),
    "depth": ({"task": "dense"}, "t.csv", "image,depth\n", "columns image,map, got image, depth"),
    "class": ({"task": "classify"}, "t.csv", "image,label\n", "columns image,class, got image, label; write a row an image"),
    "one column a class": (MANY, "t.csv", "image,red,green\na.png,0,1\n", "got image, red, green; write a row for each .* a;b"),
    "no image": (TEXT, "t.csv", "file,text\n", "columns image,text, got file, text"),
    "boxes in a CSV": (DETECT, "t.csv", "image,x,y,w,h\n", "expected COCO JSON, which judges task 'detect', got image, x, y"),
    "an empty CSV": (TEXT, "t.csv", "\n", "the file is empty; expected a CSV with columns image,text, or a label file"),
    "an empty JSON": (POSE, "t.json", "", "the file is empty; expected COCO JSON"),
    "an empty class": ({"task": "classify"}, "t.csv", "image,class\na.png,\nb.png,tug\n",
                       "the class of 1 of 2 images is empty: a.png; .*multi_label: true"),
    "two classes": ({"task": "classify"}, "t.csv", "image,class\na.png,x\na.png,y\n",
                    "a.png is of several classes, 'x' and 'y'; .*multi_label: true"),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMS)
def test_another_form_than_the_tasks_is_refused_in_its_words(tmp_path, name):
    post, file, text, said = FORMS[name]
    (tmp_path / file).write_text(text)
    with pytest.raises(DataError, match=said):
        check_file(tmp_path / file, [Postprocess.model_validate(post)], IMAGES)


@pytest.mark.parametrize(
    ("post", "text"),
    [
        (TEXT, "image,text\n"),
        (TEXT, "image,class\n"),
        (MANY, "image,class\na.png,\na.png,x\n"),
        ({"task": "classify"}, "image,class\na.png,x\na.png,x\nother.png,\n"),
        ({"task": "raw"}, "anything\n"),
    ],
)
def test_what_the_reader_is_to_judge_passes(tmp_path, post, text):
    """Another task's CSV too: the reader says what judges the task."""
    (tmp_path / "t.csv").write_text(text)
    check_file(tmp_path / "t.csv", [Postprocess.model_validate(post)], IMAGES)
    check_file(tmp_path / "missing.csv", [Postprocess.model_validate(post)], IMAGES)


CORNERS = {"segmentation": [[0, 0, 9, 0, 9, 5, 0, 5]]}


@pytest.mark.parametrize(
    ("task", "fields", "said"),
    [
        (
            "detect",
            CORNERS,
            "no 'bbox', which task 'detect' needs, in 1 of 2 annotations, first in one of b.png; .*oriented",
        ),
        ("detect", {}, "no 'bbox'.*give each a bbox"),
        ("instances", {"bbox": [0, 0, 1, 1]}, "no 'segmentation'.*give each its mask, as polygons or RLE"),
        ("pose", {"bbox": [0, 0, 1, 1]}, "no 'keypoints'.*give each its keypoints"),
    ],
)
def test_what_annotations_lack_is_told_with_its_cure(task, fields, said):
    whole = {"bbox": [0, 0, 1, 1], "segmentation": [[0, 0, 1, 0, 1, 1]], "keypoints": [1, 1, 2]}
    rows = [{"image_id": 1, **whole}, {"image_id": 2, **fields}]
    images = [{"file_name": "a.png"}, {"file_name": "b.png"}]
    with pytest.raises(DataError, match=said):
        check_objects(Truth(Path("t.json"), coco={"images": images, "annotations": rows}), task)
    check_objects(Truth(Path("t.json"), coco={"images": images, "annotations": rows[:1]}), task)


def test_label_images_of_the_models_size_are_no_matter_of_exif(tmp_path):
    for name in "ab":
        Image.fromarray(np.zeros((4, 6), np.uint8)).save(tmp_path / f"{name}.png")
    truth = load_truth(tmp_path, IMAGES)
    with pytest.raises(
        DataError, match="a.png: the label image is 4 × 6 .* 8 × 12; give label images of the images' own"
    ):
        check_label_sizes(truth, IMAGES, [(8, 12)] * 2)
    check_label_sizes(truth, IMAGES, [(4, 6), (6, 4)])


def test_files_without_numbers_are_told_to_be_in_the_alphabets_order(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.txt").write_text(f"0 0 9 0 9 5 0 5 {name}nchor 0\n")
    told = Warning("class-order", "by id", "confirm with class_ids: order")
    said = order_told(load_truth(tmp_path, IMAGES), told)
    assert "number no classes: the model's 2 classes are taken for theirs in the order of the alphabet" in said.text
    assert "(0 = anchor, 1 = bnchor)" in said.text
    assert said.cure == "set postprocess.labels, in the model's order"
    other = Warning("lost-categories", "x")
    assert order_told(load_truth(tmp_path, IMAGES), other) is other
