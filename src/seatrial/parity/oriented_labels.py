"""Truth about objects from a folder with a text file an image, as the structure that COCO JSON has.

For: DOTA's labelTxt (x1 y1 … x4 y4 class difficult, in pixels), and Ultralytics' labels as fractions of the image: of oriented
boxes (class x1 y1 … x4 y4) and of upright ones (class, centre, width, height). Not for: judging (oriented.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from seatrial.errors import DataError, count_of, short_list
from seatrial.images.files import ImageFile
from seatrial.kernels.oriented import are_convex_with_area
from seatrial.parity.file_names import by_name_alone, elsewhere, own_by_base
from seatrial.warning import Warning

DOTA, NUMBERED = (
    "DOTA's x1 y1 x2 y2 x3 y3 x4 y4 class difficult",
    "Ultralytics' class x1 y1 x2 y2 x3 y3 x4 y4 from 0 to 1",
)
UPRIGHT = "YOLO's class x_center y_center width height from 0 to 1"
# Fractions may be rounded beyond the border; pixels go much further.
BEYOND = 0.05


@dataclass(frozen=True)
class _Object:
    where: str
    layout: str
    class_text: str
    corners: tuple[float, ...]
    difficult: bool


def label_files(folder: Path) -> list[Path]:
    """All text files of the folder, searched deeply, in order of name."""
    return sorted(p for p in folder.rglob("*.txt") if p.is_file())


def read_labels(
    folder: Path, images: Sequence[ImageFile], sizes_hw: Sequence[tuple[int, int]] | None
) -> tuple[dict[str, Any], bool]:
    """The structure of COCO JSON, and whether its categories are the model's own class numbers. sizes_hw: of each image, with
    EXIF applied; fractions need them.

    DataError where an image has no file, or a line is no oriented box; it names file and line.
    """
    files = _file_of_each(folder, images)
    objects = [_objects(file) for file in files]
    layouts = {o.layout: o.where for of in objects for o in of}
    if len(layouts) > 1:
        where = "; ".join(f"{place} is {layout}" for layout, place in layouts.items())
        raise DataError(f"{folder}: expected lines of one kind, got two: {where}; keep one kind in a folder")
    numbered = bool({NUMBERED, UPRIGHT} & layouts.keys())
    if numbered and sizes_hw is None:
        raise DataError(f"{folder}: labels as fractions of the image need the images' sizes")
    sizes: Sequence[tuple[int, int] | None] = sizes_hw if sizes_hw is not None else [None] * len(images)
    texts = {o.class_text for of in objects for o in of}
    ids = {t: int(t) for t in texts} if numbered else {t: k for k, t in enumerate(sorted(texts), start=1)}
    rows = [{"id": i, "file_name": image.name} for i, image in enumerate(images, start=1)]
    for row, size in zip(rows, sizes, strict=True):
        row |= {} if size is None else {"height": size[0], "width": size[1]}
    annotations = [
        {
            "image_id": i,
            "category_id": ids[o.class_text],
            **_shape(o, size),
            # pycocotools passes over what counts as a crowd, and only that.
            "iscrowd": int(o.difficult),
            "difficult": int(o.difficult),
        }
        for i, (of, size) in enumerate(zip(objects, sizes, strict=True), start=1)
        for o in of
    ]
    categories = [{"id": k, "name": str(t)} for t, k in ids.items()]
    return {"images": rows, "annotations": annotations, "categories": categories}, numbered


def _file_of_each(folder: Path, images: Sequence[ImageFile]) -> list[Path]:
    """By the image's name below the images' folder, else by its base name where no other image has it, and no folder says that
    it is another's (file_names.py)."""
    files = label_files(folder)
    if not files:
        raise DataError(
            f"{folder}: the annotations cannot be read (a folder without a .txt file); expected COCO JSON, a CSV with columns "
            "image,class, or a folder of boxes with a .txt file an image"
        )
    by_path = {p.relative_to(folder).with_suffix("").as_posix(): p for p in files}
    stems = Counter(p.stem for p in files), Counter(i.path.stem for i in images)
    by_stem = {p.stem: p for p in files if stems[0][p.stem] == stems[1][p.stem] == 1}
    found = [by_path.get(Path(i.name).with_suffix("").as_posix()) or _by_stem(folder, i, by_stem) for i in images]
    without = [i for i, file in zip(images, found, strict=True) if file is None]
    if without:
        missing = [i.name for i in without]
        others = [p.relative_to(folder).as_posix() for p in files if p.stem == without[0].path.stem]
        raise DataError(
            f"{folder}: no .txt file for {len(missing)} of {count_of(len(images), 'image')}: {short_list(missing)}"
            f"{elsewhere(without[0], others)}; expected one of the image's name each; an image without objects needs an empty "
            "one"
        )
    return [file for file in found if file is not None]


