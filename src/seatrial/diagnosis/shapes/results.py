"""What a difference of results looks like, by their kind: objects, classes, masks, maps, vectors, texts.

Not for: what explains it (search.py). Objects have a module of their own (objects.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np

from seatrial.diagnosis.shapes.clause import LEAST_EXPLAINED, LEAST_OBJECTS, LOCATED, Clause, percent
from seatrial.diagnosis.shapes.objects import objects_said
from seatrial.errors import count_of
from seatrial.kernels.results import Classification, Detections, Labels, SemanticMask, Text
from seatrial.pipeline.results import Result

# Pixels on either side of where one class ends and another begins.
EDGE = 2
Pairs = Sequence[tuple[Any, Any]]


def results_said(pairs: Sequence[tuple[Result, Result]], sizes_hw: Sequence[tuple[int, int] | None]) -> list[Clause]:
    """Of images whose results differ."""
    none = sum((r is None) != (c is None) for r, c in pairs)
    if none >= LOCATED * len(pairs) and none >= LEAST_OBJECTS:
        return [Clause(1.0, f"one side alone has a result, in {none} of {count_of(len(pairs), 'image')}")]
    both = [(r, c, s) for (r, c), s in zip(pairs, sizes_hw, strict=True) if r is not None and c is not None]
    if not both:
        return []
    if all(isinstance(r, Detections) and isinstance(c, Detections) for r, c, _ in both):
        return objects_said([(r, c, s) for r, c, s in both if isinstance(r, Detections) and isinstance(c, Detections)])
    kind = type(both[0][0])
    if any(type(r) is not kind or type(c) is not kind for r, c, _ in both):
        return []
    said = _KINDS.get(kind)
    return said([(r, c) for r, c, _ in both]) if said else []


def _classes(pairs: Pairs) -> list[Clause]:
    """Of the first class of each image."""
    there = [(r, c) for r, c in pairs if len(r.class_ids) and len(c.class_ids)]
    if len(there) < LEAST_OBJECTS:
        return []
    turned = Counter((int(r.class_ids[0]), int(c.class_ids[0])) for r, c in there if r.class_ids[0] != c.class_ids[0])
    count = sum(turned.values())
    if not count:
        higher = percent(float(np.mean([c.scores[0] > r.scores[0] for r, c in there])))
        by = float(np.median([float(c.scores[0]) - float(r.scores[0]) for r, c in there]))
        said = f"scores alone, the first class is the same in all: by {by:+.2g} on the median, higher in {higher} of the images"
        return [Clause(1.0, said)]
    (r, c), often = turned.most_common(1)[0]
    which = f"; class {r} becomes {c} in {often} of them" if often >= max(2, LEAST_EXPLAINED * count) else ""
    share = count / len(there)
    return [
        Clause(share, f"the first class is another in {percent(share)} of the images that differ{which}{_from(turned)}")
    ]


def _from(turned: Counter[tuple[int, int]]) -> str:
    """Where all that turned had been of one class, or became one."""
    count = sum(turned.values())
    for side, words in ((0, "were of class"), (1, "became class")):
        (best, often), *_ = Counter(
            {k: sum(n for p, n in turned.items() if p[side] == k) for k in {p[side] for p in turned}}
        ).most_common(1)
        if len(turned) > 1 and count >= LEAST_OBJECTS and often >= LOCATED * count:
            return f"; {often} of {count} {words} {best}"
    return ""


def _labels(pairs: Pairs) -> list[Clause]:
    missing = Counter(int(k) for r, c in pairs for k in set(r.class_ids.tolist()) - set(c.class_ids.tolist()))
    extra = Counter(int(k) for r, c in pairs for k in set(c.class_ids.tolist()) - set(r.class_ids.tolist()))
    total = sum(missing.values()) + sum(extra.values())
    if total < LEAST_OBJECTS:
        return []
    found = []
    for words, counts in (("missing", missing), ("too many", extra)):
        share = sum(counts.values()) / total
        if share >= LEAST_EXPLAINED:
            best, often = counts.most_common(1)[0]
            which = f", {often} of them class {best}" if often >= LEAST_EXPLAINED * sum(counts.values()) else ""
            found.append(Clause(share, f"labels that are {words} make {percent(share)} of it{which}"))
    return found[:1]


def _masks(pairs: Pairs) -> list[Clause]:
    """At outlines, or one class as another."""
    same = [(r, c) for r, c in pairs if r.class_ids.shape == c.class_ids.shape]
    turned: Counter[tuple[int, int]] = Counter()
    at_outline = 0
    for r, c in same:
        wrong = (r.class_ids != c.class_ids) & ~(r.without_class & c.without_class)
        pairs_of, counts = np.unique(
            np.stack([r.class_ids[wrong], c.class_ids[wrong]]).astype(np.int64), axis=1, return_counts=True
        )
        turned.update({(int(a), int(b)): int(n) for (a, b), n in zip(pairs_of.T, counts, strict=True)})
        at_outline += int((wrong & _outline(r.class_ids)).sum())
    total = sum(turned.values())
    if not total:
        return []
    found = []
    if at_outline >= LOCATED * total:
        said = f"{percent(at_outline / total)} of the pixels that differ lie within {EDGE} pixels of an outline"
        found.append(Clause(at_outline / total, said))
    (a, b), often = turned.most_common(1)[0]
    if often >= LEAST_EXPLAINED * total and len(turned) > 1:
        found.append(
            Clause(often / total, f"class {a} becomes {b} in {percent(often / total)} of the pixels that differ")
        )
    return found


def _outline(class_ids: Any) -> Any:
    ids = class_ids.astype(np.float32)
    kernel = np.ones((2 * EDGE + 1, 2 * EDGE + 1), np.uint8)
    return cv2.dilate(ids, kernel) != cv2.erode(ids, kernel)


def _texts(pairs: Pairs) -> list[Clause]:
    wrong = [(r.text, c.text) for r, c in pairs if r.text != c.text]
    if len(wrong) < LEAST_OBJECTS:
        return []
    kinds: dict[str, Callable[[str, str], bool]] = {
        "letters' case alone": lambda r, c: r.casefold() == c.casefold(),
        "spaces alone": lambda r, c: "".join(r.split()) == "".join(c.split()),
        "an end that is missing": lambda r, c: r.startswith(c),
        "a beginning that is missing": lambda r, c: r.endswith(c),
        "letters too many at the end": lambda r, c: c.startswith(r),
    }
    for said, is_one in kinds.items():
        share = float(np.mean([is_one(r, c) for r, c in wrong]))
        if share >= LEAST_EXPLAINED:
            return [Clause(share, f"{said}, in {percent(share)} of the texts that differ")]
    return []


_KINDS: dict[type, Callable[[Pairs], list[Clause]]] = {
    Classification: _classes,
    Labels: _labels,
    SemanticMask: _masks,
    Text: _texts,
}
