"""Masks and keypoints against their annotation's own bbox: what does not fit is said, with what would make it fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from seatrial.parity.unlike_fields import unlike_fields

BOXES = [(10, 60, 40, 20), (100, 15, 30, 50), (70, 80, 12, 30), (30, 5, 50, 18)]
H, W = 120, 160
Annotation = dict[str, Any]


def runs(mask: np.ndarray, order: str = "F") -> dict[str, Any]:
    flat = mask.ravel(order=order)
    ends = [*np.flatnonzero(np.diff(flat.astype(int))) + 1, flat.size]
    counts = np.diff([0, *ends]).tolist()
    return {"counts": [0, *counts] if flat[0] else counts, "size": [H, W]}


def mask_of(box: tuple[int, ...]) -> np.ndarray:
    x, y, w, h = box
    mask = np.zeros((H, W), bool)
    mask[y : y + h, x : x + w] = True
    return mask


def polygon(x: float, y: float, w: float, h: float) -> list[list[float]]:
    return [[x, y, x + w, y, x + w, y + h, x, y + h]]


def pose(x: float, y: float, w: float, h: float) -> list[float]:
    return [x + 2, y + 2, 2, x + w - 2, y + h - 2, 1, 0, 0, 0]


def told(change: Callable[[Annotation], Annotation], **fields: Any) -> list[str]:
    annotations = []
    for box in BOXES:
        a = {"image_id": 1, "category_id": 1, "iscrowd": 0, "bbox": list(box)}
        annotations.append(change(a | {k: of(box) for k, of in fields.items()}))
    found = unlike_fields({"images": [{"id": 1, "file_name": "a.png"}], "annotations": annotations, "categories": []})
    assert all(w.code == "unlike-fields" for w in found)
    return [w.text for w in found]


def as_it_is(a: Annotation) -> Annotation:
    return a


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"segmentation": lambda b: polygon(*b)},
        {"segmentation": lambda b: runs(mask_of(b))},
        {"keypoints": lambda b: pose(*b)},
        {"keypoints": lambda b: [0] * 9},
        {"segmentation": lambda b: [[1, 2]]},
        {"segmentation": lambda b: {"counts": [H * W], "size": [H, W]}},
    ],
)
def test_fields_that_fit_or_say_nothing_are_passed_over(fields: dict[str, Any]):
    assert told(as_it_is, **fields) == []


def test_masks_of_rows_are_told_from_those_of_columns():
    (said,) = told(as_it_is, segmentation=lambda b: runs(mask_of(b), "C"))
    assert said.startswith(
        "4 of the truth's 4 masks lie elsewhere than their annotation's own bbox, first one of a.png"
    )
    assert said.endswith("the counts look like those of rows, where COCO counts down the columns")


def test_swapped_axes():
    (said,) = told(as_it_is, segmentation=lambda b: polygon(b[1], b[0], b[3], b[2]))
    assert said.endswith("x and y look swapped in each mask")
    (said,) = told(as_it_is, keypoints=lambda b: pose(b[1], b[0], b[3], b[2]))
    assert said.endswith("x and y look swapped in each pose")


def test_fields_of_another_size():
    (said,) = told(as_it_is, segmentation=lambda b: polygon(*(v / 2 for v in b)))
    assert said.endswith("each mask looks like one of an image of another size: by 2 it fits")
    (said,) = told(as_it_is, keypoints=lambda b: [v / 2 if i % 3 < 2 else v for i, v in enumerate(pose(*b))])
    assert said.endswith("each pose looks like one of an image of another size: by 2 it fits")


def test_boxes_in_another_way():
    def centred(a: Annotation) -> Annotation:
        x, y, w, h = a["bbox"]
        return a | {"bbox": [x + w / 2, y + h / 2, w, h]}

    def cornered(a: Annotation) -> Annotation:
        x, y, w, h = a["bbox"]
        return a | {"bbox": [x, y, x + w, y + h]}

    (said,) = told(centred, segmentation=lambda b: polygon(*b))
    assert "each bbox looks like a centre and a size" in said
    (said,) = told(cornered, segmentation=lambda b: runs(mask_of(b)))
    assert "each bbox looks like two corners" in said


def test_a_slip_and_a_crowd_are_no_mistake_of_a_tool():
    far = polygon(140, 100, 10, 10)
    assert (
        told(lambda a: a | {"segmentation": far} if a["bbox"][0] == 10 else a, segmentation=lambda b: polygon(*b)) == []
    )
    assert told(lambda a: a | {"segmentation": far, "iscrowd": 1}) == []
    assert len(told(lambda a: a | {"segmentation": far})) == 1
