"""Whether two sides' results may differ by no more than what another runtime's rounding makes of the same pipeline.

For: results that differ without a known mistake. Not for: how far they differ (result_distance.py). Rounding is small in all
that a result holds, belongs to one object each, and goes no way in particular: a box of one side alone may be rounding only
where its score lies at the threshold, a class where the two best are as good; what all images have in common is none at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.diagnosis.matching import matched
from seatrial.diagnosis.result_distance import beside
from seatrial.kernels.results import Classification, DenseMap, Detections, Embedding, Labels, SemanticMask
from seatrial.pipeline.results import Result
from seatrial.plan import pipelines

F64 = npt.NDArray[np.float64]
# Of scores: float16 moves them by some thousandths at most, and a threshold is crossed from no further away.
SCORE = 0.005
# IoU of a box with itself behind another runtime's last digits, and what may be wrong with what stands beside it: one less the
# masks' IoU, or points' distance in shares of the box's side.
OVERLAP, BESIDE = 0.9, 0.1
# Share of a mask's pixels, and IoU of each of its classes of so many pixels: borders move, a class does not go.
PIXELS, CLASS_OVERLAP, CLASS_PIXELS = 0.01, 0.8, 16
# Mean error of a map in shares of its own spread, and of a vector in shares of its length (a cosine of 0.999).
VALUES, VECTOR = 0.01, 0.045
# What answers move on the mean, beyond three standard errors: places and sizes in shares of a box's side or in pixels of the
# picture, scores, and values in shares of a map's spread or a vector's length.
DRIFT_OF_PLACES, DRIFT_OF_PIXELS, DRIFT_OF_SCORES, DRIFT_OF_VALUES = 0.005, 0.3, 0.002, 0.001
LEAST_TO_DRIFT = 4
# So many objects at the threshold, all of one side alone, are so in one case of 128 by chance.
LEAST_ALONE = 8


def may_be_rounding(pairs: Sequence[tuple[Result, Result]], spec: pipelines.Pipeline) -> bool:
    """pairs: reference's and candidate's of every image that differs. spec: the reference's, whose confidence it is."""
    return all(_alike(r, c, spec) for r, c in pairs) and not drift(pairs) and not _of_one_side(pairs)


def _alike(reference: Result, candidate: Result, spec: pipelines.Pipeline) -> bool:
    if reference is None or candidate is None or type(reference) is not type(candidate):
        return False
    post = spec.postprocess
    threshold = post.confidence if isinstance(post, pipelines.Postprocess) else None
    if isinstance(reference, Detections):
        assert isinstance(candidate, Detections)
        return _boxes(reference, candidate, threshold)
    if isinstance(reference, Labels):
        assert isinstance(candidate, Labels)
        return _labels(reference, candidate, threshold)
    alike = _KINDS.get(type(reference))
    return alike is not None and alike(reference, candidate)


def _boxes(reference: Detections, candidate: Detections, threshold: float | None) -> bool:
    return all(_at_threshold(scores, threshold) for scores in _alone(reference, candidate))


def _alone(reference: Detections, candidate: Detections) -> tuple[F64, F64]:
    """Scores of objects that have no other on the other side: each belongs to one at most."""
    of_reference, of_candidate = (np.zeros(len(x.scores), np.bool_) for x in (reference, candidate))
    for i, j, overlap in matched(reference, candidate):
        near = not abs(float(reference.scores[i]) - float(candidate.scores[j])) > SCORE
        same = reference.class_ids[i] == candidate.class_ids[j]
        if overlap >= OVERLAP and near and same and beside(reference, candidate, i, j) <= BESIDE:
            of_reference[i] = of_candidate[j] = True
    return (
        np.asarray(reference.scores, np.float64)[~of_reference],
        np.asarray(candidate.scores, np.float64)[~of_candidate],
    )


def _of_one_side(pairs: Sequence[tuple[Result, Result]]) -> bool:
    """Whether objects come at the threshold on one side alone: a threshold that lies elsewhere does that, rounding both."""
    counts = np.zeros(2, np.int64)
    for r, c in pairs:
        if isinstance(r, Detections) and isinstance(c, Detections):
            counts += [len(scores) for scores in _alone(r, c)]
        elif isinstance(r, Labels) and isinstance(c, Labels):
            of, theirs = set(r.class_ids.tolist()), set(c.class_ids.tolist())
            counts += [len(of - theirs), len(theirs - of)]
    return bool(counts.max() >= LEAST_ALONE and counts.min() == 0)


def _at_threshold(scores: F64, threshold: float | None) -> bool:
    return not len(scores) or (threshold is not None and bool((np.abs(scores - threshold) <= SCORE).all()))


def _classes(reference: Classification, candidate: Classification) -> bool:
    """A log of classes alone has NaN for scores."""
    if not len(reference.class_ids) or not len(candidate.class_ids):
        return False
    of, theirs = _by_class(reference), _by_class(candidate)
    last = float(reference.scores[-1])
    for own, k in zip(reference.scores.tolist(), candidate.class_ids.tolist(), strict=False):
        # Beyond the end of the list a class has the last score at most.
        if abs(own - of.get(k, last)) > SCORE:
            return False
    if float(reference.scores[0]) - of.get(int(candidate.class_ids[0]), -1.0) > SCORE:
        return False
    return not any(abs(of.get(k, last) - s) > SCORE for k, s in theirs.items())


