"""Decoded results against ground truth: COCO mAP, top-1, mIoU. For: one number a cell. Not for: limits (gate).

Ground truth is COCO JSON (boxes for detection, polygons or RLE for segmentation) or a CSV with columns image,class.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from seatrial.errors import DataError, did_you_mean
from seatrial.kernels.postprocess import Classification, Detections, SemanticMask
from seatrial.pipeline.images import ImageFile
from seatrial.pipeline.results import Result


@dataclass(frozen=True)
class Truth:
    """coco: the file's own structure, cut to the trial's images; classes: class name by image name."""

    path: Path
    coco: dict[str, Any] | None = None
    classes: dict[str, str] | None = None


def load_truth(path: Path, images: Sequence[ImageFile]) -> Truth:
    """DataError where the file is missing or malformed, or an image of the trial is not in it."""
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as e:
        raise DataError(
            f"{path}: the annotations cannot be read ({e}); expected COCO JSON or a CSV with columns image,class"
        ) from None
    if path.suffix.lower() == ".csv":
        return Truth(path, classes=_read_classes(path, text, images))
    return Truth(path, coco=_read_coco(path, text, images))


def check_truth(
    truth: Truth,
    images: Sequence[ImageFile],
    sizes_hw: Sequence[tuple[int, int]],
    task: str,
    labels: Sequence[str] | None,
) -> list[str]:
    """DataError where the truth can't judge this task; gives warnings about what looks wrong. Runs no model."""
    wanted = {"detect": "coco", "segment": "coco", "classify": "classes"}.get(task)
    if wanted is None:
        return []
    if getattr(truth, wanted) is None:
        form = "COCO JSON" if wanted == "coco" else "a CSV with columns image,class"
        raise DataError(
            f"{truth.path}: a pipeline of task '{task}' is judged by {form}; give that, or leave images.annotations out"
        )
    if truth.classes is not None:
        return _check_classes(truth, images, labels)
    assert truth.coco is not None
    names = {str(c["name"]) for c in truth.coco["categories"]}
    if labels and not names & set(labels):
        raise DataError(
            f"{truth.path}: no category is called like any of the model's labels ({', '.join(list(labels)[:5])}); "
            f"categories are {', '.join(sorted(names)[:5])}; rename one side"
        )
    known = {c["id"] for c in truth.coco["categories"]}
    needed = "bbox" if task == "detect" else "segmentation"
    for a in truth.coco["annotations"]:
        box = a.get("bbox", [0, 0, 0, 0])
        if needed not in a or len(box) != 4 or not all(math.isfinite(float(v)) for v in box):
            raise DataError(
                f"{truth.path}: an annotation of image {a['image_id']} has no sound '{needed}', which task '{task}' needs"
            )
        if a["category_id"] not in known:
            raise DataError(
                f"{truth.path}: an annotation names category {a['category_id']}, which is not in 'categories'"
            )
    said = {row["id"]: (row.get("height"), row.get("width")) for row in truth.coco["images"]}
    unlike = [
        i.name for i, hw, row in zip(images, sizes_hw, _image_ids(truth.coco, images), strict=True)
        if None not in said[row] and said[row] != tuple(hw)
    ]  # fmt: skip
    if unlike:
        return [
            f"{len(unlike)} image(s) have another size than the annotations say, first {unlike[0]}: "
            "is EXIF orientation applied on both sides?"
        ]
    return []


def _check_classes(truth: Truth, images: Sequence[ImageFile], labels: Sequence[str] | None) -> list[str]:
    assert truth.classes is not None
    for image in images:
        name = truth.classes[image.name]
        if labels and name not in labels and not (name.isdigit() and int(name) < len(labels)):
            raise DataError(
                f"{truth.path}: {image.name} is of class {name!r}, which is no label{did_you_mean(name, list(labels))}"
            )
    return []


def read_tags(path: Path, images: Sequence[ImageFile]) -> dict[str, list[str]]:
    """Tags by image name, from a CSV with columns image,tag."""
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as e:
        raise DataError(f"{path}: the tags cannot be read ({e}); expected a CSV with columns image,tag") from None
    known = {i.name for i in images}
    tags: dict[str, list[str]] = {}
    for name, tag in _two_columns(path, text, ("image", "tag")):
        if name in known:
            tags.setdefault(name, []).append(tag)
    return tags


