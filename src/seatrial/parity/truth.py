"""Ground truth: read, cut to the trial's images, and checked before anything runs. Not for: scoring (accuracy.py).

COCO JSON (boxes for detection, polygons or RLE for segmentation; coco.py), a CSV with columns image,class
(csv_labels.py) or image,map (value_maps.py), a folder of label images (label_images.py) or of boxes
(oriented_labels.py), or what is read about text (text_truth.py).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from seatrial.errors import DataError
from seatrial.images.files import ImageFile
from seatrial.parity import label_images, oriented_labels
from seatrial.parity.coco import coco_truth, read_coco
from seatrial.parity.coco_masks import check_masks
from seatrial.parity.csv_labels import read_classes, read_label_sets
from seatrial.parity.csv_rows import header_of
from seatrial.parity.label_images import LabelImages, check_sizes, read_label_images
from seatrial.parity.left_out import left_out_notes
from seatrial.parity.odd_truth import ODD, no_masks, unlike_sizes
from seatrial.parity.oriented import NEEDED, annotated_corners
from seatrial.parity.oriented_labels import read_labels
from seatrial.parity.text_truth import Region, read_label_file, read_texts
from seatrial.parity.unlike_fields import unlike_fields
from seatrial.parity.value_maps import ValueMap, check_map_sizes, far_values, map_files, names_maps, read_value_maps
from seatrial.warning import Warning


@dataclass(frozen=True)
class Truth:
    """coco: the file's own structure, cut to the trial's images; classes: class text by name of each image of the trial, or
    label_sets: several of each; masks: label images; maps: files of values by name of each image; texts and regions: what is
    written in each, and where, likewise by name.

    placeholders: ids of categories that only group the others; numbered: categories are the model's own class numbers;
    warnings: what was found odd in reading.
    """

    path: Path
    coco: dict[str, Any] | None = None
    classes: dict[str, str] | None = None
    label_sets: dict[str, tuple[str, ...]] | None = None
    masks: LabelImages | None = None
    maps: dict[str, ValueMap] | None = None
    placeholders: frozenset[int] = frozenset()
    numbered: bool = False
    warnings: tuple[Warning, ...] = ()
    texts: dict[str, str] | None = None
    regions: dict[str, tuple[Region, ...]] | None = None


def load_truth(
    path: Path,
    images: Sequence[ImageFile],
    sizes_hw: Sequence[tuple[int, int]] | None = None,
    multi_label: bool = False,
    map_scale: float | None = None,
    not_judged: Sequence[int] = (),
) -> Truth:
    """sizes_hw: of each image, with EXIF applied, which labels in fractions need. multi_label: whether an image may have
    several classes. map_scale: what one unit of a map's file is. not_judged: numbers of label images that are no class.

    DataError where the file is missing or malformed, names something twice, or an image of the trial is not in it.
    """
    if path.is_dir():
        truth = _of_folder(path, images, sizes_hw)
        if truth.masks is not None:
            return replace(truth, masks=replace(truth.masks, not_judged=tuple(not_judged)))
    if not_judged:
        raise DataError(
            f"{path}: images.not_judged names numbers of label images, and this is no folder of those; leave it out"
        )
    if path.is_dir():
        return truth
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as e:
        raise DataError(
            f"{path}: the annotations cannot be read ({e}); expected COCO JSON, a CSV with columns image,class, image,text or "
            f"image,map, a label file of text, or {_FOLDERS}"
        ) from None
    if path.suffix.lower() == ".txt" or _has_texts(path, text):
        read = (read_label_file if path.suffix.lower() == ".txt" else read_texts)(path, text, images)
        return Truth(path, texts=read.texts, regions=read.regions, warnings=read.warnings)
    if path.suffix.lower() == ".csv" and names_maps(text):
        maps, warnings = read_value_maps(path, text, images, map_scale)
        return Truth(path, maps=maps, warnings=tuple(warnings))
    if path.suffix.lower() == ".csv" and multi_label:
        label_sets, warnings = read_label_sets(path, text, images)
        return Truth(path, label_sets=label_sets, warnings=tuple(warnings))
    if path.suffix.lower() == ".csv":
        classes, warnings = read_classes(path, text, images)
        return Truth(path, classes=classes, warnings=tuple(warnings))
    coco = read_coco(path, text, images)
    return Truth(path, coco=coco.data, placeholders=coco.placeholders, warnings=coco.warnings)


_FOLDERS = (
    "a folder of label images with a .png file an image, or of upright or oriented boxes with a .txt file an image"
)


def _of_folder(path: Path, images: Sequence[ImageFile], sizes_hw: Sequence[tuple[int, int]] | None) -> Truth:
    """Label images or oriented boxes, by which files lie in it under the images' names. DataError where neither do, or both."""
    own = {image.path.resolve() for image in images}
    pngs = [p for p in label_images.label_files(path) if p.resolve() not in own]
    texts = oriented_labels.label_files(path)
    if not pngs and not texts and label_images.label_files(path):
        raise DataError(
            f"{path}: all PNGs of the folder are images of the trial, and so no label images: images.path holds them too; "
            "put the label images into a folder of their own, each under its image's name (a.png for a.jpg)"
        )
    if not pngs and not texts:
        raise DataError(
            f"{path}: the annotations cannot be read (a folder without a .png or .txt file of labels); expected a file, or "
            f"{_FOLDERS}"
        )
    if pngs and texts:
        # A list of classes or a note may lie beside either.
        names = {image.path.stem for image in images}
        pngs, texts = ([p for p in files if p.stem in names] for files in (pngs, texts))
        if bool(pngs) == bool(texts):
            has = "files of both kinds" if pngs else "no file of either kind"
            raise DataError(
                f"{path}: the folder has {has} under the images' names; expected {_FOLDERS}: keep one kind in a folder"
            )
    if pngs:
        masks, warnings = read_label_images(path, images)
        return Truth(path, masks=masks, warnings=tuple(warnings))
    data, numbered = read_labels(path, images, sizes_hw)
    found = coco_truth(path, data, images)
    loose = oriented_labels.in_other_folders(path, images)
    return Truth(path, coco=found.data, numbered=numbered, warnings=(*found.warnings, *loose))


