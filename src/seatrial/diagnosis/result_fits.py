"""Mistakes behind the model whose numbers are read off the candidate's own results: thresholds, lists of classes.

For: mutations that no list of usual values has. They are tried like all others, and must hold on images that they were not
fitted on. Not for: shifts of boxes (shift_fits.py), or fits of tensors (fits.py).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.diagnosis.fit import Fit
from seatrial.diagnosis.matching import matched
from seatrial.diagnosis.mutation import Mutation
from seatrial.diagnosis.mutations.labels import renumbered
from seatrial.diagnosis.mutations.thresholds import OVERLAPS, kept
from seatrial.diagnosis.shift_fits import SHIFT, fit_shift
from seatrial.diagnosis.stages import RESULTS
from seatrial.diagnosis.stretch import Stretch
from seatrial.diagnosis.way import Way
from seatrial.errors import PlanError
from seatrial.kernels.detection_formats import FORMATS
from seatrial.kernels.results import Classification, Detections, Labels, SemanticMask
from seatrial.plan import pipelines, tasks

I64 = npt.NDArray[np.int64]
# Below it there is nothing of which a decoder says anything.
LEAST_CONFIDENCE = 0.001
FIT_IMAGES, LEAST_IMAGES = 12, 200
FEW = 4
# Of the votes for what a class became, so many must agree; and a class that was seen once only proves nothing.
AGREE = 0.8


def fit_thresholds(stretch: Stretch, way: Way, images: Sequence[int]) -> Iterator[Mutation]:
    """IoU and classes among what both sides would keep; then how many, and confidence with it: several at once."""
    post = way.spec.postprocess
    if stretch.end != RESULTS or not isinstance(post, pipelines.Postprocess) or post.task not in tasks.OBJECTS:
        return
    least = _least(stretch)
    several: dict[str, Any] = {}
    if (most := _most(_pairs(stretch, way, images))) is not None:
        several["max_detections"] = most
        yield kept(f"keeps {most} at most", 1, max_detections=most)
    if FORMATS[post.format or ""].needs_nms:
        # Above the least score that the candidate gives its confidence drops nothing.
        above = {"confidence": max(0.0, least - 1e-4)} if least is not None else {}
        agnostic, iou = _suppression(stretch, way, post, images[:FEW], several | above)
        several |= {"class_agnostic": agnostic, "iou": iou}
    confidence = _confidence(stretch, way, post, images, several, least)
    if confidence is not None:
        several["confidence"] = confidence
        yield kept(f"keeps scores above {confidence:.4g}", 1, confidence=confidence)
    changed = {k: v for k, v in several.items() if v != getattr(post, k)}
    if "iou" in changed and changed["iou"] not in OVERLAPS:
        yield kept(f"runs NMS at an IoU of {changed['iou']:.3g}", 1, iou=changed["iou"])
    if len(changed) > 1:
        said = ", ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in changed.items())
        yield kept(f"keeps objects by {said}", len(changed), **changed)


def _pairs(stretch: Stretch, way: Way, images: Sequence[int]) -> list[tuple[Any, Any]]:
    """The way's results and the candidate's."""
    return [(stretch.made(way, i).value, stretch.candidate(i)) for i in images]


def _least(stretch: Stretch) -> float | None:
    """The least score that the candidate gives, on any image; None where it logs none."""
    results = (stretch.candidate(i) for i in range(min(len(stretch.names), LEAST_IMAGES)))
    given = [float(c.scores.min()) for c in results if isinstance(c, Detections) and len(c)]
    return min(given) if len(given) > 1 and np.isfinite(given).all() else None


def _confidence(
    stretch: Stretch,
    way: Way,
    post: pipelines.Postprocess,
    images: Sequence[int],
    beside: dict[str, Any],
    least: float | None,
) -> float | None:
    """The roundest number between the greatest score that the candidate lacks and the least that it has; None where that may be
    the plan's own, or nothing can be said."""
    if least is None:
        return None
    try:
        low = way.with_settings("postprocess", **beside, confidence=min(LEAST_CONFIDENCE, least))
    except (PlanError, ValueError):
        return None  # scores that no plan's confidence can be among
    every = [stretch.made(low, i).value.scores for i in images]
    # The reference's own score of the least that the candidate gives may be a rounding away from it.
    below = [float(s[s < least - 1e-4].max()) for s in every if (s < least - 1e-4).any()]
    bottom = max(below, default=0.0)
    return None if bottom <= post.confidence < least else _roundest(bottom, least)


def _roundest(low: float, high: float) -> float:
    """In low <= x < high."""
    for step in (0.1, 0.05, 0.01, 0.005, 0.001):
        found = np.floor((high - 1e-9) / step) * step
        if low <= found < high and 0 < found < 1:
            return round(float(found), 4)
    return float((low + high) / 2)


def _most(pairs: Sequence[tuple[Any, Any]]) -> int | None:
    """As many as the candidate has wherever it has most, where the reference has more there."""
    counts = [(len(r), len(c)) for r, c in pairs if isinstance(c, Detections)]
    most = max((c for _, c in counts), default=0)
    full = [r for r, c in counts if c == most]
    if most < 1 or len(full) < 2 or not any(r > most for r in full):
        return None
    return most


