"""Output tensors to the native postprocessing kernels: dtypes, contiguity, sizes. Not for: rules or results (postprocess)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial._native import kernels
from seatrial.kernels import reference
from seatrial.kernels.geometry import Geometry
from seatrial.kernels.reference import F32, I64
from seatrial.kernels.results import Detections

_MASK_DTYPES = {
    **{name: name for name in ("float32", "float64", "int32", "int64", "uint8")},
    **{"float16": "float32", "bool": "uint8", "int8": "int32", "int16": "int32", "uint16": "int32", "uint32": "int64"},
}


def detect(
    format_name: str,
    rows: list[F32],
    geometry: Geometry,
    confidence: float,
    iou: float,
    class_agnostic: bool,
    most: int,
    extra: int = 0,
    input_hw: tuple[int, int] | None = None,
) -> tuple[F32, F32, I64, I64]:
    """Boxes (N, 4) in source pixels, scores, classes and anchors (N,) of one image.

    rows: the format's tensors without batch. extra: columns behind the classes that detection does not read. input_hw: what
    fractions are of, by default the geometry's.
    """
    first, second = np.ascontiguousarray(rows[0]), np.ascontiguousarray(rows[1]) if len(rows) == 2 else None
    anchors = first.shape[1] if format_name == "yolov8" else first.shape[0]
    if format_name == "rtdetr" and second is not None:
        anchors *= second.shape[1]
    room = max(1, min(most, anchors))
    boxes, scores = np.empty((room, 4), np.float32), np.empty(room, np.float32)
    ids, chosen = np.empty(room, np.int64), np.empty(room, np.int64)
    count = kernels.detect(
        format_name,
        first,
        second,
        extra,
        geometry.input_hw if input_hw is None else input_hw,
        confidence,
        iou,
        class_agnostic,
        geometry,
        boxes,
        scores,
        ids,
        chosen,
    )
    # Copies: a result that is kept must not keep room for the most that there could have been.
    return boxes[:count].copy(), scores[:count].copy(), ids[:count].copy(), chosen[:count].copy()


def detections_of(
    boxes_xyxy: F32,
    scores: F32,
    class_ids: I64,
    geometry: Geometry,
    confidence: float,
    iou: float | None,
    class_agnostic: bool,
    most: int,
) -> tuple[Detections, I64]:
    """Candidates (N, 4), (N,) and (N,) in input pixels to detections in source pixels, and which candidates these are.

    iou: None where the model has suppressed already. They go to C++ as the tensors of a format that it reads, with the classes
    numbered anew, so that a few candidates of many classes stay few numbers.
    """
    present, own = np.unique(class_ids, return_inverse=True)
    if iou is None:
        rows = [np.column_stack([boxes_xyxy, scores, own]).astype(np.float32)]
        found = detect("end_to_end", rows, geometry, confidence, 0.0, class_agnostic, most)
    else:
        # SSD's boxes are fractions: of an input of one pixel, so that none is changed. Its first column is the background's.
        columns = np.zeros((len(scores), 1 + max(1, len(present))), np.float32)
        columns[np.arange(len(scores)), 1 + own] = scores
        found = detect("ssd", [boxes_xyxy, columns], geometry, confidence, iou, class_agnostic, most, input_hw=(1, 1))
    boxes, best, classes, chosen = found
    return Detections(boxes, best, present[classes] if len(classes) else classes), chosen


def instance_runs(
    coefficients: F32, prototypes: F32, boxes_xyxy: F32, geometry: Geometry
) -> tuple[npt.NDArray[np.uint32], I64]:
    """Runs of all masks, one behind the other, and where each begins and the last ends (N + 1,).

    coefficients (N, K), prototypes (K, h, w), boxes_xyxy (N, 4) in source pixels.
    """
    return kernels.instance_runs(
        np.ascontiguousarray(coefficients), np.ascontiguousarray(prototypes), np.ascontiguousarray(boxes_xyxy), geometry
    )


def classify(rows: npt.NDArray[Any], activation: str, k: int) -> tuple[I64, F32]:
    """(B, k) class ids and scores of rows (B, classes)."""
    k = min(k, rows.shape[1])
    class_ids, scores = np.empty((len(rows), k), np.int64), np.empty((len(rows), k), np.float32)
    kernels.classify(np.ascontiguousarray(rows, np.float32), activation, class_ids, scores)
    return class_ids, scores


def argmax_mask(scores_chw: npt.NDArray[Any], geometry: Geometry) -> npt.NDArray[Any]:
    """As reference.argmax_mask; for numbers of at most 64 bits."""
    name = scores_chw.dtype.name
    if name == "uint64":
        # The top bit flipped: the same order in signed numbers.
        scores = np.ascontiguousarray(scores_chw ^ np.uint64(1 << 63)).view(np.int64)
    else:
        scores = np.ascontiguousarray(scores_chw, _MASK_DTYPES[name])
    wide, ignore = reference.mask_kind(scores.shape[0])
    rows, columns = reference.cells(geometry, scores.shape[1:])
    mask = np.empty(geometry.source_hw, np.uint16 if wide else np.uint8)
    kernels.argmax_mask(scores, rows, columns, ignore, mask)
    return mask


def argmax_linear(scores_chw: npt.NDArray[Any], geometry: Geometry) -> npt.NDArray[Any]:
    """As maps.argmax_linear."""
    with np.errstate(over="ignore"):
        scores = np.ascontiguousarray(scores_chw, np.float32)
    wide, ignore = reference.mask_kind(scores.shape[0])
    rows, columns = reference.cells(geometry, scores.shape[1:])
    mask = np.empty(geometry.source_hw, np.uint16 if wide else np.uint8)
    kernels.argmax_linear(scores, geometry, (rows < 0).astype(np.uint8), (columns < 0).astype(np.uint8), ignore, mask)
    return mask
