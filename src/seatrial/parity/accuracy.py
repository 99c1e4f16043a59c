"""Decoded results against ground truth, image by image. For: matching. Not for: the figure itself (evaluation.py), limits."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence

import numpy as np

from seatrial.errors import DataError
from seatrial.images.files import ImageFile
from seatrial.kernels.results import Classification, Detections, SemanticMask, Text, TextRegions
from seatrial.parity.classes import ClassMap
from seatrial.parity.coco import image_ids
from seatrial.parity.evaluation import Evaluation, MeanEvaluation, PixelEvaluation
from seatrial.parity.objects import evaluate_objects
from seatrial.parity.regions import evaluate_regions
from seatrial.parity.texts import evaluate_texts
from seatrial.parity.truth import Truth
from seatrial.pipeline.results import Result
from seatrial.pipeline.stored import kinds_of

# A class that no model has: what a pixel is of which a user's stage says nothing.
NOTHING = 65535


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
    if kind is SemanticMask and truth.coco:
        return _pixels(truth, images, results, class_map)
    return None


def _top1(truth: Truth, images: Sequence[ImageFile], results: Sequence[Result], class_map: ClassMap) -> list[bool]:
    assert truth.classes is not None
    right = []
    for image, result in zip(images, results, strict=True):
        assert result is None or isinstance(result, Classification)
        right.append(result is not None and int(result.class_ids[0]) == class_map.index[truth.classes[image.name]])
    return right


def _pixels(
    truth: Truth, images: Sequence[ImageFile], results: Sequence[Result], class_map: ClassMap
) -> PixelEvaluation:
    """Intersection and union of each class on each image.

    Unannotated pixels count as the model's background class where a label says that it has one, else they are not
    judged. Where annotations overlap, the later one in the file lies on top. An annotated category that is no class of the
    model counts as a class of its own of which nothing is found, as in mAP.
    """
    from pycocotools.coco import COCO

    coco = truth.coco
    assert coco is not None
    with contextlib.redirect_stdout(io.StringIO()):
        index = COCO()
        index.dataset = coco
        index.createIndex()
    missing = sorted({int(a["category_id"]) for a in coco["annotations"]} - set(class_map.ids))
    ids = (*class_map.ids, *missing)
    unannotated = -1 if class_map.background is None else class_map.background
    inter, union = np.zeros((len(images), len(ids))), np.zeros((len(images), len(ids)))
    for at, (image, image_id, result) in enumerate(zip(images, image_ids(coco, images), results, strict=True)):
        if result is None:
            row = coco["images"][image_id - 1]
            result = SemanticMask(np.full((int(row["height"]), int(row["width"])), NOTHING))
        assert isinstance(result, SemanticMask)
        height, width = result.class_ids.shape
        expected = np.full((height, width), unannotated, np.int64)
        for a in index.loadAnns(index.getAnnIds(imgIds=[image_id])):
            try:
                mask = index.annToMask(a).astype(bool)
            except Exception as e:  # pycocotools raises bare Exception, KeyError, IndexError or TypeError
                raise DataError(
                    f"{truth.path}: an annotation of {image.name} gives no mask ({type(e).__name__}: {e}); expected "
                    "polygons or RLE in 'segmentation', and the image's 'height' and 'width'"
                ) from None
            if mask.shape != expected.shape:
                raise DataError(
                    f"{truth.path}: {image.name} is annotated at {mask.shape[0]} × {mask.shape[1]} (height × width), but "
                    f"decodes to {height} × {width}; if EXIF turns it, set decode.exif: ignore"
                )
            if a["category_id"] in ids:
                expected[mask] = ids.index(a["category_id"])
        in_truth = expected >= 0
        for k in range(len(ids)):
            found, true = (result.class_ids == k) & in_truth, expected == k
            inter[at, k] = (found & true).sum()
            union[at, k] = (found | true).sum()
    return PixelEvaluation(tuple(-1 if i is None else i for i in ids), inter, union)