def _suppression(
    stretch: Stretch, way: Way, post: pipelines.Postprocess, images: Sequence[int], beside: dict[str, Any]
) -> tuple[bool, float]:
    """Across classes or not, and the IoU that comes nearest, between two of a grid where that is nearer."""

    def apart(agnostic: bool, iou: float) -> float:
        try:
            changed = way.with_settings("postprocess", **{**beside, "class_agnostic": agnostic, "iou": iou})
        except (PlanError, ValueError):
            return np.inf
        return float(sum(stretch.distance(changed, i) for i in images))

    grid = sorted({*OVERLAPS, post.iou})
    found = {(a, iou): apart(a, iou) for a in (post.class_agnostic, not post.class_agnostic) for iou in grid}
    least = min(found.values())
    # Of those that do as well, the plan's own, else the middle of them.
    if found[(post.class_agnostic, post.iou)] <= least:
        return post.class_agnostic, post.iou
    agnostic = next(a for (a, _), v in found.items() if v <= least)
    alike = [iou for (a, iou), v in found.items() if a == agnostic and v <= least]
    best = post.iou if post.iou in alike else alike[len(alike) // 2]
    if least > 0 and best != post.iou:
        k = grid.index(best)
        low, high = grid[max(0, k - 1)], grid[min(len(grid) - 1, k + 1)]
        for _ in range(2):
            tried = {round(float(x), 4): apart(agnostic, round(float(x), 4)) for x in np.linspace(low, high, 11)[1:-1]}
            nearer = min(tried, key=lambda x: tried[x])
            best, least = (nearer, tried[nearer]) if tried[nearer] < least else (best, least)
            low, high = best - (high - low) / 10, min(1.0, best + (high - low) / 10)
    return agnostic, best


def fit_classes(stretch: Stretch, way: Way, images: Sequence[int]) -> Iterator[Mutation]:
    """What became of each class, by most votes."""
    if not isinstance(way.spec.postprocess, pipelines.Postprocess):
        return
    pairs = _pairs(stretch, way, images)
    votes: dict[int, Counter[int]] = defaultdict(Counter)
    seen: dict[tuple[int, int], set[int]] = defaultdict(set)
    for k, (reference, candidate) in enumerate(pairs):
        for own, other, count in _votes(reference, candidate):
            votes[own][other] += count
            seen[own, other].add(k)
    table = {own: others.most_common(1)[0][0] for own, others in votes.items()}
    agreed = {own: other for own, other in table.items() if votes[own][other] >= AGREE * votes[own].total()}
    changed = {own: other for own, other in agreed.items() if own != other}
    twice = {own: other for own, other in changed.items() if len(seen[own, other]) > 1}
    # A list of classes is one to one; and one that explains nothing but single images is made of them.
    if not twice or len(set(agreed.values())) < len(agreed) or len(agreed) < len(table) / 2:
        return
    if len({other - own for own, other in agreed.items()}) == 1:
        return
    few = ", ".join(f"{own} as {other}" for own, other in sorted(changed.items())[:4])
    more = f" and {len(changed) - 4} more" if len(changed) > 4 else ""

    def renumber(numbers: I64) -> I64:
        known = np.array([changed.get(int(n), int(n)) for n in np.unique(numbers)], np.int64)
        return known[np.searchsorted(np.unique(numbers), numbers)]

    yield renumbered("label-map", f"gives class {few}{more}", renumber, len(changed))


def _votes(reference: Any, candidate: Any) -> Iterable[tuple[int, int, int]]:
    if isinstance(reference, Detections) and isinstance(candidate, Detections):
        return [
            (int(reference.class_ids[i]), int(candidate.class_ids[j]), 1)
            for i, j, overlap in matched(reference, candidate, by_class=False)
            if overlap > 0.5
        ]
    if isinstance(reference, Classification) and isinstance(candidate, Classification):
        return _of_ranks(reference, candidate, 1 if np.isnan(candidate.scores).any() else None)
    if isinstance(reference, Labels) and isinstance(candidate, Labels) and len(reference) == len(candidate):
        return _of_ranks(reference, candidate, None)
    if isinstance(reference, SemanticMask) and isinstance(candidate, SemanticMask):
        return _of_pixels(reference.class_ids, candidate.class_ids)
    return []


def _of_ranks(reference: Any, candidate: Any, most: int | None) -> list[tuple[int, int, int]]:
    """By place in the list, as far as the scores there are the same."""
    count = min(len(reference.class_ids), len(candidate.class_ids), most or 1 << 30)
    apart = np.abs(np.asarray(reference.scores[:count], np.float64) - candidate.scores[:count])
    same = np.ones(count, np.bool_) if most else apart < 0.01
    # Scores that lie as near to each other as both sides' lie apart do not say which is which.
    gaps = np.abs(np.diff(np.asarray(reference.scores[:count], np.float64)))
    told = 1e-4 + 3 * np.nan_to_num(apart)
    clear = (np.concatenate([[np.inf], gaps]) > told) & (np.concatenate([gaps, [np.inf]]) > told)
    return [
        (int(r), int(c), 1)
        for r, c, ok in zip(reference.class_ids[:count], candidate.class_ids[:count], same & clear, strict=True)
        if ok
    ]


def _of_pixels(reference: npt.NDArray[Any], candidate: npt.NDArray[Any]) -> list[tuple[int, int, int]]:
    if reference.shape != candidate.shape:
        return []
    both = reference.astype(np.int64) * 65536 + candidate
    codes, counts = np.unique(both, return_counts=True)
    return [(int(k) // 65536, int(k) % 65536, int(n)) for k, n in zip(codes, counts, strict=True)]


RESULT_FITS = (Fit("nms-settings", fit_thresholds), Fit("label-map", fit_classes), Fit(SHIFT, fit_shift))
