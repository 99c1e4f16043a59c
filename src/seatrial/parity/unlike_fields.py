"""Fields of one annotation that do not fit each other: a mask or keypoints elsewhere than the annotation's own bbox.

For: a warning with the likely cause, before anything runs: each field alone is sound, and is judged as it stands.
Not for: fields that do not fit the image (odd_truth.py), or that a task lacks (truth.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.errors import count_of
from seatrial.parity.coco_masks import mask_problem, runs_of
from seatrial.warning import Warning

F64 = npt.NDArray[np.float64]
# Boxes of whole bodies around the part that is seen overlap by more; shapes of half the size by less.
LEAST_IOU = 0.3
# How far beside the bbox a keypoint may lie: of its sides, and in pixels.
BESIDE, BESIDE_PX = 0.25, 2.0
# A slip of one annotator is no mistake of a tool.
FEW = 0.25
SWAPPED = [1, 0, 3, 2]


@dataclass(frozen=True)
class _Pair:
    """Corners x1, y1, x2, y2 of the bbox and around the shape; by_rows: around runs read along rows, not down columns."""

    image_id: int
    box: F64
    shape: F64
    by_rows: F64 | None = None


def unlike_fields(coco: Mapping[str, Any]) -> list[Warning]:
    """A warning a field where more than a quarter of its annotations lie elsewhere than their bbox."""
    found = (
        _said(coco, "mask", "segmentation", _of_mask, _overlap),
        _said(coco, "pose", "keypoints", _of_pose, _inside),
    )
    return [w for w in found if w is not None]


def _said(
    coco: Mapping[str, Any],
    called: str,
    field: str,
    pair_of: Callable[[dict[str, Any], F64], _Pair | None],
    fits: Callable[[F64, F64], bool],
) -> Warning | None:
    pairs: list[_Pair] = []
    for a in coco["annotations"]:
        box = a.get("bbox") or ()
        if a.get(field) and len(box) == 4 and not a["iscrowd"] and np.isfinite(np.array(box, np.float64)).all():
            x, y, width, height = map(float, box)
            pairs += filter(None, [pair_of(a, np.array([x, y, x + width, y + height]))])
    apart = [p for p in pairs if not fits(p.shape, p.box)]
    if len(apart) <= FEW * len(pairs) or len(apart) == 1 < len(pairs):
        return None
    first = apart[0]
    name = next(row["file_name"] for row in coco["images"] if row["id"] == first.image_id)
    (x1, y1, x2, y2), (left, top, right, bottom) = first.shape.tolist(), first.box.tolist()
    said = (
        f"{len(apart)} of the truth's {count_of(len(pairs), called)} lie elsewhere than their annotation's own bbox, first one "
        f"of {name} (x from {x1:.4g} to {x2:.4g}, y from {y1:.4g} to {y2:.4g}; bbox x from {left:.4g} to {right:.4g}, y from "
        f"{top:.4g} to {bottom:.4g})"
    )
    cause = _cause(apart, called, fits)
    return Warning(
        "unlike-fields", f"{said}{f': {cause}' if cause else ''}", "each is judged as it stands: correct one"
    )


def _cause(apart: Sequence[_Pair], called: str, fits: Callable[[F64, F64], bool]) -> str:
    """What makes most of them fit; '' where nothing does."""
    factor = np.median([_centre(p.box) / np.where(_centre(p.shape), _centre(p.shape), 1) for p in apart], axis=0)
    x, y = (f"{f:.3g}" for f in factor)
    times = f"by {x}" if x == y else f"by {x} in x and {y} in y"
    causes: dict[str, Callable[[_Pair], bool]] = {
        f"x and y look swapped in each {called}": lambda p: fits(p.shape[SWAPPED], p.box),
        "the counts look like those of rows, where COCO counts down the columns": lambda p: (
            p.by_rows is not None and fits(p.by_rows, p.box)
        ),
        "each bbox looks like a centre and a size, where COCO has x and y of the upper left corner": lambda p: fits(
            p.shape, p.box - np.tile((p.box[2:] - p.box[:2]) / 2, 2)
        ),
        "each bbox looks like two corners, where COCO has x, y, width and height": lambda p: fits(
            p.shape, np.append(p.box[:2], p.box[2:] - p.box[:2])
        ),
        f"each {called} looks like one of an image of another size: {times} it fits": lambda p: fits(
            p.shape * np.tile(factor, 2), p.box
        ),
    }
    shares = {said: float(np.mean([holds(p) for p in apart])) for said, holds in causes.items()}
    likely = max(shares, key=shares.__getitem__)
    return likely if shares[likely] > 0.5 else ""


def _centre(corners: F64) -> F64:
    return (corners[:2] + corners[2:]) / 2


def _overlap(shape: F64, box: F64) -> bool:
    inter = np.prod(np.maximum(np.minimum(shape[2:], box[2:]) - np.maximum(shape[:2], box[:2]), 0))
    union = np.prod(shape[2:] - shape[:2]) + np.prod(box[2:] - box[:2]) - inter
    # Of a line nobody can say; what has no area is told by others.
    return bool(union <= 0 or inter / union >= LEAST_IOU)


def _inside(shape: F64, box: F64) -> bool:
    reach = BESIDE * (box[2:] - box[:2]) + BESIDE_PX
    return bool((shape[:2] >= box[:2] - reach).all() and (shape[2:] <= box[2:] + reach).all())


def _of_pose(a: dict[str, Any], box: F64) -> _Pair | None:
    """Of the keypoints that are annotated."""
    numbers = np.array(a["keypoints"], np.float64)
    if len(numbers) % 3:
        return None
    points = numbers.reshape(-1, 3)
    points = points[points[:, 2] > 0, :2]
    return _Pair(a["image_id"], box, _around(points)) if len(points) else None


def _of_mask(a: dict[str, Any], box: F64) -> _Pair | None:
    segmentation = a["segmentation"]
    if mask_problem(segmentation, None):
        return None  # check_masks says so to whoever judges it
    if isinstance(segmentation, list):
        points = np.concatenate([np.array(part, np.float64).reshape(-1, 2) for part in segmentation])
        return _Pair(a["image_id"], box, _around(points))
    height, width = segmentation["size"]
    counts = segmentation["counts"]
    runs = runs_of(counts) if isinstance(counts, str) else counts
    down, along = _around_runs(runs or [], height), _around_runs(runs or [], width)
    return None if down is None or along is None else _Pair(a["image_id"], box, down[SWAPPED], along)


def _around(points: F64) -> F64:
    return np.append(points.min(axis=0), points.max(axis=0))


def _around_runs(runs: Sequence[int], line: int) -> F64 | None:
    """Least and greatest place along lines of that length and over them, of the set runs, every second; None where none is."""
    ends = np.cumsum(np.array(runs, np.int64))
    first, last = ends[0:-1:2], ends[1::2]
    first, last = first[last > first], last[last > first] - 1
    if not len(first):
        return None
    # A run over the end of a line reaches from side to side.
    whole = bool((first // line != last // line).any())
    low, high = (0, line - 1) if whole else ((first % line).min(), (last % line).max())
    return np.array([low, (first // line).min(), high + 1, (last // line).max() + 1], np.float64)
