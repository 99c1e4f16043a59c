"""A detector's postprocess with each of its rules to be changed alone: how boxes are read, which scores count, the way back.

For: mistakes that no plan could ask for. Not for: results (kernels/postprocess.py, which this equals unchanged).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.diagnosis.stages import RESULTS
from seatrial.diagnosis.steps import Maker
from seatrial.diagnosis.way import At, Step, Subject, Way
from seatrial.kernels import detection_layouts as layouts
from seatrial.kernels import reference
from seatrial.kernels.detection_formats import FORMATS, image_rows, yolox_grid
from seatrial.kernels.detector_format import FRACTIONS, PIXELS, SOURCE
from seatrial.kernels.geometry import Geometry
from seatrial.kernels.results import Detections
from seatrial.pipeline.outputs_read import outputs_read
from seatrial.plan import pipelines

Array = npt.NDArray[Any]
F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
CORNERS, CENTRE, CORNER_SIZE, Y_FIRST = "xyxy", "cxcywh", "xywh", "yxyx"
CENTRE_Y_FIRST, CORNER_SIZE_Y_FIRST = "cycxhw", "yxhw"


@dataclass(frozen=True, eq=False)
class Head:
    """One image's tensors by what they mean, before any rule. boxes (N, 4) as they are written; scores (N, classes) as they are
    written, objectness (N,) where there is one; of detections that the model has chosen, scores (N, 1) and class_ids (N,)."""

    boxes: F32
    scores: F32
    objectness: F32 | None = None
    class_ids: I64 | None = None


Read = Callable[[list[F32], tuple[int, int]], Head]


def _joined(rows: F32, objectness: bool = False) -> Head:
    if objectness:
        return Head(rows[:, :4], rows[:, 5:], rows[:, 4])
    return Head(rows[:, :4], rows[:, 4:])


def _undecoded(rows: list[F32], input_hw: tuple[int, int]) -> Head:
    head, grid = rows[0], yolox_grid(input_hw)
    centre = (head[:, :2] + grid[:, :2]) * grid[:, 2:]
    return Head(np.concatenate([centre, reference.exp32(head[:, 2:4]) * grid[:, 2:]], axis=1), head[:, 5:], head[:, 4])


def _named(boxes: F32, scores: F32, labels: F32) -> Head:
    known = np.isfinite(labels) & (np.abs(labels) < 2**31)
    return Head(boxes, np.where(known, scores, np.nan)[:, None], class_ids=np.where(known, labels, 0).astype(np.int64))


def columns_read(box: int, score: int, label: int) -> Read:
    return lambda rows, _: _named(rows[0][:, box : box + 4], rows[0][:, score], rows[0][:, label])


@dataclass(frozen=True)
class _Family:
    """How a format writes: its boxes' form, activation of scores, the column that is no class, whether each class counts."""

    read: Read
    form: str
    activation: tuple[str, ...] = ()
    background: str | None = None
    each_class: bool = False
    unit: str = PIXELS


_V8 = _Family(lambda rows, _: _joined(rows[0].T), CENTRE)
_TURNED = _Family(lambda rows, _: _joined(rows[0]), CENTRE)
_V5 = _Family(lambda rows, _: _joined(rows[0], objectness=True), CENTRE)
_ROWS = _Family(columns_read(0, 4, 5), CORNERS)
_PAIR: Read = lambda rows, _: Head(rows[0], rows[1])  # noqa: E731
_TRIPLE: Read = lambda rows, _: _named(rows[0], rows[1], rows[2])  # noqa: E731
FAMILIES: dict[str, _Family] = {
    "yolov8": _V8,
    "yolo11": _V8,
    "yolov8_logits": _Family(_V8.read, CENTRE, ("sigmoid",)),
    "yolov8_turned": _TURNED,
    "rtdetr_joined": _Family(_TURNED.read, CENTRE, unit=FRACTIONS),
    "yolov5": _V5,
    "yolox_decoded": _V5,
    "yolox": _Family(_undecoded, CENTRE),
    **dict.fromkeys(("end_to_end", "yolov10", "yolo26", "detections_flat"), _ROWS),
    "rtdetr_end_to_end": _Family(_ROWS.read, CENTRE, unit=FRACTIONS),
    "yolov7_end_to_end": _Family(columns_read(1, 6, 5), CORNERS),
    "yolonas_flat": _Family(columns_read(1, 5, 6), CORNERS),
    "paddle": _Family(columns_read(2, 1, 0), CORNERS, unit=SOURCE),
    "ssd": _Family(_PAIR, CORNERS, background="first", unit=FRACTIONS),
    "detr": _Family(_PAIR, CENTRE, ("softmax",), "last", unit=FRACTIONS),
    "rtdetr": _Family(_PAIR, CENTRE, ("sigmoid",), each_class=True, unit=FRACTIONS),
    **dict.fromkeys(("yolonas", "damoyolo"), _Family(_PAIR, CORNERS)),
    "ppyoloe": _Family(lambda rows, _: Head(rows[0], rows[1].T), CORNERS),
    "nms_tensors": _Family(_TRIPLE, CORNERS),
    "nms_tensors_yxyx": _Family(_TRIPLE, Y_FIRST, unit=FRACTIONS),
    "mmdet": _Family(lambda rows, _: _named(rows[0][:, :4], rows[0][:, 4], rows[1]), CORNERS),
}
# (boxes xyxy in pixels of the input, where its pixels went) -> boxes in the picture's, not clipped; or of the picture's.
Placed = Callable[[F64, Geometry], F64]
TIMES, IGNORED, ALONE, AS_CLASS, FROM_CLASS = "times", "ignored", "alone", "as_class", "from_class"
SCORE, OBJECTNESS, CLASS_ALONE = "score", "objectness", "class_alone"


