"""Answers in COCO's results JSON: a list of {image_id, category_id, bbox or segmentation or keypoints, score}.

For: objects of every image that has a row, as seatrial's results. Not for: images without a row (black_box.py), or COCO truth.
What a mistake could have made of a box, a class or a score stays as it is: it is what parity looks for.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.errors import DataError, count_of, printable, short_list
from seatrial.images.files import ImageFile
from seatrial.kernels.poses import sigmas_of
from seatrial.kernels.results import Detections, Instances, OrientedBoxes, Poses, TextRegions
from seatrial.parity.answer_names import Found, images_called
from seatrial.parity.coco import id_text
from seatrial.parity.coco_masks import mask_problem, runs_of
from seatrial.pipeline.results import Result, sound_result
from seatrial.warning import Warning

Row = dict[str, Any]
HW = tuple[int, int]
# What has boxes, and may be held against boxes alone.
_FIELDS = {"keypoints": (Poses,), "segmentation": (Instances, OrientedBoxes, TextRegions)}
_OBJECTS = (Detections, Instances, Poses, OrientedBoxes, TextRegions)


def read_coco_answers(
    path: Path,
    text: str,
    images: Sequence[ImageFile],
    sizes_hw: Sequence[HW],
    kind: type | None,
    categories: Sequence[int | None],
    annotations: Path | None,
) -> Found:
    """DataError names the row that is not sound, or says that the reference gives no objects."""
    rows = _rows(path, text)
    if kind is not None and not issubclass(kind, _OBJECTS):
        raise DataError(f"has objects, and the reference gives a {kind.__name__}: {_cure(kind)}", subject=path)
    called = images_called((id_text(row["image_id"]) for row in rows), images, annotations)
    hw = dict(zip((i.name for i in images), sizes_hw, strict=True))
    by_image: dict[str, list[tuple[int, Row]]] = {}
    strangers: dict[str, None] = {}
    for number, row in enumerate(rows, start=1):
        given = id_text(row["image_id"])
        if given in called:
            by_image.setdefault(called[given], []).append((number, row))
        else:
            strangers[given] = None
    classes, warnings = _classes([row for own in by_image.values() for _, row in own], categories)
    beside, note = _beside(rows, kind)
    results = {name: _result(path, own, classes, beside, kind, hw[name]) for name, own in by_image.items()}
    return Found(results, list(strangers), [*warnings, *note])


def _cure(kind: type) -> str:
    if kind.__name__ in ("Classification", "Labels", "Text"):
        column = "text" if kind.__name__ == "Text" else "class"
        return f"expected a CSV with the columns image,{column}"
    return "write a folder of taps with its results, see docs/taps.md"


def _rows(path: Path, text: str) -> list[Row]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as e:
        raise DataError(f"expected COCO results JSON, but it cannot be parsed ({e})", subject=path) from None
    if isinstance(data, dict):
        truth = ": it has annotations, as a truth has" if "annotations" in data else ""
        raise DataError(
            f"expected COCO's results, which are a list of {{image_id, category_id, bbox, score}}, got an object{truth}",
            subject=path,
        )
    for number, row in enumerate(data, start=1):
        if not isinstance(row, dict):
            raise _wrong(path, number, f"expected an object, got a {type(row).__name__}")
        for key in ("image_id", "category_id"):
            try:
                id_text(row.get(key))
            except (TypeError, ValueError) as e:
                raise _wrong(path, number, f"{key}: {e}") from None
        if "category_id" in row and not id_text(row["category_id"]).lstrip("-").isdigit():
            raise _wrong(path, number, f"category_id: expected a number, got {row['category_id']!r}")
        if not _is_number(row.get("score")):
            raise _wrong(
                path, number, f"score: expected a finite number, got {row.get('score')!r}; without scores write a CSV"
            )
    if not data:
        raise DataError("has no row, so that nothing is known of any image; expected one an object", subject=path)
    return list(data)


def _wrong(path: Path, number: int, said: str) -> DataError:
    return DataError(printable(said), subject=path, key=f"row {number}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _classes(rows: Sequence[Row], categories: Sequence[int | None]) -> tuple[Mapping[int, int], list[Warning]]:
    """The model's class of each category of the answers. One that no class has stays beside its neighbours where they just
    count from another number: an answer that is off by one must not look like any other."""
    given = sorted({int(id_text(row["category_id"])) for row in rows})
    known = {c: k for k, c in enumerate(categories) if c is not None}
    if not known:
        said = (
            "nothing says which category is which class: category ids are taken for the model's class numbers, from 0"
        )
        return {c: c for c in given}, [
            Warning("assumed-classes", said, "give images.annotations or postprocess.class_ids")
        ]
    unknown = [c for c in given if c not in known]
    shifts = {c - k for c, k in known.items()}
    beyond = max(len(categories), *known.values()) + 1
    moved = {c: c - next(iter(shifts)) if len(shifts) == 1 else beyond + n for n, c in enumerate(unknown)}
    if not unknown:
        return known, []
    count = sum(int(id_text(row["category_id"])) in moved for row in rows)
    said = f"{count_of(count, 'answer')} are of a category that no class of the model has"
    return known | moved, [Warning("unknown-classes", f"{said}: {short_list(list(map(str, unknown)))}")]


def _beside(rows: Sequence[Row], kind: type | None) -> tuple[str, list[Warning]]:
    """Which field beside the box is read, a key of _FIELDS or '' for none; and what the answers lack of the kind."""
    if kind is Detections:
        return "", []
    fields = _FIELDS if kind is None else [f for f, kinds in _FIELDS.items() if kind in kinds]
    found = next((f for f in fields if all(row.get(f) for row in rows)), "")
    if kind in (OrientedBoxes, TextRegions) and not all(_is_corners(row.get(found)) for row in rows):
        found = ""
    if found or kind is None:
        return found, []
    said = f"the reference gives {kind.__name__}, the answers boxes: upright boxes alone are compared"
    return "", [Warning("boxes-alone", said, "log what stands beside them too, or record taps")]


def _is_corners(segmentation: Any) -> bool:
    """One polygon of four corners."""
    one = isinstance(segmentation, list) and len(segmentation) == 1 and isinstance(segmentation[0], list)
    return one and len(segmentation[0]) == 8 and all(map(_is_number, segmentation[0]))


def _result(
    path: Path,
    rows: Sequence[tuple[int, Row]],
    classes: Mapping[int, int],
    beside: str,
    kind: type | None,
    image_hw: HW,
) -> Result:
    """By descending score, equal ones as they come."""
    ordered = sorted(rows, key=lambda numbered: -numbered[1]["score"])
    corners = kind if kind in (OrientedBoxes, TextRegions) and beside else None
    runs: list[npt.NDArray[np.uint32]] = []
    points: list[list[tuple[float, float, float]]] = []
    boxes, quads = [], []
    for number, row in ordered:
        if corners:
            quads.append(np.array(row["segmentation"][0], np.float32).reshape(4, 2))
        elif beside == "segmentation":
            runs.append(_runs(path, number, row, image_hw))
        elif beside == "keypoints":
            points.append(_points(path, number, row, len(points[0]) if points else 0))
        shape = quads[-1] if quads else points[-1] if points else None
        boxes.append(_box(path, number, row, runs[-1] if runs else None, shape, image_hw))
    own = Detections(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array([row["score"] for _, row in ordered], np.float32),
        np.array([classes[int(id_text(row["category_id"]))] for _, row in ordered], np.int64),
    )
    values: dict[str, Any] = dict(vars(own))
    if corners:
        values["corners_xy" if corners is OrientedBoxes else "polygons"] = np.array(quads, np.float32)
    elif beside == "segmentation":
        return Instances.of_runs(own, runs, image_hw)
    elif beside == "keypoints":
        values |= {"keypoints": np.array(points, np.float32), "sigmas": np.array(sigmas_of(len(points[0])), np.float32)}
    try:
        return sound_result(corners or (Poses if beside else Detections), values)
    except ValueError as e:
        raise _wrong(path, ordered[0][0], f"its image's answers are {e}") from None


def _box(
    path: Path, number: int, row: Row, runs: npt.NDArray[np.uint32] | None, points: Any, image_hw: HW
) -> tuple[float, float, float, float]:
    """x0, y0, x1, y1; of what stands beside it where there is no bbox."""
    bbox = row.get("bbox")
    if bbox is None and runs is not None:
        from pycocotools import mask

        height, width = image_hw
        bbox = mask.toBbox(mask.frPyObjects({"counts": runs.tolist(), "size": [height, width]}, height, width)).tolist()
    if bbox is None and points is not None:
        low, high = np.min(points, axis=0), np.max(points, axis=0)
        bbox = [float(low[0]), float(low[1]), float(high[0] - low[0]), float(high[1] - low[1])]
    if not isinstance(bbox, list) or len(bbox) != 4 or not all(map(_is_number, bbox)):
        raise _wrong(path, number, f"bbox: expected [x, y, width, height] as finite numbers, got {str(bbox)[:80]}")
    x, y, width, height = bbox
    return x, y, x + width, y + height


def _runs(path: Path, number: int, row: Row, image_hw: HW) -> npt.NDArray[np.uint32]:
    given = row["segmentation"]
    if problem := mask_problem(given, image_hw):
        raise _wrong(path, number, f"segmentation: {problem}")
    if isinstance(given, list):
        from pycocotools import mask

        height, width = image_hw
        given = mask.merge(mask.frPyObjects(given, height, width))
    counts = given["counts"]
    text = counts.decode("ascii") if isinstance(counts, bytes) else counts
    return np.array(runs_of(text) if isinstance(text, str) else text, np.uint32)


def _points(path: Path, number: int, row: Row, as_many: int) -> list[tuple[float, float, float]]:
    values = row["keypoints"]
    sound = isinstance(values, list) and values and len(values) % 3 == 0 and all(map(_is_number, values))
    if not sound or (as_many and len(values) != 3 * as_many):
        count = f"{as_many} times" if as_many else "times"
        raise _wrong(path, number, f"keypoints: expected {count} x, y and v as finite numbers, got {str(values)[:80]}")
    return list(zip(values[::3], values[1::3], values[2::3], strict=True))
