"""The rules by which heads.py tells heads apart: one function a kind of outputs, each from the surest sign down.

Facts behind them, from public descriptions of the exports: YOLOv8 and 11 write (4 + classes, anchors), their obb, pose and
segment heads append rows; YOLOv5 and v7 write (anchors, 5 + classes) with three anchors a cell, YOLOX one a cell and
undecoded, YOLOv6 one a cell and decoded; YOLO26 and exports with NMS write (detections, 6 …); RF-DETR writes dets and labels.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from seatrial.model.file import ModelInfo, TensorInfo
from seatrial.plan.seen import Ranges, Seen

Hw = tuple[int, int] | None
_BOXES = re.compile(r"box|dets|loc|coord", re.I)
_SCORES = re.compile(r"logit|label|score|conf|cls|class|prob", re.I)
# Widths that backbones give their features.
_FEATURES = (64, 128, 192, 256, 320, 384, 512, 640, 768, 1024, 1280, 1536, 2048)
# Columns of classifiers on well-known sets with a background, or a category 0 that stands for nothing.
_WITH_BACKGROUND = (91, 1001, 21842)
# Detectors without NMS offer at most this many; grids of anchors are larger at any usual size.
MOST_QUERIES = 1000
# Four values of a box and the classes of the largest sets that detectors are trained on.
MOST_ROWS = 1300
NOT_RUN = "from the shape alone"


@dataclass(frozen=True)
class Finding:
    """What the rules made of the tensors. sure: only where more than a shape says so. outputs: to name in the plan."""

    key: str
    because: str
    sure: bool = False
    outputs: tuple[str, ...] = ()
    activation: str = ""


def find(info: ModelInfo, seen: Mapping[str, Seen], hw: Hw) -> Finding:
    outputs = info.outputs
    ranks = [len(_shape(o, seen)) for o in outputs]
    names = {o.name.lower() for o in outputs}
    if len(outputs) == 1:
        return _one(info, outputs[0], seen.get(outputs[0].name), hw)
    boxes = [o for o, rank in zip(outputs, ranks, strict=True) if rank == 3]
    if any(re.search(r"num_det|num_dets|numdet", n) for n in names) or {"boxes", "scores", "labels"} <= names:
        return Finding("nms_tensors", f"outputs are {', '.join(map(str, outputs))}")
    if ranks == [3, 3]:
        return _pair(outputs[0], outputs[1], seen)
    if sorted(ranks) == [2, 3]:
        return Finding("nms_tensors", f"outputs are {', '.join(map(str, outputs))}")
    if len(boxes) == 1 and sorted(ranks) == [3, 4]:
        return Finding("instances", "a list of anchors and a map of prototypes")
    if len(boxes) == 2 and len(ranks) == 3 and max(ranks) == 4:
        return Finding("instances", "boxes, scores and masks in a tensor each")
    if len(boxes) == 1 and all(r in (3, 4, 5) for r in ranks) and len(ranks) >= 3:
        found = _one(info, boxes[0], seen.get(boxes[0].name), hw)
        return Finding(found.key, f"{found.because}; the other outputs are its levels", False, (boxes[0].name,))
    if all(r in (4, 5) for r in ranks):
        return Finding("levels", f"{len(ranks)} maps")
    return Finding("unknown", f"outputs are {', '.join(map(str, outputs))}")


def _shape(output: TensorInfo, seen: Mapping[str, Seen]) -> tuple[int | str | None, ...]:
    """As it came, else as the file says."""
    return seen[output.name].shape if output.name in seen else output.shape


def _one(info: ModelInfo, output: TensorInfo, seen: Seen | None, hw: Hw) -> Finding:
    shape = seen.shape if seen else output.shape
    if len(shape) == 3 and not seen and output.dtype.startswith(("int", "uint")):
        return Finding("class_map", "whole numbers in three dimensions")
    if len(shape) == 3 and seen and seen.dtype.startswith(("int", "uint", "bool")):
        return Finding("class_map", "whole numbers in three dimensions")
    if len(shape) == 3:
        return _list(info, shape, seen, hw)
    if len(shape) == 2 or (len(shape) == 4 and shape[2:] == (1, 1)):
        return _rows_of_scores(info, output, shape, seen)
    if len(shape) == 4:
        return _map(info, shape)
    return Finding("unknown", f"one output of {len(shape)} dimensions")


# Lists of anchors or detections, in one tensor.


def _list(info: ModelInfo, shape: tuple[int | str | None, ...], seen: Seen | None, hw: Hw) -> Finding:
    rows, columns = shape[1], shape[2]
    few = not isinstance(rows, int) or rows <= MOST_QUERIES
    if columns == 6 and few:
        return _six(seen)
    if isinstance(rows, int) and 5 <= rows <= MOST_ROWS and (not isinstance(columns, int) or columns > rows):
        return _anchors_last(info, rows, columns, seen, hw)
    if isinstance(columns, int) and 6 <= columns <= MOST_ROWS:
        return _anchors_first(info, rows, columns, seen, hw)
    return Finding("unknown", "no side is that of boxes and classes")


def _six(seen: Seen | None) -> Finding:
    if seen is None or seen.columns is None:
        return Finding("end_to_end", NOT_RUN)
    boxes, fourth, fifth = seen.columns.part(0, 4), seen.columns.part(4, 5), seen.columns.part(5, 6)
    if fourth.blank and fifth.blank:
        return Finding("end_to_end", "nothing was found on the picture, so the numbers say nothing")
    if fourth.probabilities and fifth.whole[0]:
        if boxes.most <= 2:
            return Finding("end_to_end_fractions", _numbers(boxes, fourth))
        ordered = seen.share("corners")
        if ordered < 0.5:
            return Finding("end_to_end_sizes", _numbers(boxes, fourth))
        return Finding("end_to_end", f"{_numbers(boxes, fourth)}, whole class numbers", ordered > 0.9)
    if fourth.whole[0] and fifth.probabilities:
        return Finding("end_to_end_swapped", _numbers(boxes, fifth))
    scores = seen.columns.part(4)
    if scores.probabilities and boxes.most <= 2:
        return Finding("rtdetr_joined", _numbers(boxes, scores))
    if scores.probabilities and not _sizes_below_zero(boxes):
        return Finding("yolov5", f"a single class: {_numbers(boxes, scores)}")
    return Finding("unknown", _numbers(boxes, scores))


def _anchors_last(info: ModelInfo, rows: int, columns: int | str | None, seen: Seen | None, hw: Hw) -> Finding:
    classes = len(info.labels() or [])
    counted = f"{rows} rows are 4 + {rows - 4} classes"
    if seen is None or seen.rows is None:
        if classes and rows != 4 + classes:
            return _more_rows(rows, classes, f"{classes} labels, and {counted}")
        known = bool(classes) and info.metadata.get("task") == "detect"
        return Finding(
            "yolov8",
            f"{counted}, as many as labels" if classes else f"{counted}; {NOT_RUN}",
            known,
        )
    boxes, scores = seen.rows.part(0, 4), seen.rows.part(4)
    said = _numbers(boxes, scores)
    if classes and rows != 4 + classes:
        found = _more_rows(rows, classes, f"{classes} labels, and {counted}; {said}")
        # Keypoints and coefficients go beyond 0 to 1; an angle need not.
        plain = scores.probabilities and found.key in ("pose", "instances")
        return Finding("unknown", found.because) if plain else found
    if boxes.blank and scores.blank:
        return Finding("yolov8", f"{counted}; the picture gave nothing but zeros", bool(classes))
    if _sizes_below_zero(boxes):
        return Finding("unknown", f"sizes below 0: {said}")
    if not scores.probabilities:
        return _not_probabilities(rows, scores, said)
    if boxes.most <= 2:
        return Finding("yolov8_fractions", said)
    grid = " (YOLOv8's grid)" if hw and columns == anchors(hw) else ""
    return Finding("yolov8", f"{counted}, {columns} anchors{grid}; {said}", bool(classes))


def _more_rows(rows: int, classes: int, said: str) -> Finding:
    more = rows - 4 - classes
    if more == 1:
        return Finding("obb", said)
    if more == 32:
        return Finding("instances", said)
    return Finding("pose" if more > 0 and (more % 3 == 0 or more % 2 == 0) else "unknown", said)


def _not_probabilities(rows: int, scores: Ranges, said: str) -> Finding:
    """Rows behind the boxes that are no probabilities: logits of all classes, or what another task appends."""
    good = (scores.low >= -0.01) & (scores.high <= 1.01)
    leading = int(good.argmin())
    beyond = rows - 4 - leading
    if leading and beyond == 1 and scores.part(leading).within(-3.2, 4.8):
        return Finding("obb", said)
    if leading and scores.most > 2 and beyond >= 2:
        return Finding("pose", said)
    return Finding("unknown" if leading else "yolov8_logits", said)


def _anchors_first(info: ModelInfo, rows: int | str | None, columns: int, seen: Seen | None, hw: Hw) -> Finding:
    classes = len(info.labels() or [])
    one, three = (anchors(hw), 3 * anchors(hw)) if hw else (-1, -1)
    grid = f"{rows} anchors" + (", one a cell" if rows == one else ", three a cell" if rows == three else "")
    few = isinstance(rows, int) and rows <= MOST_QUERIES and rows not in (one, three)
    if seen is None or seen.columns is None:
        if few:
            return Finding("unknown", f"{rows} rows of {columns}: RT-DETR, or an export with NMS inside; {NOT_RUN}")
        if classes and columns != 5 + classes:
            return Finding("unknown", f"{classes} labels, {columns} columns; {NOT_RUN}")
        return Finding("yolox" if rows == one else "yolov5", f"{grid}; {NOT_RUN}")
    boxes, scores = seen.columns.part(0, 4), seen.columns.part(4)
    said = _numbers(boxes, scores)
    if few and boxes.most <= 2 and scores.probabilities:
        return Finding("rtdetr_joined", said)
    if columns > 6 and few and scores.part(0, 1).probabilities and scores.whole[1] and scores.high[1] < 10_000:
        return Finding("unknown" if scores.part(0, 1).blank else "end_to_end_more", said)
    if not scores.probabilities:
        return Finding("pose" if scores.most > 2 and scores.part(0, 1).probabilities else "unknown", said)
    if rows == one and hw and _undecoded(boxes, hw):
        return Finding("yolox", f"{grid}; on a picture, boxes hold offsets from {boxes.least:.3g} to {boxes.most:.3g}")
    if boxes.most <= 2:
        return Finding("yolov5_fractions", said)
    if _sizes_below_zero(boxes):
        return Finding("unknown", f"sizes below 0: {said}")
    if classes and columns == 4 + classes:
        return Finding("yolov8_turned", f"{classes} labels; {said}")
    if classes and columns != 5 + classes:
        return Finding(
            "instances" if columns == 37 + classes else "unknown", f"{classes} labels, {columns} columns; {said}"
        )
    if few:
        return Finding("unknown", f"{rows} rows, which is no grid of anchors; {said}")
    return Finding("yolov5", f"{grid}, {columns} columns are 5 + {columns - 5} classes; {said}", bool(classes))


def _sizes_below_zero(boxes: Ranges) -> bool:
    """Far below, as features or offsets go. Anchors that hold nothing may miss by a few pixels where no softmax bounds them."""
    return float(boxes.low[2:].min()) < -0.1 * max(boxes.most, 1.0)


def _undecoded(boxes: Ranges, hw: tuple[int, int]) -> bool:
    """Offsets of a cell and logarithms of sizes: centres do not reach across the input, and exp(12) is beyond any."""
    return float(boxes.high[:2].max()) < max(hw) / 4 and float(boxes.high[2:].max()) < 12


def anchors(hw: tuple[int, int], strides: tuple[int, ...] = (8, 16, 32)) -> int:
    """Cells of all levels, as YOLO detectors since v3 count them."""
    return sum((hw[0] // s) * (hw[1] // s) for s in strides)


# Boxes and scores, in a tensor each.


def _pair(first: TensorInfo, second: TensorInfo, seen: Mapping[str, Seen]) -> Finding:
    chosen = which_is_boxes(first, second, seen)
    if chosen is None:
        wide = [t for t in (first, second) if _shape(t, seen)[2] == 4]
        return Finding("pair_alike" if len(wide) == 2 else "unknown", f"outputs are {first}, {second}")
    boxes, scores = (first, second) if chosen == 0 else (second, first)
    names = (boxes.name, scores.name)
    rows = _shape(boxes, seen)[1]
    queries = isinstance(rows, int) and rows <= MOST_QUERIES
    b, s = seen.get(boxes.name), seen.get(scores.name)
    if b is None or s is None or b.columns is None or s.columns is None:
        sigmoid = queries and ("dets" in boxes.name.lower() or (rows or 0) > 200)  # type: ignore[operator]
        key = ("rtdetr" if sigmoid else "detr") if queries else "ssd"
        return Finding(key, f"{rows} boxes, {_shape(scores, seen)[2]} columns of scores; {NOT_RUN}", False, names)
    said = f"{_numbers(b.columns, s.columns)}"
    if b.columns.most > 4:
        return Finding("pair_pixels", said)
    if s.columns.probabilities:
        background = s.share("first") > 0.5
        sums_to_one = s.sums[0] >= 0.98 and s.sums[1] <= 1.02
        if (sums_to_one and not queries) or (background and b.share("corners") > 0.9 and s.columns.high.size > 1):
            return Finding(
                "ssd", f"{said}; class 0 is the greatest in {s.share('first'):.0%} of the rows", False, names
            )
        return Finding("pair_no_background", said)
    if not queries or b.columns.least < -0.5:
        return Finding("pair_logits", said)
    return Finding(*_softmax_or_sigmoid(s, said), False, names)


def _softmax_or_sigmoid(scores: Seen, said: str) -> tuple[str, str]:
    """DETR's queries mostly answer 'no object', by a high last logit; with a sigmoid each, they answer by low ones."""
    last, negative = scores.share("last"), scores.share("negative")
    why = f"{said}; the last column is the greatest in {last:.0%} of the queries, and {negative:.0%} have only negative ones"
    return ("detr" if last > 0.5 and negative < 0.5 else "rtdetr"), why


