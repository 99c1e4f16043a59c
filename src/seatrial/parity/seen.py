"""What a pipeline found on all images, in words: the first look that tells a broken one. Not for: right or wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from seatrial.errors import count_of, printable
from seatrial.kernels.results import Classification, DenseMap, Detections, Embedding, Labels, SemanticMask, Text
from seatrial.parity.overlaps import OVERLAPS
from seatrial.pipeline.results import Result
from seatrial.pipeline.stored import kinds_of
from seatrial.warning import Warning

Names = Sequence[str] | None


def seen(results: Sequence[Result], labels: Names) -> str:
    """'3 boxes on 11 images, 8 of them empty, median score 0.79'. '' where the task has no decoded results."""
    there = sum(k is not None for k in kinds_of(results))
    if not there:
        return ""
    images = f"{len(results)} image{'' if len(results) == 1 else 's'}"
    none = f", {len(results) - there} without a result" if there < len(results) else ""
    kind = next((base for base in _IN_WORDS if any(k and issubclass(k, base) for k in kinds_of(results))), None)
    own = (r for r in results if kind is not None and isinstance(r, kind))
    return _IN_WORDS[kind](own, images, labels) + none if kind is not None else ""


def _boxes(results: Iterable[Detections], images: str, _labels: Names) -> str:
    count = empty = 0
    scores, kind = [], Detections
    for r in results:
        kind = type(r)
        scores.append(r.scores)
        count += len(r)
        empty += len(r) == 0
    score = f", median score {np.median(np.concatenate(scores)):.2f}" if count else ""
    some = f", {empty} of them empty" if empty else ""
    return f"{count_of(count, *OVERLAPS[kind].objects)} on {images}{some}{score}"


def _classes(results: Iterable[Classification], images: str, labels: Names) -> str:
    best = [(int(r.class_ids[0]), float(r.scores[0])) for r in results]
    common, count = Counter(class_id for class_id, _ in best).most_common(1)[0]
    kinds = count_of(len({class_id for class_id, _ in best}), "class", "classes")
    score = np.median([score for _, score in best])
    return f"{kinds} on {images}, most often {_name(common, labels)} ({count}), median top score {score:.2f}"


def _masks(results: Iterable[SemanticMask], images: str, labels: Names) -> str:
    pixels = Counter[int]()
    for mask in results:
        ids, counts = np.unique(mask.class_ids[~mask.without_class], return_counts=True)
        pixels.update(dict(zip(ids.tolist(), counts.tolist(), strict=True)))
    if not pixels:
        return f"no class on {images}"
    common, count = pixels.most_common(1)[0]
    share = count / pixels.total()
    found = count_of(len(pixels), "class", "classes")
    return f"{found} on {images}, most of all {_name(common, labels)} ({share:.0%} of the pixels)"


def _labels(results: Iterable[Labels], images: str, labels: Names) -> str:
    count = empty = 0
    common = Counter[int]()
    for r in results:
        count += len(r)
        empty += len(r) == 0
        common.update(r.class_ids.tolist())
    some = f", {empty} of them without one" if empty else ""
    most = (
        f", most often {_name(common.most_common(1)[0][0], labels)} ({common.most_common(1)[0][1]})" if common else ""
    )
    return f"{count_of(count, 'label')} on {images}{some}{most}"


def _values(results: Iterable[DenseMap], images: str, _labels: Names) -> str:
    medians, lows, highs = [], [], []
    gaps = pixels = 0
    for r in results:
        there = np.isfinite(r.values)
        gaps, pixels = gaps + int((~there).sum()), pixels + there.size
        if there.any():
            values = r.values[there]
            medians.append(float(np.median(values)))
            lows.append(float(values.min()))
            highs.append(float(values.max()))
    if not medians:
        return f"no value on {images}"
    missing = f", none in {gaps / pixels:.1%} of the pixels" if gaps else ""
    return f"values from {min(lows):.3g} to {max(highs):.3g} on {images}, median {np.median(medians):.3g}{missing}"


def _vectors(results: Iterable[Embedding], _images: str, _labels: Names) -> str:
    lengths = [len(r.vector) for r in results]
    return f"{len(lengths)} embeddings of {lengths[0]} values"


def _texts(results: Iterable[Text], _images: str, _labels: Names) -> str:
    """'11 texts, 2 of them empty, 8.2 characters on average, median score 0.97, the first "Exit"'."""
    texts = list(results)
    found = [t for t in texts if len(t.code_points)]
    empty = f", {len(texts) - len(found)} of them empty" if len(found) < len(texts) else ""
    if not found:
        return f"{count_of(len(texts), 'text')}{empty}"
    length, score = np.mean([len(t.code_points) for t in found]), np.median([float(t.score) for t in found])
    first = printable(found[0].text[:40])
    return (
        f"{count_of(len(texts), 'text')}{empty}, {length:.1f} characters on average, median score {score:.2f}, the first "
        f'"{first}"'
    )


_IN_WORDS: dict[type, Callable[[Any, str, Names], str]] = {
    Detections: _boxes,
    Classification: _classes,
    SemanticMask: _masks,
    Labels: _labels,
    DenseMap: _values,
    Embedding: _vectors,
    Text: _texts,
}


def nothing_found(results: Sequence[Result]) -> Warning | None:
    """What is to be said of a detector without a box anywhere, a tagger without a label, or of texts without a character; None
    of all others."""
    kinds = [k for k in kinds_of(results) if k is not None and issubclass(k, Detections | Labels)]
    texts = sum(k is Text for k in kinds_of(results))
    if texts and not any(isinstance(r, Text) and len(r.code_points) for r in results):
        said = f"not one character on any of {count_of(texts, 'image')}: is the preprocessing wrong, or the blank?"
        return Warning("nothing-found", said)
    if not kinds or any(isinstance(r, Detections | Labels) and len(r) for r in results):
        return None
    images = count_of(len(kinds), "image")
    one = OVERLAPS[kinds[0]].objects[0] if kinds[0] in OVERLAPS else "label"
    said = f"not one {one} on any of {images}: is postprocess.confidence too high, or the preprocessing wrong?"
    return Warning("nothing-found", said)


def unknown_classes(results: Sequence[Result], classes: int) -> Warning | None:
    """What is to be said of boxes and answers whose class id is none of 0 to classes - 1; None where there is none.

    They match nothing and no truth: a stage that counts from 1, or labels that are too few. Masks may hold an id for 'ignore'.
    """
    if not any(k is not None and issubclass(k, Detections | Classification | Labels) for k in kinds_of(results)):
        return None
    ids = [r.class_ids.ravel() for r in results if isinstance(r, Detections | Classification | Labels)]
    found = np.concatenate(ids).astype(np.int64) if ids else np.zeros(0, np.int64)
    beyond = found[(found < 0) | (found >= classes)]
    if not len(beyond):
        return None
    return Warning(
        "unknown-classes",
        f"{len(beyond)} of {len(found)} results are of a class that is none of 0 to {classes - 1}, such as {beyond[0]}: they "
        "match nothing",
        "does the stage count from 1, or are labels missing?",
    )


def _name(class_id: int, labels: Names) -> str:
    return labels[class_id] if labels and 0 <= class_id < len(labels) and labels[class_id] else f"class {class_id}"
