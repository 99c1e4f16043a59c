"""Whether two results of an image may differ by no more than what another runtime's rounding makes of the same pipeline.

For: results that differ without a known mistake. Not for: how far they differ (result_distance.py). A box of one side alone
may be rounding only where its score lies at the threshold; a class where the two best are as good.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from seatrial.diagnosis.matching import box_overlaps
from seatrial.kernels.results import Classification, DenseMap, Detections, Embedding, Labels, SemanticMask
from seatrial.pipeline.results import Result
from seatrial.plan import pipelines

# Of scores: float16 moves them by some thousandths at most, and a threshold is crossed from no further away.
SCORE = 0.005
# IoU of a box with itself behind another runtime's last digits.
OVERLAP = 0.9
# Share of pixels of a mask, and relative error of a value.
PIXELS, VALUES = 0.01, 0.01
COSINE = 0.999


def may_be_rounding(reference: Result, candidate: Result, spec: pipelines.Pipeline) -> bool:
    """spec: the reference's, whose confidence it is."""
    if reference is None or candidate is None or type(reference) is not type(candidate):
        return False
    if isinstance(reference, Detections):
        assert isinstance(candidate, Detections)
        return _boxes(reference, candidate, spec)
    alike = _KINDS.get(type(reference))
    return alike is not None and alike(reference, candidate)


def _boxes(reference: Detections, candidate: Detections, spec: pipelines.Pipeline) -> bool:
    post = spec.postprocess
    threshold = post.confidence if isinstance(post, pipelines.Postprocess) else None
    overlaps = box_overlaps(reference.boxes_xyxy, candidate.boxes_xyxy)
    alike = np.asarray(reference.class_ids)[:, None] == np.asarray(candidate.class_ids)[None]
    scores = np.abs(np.asarray(reference.scores)[:, None] - np.asarray(candidate.scores)[None])
    pairs = (overlaps >= OVERLAP) & alike & ~(scores > SCORE)
    for scores_of, found in ((reference.scores, pairs.any(axis=1)), (candidate.scores, pairs.any(axis=0))):
        alone = np.asarray(scores_of, np.float64)[~found]
        if len(alone) and (threshold is None or (np.abs(alone - threshold) > SCORE).any()):
            return False
    return True


def _classes(reference: Classification, candidate: Classification) -> bool:
    if not len(reference.class_ids) or not len(candidate.class_ids):
        return False
    first = int(candidate.class_ids[0])
    of = dict(zip(reference.class_ids.tolist(), reference.scores.tolist(), strict=True))
    near = float(reference.scores[0]) - of.get(first, -1.0) <= SCORE
    apart = abs(float(reference.scores[0]) - float(candidate.scores[0]))
    return near and not apart > SCORE


def _labels(reference: Labels, candidate: Labels) -> bool:
    own = dict(zip(reference.class_ids.tolist(), reference.scores.tolist(), strict=True))
    theirs = dict(zip(candidate.class_ids.tolist(), candidate.scores.tolist(), strict=True))
    return set(own) == set(theirs) and not any(abs(own[k] - theirs[k]) > SCORE for k in own)


def _pixels(reference: SemanticMask, candidate: SemanticMask) -> bool:
    same_shape = reference.class_ids.shape == candidate.class_ids.shape
    return same_shape and float((reference.class_ids != candidate.class_ids).mean()) <= PIXELS


def _values(reference: DenseMap, candidate: DenseMap) -> bool:
    if reference.values.shape != candidate.values.shape:
        return False
    r, c = reference.values.astype(np.float64), candidate.values.astype(np.float64)
    if (np.isnan(r) != np.isnan(c)).any():
        return False
    return bool(np.nanmean(np.abs(r - c)) <= VALUES * max(1e-12, float(np.nanmean(np.abs(r)))))


def _vectors(reference: Embedding, candidate: Embedding) -> bool:
    r, c = reference.vector.astype(np.float64), candidate.vector.astype(np.float64)
    norms = float(np.linalg.norm(r) * np.linalg.norm(c))
    return r.shape == c.shape and norms > 0 and float(r @ c) / norms >= COSINE


_KINDS: dict[type, Callable[[Any, Any], bool]] = {
    Classification: _classes,
    Labels: _labels,
    SemanticMask: _pixels,
    DenseMap: _values,
    Embedding: _vectors,
}
