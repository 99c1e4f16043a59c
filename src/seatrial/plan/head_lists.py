"""Rules for one list of anchors or detections: a tensor of three dimensions that holds boxes and scores side by side."""

from __future__ import annotations

from seatrial.model.file import ModelInfo
from seatrial.plan.head_finding import MOST_QUERIES, NOT_RUN, Finding, Hw, Shape, in_numbers
from seatrial.plan.seen import Ranges, Seen

# Four values of a box and the classes of the largest sets that detectors are trained on.
MOST_ROWS = 1300
# Radians.
TURN = 6.3
# One centre and size of ten may look like two corners, hardly four of four; and of many that are none not all do.
LEAST_BOXES, MANY_BOXES, ALL_CORNERS = 4, 20, 0.95


def find_in_list(info: ModelInfo, shape: Shape, seen: Seen | None, hw: Hw) -> Finding:
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
        ordered = seen.share("corners")
        if boxes.most <= 2:
            key = "end_to_end_fractions" if ordered >= 0.5 else "rtdetr_end_to_end"
            return Finding(key, in_numbers(boxes, fourth))
        if ordered < 0.5:
            return Finding("end_to_end_sizes", in_numbers(boxes, fourth))
        # Centre and size of one large box look like corners; of many boxes not all do.
        many = seen.counts.get("boxes", 0) >= LEAST_BOXES
        return Finding("end_to_end", f"{in_numbers(boxes, fourth)}, whole class numbers", ordered > 0.9 and many)
    if fourth.whole[0] and fifth.probabilities:
        return Finding("end_to_end_swapped", in_numbers(boxes, fifth))
    scores = seen.columns.part(4)
    if scores.probabilities and boxes.most <= 2:
        return Finding("rtdetr_joined", in_numbers(boxes, scores))
    if scores.probabilities and not _sizes_below_zero(boxes):
        return Finding("yolov5", f"a single class: {in_numbers(boxes, scores)}")
    return Finding("unknown", in_numbers(boxes, scores))


def _anchors_last(info: ModelInfo, rows: int, columns: int | str | None, seen: Seen | None, hw: Hw) -> Finding:
    classes = len(info.labels() or [])
    counted = f"{rows} rows are 4 + {rows - 4} classes"
    if seen is None or seen.rows is None:
        if classes and rows != 4 + classes:
            return _more_rows(rows, classes, f"{classes} labels, and {counted}")
        certain = bool(classes) and info.metadata.get("task") == "detect"
        return Finding(
            "yolov8",
            f"{counted}, as many as labels" if classes else f"{counted}; {NOT_RUN}",
            certain,
        )
    boxes, scores = seen.rows.part(0, 4), seen.rows.part(4)
    numbers = _told(boxes, scores, classes)
    if classes and rows != 4 + classes:
        found = _more_rows(rows, classes, f"{classes} labels, and {counted}; {numbers}")
        # Keypoints and coefficients go beyond 0 to 1; an angle need not.
        plain = scores.probabilities and found.key in ("pose", "instances_other")
        return Finding("unknown", found.because) if plain else found
    if boxes.blank and scores.blank:
        return Finding("yolov8", f"{counted}; the picture gave nothing but zeros")
    if _sizes_below_zero(boxes):
        return Finding("unknown", f"sizes below 0: {numbers}")
    if not scores.probabilities:
        return _not_probabilities(rows, boxes, scores)
    if boxes.most <= 2:
        return Finding("yolov8_fractions", numbers)
    grid = " (YOLOv8's grid)" if hw and columns == anchors(hw) else ""
    counted = f"{counted}, {columns} anchors{grid}; {numbers}"
    if seen.share("corners_of_rows") > ALL_CORNERS and seen.counts.get("boxes_of_rows", 0) >= MANY_BOXES:
        return Finding("yolov8", f"{counted}; the boxes look like two corners, and this format reads centre and size")
    return Finding("yolov8", counted, bool(classes))


def _more_rows(rows: int, classes: int, because: str) -> Finding:
    more = rows - 4 - classes
    if more == 1:
        return Finding("obb", because)
    if more == 32:
        return Finding("instances_other", because)
    return Finding("pose" if more > 0 and (more % 3 == 0 or more % 2 == 0) else "unknown", because)


def _leading(scores: Ranges) -> int:
    """How many are probabilities before the first that is none."""
    good = (scores.low >= -0.01) & (scores.high <= 1.01)
    return len(good) if good.all() else int(good.argmin())


def _told(boxes: Ranges, scores: Ranges, count: int) -> str:
    """count: of the first columns of `scores`, which are scores; what stands behind them is told apart."""
    if not 0 < count < len(scores.low):
        return in_numbers(boxes, scores)
    behind = scores.part(count)
    return f"{in_numbers(boxes, scores.part(0, count))}, what is behind from {behind.least:.3g} to {behind.most:.3g}"


