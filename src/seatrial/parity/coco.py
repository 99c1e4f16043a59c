"""A COCO JSON file, read and cut to the trial's images. For: its own faults, each named. Not for: what a task needs of it.

Ids are numbers or texts: 7 and 7.0 are one, 7 and "7" are not, and annotations that differ from their image in that alone
are refused, since every other tool drops them without a word.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from seatrial.errors import DataError, count_of, did_you_mean, short_list
from seatrial.images.files import ImageFile
from seatrial.parity.names import fold
from seatrial.parity.overlaps import FILLED
from seatrial.warning import Warning

# What tools call a category 0 that stands for no object.
_NO_OBJECT = ("none", "object", "objects", "background")
# The range in which COCO's evaluation counts objects of any size.
LEAST_AREA, LARGEST_AREA = 0.0, 1e10
# The cure where a file annotates a part of the images only.
ONLY_THOSE = "name only the annotated ones: images.path as a list, or as a folder of those"


@dataclass(frozen=True)
class CocoTruth:
    """data: the file's structure cut to the trial's images, ids of images 1, 2, … in the trial's order.

    placeholders: ids of categories that only group the others.
    """

    data: dict[str, Any]
    placeholders: frozenset[int]
    warnings: tuple[Warning, ...]


def read_coco(path: Path, text: str, images: Sequence[ImageFile]) -> CocoTruth:
    """DataError where the file is malformed, gives something twice, lacks an image, or matches none of its annotations."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as e:
        raise DataError(f"{path}: expected COCO JSON, but it cannot be parsed ({e})") from None
    if not isinstance(data, dict) or not all(
        isinstance(data.get(k), list) for k in ("images", "annotations", "categories")
    ):
        raise DataError(f"{path}: expected COCO JSON with the lists images, annotations and categories")
    if not data["categories"]:
        raise DataError(f"{path}: expected at least one category, got none")
    return coco_truth(path, data, images)


def coco_truth(path: Path, data: dict[str, Any], images: Sequence[ImageFile]) -> CocoTruth:
    """Of a file's structure with lists of images, annotations and categories. DataError as read_coco."""
    try:
        listed = rows_by_name(path, data["images"])
        rows = rows_of(path, listed, images)
        categories = _categories(path, data["categories"])
        annotations, warnings = _annotations(path, data, rows)
        used = {id_text(a["category_id"]) for a in data["annotations"] if isinstance(a.get("category_id"), int | str)}
    except (KeyError, TypeError, IndexError, ValueError, AttributeError) as e:
        raise DataError(
            f"{path}: the COCO JSON is malformed ({type(e).__name__}: {e}); see the COCO data format"
        ) from None
    cut = {
        "images": [{**row, "id": i} for i, row in enumerate(rows, start=1)],
        "annotations": annotations,
        "categories": categories,
        "info": {},
    }
    return CocoTruth(cut, _placeholders(categories, used), tuple(warnings))


def image_ids(coco: dict[str, Any], images: Sequence[ImageFile]) -> list[int]:
    """COCO id of each image, by its name below the images' folder, else by its base name."""
    by_name = {str(row["file_name"]): row["id"] for row in coco["images"]}
    return [by_name[i.name] if i.name in by_name else by_name[i.path.name] for i in images]


