"""Another reading under which far more is right: said with its figures and its cure, and only where it is sure."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from seatrial.images.files import ImageFile
from seatrial.kernels.results import Classification, SemanticMask, Text
from seatrial.parity.classes import ClassMap
from seatrial.parity.label_images import read_label_images
from seatrial.parity.likelier import from_right_to_left, likelier, turned
from seatrial.parity.truth import Truth


def images(count: int, folder: Path = Path("x")) -> list[ImageFile]:
    return [ImageFile(folder / f"{i}.jpg", f"{i}.jpg") for i in range(count)]


def classified(truth: list[int], best: list[int], how: str = "index", value: float = 0.0):
    index = {str(k): k for k in set(truth)}
    given = Truth(Path("t.csv"), classes={f"{i}.jpg": str(k) for i, k in enumerate(truth)})
    results = [Classification(np.array([k], np.int32), np.array([1], np.float32)) for k in best]
    return likelier(given, images(len(truth)), results, ClassMap(index=index, how=how), value)


def test_classes_that_count_from_one():
    found = classified([1, 2, 2, 1, 2], [0, 1, 1, 0, 1])
    assert found is not None
    assert found.code == "shifted-classes"
    assert "0.000 is right where the model's class k is the truth's number k, and 1.000 where it is k + 1" in found.text
    assert "{0: 1, 1: 2, …}" in found.cure


def test_classes_that_have_one_before_the_truths_first():
    found = classified([0, 1, 1, 0], [1, 2, 2, 1])
    assert found is not None
    assert "1.000 where it is k - 1" in found.text
    assert "{1: 0, 2: 1, …}" in found.cure


@pytest.mark.parametrize(
    ("truth", "best", "how", "value"),
    [
        ([1, 2], [0, 1], "names", 0.0),  # names say which is which
        ([1, 2], [0, 1], "index", 0.6),
        ([1, 1, 1, 2], [0, 0, 0, 0], "index", 0.0),  # one class everywhere is right of one class under any reading
        ([1, 2, 3, 4], [0, 1, 0, 1], "index", 0.0),
    ],
)
def test_nothing_is_said_where_it_is_not_sure(truth: list[int], best: list[int], how: str, value: float):
    assert classified(truth, best, how, value) is None


def segmented(folder: Path, truth: np.ndarray, found: np.ndarray):
    cv2.imwrite(str(folder / "0.png"), truth)
    masks, _ = read_label_images(folder, images(1, folder))
    result = SemanticMask(found.astype(np.int32))
    return likelier(Truth(folder, masks=masks), images(1, folder), [result], ClassMap((0, 1, 2), how="index"), 0.1)


def test_label_images_that_count_from_one(tmp_path: Path):
    truth = np.repeat(np.array([0, 1, 2], np.uint8), 30).reshape(9, 10)
    found = segmented(tmp_path, truth, np.maximum(truth, 1) - 1)
    assert found is not None
    assert "1.000 where it is k + 1" in found.text
    assert "images.not_judged: [0]" in found.cure


def test_a_model_that_gives_one_class_alone_is_not_shifted(tmp_path: Path):
    truth = np.repeat(np.array([0, 1, 1], np.uint8), 30).reshape(9, 10)
    assert segmented(tmp_path, truth, np.zeros((9, 10))) is None


def read(truth: list[str], texts: list[str]):
    given = Truth(Path("t.csv"), texts={f"{i}.jpg": t for i, t in enumerate(truth)})
    return likelier(given, images(len(truth)), [Text.of(t, 1.0) for t in texts], ClassMap(how="text"), 0.0)


def test_texts_that_are_right_backwards():
    found = read(["سلام", "room 12 بيت"], ["مالس", "تيب room 12"])
    assert found is not None
    assert found.code == "reversed-texts"
    assert found.text.startswith(
        "0 of 2 texts are right as read, and 1 backwards, with letters written from right to left"
    )


def test_texts_that_read_either_way_say_nothing():
    assert read(["anna", "x"], ["anna", "x"]) is None
    assert read(["abc"], ["abd"]) is None


def test_latin_runs_stay_as_they_are():
    assert turned("تيب12") == "12بيت"
    assert from_right_to_left(["a", "ש"])
    assert not from_right_to_left(["a1", ""])
