"""Figures of single classes out of an evaluation, the worst first: AP, IoU, and the share of a class's images that are right.

For: a cell's record. Not for: verdicts; a class of a few objects has a figure of a few objects.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from seatrial.history.records import ClassFigure
from seatrial.images.files import ImageFile
from seatrial.parity.classes import ClassMap
from seatrial.parity.evaluation import BoxEvaluation, Evaluation, MeanEvaluation, PixelEvaluation, value_of
from seatrial.parity.truth import Truth


def by_class(
    evaluation: Evaluation,
    truth: Truth,
    images: Sequence[ImageFile],
    class_map: ClassMap | None,
    labels: Sequence[str] | None,
) -> list[ClassFigure]:
    """Of the classes that the figure is a mean over, the worst first; of equals those with most first. Empty where the
    evaluation does not tell classes apart, as of texts, values and sets of labels."""
    if isinstance(evaluation, BoxEvaluation) and truth.coco is not None:
        found = _of_objects(evaluation, {c["id"]: str(c["name"]) for c in truth.coco["categories"]})
    elif isinstance(evaluation, PixelEvaluation) and class_map is not None:
        found = _of_pixels(evaluation, _names(truth, evaluation.categories, len(class_map.ids), labels or ()))
    elif isinstance(evaluation, MeanEvaluation) and truth.classes is not None:
        found = _of_images(evaluation, [truth.classes[i.name] for i in images])
    else:
        found = []
    return sorted(found, key=lambda f: (f.value, -f.n))


def _of_objects(evaluation: BoxEvaluation, names: dict[int, str]) -> list[ClassFigure]:
    return [
        ClassFigure(name=names[c.category], value=value, n=int(c.objects.sum()))
        for c in evaluation.classes
        if (value := value_of(replace(evaluation, classes=(c,)))) is not None
    ]


def _of_pixels(evaluation: PixelEvaluation, names: Sequence[str]) -> list[ClassFigure]:
    inter, union = evaluation.intersection.sum(axis=0), evaluation.union.sum(axis=0)
    seen = (evaluation.union > 0).sum(axis=0)
    return [
        ClassFigure(name=names[k], value=float(inter[k] / union[k]), n=int(seen[k]))
        for k in np.flatnonzero(union).tolist()
    ]


def _names(truth: Truth, categories: Sequence[int], count: int, labels: Sequence[str]) -> list[str]:
    """Of the model's `count` classes its labels, of those that it does not have the truth's name."""
    called = {c["id"]: str(c["name"]) for c in truth.coco["categories"]} if truth.coco is not None else {}
    own = [labels[k] if k < len(labels) else f"class {k}" for k in range(count)]
    return [*own, *(called.get(c, f"number {c}") for c in categories[count:])]


def _of_images(evaluation: MeanEvaluation, classes: Sequence[str]) -> list[ClassFigure]:
    members: dict[str, list[int]] = {}
    for i, name in enumerate(classes):
        members.setdefault(name, []).append(i)
    return [
        ClassFigure(name=name, value=float(evaluation.values[own].mean()), n=len(own)) for name, own in members.items()
    ]
