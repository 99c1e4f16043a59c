"""Decoded results against ground truth: COCO mAP, top-1, mIoU. For: one number a cell. Not for: limits (gate)."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from seatrial.errors import DataError
from seatrial.kernels.postprocess import Classification, Detections, SemanticMask
from seatrial.parity.truth import BACKGROUND, NO_CATEGORY, Truth, category_ids, image_ids
from seatrial.pipeline.images import ImageFile
from seatrial.pipeline.results import Result


def accuracy(
    truth: Truth, images: Sequence[ImageFile], results: Sequence[Result], labels: Sequence[str] | None
) -> tuple[float, str] | None:
    """(value from 0 to 1, its name), or None where truth and results don't go together."""
    first = next((r for r in results if r is not None), None)
    if any(type(r) is not type(first) for r in results):
        return None
    if isinstance(first, Detections) and truth.coco:
        without = sum("bbox" not in a for a in truth.coco["annotations"])
        if without:
            raise DataError(f"{truth.path}: {without} annotation(s) have no bbox, which detection is judged by")
        return mean_average_precision(truth.coco, images, results, labels), "mAP"
    if isinstance(first, Classification) and truth.classes:
        return _top1(truth, images, results, labels), "top-1"
    if isinstance(first, SemanticMask) and truth.coco:
        return _mean_iou(truth, images, results, labels), "mIoU"
    return None


def mean_average_precision(
    coco: dict[str, Any], images: Sequence[ImageFile], results: Sequence[Result], labels: Sequence[str] | None
) -> float:
    """COCO mAP at IoU 0.50 to 0.95, by pycocotools itself."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    ids = category_ids(coco, labels)
    found = []
    for image_id, result in zip(image_ids(coco, images), results, strict=True):
        assert isinstance(result, Detections)
        for box, score, class_id in zip(
            result.boxes_xyxy.tolist(), result.scores.tolist(), result.class_ids.tolist(), strict=True
        ):
            if 0 <= class_id < len(ids) and ids[class_id] != NO_CATEGORY:
                bbox = [box[0], box[1], box[2] - box[0], box[3] - box[1]]
                found.append({"image_id": image_id, "category_id": ids[class_id], "bbox": bbox, "score": score})
    if not found:
        return 0.0
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = coco
        truth.createIndex()
        judge = COCOeval(truth, truth.loadRes(found), "bbox")
        judge.params.imgIds = sorted(set(image_ids(coco, images)))
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return max(0.0, float(judge.stats[0]))


def _top1(truth: Truth, images: Sequence[ImageFile], results: Sequence[Result], labels: Sequence[str] | None) -> float:
    assert truth.classes is not None
    right = 0
    for image, result in zip(images, results, strict=True):
        assert isinstance(result, Classification)
        best, expected = int(result.class_ids[0]), truth.classes[image.name]
        # A CSV may name classes by label or by index; a label that is a number ('90') is a label.
        if labels and expected in labels:
            right += best < len(labels) and labels[best] == expected
        else:
            right += str(best) == expected
    return right / len(images)


def _mean_iou(
    truth: Truth, images: Sequence[ImageFile], results: Sequence[Result], labels: Sequence[str] | None
) -> float:
    """Mean over classes of intersection over union, pixels pooled over images.

    Unannotated pixels count as the model's background class where a label says that it has one, else they are not
    judged. Where annotations overlap, the later one in the file lies on top.
    """
    from pycocotools.coco import COCO

    coco = truth.coco
    assert coco is not None
    with contextlib.redirect_stdout(io.StringIO()):
        index = COCO()
        index.dataset = coco
        index.createIndex()
    ids = category_ids(coco, labels)
    unannotated = next((k for k, name in enumerate(labels or []) if name.lower() in BACKGROUND), -1)
    inter, union = np.zeros(len(ids), np.int64), np.zeros(len(ids), np.int64)
    for image, image_id, result in zip(images, image_ids(coco, images), results, strict=True):
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
        judged = expected >= 0
        for k in range(len(ids)):
            found, true = (result.class_ids == k) & judged, expected == k
            inter[k] += int((found & true).sum())
            union[k] += int((found | true).sum())
    seen = union > 0
    return float((inter[seen] / union[seen]).mean()) if seen.any() else 0.0
