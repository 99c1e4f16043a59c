"""Ground truth: read, cut to the trial's images, and checked before anything runs. Not for: scoring (accuracy.py).

COCO JSON (boxes for detection, polygons or RLE for segmentation) or a CSV with columns image,class.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seatrial.errors import DataError, did_you_mean
from seatrial.pipeline.images import ImageFile


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
        i.name for i, hw, row in zip(images, sizes_hw, image_ids(truth.coco, images), strict=True)
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


def image_ids(coco: dict[str, Any], images: Sequence[ImageFile]) -> list[int]:
    """COCO id of each image, by its name below the images' folder, else by its base name."""
    by_name = {str(row["file_name"]): row["id"] for row in coco["images"]}
    return [by_name[i.name] if i.name in by_name else by_name[i.path.name] for i in images]
