"""Boxes, masks, poses and oriented boxes against COCO truth, matched by pycocotools itself at COCO's thresholds.

For: what is found of each category on each image. Not for: the figure itself (evaluation.py), other results (accuracy.py).
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from seatrial.errors import DataError, count_of
from seatrial.images.files import ImageFile
from seatrial.kernels.masks import coco_rle
from seatrial.kernels.results import Detections, Instances, OrientedBoxes, Poses
from seatrial.parity.classes import ClassMap
from seatrial.parity.coco import LARGEST_AREA, LEAST_AREA, image_ids
from seatrial.parity.coco_limit import within_limit
from seatrial.parity.coco_masks import check_masks
from seatrial.parity.evaluation import IOU_THRESHOLDS, RECALL_LEVELS, BoxEvaluation, ClassMatches
from seatrial.parity.left_out import left_out, why_not_judged
from seatrial.parity.odd_results import bare_images
from seatrial.parity.oriented import NEEDED, annotated_corners, oriented_overlaps
from seatrial.parity.overlaps import FILLED, OVERLAPS
from seatrial.parity.truth import Truth
from seatrial.pipeline.results import Result
from seatrial.pipeline.stored import kinds_of

ANY_AREA = [LEAST_AREA, LARGEST_AREA]


@dataclass(frozen=True)
class Judging:
    """How pycocotools judges one kind of results. by: its `iouType`; needs: what each annotation must have, and `has` tells;
    most: COCO's limit of detections of a class on an image, or None; entry: of one result and the index of an object in it,
    what its row holds beside class and score. overlaps: (found, annotations), of rows as pycocotools keeps them, in place of
    its own."""

    metric: str
    by: str
    needs: str
    most: int | None
    entry: Callable[[Any, int], dict[str, Any]]
    has: Callable[[dict[str, Any]], bool]
    overlaps: Callable[[list[dict[str, Any]], list[dict[str, Any]]], Any] | None = None


def _box(result: Detections, k: int) -> dict[str, Any]:
    x0, y0, x1, y1 = result.boxes_xyxy[k].tolist()
    return {"bbox": [x0, y0, x1 - x0, y1 - y0]}


def _mask(result: Instances, k: int) -> dict[str, Any]:
    hw = int(result.source_hw[0]), int(result.source_hw[1])
    return {"segmentation": coco_rle(result.runs_of(k), hw)}


def _points(result: Poses, k: int) -> dict[str, Any]:
    return {"keypoints": result.keypoints[k].ravel().tolist()}


def _corners(result: OrientedBoxes, k: int) -> dict[str, Any]:
    return _box(result, k) | {"corners": result.corners_xy[k].tolist()}


JUDGING: dict[type, Judging] = {
    Detections: Judging("mAP", "bbox", "'bbox'", 100, _box, lambda a: len(a.get("bbox", ())) == 4),
    Instances: Judging("mask mAP", "segm", "'segmentation'", 100, _mask, lambda a: "segmentation" in a),
    Poses: Judging("keypoint mAP", "keypoints", "'keypoints'", 20, _points, lambda a: "keypoints" in a),
    # DOTA's evaluation knows no limit, and aerial pictures hold hundreds of one class.
    OrientedBoxes: Judging(
        "oriented mAP",
        "bbox",
        NEEDED,
        None,
        _corners,
        lambda a: annotated_corners(a) is not None,
        oriented_overlaps,
    ),
}


def evaluate_objects(
    truth: Truth, images: Sequence[ImageFile], results: Sequence[Result], class_map: ClassMap
) -> BoxEvaluation:
    """results: all of one kind, or None, for which nothing is found. DataError where the truth cannot judge that kind."""
    coco = truth.coco
    assert coco is not None
    kind = next(k for k in kinds_of(results) if k is not None)
    how = JUDGING[kind]
    without = sum(not how.has(a) for a in coco["annotations"])
    if without:
        raise DataError(
            f"{truth.path}: {count_of(without, 'annotation')} without {how.needs}, which {how.metric} is judged by"
        )
    own_ids = image_ids(coco, images)
    sigmas = _sigmas(results, truth)
    filled, found, limit = _filled(truth, own_ids, results), _found(own_ids, results, class_map, how), ""
    of_poses = sigmas is not None
    if how.most is not None:
        objects = [a for a in filled["annotations"] if not why_not_judged(a, of_poses)]
        found, limit = within_limit(found, objects, how.most)
    # Counted before pycocotools writes into the rows.
    said = _sigmas_said(sigmas), limit, str(left_out(filled["annotations"], of_poses))
    judge = _judge(filled, how, found, sigmas)
    judge.params.imgIds = sorted(set(own_ids))
    judge.params.iouThrs, judge.params.recThrs = IOU_THRESHOLDS, RECALL_LEVELS
    judge.params.areaRng, judge.params.areaRngLbl = [ANY_AREA], ["all"]
    judge.params.maxDets = [max(1, len(found))]
    with contextlib.redirect_stdout(io.StringIO()):
        judge.evaluate()
    place = {image_id: i for i, image_id in enumerate(own_ids)}
    by_category: dict[int, list[dict[str, Any]]] = {int(c): [] for c in judge.params.catIds}
    for matched in judge.evalImgs:
        if matched is not None:
            by_category[int(matched["category_id"])].append(matched)
    matches = tuple(_class_matches(c, rows, place) for c, rows in by_category.items())
    annotated = {a["image_id"] for a in coco["annotations"]}
    sure = np.array([r.scores.sum() if isinstance(r, Detections) else 0.0 for r in results], np.float64)
    noted = bare_images([i in annotated for i in own_ids], sure, OVERLAPS[kind].objects[1])
    return BoxEvaluation(matches, len(images), how.metric, beside=", ".join(filter(None, said)), noted=noted)


def _found(
    own_ids: Sequence[int], results: Sequence[Result], class_map: ClassMap, how: Judging
) -> list[dict[str, Any]]:
    """Rows as pycocotools loads them. An object of a class that the truth does not have is none."""
    ids = class_map.ids
    found = []
    for image_id, result in zip(own_ids, results, strict=True):
        if not isinstance(result, Detections):  # a user's stage had none for this image: nothing is found
            continue
        rows = zip(result.scores.tolist(), result.class_ids.tolist(), strict=True)
        for k, (score, class_id) in enumerate(rows):
            if 0 <= class_id < len(ids) and ids[class_id] is not None:
                row = {"image_id": image_id, "category_id": ids[class_id], "score": score}
                found.append(row | how.entry(result, k))
    return found


def _filled(truth: Truth, own_ids: Sequence[int], results: Sequence[Result]) -> dict[str, Any]:
    """The truth with all that pycocotools reads of it, and writes into it: copies of its rows, sizes and counts filled in.

    DataError where masks were annotated at another size than the results have.
    """
    coco = truth.coco
    assert coco is not None
    sizes = {i: r.source_hw.tolist() for i, r in zip(own_ids, results, strict=True) if isinstance(r, Instances)}
    rows = []
    for row in coco["images"]:
        size = sizes.get(row["id"], [row.get("height") or 1, row.get("width") or 1])
        own = [row.get("height") or size[0], row.get("width") or size[1]]
        if own != size:
            raise DataError(
                f"{truth.path}: {row['file_name']} is annotated at {own[0]} × {own[1]} (height × width), but decodes to "
                f"{size[0]} × {size[1]}; if EXIF turns it, set decode.exif: ignore"
            )
        rows.append(row | {"height": own[0], "width": own[1]})
    if sizes:
        # Once more where no plan says the task: of a user's own stage nobody asked before.
        check_masks(truth.path, coco | {"images": rows}, {})
    return coco | {"images": rows, "annotations": [with_keypoints_counted(a) for a in coco["annotations"]]}


def with_keypoints_counted(a: dict[str, Any]) -> dict[str, Any]:
    """A copy. What has no visible keypoint is not there to be found, whatever its num_keypoints says; such an object's box says
    where it is all the same."""
    points = a.get("keypoints")
    if not points:
        return dict(a)
    marked = [(x, y) for x, y, v in zip(points[::3], points[1::3], points[2::3], strict=True) if v > 0]
    x, y = ([p[k] for p in marked or [(0.0, 0.0)]] for k in range(2))
    box = [min(x), min(y), max(x) - min(x), max(y) - min(y)]
    area = a["area"] or FILLED * box[2] * box[3]
    return {"bbox": box, **a, "num_keypoints": len(marked), "area": area}


def _sigmas(results: Sequence[Result], truth: Truth) -> list[float] | None:
    """Of poses, one a keypoint. DataError where the truth has another number of keypoints."""
    if Poses not in kinds_of(results):
        return None
    sigmas: list[float] = next(r for r in results if isinstance(r, Poses)).sigmas.tolist()
    assert truth.coco is not None
    for a in truth.coco["annotations"]:
        if len(a["keypoints"]) != 3 * len(sigmas):
            raise DataError(
                f"{truth.path}: expected 3 numbers for each of the pipeline's {len(sigmas)} keypoints, got an annotation with "
                f"{len(a['keypoints'])} numbers; is postprocess.keypoints right?"
            )
    return sigmas


def _sigmas_said(sigmas: list[float] | None) -> str:
    """'OKS sigma 0.067', or '' of what has none."""
    if sigmas is None:
        return ""
    low, high = min(sigmas), max(sigmas)
    return f"OKS sigma {low:.3g}" + (f" to {high:.3g}" if high > low else "")


def _judge(coco: dict[str, Any], how: Judging, found: list[dict[str, Any]], sigmas: list[float] | None) -> Any:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        truth, theirs = COCO(), COCO()
        truth.dataset = coco
        truth.createIndex()
        if found:
            theirs = truth.loadRes(found)
        judge = COCOeval(truth, theirs, how.by)
    if sigmas is not None:
        judge.params.kpt_oks_sigmas = np.array(sigmas)
    judge._prepare = partial(_prepare, judge)
    if how.overlaps is not None:
        judge.computeIoU = partial(_overlaps_of, judge, how.overlaps)
    return judge


def _prepare(judge: Any) -> None:
    """COCOeval's own, which overwrites each annotation's `ignore` by its iscrowd: what is to be ignored stays so."""
    ignored = {a["id"] for a in judge.cocoGt.dataset["annotations"] if a.get("ignore")}
    type(judge)._prepare(judge)
    for own in judge._gts.values():
        for a in own:
            a["ignore"] = bool(a["ignore"]) or a["id"] in ignored


def _overlaps_of(judge: Any, overlaps: Callable[..., Any], image: int, category: int) -> Any:
    """In place of COCOeval.computeIoU, and as it gives them: a row for each of the best found, a column an annotation."""
    found, annotations = judge._dts[image, category], judge._gts[image, category]
    if not found or not annotations:
        return []
    best = np.argsort([-row["score"] for row in found], kind="mergesort")[: judge.params.maxDets[-1]]
    return overlaps([found[k] for k in best], annotations)


def _class_matches(category: int, rows: Sequence[dict[str, Any]], place: dict[Any, int]) -> ClassMatches:
    """One category's images, as pycocotools gives them, in its own order: equal scores stay as they come."""
    objects = np.zeros(len(place))
    image: list[int] = []
    score: list[float] = []
    matched: list[int] = []
    ignored: list[int] = []
    bits = 1 << np.arange(len(IOU_THRESHOLDS))
    for row in rows:
        at = place[row["image_id"]]
        objects[at] += int((np.asarray(row["gtIgnore"]) == 0).sum())
        count = len(row["dtScores"])
        image += [at] * count
        score += [float(v) for v in row["dtScores"]]
        matched += (bits @ (np.asarray(row["dtMatches"]).reshape(len(IOU_THRESHOLDS), count) != 0)).tolist()
        ignored += (bits @ (np.asarray(row["dtIgnore"]).reshape(len(IOU_THRESHOLDS), count) != 0)).tolist()
    order = np.argsort(-np.array(score, np.float64), kind="stable")
    rows_of = np.array(image, np.int32)[order], np.array(score, np.float64)[order]
    masks = np.array(matched, np.uint32)[order], np.array(ignored, np.uint32)[order]
    return ClassMatches(category, *rows_of, *masks, objects)
