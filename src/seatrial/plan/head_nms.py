"""Rules for lists of detections that a model has chosen itself, in one flat tensor or in several.

Facts behind them, from public descriptions of the exports: TensorRT's EfficientNMS writes num_dets, det_boxes, det_scores and
det_classes; torchvision's detectors boxes, labels and scores (and masks) of one image without a batch; mmdeploy dets (corners,
score) and labels (and masks); TensorFlow's detection API detection_boxes as fractions, y first; PaddleDetection rows of class,
score and corners in source pixels, and a count an image; D-FINE's and RT-DETRv2's deployment labels, boxes and scores, in
source pixels where it takes orig_target_sizes; YOLOv7's rows image, corners, class, score, super-gradients' image, corners,
score, class.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from seatrial.model.file import ModelInfo, TensorInfo
from seatrial.plan.head_finding import NOT_RUN, Finding, Shape, in_numbers, shape_of
from seatrial.plan.output_roles import in_order, is_before
from seatrial.plan.seen import Ranges, Seen

_ROLES = ("boxes", "scores", "classes", "count")


def find_chosen(info: ModelInfo, seen: Mapping[str, Seen]) -> Finding | None:
    """Of several outputs; None where they are no such list."""
    outputs = [o for o in info.outputs if not is_before(o)] or list(info.outputs)
    for key, roles, fits in (
        ("nms_tensors", _ROLES, _boxes_scores_classes),
        ("mmdet", ("boxes", "classes"), _dets_labels),
        ("paddle", ("boxes", "count"), _rows_and_counts),
        ("mask_rcnn", ("boxes", "scores", "classes", "masks"), _with_masks(_boxes_scores_classes)),
        ("mmdet_masks", ("boxes", "classes", "masks"), _with_masks(_dets_labels)),
    ):
        if len(outputs) > len(roles):
            continue
        order, told = in_order(outputs, roles, lambda o, f=fits: f([shape_of(t, seen) for t in o]))  # type: ignore[misc]
        if len(order) == len(outputs):
            return _finding(key, info, order, told, seen)
    return None


def find_flat(output: TensorInfo, width: int | str | None, seen: Seen | None) -> Finding:
    """Of one output whose first dimension counts detections."""
    because = f"{output}: its first dimension is not the batch"
    columns = seen.columns if seen is not None else None
    if width == 7:
        score_first = columns is not None and columns.part(5, 6).probabilities and columns.whole[6]
        class_first = columns is not None and columns.whole[5] and columns.part(6).probabilities
        named = "flat" in output.name.lower()
        key = (
            "yolonas_flat" if (score_first and not class_first) or (named and not class_first) else "yolov7_end_to_end"
        )
        return Finding(key, because)
    if width != 6:
        return Finding("detections_unknown", because)
    if columns is not None and columns.whole[0] and columns.part(1, 2).probabilities and not columns.whole[5]:
        return Finding("paddle", f"{because}; class and score stand before the corners")
    if columns is not None and not (columns.part(4, 5).probabilities and columns.whole[5]):
        return Finding("detections_unknown", because)
    return Finding(
        "detections_flat", f"{because}; it holds one image's detections, so that a batch cannot be told apart"
    )


def _finding(key: str, info: ModelInfo, order: Sequence[TensorInfo], told: bool, seen: Mapping[str, Seen]) -> Finding:
    names = tuple(o.name for o in order)
    because = f"outputs are {', '.join(map(str, info.outputs))}"
    if not told:
        because += "; nothing says which holds scores and which class numbers"
    boxes = _columns(order[0], seen)
    beside, joined = key in ("nms_tensors", "mask_rcnn"), key.startswith("mmdet")
    scores = _columns(order[1], seen) if beside else boxes.part(4) if boxes and joined else None
    if boxes is None or (beside and scores is None):
        return Finding(_unit(key, info, order, None), f"{because}; {NOT_RUN}", False, names)
    if scores is not None:
        because += f"; {in_numbers(boxes.part(0, 4), scores)}"
        if not scores.within(-1.01, 1.01):
            return Finding("unknown", because)
    if key == "paddle" and not (boxes.part(1, 2).within(-1.01, 1.01) and boxes.whole[0]):
        return Finding("unknown", f"{because}; its rows do not begin with class and score")
    return Finding(_unit(key, info, order, boxes), because, False, names)


def _unit(key: str, info: ModelInfo, order: Sequence[TensorInfo], boxes: Ranges | None) -> str:
    """The head's own key for what its boxes count, by names, by the model's other inputs, and by how large they are."""
    if key != "nms_tensors":
        return key
    if re.search(r"detection_boxes|StatefulPartitionedCall|TFLite", order[0].name):
        return "nms_tensors_yxyx"
    if any("size" in i.name.lower() or "scale" in i.name.lower() for i in info.inputs[1:]):
        return "nms_tensors_source"
    small = boxes is not None and boxes.most <= 2 and not boxes.blank
    return "nms_tensors_fractions" if small else "nms_tensors"


def _columns(output: TensorInfo, seen: Mapping[str, Seen]) -> Ranges | None:
    return seen[output.name].columns if output.name in seen else None


Fits = Callable[[Sequence[Shape]], bool]


def _boxes_scores_classes(shapes: Sequence[Shape]) -> bool:
    boxes, *others = shapes
    if len(shapes) < 3 or len(boxes) not in (2, 3) or not _may_be(boxes[-1], 4):
        return False
    lists, count = others[:2], others[2:]
    if any(len(s) != len(boxes) - 1 or not _alike(s[-1], boxes[-2]) for s in lists):
        return False
    return all(len(c) == 1 or (len(c) == 2 and _may_be(c[1], 1)) for c in count) and (not count or len(boxes) == 3)


def _dets_labels(shapes: Sequence[Shape]) -> bool:
    if len(shapes) != 2:
        return False
    dets, labels = shapes
    return len(dets) in (2, 3) and dets[-1] == 5 and len(labels) == len(dets) - 1 and _alike(labels[-1], dets[-2])


def _with_masks(fits: Fits) -> Fits:
    """The same with a mask a detection behind."""
    return lambda shapes: len(shapes) > 2 and len(shapes[-1]) == 4 and fits(shapes[:-1])


def _rows_and_counts(shapes: Sequence[Shape]) -> bool:
    return len(shapes) == 2 and len(shapes[0]) == 2 and shapes[0][1] == 6 and len(shapes[1]) == 1


def _may_be(size: int | str | None, wanted: int) -> bool:
    return not isinstance(size, int) or size == wanted


def _alike(one: int | str | None, other: int | str | None) -> bool:
    return not isinstance(one, int) or not isinstance(other, int) or one == other
