"""Mistakes behind the model: what scores go through, by which rule a head is read, how a map comes to the picture's size.

For: the list of all of them. Not for: boxes, labels and thresholds themselves, which have modules of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.diagnosis import detector
from seatrial.diagnosis.detector import FAMILIES
from seatrial.diagnosis.mutation import Mutation, setting
from seatrial.diagnosis.mutations.boxes import box_mutations, rule
from seatrial.diagnosis.mutations.edges import edge_mutations
from seatrial.diagnosis.mutations.labels import label_mutations
from seatrial.diagnosis.mutations.maps import map_mutations
from seatrial.diagnosis.mutations.scored import scores_in
from seatrial.diagnosis.mutations.scores import score_mutations
from seatrial.diagnosis.mutations.shared_places import shared_place_mutations
from seatrial.diagnosis.mutations.suppression import suppression_mutations
from seatrial.diagnosis.mutations.thresholds import threshold_mutations
from seatrial.diagnosis.stages import OUTPUTS, RESULTS
from seatrial.diagnosis.way import At, Way
from seatrial.kernels import reference
from seatrial.kernels.detection_formats import FORMATS
from seatrial.plan import pipelines, tasks

Array = npt.NDArray[Any]


def result_mutations(way: Way) -> Iterator[Mutation]:
    post = way.spec.postprocess
    if not isinstance(post, pipelines.Postprocess):
        return
    yield from _activations(way, post)
    yield from _modes(post)
    yield from label_mutations(way, post)
    yield from box_mutations(post)
    if post.task == "detect" and post.format in FAMILIES:
        yield from edge_mutations()
    yield from threshold_mutations(post)
    yield from suppression_mutations(post)
    yield from score_mutations(way, post)
    yield from shared_place_mutations(way)
    yield from map_mutations(post)


_SQUASHED: dict[str, tuple[str, Callable[[Array], Array]]] = {
    "softmax": ("a softmax", lambda x: reference.softmax(x)),
    "sigmoid": ("a sigmoid", lambda x: reference.sigmoid(x)),
}


def _activations(way: Way, post: pipelines.Postprocess) -> Iterator[Mutation]:
    """What scores go through: at the model's outputs, where the candidate's model ends otherwise, and behind them."""
    key = "postprocess.activation"
    for name, (said, _) in _SQUASHED.items():
        change = scores_changed(way, post, name)
        if change is None:
            break
        yield Mutation("activation", f"its model gives scores through {said} more", OUTPUTS, _at(OUTPUTS, change), key)
        if post.task != "detect":
            what = f"puts scores through {said} before all else"
            yield Mutation("activation", what, RESULTS, _before(change), key)
    for name, words in (("log_odds", "without their sigmoid"), ("log", "without their softmax")):
        change = scores_changed(way, post, name)
        if change is not None:
            yield Mutation("activation", f"its model gives scores {words}", OUTPUTS, _at(OUTPUTS, change), key)
    if post.task == "detect" and post.format in FAMILIES:
        yield from _of_detectors(post)
    elif post.task in ("classify", "segment", "text"):
        for other in ("softmax", "sigmoid", "none"):
            if other != post.activation or "activation" not in post.model_fields_set:
                said = "takes scores as they are" if other == "none" else f"puts scores through a {other} alone"
                yield setting("activation", said, RESULTS, "postprocess", activation=other)


def _at(stage: str, change: Callable[[At], At]) -> Callable[[Way], Way]:
    return lambda way: way.behind(stage, change)


def _before(change: Callable[[At], At]) -> Callable[[Way], Way]:
    return lambda way: way.before(RESULTS, change)


def _of_detectors(post: pipelines.Postprocess) -> Iterator[Mutation]:
    own = FAMILIES[post.format or ""].activation
    chains = {
        (): "takes scores as they are",
        ("sigmoid",): "puts scores through a sigmoid",
        ("softmax",): "puts scores through a softmax",
    }
    chains |= {(*own, more): f"puts scores through a {more} once more" for more in ("sigmoid", "softmax") if own}
    for chain, what in chains.items():
        if chain != own:
            yield rule("activation", what, "format", activation=chain)


_TRANSFORMS: dict[str, Callable[[Array], Array]] = {
    "softmax": reference.softmax,
    "sigmoid": reference.sigmoid,
    "log_odds": detector.ACTIVATIONS["log_odds"],
    "log": lambda x: np.log(np.maximum(x, np.float32(1e-30))),
}


def scores_changed(way: Way, post: pipelines.Postprocess, name: str) -> Callable[[At], At] | None:
    """The part of the outputs that holds scores, put through something along its classes; None where none does."""
    part = scores_in(way, post)
    if part is None:
        return None

    def along_classes(values: Array) -> Array:
        made = _TRANSFORMS[name](np.ascontiguousarray(np.moveaxis(values, part.axis, -1)))
        return np.moveaxis(made, -1, part.axis)

    return part.changed(along_classes)


def _modes(post: pipelines.Postprocess) -> Iterator[Mutation]:
    if post.task == "detect" and post.format in FAMILIES:
        yield from _heads(post)
    named = post.format or ""
    if post.task in tasks.OBJECTS and post.task != "detect":
        for other in tasks.FORMATS[post.task]:
            if FORMATS[other].name != FORMATS[named].name:
                yield setting("decode-mode", f"reads the head as {other}", RESULTS, "postprocess", format=other)
    if named == "ctc":
        other = "last" if post.blank == "first" else "first"
        yield setting("decode-mode", f"takes the {other} class for the blank", RESULTS, "postprocess", blank=other)
    if post.task == "classify":
        other_rule = "all classes above a threshold" if not post.multi_label else "the best classes"
        yield setting("decode-mode", f"gives {other_rule}", RESULTS, "postprocess", multi_label=not post.multi_label)
    if post.task == "segment":
        for other in tasks.FORMATS["segment"]:
            if other != (post.format or "scores"):
                yield setting("decode-mode", f"reads the map as {other}", RESULTS, "postprocess", format=other)


def _heads(post: pipelines.Postprocess) -> Iterator[Mutation]:
    """Another family's rule for the same tensors."""
    named = post.format or ""
    family = FAMILIES[named]
    joined = named in ("yolov8", "yolo11", "yolov8_logits", "yolov8_turned", "rtdetr_joined")
    if joined:
        what = "reads the first class as objectness (YOLOv5's rule)"
        yield rule("decode-mode", what, "format", objectness=detector.FROM_CLASS)
        yield rule(
            "layout-reshape", "reshapes the head where it is to be transposed", "format", read=_turned(family.read)
        )
    if named in ("yolov5", "yolox", "yolox_decoded"):
        rules = {
            detector.AS_CLASS: "reads objectness as the first class (YOLOv8's rule)",
            detector.IGNORED: "passes objectness over",
            detector.ALONE: "takes objectness alone for the score",
        }
        for objectness, what in rules.items():
            yield rule("decode-mode", what, "format", objectness=objectness)
    if named == "yolox":
        yield rule("decode-mode", "takes YOLOX's offsets for boxes", "format", read=FAMILIES["yolov5"].read)
    if named == "yolox_decoded":
        yield rule("decode-mode", "decodes boxes once more, as YOLOX's offsets", "format", read=FAMILIES["yolox"].read)
    if FORMATS[named].output_ranks == (3, 3):
        for other, own in FAMILIES.items():
            alike = own.read is family.read and other != named and own.form == family.form
            if alike and (own.activation, own.background) != (family.activation, family.background):
                values: dict[str, Any] = {
                    "activation": own.activation,
                    "background": own.background,
                    "each_class": own.each_class,
                    "unit": own.unit if post.boxes is None else post.boxes,
                    "nms": FORMATS[other].needs_nms,
                }
                yield rule("decode-mode", f"reads the head as {other}", "format", **values)
        if family.background:
            what = "counts the background as a class"
            yield rule("label-offset", what, "format", background=None)
    if FORMATS[named].class_columns:
        if family.each_class:
            yield rule("decode-mode", "takes the best class of each box alone", "format", each_class=False)
        else:
            yield rule("decode-mode", "takes all classes of each box, not the best", "format", each_class=True)
    elif FORMATS[named].output_ranks in ((3,), (2,)):
        yield from _columns(named)


def _columns(named: str) -> Iterator[Mutation]:
    """Of a detection a row: which column is what."""
    orders = {"end_to_end": (0, 4, 5), "yolov7_end_to_end": (1, 6, 5), "yolonas_flat": (1, 5, 6), "paddle": (2, 1, 0)}
    box, score, label = orders.get(named, (0, 4, 5))
    swapped = detector.columns_read(box, label, score)
    yield rule("decode-mode", "takes the class for the score and the score for the class", "format", read=swapped)


def _turned(read: detector.Read) -> detector.Read:
    """What a reshape in place of a transpose makes of a head."""

    def turned(rows: list[npt.NDArray[np.float32]], input_hw: tuple[int, int]) -> detector.Head:
        first = np.ascontiguousarray(rows[0])
        return read([first.reshape(first.shape[::-1]).T, *rows[1:]], input_hw)

    return turned
