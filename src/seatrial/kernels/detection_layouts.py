"""Layouts of detectors that C++ does not read as they are: the candidates above a threshold, picked in NumPy for any engine.

For: tensors of one image, as exporters write them, to a few candidates. Not for: which tensors these are, and which image's
(tensor_shapes.py); NMS and source pixels (postprocess.py). An entry of detection_formats.FORMATS says which function reads it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from seatrial.kernels.reference import F32, I64, exp32, sigmoid, softmax


@dataclass(frozen=True)
class Chosen:
    """Candidates in the tensor's order: boxes_xyxy (N, 4) in the model's own unit, scores, class_ids and anchors (N,)."""

    boxes_xyxy: F32
    scores: F32
    class_ids: I64
    anchors: I64


# (tensors of one image, height and width of the input, threshold) -> candidates whose score is above the threshold.
Choose = Callable[[list[F32], tuple[int, int], float], Chosen]


def cxcywh_to_xyxy(boxes: F32) -> F32:
    half = boxes[:, 2:4] / 2
    return np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)


def _xyxy(boxes: F32) -> F32:
    return boxes


def _yxyx_to_xyxy(boxes: F32) -> F32:
    return boxes[:, [1, 0, 3, 2]]


def best_classes(
    scores: F32, confidence: float, class_axis: int, objectness: F32 | None = None, logits: bool = False
) -> tuple[F32, I64, I64]:
    """Scores, classes and anchors of those whose best class is above the threshold; a NaN among its scores rules an anchor out.

    The class is looked for only there: an argmax over all anchors would take longer than all the rest. logits: a sigmoid each,
    which keeps their order.
    """
    best = scores.max(axis=class_axis)
    if logits:
        best = sigmoid(best)
    if objectness is not None:
        best = best * objectness
    anchors = np.flatnonzero(best > confidence)
    rows = scores[anchors] if class_axis == 1 else scores[:, anchors].T
    return best[anchors], rows.argmax(axis=1).astype(np.int64), anchors


def anchors_last(logits: bool = False) -> Choose:
    """(4 + classes, anchors): cx, cy, w, h, then a score a class. YOLOv8 and what followed it."""

    def choose(rows: list[F32], _: tuple[int, int], confidence: float) -> Chosen:
        scores, classes, anchors = best_classes(rows[0][4:], confidence, 0, logits=logits)
        return Chosen(cxcywh_to_xyxy(rows[0][:4, anchors].T), scores, classes, anchors)

    return choose


def anchors_first(objectness: bool = False) -> Choose:
    """(anchors, 4 + classes), or 5 + classes with objectness behind the box: cx, cy, w, h, then a score a class."""

    def choose(rows: list[F32], _: tuple[int, int], confidence: float) -> Chosen:
        head, first = rows[0], 5 if objectness else 4
        found = best_classes(head[:, first:], confidence, 1, head[:, 4] if objectness else None)
        return Chosen(cxcywh_to_xyxy(head[found[2], :4]), *found)

    return choose


def boxes_beside_scores(class_axis: int = 1) -> Choose:
    """boxes (N, 4) as x1, y1, x2, y2, and scores (N, classes), or (classes, N) where the class axis is 0."""

    def choose(rows: list[F32], _: tuple[int, int], confidence: float) -> Chosen:
        found = best_classes(rows[1], confidence, class_axis)
        return Chosen(rows[0][found[2]], *found)

    return choose


def columns(box: int, score: int, label: int, to_xyxy: Callable[[F32], F32] = _xyxy) -> Choose:
    """(N, …): one detection a row; where its box, its score and its class begin."""

    def choose(rows: list[F32], _: tuple[int, int], confidence: float) -> Chosen:
        found = rows[0]
        return _named(to_xyxy(found[:, box : box + 4]), found[:, score], found[:, label], confidence)

    return choose


def boxes_scores_classes(to_xyxy: Callable[[F32], F32] = _xyxy) -> Choose:
    """boxes (N, 4), scores (N,), class numbers (N,): one detection each."""

    def choose(rows: list[F32], _: tuple[int, int], confidence: float) -> Chosen:
        return _named(to_xyxy(rows[0]), rows[1], rows[2], confidence)

    return choose


def dets_labels(rows: list[F32], _: tuple[int, int], confidence: float) -> Chosen:
    """dets (N, 5): x1, y1, x2, y2, score; labels (N,). As mmdeploy exports mmdetection."""
    return _named(rows[0][:, :4], rows[0][:, 4], rows[1], confidence)


yxyx_scores_classes = boxes_scores_classes(_yxyx_to_xyxy)
centre_score_class = columns(0, 4, 5, cxcywh_to_xyxy)


def _named(boxes: F32, scores: F32, labels: F32, confidence: float) -> Chosen:
    """Detections that the model has chosen. Below 0 is what exports fill up with; NaN and infinity name no class."""
    anchors = np.flatnonzero((scores > confidence) & (labels >= 0) & (labels < 2**31))
    return Chosen(boxes[anchors], scores[anchors], labels[anchors].astype(np.int64), anchors)


# Beyond it exp is infinite for float32, and no training gives such an offset.
MOST_OFFSET = 60.0


def offsets_from_anchors(background_first: bool, y_first: bool, logits: bool) -> Choose:
    """rows: offsets (N, 4) and scores (N, classes) of the model, then anchors_xyxy (N, 4) and variances (4,) of the plan.

    Offsets are x, y, w, h (or y, x, h, w) of a box against its anchor: centre + offset · variance · size, size · exp(offset ·
    variance), as SSD (arXiv 1512.02325) and Faster R-CNN code them; variances stand in the order of the offsets. Scores are a
    softmax with the background first, or a sigmoid a class, whose logits they may be.
    """

    def choose(rows: list[F32], _: tuple[int, int], confidence: float) -> Chosen:
        offsets, scores, anchors_xyxy, variances = rows
        if background_first:
            found = best_classes(softmax(scores)[:, 1:] if logits else scores[:, 1:], confidence, 1)
        else:
            found = best_classes(scores, confidence, 1, logits=logits)
        own, anchors = offsets[found[2]] * variances.reshape(4), anchors_xyxy[found[2]]
        if y_first:
            own = own[:, [1, 0, 3, 2]]
        sizes = anchors[:, 2:] - anchors[:, :2]
        centres = (anchors[:, :2] + anchors[:, 2:]) / 2 + own[:, :2] * sizes
        half = exp32(own[:, 2:]) * sizes / 2
        return Chosen(np.concatenate([centres - half, centres + half], axis=1), *found)

    return choose


def checked_anchors(given: npt.ArrayLike) -> F32:
    """(N, 4) float32. ValueError where they are no corners: finite, the second behind the first."""
    anchors = np.asarray(given)
    if anchors.ndim != 2 or anchors.shape[1] != 4 or anchors.dtype.kind not in "fiu":
        raise ValueError(f"anchors_xyxy: expected numbers (N, 4), got {anchors.dtype} of shape {anchors.shape}")
    boxes: F32 = np.ascontiguousarray(anchors, np.float32)
    wrong = ~(np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise ValueError(
            f"anchors_xyxy: expected corners x1, y1, x2, y2, the second behind the first, got {boxes[row].tolist()} in row "
            f"{row}"
        )
    return boxes


def check_anchors(rows: list[F32], _: tuple[int, int]) -> None:
    """ValueError where the model has other anchors than the plan's file."""
    if len(rows[2]) != len(rows[0]):
        raise ValueError(f"expected an anchor a box, {len(rows[0])}, got {len(rows[2])} anchors in the plan's file")