def _not_probabilities(rows: int, boxes: Ranges, scores: Ranges) -> Finding:
    """Rows behind the boxes that are no probabilities: logits of all classes, or what another task appends."""
    leading = _leading(scores)
    because = _told(boxes, scores, leading)
    beyond = rows - 4 - leading
    if leading and beyond == 1 and scores.part(leading).within(-3.2, 4.8):
        return Finding("obb", because)
    if leading and scores.most > 2 and beyond >= 2:
        return Finding("pose", because)
    return Finding("unknown" if leading else "yolov8_logits", because)


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
    numbers = _told(boxes, scores, 1 + classes if classes else _leading(scores))
    if _is_nanodet(rows, columns, classes, seen.columns, hw):
        return Finding("nanodet", f"{rows} cells at strides 8 to 64, {columns} columns are {columns - 32} classes + 32")
    if few and boxes.most <= 2 and scores.probabilities:
        return Finding("rtdetr_joined", numbers)
    if columns > 6 and few and scores.part(0, 1).probabilities and scores.whole[1] and scores.high[1] < 10_000:
        return _more_columns(columns, scores, in_numbers(boxes, scores.part(0, 1)))
    if not scores.probabilities:
        return Finding("pose" if scores.most > 2 and scores.part(0, 1).probabilities else "unknown", numbers)
    if classes and columns == 4 + classes and not _sizes_below_zero(boxes):
        key = "yolov8_turned_fractions" if boxes.most <= 2 else "yolov8_turned"
        return Finding(key, f"{classes} labels; {numbers}")
    if rows == one and hw and _undecoded(boxes, hw):
        return Finding("yolox", f"{grid}; on a picture, boxes hold offsets from {boxes.least:.3g} to {boxes.most:.3g}")
    if boxes.most <= 2:
        return Finding("yolov5_fractions", numbers)
    if _sizes_below_zero(boxes):
        return Finding("unknown", f"sizes below 0: {numbers}")
    if classes and columns == 185 + classes:
        return Finding(
            "obb_other",
            f"{classes} labels, {columns} columns: an angle as 180 classes, as YOLOv5-obb has it; {numbers}",
        )
    if classes and columns != 5 + classes:
        return Finding(
            "instances_other" if columns == 37 + classes else "unknown",
            f"{classes} labels, {columns} columns; {numbers}",
        )
    if few:
        return Finding("unknown", f"{rows} rows, which is no grid of anchors; {numbers}")
    key = "yolox_decoded" if rows == one else "yolov5"
    counted = f"{grid}, {columns} columns are 5 + {columns - 5} classes; {numbers}"
    if seen.share("corners") > ALL_CORNERS and seen.counts.get("boxes", 0) >= MANY_BOXES:
        return Finding(key, f"{counted}; the boxes look like two corners, and this format reads centre and size")
    return Finding(key, counted, bool(classes))


def _is_nanodet(rows: int | str | None, columns: int, classes: int, values: Ranges, hw: tuple[int, int] | None) -> bool:
    """Probabilities of classes, then 4 distributions of 8 bins as logits, a row for each cell of three or four levels."""
    if hw is None or columns <= 32 or (classes and columns != 32 + classes):
        return False
    counts = [sum(-(-hw[0] // s) * -(-hw[1] // s) for s in strides) for strides in ((8, 16, 32), (8, 16, 32, 64))]
    return rows in counts and values.part(0, columns - 32).probabilities and not values.part(columns - 32).probabilities


def _more_columns(columns: int, scores: Ranges, because: str) -> Finding:
    """End-to-end detections with more behind the class; scores: all behind the box."""
    if scores.part(0, 1).blank:
        return Finding("unknown", because)
    angle = scores.part(2)
    if columns == 7 and angle.within(-TURN, TURN) and not angle.whole[0]:
        return Finding("obb_end_to_end", f"{because}, the last column from {angle.least:.3g} to {angle.most:.3g}")
    return Finding("end_to_end_more", because)


def _sizes_below_zero(boxes: Ranges) -> bool:
    """Far below, as features or offsets go. Anchors that hold nothing may miss by a few pixels where no softmax bounds them."""
    return float(boxes.low[2:].min()) < -0.1 * max(boxes.most, 1.0)


def _undecoded(boxes: Ranges, hw: tuple[int, int]) -> bool:
    """Offsets of a cell and logarithms of sizes: centres do not reach across the input, and exp(12) is beyond any."""
    return float(boxes.high[:2].max()) < max(hw) / 4 and float(boxes.high[2:].max()) < 12


def anchors(hw: tuple[int, int], strides: tuple[int, ...] = (8, 16, 32)) -> int:
    """Cells of all levels, as YOLO detectors since v3 count them."""
    return sum((hw[0] // s) * (hw[1] // s) for s in strides)
