"""How far two decoded results of one image are from each other, 0 where they are the same, by the kind of result.

For: telling explanations apart, so every field counts that a mistake could show in. Not for: agreement as users see it
(parity/results.py), which asks for the same box and the same class alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.kernels.results import (
    Classification,
    DenseMap,
    Detections,
    Embedding,
    Instances,
    Labels,
    OrientedBoxes,
    Poses,
    SemanticMask,
    Text,
    TextRegions,
)
from seatrial.parity.texts import edit_distance
from seatrial.pipeline.results import Result

F64 = npt.NDArray[np.float64]
# Of an object that one side alone has, and of results of unlike kinds.
ALONE = 1.0
# Below it two boxes are two objects, unless classes are the same and scores no further apart than runtimes differ by.
LEAST_OVERLAP, SAME_SCORE = 0.1, 2e-3
NEVER = -1.0


def result_distance(reference: Result, candidate: Result, scored: bool = True) -> float:
    """Of objects: the mean over all of either side of what is wrong with each, at most 1. Of maps the share of pixels that
    differ; of classes half of what their scores differ by and half whether the first is another.

    scored: whether the candidate gives scores on any image. Where it gives none NaN is what nobody wrote down, and counts for
    nothing; elsewhere it is a wrong score."""
    if reference is None or candidate is None:
        return 0.0 if reference is candidate else ALONE
    if isinstance(reference, Detections) and isinstance(candidate, Detections):
        return 0.0 if _identical(reference, candidate) else _objects(reference, candidate, scored)
    if type(reference) is not type(candidate):
        return ALONE
    return 0.0 if _identical(reference, candidate) else _KINDS[type(reference)](reference, candidate, scored)


def scores_of(result: Result) -> F64:
    """All that a result has; of what has none, no number."""
    given = getattr(result, "scores", getattr(result, "score", ()))
    return np.atleast_1d(np.asarray(given, np.float64))


def _identical(reference: Result, candidate: Result) -> bool:
    """To the bit, NaN included: what is the same is not apart, whatever else is to be said of it."""
    if type(reference) is not type(candidate):
        return False
    pairs = [
        (np.asarray(a), np.asarray(b)) for a, b in zip(vars(reference).values(), vars(candidate).values(), strict=True)
    ]
    return all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f" == b.dtype.kind) for a, b in pairs)


def _score_apart(reference: float, candidate: float, scored: bool) -> float:
    """0 to 1."""
    if reference == candidate or (np.isnan(candidate) and (np.isnan(reference) or not scored)):
        return 0.0
    apart = abs(reference - candidate)
    return ALONE if np.isnan(apart) else min(ALONE, apart)


def _objects(reference: Detections, candidate: Detections, scored: bool) -> float:
    count = max(int(_is_object(reference).sum()), int(_is_object(candidate).sum()))
    if not count:
        return 0.0
    pairs = matched(reference, candidate)
    wrong = sum(_wrong(reference, candidate, i, j, overlap, scored) for i, j, overlap in pairs)
    return float(wrong + ALONE * (count - len(pairs))) / count


def _is_object(found: Detections) -> npt.NDArray[np.bool_]:
    """(N,): whether a box has sides. What was clipped to nothing is dropped by some code and kept by other, and nobody sees it;
    a box that is turned inside out is another matter."""
    boxes = np.asarray(found.boxes_xyxy).reshape(-1, 4)
    return np.asarray((boxes[:, 0] != boxes[:, 2]) & (boxes[:, 1] != boxes[:, 3]))


def matched(reference: Detections, candidate: Detections, by_class: bool = True) -> list[tuple[int, int, float]]:
    """Which is which, and how much they overlap: greedily by overlap, the same class (unless told not to) and score first
    among those that lie alike. Boxes that lie nowhere near any other belong together where class and score are the same: these
    may lie wrongly altogether."""
    overlaps = box_overlaps(reference.boxes_xyxy, candidate.boxes_xyxy)
    alike = np.asarray(reference.class_ids)[:, None] == np.asarray(candidate.class_ids)[None]
    near = np.abs(np.asarray(reference.scores, np.float64)[:, None] - np.asarray(candidate.scores, np.float64)[None])
    rank = overlaps + 0.05 * (alike & by_class) - 0.01 * np.nan_to_num(near)
    elsewhere = overlaps < LEAST_OVERLAP
    rank[elsewhere] = np.where(alike & (near < SAME_SCORE), 0.05 - near, NEVER)[elsewhere]
    rank[~_is_object(reference)] = NEVER
    rank[:, ~_is_object(candidate)] = NEVER
    # A box with NaN for a side lies nowhere.
    rank = np.nan_to_num(rank, nan=NEVER)
    pairs = []
    while rank.size and rank.max() > NEVER:
        i, j = divmod(int(rank.argmax()), rank.shape[1])
        pairs.append((i, j, float(overlaps[i, j])))
        rank[i, :], rank[:, j] = NEVER, NEVER
    return pairs


def _wrong(reference: Detections, candidate: Detections, i: int, j: int, overlap: float, scored: bool) -> float:
    """0 to 1 of a pair: a third each for where it lies, its class and its score."""
    place = 1.0 - overlap
    extra = beside(reference, candidate, i, j)
    other = float(reference.class_ids[i] != candidate.class_ids[j])
    score = _score_apart(float(reference.scores[i]), float(candidate.scores[j]), scored)
    return (max(place, extra) + other + score) / 3


def beside(reference: Detections, candidate: Detections, i: int, j: int) -> float:
    """Of what stands beside the box: mask, keypoints or corners, 0 to 1."""
    if isinstance(reference, Instances) and isinstance(candidate, Instances):
        if tuple(reference.source_hw) != tuple(candidate.source_hw):
            return ALONE
        a, b = reference.mask(i), candidate.mask(j)
        union = int((a | b).sum())
        return 1.0 - int((a & b).sum()) / union if union else 0.0
    size = float(np.sqrt(max(1.0, _area(reference.boxes_xyxy[i]))))
    if isinstance(reference, Poses) and isinstance(candidate, Poses):
        return _apart(reference.keypoints[i][:, :2], candidate.keypoints[j][:, :2], size)
    if isinstance(reference, OrientedBoxes) and isinstance(candidate, OrientedBoxes):
        return _apart(reference.corners_xy[i], candidate.corners_xy[j], size)
    if isinstance(reference, TextRegions) and isinstance(candidate, TextRegions):
        return _apart(reference.polygons[i], candidate.polygons[j], size)
    return 0.0


def _apart(a: npt.NDArray[Any], b: npt.NDArray[Any], size: float) -> float:
    if a.shape != b.shape:
        return ALONE
    return _share(float(np.linalg.norm(np.asarray(a, np.float64) - b, axis=-1).mean()) / size)


def _share(apart: float) -> float:
    """0 to 1; what is not finite is as far apart as can be."""
    return min(ALONE, apart) if np.isfinite(apart) else ALONE


def _area(box: npt.NDArray[Any]) -> float:
    return float(max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1]))


def box_overlaps(a_xyxy: npt.NDArray[Any], b_xyxy: npt.NDArray[Any]) -> F64:
    """IoU (N, M). Where either box has no area, or is turned inside out: 1 less the mean distance of its sides, in shares of
    the greatest side, so that what was wrongly read is the same where it was read alike."""
    with np.errstate(invalid="ignore", over="ignore"):
        return _box_overlaps(
            np.asarray(a_xyxy, np.float64).reshape(-1, 4), np.asarray(b_xyxy, np.float64).reshape(-1, 4)
        )


def _box_overlaps(a: F64, b: F64) -> F64:
    corner = np.minimum(a[:, None, 2:], b[None, :, 2:]) - np.maximum(a[:, None, :2], b[None, :, :2])
    shared = np.prod(np.clip(corner, 0, None), axis=2)
    sides = [x[:, 2:] - x[:, :2] for x in (a, b)]
    areas = [np.prod(np.clip(s, 0, None), axis=1) for s in sides]
    union = areas[0][:, None] + areas[1][None] - shared
    overlaps = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    odd = (areas[0][:, None] == 0) | (areas[1][None] == 0)
    apart = np.abs(a[:, None] - b[None]).mean(axis=2)
    longest = np.maximum(
        np.abs(sides[0]).max(axis=1, initial=0)[:, None], np.abs(sides[1]).max(axis=1, initial=0)[None]
    )
    nearness = np.clip(1 - np.divide(apart, longest, out=np.full_like(apart, 1.0), where=longest > 0), 0, 1)
    nearness[(apart == 0)] = 1.0
    return np.asarray(np.where(odd, nearness, overlaps), np.float64)


def _classes(reference: Classification, candidate: Classification, scored: bool) -> float:
    """Of a log of classes alone the classes in their order count."""
    r, c = np.asarray(reference.class_ids), np.asarray(candidate.class_ids)
    if not len(r) or not len(c):
        return float(len(r) != len(c))
    first = float(r[0] != c[0])
    if not scored:
        count = min(len(r), len(c))
        return (first + float(np.mean(r[:count] != c[:count]))) / 2
    scores = [dict(zip(x.class_ids.tolist(), x.scores.tolist(), strict=True)) for x in (reference, candidate)]
    # A list that is cut off says nothing of the classes behind its end.
    common = set(scores[0]) & set(scores[1]) if len(r) != len(c) else set(scores[0]) | set(scores[1])
    apart = sum(_score_apart(scores[0].get(k, 0.0), scores[1].get(k, 0.0), scored) for k in common)
    return float(first + min(1.0, apart / 2) + _ranks(reference, candidate, scores[0])) / 3


def _ranks(reference: Classification, candidate: Classification, own: dict[int, float]) -> float:
    """Share of places at which another class stands, which the reference itself does not give about as much."""
    count = min(len(reference.class_ids), len(candidate.class_ids))
    last = float(reference.scores[-1])
    wrong = 0
    for k in range(count):
        score = float(reference.scores[k])
        apart = abs(score - own.get(int(candidate.class_ids[k]), last))
        wrong += reference.class_ids[k] != candidate.class_ids[k] and apart > 1e-4 + 0.1 * abs(score)
    return float(wrong) / count


def _labels(reference: Labels, candidate: Labels, scored: bool) -> float:
    scores = [dict(zip(x.class_ids.tolist(), x.scores.tolist(), strict=True)) for x in (reference, candidate)]
    every = set(scores[0]) | set(scores[1])
    if not every:
        return 0.0
    both = set(scores[0]) & set(scores[1])
    wrong = [_score_apart(scores[0][k], scores[1][k], scored) if k in both else ALONE for k in every]
    return float(np.mean(wrong))


def _pixels(reference: SemanticMask, candidate: SemanticMask, _scored: bool) -> float:
    if reference.class_ids.shape != candidate.class_ids.shape:
        return ALONE
    neither = reference.without_class & candidate.without_class
    there = int((~neither).sum())
    return int(((reference.class_ids != candidate.class_ids) & ~neither).sum()) / there if there else 0.0


def _values(reference: DenseMap, candidate: DenseMap, _scored: bool) -> float:
    """NaN is where a map has no value: both sides', or one is wrong there."""
    if reference.values.shape != candidate.values.shape:
        return ALONE
    r, c = reference.values.astype(np.float64), candidate.values.astype(np.float64)
    there = np.isfinite(r) & np.isfinite(c)
    alone = float((~there & ~((r == c) | (np.isnan(r) & np.isnan(c)))).mean())
    if not there.any():
        return alone
    spread = float(np.abs(r[there] - r[there].mean()).mean()) or float(np.abs(r[there]).mean()) or 1.0
    return min(1.0, alone + float(np.abs(r[there] - c[there]).mean()) / spread)


def _vectors(reference: Embedding, candidate: Embedding, _scored: bool) -> float:
    r, c = reference.vector.astype(np.float64), candidate.vector.astype(np.float64)
    if r.shape != c.shape:
        return ALONE
    size = float(np.linalg.norm(r)) or 1.0
    with np.errstate(invalid="ignore"):
        return _share(float(np.linalg.norm(r - c)) / size)


def _letters(reference: Text, candidate: Text, scored: bool) -> float:
    """Share of characters to be edited; and where none is, what the score differs by."""
    r, c = reference.text, candidate.text
    longest = max(len(r), len(c))
    wrong = edit_distance(r, c) / longest if longest else 0.0
    return float(wrong or _score_apart(float(reference.score), float(candidate.score), scored) / 3)


_KINDS: dict[type, Callable[[Any, Any, bool], float]] = {
    Classification: _classes,
    Labels: _labels,
    SemanticMask: _pixels,
    DenseMap: _values,
    Embedding: _vectors,
    Text: _letters,
}
