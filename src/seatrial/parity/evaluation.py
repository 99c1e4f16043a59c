"""What is right and wrong on each image, kept so that a figure can be made of any of them, in any number.

For: mAP, top-1 and mIoU of weighted images, as the bootstrap draws them. Not for: how results are matched with the truth
(accuracy.py), how sure a figure is (stats/resample.py), limits (gate).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from seatrial._native.statistics import average_precision
from seatrial.errors import count_of

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
U32 = npt.NDArray[np.uint32]

# COCO's: mAP is a mean over these, and over as many levels of recall.
IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALL_LEVELS = np.linspace(0.0, 1.0, 101)


class Evaluation(Protocol):
    """One cell's results against the truth."""

    @property
    def metric(self) -> str:
        """mAP, top-1, mIoU, hmean or word accuracy."""

    @property
    def images(self) -> int: ...

    @property
    def right(self) -> F64:
        """(images,): how much is right on each; what a lost image would lose."""

    def weighted(self, weights: F64) -> F64:
        """weights (samples, images), how often each image counts, to (samples,); NaN where nothing is there to be found."""

    def with_copy(self, image: int, found: bool) -> Evaluation:
        """One image more, a copy of another; where not `found`, nothing on it is right."""

    def with_perfect(self, image: int) -> Evaluation:
        """One image more, with the objects of another, on which all is right."""

    def columns(self, names: Sequence[str]) -> dict[str, Any]:
        """As rows of evaluations.parquet: what the figure is made of, by image."""


def said_beside(evaluation: Evaluation | None) -> str:
    """What the same matches say beside the figure, such as precision and recall, and what is not judged; '' where that is
    nothing."""
    left_out = not_judged(evaluation) if evaluation is not None else ""
    return ", ".join(filter(None, (str(getattr(evaluation, "beside", "")), left_out)))


def judged_images(evaluation: Evaluation) -> int:
    """On how many images the truth judges anything: so many is the figure of."""
    return int(getattr(evaluation, "judged", evaluation.images))


def not_judged(evaluation: Evaluation) -> str:
    """'2 of 12 images not judged', or '' where all are."""
    judged = judged_images(evaluation)
    return f"{evaluation.images - judged} of {count_of(evaluation.images, 'image')} not judged" * (
        judged < evaluation.images
    )


def value_of(evaluation: Evaluation, chosen: Sequence[int] | None = None) -> float | None:
    """The figure, of all images or of those chosen; None where it is undefined: nothing is there to be found."""
    weights = np.ones((1, evaluation.images)) if chosen is None else np.zeros((1, evaluation.images))
    if chosen is not None:
        weights[0, list(chosen)] = 1
    value = float(evaluation.weighted(weights)[0])
    return None if np.isnan(value) else value


@dataclass(frozen=True)
class MeanEvaluation:
    """The mean of one value an image, 0 to 1: top-1."""

    metric: str
    values: F64

    @property
    def images(self) -> int:
        return len(self.values)

    @property
    def right(self) -> F64:
        return self.values

    def weighted(self, weights: F64) -> F64:
        drawn = weights.sum(axis=1)
        with np.errstate(invalid="ignore"):
            return np.asarray(np.where(drawn > 0, weights @ self.values / drawn, np.nan))

    def with_copy(self, image: int, found: bool) -> MeanEvaluation:
        return replace(self, values=np.append(self.values, self.values[image] if found else 0.0))

    def with_perfect(self, image: int) -> MeanEvaluation:  # noqa: ARG002 (an image has one value, whichever it is)
        return replace(self, values=np.append(self.values, 1.0))

    def columns(self, names: Sequence[str]) -> dict[str, Any]:
        return {"image": list(names), "value": self.values}


@dataclass(frozen=True)
class ClassMatches:
    """One category's detections, best score first; image: whose they are; bit t of matched and ignored: at threshold t.

    objects (images,): how many there are to be found.
    """

    category: int
    image: npt.NDArray[np.int32]
    score: F64
    matched: U32
    ignored: U32
    objects: F64

    def with_copy(self, image: int, found: bool) -> ClassMatches:
        new, objects = len(self.objects), np.append(self.objects, self.objects[image])
        again = np.flatnonzero(self.image == image) if found else np.empty(0, np.int64)
        # Behind the image's own, so that scores stay in order.
        own = np.insert(np.arange(len(self.image)), again + 1, again)
        images = np.insert(self.image, again + 1, new)
        return ClassMatches(
            self.category, images.astype(np.int32), self.score[own], self.matched[own], self.ignored[own], objects
        )

    def with_perfect(self, image: int) -> ClassMatches:
        count, objects = int(self.objects[image]), np.append(self.objects, self.objects[image])
        # Before all others, so that scores stay in order.
        first = np.full(count, self.score[0] if len(self.score) else 1.0)
        return ClassMatches(
            self.category,
            np.concatenate([np.full(count, len(self.objects), np.int32), self.image]),
            np.concatenate([first, self.score]),
            np.concatenate([np.full(count, (1 << len(IOU_THRESHOLDS)) - 1, np.uint32), self.matched]),
            np.concatenate([np.zeros(count, np.uint32), self.ignored]),
            objects,
        )


