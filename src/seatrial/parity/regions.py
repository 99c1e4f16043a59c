"""Regions of text against a truth, matched as ICDAR's contests do: precision, recall and their harmonic mean.

For: what is found on each image. Not for: reading a truth (text_truth.py), limits (gate).

A detection matches a region at an IoU above 0.5, one to one, in the truth's order and then the results'. Regions that are not
judged, and detections that lie in one of them by more than half of their own area, count for nothing (ICDAR 2015, Robust
Reading, task 4.1, whose published script PaddleOCR carries as DetectionIoUEvaluator).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.errors import DataError, count_of, short_list
from seatrial.images.files import ImageFile
from seatrial.kernels.polygons import polygon_areas, polygon_intersections, polygon_iou
from seatrial.kernels.results import TextRegions
from seatrial.parity.coco import image_ids
from seatrial.parity.evaluation import NOTHING_NOTED, Noted
from seatrial.parity.left_out import LeftOut, counted
from seatrial.parity.names import fold
from seatrial.parity.odd_results import bare_images
from seatrial.parity.odd_truth import in_fractions, unlike_sizes
from seatrial.parity.text_truth import NOT_JUDGED, Region, crossed_note, is_simple, region_of_points
from seatrial.parity.truth import Truth
from seatrial.pipeline.results import Result
from seatrial.warning import Warning

F64 = npt.NDArray[np.float64]
MATCH_IOU = 0.5
# A detection of which more lies in a region that is not judged is not judged either.
LEAST_INSIDE = 0.5


@dataclass(frozen=True)
class RegionEvaluation:
    """hmean: 2 · matched / (detections + regions), pooled over images. Arrays are (images,), of what is judged."""

    matched: F64
    detections: F64
    regions: F64
    metric: str = "hmean"
    noted: Noted = NOTHING_NOTED
    left_out: str = ""

    @property
    def images(self) -> int:
        return len(self.matched)

    @property
    def right(self) -> F64:
        """An image of nothing but misses is told from an empty one."""
        return self.matched + 1e-6 * self.regions

    @property
    def beside(self) -> str:
        matched, detections, regions = (float(v.sum()) for v in (self.matched, self.detections, self.regions))
        precision = f"{matched / detections:.3f}" if detections else "undefined"
        recall = f"{matched / regions:.3f}" if regions else "undefined"
        return ", ".join(filter(None, (f"precision {precision}, recall {recall}", self.left_out)))

    def weighted(self, weights: F64) -> F64:
        """NaN where no region is there to be found."""
        matched, detections, regions = (weights @ v for v in (self.matched, self.detections, self.regions))
        with np.errstate(invalid="ignore"):
            return np.asarray(np.where(regions > 0, 2 * matched / (detections + regions), np.nan))

    def with_copy(self, image: int, found: bool) -> RegionEvaluation:
        """Where not `found`, all that was detected is wrong."""
        return self._more(self.matched[image] if found else 0.0, self.detections[image], self.regions[image])

    def with_perfect(self, image: int) -> RegionEvaluation:
        return self._more(self.regions[image], self.regions[image], self.regions[image])

    def _more(self, matched: float, detections: float, regions: float) -> RegionEvaluation:
        return replace(
            self,
            matched=np.append(self.matched, matched),
            detections=np.append(self.detections, detections),
            regions=np.append(self.regions, regions),
        )

    def columns(self, names: Sequence[str]) -> dict[str, Any]:
        return {
            "image": list(names),
            "matched": self.matched,
            "detections": self.detections,
            "regions": self.regions,
        }


def regions_by_image(truth: Truth, images: Sequence[ImageFile]) -> list[tuple[Region, ...]]:
    """Of COCO's polygons, or boxes where there are none, or of a label file. DataError where an annotation is no region."""
    if truth.regions is not None:
        return [truth.regions[i.name] for i in images]
    assert truth.coco is not None
    by_id: dict[int, list[Region]] = {}
    for a in _of_text(truth):
        by_id.setdefault(a["image_id"], []).append(_region_of_coco(truth, a))
    return [tuple(by_id.get(i, ())) for i in image_ids(truth.coco, images)]


def _of_text(truth: Truth) -> list[dict[str, Any]]:
    """Annotations of the one category, or of that called text. DataError where nothing says which it is."""
    assert truth.coco is not None
    categories = truth.coco["categories"]
    text = [c["id"] for c in categories if len(categories) == 1 or fold(c["name"]) == "text"]
    if not text:
        names = short_list([c["name"] for c in categories])
        raise DataError(
            f"{truth.path}: expected one category of regions of text, or one called text, got {len(categories)} ({names})"
        )
    return [a for a in truth.coco["annotations"] if a["category_id"] in text]