def _has_texts(path: Path, text: str) -> bool:
    """Whether it is a CSV whose header says that it has texts, and neither classes nor maps."""
    header = header_of(text) if path.suffix.lower() == ".csv" else []
    return {"image", "text"} <= set(header) and not {"class", "map"} & set(header)


def check_truth(
    truth: Truth,
    images: Sequence[ImageFile],
    sizes_hw: Sequence[tuple[int, int]],
    task: str,
    multi_label: bool = False,
    keypoints: int | None = None,
) -> list[Warning]:
    """keypoints: how many the pipeline gives, of task pose. DataError where the truth can't judge this task; gives warnings
    about what looks wrong. Runs no model."""
    wanted = ("label_sets",) if multi_label else _JUDGED_BY.get(task, ("coco",) if task in _NEEDED else ())
    if not wanted:
        return []
    if all(getattr(truth, name) is None for name in wanted):
        form = " or ".join(_FORMS[name] for name in wanted)
        raise DataError(
            f"{truth.path}: a pipeline of task '{task}' is judged by {form}; give that, or leave images.annotations out"
        )
    if truth.masks is not None:
        check_sizes(truth.masks, images, sizes_hw)
    if truth.maps is not None:
        check_map_sizes(truth.maps, images, sizes_hw)
        return far_values(truth.maps)
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
    if needed == "segmentation":
        sizes = {row["id"]: hw for row, hw in zip(truth.coco["images"], sizes_hw, strict=True)}
        check_masks(truth.path, truth.coco, sizes)
    if needed == "keypoints":
        _check_keypoints(truth, keypoints)
    bare = no_masks(truth.coco) if task == "segment" else []
    # A segmentation's crowds are pixels like others.
    unjudged = [] if task == "segment" else left_out_notes(truth.coco["annotations"], task == "pose")
    odd = ODD[needed](truth.coco, sizes_hw) + unlike_fields(truth.coco)
    return unlike_sizes(truth.coco, images, sizes_hw) + bare + unjudged + odd


# What every annotation must have, by task.
_NEEDED = {
    "detect": "bbox",
    "segment": "segmentation",
    "instances": "segmentation",
    "pose": "keypoints",
    "oriented": "corners",
}


# What else than COCO judges a task, and what it is called.
_JUDGED_BY = {"classify": ("classes",), "segment": ("coco", "masks"), "dense": ("maps",)}
_FORMS = {
    "coco": "COCO JSON",
    "classes": "a CSV with columns image,class",
    "label_sets": "a CSV with columns image,class, with several rows an image",
    "masks": "a folder of label images",
    "maps": "a CSV with columns image,map",
}


def truth_files(path: Path) -> list[Path]:
    """All that the truth is read from, for who takes digests of it; of a folder the files of either kind. OSError or DataError
    where that cannot be known."""
    if path.is_dir():
        return [*label_images.label_files(path), *oriented_labels.label_files(path)]
    if path.suffix.lower() != ".csv":
        return [path]
    text = path.read_text("utf-8-sig", errors="replace")
    return [path, *(map_files(path, text) if names_maps(text) else [])]


def _check_keypoints(truth: Truth, count: int | None) -> None:
    """DataError where keypoints are not x, y and visibility, as many in each annotation, and as many as the pipeline's."""
    assert truth.coco is not None
    counts = Counter(len(a["keypoints"]) for a in truth.coco["annotations"])
    if len(counts) > 1 or any(n % 3 for n in counts):
        raise DataError(
            f"{truth.path}: expected x, y and visibility of as many keypoints in each annotation, got lists of "
            f"{' and '.join(str(n) for n in sorted(counts))} numbers"
        )
    own = next(iter(counts), None)
    if count is not None and own is not None and own != 3 * count:
        raise DataError(
            f"{truth.path}: expected 3 numbers for each of the pipeline's {count} keypoints, got {own} numbers in each "
            f"annotation, which are {own // 3} keypoints; is postprocess.keypoints right?"
        )
    for a in truth.coco["annotations"]:
        if not all(math.isfinite(float(v)) for v in a["keypoints"]) or not set(a["keypoints"][2::3]) <= {0, 1, 2}:
            name = truth.coco["images"][a["image_id"] - 1]["file_name"]
            raise DataError(
                f"{truth.path}: expected finite keypoints with a visibility of 0, 1 or 2 each, got others in an annotation of "
                f"{name}"
            )
