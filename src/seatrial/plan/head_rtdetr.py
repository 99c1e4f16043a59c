"""Which of its two single tensors an RT-DETR of Ultralytics has, by its columns, its labels and its numbers.

Until 8.4 an export wrote centre, size and a score a class of each query, (300, 4 + classes); since then the best of all scores,
(300, 6): centre, size, score, class (ultralytics pull request 24403). With two classes both have six columns.
"""

from __future__ import annotations

from collections.abc import Mapping

from seatrial.model.file import ModelInfo
from seatrial.plan.head_finding import Finding, shape_of
from seatrial.plan.seen import Seen


def is_rtdetr(info: ModelInfo) -> bool:
    """Whether the metadata of an Ultralytics export names RT-DETR's head or model."""
    words = info.metadata.get("head", "") + " " + info.metadata.get("description", "")
    return "rtdetr" in words.lower().replace("-", "").replace("_", "")


def find_rtdetr(info: ModelInfo, seen: Mapping[str, Seen]) -> Finding:
    """Of a model that is one by its metadata, with one output."""
    output = info.outputs[0]
    shape, classes = shape_of(output, seen), len(info.labels() or [])
    columns = shape[2] if len(shape) == 3 else None
    because = f"the metadata names RT-DETR; {columns} columns"
    numbers = seen[output.name].columns if output.name in seen else None
    if may_be_both(info):
        if numbers is None or numbers.part(4).blank:
            return Finding("rtdetr_end_to_end", f"{because} may be 4 + 2 classes, or a score and a class")
        chosen = bool(numbers.whole[5])
        words = "whole numbers, a class" if chosen else "scores"
        key = "rtdetr_end_to_end" if chosen else "rtdetr_joined"
        return Finding(key, f"{because}, the last of {words}")
    key = "rtdetr_end_to_end" if columns == 6 else "rtdetr_joined"
    fits = isinstance(columns, int) and bool(classes) and columns in (6, 4 + classes)
    if numbers is not None and not numbers.part(4).blank:
        # Fractions, and scores beside them: what the name promises.
        fits = fits and numbers.part(0, 4).within(-0.5, 2) and numbers.part(4, 5).probabilities
    return Finding(key, f"{because}, {classes} labels", fits)


def may_be_both(info: ModelInfo) -> bool:
    shape, classes = info.outputs[0].shape, len(info.labels() or [])
    return len(shape) == 3 and (not isinstance(shape[2], int) or (shape[2] == 6 and classes in (0, 2)))
