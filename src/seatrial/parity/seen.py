"""What a pipeline found on all images, in words: the first look that tells a broken one. Not for: right or wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from seatrial.errors import count_of, printable
from seatrial.kernels.results import Classification, Detections, Embedding, SemanticMask, Text
from seatrial.parity.overlaps import OVERLAPS
from seatrial.pipeline.results import Result
from seatrial.warning import Warning


def seen(results: Sequence[Result], labels: Sequence[str] | None) -> str:
    """'3 boxes on 11 images, 8 of them empty, median score 0.79'. '' where the task has no decoded results."""
    there = [r for r in results if r is not None]
    images = f"{len(results)} image{'' if len(results) == 1 else 's'}"
    if not there:
        return ""
    none = f", {len(results) - len(there)} without a result" if len(there) < len(results) else ""
    boxes = [r for r in there if isinstance(r, Detections)]
    if boxes:
        count, empty = sum(map(len, boxes)), sum(len(r) == 0 for r in boxes)
        score = f", median score {np.median(np.concatenate([r.scores for r in boxes])):.2f}" if count else ""
        some = f", {empty} of them empty" if empty else ""
        found = count_of(count, *OVERLAPS[type(boxes[0])].objects)
        return f"{found} on {images}{some}{score}{none}"
    best = [r for r in there if isinstance(r, Classification)]
    if best:
        common, count = Counter(int(r.class_ids[0]) for r in best).most_common(1)[0]
        kinds = len({int(r.class_ids[0]) for r in best})
        score = np.median([float(r.scores[0]) for r in best])
        return (
            f"{kinds} class{'' if kinds == 1 else 'es'} on {images}, most often {_name(common, labels)} ({count}), "
            f"median top score {score:.2f}{none}"
        )
    masks = [r for r in there if isinstance(r, SemanticMask)]
    if masks:
        pixels = Counter[int]()
        for mask in masks:
            ids, counts = np.unique(mask.class_ids, return_counts=True)
            pixels.update(dict(zip(ids.tolist(), counts.tolist(), strict=True)))
        common, count = pixels.most_common(1)[0]
        share = count / max(1, pixels.total())
        found = count_of(len(pixels), "class", "classes")
        return f"{found} on {images}, most of all {_name(common, labels)} ({share:.0%} of the pixels){none}"
    texts = [r for r in there if isinstance(r, Text)]
    if texts:
        return f"{_texts_in_words(texts)}{none}"
    vectors = [r.vector for r in there if isinstance(r, Embedding)]
    return f"{len(vectors)} embeddings of {len(vectors[0])} values{none}" if vectors else ""


def _texts_in_words(texts: Sequence[Text]) -> str:
    """'11 texts, 2 of them empty, 8.2 characters on average, median score 0.97, the first "Exit"'."""
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


def nothing_found(results: Sequence[Result]) -> Warning | None:
    """What is to be said of a detector without a box anywhere, or of texts without a character; None of all others."""
    texts = [r for r in results if isinstance(r, Text)]
    if texts and not any(len(t.code_points) for t in texts):
        said = f"not one character on any of {count_of(len(texts), 'image')}: is the preprocessing wrong, or the blank?"
        return Warning("nothing-found", said)
    boxes = [r for r in results if isinstance(r, Detections)]
    if not boxes or any(len(r) for r in boxes):
        return None
    images = count_of(len(boxes), "image")
    one = OVERLAPS[type(boxes[0])].objects[0]
    said = f"not one {one} on any of {images}: is postprocess.confidence too high, or the preprocessing wrong?"
    return Warning("nothing-found", said)


def unknown_classes(results: Sequence[Result], classes: int) -> Warning | None:
    """What is to be said of boxes and answers whose class id is none of 0 to classes - 1; None where there is none.

    They match nothing and no truth: a stage that counts from 1, or labels that are too few. Masks may hold an id for 'ignore'.
    """
    ids = [r.class_ids.ravel() for r in results if isinstance(r, Detections | Classification)]
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


def _name(class_id: int, labels: Sequence[str] | None) -> str:
    return labels[class_id] if labels and 0 <= class_id < len(labels) and labels[class_id] else f"class {class_id}"
