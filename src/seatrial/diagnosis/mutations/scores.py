"""Mistakes of finished scores and of their axes: percent, log-odds, a softmax along another axis, a class that is dropped.

For: what is done to scores beside the activation that the plan names. Not for: that one (results.py), or class numbers alone
(labels.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.diagnosis import detector
from seatrial.diagnosis.detector import FAMILIES
from seatrial.diagnosis.mutation import Mutation
from seatrial.diagnosis.mutations.boxes import rule
from seatrial.diagnosis.mutations.labels import with_classes
from seatrial.diagnosis.mutations.model import BATCHES
from seatrial.diagnosis.mutations.scored import Part, scores_in
from seatrial.diagnosis.stages import OUTPUTS, RESULTS
from seatrial.diagnosis.way import At, Mates, Way
from seatrial.kernels import reference
from seatrial.kernels.results import Text
from seatrial.plan import pipelines

Array = npt.NDArray[Any]
I64 = npt.NDArray[np.int64]
_KEY = "postprocess.activation"


def score_mutations(way: Way, post: pipelines.Postprocess) -> Iterator[Mutation]:
    if post.task in ("detect", "instances", "pose", "oriented", "text", "classify"):
        yield from _written()
    part = scores_in(way, post)
    if part is None:
        return
    yield from _other_axes(part, way, post)
    yield from _dropped(post, part)


def _written() -> Iterator[Mutation]:
    """When all is chosen by the right ones."""
    forms: dict[str, Callable[[Array], Array]] = {
        "gives scores in percent (100 times as large)": lambda s: s * 100,
        "gives log-odds (what goes into a sigmoid) for scores": lambda s: detector.ACTIVATIONS["log_odds"](s),
        "gives logarithms (what goes into a softmax) for scores": lambda s: np.log(np.maximum(s, 1e-30)),
        "gives fractions of a percent for scores (1/100 as large)": lambda s: s / 100,
    }
    for what, form in forms.items():
        yield Mutation("activation", what, RESULTS, _rescored(form), _KEY)


def _rescored(form: Callable[[Array], Array]) -> Callable[[Way], Way]:
    def change(at: At) -> At:
        if isinstance(at.value, Text):
            made = np.asarray(form(np.array([at.value.score], np.float32)), np.float32)
            return At(replace(at.value, score=made[0]), at.geometry)
        if getattr(at.value, "scores", None) is None:
            raise ValueError("results without scores")
        return At(replace(at.value, scores=np.asarray(form(at.value.scores), np.float32)), at.geometry)

    return lambda way: way.behind(RESULTS, change)


def _other_axes(part: Part, way: Way, post: pipelines.Postprocess) -> Iterator[Mutation]:
    rank = len(way.subject.model.outputs[part.output].shape)
    axes = [a for a in range(rank) if a != part.axis % rank]
    for axis in axes:
        change = part.changed(partial(_softmax_along, axis=axis))
        said = f"puts scores through a softmax along axis {axis}, which is not that of classes"
        yield Mutation("activation", said, OUTPUTS, _behind_model(change), _KEY)
        if post.task != "detect":
            yield Mutation("activation", f"{said}, before all else", RESULTS, _before_results(change), _KEY)
        if post.activation not in (None, "none"):
            yield Mutation("activation", f"{said}, and through nothing else", RESULTS, _alone(change), _KEY)
    if post.task == "classify":
        for batch in BATCHES:
            yield _along_batch(part, batch)


def _softmax_along(x: Array, axis: int) -> Array:
    if x.shape[axis] < 2:
        raise ValueError("a softmax along an axis of one makes all the same, and nobody's mistake")
    return np.moveaxis(reference.softmax(np.ascontiguousarray(np.moveaxis(x, axis, -1))), -1, axis)


def _behind_model(change: Callable[[At], At]) -> Callable[[Way], Way]:
    return lambda way: way.behind(OUTPUTS, change)


def _before_results(change: Callable[[At], At]) -> Callable[[Way], Way]:
    return lambda way: way.before(RESULTS, change)


def _alone(change: Callable[[At], At]) -> Callable[[Way], Way]:
    return lambda way: way.with_settings("postprocess", activation="none").before(RESULTS, change)


def _along_batch(part: Part, batch: int) -> Mutation:
    def of(place: int, count: int) -> list[int]:
        """Its batch, the last one shorter."""
        start = place // batch * batch
        return list(range(start, min(start + batch, count)))

    def make(own: At, theirs: Sequence[At]) -> list[Array]:
        place = next(k for k, at in enumerate(theirs) if at is own)
        outputs = list(own.value)
        together = np.concatenate([np.asarray(at.value[part.output][:1], np.float32) for at in theirs])
        outputs[part.output] = np.ascontiguousarray(_softmax_along(together, 0)[place : place + 1])
        return outputs

    what = f"puts scores through a softmax along the images of a batch of {batch}, not along the classes"
    return Mutation("activation", what, OUTPUTS, lambda way: way.with_mates(Mates(OUTPUTS, OUTPUTS, of, make)), _KEY)


def _dropped(post: pipelines.Postprocess, part: Part) -> Iterator[Mutation]:
    """As for a background, which this model has none of or should not have lost."""
    if post.task == "detect" and post.format in FAMILIES and FAMILIES[post.format].background is None:
        for which in ("first", "last"):
            what = f"takes the {which} class for the background, and drops it"
            plain = rule("label-offset", what, "background", background=which)
            yield plain
            if which == "first":
                yield _numbered_on(plain, f"{what}, with the others' numbers as they are")
    elif post.task in ("classify", "segment") and post.format not in ("one_channel", "class_map"):
        what = "drops the first class's scores, as a background's"
        plain = Mutation("label-offset", what, RESULTS, _before_results(_without_first(part)))
        yield plain
        yield _numbered_on(plain, f"{what}, with the others' numbers as they are")


def _without_first(part: Part) -> Callable[[At], At]:
    """Behind the others, where nothing is chosen: the decoder has as many classes as before."""
    return part.changed(lambda x: np.roll(_least_first(x, part.axis), -1, axis=part.axis))


def _least_first(x: Array, axis: int) -> Array:
    out = np.moveaxis(np.array(x, np.float32), axis, 0)
    out[0] = np.minimum(out.min(axis=0), 0)
    return np.moveaxis(out, 0, axis)


def _numbered_on(plain: Mutation, what: str) -> Mutation:
    def renumber(numbers: I64) -> I64:
        return numbers + 1

    def change(way: Way) -> Way:
        return plain.change(way).behind(RESULTS, lambda at: At(with_classes(at.value, renumber), at.geometry))

    return replace(plain, what=what, change=change)