def which_is_boxes(first: TensorInfo, second: TensorInfo, seen: Mapping[str, Seen]) -> int | None:
    """0 or 1 by width, by names, by numbers; None where none of them tells."""
    widths = [_shape(t, seen)[2] for t in (first, second)]
    # A width that the file leaves open may be four too.
    four = [not isinstance(w, int) or w == 4 for w in widths]
    if sum(four) < 2:
        return four.index(True) if any(four) else None
    named = [bool(_BOXES.search(t.name)) and not _SCORES.search(t.name) for t in (first, second)]
    if sum(named) == 1:
        return named.index(True)
    if widths.count(4) == 1:
        return widths.index(4)
    ranges = [seen[t.name].columns if t.name in seen else None for t in (first, second)]
    fractions = [r is not None and r.within(-0.5, 2) and not r.blank for r in ranges]
    return fractions.index(True) if sum(fractions) == 1 and None not in ranges else None


# A row an image, and maps.


def _rows_of_scores(
    info: ModelInfo, output: TensorInfo, shape: tuple[int | str | None, ...], seen: Seen | None
) -> Finding:
    width, classes = shape[1], len(info.labels() or [])
    if not _an_image_a_row(info, output, seen):
        key = "yolov7_end_to_end" if width == 7 else "detections_flat"
        return Finding(key, f"{output}: its first dimension is not the batch")
    if seen and seen.columns is not None:
        one = seen.sums[0] >= 0.99 and seen.sums[1] <= 1.01
        if seen.columns.probabilities and one and width != 1:
            because = f"each row sums to 1 on a picture{_width_said(width, classes)}"
            sure = classes == width or (not classes and width not in _WITH_BACKGROUND)
            return Finding("classify", because, sure, activation="none")
        unit = seen.lengths[0] >= 0.99 and seen.lengths[1] <= 1.01
        if unit and not classes:
            return Finding("embed", "each row has length 1 on a picture")
        if seen.columns.probabilities and classes:
            said = f"values from 0 to 1 that do not sum to 1: an activation is inside{_width_said(width, classes)}"
            return Finding("classify", said, False, activation="none")
    if width == 1:
        return Finding("unknown", "one value an image: a score or a regression")
    if classes:
        because = f"one output of two dimensions{_width_said(width, classes)}"
        return Finding("classify", because, classes == width)
    if width in _FEATURES:
        return Finding("embed", "one output of two dimensions without labels; it may be a classifier")
    return Finding(
        "classify", f"one output of two dimensions without labels; it may be an embedding{_width_said(width, 0)}"
    )


