"""What each detector family writes into its output tensors, as candidates in input pixels.

For: raw outputs of one image to (boxes_xyxy, scores, class_ids), before NMS. Not for: NMS, thresholds, source pixels.
A format is a function in FORMATS; `needs_nms` says whether its candidates overlap.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.errors import count_of
from seatrial.kernels import detection_layouts as layouts
from seatrial.kernels.detection_layouts import cxcywh_to_xyxy
from seatrial.kernels.detector_format import FRACTIONS, PIXELS, ROW_PARTS, SCORE_PARTS, SOURCE, Candidates, Format, Part
from seatrial.kernels.more_formats import MORE_FORMATS, WITH_MASKS
from seatrial.kernels.reference import F32, I64, exp32, sigmoid, softmax
from seatrial.kernels.tensor_shapes import Shapes
from seatrial.stages import END_TO_END


def _best_class(scores: F32) -> tuple[F32, I64]:
    """Highest score a row and its class; ties go to the lower class; a NaN among the scores makes the row NaN."""
    classes = scores.argmax(axis=1)
    return np.take_along_axis(scores, classes[:, None], 1)[:, 0], classes.astype(np.int64)


def _yolov8(outputs: list[F32], _: tuple[int, int]) -> Candidates:
    """(4 + classes, anchors): cx, cy, w, h in input pixels, then class probabilities. YOLOv8, 9, 11, 12."""
    head = outputs[0].T
    return cxcywh_to_xyxy(head[:, :4]), *_best_class(head[:, 4:])


def _yolov5(outputs: list[F32], _: tuple[int, int]) -> Candidates:
    """(anchors, 5 + classes): cx, cy, w, h in input pixels, objectness, class probabilities. YOLOv5, v7."""
    head = outputs[0]
    best, classes = _best_class(head[:, 5:])
    return cxcywh_to_xyxy(head[:, :4]), best * head[:, 4], classes


YOLOX_STRIDES = (8, 16, 32)


def yolox_grid(input_hw: tuple[int, int]) -> F32:
    """(anchors, 3): column, row and stride of each anchor, in the order in which YOLOX flattens its levels."""
    rows = []
    for stride in YOLOX_STRIDES:
        y, x = np.mgrid[0 : input_hw[0] // stride, 0 : input_hw[1] // stride]
        rows.append(np.stack([x.ravel(), y.ravel(), np.full(x.size, stride)], axis=1))
    return np.concatenate(rows).astype(np.float32)


def _check_yolox(outputs: list[F32], input_hw: tuple[int, int]) -> None:
    expected = sum((input_hw[0] // stride) * (input_hw[1] // stride) for stride in YOLOX_STRIDES)
    if len(outputs[0]) != expected:
        raise ValueError(
            f"yolox: expected {expected} anchors for an input of {input_hw[0]} × {input_hw[1]}, got {len(outputs[0])}"
        )


def _yolox(outputs: list[F32], input_hw: tuple[int, int]) -> Candidates:
    """(anchors, 5 + classes), not yet decoded: centre (v + grid) * stride, size exp(v) * stride. YOLOX's export."""
    head, grid = outputs[0], yolox_grid(input_hw)
    centre = (head[:, :2] + grid[:, :2]) * grid[:, 2:]
    half = exp32(head[:, 2:4]) * grid[:, 2:] / 2
    boxes = np.concatenate([centre - half, centre + half], axis=1)
    best, classes = _best_class(head[:, 5:])
    return boxes, best * head[:, 4], classes


def _end_to_end(outputs: list[F32], _: tuple[int, int]) -> Candidates:
    """(detections, 6): x1, y1, x2, y2 in input pixels, score, class. YOLOv10, YOLO26, exports with NMS inside."""
    head = outputs[0]
    # NaN and infinity name no class: as a score of NaN they never count.
    named = np.abs(head[:, 5]) < 2**31
    return head[:, :4], np.where(named, head[:, 4], np.nan), np.where(named, head[:, 5], 0).astype(np.int64)


def _scaled(boxes: F32, input_hw: tuple[int, int]) -> F32:
    height, width = input_hw
    return boxes * np.array([width, height, width, height], np.float32)


def _check_two_columns(outputs: list[F32], _: tuple[int, int]) -> None:
    columns = outputs[1].shape[1]
    if columns < 2:
        raise ValueError(
            f"expected scores of at least one class beside background or 'no object', got {count_of(columns, 'column')}"
        )