def back(boxes: F64, g: Geometry) -> F64:
    """As Geometry.to_image, before it clips."""
    return np.asarray((boxes - [g.offset_x, g.offset_y] * 2) / ([g.scale_x, g.scale_y] * 2))


def as_it_is(boxes: F64, _: Geometry) -> F64:
    return boxes


@dataclass(frozen=True)
class Rules:
    """One detector's rules. form: how a box's four numbers are read. unit: what they count. activation: of scores, in order.
    background: which column is dropped. objectness: times the scores, or what else becomes of it. each_class: whether an anchor
    offers all its classes. held: what the confidence is held against. corners: what becomes of these in the input.
    keeps_empty: boxes without area too. before_nms: so many of the best candidates go into NMS, all where None. suppressed:
    what NMS takes for boxes. clip: to the picture's sides less `margin`. written: what becomes of the picture's boxes at the
    end."""

    read: Read
    form: str
    unit: str
    activation: tuple[str, ...]
    background: str | None
    each_class: bool
    objectness: str
    confidence: float
    iou: float
    class_agnostic: bool
    max_detections: int
    nms: bool
    held: str = SCORE
    corners: Callable[[F32], F32] | None = None
    keeps_empty: bool = False
    before_nms: int | None = None
    suppressed: Placed = as_it_is
    back: Placed = back
    clip: bool = True
    margin: int = 0
    written: Placed = as_it_is

    def __call__(self, rows: list[F32], geometry: Geometry) -> Detections:
        boxes, scores, classes = self._candidates(self.read(rows, geometry.input_hw), geometry)
        chosen = reference.top_k(scores, (self.before_nms if self.nms else self.max_detections) or len(scores))
        if self.nms and self.iou < 1:
            taken = self.suppressed(boxes[chosen].astype(np.float64), geometry).astype(np.float32)
            there, settings = np.isfinite(taken).all(axis=1), (self.iou, self.class_agnostic, self.max_detections)
            chosen = chosen[there]
            chosen = chosen[reference.nms(taken[there], scores[chosen], classes[chosen], *settings)]
        chosen = chosen[: self.max_detections or None]
        placed = self._placed(boxes[chosen], geometry)
        seen = self._with_area(placed)
        written = self.written(placed[seen], geometry).astype(np.float32)
        return Detections(written, scores[chosen][seen], classes[chosen][seen])

    def _candidates(self, head: Head, geometry: Geometry) -> tuple[F32, F32, I64]:
        scores, classes, anchors = self._scored(head)
        kept = self._held(head, scores, anchors) > self.confidence
        scores, classes, anchors = scores[kept], classes[kept], anchors[kept]
        boxes = _CORNERS[self.form](head.boxes[anchors])
        height, width = geometry.input_hw
        if self.unit == FRACTIONS:
            boxes = boxes * np.array([width, height] * 2, np.float32)
        elif self.unit == "fractions_hw":
            boxes = boxes * np.array([height, width] * 2, np.float32)
        boxes = self.corners(boxes) if self.corners else boxes
        sound = np.isfinite(boxes).all(axis=1) & self._with_area(boxes)
        return boxes[sound], scores[sound], classes[sound]

    def _held(self, head: Head, scores: F32, anchors: I64) -> F32:
        if self.held == SCORE or head.objectness is None:
            return scores
        own = head.objectness[anchors]
        return own if self.held == OBJECTNESS else scores / own

    def _scored(self, head: Head) -> tuple[F32, I64, I64]:
        """Of each candidate its score, class and anchor."""
        columns, objectness = head.scores, head.objectness
        if self.objectness == AS_CLASS and objectness is not None:
            columns, objectness = np.concatenate([objectness[:, None], columns], axis=1), None
        elif self.objectness == FROM_CLASS and columns.shape[1] > 1:
            columns, objectness = columns[:, 1:], columns[:, 0]
        elif self.objectness == IGNORED:
            objectness = None
        for name in self.activation:
            columns = ACTIVATIONS[name](columns)
            objectness = None if objectness is None else reference.sigmoid(objectness)
        if self.background is not None and columns.shape[1] > 1:
            columns = columns[:, 1:] if self.background == "first" else columns[:, :-1]
        anchors = np.arange(len(columns), dtype=np.int64)
        if self.each_class:
            scores = columns if objectness is None else columns * objectness[:, None]
            classes = np.tile(np.arange(columns.shape[1], dtype=np.int64), len(columns))
            return scores.reshape(-1), classes, np.repeat(anchors, columns.shape[1])
        classes = columns.argmax(axis=1).astype(np.int64)
        scores = columns[anchors, classes]
        if objectness is not None:
            scores = objectness if self.objectness == ALONE else scores * objectness
        return scores, classes if head.class_ids is None else head.class_ids, anchors

    def _placed(self, boxes: F32, geometry: Geometry) -> F64:
        placed = boxes.astype(np.float64)
        if self.unit != SOURCE:
            placed = self.back(placed, geometry)
        if not self.clip:
            return placed
        height, width = geometry.source_hw
        return np.clip(placed, 0, np.array([width, height] * 2) - self.margin)

    def _with_area(self, boxes: Array) -> npt.NDArray[np.bool_]:
        if self.keeps_empty:
            return np.ones(len(boxes), np.bool_)
        return np.asarray((boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1]))


