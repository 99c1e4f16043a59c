"""Decoded results of one cell against the reference's: how far do users see the same answer?

For: what agrees on each image, counted in boxes or images. Not for: right or wrong (accuracy.py), limits (gate).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.kernels.results import Classification, DenseMap, Detections, Embedding, Labels, SemanticMask, Text
from seatrial.parity.answers import Answers
from seatrial.parity.overlaps import OVERLAPS
from seatrial.parity.texts import same_text, similarity_said
from seatrial.pipeline.results import Result
from seatrial.pipeline.stored import kinds_of
from seatrial.stats.resample import resampled, share_high, share_low
from seatrial.stats.sample import CONFIDENCE

F64 = npt.NDArray[np.float64]
MATCH_OVERLAP = 0.5
# Of two values of a dense map, how far apart they may be, as a share of the greater one.
NEAR = 0.01


@dataclass(frozen=True)
class Agreement:
    """agree / of, each summed over images, is the agreement: over boxes F1, 2 · matched / (reference's + candidate's).

    agree, of: (images,); an image that is empty on both sides has 0 of 0, and counts for nothing. unit: what agrees;
    counted: boxes or images; reference_empty: the reference has no result anywhere. objects: what boxes are, where they are
    counted: one, and many of them.
    """

    agree: F64
    of: F64
    unit: str
    counted: str
    reference_empty: bool = False
    matched: tuple[tuple[int, int, int], ...] = ()
    """Of boxes, by image: matched, the reference's, the candidate's."""
    one_sided: tuple[int, ...] = ()
    """Images of which one side alone has a result, which agree in nothing."""
    neither: int = 0
    """Images of which no side has a result."""
    objects: tuple[str, str] = ("box", "boxes")
    note: str = ""
    """What else is to be said of the two sides."""

    @property
    def value(self) -> float | None:
        total = float(self.of.sum())
        return float(self.agree.sum()) / total if total else None

    @property
    def count(self) -> float:
        """How many boxes or images were compared. A matched box is one, though it is in both sides."""
        return float(self.of.sum()) / (2 if self.counted == "boxes" else 1)

    @property
    def by_image(self) -> F64:
        """1 where there is nothing to disagree on."""
        with np.errstate(invalid="ignore"):
            return np.asarray(np.where(self.of > 0, self.agree / self.of, 1.0))

    def interval(self, seed: int) -> tuple[float | None, float | None]:
        """One-sided bounds at 95 % each. A share of images has exact ones. Boxes fail together, on the same images: theirs are
        the widest of the exact ones at the count that they are worth (Rao and Scott, 1981), of a bootstrap over images, and of
        the share of images that may fail altogether though none of these does. Means of shares are drawn again, with one
        image more that agrees in nothing."""
        value = self.value
        if value is None:
            return None, None
        if self.counted == "images" and set(self.agree.tolist()) <= {0.0, 1.0}:
            return share_low(value * self.count, self.count, CONFIDENCE), share_high(
                value * self.count, self.count, CONFIDENCE
            )
        there = self.of > 0
        agree, of = self.agree[there], self.of[there]
        own = resampled(_ratio_of(agree, of), len(of), seed)
        if self.counted == "images":
            lost = resampled(_ratio_of(np.append(agree, 0.0), np.append(of, 1.0)), len(of) + 1, seed)
            return own.low(CONFIDENCE, with_extreme=lost), own.high(CONFIDENCE)
        low, high = own.low(CONFIDENCE), own.high(CONFIDENCE)
        n = self.count / self._design_effect(value)
        # That no image fails as a whole here bounds how many may: at 95 %, 9 % after 32 images.
        unseen = value * share_low(len(of), len(of), CONFIDENCE)
        lows = [share_low(value * n, n, CONFIDENCE), unseen, *([] if low is None else [low])]
        highs = [share_high(value * n, n, CONFIDENCE), *([] if high is None else [high])]
        return min(lows), max(highs)

    def _design_effect(self, value: float) -> float:
        """How much wider the share scatters over images than over as many boxes of their own; at least 1."""
        images = int((self.of > 0).sum())
        if images < 2 or not 0 < value < 1:
            return 1.0
        scatter = float(((self.agree - value * self.of) ** 2).sum()) / float(self.of.sum()) ** 2 * images / (images - 1)
        return max(1.0, scatter / (value * (1 - value) / self.count))

    def said(self, names: Sequence[str]) -> str:
        """'3 of 3 boxes matched, 1 extra in night.jpg; 7 images empty on both sides'."""
        parts = [self._boxes_in_words(names) if self.counted == "boxes" else self._images_in_words()]
        if self.one_sided:
            parts.append(
                f"{_images(len(self.one_sided))} with a result on one side only, first {names[self.one_sided[0]]}"
            )
        if self.neither:
            parts.append(f"{_images(self.neither)} without a result on either side")
        return "; ".join(filter(None, (*parts, self.note)))

    def _boxes_in_words(self, names: Sequence[str]) -> str:
        matched, theirs, own = (sum(m[k] for m in self.matched) for k in range(3))
        words = f"{matched} of {theirs} {self.objects[1]} matched"
        for count, word, side in ((own - matched, "extra", 2), (theirs - matched, "missing", 1)):
            if count:
                where = max(range(len(self.matched)), key=lambda i: self.matched[i][side] - self.matched[i][0])
                words += f", {count} {word} {'in' if count == 1 else 'most in'} {names[where]}"
        empty = sum(m == (0, 0, 0) for m in self.matched) - self.neither
        return words + (f"; {_images(empty)} empty on both sides" if empty > 0 else "")

    def _images_in_words(self) -> str:
        # A cosine of a vector with itself need not be 1 to the bit.
        there = self.of > 0
        alike = int((there & (self.agree >= self.of - 1e-6)).sum())
        nothing = int((~there).sum()) - self.neither
        empty = f"; {_images(nothing)} empty on both sides" if nothing else ""
        return f"{alike} of {int(there.sum())} images alike in full{empty}"


def _images(count: int) -> str:
    return f"{count} image{'' if count == 1 else 's'}"


def _ratio_of(agree: F64, of: F64) -> Any:
    def ratio(weights: F64) -> F64:
        """NaN where no image is drawn: without the only one there is none."""
        with np.errstate(invalid="ignore"):
            return np.asarray(weights @ agree / (weights @ of))

    return ratio


def agreement(reference: Sequence[Result], candidate: Sequence[Result]) -> Agreement | None:
    """What agrees on each image; None where the task has no decoded results.

    Where one side alone has a result for an image (user code may give None), they disagree on it.
    ValueError where results are of different kinds: a class and a box both have class_ids, but don't compare. Each result is
    read once, and let go before the next.
    """
    sides_kinds = list(zip(kinds_of(reference), kinds_of(candidate), strict=True))
    kinds = {k for pair in sides_kinds for k in pair if k is not None}
    if not kinds:
        return None
    if len(kinds) > 1:
        raise ValueError(f"expected results of one kind, got {' and '.join(sorted(k.__name__ for k in kinds))}")
    kind = kinds.pop()
    one_sided = tuple(i for i, (r, c) in enumerate(sides_kinds) if (r is None) != (c is None))
    neither = sum(r is None and c is None for r, c in sides_kinds)
    sides: dict[str, Any] = {"one_sided": one_sided, "neither": neither}
    pairs = zip(reference, candidate, strict=True)
    if issubclass(kind, Detections):
        return _objects(kind, pairs, sides)
    if kind is Labels:
        return _labels(pairs, sides)
    alike, unit = _COMPARED[kind]
    answers, agree, of = Answers(), [], []
    for r, c in pairs:
        answers.add(r)
        share = 0.0 if r is None or c is None else alike(r, c)
        nothing = (r is None and c is None) or np.isnan(share)
        agree.append(0.0 if nothing else share)
        of.append(0.0 if nothing else 1.0)
    note = similarity_said(list(zip(reference, candidate, strict=True))) if kind is Text else ""
    return Agreement(np.array(agree), np.array(of), unit, "images", answers.empty, **sides, note=note)


def _objects(kind: type[Detections], pairs: Iterable[tuple[Result, Result]], sides: dict[str, Any]) -> Agreement:
    rows = []
    answers = Answers()
    for r, c in pairs:
        answers.add(r)
        ours, theirs = (x if isinstance(x, Detections) else None for x in (r, c))
        matched = len(match(ours, theirs)) if ours is not None and theirs is not None else 0
        rows.append((matched, len(ours or ()), len(theirs or ())))
    counts = np.array(rows, np.float64).reshape(-1, 3)
    how = OVERLAPS[kind]
    unit = f"{how.objects[1]} matched (F1 over all {how.objects[1]} at {how.name} {MATCH_OVERLAP:g}, same class)"
    return Agreement(
        2 * counts[:, 0],
        counts[:, 1] + counts[:, 2],
        unit,
        "boxes",
        not counts[:, 1].any() or answers.constant,
        tuple(rows),
        **sides,
        objects=how.objects,
    )


def _labels(pairs: Iterable[tuple[Result, Result]], sides: dict[str, Any]) -> Agreement:
    """As boxes, of which a class is one thing that is there or not."""
    rows = []
    answers = Answers()
    for r, c in pairs:
        answers.add(r)
        ours, theirs = (set(x.class_ids.tolist()) if isinstance(x, Labels) else set() for x in (r, c))
        rows.append((len(ours & theirs), len(ours), len(theirs)))
    counts = np.array(rows, np.float64).reshape(-1, 3)
    unit = "labels matched (F1 over all labels)"
    empty = not counts[:, 1].any() or answers.constant
    of = counts[:, 1] + counts[:, 2]
    return Agreement(2 * counts[:, 0], of, unit, "boxes", empty, tuple(rows), **sides, objects=("label", "labels"))


def match(reference: Detections, candidate: Detections) -> list[tuple[int, int, float]]:
    """Pairs (reference, candidate, overlap) of the same class at an overlap >= 0.5, greedily by it, ties by index.

    The overlap is that of their kind: see overlaps.py.
    """
    overlaps = OVERLAPS[type(reference)].between(reference, candidate)
    near = (overlaps >= MATCH_OVERLAP) & (reference.class_ids[:, None] == candidate.class_ids)
    found = [(-float(overlaps[i, j]), i, j) for i, j in np.argwhere(near).tolist()]
    used_r: set[int] = set()
    used_c: set[int] = set()
    pairs = []
    for negative, i, j in sorted(found):
        if i not in used_r and j not in used_c:
            used_r.add(i)
            used_c.add(j)
            pairs.append((i, j, -negative))
    return pairs


def _top1(reference: Classification, candidate: Classification) -> float:
    return float(reference.class_ids[0] == candidate.class_ids[0])


def _pixels(reference: SemanticMask, candidate: SemanticMask) -> float:
    """Of those that either side gives a class; one that a side alone has cut away is not the same."""
    if reference.class_ids.shape != candidate.class_ids.shape:
        return 0.0
    # Which number stands for no class depends on the mask's own dtype: 255 is a class among 300.
    neither = reference.without_class & candidate.without_class
    both = ~(reference.without_class | candidate.without_class)
    alike, there = int(((reference.class_ids == candidate.class_ids) & both).sum()), int((~neither).sum())
    return alike / there if there else np.nan


def _values(reference: DenseMap, candidate: DenseMap) -> float:
    if reference.values.shape != candidate.values.shape:
        return 0.0
    alike = there = 0
    # Row by row: at the source's size a few copies of a map would be as many hundred megabytes.
    for r, c in zip(reference.values, candidate.values, strict=True):
        with np.errstate(invalid="ignore"):
            near = np.abs(r - c) <= NEAR * np.maximum(np.abs(r), np.abs(c))
        alike += int((near | (r == c)).sum())
        # Without a value on either side there is nothing to agree on: a crop cut it away.
        there += int((~(np.isnan(r) & np.isnan(c))).sum())
    return alike / there if there else np.nan


def _cosine(reference: Embedding, candidate: Embedding) -> float:
    r, c = reference.vector.astype(np.float64), candidate.vector.astype(np.float64)
    norms = float(np.linalg.norm(r) * np.linalg.norm(c))
    # A zero vector has no direction: it agrees with another zero vector only. NaN and infinity agree with nothing.
    return min(1.0, max(-1.0, float(r @ c) / norms)) if 0 < norms < np.inf else float(not r.any() and not c.any())


_COMPARED: dict[type, tuple[Callable[[Any, Any], float], str]] = {
    Classification: (_top1, "same top-1 class"),
    SemanticMask: (_pixels, "same class, share of pixels"),
    DenseMap: (_values, f"values within {NEAR:.0%} of each other, share of pixels"),
    Embedding: (_cosine, "cosine similarity"),
    Text: (same_text, "same text, to the character"),
}
