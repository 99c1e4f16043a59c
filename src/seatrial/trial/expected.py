"""What the truth says of one image, as a result of the pipeline's own kind and classes, so that it is drawn beside the other.

For: pictures of what is wrong. Not for: judging (parity); what counts for nothing there is called "not judged" here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seatrial.cells.preflight import Ready
from seatrial.errors import printable, short_list
from seatrial.images.files import ImageFile
from seatrial.kernels.results import DenseMap, Detections, Instances, OrientedBoxes, Poses, SemanticMask, TextRegions
from seatrial.parity.classes import ClassMap
from seatrial.parity.coco import image_ids
from seatrial.parity.oriented import annotated_corners
from seatrial.parity.pixels import expected_pixels
from seatrial.parity.regions import regions_by_image, same_length
from seatrial.parity.truth import Truth
from seatrial.parity.value_maps import values_of
from seatrial.pipeline.results import Result

NOT_JUDGED = "not judged"
# Characters of a text in a note.
MOST_CHARACTERS = 60


@dataclass(frozen=True)
class Expected:
    """names: of the result's classes, by id: the pipeline's labels, then those of classes that the model does not have.
    Objects have no score: theirs is NaN."""

    result: Result
    names: list[str]


def expected_words(truth: Truth, image: str) -> str:
    """'expected cat, dog' where the truth is nothing to be drawn: a text, a class or several; '' elsewhere."""
    if truth.texts is not None:
        return f"expected “{printable(truth.texts[image][:MOST_CHARACTERS])}”"
    if truth.classes is not None:
        return f"expected {printable(truth.classes[image])}"
    if truth.label_sets is not None:
        return f"expected {short_list(list(truth.label_sets[image])) or 'no label'}"
    return ""


def expected(ready: Ready, pipeline: str, at: int, like: Result) -> Expected | None:
    """Of the image with this index; None where the truth is words. like: any result of the pipeline, whose kind it gets."""
    truth, class_map = ready.truth, ready.class_maps[pipeline]
    if truth is None or class_map is None:
        return None
    labels, image, hw = ready.labels[pipeline] or [], ready.images[at], ready.sizes_hw[at]
    if isinstance(like, DenseMap) and truth.maps is not None:
        return Expected(DenseMap(values_of(truth.maps[image.name]).astype(np.float32)), [])
    if isinstance(like, TextRegions):
        return _regions(truth, ready.images, at, labels)
    if isinstance(like, SemanticMask):
        return _mask(truth, ready.images, at, hw, class_map, labels)
    if isinstance(like, Detections) and truth.coco is not None:
        return _objects(truth.coco, image_ids(truth.coco, ready.images)[at], hw, class_map, labels, like)
    return None


def _names(labels: Sequence[str], count: int, more: Sequence[str]) -> list[str]:
    """Of the model's `count` classes, '' where there is no label, and then more."""
    return [*labels[:count], *[""] * (count - len(labels)), *more]


def _mask(
    truth: Truth,
    images: Sequence[ImageFile],
    at: int,
    hw: tuple[int, int],
    class_map: ClassMap,
    labels: Sequence[str],
) -> Expected:
    ids, expected_of = expected_pixels(truth, images, class_map)
    found = expected_of(at, hw)
    own = np.where(found < 0, np.iinfo(np.uint16).max, found).astype(np.uint16)
    called = {c["id"]: str(c["name"]) for c in truth.coco["categories"]} if truth.coco is not None else {}
    count = len(class_map.ids)
    return Expected(SemanticMask(own), _names(labels, count, [called.get(i, str(i)) for i in ids[count:]]))


def _regions(truth: Truth, images: Sequence[ImageFile], at: int, labels: Sequence[str]) -> Expected:
    regions = regions_by_image(truth, images)[at]
    polygons = same_length([r.points for r in regions]) if regions else np.zeros((0, 4, 2))
    ids = np.array([0 if r.judged else 1 for r in regions], np.int64)
    found = TextRegions(**vars(_boxes(_around(polygons), ids)), polygons=polygons.astype(np.float32))
    return Expected(found, _names(labels, 1, [NOT_JUDGED]))


def _objects(
    coco: Mapping[str, Any],
    image_id: int,
    hw: tuple[int, int],
    class_map: ClassMap,
    labels: Sequence[str],
    like: Detections,
) -> Expected:
    own = [a for a in coco["annotations"] if a["image_id"] == image_id]
    missing = [c for c in coco["categories"] if c["id"] not in class_map.ids]
    order = [*class_map.ids, *(c["id"] for c in missing)]
    names = _names(labels, len(class_map.ids), [*(str(c["name"]) for c in missing), NOT_JUDGED])
    counts = [not (a.get("iscrowd") or a.get("ignore")) for a in own]
    ids = [order.index(a["category_id"]) if judged else len(order) for a, judged in zip(own, counts, strict=True)]
    class_ids = np.array(ids, np.int64)
    if isinstance(like, OrientedBoxes):
        corners = np.array([annotated_corners(a) for a in own], np.float32).reshape(-1, 4, 2)
        return Expected(OrientedBoxes.of_corners(corners, np.full(len(own), np.nan), class_ids, hw), names)
    if isinstance(like, Poses):
        points = np.array([a["keypoints"] for a in own], np.float32).reshape(-1, like.keypoints.shape[1], 3)
        points[..., 2] = points[..., 2] > 0
        bare = [
            _xyxy(a["bbox"]) if a.get("bbox") else _around(p[None, p[:, 2] > 0, :2])[0]
            for a, p in zip(own, points, strict=True)
        ]
        found = _boxes(np.array(bare).reshape(-1, 4), class_ids)
        return Expected(Poses(**vars(found), keypoints=points, sigmas=like.sigmas), names)
    if isinstance(like, Instances):
        masks = [_mask_of(a["segmentation"], hw) for a in own]
        reach = np.array([_around(np.argwhere(m)[None, :, ::-1])[0] for m in masks]).reshape(-1, 4)
        return Expected(Instances.of_masks(_boxes(reach, class_ids), masks, hw), names)
    return Expected(_boxes(np.array([_xyxy(a["bbox"]) for a in own]).reshape(-1, 4), class_ids), names)


def _boxes(boxes_xyxy: Any, class_ids: Any) -> Detections:
    return Detections(np.asarray(boxes_xyxy, np.float32), np.full(len(class_ids), np.nan, np.float32), class_ids)


def _xyxy(bbox: Sequence[float]) -> list[float]:
    x, y, width, height = bbox
    return [x, y, x + width, y + height]


def _around(points: Any) -> Any:
    """(N, P, 2) to (N, 4): the upright boxes around them, at 0 where there is no point."""
    if not points.shape[1]:
        return np.zeros((len(points), 4))
    return np.concatenate([points.min(axis=1), points.max(axis=1)], axis=1)


def _mask_of(segmentation: Any, hw: tuple[int, int]) -> Any:
    """(H, W) bool of polygons or of runs, as COCO.annToMask has it."""
    from pycocotools import mask

    runs = segmentation
    if isinstance(segmentation, list):
        runs = mask.merge(mask.frPyObjects(segmentation, *hw)) if segmentation else None
    elif isinstance(segmentation["counts"], list):
        runs = mask.frPyObjects(segmentation, *hw)
    return np.zeros(hw, bool) if runs is None else mask.decode(runs).astype(bool)
