"""A truth in which nothing is to be found has one fate, whatever its kind: said up front, and no figure is made of it."""

import json

import cv2
import numpy as np
import pytest

from seatrial.gate.accuracy import accuracy_interval, judge_accuracy
from seatrial.images.files import ImageFile
from seatrial.kernels.results import (
    Detections,
    Instances,
    Labels,
    OrientedBoxes,
    Poses,
    SemanticMask,
    Text,
    TextRegions,
)
from seatrial.parity.accuracy import evaluate
from seatrial.parity.classes import ClassMap, map_classes
from seatrial.parity.empty_truth import nothing_to_find
from seatrial.parity.evaluation import value_of
from seatrial.parity.label_sets import LabelEvaluation
from seatrial.parity.texts import WordEvaluation
from seatrial.parity.truth import check_truth, load_truth

COUNT, HW = 30, (40, 40)
CORNERS = np.array([[[5, 5], [25, 5], [25, 25], [5, 25]]], np.float32)


def boxes(there=True):
    n = int(there)
    return Detections(np.array([[5, 5, 25, 25]], np.float32)[:n], np.ones(n, np.float32), np.zeros(n, np.int64))


def masks(there=True):
    return Instances.of_masks(boxes(there), [np.ones(HW, bool)] * there, HW)


def poses(there=True):
    return Poses(*vars(boxes(there)).values(), np.ones((int(there), 1, 3), np.float32), np.array([0.1], np.float32))


def oriented(there=True):
    return OrientedBoxes(*vars(boxes(there)).values(), CORNERS[: int(there)])


def regions(there=True):
    return TextRegions(*vars(boxes(there)).values(), CORNERS[: int(there)])


def labels(there=True):
    return Labels(np.zeros(int(there), np.int64), np.ones(int(there), np.float32))


def texts(there=True):
    return Text.of("word" * there, 0.9)


def classes(there=True):
    return SemanticMask(np.full(HW, int(there), np.uint8))


def images_of(folder):
    return [ImageFile(folder / f"{i}.png", f"{i}.png") for i in range(COUNT)]


def coco(folder, *annotations):
    rows = [{"id": i, "file_name": f"{i}.png", "height": HW[0], "width": HW[1]} for i in range(COUNT)]
    data = {"images": rows, "annotations": list(annotations), "categories": [{"id": 1, "name": "boat"}]}
    (folder / "t.json").write_text(json.dumps(data))
    return folder / "t.json"


def crowd(folder):
    runs = {"size": list(HW), "counts": [0, HW[0] * HW[1]]}
    return coco(folder, {"image_id": 0, "category_id": 1, "bbox": [0, 0, 9, 9], "iscrowd": 1, "segmentation": runs})


def unseen(folder):
    return coco(folder, {"image_id": 0, "category_id": 1, "bbox": [0, 0, 9, 9], "keypoints": [0, 0, 0]})


def dota(folder):
    (folder / "labelTxt").mkdir()
    for i in range(COUNT):
        (folder / "labelTxt" / f"{i}.txt").write_text("imagesource:GoogleEarth\n")
    return folder / "labelTxt"


def rows(folder, header):
    (folder / "t.csv").write_text(header + "\n" + "".join(f"{i}.png,\n" for i in range(COUNT)))
    return folder / "t.csv"


def lines(folder, *own):
    (folder / "t.txt").write_text("".join(f"{i}.png\t{json.dumps(own)}\n" for i in range(COUNT)))
    return folder / "t.txt"


def label_images(folder, value):
    (folder / "labels").mkdir()
    for i in range(COUNT):
        cv2.imwrite(str(folder / "labels" / f"{i}.png"), np.full(HW, value, np.uint8))
    return folder / "labels"


IGNORED = {"transcription": "###", "points": [[0, 0], [9, 0], [9, 9], [0, 9]]}
# name: what writes the truth, the task, and what a pipeline of it gives.
EMPTY = {
    "COCO, boxes": (coco, "detect", boxes),
    "COCO, a crowd alone": (crowd, "detect", boxes),
    "COCO, masks": (coco, "instances", masks),
    "COCO, poses": (coco, "pose", poses),
    "COCO, poses of which nothing is visible": (unseen, "pose", poses),
    "COCO, oriented": (coco, "oriented", oriented),
    "COCO, segmentation": (coco, "segment", classes),
    "DOTA": (dota, "oriented", oriented),
    "labels": (lambda f: rows(f, "image,class"), "classify", labels),
    "texts": (lambda f: rows(f, "image,text"), "text", texts),
    "COCO, regions": (coco, "text", regions),
    "regions": (lines, "text", regions),
    "regions that are not judged": (lambda f: lines(f, IGNORED), "text", regions),
    "label images of background": (lambda f: label_images(f, 0), "segment", classes),
    "label images of nothing judged": (lambda f: label_images(f, 255), "segment", classes),
}


@pytest.mark.parametrize("name", EMPTY)
def test_nothing_to_be_found_is_said_and_gives_no_figure(tmp_path, name):
    write, task, result = EMPTY[name]
    images = images_of(tmp_path)
    truth = load_truth(write(tmp_path), images, [HW] * COUNT, multi_label=task == "classify")
    assert [w.code for w in nothing_to_find(truth, task)] == ["no-objects"]
    if task == "text":
        class_map = ClassMap(how="text")
    else:
        check_truth(truth, images, [HW] * COUNT, task, task == "classify", 1 if task == "pose" else None)
        class_map = map_classes(truth, ["background", "boat"] if task == "segment" else ["boat"], None, None)
    for there in (False, True):
        found = evaluate(truth, images, [result(there)] * COUNT, class_map)
        assert value_of(found) is None
        judged = judge_accuracy(found, 0.5, 1)
        assert (judged.verdict, judged.value) == ("INCONCLUSIVE", None)
        assert "undefined: the annotations hold nothing to be found" in judged.reason


def test_texts_that_are_partly_empty_are_counted(tmp_path):
    (tmp_path / "t.csv").write_text("image,text\n" + "".join(f"{i}.png,{'' if i else 'a'}\n" for i in range(COUNT)))
    truth = load_truth(tmp_path / "t.csv", images_of(tmp_path))
    (said,) = nothing_to_find(truth)
    assert str(said).startswith("29 of 30 texts in the truth are empty, first of 1.png: there a model is right that")
    found = evaluate(truth, images_of(tmp_path), [texts(False)] * COUNT, ClassMap(how="text"))
    assert value_of(found) == pytest.approx(29 / 30)
    assert value_of(found, [1, 2]) is None


def ones(value):
    return np.full(COUNT, float(value))


@pytest.mark.parametrize(
    "evaluation",
    [
        LabelEvaluation(ones(0), ones(1), ones(1)),
        LabelEvaluation(ones(0), ones(0), ones(1)),
        WordEvaluation("word accuracy", ones(0), ones(4), ones(4)),
    ],
)
def test_a_figure_of_zero_is_not_surely_zero(evaluation):
    low, high = accuracy_interval(evaluation, 1)
    assert low == 0
    assert 0.02 < high < 0.3
