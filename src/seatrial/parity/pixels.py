"""A semantic segmentation against its truth, COCO masks or label images: intersection and union of each class on each image.

For: counts of pixels. Not for: the figure itself (evaluation.py), instances (objects.py).
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.errors import DataError
from seatrial.images.files import ImageFile
from seatrial.kernels.results import SemanticMask
from seatrial.parity.classes import ClassMap
from seatrial.parity.coco import image_ids
from seatrial.parity.coco_masks import check_masks
from seatrial.parity.evaluation import PixelEvaluation
from seatrial.parity.label_images import NOT_JUDGED, label_image
from seatrial.parity.odd_results import judged_pixels
from seatrial.parity.truth import Truth
from seatrial.pipeline.results import Result

I32 = npt.NDArray[np.int32]
# (image's index, its size or None where there is no result) -> (H, W): the class, -1 where nothing is judged.
Expected = Callable[[int, tuple[int, int] | None], I32]
# Pixels that are counted at a time.
_MANY = 1 << 16


def evaluate_pixels(
    truth: Truth, images: Sequence[ImageFile], results: Sequence[Result], class_map: ClassMap
) -> PixelEvaluation:
    """Of pixels that the truth judges; an image without a result has nothing right.

    A category or number that is no class of the model counts as a class of its own of which nothing is found, as in mAP.
    """
    ids, expected_of = expected_pixels(truth, images, class_map)
    own = len(class_map.ids)
    inter, union = np.zeros((len(images), len(ids))), np.zeros((len(images), len(ids)))
    judged = total = 0
    for at, result in enumerate(results):
        mask = result.class_ids if isinstance(result, SemanticMask) else None
        expected = expected_of(at, None if mask is None else (mask.shape[0], mask.shape[1]))
        judged, total = judged + int((expected >= 0).sum()), total + expected.size
        found = np.full(expected.shape, own, np.int32) if mask is None else mask
        inter[at], union[at] = _counts(expected.ravel(), found.reshape(-1), len(ids), own)
    noted = judged_pixels(judged, total)
    return PixelEvaluation(tuple(-1 if i is None else i for i in ids), inter, union, noted=noted)


def expected_pixels(
    truth: Truth, images: Sequence[ImageFile], class_map: ClassMap
) -> tuple[tuple[int | None, ...], Expected]:
    """What the truth calls each class, the model's first and then those that it does not have, and the class of each pixel."""
    return (_coco if truth.coco is not None else _label_images)(truth, images, class_map)


def _counts(
    expected: I32, found: npt.NDArray[Any], count: int, own: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Intersection and union by class. found: ids; one that is none of the model's `own` classes is no class."""
    pairs = np.zeros((count, count + 1), np.int64)
    for begin in range(0, len(expected), _MANY):
        true, ids = expected[begin : begin + _MANY], found[begin : begin + _MANY]
        judged = true >= 0
        ids = ids[judged].astype(np.int64)
        ids[(ids < 0) | (ids >= own)] = count
        both = true[judged].astype(np.int64) * (count + 1) + ids
        pairs += np.bincount(both, minlength=pairs.size).reshape(pairs.shape)
    inter = pairs[:, :count].diagonal()
    return inter, pairs.sum(axis=1) + pairs[:, :count].sum(axis=0) - inter


def _label_images(
    truth: Truth, images: Sequence[ImageFile], class_map: ClassMap
) -> tuple[tuple[int | None, ...], Expected]:
    masks = truth.masks
    assert masks is not None
    missing = [v for v in masks.judged if v not in class_map.ids]
    ids = (*class_map.ids, *missing)
    index = np.full(256, -1, np.int32)
    # Of 0 alone, the background, a model is right that never finds anything.
    for k, value in enumerate(ids if masks.judged != [0] else ()):
        # 255 stands for what is not judged, and greater numbers are in no such file.
        if value is not None and value < NOT_JUDGED:
            index[value] = k
    index[list(masks.not_judged)] = -1

    def expected(at: int, hw: tuple[int, int] | None) -> I32:
        file = masks.files[images[at].name]
        label = label_image(file)
        if hw is not None and label.shape != hw:
            raise _unlike(f"{file}: {images[at].name} is annotated", (label.shape[0], label.shape[1]), hw)
        return index[label]

    return ids, expected


def _coco(truth: Truth, images: Sequence[ImageFile], class_map: ClassMap) -> tuple[tuple[int | None, ...], Expected]:
    """Unannotated pixels count as the model's background class where a label says that it has one, else they are not judged.
    Where annotations overlap, the later one in the file lies on top."""
    from pycocotools.coco import COCO

    coco = truth.coco
    assert coco is not None
    check_masks(truth.path, coco, {})
    with contextlib.redirect_stdout(io.StringIO()):
        index = COCO()
        index.dataset = coco
        index.createIndex()
    missing = sorted({int(a["category_id"]) for a in coco["annotations"]} - set(class_map.ids))
    ids = (*class_map.ids, *missing)
    # In a file without a single annotation nobody has called anything the background.
    unannotated = -1 if class_map.background is None or not coco["annotations"] else class_map.background
    own_ids = image_ids(coco, images)

    def expected(at: int, hw: tuple[int, int] | None) -> I32:
        row = coco["images"][own_ids[at] - 1]
        found = np.full(hw or (int(row["height"]), int(row["width"])), unannotated, np.int32)
        for a in index.loadAnns(index.getAnnIds(imgIds=[own_ids[at]])):
            try:
                mask = index.annToMask(a).astype(bool)
            except Exception as e:  # pycocotools raises bare Exception, KeyError, IndexError or TypeError
                raise DataError(
                    f"{truth.path}: an annotation of {images[at].name} gives no mask ({type(e).__name__}: {e}); expected "
                    "polygons or RLE in 'segmentation', and the image's 'height' and 'width'"
                ) from None
            if mask.shape != found.shape:
                raise _unlike(f"{truth.path}: {images[at].name} is annotated", mask.shape, found.shape)
            found[mask] = ids.index(a["category_id"])
        return found

    return ids, expected


def _unlike(what: str, own: tuple[int, ...], decoded: tuple[int, ...]) -> DataError:
    return DataError(
        f"{what} at {own[0]} × {own[1]} (height × width), but decodes to {decoded[0]} × {decoded[1]}; if EXIF turns it, set "
        "decode.exif: ignore"
    )
