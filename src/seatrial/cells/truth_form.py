"""The form of a plan's truth against the plan's tasks, in front of whoever reads it: what was expected there, and the cure.

For: class_checks.py, which knows the tasks. Not for: reading truth, or what it says (parity/truth.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from seatrial.errors import DataError, count_of, short_list
from seatrial.images.files import ImageFile
from seatrial.parity.csv_rows import header_of, rows_of
from seatrial.parity.oriented import annotated_corners
from seatrial.parity.truth import Truth
from seatrial.plan.pipelines import Postprocess
from seatrial.plan.tasks import WITHOUT_TRUTH
from seatrial.warning import Warning

# Beside the image in a task's CSV.
_COLUMNS = {"classify": "class", "dense": "map", "text": "text"}
_COCO = "COCO JSON"
_FORMS = {
    "classify": "a CSV with columns image,class",
    "dense": "a CSV with columns image,map",
    "text": "a CSV with columns image,text, or a label file of text",
    "segment": f"{_COCO}, or a folder of label images",
    "oriented": f"{_COCO}, or a folder of oriented boxes",
}
# What every annotation of a task must have, and how to give it.
_FIELDS = {
    "detect": ("bbox", "a bbox of x, y, width and height"),
    "segment": ("segmentation", "its mask, as polygons or RLE"),
    "instances": ("segmentation", "its mask, as polygons or RLE"),
    "pose": ("keypoints", "its keypoints, as x, y and visibility of each"),
}


def check_file(path: Path, posts: Sequence[Postprocess], images: Sequence[ImageFile]) -> None:
    """DataError where the file is empty, or a CSV of other columns, or gives a single class to who may have several.

    What cannot be opened is left to whoever reads it.
    """
    judged = [p for p in posts if p.task not in WITHOUT_TRUTH]
    if not judged or not path.is_file():
        return
    try:
        with path.open("rb") as file:
            empty = not file.read(4096).strip()
        text = path.read_text("utf-8-sig") if path.suffix.lower() == ".csv" else ""
    except (OSError, UnicodeDecodeError):
        return
    if empty:
        raise DataError(f"{path}: the file is empty; expected {_form(judged)}")
    if path.suffix.lower() != ".csv":
        return
    header = header_of(text)
    if "image" not in header or not set(header) & set(_COLUMNS.values()):
        raise DataError(_other_columns(path, header, judged))
    if {"image", "class"} <= set(header) and any(p.task == "classify" for p in judged):
        _check_one_class(path, text, judged, images)


def _form(judged: Sequence[Postprocess]) -> str:
    return " or ".join(dict.fromkeys(_FORMS.get(p.task, _COCO) for p in judged))


def _other_columns(path: Path, header: Sequence[str], judged: Sequence[Postprocess]) -> str:
    columns = dict.fromkeys(_COLUMNS[p.task] for p in judged if p.task in _COLUMNS)
    got = f"got {', '.join(header)}"
    if not columns:
        return f"{path}: expected {_form(judged)}, which judges task '{judged[0].task}', {got}"
    said = f"{path}: expected a header line with columns {' or '.join(f'image,{c}' for c in columns)}, {got}"
    if "class" not in columns:
        return said
    if any(p.multi_label for p in judged):
        return f"{said}; write a row for each class of an image, or all of them in one, as a;b"
    return f"{said}; write a row an image, with the name of its class"


def _check_one_class(path: Path, text: str, judged: Sequence[Postprocess], images: Sequence[ImageFile]) -> None:
    if any(p.multi_label for p in judged):
        return
    found: dict[str, dict[str, None]] = {}
    for name, label in rows_of(path, text, ("image", "class")):
        found.setdefault(name, {})[label] = None
    several = next((i.name for i in images if len(found.get(i.name, ())) > 1), None)
    if several is not None:
        raise DataError(
            f"{path}: {several} is of several classes, {' and '.join(map(repr, found[several]))}; keep one, or set "
            "postprocess.multi_label: true where an image may have several"
        )
    empty = [i.name for i in images if "" in found.get(i.name, ())]
    if empty:
        raise DataError(
            f"{path}: the class of {len(empty)} of {count_of(len(images), 'image')} is empty: {short_list(empty)}; write one, "
            "or set postprocess.multi_label: true where an image may have none, or several"
        )


def check_objects(truth: Truth, task: str) -> None:
    """DataError where COCO's annotations, or what was made of other files, lack what the task needs."""
    if truth.coco is None or task not in _FIELDS:
        return
    (field, given), rows = _FIELDS[task], truth.coco["annotations"]
    lacking = [a for a in rows if not a.get(field)]
    if not lacking:
        return
    name = truth.coco["images"][lacking[0]["image_id"] - 1]["file_name"]
    raise DataError(
        f"{truth.path}: no '{field}', which task '{task}' needs, in {len(lacking)} of {count_of(len(rows), 'annotation')}, "
        f"first in one of {name}; {_cure(lacking[0], field, given)}"
    )


def _cure(annotation: Mapping[str, Any], field: str, given: str) -> str:
    if field == "bbox" and annotated_corners(annotation) is not None:
        return "these are oriented boxes: set task: oriented where the model gives an angle, else give upright ones"
    return f"give each {given}, or leave images.annotations out"


def judged_tasks(truth: Truth) -> list[str]:
    """Of objects, by what COCO's annotations have: a truth of boxes says nothing about what stands behind a head's classes."""
    rows = truth.coco["annotations"] if truth.coco is not None else []
    found = [task for task, (field, _) in _FIELDS.items() if rows and all(a.get(field) for a in rows)]
    return found + (["oriented"] if rows and all(annotated_corners(a) is not None for a in rows) else [])


def check_label_sizes(truth: Truth, images: Sequence[ImageFile], sizes_hw: Sequence[tuple[int, int]]) -> None:
    """DataError where a label image has a size that is its image's in neither way round, such as the model's own."""
    for image, hw in zip(images, sizes_hw, strict=True):
        own = tuple(hw) if truth.masks is None else truth.masks.sizes_hw[image.name]
        if own not in (tuple(hw), tuple(hw)[::-1]) and truth.masks is not None:
            raise DataError(
                f"{truth.masks.files[image.name]}: the label image is {own[0]} × {own[1]} (height × width), but {image.name} "
                f"decodes to {hw[0]} × {hw[1]}; give label images of the images' own size"
            )


def order_told(truth: Truth, warning: Warning) -> Warning:
    """Text files of oriented boxes number no classes: their order is the alphabet's, and nobody's who trained a model."""
    if warning.code != "class-order" or truth.coco is None or not truth.path.is_dir():
        return warning
    names = [str(c["name"]) for c in truth.coco["categories"]]
    said = (
        f"the model has no labels, and the files of {truth.path.name} number no classes: the model's "
        f"{count_of(len(names), 'class is', 'classes are')} taken for theirs in the order of the alphabet "
        f"({short_list([f'{k} = {name}' for k, name in enumerate(names)], 3)}), which is a guess"
    )
    return replace(warning, text=said, cure="set postprocess.labels, in the model's order")
