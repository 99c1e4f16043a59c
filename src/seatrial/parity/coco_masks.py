"""Masks of a COCO file, checked before pycocotools sees them: what is not sound makes it go on for ever, or judge nonsense.

For: polygons, and runs as lists or compressed. Not for: other fields of an annotation (coco.py, truth.py).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from seatrial.errors import DataError

HW = tuple[int, int]


def check_masks(path: Any, coco: Mapping[str, Any], sizes_hw: Mapping[int, HW]) -> None:
    """DataError for the first annotation whose mask is none. sizes_hw: of each image, by its id, where the file has none."""
    hw, names = {}, {}
    for row in coco["images"]:
        names[row["id"]] = row["file_name"]
        own = (row.get("height"), row.get("width"))
        hw[row["id"]] = own if all(own) else sizes_hw.get(row["id"])
    for a in coco["annotations"]:
        problem = mask_problem(a.get("segmentation"), hw[a["image_id"]])
        if problem:
            raise DataError(f"{path}: an annotation of {names[a['image_id']]} gives no mask: {problem}")


def mask_problem(segmentation: Any, image_hw: HW | None) -> str:
    """What is wrong with it, with what was expected; '' where it is sound."""
    if isinstance(segmentation, list):
        return next((p for p in map(_polygon_problem, segmentation) if p), "")
    if not isinstance(segmentation, dict) or not {"counts", "size"} <= segmentation.keys():
        return "expected polygons, or runs with 'counts' and 'size'"
    size, counts = segmentation["size"], segmentation["counts"]
    if not _whole_numbers(size) or len(size) != 2:
        return f"expected a size of [height, width], got {size!r}"
    if image_hw is not None and tuple(size) != tuple(image_hw):
        turned = ": height comes first" if tuple(size) == tuple(image_hw)[::-1] else ""
        return (
            f"its size is {size[0]} × {size[1]}, and the image's {image_hw[0]} × {image_hw[1]} (height × width){turned}"
        )
    text = counts.decode("latin-1") if isinstance(counts, bytes) else counts  # as pycocotools itself writes them
    runs = runs_of(text) if isinstance(text, str) else text
    if runs is None or not _whole_numbers(runs):
        return "expected counts as a list of whole numbers, 0 or more, or as COCO's compressed text"
    if sum(runs) != size[0] * size[1]:
        return f"its counts add up to {sum(runs)}, expected {size[0]} × {size[1]} = {size[0] * size[1]}"
    return ""


def _polygon_problem(polygon: Any) -> str:
    sound = isinstance(polygon, list) and all(
        isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v) for v in polygon
    )
    if not sound or len(polygon) < 6 or len(polygon) % 2:
        got = f"{len(polygon)} numbers" if sound else repr(polygon)[:40]
        return f"expected each polygon as x, y of three points or more, got {got}"
    return ""


def _whole_numbers(values: Any) -> bool:
    return isinstance(values, Sequence) and all(
        isinstance(v, int) and not isinstance(v, bool) and v >= 0 for v in values
    )


def runs_of(text: str) -> list[int] | None:
    """COCO's compressed counts: six bits a character from '0' on, the sixth says that more follow; from the fourth run on the
    difference to the last but one. None where it is no such text."""
    runs: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 60:
            return None
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    return None if shift else runs
