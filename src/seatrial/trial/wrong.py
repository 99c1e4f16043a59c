"""How much is wrong on each image against the truth, by the evaluation that exists, and that in words.

For: which images a report shows. Not for: figures of a metric, which pools images (parity/evaluation.py has those).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from seatrial.errors import count_of
from seatrial.parity.dense import ErrorEvaluation
from seatrial.parity.evaluation import IOU_THRESHOLDS, BoxEvaluation, Evaluation, MeanEvaluation, PixelEvaluation
from seatrial.parity.label_sets import LabelEvaluation
from seatrial.parity.regions import RegionEvaluation
from seatrial.parity.texts import WordEvaluation
from seatrial.units import format_value

F64 = npt.NDArray[np.float64]
# Of COCO's thresholds, those that are said: 0.5 and 0.75.
_AT = (0, 5)


@dataclass(frozen=True)
class Wrong:
    """by_image (images,): 0 where nothing is wrong or judged, the more the worse. said: of an image, by its index."""

    by_image: F64
    said: Callable[[int], str]


def wrong(evaluation: Evaluation) -> Wrong:
    """Objects, regions, labels and characters are counted, as their metrics pool them; of pixels it is what the image's own
    mIoU lacks of 1, of values the image's own error."""
    e = evaluation
    if isinstance(e, BoxEvaluation):
        return _objects(e)
    if isinstance(e, RegionEvaluation):
        return Wrong(
            e.detections + e.regions - 2 * e.matched,
            lambda i: (
                f"{e.matched[i]:.0f} of {count_of(int(e.regions[i]), 'region')} found, "
                f"{e.detections[i] - e.matched[i]:.0f} false"
            ),
        )
    if isinstance(e, LabelEvaluation):
        return Wrong(
            e.told + e.true - 2 * e.found,
            lambda i: (
                f"{e.found[i]:.0f} of {count_of(int(e.true[i]), 'label')} found, {e.told[i] - e.found[i]:.0f} false"
            ),
        )
    if isinstance(e, PixelEvaluation):
        return _pixels(e)
    if isinstance(e, ErrorEvaluation):
        unit = "fraction" if e.metric == "AbsRel" else ""
        # No error is none to the last digit.
        return Wrong(
            np.nan_to_num(e.values).round(4), lambda i: f"{e.metric} {format_value(float(e.values[i]), unit)} here"
        )
    if isinstance(e, WordEvaluation):
        edits = np.where(e.values > 0, 0.0, np.maximum(e.edits, 1.0))
        return Wrong(edits, lambda i: f"{count_of(int(e.edits[i]), 'edit')} away")
    if isinstance(e, MeanEvaluation):
        return Wrong(1 - e.values, lambda _: "")
    raise TypeError(f"expected one of seatrial's evaluations, got {type(e).__name__}")


def _objects(e: BoxEvaluation) -> Wrong:
    """Missed objects, and false ones by their scores, both as a mean over COCO's thresholds: of a low confidence, as mAP is
    measured at, false objects are many, and hardly count."""
    count = len(IOU_THRESHOLDS)
    objects, found, false = (np.zeros(e.images) for _ in range(3))
    hits, misses = np.zeros((len(_AT), e.images)), np.zeros((len(_AT), e.images))
    for c in e.classes:
        right, neither = c.matched & ~c.ignored, ~(c.matched | c.ignored) & np.uint32((1 << count) - 1)
        objects += c.objects
        found += np.bincount(c.image, np.bitwise_count(right) / count, minlength=e.images)
        mass = np.bitwise_count(neither) / count * c.score.clip(0, 1)
        false += np.bincount(c.image, mass, minlength=e.images)
        for row, bit in enumerate(_AT):
            hits[row] += np.bincount(c.image, right >> bit & 1, minlength=e.images)
            misses[row] += np.bincount(c.image, neither >> bit & 1, minlength=e.images)
    overlap = "OKS" if e.metric.startswith("keypoint") else "IoU"

    def said(i: int) -> str:
        at = [f"{overlap} {IOU_THRESHOLDS[bit]:g}" for bit in _AT]
        first = f"{hits[0, i]:.0f} of {count_of(int(objects[i]), 'object')} found at {at[0]}, {misses[0, i]:.0f} false"
        return f"{first}; {hits[1, i]:.0f} at {at[1]}" if hits[1, i] < hits[0, i] else first

    # Sums of shares are off by a rounding where nothing is wrong.
    return Wrong(np.round(objects - found + false, 9), said)


def _pixels(e: PixelEvaluation) -> Wrong:
    there = e.union > 0
    iou = np.divide(e.intersection, e.union, out=np.ones_like(e.union), where=there)
    own = np.where(there, iou, 0).sum(axis=1) / np.maximum(there.sum(axis=1), 1)
    judged = there.any(axis=1)
    return Wrong(np.where(judged, 1 - own, 0.0), lambda i: f"mIoU {format_value(float(own[i]), 'fraction')} here")