def _width_said(width: int | str | None, classes: int) -> str:
    if classes and classes != width:
        return f"; {classes} labels for {width} columns: which column is which class?"
    if width in _WITH_BACKGROUND:
        return f"; {width} columns: the first is often a background, which shifts every class by one"
    return f", {classes} labels for as many columns" if classes else ""


def _an_image_a_row(info: ModelInfo, output: TensorInfo, seen: Seen | None) -> bool:
    if seen is not None and not seen.an_image_a_row:
        return False
    batch = info.inputs[0].shape[0] if info.inputs and info.inputs[0].shape else None
    own, width = output.shape[0] if output.shape else None, output.shape[-1] if output.shape else None
    if own is None or batch is None or own == batch:
        return True
    if isinstance(own, int):
        return seen is not None or not isinstance(batch, int)
    # An open count of rows may be two words for the batch, or a count of detections, with their class as a whole number.
    if width not in (6, 7):
        return True
    return seen is not None and seen.columns is not None and not seen.columns.whole[5]


def _map(info: ModelInfo, shape: tuple[int | str | None, ...]) -> Finding:
    classes, channels = len(info.labels() or []), shape[1]
    if channels == 1:
        return Finding("one_channel", f"shape {_dims(shape)}")
    if isinstance(shape[3], int) and isinstance(channels, int) and shape[3] * 4 <= channels and shape[3] != channels:
        return Finding("channels_last", f"shape {_dims(shape)}")
    if classes and classes == channels:
        return Finding("segment", f"{classes} labels for as many channels", True)
    doubt = "; an image has three channels too" if channels == 3 else ""
    return Finding("segment", f"one output of four dimensions, {_dims(shape)}{doubt}")


def _dims(shape: tuple[int | str | None, ...]) -> str:
    return " × ".join("?" if d is None else str(d) for d in shape)


def _numbers(boxes: Ranges, scores: Ranges) -> str:
    return (
        f"on a picture, boxes from {boxes.least:.3g} to {boxes.most:.3g}, "
        f"scores from {scores.least:.3g} to {scores.most:.3g}"
    )
