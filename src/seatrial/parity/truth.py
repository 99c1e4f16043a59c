"""Ground truth: read, cut to the trial's images, and checked before anything runs. Not for: scoring (accuracy.py).

COCO JSON (boxes for detection, polygons or RLE for segmentation; coco.py), a CSV with columns image,class, a folder of oriented
boxes (oriented_labels.py), or what is read about text (text_truth.py).
"""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from seatrial.errors import DataError, count_of, short_list
from seatrial.images.files import ImageFile
from seatrial.parity.coco import ONLY_THOSE, coco_truth, image_ids, not_annotated, read_coco
from seatrial.parity.oriented import NEEDED, annotated_corners
from seatrial.parity.oriented_labels import read_labels
from seatrial.parity.text_truth import Region, read_label_file, read_texts
from seatrial.warning import Warning


@dataclass(frozen=True)
class Truth:
    """coco: the file's own structure, cut to the trial's images; classes: class text by name of each image of the trial; texts
    and regions: what is written in each, and where, likewise by name.

    placeholders: ids of categories that only group the others; numbered: categories are the model's own class numbers;
    warnings: what was found odd in reading.
    """

    path: Path
    coco: dict[str, Any] | None = None
    classes: dict[str, str] | None = None
    placeholders: frozenset[int] = frozenset()
    numbered: bool = False
    warnings: tuple[Warning, ...] = ()
    texts: dict[str, str] | None = None
    regions: dict[str, tuple[Region, ...]] | None = None


def load_truth(path: Path, images: Sequence[ImageFile], sizes_hw: Sequence[tuple[int, int]] | None = None) -> Truth:
    """sizes_hw: of each image, with EXIF applied, which labels in fractions need.

    DataError where the file is missing or malformed, names something twice, or an image of the trial is not in it.
    """
    if path.is_dir():
        data, numbered = read_labels(path, images, sizes_hw)
        found = coco_truth(path, data, images)
        return Truth(path, coco=found.data, numbered=numbered, warnings=found.warnings)
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as e:
        raise DataError(
            f"{path}: the annotations cannot be read ({e}); expected COCO JSON, a CSV with columns image,class, or a folder of "
            "oriented boxes with a .txt file an image"
        ) from None
    if path.suffix.lower() == ".txt" or _has_texts(path, text):
        read = (read_label_file if path.suffix.lower() == ".txt" else read_texts)(path, text, images)
        return Truth(path, texts=read.texts, regions=read.regions, warnings=read.warnings)
    if path.suffix.lower() == ".csv":
        classes, warnings = _read_classes(path, text, images)
        return Truth(path, classes=classes, warnings=tuple(warnings))
    coco = read_coco(path, text, images)
    return Truth(path, coco=coco.data, placeholders=coco.placeholders, warnings=coco.warnings)


def _has_texts(path: Path, text: str) -> bool:
    """Whether it is a CSV whose header says that it has texts, and no classes."""
    header = next(csv.reader(text.splitlines()[:1]), []) if path.suffix.lower() == ".csv" else []
    return {"image", "text"} <= set(header) and "class" not in header


def check_truth(
    truth: Truth, images: Sequence[ImageFile], sizes_hw: Sequence[tuple[int, int]], task: str
) -> list[Warning]:
    """DataError where the truth can't judge this task; gives warnings about what looks wrong. Runs no model."""
    wanted = "classes" if task == "classify" else "coco" if task in _NEEDED else None
    if wanted is None:
        return []
    if getattr(truth, wanted) is None:
        form = "COCO JSON" if wanted == "coco" else "a CSV with columns image,class"
        raise DataError(
            f"{truth.path}: a pipeline of task '{task}' is judged by {form}; give that, or leave images.annotations out"
        )
    if truth.coco is None:
        return []
    ids = {c["id"] for c in truth.coco["categories"]}
    needed = _NEEDED[task]
    for a in truth.coco["annotations"]:
        box = a.get("bbox", [0, 0, 0, 0])
        name = truth.coco["images"][a["image_id"] - 1]["file_name"]
        if needed == "corners":
            if annotated_corners(a) is None:
                raise DataError(
                    f"{truth.path}: an annotation of image {name} has no oriented box, which task '{task}' needs; expected "
                    f"{NEEDED}; an upright box alone is none"
                )
        elif not a.get(needed) or len(box) != 4 or not all(math.isfinite(float(v)) for v in box):
            raise DataError(
                f"{truth.path}: an annotation of image {name} has no sound '{needed}', which task '{task}' needs"
            )
        if a["category_id"] not in ids:
            raise DataError(
                f"{truth.path}: an annotation names category {a['category_id']}, which is not in 'categories'"
            )
    odd = []
    if needed in ("bbox", "corners"):
        odd = _odd_boxes(truth.coco, sizes_hw)
    elif task == "segment":
        odd = _no_masks(truth.coco)
    elif needed == "keypoints":
        _check_keypoints(truth)
    return unlike_sizes(truth.coco, images, sizes_hw) + odd