def _ssd(outputs: list[F32], input_hw: tuple[int, int]) -> Candidates:
    """boxes (anchors, 4) as x1, y1, x2, y2 in 0 to 1; scores (anchors, classes) with background as class 0.

    The background's column is dropped, so that class 0 of the result is the first real class.
    """
    boxes, scores = outputs
    return _scaled(boxes, input_hw), *_best_class(scores[:, 1:])


def _detr(outputs: list[F32], input_hw: tuple[int, int]) -> Candidates:
    """boxes (queries, 4) as cx, cy, w, h in 0 to 1; logits (queries, classes + 1), the last one 'no object'. DETR."""
    boxes, logits = outputs
    return _scaled(cxcywh_to_xyxy(boxes), input_hw), *_best_class(softmax(logits)[:, :-1])


def _rtdetr(outputs: list[F32], input_hw: tuple[int, int]) -> Candidates:
    """boxes (queries, 4) as cx, cy, w, h in 0 to 1; logits (queries, classes), a sigmoid each. RT-DETR, D-FINE.

    Every query offers every class, as the reference implementations' top-k over the flattened scores does.
    """
    boxes, logits = outputs
    queries, classes = logits.shape
    flat_boxes = np.repeat(_scaled(cxcywh_to_xyxy(boxes), input_hw), classes, axis=0)
    return flat_boxes, sigmoid(logits).reshape(-1), np.tile(np.arange(classes, dtype=np.int64), queries)


_PAIR = "boxes (B, N, 4) and scores or logits (B, N, classes)"
_V8_PARTS = (Part("boxes", axis=0, stop=4), Part("scores", axis=0, start=4, unit_range=True))
_V5_PARTS = (
    Part("boxes", stop=4),
    Part("objectness", start=4, stop=5, unit_range=True),
    Part("scores", start=5, unit_range=True),
)
_LOGIT_PARTS = (Part("boxes"), Part("logits", output=1))
FORMATS: dict[str, Format] = {
    "yolov8": Format(
        "yolov8",
        _yolov8,
        True,
        (3,),
        "one tensor (B, 4 + classes, anchors)",
        parts=_V8_PARTS,
        anchor_axis=1,
        fixed=4,
        choose=layouts.anchors_last(),
        units=(PIXELS, FRACTIONS),
    ),
    "yolov5": Format(
        "yolov5",
        _yolov5,
        True,
        (3,),
        "one tensor (B, anchors, 5 + classes)",
        parts=_V5_PARTS,
        fixed=5,
        choose=layouts.anchors_first(objectness=True),
        units=(PIXELS, FRACTIONS),
    ),
    "yolox": Format(
        "yolox", _yolox, True, (3,), "one tensor (B, anchors, 5 + classes), undecoded", _check_yolox, _V5_PARTS, fixed=5
    ),
    END_TO_END: Format(
        END_TO_END,
        _end_to_end,
        False,
        (3,),
        "one tensor (B, detections, 6)",
        parts=ROW_PARTS,
        ranked=True,
        fixed=6,
        class_columns=False,
        choose=layouts.columns(0, 4, 5),
        units=(PIXELS, FRACTIONS, SOURCE),
    ),
    "ssd": Format("ssd", _ssd, True, (3, 3), _PAIR, _check_two_columns, parts=SCORE_PARTS, units=(FRACTIONS,)),
    "detr": Format("detr", _detr, False, (3, 3), _PAIR, _check_two_columns, parts=_LOGIT_PARTS, units=(FRACTIONS,)),
    "rtdetr": Format("rtdetr", _rtdetr, False, (3, 3), _PAIR, parts=_LOGIT_PARTS, ranked=True, units=(FRACTIONS,)),
}
FORMATS |= MORE_FORMATS
# YOLOX and YOLOv6 with their grids inside the graph write what YOLOv5 does.
FORMATS["yolox_decoded"] = FORMATS["yolov5"]
# One anchor-free head served three generations; people look for their own's name.
FORMATS["yolo11"] = FORMATS["yolov8"]
FORMATS["yolov10"] = FORMATS[END_TO_END]
FORMATS["yolo26"] = FORMATS[END_TO_END]
# Of boxes alone.
DETECTORS = tuple(FORMATS)
FORMATS |= WITH_MASKS
# Heads behind whose classes other tasks keep what they read.
EXTENDED = ("yolov8", "yolo11", "yolov5", END_TO_END, "yolov10", "yolo26")