@dataclass(frozen=True)
class BoxEvaluation:
    """COCO's mAP. A category without an object on the images that are drawn has no part in the mean, as in pycocotools."""

    classes: tuple[ClassMatches, ...]
    images: int
    metric: str = "mAP"
    beside: str = ""

    @property
    def right(self) -> F64:
        """Objects found, counted at each threshold; an image of nothing but misses is told from an empty one."""
        total = np.zeros(self.images)
        for c in self.classes:
            hits = np.bitwise_count(c.matched & ~c.ignored).astype(np.float64)
            total += np.bincount(c.image, hits, minlength=self.images) + 1e-6 * c.objects
        return total

    def weighted(self, weights: F64) -> F64:
        weights = np.ascontiguousarray(weights, np.float64)
        with_objects = [c for c in self.classes if c.objects.any()]
        if not with_objects:
            return np.full(len(weights), np.nan)
        by_class = np.stack(
            [
                average_precision(
                    c.image, c.matched, c.ignored, weights @ c.objects, weights, len(IOU_THRESHOLDS), RECALL_LEVELS
                ).mean(axis=1)
                for c in with_objects
            ]
        )
        there = ~np.isnan(by_class)
        with np.errstate(invalid="ignore"):
            return np.asarray(np.where(there, by_class, 0).sum(axis=0) / there.sum(axis=0))

    def with_copy(self, image: int, found: bool) -> BoxEvaluation:
        return replace(self, classes=tuple(c.with_copy(image, found) for c in self.classes), images=self.images + 1)

    def with_perfect(self, image: int) -> BoxEvaluation:
        return replace(self, classes=tuple(c.with_perfect(image) for c in self.classes), images=self.images + 1)

    def columns(self, names: Sequence[str]) -> dict[str, Any]:
        """A row a detection, then a row an image and category that has objects."""
        rows: dict[str, list[Any]] = {k: [] for k in ("image", "category", "score", "matched", "ignored", "objects")}
        for c in self.classes:
            there = np.flatnonzero(c.objects)
            rows["image"] += [names[i] for i in (*c.image.tolist(), *there.tolist())]
            rows["category"] += [c.category] * (len(c.image) + len(there))
            rows["score"] += [*c.score.tolist(), *[None] * len(there)]
            rows["matched"] += [*c.matched.tolist(), *[None] * len(there)]
            rows["ignored"] += [*c.ignored.tolist(), *[None] * len(there)]
            rows["objects"] += [*[None] * len(c.image), *c.objects[there].tolist()]
        return rows


@dataclass(frozen=True)
class PixelEvaluation:
    """mIoU: per class, pixels pooled over images; classes that neither side has are left out. Arrays are (images, classes)."""

    categories: tuple[int, ...]
    intersection: F64
    union: F64
    metric: str = "mIoU"

    @property
    def images(self) -> int:
        return len(self.union)

    @property
    def judged(self) -> int:
        """Images with a pixel that the truth judges."""
        return int(self.union.any(axis=1).sum())

    @property
    def right(self) -> F64:
        return np.asarray(self.intersection.sum(axis=1))

    def weighted(self, weights: F64) -> F64:
        inter, union = weights @ self.intersection, weights @ self.union
        there = union > 0
        with np.errstate(invalid="ignore"):
            iou = np.where(there, inter / union, 0.0)
            return np.asarray(iou.sum(axis=1) / np.where(there.any(axis=1), there.sum(axis=1), np.nan))

    def with_copy(self, image: int, found: bool) -> PixelEvaluation:
        inter = self.intersection[image] if found else np.zeros(len(self.categories))
        return replace(
            self, intersection=np.vstack([self.intersection, inter]), union=np.vstack([self.union, self.union[image]])
        )

    def with_perfect(self, image: int) -> PixelEvaluation:
        whole = self.union[image]
        return replace(self, intersection=np.vstack([self.intersection, whole]), union=np.vstack([self.union, whole]))

    def columns(self, names: Sequence[str]) -> dict[str, Any]:
        i, k = np.nonzero(self.union)
        return {
            "image": [names[n] for n in i.tolist()],
            "category": [self.categories[n] for n in k.tolist()],
            "intersection": self.intersection[i, k],
            "union": self.union[i, k],
        }