def id_text(value: Any) -> str:
    """An id's text: '7' for 7, 7.0 and '7'."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError(f"expected a number or a text as id, got {value!r}")
    if isinstance(value, float):
        if not value.is_integer():
            raise ValueError(f"expected a whole number as id, got {value!r}")
        value = int(value)
    return str(value)


def _number(value: Any) -> int:
    return int(id_text(value))


def rows_by_name(path: Path, rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    by_name: dict[str, dict[str, Any]] = {}
    name_of: dict[str, str] = {}
    for row in rows:
        name, key = str(row["file_name"]), id_text(row["id"])
        if name in by_name:
            raise DataError(
                f"{path}: 'images' lists {name!r} twice (ids {by_name[name]['id']!r} and {row['id']!r}); keep one row an image"
            )
        if key in name_of:
            raise DataError(
                f"{path}: 'images' gives id {row['id']!r} to {name_of[key]!r} and to {name!r}; expected one id each"
            )
        by_name[name], name_of[key] = row, name
    return by_name


def rows_of(path: Path, listed: dict[str, dict[str, Any]], images: Sequence[ImageFile]) -> list[dict[str, Any]]:
    """The row of each image of the trial."""
    bases = Counter(i.path.name for i in images)
    # A base name stands for the image only where no other image has it.
    rows = [listed.get(i.name) or (listed.get(i.path.name) if bases[i.path.name] == 1 else None) for i in images]
    missing = [image.name for image, row in zip(images, rows, strict=True) if row is None]
    names = {i.name for i in images}
    if missing:
        raise DataError(
            f"{path}: no row in 'images' for {len(missing)} of {count_of(len(images), 'image')}: "
            f"{not_annotated(missing, [n for n in listed if n not in names])}; an image without objects needs a row too: add "
            f"one for each, or {ONLY_THOSE}"
        )
    return [row for row in rows if row is not None]


def not_annotated(missing: Sequence[str], others: list[str]) -> str:
    """The first few, with what the file may call the first one. others: names in the file that no image of the trial has."""
    return f"{short_list(missing)}{did_you_mean(missing[0], others)}"


def _categories(path: Path, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    categories = sorted(({**c, "id": _number(c["id"]), "name": str(c["name"])} for c in rows), key=lambda c: c["id"])
    for a, b in pairwise(categories):
        if a["id"] == b["id"]:
            raise DataError(
                f"{path}: 'categories' gives id {a['id']} to {a['name']!r} and to {b['name']!r}; expected one id each"
            )
    return categories


def _annotations(
    path: Path, data: dict[str, Any], rows: list[dict[str, Any]]
) -> tuple[list[dict[str, Any]], list[Warning]]:
    """Those of the trial's images, with the images' new ids; and what is to be said about the others.

    DataError where ids are the same but for their type, or where nothing is left for the trial's images.
    """
    ids = {id_text(row["id"]): row["id"] for row in data["images"]}
    ours = {id_text(row["id"]): i for i, row in enumerate(rows, start=1)}
    kept: list[dict[str, Any]] = []
    retyped, strays = [], []
    for a in data["annotations"]:
        given, key = a["image_id"], id_text(a["image_id"])
        if key not in ids:
            strays.append(given)
        elif isinstance(given, str) != isinstance(ids[key], str):
            retyped.append(given)
        elif key in ours:
            kept.append(_annotation(a, len(kept) + 1, ours[key]))
    kept, warnings = _counted_once(kept)
    warnings += _wrong_areas(kept)
    unmatched = retyped + strays
    if not unmatched:
        return kept, warnings
    mismatch = (
        f"{len(unmatched)} of {count_of(len(data['annotations']), 'annotation')} name an image_id that no row of 'images' has: "
        f"{_examples(unmatched)}, where 'images' has {_examples(list(ids.values()))}"
    )
    if retyped:
        raise DataError(f"{path}: {mismatch}; text and numbers are not one id: write both sides alike")
    if not kept:
        raise DataError(f"{path}: no annotation belongs to an image of the trial: {mismatch}; use the ids of 'images'")
    return kept, [*warnings, Warning("stray-annotations", f"{mismatch}: they are left out")]


def _counted_once(kept: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[Warning]]:
    """The same object twice can only be found once: it would halve what a model finds, and every drop."""
    seen: dict[str, dict[str, Any]] = {}
    for a in kept:
        shape = [a.get(k) for k in ("bbox", "segmentation", "keypoints")]
        what = [a["image_id"], a["category_id"], *shape, a["iscrowd"], bool(a.get("ignore"))]
        seen.setdefault(json.dumps(what, sort_keys=True) if any(shape) else str(a["id"]), a)
    again = len(kept) - len(seen)
    if not again:
        return kept, []
    once = [{**a, "id": number} for number, a in enumerate(seen.values(), start=1)]
    said = f"{count_of(again, 'annotation')} stand twice, with the same image, category and shape: each is counted once"
    return once, [Warning("repeated-annotations", said)]


def _wrong_areas(kept: list[dict[str, Any]]) -> list[Warning]:
    """COCO's evaluation passes objects over whose area lies outside its range; a negative one is no reason to. OKS forgives by
    the area: of a pose it is not more than its box's."""
    wrong = beyond = 0
    for a in kept:
        outside = not LEAST_AREA <= a["area"] <= LARGEST_AREA
        if outside and a.get("bbox"):
            a["area"] = min(max(LEAST_AREA, _area(a["bbox"])), LARGEST_AREA)
            wrong += 1
        elif a.get("keypoints") and (own := _too_small_for(a)) is not None:
            a["area"] = own
            beyond += 1
    said = f"{count_of(wrong, 'annotation')} have an impossible area: the box's own is taken"
    more = f"{count_of(beyond, 'pose')} of the truth have a larger area than their box, by which OKS would forgive any miss"
    own_share = f"{more}: {FILLED} of the box's own is taken"
    return [Warning("impossible-areas", said)] * bool(wrong) + [Warning("areas-beyond-box", own_share)] * bool(beyond)


