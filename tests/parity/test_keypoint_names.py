"""Keypoints' names on both sides: the same in another order are refused, with the order that is expected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from seatrial.errors import DataError
from seatrial.parity.keypoint_names import check_keypoint_names, names_of
from seatrial.parity.truth import Truth

NAMES = ["nose", "left_eye", "right_eye"]


def truth_of(*keypoints: Any) -> Truth:
    categories = [{"id": i, "name": f"c{i}", "keypoints": names} for i, names in enumerate(keypoints)]
    return Truth(Path("t.json"), coco={"images": [], "annotations": [], "categories": categories})


@pytest.mark.parametrize("metadata", [{}, {"kpt_names": "import os"}, {"kpt_names": "{'a': 3}"}, {"kpt_names": "7"}])
def test_metadata_without_names_says_nothing(metadata: dict[str, str]):
    assert check_keypoint_names(truth_of(NAMES[::-1]), metadata, None) == []


def test_names_are_read_by_class():
    assert names_of({"kpt_names": "{0: ['a', 'b'], 1: ['c']}"}) == {0: ["a", "b"], 1: ["c"]}


@pytest.mark.parametrize("theirs", [NAMES, ["Nose", "left eye", "right-eye"], None, ["a"]])
def test_the_same_order_is_fine(theirs: Any):
    assert check_keypoint_names(truth_of(theirs), {"kpt_names": repr({0: NAMES})}, None) == []


def test_another_order_is_refused():
    with pytest.raises(
        DataError, match=r"keypoint 1 is 'right_eye' in the truth and 'left_eye' in the model's metadata"
    ) as e:
        check_keypoint_names(truth_of(["nose", "right_eye", "left_eye"]), {"kpt_names": repr({0: NAMES})}, None)
    assert str(e.value).endswith("in the model's order: nose, left_eye, right_eye")


def test_other_names_are_said():
    (found,) = check_keypoint_names(truth_of(["nose", "l_eye", "r_eye"]), {"kpt_names": repr({0: NAMES})}, None)
    assert found.code == "keypoint-names"
    assert "1 is 'left_eye' in the model and 'l_eye' in the truth" in found.text


def test_of_several_classes_labels_say_whose_they_are():
    metadata = {"kpt_names": repr({0: NAMES, 1: NAMES[::-1]})}
    assert check_keypoint_names(truth_of(NAMES, NAMES[::-1]), metadata, ["c0", "c1"]) == []
    with pytest.raises(DataError, match="category 'c0'"):
        check_keypoint_names(truth_of(NAMES, NAMES[::-1]), metadata, ["c1", "c0"])