def _region_of_coco(truth: Truth, a: dict[str, Any]) -> Region:
    assert truth.coco is not None
    parts = a.get("segmentation")
    if not parts and a.get("bbox"):
        x, y, width, height = a["bbox"]
        parts = [[x, y, x + width, y, x + width, y + height, x, y + height]]
    name = truth.coco["images"][a["image_id"] - 1]["file_name"]
    where = f"{truth.path}: an annotation of {name}"
    if not isinstance(parts, list) or len(parts) != 1 or not isinstance(parts[0], list) or len(parts[0]) % 2:
        raise DataError(
            f"{where}: expected one polygon [[x, y, x, y, …]] in 'segmentation', or a box, for each region of text"
        )
    points = [parts[0][k : k + 2] for k in range(0, len(parts[0]), 2)]
    return region_of_points(where, points, judged=not (a["iscrowd"] or a.get("ignore")))


def check_regions(truth: Truth, images: Sequence[ImageFile], sizes_hw: Sequence[tuple[int, int]]) -> list[Warning]:
    """DataError where the truth has no regions of text; gives warnings about what looks wrong. Runs no model."""
    if truth.regions is None and truth.coco is None:
        raise DataError(
            f"{truth.path}: a pipeline of task 'text', format 'db', is judged by regions: COCO JSON with a polygon each, or a "
            "label file whose lines are a name, a tab and a list of regions; give that, or leave images.annotations out"
        )
    regions = regions_by_image(truth, images)
    warnings: list[Warning] = []
    if truth.coco is not None:
        by_image = {i: image.name for i, image in zip(image_ids(truth.coco, images), images, strict=True)}
        said = [a for a in _of_text(truth) if not (a["iscrowd"] or a.get("ignore"))]
        others = len(truth.coco["annotations"]) - len(_of_text(truth))
        if others:
            what = f"{count_of(others, 'annotation')} of other categories than text are left out"
            warnings.append(Warning("lost-categories", what))
        crossed = [by_image[a["image_id"]] for a in said if not _region_of_coco(truth, a).judged]
        warnings += [*crossed_note(crossed), *unlike_sizes(truth.coco, images, sizes_hw)]
    every = [(r.points, hw) for own, hw in zip(regions, sizes_hw, strict=True) for r in own]
    outside = sum(bool((points > 1.1 * np.array(hw[::-1])).any() or (points < 0).any()) for points, hw in every)
    if 4 * outside > len(every):
        said_outside = f"{outside} of {count_of(len(every), 'region')} of text in the truth reach outside their image"
        warnings.append(Warning("outside-boxes", said_outside, "are these the files that were annotated?"))
    return warnings + _left_out(truth, regions).warnings() + in_fractions(every, "region")


def evaluate_regions(truth: Truth, images: Sequence[ImageFile], results: Sequence[Result]) -> RegionEvaluation:
    """results: regions, or None, for which nothing is found."""
    there = [r if isinstance(r, TextRegions) else None for r in results]
    by_image = regions_by_image(truth, images)
    rows = [_counts(regions, r) for regions, r in zip(by_image, there, strict=True)]
    matched, detections, regions = np.array(rows, np.float64).reshape(-1, 3).T
    noted = bare_images([bool(own) for own in by_image], detections, "text regions")
    return RegionEvaluation(matched, detections, regions, noted=noted, left_out=str(_left_out(truth, by_image)))


def _left_out(truth: Truth, by_image: Sequence[Sequence[Region]]) -> LeftOut:
    """By their annotator; those that cannot be judged are told by crossed_note."""
    why = "iscrowd or ignore" if truth.regions is None else " or ".join(NOT_JUDGED)
    regions = (r for own in by_image for r in own)
    return counted((why if not r.judged and is_simple(r.points) else "" for r in regions), "region")


def _counts(regions: Sequence[Region], result: TextRegions | None) -> tuple[int, int, int]:
    """Matched, detections and regions of one image, of what is judged."""
    true = [r.points for r in regions if r.judged]
    left_out = [r.points for r in regions if not r.judged]
    polygons = np.zeros((0, 4, 2)) if result is None else result.polygons.astype(np.float64)
    if left_out and len(polygons):
        own = polygon_areas(polygons)
        inside = polygon_intersections(same_length(left_out), polygons).max(axis=0)
        polygons = polygons[inside <= LEAST_INSIDE * own]
    if not true or not len(polygons):
        return 0, len(polygons), len(true)
    iou = polygon_iou(same_length(true), polygons)
    taken: set[int] = set()
    for row in iou:
        match = next((j for j in np.flatnonzero(row > MATCH_IOU).tolist() if j not in taken), None)
        if match is not None:
            taken.add(match)
    return len(taken), len(polygons), len(true)


def same_length(polygons: Sequence[F64]) -> F64:
    """(N, P, 2): the last point of shorter ones is repeated."""
    most = max(map(len, polygons))
    return np.stack([np.concatenate([p, np.repeat(p[-1:], most - len(p), axis=0)]) for p in polygons])
