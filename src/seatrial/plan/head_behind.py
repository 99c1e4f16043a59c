"""Rules for lists of boxes with more behind their classes: coefficients of masks, keypoints, an angle.

For: the layout that fits, and how many columns are what. Not for: lists of boxes and classes alone (head_lists.py).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence

from seatrial.model.file import ModelInfo, TensorInfo
from seatrial.plan.head_finding import MOST_QUERIES, Finding, shape_of
from seatrial.plan.head_pairs import find_in_pair
from seatrial.plan.seen import Ranges, Seen

# By layout: the axis of columns, and how many beside classes and what stands behind them.
_LAYOUTS = {"end_to_end": (2, 6), "yolov8": (1, 4), "yolov5": (2, 5)}
# Keypoints lie about their boxes, and all of them span as much; of anchors that hold nothing some lie far away.
NARROWEST, WIDEST_SPAN = 0.5, 4.0


def find_instances(info: ModelInfo, seen: Mapping[str, Seen], because: str, sure: bool = False) -> Finding:
    """Of a model with a list and a map of prototypes. sure: whether the metadata says that it is this task."""
    lists = [o for o in info.outputs if len(shape_of(o, seen)) == 3]
    maps = [o for o in info.outputs if len(shape_of(o, seen)) == 4]
    channels = shape_of(maps[0], seen)[1] if len(maps) == 1 else None
    if len(lists) != 1 or not isinstance(channels, int):
        return Finding("instances_other", f"outputs are {', '.join(map(str, info.outputs))}")
    layout, words, fits = _layout(info, lists[0], seen, channels)
    key = {"yolov8": "instances", "": "instances_other"}.get(layout, f"instances_{layout}")
    because = f"{because}; {words}, {channels} of them coefficients"
    if key != "instances_other" and (small := _fractions(layout, lists[0], seen)):
        key, because, sure = f"{key}_fractions", f"{because}; {small}", False
    return Finding(key, because, sure and fits, (lists[0].name, maps[0].name) if len(info.outputs) > 2 else ())


def find_queries(outputs: Sequence[TensorInfo], seen: Mapping[str, Seen]) -> Finding:
    """Of boxes, scores and masks in a tensor each, a row or a map a query."""
    lists = [o for o in outputs if len(shape_of(o, seen)) == 3]
    (masks,) = [o for o in outputs if len(shape_of(o, seen)) == 4]
    pair = find_in_pair(lists[0], lists[1], seen)
    queries = shape_of(lists[0], seen)[1]
    because = f"boxes, scores and masks in a tensor each; {pair.because}"
    if pair.key != "rtdetr" or shape_of(masks, seen)[1] != queries:
        return Finding("instances_other", because)
    return Finding("instances_queries", because, False, (*pair.outputs, masks.name))


def find_pose(info: ModelInfo, seen: Mapping[str, Seen], because: str, sure: bool = False) -> Finding:
    """Of a model with one list. sure: whether the metadata says that it is this task."""
    points = kpt_shape(info)
    head = info.outputs[0]
    if len(info.outputs) != 1 or len(shape_of(head, seen)) != 3:
        return Finding("pose_other", f"outputs are {', '.join(map(str, info.outputs))}")
    if points is None:
        guessed = _guessed_points(info, head, seen)
        if guessed is None:
            return Finding("pose_other", f"{because}; no metadata says how many keypoints there are (kpt_shape)")
        because = f"{because}; {guessed[0]} keypoints of {guessed[1]} values are a guess, no kpt_shape says it"
        points, sure = guessed, False
    layout, words, fits = _layout(info, head, seen, points[0] * points[1])
    key = {"yolov8": "pose", "end_to_end": "pose_end_to_end"}.get(layout, "pose_other")
    because = f"{because}; {words}, {points[0]} × {points[1]} of them keypoints"
    if key != "pose_other" and (apart := _apart(layout, head, seen, points)):
        because, sure = f"{because}; {apart}", False
    if key != "pose_other" and (small := _fractions(layout, head, seen)):
        key, because, sure = f"{key}_fractions", f"{because}; {small}", False
    return Finding(key, because, sure and fits, keypoints=points)


def find_oriented(info: ModelInfo, seen: Mapping[str, Seen], because: str, sure: bool = False) -> Finding:
    """Of a model with one list. sure: whether the metadata says that it is this task."""
    head = info.outputs[0]
    if len(info.outputs) != 1 or len(shape_of(head, seen)) != 3:
        return Finding("obb_other", f"outputs are {', '.join(map(str, info.outputs))}")
    layout, words, fits = _layout(info, head, seen, 1)
    key = {"yolov8": "obb", "end_to_end": "obb_end_to_end"}.get(layout, "obb_other")
    return Finding(key, f"{because}; {words}, the last of them an angle", sure and fits)


def boxes_alone(info: ModelInfo) -> bool:
    """Whether the file's one output has as many columns as a detector's boxes and classes, and nothing behind them."""
    classes = len(info.labels() or [])
    if len(info.outputs) != 1 or len(info.outputs[0].shape) != 3:
        return False
    return any(
        info.outputs[0].shape[axis] == fixed + (classes if layout != "end_to_end" else 0)
        for layout, (axis, fixed) in _LAYOUTS.items()
        if classes or layout == "end_to_end"
    )


def kpt_shape(info: ModelInfo) -> tuple[int, int] | None:
    """How many keypoints, and values each, as Ultralytics' exports write it; None where there is no sound one."""
    text = info.metadata.get("kpt_shape", "")
    if not re.fullmatch(r"\s*[\[(]\s*\d+\s*,\s*[23]\s*[\])]\s*", text):
        return None
    count, values = ast.literal_eval(text.strip())
    return (count, values) if count > 0 else None