# What every annotation must have, by task.
_NEEDED = {
    "detect": "bbox",
    "segment": "segmentation",
    "instances": "segmentation",
    "pose": "keypoints",
    "oriented": "corners",
}


def _check_keypoints(truth: Truth) -> None:
    """DataError where keypoints are not x, y and visibility, as many in each annotation."""
    assert truth.coco is not None
    counts = Counter(len(a["keypoints"]) for a in truth.coco["annotations"])
    if len(counts) > 1 or any(n % 3 for n in counts):
        raise DataError(
            f"{truth.path}: expected x, y and visibility of as many keypoints in each annotation, got lists of "
            f"{' and '.join(str(n) for n in sorted(counts))} numbers"
        )
    for a in truth.coco["annotations"]:
        if not all(math.isfinite(float(v)) for v in a["keypoints"]) or not set(a["keypoints"][2::3]) <= {0, 1, 2}:
            name = truth.coco["images"][a["image_id"] - 1]["file_name"]
            raise DataError(
                f"{truth.path}: expected finite keypoints with a visibility of 0, 1 or 2 each, got others in an annotation of "
                f"{name}"
            )


def unlike_sizes(
    coco: dict[str, Any], images: Sequence[ImageFile], sizes_hw: Sequence[tuple[int, int]]
) -> list[Warning]:
    """Images that are not what was annotated: turned, or of another resolution; boxes then lie elsewhere."""
    annotated_hw = {row["id"]: (row.get("height"), row.get("width")) for row in coco["images"]}
    rows = zip(images, map(tuple, sizes_hw), (annotated_hw[i] for i in image_ids(coco, images)), strict=True)
    unlike = [(image, hw, row) for image, hw, row in rows if row[0] and row[1] and row != hw]
    if not unlike:
        return []
    image, hw, row = unlike[0]
    said = (
        f"{len(unlike)} of {count_of(len(images), 'image')} have another size than the annotations say, first {image.name} "
        f"({hw[0]} × {hw[1]}, annotated {row[0]} × {row[1]}, height × width)"
    )
    if all(row == hw[::-1] for _, hw, row in unlike):
        return [Warning("image-sizes", f"{said}: is EXIF orientation applied on both sides?")]
    misfit = "boxes and masks made at another size do not fit these files"
    return [Warning("image-sizes", f"{said}: {misfit}", "use the files that were annotated")]


def _no_masks(coco: dict[str, Any]) -> list[Warning]:
    """Images without a single mask: seldom is nothing on a picture, often nobody has annotated it yet."""
    annotated = {a["image_id"] for a in coco["annotations"]}
    bare = [row["file_name"] for row in coco["images"] if row["id"] not in annotated]
    if not bare or not annotated:
        return []
    said = (
        f"{len(bare)} of {count_of(len(coco['images']), 'image')} have no mask in the truth, first {bare[0]}: all of each "
        "counts as background, or is not judged where no class is a background"
    )
    return [Warning("no-masks", said, "annotate these, or leave them out of images.path")]


