"""Decoded results of one cell against the reference's: how far do users see the same answer?

For: one agreement an image, 0 to 1, by task. Not for: right or wrong (accuracy.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from seatrial.kernels.postprocess import Classification, Detections, Embedding, SemanticMask
from seatrial.kernels.reference import iou_one_to_many
from seatrial.pipeline.results import Result

MATCH_IOU = 0.5


@dataclass(frozen=True)
class Paired:
    """Images whose results can be compared, and the others by index: a result on one side alone, or on neither."""

    both: tuple[int, ...]
    one_sided: tuple[int, ...]
    neither: tuple[int, ...]


def paired(reference: Sequence[Result], candidate: Sequence[Result]) -> Paired:
    """A user's stage may give None for an image. One side's None is a disagreement, both sides' is agreement."""
    found: dict[int, list[int]] = {0: [], 1: [], 2: []}
    for i, (r, c) in enumerate(zip(reference, candidate, strict=True)):
        found[(r is not None) + (c is not None)].append(i)
    return Paired(tuple(found[2]), tuple(found[1]), tuple(found[0]))


def agreement(reference: Sequence[Result], candidate: Sequence[Result]) -> tuple[list[float], str] | None:
    """One value an image, and what it means; None where neither side decoded anything.

    An image with a result on one side alone has 0, and one without any has 1.
    ValueError where results are of different kinds: a class and a box both have class_ids, but don't compare.
    """
    sorted_out = paired(reference, candidate)
    given = [x for x in (*reference, *candidate) if x is not None]
    if not given:
        return None
    other = next((x for x in given if type(x) is not type(given[0])), None)
    if other is not None:
        raise ValueError(f"expected results of one kind, {type(given[0]).__name__}, got {type(other).__name__}")
    pairs = [(reference[i], candidate[i]) for i in sorted_out.both]
    measured, unit = _agreements(given[0], pairs)
    values = [1.0] * len(reference)
    for i in sorted_out.one_sided:
        values[i] = 0.0
    for i, value in zip(sorted_out.both, measured, strict=True):
        values[i] = value
    return values, unit


def _agreements(first: Result, pairs: Sequence[tuple[Any, Any]]) -> tuple[list[float], str]:
    if isinstance(first, Detections):
        return [_boxes(r, c) for r, c in pairs], "boxes matched (F1 at IoU 0.5, same class)"
    if isinstance(first, Classification):
        return [_top1(r, c) for r, c in pairs], "same top-1 class"
    if isinstance(first, SemanticMask):
        return [_pixels(r, c) for r, c in pairs], "same class, share of pixels"
    return [_cosine(r, c) for r, c in pairs], "cosine similarity"


def relabelled(results: Sequence[Result], own: Sequence[str] | None, other: Sequence[str] | None) -> list[Result]:
    """The results with class ids of `other`'s label order; unchanged where either has no labels or both are the same.

    A class that `other` does not know gets an id beyond its labels, which matches nothing.
    """
    if not own or not other or list(own) == list(other) or not set(own) & set(other):
        return list(results)
    ids = np.array([list(other).index(name) if name in other else len(other) + i for i, name in enumerate(own)])
    out: list[Result] = []
    for result in results:
        if isinstance(result, Detections | Classification | SemanticMask):
            known = result.class_ids < len(ids)
            moved = np.where(known, ids[np.where(known, result.class_ids, 0)], result.class_ids)
            moved_ids: Any = moved.astype(result.class_ids.dtype)
            out.append(replace(result, class_ids=moved_ids))
        else:
            out.append(result)
    return out


def match_boxes(reference: Detections, candidate: Detections) -> list[tuple[int, int, float]]:
    """Pairs (reference, candidate, IoU) of the same class at IoU >= 0.5, greedily by IoU, ties by index."""
    found = []
    for i, box in enumerate(reference.boxes_xyxy):
        overlaps = iou_one_to_many(box, candidate.boxes_xyxy)
        for j in np.nonzero((overlaps >= MATCH_IOU) & (candidate.class_ids == reference.class_ids[i]))[0].tolist():
            found.append((-float(overlaps[j]), i, j))
    used_r: set[int] = set()
    used_c: set[int] = set()
    pairs = []
    for negative_iou, i, j in sorted(found):
        if i not in used_r and j not in used_c:
            used_r.add(i)
            used_c.add(j)
            pairs.append((i, j, -negative_iou))
    return pairs


def _boxes(reference: Detections, candidate: Detections) -> float:
    total = len(reference) + len(candidate)
    return 1.0 if total == 0 else 2 * len(match_boxes(reference, candidate)) / total


def _top1(reference: Classification, candidate: Classification) -> float:
    return float(reference.class_ids[0] == candidate.class_ids[0])


def _pixels(reference: SemanticMask, candidate: SemanticMask) -> float:
    if reference.class_ids.shape != candidate.class_ids.shape:
        return 0.0
    return float((reference.class_ids == candidate.class_ids).mean())


def _cosine(reference: Embedding, candidate: Embedding) -> float:
    r, c = reference.vector.astype(np.float64), candidate.vector.astype(np.float64)
    norms = float(np.linalg.norm(r) * np.linalg.norm(c))
    # A zero vector has no direction: it agrees with another zero vector only. NaN and infinity agree with nothing.
    return float(r @ c) / norms if 0 < norms < np.inf else float(not r.any() and not c.any())
