"""What a difference of boxes looks like: objects of one side alone, places, classes or scores, and what these have in common.

Not for: the distance itself (result_distance.py), whose shares these are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from seatrial.diagnosis.matching import matched
from seatrial.diagnosis.shapes.clause import LEAST_EXPLAINED, LEAST_OBJECTS, LOCATED, PLACE, Clause, percent
from seatrial.errors import count_of
from seatrial.kernels.results import Detections

F64 = npt.NDArray[np.float64]
# Pixels from an image's side within which a box touches it.
AT_BORDER = 2.0
# COCO's: 32 × 32 pixels.
SMALL = 1024.0


@dataclass
class Seen:
    """Of all images. pairs: reference and candidate box, score, class of each pair; missing and extra: box, score, class and
    whether it touches the border."""

    boxes: list[tuple[F64, F64]] = field(default_factory=list)
    scores: list[tuple[float, float]] = field(default_factory=list)
    classes: list[tuple[int, int]] = field(default_factory=list)
    overlaps: list[float] = field(default_factory=list)
    missing: list[Alone] = field(default_factory=list)
    extra: list[Alone] = field(default_factory=list)
    touching: int = 0


@dataclass(frozen=True)
class Alone:
    class_id: int
    score: float
    area: float
    touches: bool


def objects_said(pairs: Sequence[tuple[Detections, Detections, tuple[int, int] | None]]) -> list[Clause]:
    """pairs: of each image both sides' objects, and its (height, width) where it is known."""
    seen = Seen()
    for reference, candidate, size_hw in pairs:
        _look(seen, reference, candidate, size_hw)
    parts = {
        "missing": float(len(seen.missing)),
        "extra": float(len(seen.extra)),
        "place": sum(1 - o for o in seen.overlaps) / 3,
        "class": sum(r != c for r, c in seen.classes) / 3,
        "score": sum(min(1.0, abs(r - c)) for r, c in seen.scores if not np.isnan(c)) / 3,
    }
    total = sum(parts.values())
    touched = len(seen.missing) + len(seen.extra) + sum(1 for o in seen.overlaps if o < 1)
    touched += sum(r != c for r, c in seen.classes) + sum(r != c for r, c in seen.scores)
    if not total or touched < LEAST_OBJECTS:
        return []
    name = max(parts, key=lambda k: parts[k])
    share = parts[name] / total
    if share < LEAST_EXPLAINED:
        shares = ", ".join(
            f"{_CALLED[k]} {percent(v / total)}" for k, v in sorted(parts.items(), key=lambda x: -x[1]) if v
        )
        return [Clause(0.0, f"nothing makes up half of it: {shares}")]
    return [Clause(share, said) for said in (_SAID[name](seen, share),)]


_CALLED = {
    "missing": "objects that are missing",
    "extra": "objects too many",
    "place": "where boxes lie",
    "class": "classes",
    "score": "scores",
}


def _look(seen: Seen, reference: Detections, candidate: Detections, size_hw: tuple[int, int] | None) -> None:
    pairs = matched(reference, candidate)
    for i, j, overlap in pairs:
        boxes = (np.asarray(reference.boxes_xyxy[i], np.float64), np.asarray(candidate.boxes_xyxy[j], np.float64))
        seen.boxes.append(boxes)
        seen.overlaps.append(1.0 if np.array_equal(*boxes) else overlap)
        seen.scores.append((float(reference.scores[i]), float(candidate.scores[j])))
        seen.classes.append((int(reference.class_ids[i]), int(candidate.class_ids[j])))
    for side, found, out in (
        (reference, {i for i, _, _ in pairs}, seen.missing),
        (candidate, {j for _, j, _ in pairs}, seen.extra),
    ):
        for k in (k for k in range(len(side)) if k not in found):
            x1, y1, x2, y2 = (float(v) for v in side.boxes_xyxy[k])
            touches = size_hw is not None and _touches((x1, y1, x2, y2), size_hw)
            out.append(Alone(int(side.class_ids[k]), float(side.scores[k]), (x2 - x1) * (y2 - y1), touches))
    if size_hw is not None:
        seen.touching += sum(_touches(tuple(map(float, b)), size_hw) for b in reference.boxes_xyxy)