_CORNERS: dict[str, Callable[[F32], F32]] = {
    CORNERS: lambda b: b,
    CENTRE: layouts.cxcywh_to_xyxy,
    CORNER_SIZE: lambda b: np.concatenate([b[:, :2], b[:, :2] + b[:, 2:4]], axis=1),
}


def _turned(form: str) -> Callable[[F32], F32]:
    return lambda b: _CORNERS[form](b[:, [1, 0, 3, 2]])


_CORNERS |= {Y_FIRST: _turned(CORNERS), CENTRE_Y_FIRST: _turned(CENTRE), CORNER_SIZE_Y_FIRST: _turned(CORNER_SIZE)}


def _log_odds(p: F32) -> F32:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.log(p / (1 - p)), np.float32)


ACTIVATIONS: dict[str, Callable[[F32], F32]] = {
    "sigmoid": reference.sigmoid,
    "softmax": reference.softmax,
    "log_odds": _log_odds,
}


def rules_of(spec: pipelines.Pipeline) -> Rules:
    """As the plan has them. ValueError where they are not a detector's, or of a format that is not read here."""
    post = spec.postprocess
    if not isinstance(post, pipelines.Postprocess) or post.task != "detect" or post.format not in FAMILIES:
        raise ValueError("only a detector's postprocess has these rules")
    family = FAMILIES[post.format]
    unit = post.boxes or family.unit
    return Rules(
        family.read, family.form, unit, family.activation, family.background, family.each_class, TIMES,
        post.confidence, post.iou, post.class_agnostic, post.max_detections, FORMATS[post.format].needs_nms,
    )  # fmt: skip


@dataclass(frozen=True)
class Ruled:
    """What makes the step `results` of a detector's rules with changes; of other settings it makes the same again."""

    changes: tuple[Callable[[Rules], Rules], ...]

    def __call__(self, subject: Subject, spec: pipelines.Pipeline) -> Step:
        rules, post = rules_of(spec), spec.postprocess
        assert isinstance(post, pipelines.Postprocess)
        for change in self.changes:
            rules = change(rules)
        names = [o.name for o in subject.model.outputs]
        read = [names.index(n) for n in outputs_read(post, subject.model.outputs)]

        def step(at: At) -> At:
            assert at.geometry
            assert post.format
            rows = image_rows(post.format, [at.value[i] for i in read], 1)[0]
            with np.errstate(over="ignore", invalid="ignore"):
                return At(rules(rows, at.geometry), at.geometry)

        return step


def with_rules(way: Way, change: Callable[[Rules], Rules]) -> Way:
    """The same, with rules changed once more. ValueError where it has none of these."""

    def remade(maker: Maker) -> Maker:
        return Ruled((*(maker.changes if isinstance(maker, Ruled) else ()), change))

    return way.with_maker(RESULTS, remade)