def pick_outputs(format_name: str, outputs: list[npt.NDArray[np.floating]]) -> list[F32]:
    """The tensors that the format reads, as float32, boxes first. ValueError says what was expected and what came."""
    form = FORMATS[format_name]
    wanted = len(form.output_ranks)
    usable = [o for o in outputs if o.ndim == 3]
    if wanted == 2 and len(usable) == 2 and usable[0].shape[2] != 4:
        # The boxes are the tensor of width 4; with four classes both are, and the order given decides.
        usable.reverse()
    if not _fits(form, usable, len(outputs)):
        shapes = ", ".join(str(tuple(o.shape)) for o in outputs) or "none"
        raise ValueError(
            f"format '{format_name}': expected {form.outputs}, got {count_of(len(outputs), 'output')} of shape {shapes}"
        )
    # What leaves float32's range becomes infinite, and infinite boxes are left out by rule.
    with np.errstate(over="ignore"):
        return [np.asarray(o, np.float32) for o in usable]


def image_rows(format_name: str, outputs: list[npt.NDArray[Any]], images: int) -> list[list[F32]]:
    """For each image its rows of the tensors that the format reads, as float32. ValueError says what was expected."""
    form = FORMATS[format_name]
    if not form.shapes:
        tensors = pick_outputs(format_name, outputs)
        for t in tensors:
            if len(t) != images:
                raise ValueError(f"expected outputs for {count_of(images, 'image')}, got a tensor of shape {t.shape}")
        return [[t[i] for t in tensors] for i in range(images)]
    found = shapes_of(form, outputs)
    if found is None:
        came = ", ".join(str(tuple(o.shape)) for o in outputs) or "none"
        raise ValueError(
            f"format '{format_name}': expected {form.outputs}, got {count_of(len(outputs), 'output')} of shape {came}"
        )
    try:
        rows = found.images(outputs, images)
    except ValueError as e:
        raise ValueError(f"format '{format_name}': {e}") from None
    with np.errstate(over="ignore"):
        return [[np.asarray(r, np.float32) for r in own] for own in rows]


def shapes_of(form: Format, outputs: Sequence[npt.NDArray[Any]]) -> Shapes | None:
    """In which of its ways the format's tensors came; None where in none."""
    return next((s for s in form.shapes if s.fit([o.shape for o in outputs])), None)


def pick_head(format_name: str, outputs: list[npt.NDArray[Any]], extra: int, what: str) -> F32:
    """The one tensor of three dimensions, as float32, of a format that keeps `extra` columns behind its classes.

    what: those columns, in words. ValueError says what was expected and what came.
    """
    form = FORMATS[format_name]
    heads = [o for o in outputs if o.ndim == 3]
    columns = heads[0].shape[2 - form.anchor_axis] if len(heads) == 1 else -1
    classes = form.classes_beside(columns, extra)
    if classes < 1 if form.class_columns else classes != 0:
        shapes = ", ".join(str(tuple(o.shape)) for o in outputs) or "none"
        rows = f"{form.fixed}{' + classes' if form.class_columns else ''} + {extra}"
        order = f"(B, {rows}, anchors)" if form.anchor_axis else f"(B, anchors, {rows})"
        raise ValueError(
            f"format '{format_name}': expected one tensor {order}, the last {extra} {what}; got "
            f"{count_of(len(outputs), 'output')} of shape {shapes}"
        )
    with np.errstate(over="ignore"):
        return np.asarray(heads[0], np.float32)


def _fits(form: Format, usable: list[npt.NDArray[np.floating]], given: int) -> bool:
    shapes: list[tuple[int, ...]] = [o.shape for o in usable]
    if len(form.output_ranks) == 2:
        return len(shapes) == 2 and shapes[0][2] == 4 and shapes[1][2] > 0 and shapes[0][:2] == shapes[1][:2]
    if given != 1 or len(shapes) != 1:
        return False
    classes = form.classes_beside(shapes[0][2 - form.anchor_axis], 0)
    return classes >= 1 if form.class_columns else classes == 0