LEVELS = (8, 16, 32, 64)
# NanoDet-Plus joins scores and distributions of 8 bins a side (reg_max 7 in all its configurations).
NANODET_BINS = 8


def distributions(centre: float) -> Choose:
    """Scores of classes and, for each of a box's four sides, a distribution of how far from a cell's point it lies.

    rows: one tensor (cells, classes + 4 · 8), or scores (cells, classes) of each level, then distributions (cells, 4 · bins) of
    each. Level by level and row by row, a cell's point is (column + centre, row + centre) · stride; left, top, right and bottom
    lie the mean of a softmax over the bins, times the stride, away: generalised focal loss (arXiv 2006.04388), as NanoDet-Plus
    (centre 0: nanodet_plus_head.py, get_single_level_center_priors) and PicoDet (centre 0.5: openvino_benchmark.py and
    demo_ncnn/picodet.cpp of PaddleDetection's deploy/third_engine) read it. Only the candidates' distributions are summed.
    """

    def choose(rows: list[F32], input_hw: tuple[int, int], confidence: float) -> Chosen:
        heads, sides = _by_level(rows)
        scores, classes, anchors = best_classes(heads, confidence, 1)
        bins = sides.shape[1] // 4
        shares = softmax(sides[anchors].reshape(-1, 4, bins))
        cells = cells_of(input_hw, _strides(rows, input_hw))[anchors]
        away = (shares * np.arange(bins, dtype=np.float32)).sum(axis=-1, dtype=np.float32) * cells[:, 2:]
        points = (cells[:, :2] + np.float32(centre)) * cells[:, 2:]
        return Chosen(np.concatenate([points - away[:, :2], points + away[:, 2:]], axis=1), scores, classes, anchors)

    return choose