def _too_small_for(a: dict[str, Any]) -> float | None:
    """The area of a pose's box, or of its visible keypoints where it has none, of which a person fills a part; None where the
    annotated area has room there."""
    points = a["keypoints"]
    seen = [(float(x), float(y)) for x, y, v in zip(points[::3], points[1::3], points[2::3], strict=False) if v > 0]
    if len(a.get("bbox", ())) >= 4:
        width, height = (float(v) for v in a["bbox"][2:4])
        # Some tools count a box's border as a pixel more.
        room, own = (width + 1) * (height + 1), width * height
    elif seen:
        width, height = (max(values) - min(values) for values in zip(*seen, strict=True))
        # Nobody reaches further than that beyond what is seen of it; of one point nothing is known.
        room, own = (2 * max(width, height)) ** 2, width * height
    else:
        return None
    return FILLED * own if own > 0 and a["area"] > room else None


def _examples(ids: Sequence[Any]) -> str:
    return short_list([repr(i) for i in dict.fromkeys(ids)], 2)


def _annotation(row: dict[str, Any], number: int, image_id: int) -> dict[str, Any]:
    """As pycocotools takes it: every field that it reads is there, and null is what the field is without a value."""
    # Of a pose the whole box would be far too large, and OKS too lenient.
    area = _area(row["bbox"]) * (FILLED if row.get("keypoints") else 1.0) if "bbox" in row else 0.0
    given = {k: v for k, v in row.items() if v is not None}
    fields = {"iscrowd": 0, "area": area, **given}
    return fields | {
        "id": number,
        "image_id": image_id,
        "category_id": _number(row["category_id"]),
        "area": float(fields["area"]),
        "iscrowd": int(fields["iscrowd"]),
    }


def _area(bbox: Sequence[Any]) -> float:
    """Of x, y, width, height; or of an oriented box: centre, width, height, angle."""
    numbers = [float(v) for v in bbox]
    if len(numbers) not in (4, 5):
        raise ValueError(f"expected a bbox of four numbers, or of five where it is oriented, got {len(numbers)}")
    return numbers[2] * numbers[3]


def _placeholders(categories: list[dict[str, Any]], used: set[str]) -> frozenset[int]:
    """A category 0 without any annotation in the file that the others stand under, or that says that it is none."""
    if not categories:
        return frozenset()
    first, *others = categories
    if first["id"] != 0 or "0" in used or not others:
        return frozenset()
    groups = {c.get("supercategory") for c in others} == {first["name"]}
    return frozenset({0} if groups or fold(first["name"]) in _NO_OBJECT else ())