def _two_columns(path: Path, text: str, wanted: tuple[str, str]) -> list[tuple[str, str]]:
    reader = csv.DictReader(io.StringIO(text))
    try:
        rows, header = list(reader), reader.fieldnames or []
    except csv.Error as e:
        raise DataError(
            f"{path}: expected a CSV with columns {wanted[0]},{wanted[1]}, but it is malformed ({e})"
        ) from None
    if not set(wanted) <= set(header):
        got = ", ".join(header) if header else "an empty file"
        raise DataError(f"{path}: expected a header line with columns {wanted[0]},{wanted[1]}, got {got}")
    return [((r[wanted[0]] or "").strip(), (r[wanted[1]] or "").strip()) for r in rows]


def _read_classes(path: Path, text: str, images: Sequence[ImageFile]) -> dict[str, str]:
    classes = dict(_two_columns(path, text, ("image", "class")))
    missing = [i.name for i in images if i.name not in classes]
    if missing:
        raise DataError(
            f"{path}: no class for {len(missing)} image(s), first {missing[0]}{did_you_mean(missing[0], list(classes))}"
        )
    return classes


def _read_coco(path: Path, text: str, images: Sequence[ImageFile]) -> dict[str, Any]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as e:
        raise DataError(f"{path}: expected COCO JSON, but it cannot be parsed ({e})") from None
    if not isinstance(data, dict) or not all(
        isinstance(data.get(k), list) for k in ("images", "annotations", "categories")
    ):
        raise DataError(f"{path}: expected COCO JSON with the lists images, annotations and categories")
    try:
        by_name = {str(row["file_name"]): row for row in data["images"]}
        names = Counter(i.path.name for i in images)
        wanted = {}
        for image in images:
            # A base name stands for the image only where no other image has it.
            row = by_name.get(image.name) or (by_name.get(image.path.name) if names[image.path.name] == 1 else None)
            if row is None:
                raise DataError(
                    f"{path}: no image called {image.name!r}{did_you_mean(image.name, list(by_name))}; an image without "
                    "objects still needs a row in 'images'"
                )
            wanted[row["id"]] = row
        ours = (a for a in data["annotations"] if a["image_id"] in wanted)
        annotations = [_annotation(a, number) for number, a in enumerate(ours, start=1)]
        categories = sorted(
            ({**c, "id": int(c["id"]), "name": str(c["name"])} for c in data["categories"]), key=lambda c: c["id"]
        )
    except (KeyError, TypeError, IndexError, ValueError) as e:
        raise DataError(
            f"{path}: the COCO JSON is malformed ({type(e).__name__}: {e}); see the COCO data format"
        ) from None
    if not categories:
        raise DataError(f"{path}: expected at least one category, got none")
    return {"images": list(wanted.values()), "annotations": annotations, "categories": categories, "info": {}}


def _annotation(row: dict[str, Any], number: int) -> dict[str, Any]:
    area = 0.0
    if "bbox" in row:
        _, _, width, height = (float(v) for v in row["bbox"])
        area = width * height
    return {"iscrowd": 0, "area": area, **row, "id": number, "category_id": int(row["category_id"])}


NO_CATEGORY = -1
BACKGROUND = ("background", "__background__", "_background_")


def category_ids(coco: dict[str, Any], labels: Sequence[str] | None) -> list[int]:
    """Category id of each model class: by label where any name agrees (else NO_CATEGORY), or else by order of id."""
    categories = coco["categories"]
    by_name = {str(c["name"]): int(c["id"]) for c in categories}
    if labels and any(name in by_name for name in labels):
        return [by_name.get(name, NO_CATEGORY) for name in labels]
    return [int(c["id"]) for c in categories]


def accuracy(
    truth: Truth, images: Sequence[ImageFile], results: Sequence[Result], labels: Sequence[str] | None
) -> tuple[float, str] | None:
    """(value from 0 to 1, its name), or None where truth and results don't go together."""
    first = next((r for r in results if r is not None), None)
    if any(type(r) is not type(first) for r in results):
        return None
    if isinstance(first, Detections) and truth.coco:
        without = sum("bbox" not in a for a in truth.coco["annotations"])
        if without:
            raise DataError(f"{truth.path}: {without} annotation(s) have no bbox, which detection is judged by")
        return mean_average_precision(truth.coco, images, results, labels), "mAP"
    if isinstance(first, Classification) and truth.classes:
        return _top1(truth, images, results, labels), "top-1"
    if isinstance(first, SemanticMask) and truth.coco:
        return _mean_iou(truth, images, results, labels), "mIoU"
    return None