def _odd_boxes(coco: dict[str, Any], sizes_hw: Sequence[tuple[int, int]]) -> list[Warning]:
    """Boxes that are no boxes of their images: empty, or reaching far outside, as corners or fractions read as x, y, w, h."""
    empty = outside = tiny = 0
    for a in coco["annotations"]:
        x, y, width, height = _upright(a)
        image_h, image_w = sizes_hw[a["image_id"] - 1]
        empty += width <= 0 or height <= 0
        tiny += 0 < width <= 1 and 0 < height <= 1
        outside += x + width > 1.1 * image_w or y + height > 1.1 * image_h
    total = len(coco["annotations"])
    warnings = []
    boxes = f"of {count_of(total, 'box', 'boxes')} in the truth"
    if empty:
        warnings.append(Warning("empty-boxes", f"{empty} {boxes} have no area: nothing can match them"))
    if tiny and 2 * tiny > total:
        said = f"{tiny} {boxes} are at most one pixel large: expected x, y, width, height in pixels"
        warnings.append(Warning("tiny-boxes", said))
    elif outside and 4 * outside > total:
        said = f"{outside} {boxes} reach outside their image: expected x, y, width, height, not two corners"
        warnings.append(Warning("outside-boxes", said))
    return warnings


def _upright(a: dict[str, Any]) -> tuple[float, float, float, float]:
    """x, y, width, height; of an oriented box those of the box around it."""
    corners = annotated_corners(a)
    if corners is None or len(a.get("bbox", ())) == 4:
        x, y, width, height = map(float, a["bbox"])
        return x, y, width, height
    (x, y), (width, height) = corners.min(axis=0).tolist(), np.ptp(corners, axis=0).tolist()
    return x, y, width, height


def read_tags(path: Path, images: Sequence[ImageFile]) -> tuple[dict[str, list[str]], list[Warning]]:
    """Tags by image name, from a CSV with columns image,tag; and warnings about rows that tag nothing."""
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as e:
        raise DataError(f"{path}: the tags cannot be read ({e}); expected a CSV with columns image,tag") from None
    names = {i.name for i in images}
    tags: dict[str, list[str]] = {}
    unknown: dict[str, None] = {}
    empty = repeated = 0
    for name, tag in _two_columns(path, text, ("image", "tag")):
        if name not in names:
            unknown[name] = None
        elif not tag:
            empty += 1
        elif tag in tags.get(name, []):
            repeated += 1
        else:
            tags.setdefault(name, []).append(tag)
    warnings = []
    if unknown:
        said = f"tags {count_of(len(unknown), 'image')} that the trial does not have: {short_list(list(unknown))}"
        warnings.append(Warning("unknown-images", said))
    if empty:
        warnings.append(Warning("untagged-rows", f"{count_of(empty, 'row')} without a tag are left out"))
    warnings += _repeated_rows(repeated)
    if images and not tags:
        warnings.append(Warning("no-tags", "no image of the trial has a tag"))
    return tags, [w.of(path.name) for w in warnings]


def _repeated_rows(count: int) -> list[Warning]:
    return [Warning("repeated-rows", f"{count_of(count, 'row')} say what another row says already")] if count else []


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


def _read_classes(path: Path, text: str, images: Sequence[ImageFile]) -> tuple[dict[str, str], list[Warning]]:
    """The class text of each image of the trial. DataError where one has none, an empty one, or two that differ."""
    classes: dict[str, str] = {}
    repeated = 0
    for name, text_of_class in _two_columns(path, text, ("image", "class")):
        if name in classes and classes[name] != text_of_class:
            raise DataError(
                f"{path}: {name} is of class {classes[name]!r} in one row and of {text_of_class!r} in another; keep one"
            )
        repeated += name in classes
        classes[name] = text_of_class
    names = {i.name for i in images}
    others = [name for name in classes if name not in names]
    missing = [i.name for i in images if not classes.get(i.name)]
    if missing:
        raise DataError(
            f"{path}: no class for {len(missing)} of {count_of(len(images), 'image')}: {not_annotated(missing, others)}"
            f"; add a row for each, or {ONLY_THOSE}"
        )
    warnings = _repeated_rows(repeated)
    if others:
        what = f"classes of {count_of(len(others), 'image')} that the trial does not have"
        warnings.append(Warning("unknown-images", f"{what} are left out: {short_list(others)}"))
    return {i.name: classes[i.name] for i in images}, [w.of(path.name) for w in warnings]