def _layout(info: ModelInfo, head: TensorInfo, seen: Mapping[str, Seen], extra: int) -> tuple[str, str, bool]:
    """Its layout ('' where none fits), in words, and whether the counts leave no other: as many classes as labels."""
    shape, classes = shape_of(head, seen), len(info.labels() or [])
    rows, columns = shape[1], shape[2]
    words = f"{head.name} {rows} × {columns}"
    few = not isinstance(rows, int) or rows <= MOST_QUERIES
    if columns == 6 + extra and few:
        # One class fewer would be YOLOv5's, but of so few anchors there is none.
        return "end_to_end", words, isinstance(rows, int)
    for layout in ("yolov8", "yolov5"):
        axis, fixed = _LAYOUTS[layout]
        count = shape[axis]
        if isinstance(count, int) and classes and count == fixed + classes + extra:
            return layout, f"{words} are {fixed} + {classes} labels + {extra}", True
    for layout in ("yolov8", "yolov5"):
        axis, fixed = _LAYOUTS[layout]
        count, anchors = shape[axis], shape[3 - axis]
        if (
            not classes
            and isinstance(count, int)
            and count > fixed + extra
            and (not isinstance(anchors, int) or anchors > count)
        ):
            return layout, f"{words} are {fixed} + {count - fixed - extra} classes + {extra}", False
    return "", words, False


def _apart(layout: str, head: TensorInfo, seen: Mapping[str, Seen], points: tuple[int, int]) -> str:
    """Why keypoints are hardly in the unit of the boxes; '' where they span what these span, or nothing shows it."""
    values = _along(layout, head, seen)
    if values is None or values.part(0, 4).blank:
        return ""
    behind = values.part(-points[0] * points[1])
    spans = []
    for axis in range(2):
        own = behind.every(points[1], axis)
        last = axis + 2 if layout == "end_to_end" else axis
        of_boxes = float(values.high[last] - values.low[axis])
        if of_boxes <= 0:
            return ""
        spans.append((own.most - own.least) / of_boxes)
    if not (max(spans) < NARROWEST or min(spans) > WIDEST_SPAN):
        return ""
    return f"on a picture, keypoints span {max(spans):.2g} times what the boxes do: are they in another unit?"


def _along(layout: str, head: TensorInfo, seen: Mapping[str, Seen]) -> Ranges | None:
    """Of each of its columns."""
    numbers = seen.get(head.name)
    if numbers is None:
        return None
    return numbers.columns if _LAYOUTS[layout][0] == 2 else numbers.rows


def _fractions(layout: str, head: TensorInfo, seen: Mapping[str, Seen]) -> str:
    """Why its boxes are fractions of the input; '' where nothing shows that."""
    values = _along(layout, head, seen)
    if not values or values.part(0, 4).blank or values.part(0, 4).most > 2:
        return ""
    return f"on a picture, boxes from {values.part(0, 4).least:.3g} to {values.part(0, 4).most:.3g}"


def _guessed_points(info: ModelInfo, head: TensorInfo, seen: Mapping[str, Seen]) -> tuple[int, int] | None:
    """Of YOLOv8's layout by the count of labels, else by how many rows behind the boxes hold probabilities before others do;
    of an end-to-end list by what stands behind the class."""
    (_, rows, columns), classes = shape_of(head, seen), len(info.labels() or [])
    numbers = seen.get(head.name)
    if isinstance(columns, int) and isinstance(rows, int) and columns < rows:
        behind = numbers.columns.part(6) if numbers is not None and numbers.columns is not None else None
        return _points(columns - 6, behind) if rows <= MOST_QUERIES else None
    values = numbers.rows if numbers is not None else None
    if not isinstance(rows, int):
        return None
    if not classes and values is not None:
        scores = values.part(4)
        classes = int(((scores.low >= -0.01) & (scores.high <= 1.01)).argmin())
    return _points(rows - 4 - classes, values.part(4 + classes) if values else None) if classes else None


def _points(columns: int, values: Ranges | None) -> tuple[int, int] | None:
    for each in (3, 2):
        if columns < each or columns % each:
            continue
        if values is None or (_places(values.every(each, 0)) and (each == 2 or values.every(3, 2).probabilities)):
            return columns // each, each
    return None


def _places(values: Ranges) -> bool:
    """Pixels may lie a little outside the picture; coefficients are as often below 0 as above."""
    return values.most > 2 and values.least > -0.5 * values.most