def _touches(box_xyxy: Sequence[float], size_hw: tuple[int, int]) -> bool:
    x1, y1, x2, y2 = box_xyxy
    return min(x1, y1, size_hw[1] - x2, size_hw[0] - y2) < AT_BORDER


def _missing(seen: Seen, share: float) -> str:
    return f"{count_of(len(seen.missing), 'object')} missing, which {_are(share)}{_common(seen, seen.missing)}"


def _extra(seen: Seen, share: float) -> str:
    return f"{count_of(len(seen.extra), 'object')} that the reference has not, which {_are(share)}{_common(seen, seen.extra)}"


def _are(share: float) -> str:
    return f"make {percent(share)} of it"


def _common(seen: Seen, alone: Sequence[Alone]) -> str:
    """What nearly all of them have in common, and few of the others."""
    count = len(alone)
    if count < LEAST_OBJECTS:
        return ""
    (best, often), *_ = Counter(a.class_id for a in alone).most_common(1)
    others = sum(r == best for r, _ in seen.classes) / max(1, len(seen.classes))
    if often >= LOCATED * count and others <= PLACE:
        return f": {often} of {count} are of class {best}"
    if sum(a.touches for a in alone) >= LOCATED * count and seen.touching <= PLACE * (
        len(seen.boxes) + len(seen.missing)
    ):
        return f": {sum(a.touches for a in alone)} of {count} touch the image's border"
    kept = [r for r, _ in seen.scores]
    scores = [a.score for a in alone if not np.isnan(a.score)]
    if kept and scores and np.quantile(scores, LOCATED) <= np.quantile(kept, PLACE):
        return (
            f": nine of ten score below {np.quantile(scores, LOCATED):.2f}, as no more than a quarter of the others do"
        )
    small = sum(a.area < SMALL for a in alone)
    own = sum(float(np.prod(b[0][2:] - b[0][:2])) < SMALL for b in seen.boxes) / max(1, len(seen.boxes))
    return f": {small} of {count} are smaller than 32 × 32 pixels" if small >= LOCATED * count and own <= PLACE else ""


def _place(seen: Seen, share: float) -> str:
    r, c = (np.array([pair[k] for pair in seen.boxes]) for k in range(2))
    moved = [o < 1 for o in seen.overlaps]
    dx, dy = (float(np.median(((c[:, k] + c[:, k + 2]) - (r[:, k] + r[:, k + 2]))[moved] / 2)) for k in range(2))
    sizes = [(c[:, k + 2] - c[:, k])[moved] / np.maximum(1e-6, (r[:, k + 2] - r[:, k])[moved]) for k in range(2)]
    wide, high = (float(np.median(s)) for s in sizes)
    far = float(
        np.median(np.hypot(*(((c[:, k] + c[:, k + 2]) - (r[:, k] + r[:, k + 2]))[moved] / 2 for k in range(2))))
    )
    # What moves each box otherwise has next to no direction in common.
    together = f"moved by {dx:+.2g} and {dy:+.2g} px (across, down)"
    where = together if np.hypot(dx, dy) >= LEAST_EXPLAINED * far else f"moved by {far:.2g} px, each otherwise"
    size = f"×{wide:.3g} as wide and ×{high:.3g} as high"
    return f"where {sum(moved)} boxes lie makes {percent(share)} of it: {where}, {size}, on the median"


def _class(seen: Seen, share: float) -> str:
    turned = Counter((r, c) for r, c in seen.classes if r != c)
    count = sum(turned.values())
    (r, c), often = turned.most_common(1)[0]
    which = (
        f": class {r} becomes {c} in {often} of {count}"
        if often >= LEAST_EXPLAINED * count
        else f", in {len(turned)} ways"
    )
    return f"other classes make {percent(share)} of it{which}"


def _score(seen: Seen, share: float) -> str:
    r, c = (np.array([s[k] for s in seen.scores if not np.isnan(s[1])]) for k in range(2))
    often = percent(float((c > r).mean()))
    by = f"by {np.median(c - r):+.2g} on the median, higher in {often} of the objects"
    return f"scores alone make {percent(share)} of it: {by}"


_SAID = {"missing": _missing, "extra": _extra, "place": _place, "class": _class, "score": _score}
