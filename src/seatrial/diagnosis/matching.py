"""Which object of one side is which of the other, where two runs of an image may each give thousands.

For: the distance of results and what is fitted to them. Not for: agreement as users see it (parity/results.py). Boxes that are
no objects on either side, having no sides, are nobody's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.kernels.results import Detections

Array = npt.NDArray[Any]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
# Below it two boxes are two objects, unless classes are the same and scores no further apart than runtimes differ by.
LEAST_OVERLAP, SAME_SCORE = 0.1, 2e-3
# Of two pairs that lie alike the one of the same class is meant, then the one whose scores are nearer. All of these rank before
# what lies elsewhere: LEAST_OVERLAP less a score's whole range is more than that can have.
_CLASS, _SCORE, _ELSEWHERE = 0.05, 0.01, 0.05
# Pairs that are looked at at once: their arrays stay in a processor's cache.
_BLOCK = 1 << 17


@dataclass(frozen=True, eq=False)
class Pairs:
    """reference, candidate (K,): the indices of what belongs together, the surest first; overlap (K,)."""

    reference: I64
    candidate: I64
    overlap: F64

    def __len__(self) -> int:
        return len(self.overlap)

    def __iter__(self) -> Iterator[tuple[int, int, float]]:
        return iter(zip(self.reference.tolist(), self.candidate.tolist(), self.overlap.tolist(), strict=True))


def is_object(found: Detections) -> npt.NDArray[np.bool_]:
    """(N,): whether a box has sides. What was clipped to nothing is dropped by some code and kept by other, and nobody sees it;
    a box that is turned inside out is another matter."""
    boxes = np.asarray(found.boxes_xyxy).reshape(-1, 4)
    return np.asarray((boxes[:, 0] != boxes[:, 2]) & (boxes[:, 1] != boxes[:, 3]))


def matched(reference: Detections, candidate: Detections, by_class: bool = True) -> Pairs:
    """Greedily by overlap, the same class (unless told not to) and score first among those that lie alike. Boxes that lie
    nowhere near any other belong together where class and score are the same: these may lie wrongly altogether."""
    rows, columns = np.flatnonzero(is_object(reference)), np.flatnonzero(is_object(candidate))
    near = _near(reference, candidate, rows, columns, by_class)
    left = np.setdiff1d(rows, near.reference), np.setdiff1d(columns, near.candidate)
    far = _elsewhere(reference, candidate, *left)
    both = zip((near.reference, near.candidate, near.overlap), (far.reference, far.candidate, far.overlap), strict=True)
    return Pairs(*(np.concatenate(sides) for sides in both))


def _near(reference: Detections, candidate: Detections, rows: I64, columns: I64, by_class: bool) -> Pairs:
    ours, theirs = _boxes(reference), _boxes(candidate)
    found = [(rows[:0], columns[:0])]
    for block in _blocks(rows, len(columns)):
        r, c = _touching(ours[block], theirs[columns])
        found.append((block[r], columns[c]))
    i, j = (np.concatenate(side) for side in zip(*found, strict=True))
    overlap = overlaps_of(ours[i], theirs[j])
    enough = overlap >= LEAST_OVERLAP
    i, j, overlap = i[enough], j[enough], overlap[enough]
    alike = _classes(reference)[i] == _classes(candidate)[j]
    apart = np.minimum(1.0, np.nan_to_num(np.abs(_scores(reference)[i] - _scores(candidate)[j])))
    return _greedy(i, j, overlap, overlap + _CLASS * (alike & by_class) - _SCORE * apart)


def _elsewhere(reference: Detections, candidate: Detections, rows: I64, columns: I64) -> Pairs:
    found = [(rows[:0], columns[:0], np.zeros(0))]
    for block in _blocks(rows, len(columns)):
        alike = _classes(reference)[block][:, None] == _classes(candidate)[columns][None]
        apart = np.abs(_scores(reference)[block][:, None] - _scores(candidate)[columns][None])
        r, c = np.nonzero(alike & (apart < SAME_SCORE))
        found.append((block[r], columns[c], _ELSEWHERE - apart[r, c]))
    i, j, rank = (np.concatenate(parts) for parts in zip(*found, strict=True))
    pairs = _greedy(i, j, rank, rank)
    own, other = _boxes(reference)[pairs.reference], _boxes(candidate)[pairs.candidate]
    return Pairs(pairs.reference, pairs.candidate, overlaps_of(own, other))


def _greedy(i: I64, j: I64, overlap: F64, rank: F64) -> Pairs:
    """The pair of the greatest rank first, of equal ones the one that comes first, then the next of what is left of both."""
    order = np.argsort(-rank, kind="stable")
    rows, columns = set(i.tolist()), set(j.tolist())
    kept = []
    for k, own, other in zip(order.tolist(), i[order].tolist(), j[order].tolist(), strict=True):
        if own in rows and other in columns:
            rows.discard(own)
            columns.discard(other)
            kept.append(k)
            if not rows or not columns:
                break
    chosen = np.array(kept, np.int64)
    return Pairs(i[chosen], j[chosen], overlap[chosen])


def _blocks(rows: I64, columns: int) -> list[I64]:
    step = max(1, _BLOCK // max(1, columns))
    return [rows[k : k + step] for k in range(0, len(rows), step)] if columns else []


def _touching(a: F64, b: F64) -> tuple[I64, I64]:
    """Of which boxes the overlap may be more than nothing: that share a pixel, or have no area."""
    touch = _hollow(a)[:, None] | _hollow(b)[None]
    shared = (a[:, 0, None] < b[None, :, 2]) & (b[None, :, 0] < a[:, 2, None])
    shared &= (a[:, 1, None] < b[None, :, 3]) & (b[None, :, 1] < a[:, 3, None])
    r, c = np.nonzero(touch | shared)
    return r, c


def _hollow(boxes: F64) -> npt.NDArray[np.bool_]:
    return np.asarray((boxes[..., 2] <= boxes[..., 0]) | (boxes[..., 3] <= boxes[..., 1]))


def overlaps_of(a: F64, b: F64) -> F64:
    """IoU of boxes (…, 4) float64, which are broadcast. Where either has no area, or is turned inside out: 1 less the mean
    distance of its sides, in shares of the greatest side, so that what was wrongly read is the same where it was read alike.
    0 of boxes that are nowhere, or without end."""
    with np.errstate(invalid="ignore", over="ignore"):
        shared = np.clip(np.minimum(a[..., 2], b[..., 2]) - np.maximum(a[..., 0], b[..., 0]), 0, None)
        shared = shared * np.clip(np.minimum(a[..., 3], b[..., 3]) - np.maximum(a[..., 1], b[..., 1]), 0, None)
        union = _area(a) + _area(b) - shared
        overlaps = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
        hollow = _hollow(a) | _hollow(b)
        if hollow.any():
            apart = sum(np.abs(a[..., k] - b[..., k]) for k in range(4)) / 4
            longest = np.maximum(_longest(a), _longest(b))
            share = np.divide(apart, longest, out=np.full_like(apart, 1.0), where=longest > 0)
            nearness = np.where(apart == 0, 1.0, np.clip(1 - share, 0, 1))
            overlaps = np.where(hollow, nearness, overlaps)
    return np.asarray(np.nan_to_num(overlaps, nan=0.0))


def _area(boxes: F64) -> F64:
    sides = np.clip(boxes[..., 2:] - boxes[..., :2], 0, None)
    return np.asarray(sides[..., 0] * sides[..., 1])


def _longest(boxes: F64) -> F64:
    return np.asarray(np.abs(boxes[..., 2:] - boxes[..., :2]).max(axis=-1))


def _boxes(found: Detections) -> F64:
    return np.asarray(found.boxes_xyxy, np.float64).reshape(-1, 4)


def _scores(found: Detections) -> F64:
    return np.asarray(found.scores, np.float64)


def _classes(found: Detections) -> Array:
    return np.asarray(found.class_ids)
