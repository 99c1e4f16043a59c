"""What the numbers of a run say against a layout that is read by its parts: scores, class numbers, and the unit of its boxes.

For: plausibility.py, about formats that only NumPy reads. Not for: formats of C++, or whether boxes fit their pictures
(box_reach.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from seatrial.kernels.detection_layouts import MOST_OFFSET
from seatrial.kernels.detector_format import FRACTIONS, PIXELS, Format, Part
from seatrial.plan.seen import Ranges, Seen

# A box of that many pixels is none: what is smaller is a fraction of the input.
TINY_PX = 2.0
# Boxes that are chosen leave the input by little; of anchors that hold nothing, some are twice as wide.
FRACTIONS_OF_CHOSEN, FRACTIONS_OF_ANCHORS = (-0.5, 2.0), (-16.0, 16.0)
# Corners lie in order; of centres and sizes a few do by chance, all of so many do not.
MOST_IN_ORDER, LEAST_BOXES = 0.95, 20
CENTRES = ("yolov8", "yolov5", "yolov8_turned", "yolov8_logits", "rtdetr_joined", "rtdetr_end_to_end")
_OFFSET = ("yolov7_end_to_end", "yolonas_flat", "paddle")


def against_layout(
    form: Format, unit: str, tensors: Sequence[Seen], labels: int, count_problem: Callable[[int], str]
) -> str:
    """Why the tensors cannot be what the format reads, as a phrase behind 'which'; '' where nothing shows that.

    tensors: in the decoder's order, as they came. labels: how many there are. count_problem: of so many classes.
    """
    found = {p.name: part_of(p, tensors[p.output]) for p in form.parts if p.output < len(tensors)}
    images = images_of(tensors[0])
    if problem := _scores(form, found, tensors, images, count_problem):
        return problem
    classes = found.get("classes")
    if classes is not None and not classes.blank:
        if not classes.whole.all() or classes.least < -1:
            return f"expects class numbers, but they go from {span(classes)} and are not all whole"
        if labels and classes.most >= labels:
            return beyond_labels(classes.most, labels)
    offsets = found.get("offsets")
    if offsets is not None and not offsets.within(-MOST_OFFSET, MOST_OFFSET):
        return f"expects offsets from anchors, but they go from {span(offsets)} over {images}"
    boxes = found.get("boxes")
    return _boxes(form, unit, boxes, tensors[0], images) if boxes is not None else ""


def _scores(
    form: Format,
    found: dict[str, Ranges | None],
    tensors: Sequence[Seen],
    images: str,
    count_problem: Callable[[int], str],
) -> str:
    if form.fixed and form.class_columns and (problem := count_problem(_columns(form, tensors[0]) - form.fixed)):
        return problem
    logits, scores = found.get("logits"), found.get("scores")
    if logits is not None and logits.probabilities and not logits.blank:
        return f"expects logits, but all scores are probabilities already ({span(logits)} over {images})"
    # -1 is what exports fill up with, behind what was found.
    low = -1.01 if form.ranked else -0.01
    if scores is not None and not scores.blank and not scores.within(low, 1.01):
        return f"expects probabilities, but its scores go from {span(scores)} over {images}"
    return ""


def _boxes(form: Format, unit: str, boxes: Ranges, seen: Seen, images: str) -> str:
    if boxes.blank:
        return ""
    if unit == FRACTIONS:
        low, high = FRACTIONS_OF_CHOSEN if not form.needs_nms else FRACTIONS_OF_ANCHORS
        if not boxes.within(min(low, -1.0) if form.ranked else low, high):
            return f"expects boxes as fractions of the input, but they go from {span(boxes)} over {images}"
    elif boxes.most <= TINY_PX:
        whose = "" if unit == PIXELS else " of the picture"
        return f"expects boxes in pixels{whose}, but all are smaller than {TINY_PX:g} px (up to {boxes.most:.3g} over {images})"
    if form.name in _OFFSET or "boxes" not in form.roles:
        return ""
    in_order = seen.share("corners")
    if form.name not in CENTRES and in_order < 0.5:
        return f"expects corners, but in {1 - in_order:.0%} of the boxes the second lies before the first"
    if form.name == "rtdetr_end_to_end" and in_order > MOST_IN_ORDER and seen.counts.get("boxes", 0) >= LEAST_BOXES:
        return f"expects centre and size, but {in_order:.0%} of the boxes are corners, the second behind the first"
    return ""


def without(form: Format, seen: Seen, extra: int) -> Seen:
    """A head without the last `extra` columns, which another task keeps behind the classes."""
    if not extra:
        return seen
    axis = 2 - form.anchor_axis
    shape = tuple(size - extra * (k == axis) for k, size in enumerate(seen.shape))
    if form.anchor_axis:
        return replace(seen, shape=shape, rows=seen.rows and seen.rows.part(0, -extra))
    return replace(seen, shape=shape, columns=seen.columns and seen.columns.part(0, -extra))


def against_points(points: Ranges, each: int, unit: str, seen: Seen) -> str:
    """Why columns cannot be keypoints of so many values each; a phrase behind 'which', '' where nothing shows that."""
    if each == 3 and not points.every(3, 2).probabilities:
        there = f"{span(points.every(3, 2))} over {images_of(seen)}"
        return f"expects a probability as the third value of each keypoint, but they go from {there}"
    places = [points.every(each, k) for k in range(2)]
    least, most = min(p.least for p in places), max(p.most for p in places)
    if all(p.blank for p in places):
        return ""
    if unit == FRACTIONS and not (FRACTIONS_OF_ANCHORS[0] <= least and most <= FRACTIONS_OF_ANCHORS[1]):
        return f"expects keypoints as fractions of the input, but they go from {least:.3g} to {most:.3g} over {images_of(seen)}"
    if unit != FRACTIONS and most <= TINY_PX:
        return f"expects keypoints in pixels, but all are below {TINY_PX:g} over {images_of(seen)}"
    return ""


def part_of(part: Part, seen: Seen) -> Ranges | None:
    """A part's ranges, along whichever side of its tensor was looked at."""
    whole = part.start == 0 and part.stop is None
    along = seen.rows if len(seen.shape) == 3 and part.axis == 0 else seen.columns
    if along is None and whole:
        along = seen.rows if seen.rows is not None else seen.columns
    return along if along is None or whole else along.part(part.start, part.stop)


def _columns(form: Format, seen: Seen) -> int:
    return seen.shape[2 - form.anchor_axis]


def beyond_labels(most: float, labels: int) -> str:
    """Of class numbers that no label stands for; of one too many, which is mostly a count from 1, with the cure."""
    said = f"gives class numbers up to {most:.0f}, but there are {labels} labels"
    if most != labels:
        return said
    return (
        f"{said}, for 0 to {labels - 1}; counted from 1? give class 0 a label in front of the others, such as background "
        "(labels: [background, …], in a file a first line)"
    )


def span(values: Ranges) -> str:
    return f"{values.least:.3g} to {values.most:.3g}"


def images_of(seen: Seen) -> str:
    return f"{seen.images} image{'' if seen.images == 1 else 's'}"


def tiny(boxes: Ranges, seen: Seen) -> str:
    """What is wrong with boxes that are all smaller than a pixel or two; '' where they are not."""
    if boxes.blank or boxes.most > TINY_PX:
        return ""
    return f"expects boxes in pixels, but all are smaller than {TINY_PX:g} px (up to {boxes.most:.3g} over {images_of(seen)})"