def _labels(reference: Labels, candidate: Labels, threshold: float | None) -> bool:
    of, theirs = _by_class(reference), _by_class(candidate)
    alone = [s for a, b in ((of, theirs), (theirs, of)) for k, s in a.items() if k not in b]
    near = not any(abs(of[k] - theirs[k]) > SCORE for k in set(of) & set(theirs))
    return near and _at_threshold(np.array(alone), threshold)


def _by_class(result: Classification | Labels) -> dict[int, float]:
    return dict(zip(result.class_ids.tolist(), result.scores.tolist(), strict=True))


def _pixels(reference: SemanticMask, candidate: SemanticMask) -> bool:
    r, c = reference.class_ids, candidate.class_ids
    if r.shape != c.shape or float((r != c).mean()) > PIXELS:
        return False
    for k in np.union1d(r, c):
        there = (r == k) | (c == k)
        if there.sum() >= CLASS_PIXELS and ((r == k) & (c == k)).sum() < CLASS_OVERLAP * there.sum():
            return False
    return True


def _values(reference: DenseMap, candidate: DenseMap) -> bool:
    if reference.values.shape != candidate.values.shape:
        return False
    r, c = reference.values.astype(np.float64), candidate.values.astype(np.float64)
    there = np.isfinite(r)
    if (there != np.isfinite(c)).any() or not there.any():
        return False
    spread = float(np.abs(r[there] - r[there].mean()).mean()) or float(np.abs(r[there]).mean())
    return float(np.abs(r[there] - c[there]).mean()) <= VALUES * spread


def _vectors(reference: Embedding, candidate: Embedding) -> bool:
    r, c = reference.vector.astype(np.float64), candidate.vector.astype(np.float64)
    return r.shape == c.shape and float(np.linalg.norm(r - c)) <= VECTOR * float(np.linalg.norm(r))


_KINDS: dict[type, Callable[[Any, Any], bool]] = {
    Classification: _classes,
    SemanticMask: _pixels,
    DenseMap: _values,
    Embedding: _vectors,
}


def drift(pairs: Sequence[tuple[Result, Result]]) -> bool:
    """Whether places, sizes or scores go one way on the mean of all images, by more than rounding does and chance explains."""
    moves = np.array([p for r, c in pairs for p in _moved(r, c)], np.float64).reshape(-1, 2, 4)
    scores = np.array([s for r, c in pairs for s in _rose(r, c)], np.float64)
    values = np.array([v for r, c in pairs for v in _grew(r, c)], np.float64)
    return (
        any(_one_way(x, DRIFT_OF_PLACES) for x in moves[:, 0].T)
        or any(_one_way(x, DRIFT_OF_PIXELS) for x in moves[:, 1].T)
        or _one_way(scores, DRIFT_OF_SCORES)
        or _one_way(values, DRIFT_OF_VALUES)
    )


def _one_way(moves: F64, limit: float) -> bool:
    moves = moves[np.isfinite(moves)]
    if len(moves) < LEAST_TO_DRIFT:
        return False
    return bool(abs(moves.mean()) > max(limit, 3 * moves.std(ddof=1) / np.sqrt(len(moves))))


def _moved(reference: Result, candidate: Result) -> Iterator[F64]:
    """Of each box its centre's dx and dy and its sides' growth, (2, 4): in shares of its sides, and in pixels."""
    if not isinstance(reference, Detections) or not isinstance(candidate, Detections):
        return
    for i, j, overlap in matched(reference, candidate):
        (x0, y0, x1, y1), (u0, v0, u1, v1) = (
            np.asarray(b, np.float64) for b in (reference.boxes_xyxy[i], candidate.boxes_xyxy[j])
        )
        w, h = x1 - x0, y1 - y0
        if overlap >= OVERLAP and w > 0 and h > 0:
            pixels = np.array(((u0 + u1 - x0 - x1) / 2, (v0 + v1 - y0 - y1) / 2, u1 - u0 - w, v1 - v0 - h))
            yield np.stack((pixels / [w, h, w, h], pixels))


def _rose(reference: Result, candidate: Result) -> Iterator[float]:
    if isinstance(reference, Detections) and isinstance(candidate, Detections):
        for i, j, _ in matched(reference, candidate):
            yield float(candidate.scores[j]) - float(reference.scores[i])
    elif isinstance(reference, Classification | Labels) and isinstance(candidate, Classification | Labels):
        of, theirs = _by_class(reference), _by_class(candidate)
        # A classification's scores add up to one: only its best may go one way.
        kept = reference.class_ids[:1] if isinstance(reference, Classification) else reference.class_ids
        yield from (theirs[k] - of[k] for k in kept.tolist() if k in theirs)


def _grew(reference: Result, candidate: Result) -> Iterator[float]:
    """Of a vector its length, of a map its mean."""
    if isinstance(reference, Embedding) and isinstance(candidate, Embedding):
        sizes = [float(np.linalg.norm(x.vector.astype(np.float64))) for x in (reference, candidate)]
        if sizes[0] > 0:
            yield sizes[1] / sizes[0] - 1
    elif isinstance(reference, DenseMap) and isinstance(candidate, DenseMap):
        r, c = reference.values.astype(np.float64), candidate.values.astype(np.float64)
        there = np.isfinite(r) & np.isfinite(c) if r.shape == c.shape else np.zeros(0, np.bool_)
        if there.any():
            spread = float(np.abs(r[there] - r[there].mean()).mean()) or float(np.abs(r[there]).mean()) or 1.0
            yield float((c[there] - r[there]).mean()) / spread