def _by_stem(folder: Path, image: ImageFile, by_stem: Mapping[str, Path]) -> Path | None:
    file = by_stem.get(image.path.stem)
    own = own_by_base(image, [file.relative_to(folder).as_posix()]) if file else []
    return file if own else None


def in_other_folders(folder: Path, images: Sequence[ImageFile]) -> list[Warning]:
    """Files that are taken by their names alone."""
    pairs = zip(images, _file_of_each(folder, images), strict=True)
    return by_name_alone({i.name: file.relative_to(folder).as_posix() for i, file in pairs}, images, "labels")


def _objects(file: Path) -> list[_Object]:
    try:
        lines = file.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as e:
        raise DataError(f"{file}: the labels cannot be read ({e}); expected text, a line an object") from None
    # DOTA's files begin with where the image is from, and how large its pixels are.
    kept = [
        (number, line.split())
        for number, line in enumerate(lines, start=1)
        if line.strip() and not line.lower().startswith(("imagesource", "gsd"))
    ]
    return [_object(f"{file}:{number}", fields) for number, fields in kept]


def _object(where: str, fields: list[str]) -> _Object:
    numbers = [_number(f) for f in fields]
    if len(fields) == 5 and fields[0].isdecimal() and all(n is not None for n in numbers):
        return _upright(where, fields, [n for n in numbers[1:] if n is not None])
    if len(fields) == 9 and fields[0].isdecimal() and all(n is not None for n in numbers):
        found = _Object(where, NUMBERED, fields[0], tuple(n for n in numbers[1:] if n is not None), False)
        sound = all(-BEYOND <= n <= 1 + BEYOND for n in found.corners)
    else:
        corners = tuple(n for n in numbers[:8] if n is not None)
        difficult = fields[9:] or ["0"]
        sound = len(fields) in (9, 10) and len(corners) == 8 and difficult[0] in ("0", "1", "2")
        found = _Object(where, DOTA, fields[8] if len(fields) > 8 else "", corners, difficult != ["0"])
    if not sound:
        polygon = len(fields) > 5 and len(fields) % 2 and all(n is not None and 0 <= n <= 1 for n in numbers[1:])
        more = "; this looks like a polygon of YOLO's segmentation labels: convert them to COCO JSON" if polygon else ""
        raise DataError(f"{where}: expected {DOTA}, {NUMBERED}, or {UPRIGHT}, got {' '.join(fields)[:80]!r}{more}")
    if not are_convex_with_area(np.array(found.corners).reshape(1, 4, 2))[0]:
        raise DataError(
            f"{where}: expected four corners that turn one way, around some area, got {' '.join(fields)[:80]!r}; put them in "
            "order, or take the line out"
        )
    return found


def _upright(where: str, fields: list[str], box: list[float]) -> _Object:
    x, y, width, height = box
    corners = x - width / 2, y - height / 2, x + width / 2, y + height / 2
    if min(width, height) <= 0 or not all(-BEYOND <= n <= 1 + BEYOND for n in corners):
        raise DataError(f"{where}: expected {UPRIGHT}, of a box within the image, got {' '.join(fields)[:80]!r}")
    return _Object(where, UPRIGHT, fields[0], corners, False)


def _shape(o: _Object, size_hw: tuple[int, int] | None) -> dict[str, Any]:
    """What judges it: a bbox of an upright box, the outline of an oriented one."""
    if o.layout != UPRIGHT or size_hw is None:
        return {"segmentation": [_in_pixels(o, size_hw).ravel().tolist()]}
    x1, y1, x2, y2 = np.array(o.corners) * np.tile(size_hw[::-1], 2)
    return {"bbox": [float(x1), float(y1), float(x2 - x1), float(y2 - y1)]}


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if np.isfinite(value) else None


def _in_pixels(o: _Object, size_hw: tuple[int, int] | None) -> np.ndarray[Any, np.dtype[np.float64]]:
    corners = np.array(o.corners).reshape(4, 2)
    return corners * size_hw[::-1] if o.layout == NUMBERED and size_hw is not None else corners
