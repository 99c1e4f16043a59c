"""Decoded results against ground truth, image by image: by which of the ways that go with their kind.

For: a choice, and top-1. Not for: the ways (objects.py, regions.py, texts.py, pixels.py, dense.py, label_sets.py),
figures (evaluation.py), limits.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from seatrial.images.files import ImageFile
from seatrial.kernels.results import Classification, DenseMap, Detections, Labels, SemanticMask, Text, TextRegions
from seatrial.parity.classes import ClassMap
from seatrial.parity.dense import evaluate_values
from seatrial.parity.evaluation import Evaluation, MeanEvaluation
from seatrial.parity.label_sets import evaluate_labels
from seatrial.parity.objects import evaluate_objects
from seatrial.parity.pixels import evaluate_pixels
from seatrial.parity.regions import evaluate_regions
from seatrial.parity.texts import evaluate_texts
from seatrial.parity.truth import Truth
from seatrial.pipeline.results import Result
from seatrial.pipeline.stored import kinds_of


def evaluate(
    truth: Truth, images: Sequence[ImageFile], results: Sequence[Result], class_map: ClassMap | None
) -> Evaluation | None:
    """What is right on each image, or None where truth and results don't go together or no class map says how."""
    if class_map is None:
        return None
    kinds = set(kinds_of(results)) - {None}
    kind = kinds.pop() if len(kinds) == 1 else None
    if kind is None:
        return None
    if kind is TextRegions:
        return evaluate_regions(truth, images, results) if truth.coco or truth.regions is not None else None
    if kind is Text:
        return None if truth.texts is None else evaluate_texts(truth.texts, images, results)
    if issubclass(kind, Detections) and truth.coco:
        return evaluate_objects(truth, images, results, class_map)
    if kind is Classification and truth.classes:
        return MeanEvaluation("top-1", np.array(_top1(truth, images, results, class_map), np.float64))
    if kind is Labels and truth.label_sets:
        return evaluate_labels(truth, images, results, class_map)
    if kind is SemanticMask and (truth.coco or truth.masks):
        return evaluate_pixels(truth, images, results, class_map)
    if kind is DenseMap and truth.maps:
        return evaluate_values(truth, images, results)
    return None


def _top1(truth: Truth, images: Sequence[ImageFile], results: Sequence[Result], class_map: ClassMap) -> list[bool]:
    assert truth.classes is not None
    right = []
    for image, result in zip(images, results, strict=True):
        assert result is None or isinstance(result, Classification)
        right.append(result is not None and int(result.class_ids[0]) == class_map.index[truth.classes[image.name]])
    return right
