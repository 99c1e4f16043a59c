"""Another reading of truth and results under which far more is right: classes counted from 1, text written the other way round.

For: a warning beside a poor accuracy, with the cure. Not for: the accuracy itself, which stays as the plan says (accuracy.py).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import replace

from seatrial.errors import count_of
from seatrial.images.files import ImageFile
from seatrial.kernels.results import Classification, SemanticMask, Text
from seatrial.parity.accuracy import evaluate
from seatrial.parity.classes import ClassMap
from seatrial.parity.evaluation import value_of
from seatrial.parity.texts import normal
from seatrial.parity.truth import Truth
from seatrial.pipeline.results import Result
from seatrial.warning import Warning

# A model that gives one class everywhere is right of one class at most, under any reading.
LEAST_CLASSES = 2
POOR, SOUND, BETTER = 0.5, 0.6, 0.3
# What stands from left to right within a text from right to left, as PaddleOCR's pred_reverse leaves it.
_RUNS = re.compile(r"[a-zA-Z0-9 :*./%+-]+|.", re.DOTALL)


def likelier(
    truth: Truth,
    images: Sequence[ImageFile],
    results: Sequence[Result],
    class_map: ClassMap | None,
    value: float | None,
) -> Warning | None:
    """value: what was right of 1 as the plan says."""
    if value is None:
        return None
    if truth.texts is not None:
        return _reversed(truth.texts, images, results)
    if class_map is None or value > POOR or class_map.how != "index":
        return None
    values = {shift: _shifted(truth, images, results, class_map, shift) for shift in (1, -1)}
    shift = max(values, key=values.__getitem__)
    if values[shift] < max(SOUND, value + BETTER):
        return None
    said = (
        f"classes look shifted by one: {value:.3f} is right where the model's class k is the truth's number k, and "
        f"{values[shift]:.3f} where it is k {'+' if shift > 0 else '-'} 1"
    )
    # Of a model that has a class before the truth's first one, that one has no number.
    pairs = "{0: 1, 1: 2, …}" if shift > 0 else "{1: 0, 2: 1, …}"
    ignore = "; where 0 is no class of the model but a rest, set images.not_judged: [0] too" if truth.masks else ""
    return Warning("shifted-classes", said, f"set postprocess.class_ids: {pairs}, a pair for each class{ignore}")


def _shifted(
    truth: Truth, images: Sequence[ImageFile], results: Sequence[Result], class_map: ClassMap, shift: int
) -> float:
    if truth.masks is not None:
        ids = tuple(None if i is None or i + shift < 0 else i + shift for i in class_map.ids)
        # A number that is no class may be a rest, of which nothing can be right: it would hide what is.
        kept = {n: count for n, count in truth.masks.values.items() if n in ids}
        if len(kept) < LEAST_CLASSES or not any(isinstance(r, SemanticMask) for r in results):
            return 0.0
        masks = replace(truth.masks, values=kept)
        found = evaluate(replace(truth, masks=masks), images, results, replace(class_map, ids=ids))
        return (value_of(found) if found is not None else None) or 0.0
    if truth.classes is None:
        return 0.0
    given = [truth.classes[i.name] for i in images]
    best = [int(r.class_ids[0]) if isinstance(r, Classification) else None for r in results]
    right = [text for text, k in zip(given, best, strict=True) if k == class_map.index[text] - shift]
    return len(right) / len(given) if len(set(right)) >= LEAST_CLASSES else 0.0


def _reversed(texts: dict[str, str], images: Sequence[ImageFile], results: Sequence[Result]) -> Warning | None:
    pairs = [
        (normal(texts[i.name]), normal(r.text)) for i, r in zip(images, results, strict=True) if isinstance(r, Text)
    ]
    right = sum(a == b for a, b in pairs)
    backwards = sum(a in (b[::-1], turned(b)) for a, b in pairs if len(b) > 1)
    if backwards <= right:
        return None
    said = f"{right} of {count_of(len(pairs), 'text')} {'is' if right == 1 else 'are'} right as read, and {backwards} backwards"
    if from_right_to_left(b for _, b in pairs):
        said += ", with letters written from right to left: PaddleOCR's models give those in the order in which they are seen"
    return Warning("reversed-texts", said, "write the truth in the model's order, or reverse in a Python postprocess")


def turned(text: str) -> str:
    """From the order in which a text from right to left is seen to that in which it is read: Latin runs and numbers stay."""
    return "".join(reversed(_RUNS.findall(text)))


def from_right_to_left(texts: Iterable[str]) -> bool:
    """Whether any letter is written so, such as Arabic's and Hebrew's."""
    return any(unicodedata.bidirectional(c) in ("R", "AL") for text in texts for c in text)