def check_cells(rows: list[F32], input_hw: tuple[int, int]) -> None:
    """ValueError where the tensors have other cells than levels of an input of that size."""
    own, found = [len(r) for r in rows[: max(1, len(rows) // 2)]], _strides(rows, input_hw)
    expected = [_count(input_hw, (s,)) for s in found]
    if (own != expected) if len(rows) > 1 else (own[0] != sum(expected)):
        raise ValueError(
            f"expected {' + '.join(map(str, expected))} cells at strides {', '.join(map(str, found))} of an input of "
            f"{input_hw[0]} × {input_hw[1]}, got {' + '.join(map(str, own))}"
        )
    if len(rows) > 1 and rows[-1].shape[1] % 4:
        raise ValueError(f"expected four distributions of as many bins, got {rows[-1].shape[1]} columns")


def _by_level(rows: list[F32]) -> tuple[F32, F32]:
    if len(rows) == 1:
        return rows[0][:, : -4 * NANODET_BINS], rows[0][:, -4 * NANODET_BINS :]
    half = len(rows) // 2
    return np.concatenate(rows[:half]), np.concatenate(rows[half:])


def _strides(rows: list[F32], input_hw: tuple[int, int]) -> tuple[int, ...]:
    """Of one tensor by its cells, else by how many levels there are."""
    if len(rows) > 1:
        return LEVELS[: len(rows) // 2]
    three = LEVELS[:3]
    return three if len(rows[0]) == _count(input_hw, three) else LEVELS


def _count(input_hw: tuple[int, int], strides: tuple[int, ...]) -> int:
    return sum(-(-input_hw[0] // s) * -(-input_hw[1] // s) for s in strides)


@lru_cache(maxsize=8)
def cells_of(input_hw: tuple[int, int], strides: tuple[int, ...]) -> F32:
    """(cells, 3): column, row and stride, level by level. What is left at an edge has a cell too, as of convolutions."""
    rows = []
    for stride in strides:
        y, x = np.mgrid[0 : -(-input_hw[0] // stride), 0 : -(-input_hw[1] // stride)]
        rows.append(np.stack([x.ravel(), y.ravel(), np.full(x.size, stride)], axis=1))
    cells: F32 = np.concatenate(rows).astype(np.float32)
    cells.flags.writeable = False
    return cells