def mean_average_precision(
    coco: dict[str, Any], images: Sequence[ImageFile], results: Sequence[Result], labels: Sequence[str] | None
) -> float:
    """COCO mAP at IoU 0.50 to 0.95, by pycocotools itself."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    ids, image_ids = category_ids(coco, labels), _image_ids(coco, images)
    found = []
    for image_id, result in zip(image_ids, results, strict=True):
        assert isinstance(result, Detections)
        for box, score, class_id in zip(
            result.boxes_xyxy.tolist(), result.scores.tolist(), result.class_ids.tolist(), strict=True
        ):
            if 0 <= class_id < len(ids) and ids[class_id] != NO_CATEGORY:
                bbox = [box[0], box[1], box[2] - box[0], box[3] - box[1]]
                found.append({"image_id": image_id, "category_id": ids[class_id], "bbox": bbox, "score": score})
    if not found:
        return 0.0
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = coco
        truth.createIndex()
        judge = COCOeval(truth, truth.loadRes(found), "bbox")
        judge.params.imgIds = sorted(set(image_ids))
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return max(0.0, float(judge.stats[0]))


def _image_ids(coco: dict[str, Any], images: Sequence[ImageFile]) -> list[int]:
    by_name = {str(row["file_name"]): row["id"] for row in coco["images"]}
    return [by_name[i.name] if i.name in by_name else by_name[i.path.name] for i in images]


def _top1(truth: Truth, images: Sequence[ImageFile], results: Sequence[Result], labels: Sequence[str] | None) -> float:
    assert truth.classes is not None
    right = 0
    for image, result in zip(images, results, strict=True):
        assert isinstance(result, Classification)
        best, expected = int(result.class_ids[0]), truth.classes[image.name]
        # A CSV may name classes by label or by index; a label that is a number ('90') is a label.
        if labels and expected in labels:
            right += best < len(labels) and labels[best] == expected
        else:
            right += str(best) == expected
    return right / len(images)


def _mean_iou(
    truth: Truth, images: Sequence[ImageFile], results: Sequence[Result], labels: Sequence[str] | None
) -> float:
    """Mean over classes of intersection over union, pixels pooled over images.

    Unannotated pixels count as the model's background class where a label says that it has one, else they are not
    judged. Where annotations overlap, the later one in the file lies on top.
    """
    from pycocotools.coco import COCO

    coco = truth.coco
    assert coco is not None
    with contextlib.redirect_stdout(io.StringIO()):
        index = COCO()
        index.dataset = coco
        index.createIndex()
    ids = category_ids(coco, labels)
    unannotated = next((k for k, name in enumerate(labels or []) if name.lower() in BACKGROUND), -1)
    inter, union = np.zeros(len(ids), np.int64), np.zeros(len(ids), np.int64)
    for image, image_id, result in zip(images, _image_ids(coco, images), results, strict=True):
        assert isinstance(result, SemanticMask)
        height, width = result.class_ids.shape
        expected = np.full((height, width), unannotated, np.int64)
        for a in index.loadAnns(index.getAnnIds(imgIds=[image_id])):
            try:
                mask = index.annToMask(a).astype(bool)
            except Exception as e:  # pycocotools raises bare Exception, KeyError, IndexError or TypeError
                raise DataError(
                    f"{truth.path}: an annotation of {image.name} gives no mask ({type(e).__name__}: {e}); expected "
                    "polygons or RLE in 'segmentation', and the image's 'height' and 'width'"
                ) from None
            if mask.shape != expected.shape:
                raise DataError(
                    f"{truth.path}: {image.name} is annotated at {mask.shape[0]} × {mask.shape[1]} (height × width), but "
                    f"decodes to {height} × {width}; if EXIF turns it, set decode.exif: ignore"
                )
            if a["category_id"] in ids:
                expected[mask] = ids.index(a["category_id"])
        judged = expected >= 0
        for k in range(len(ids)):
            found, true = (result.class_ids == k) & judged, expected == k
            inter[k] += int((found & true).sum())
            union[k] += int((found | true).sum())
    seen = union > 0
    return float((inter[seen] / union[seen]).mean()) if seen.any() else 0.0
