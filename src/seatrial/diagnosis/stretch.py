"""Two neighbouring stages that the candidate shows: what the reference makes of the candidate's first, against its second.

For: judging each stretch alone, so that a fault in front of it is not counted again. Not for: naming what is wrong (search.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.diagnosis.candidates import above, before_nms, clipped, of_candidates
from seatrial.diagnosis.distance import MISMATCH, distance
from seatrial.diagnosis.largest import largest
from seatrial.diagnosis.limits import Limits
from seatrial.diagnosis.logged import in_shape, in_type, outputs_in_order
from seatrial.diagnosis.result_distance import scores_of
from seatrial.diagnosis.runner import Runner, StepError, told
from seatrial.diagnosis.stages import (
    CANDIDATES,
    DECODED,
    ENCODED,
    INPUT,
    OF_RESULTS,
    OUTPUTS,
    RESIZED,
    RESULTS,
    between,
)
from seatrial.diagnosis.way import At, Mates, Step, Way
from seatrial.errors import DataError, SeatrialError
from seatrial.kernels.arguments import ArgumentError
from seatrial.kernels.geometry import Geometry
from seatrial.kernels.results import Detections
from seatrial.taps.folder import TapsFolder
from seatrial.taps.shown import ImageTaps, Shown

Array = npt.NDArray[Any]
# What a way raises that cannot be gone: a kernel of OpenCV's refuses levels between whole ones in its own words.
CANNOT = (SeatrialError, ArgumentError, ValueError)


@dataclass(frozen=True, eq=False)
class Seen:
    """One image of a stretch. begun: the candidate's value at its start, None at the encoded bytes. value: at its end."""

    begun: tuple[str, At] | None
    value: Any


@dataclass(frozen=True)
class Compared:
    """distance: how far the two are from each other; same: whether that is within the stage's limits. broken: what a step
    raised that no check of seatrial's does, '' where none did."""

    distance: float
    same: bool
    broken: str = ""


class Stretch:
    """start and end: stages. names: of the images, in the reference's order, by which `shown` and the runner know them.
    order: how the candidate's decoded and resized images have their channels: True where reversed against the reference."""

    def __init__(
        self,
        start: str,
        end: str,
        names: Sequence[str],
        shown: Shown,
        runner: Runner,
        reference: Way,
        limits: Limits,
        reversed_at: frozenset[str] = frozenset(),
    ) -> None:
        self.start, self.end, self.names = start, end, names
        self.stages = between(start, end)
        # Of a file of taps no more is read than is compared.
        self._shown = shown.of_stages((start, end)) if isinstance(shown, TapsFolder) else shown
        self._runner, self._reference = runner, reference
        self._limits = limits
        self._reversed_at = reversed_at
        self._before_nms: dict[Way, Way] = {}
        self._of_candidates: dict[Way, Step] = {}

    def _seen(self, image: int) -> Seen:
        return self._runner.kept(self, image, lambda: self._look(image))

    def _look(self, image: int) -> Seen:
        taps = self._shown.load(self.names[image])
        own = self._value(taps, image, self.end)
        if self.start == ENCODED:
            return Seen(None, own)
        # Where its pixels went is the reference's belief until a mutation says otherwise.
        geometry = self._geometry(image, self.start)
        return Seen((self.start, At(self._begin(taps, image), geometry)), own)

    def _geometry(self, image: int, stage: str) -> Geometry | None:
        """Behind the tensor pixels go nowhere: no model need run to tell where they are."""
        before = INPUT if stage in (OUTPUTS, CANDIDATES) else stage
        return self._runner.form(self._reference, image, before).geometry

    def _begin(self, taps: ImageTaps, image: int) -> Any:
        if self.start == CANDIDATES:
            return taps.candidates
        value = self._value(taps, image, self.start)
        return (
            in_type(value, self._runner.form(self._reference, image, INPUT).dtypes[0]) if self.start == INPUT else value
        )

    def refused(self, way: Way) -> str:
        """Why the reference cannot go on from what the candidate has at the end; '' where it can. Of one image that it does
        not look like the reference's own."""
        following = [s for s in way.steps if s in between(self.end, RESULTS)][:1] if self.end not in OF_RESULTS else []
        if following and self.end == INPUT:
            for i, name in enumerate(self.names):
                own, theirs = self.own(way, i, INPUT).value, self.candidate(i)
                if theirs.dtype == np.float16 != own.dtype:
                    return f"is float16 where the reference has {own.dtype}, which may be the log's rounding alone"
                if np.isfinite(own).all() and not np.isfinite(theirs).all():
                    return f"has NaN or infinity where the reference has none, first of {name}"
        for stage in following:
            onward = Stretch(self.end, stage, self.names, self._shown, self._runner, self._reference, self._limits)
            for i, name in enumerate(self.names):
                own, theirs = (_kind(v) for v in (self.own(way, i, self.end).value, self.candidate(i)))
                if own == theirs:
                    continue
                try:
                    onward.made(way, i)
                except CANNOT:
                    return f"is {theirs} where the reference has {own}, first of {name}"
        return ""

    def _value(self, taps: ImageTaps, image: int, stage: str) -> Any:
        if stage == OUTPUTS:
            shapes = self._runner.form(self._reference, image, OUTPUTS).shapes
            names = [o.name for o in self._reference.subject.model.outputs]
            own = outputs_in_order(taps.outputs, names)
            return [in_shape(o, s) for o, s in zip(own, shapes, strict=True)] if len(own) == len(shapes) else own
        if stage == RESULTS:
            return taps.results
        if stage == CANDIDATES:
            return above(taps.candidates, self._reference)
        value = {DECODED: taps.decoded, RESIZED: taps.resized, INPUT: taps.input}[stage]
        assert value is not None
        if stage == INPUT:
            return in_shape(value, self._runner.form(self._reference, image, INPUT).shapes[0])
        value = value if value.ndim == 3 else value[..., None]
        return np.ascontiguousarray(value[..., ::-1]) if stage in self._reversed_at else value

    def candidate(self, image: int) -> Any:
        return self._seen(image).value

    def given(self, image: int) -> Any:
        """The candidate's own value at the start; None at the encoded bytes."""
        begun = self._seen(image).begun
        return begun[1].value if begun else None

    @cached_property
    def scored(self) -> bool:
        """Whether the candidate's results have a score on any image: a log of classes or boxes alone has none."""
        if self.end not in OF_RESULTS:
            return True
        found = [scores_of(self.candidate(i)) for i in range(len(self.names))]
        return not any(s.size for s in found) or any(not np.isnan(s).all() for s in found if s.size)

    def made(self, way: Way, image: int) -> At:
        """What a way makes of it at the end. Raises what its steps raise."""
        begun = self._seen(image).begun
        if self.start == CANDIDATES:
            assert begun
            step = self._step(way)
            return self._runner.kept(step, image, lambda: told(step, begun[1]))
        way = self._up_to_end(way)
        if way.mates is not None and way.mates.stage in self.stages:
            return self._among_mates(way, way.mates, image)
        return self._runner.at(way, image, self.stages[-1], begun)

    def _up_to_end(self, way: Way) -> Way:
        """Where the stretch ends before NMS, the way without it."""
        if self.end != CANDIDATES:
            return way
        if way not in self._before_nms:
            self._before_nms[way] = before_nms(way)
        return self._before_nms[way]

    def _step(self, way: Way) -> Step:
        if way not in self._of_candidates:
            self._of_candidates[way] = of_candidates(way)
        return self._of_candidates[way]

    def at(self, way: Way, image: int, stage: str) -> At:
        """What a way has of it at a stage in between."""
        return self._runner.at(way, image, stage, self._seen(image).begun)

    def onward(self, way: Way, image: int) -> At:
        """The results that a way makes of the candidate's own value at the end."""
        if self.end == CANDIDATES:
            return of_candidates(way)(At(self.candidate(image), self._geometry(image, self.end)))
        geometry = self._geometry(image, self.end)
        return self._runner.at(way, image, RESULTS, (self.end, At(self.candidate(image), geometry)))

    def own(self, way: Way, image: int, stage: str) -> At:
        """What a way has at a stage by itself, from the image's bytes."""
        return self._runner.at(way, image, stage)

    @cached_property
    def _order(self) -> list[str]:
        return list(self._shown.names)

    def place(self, image: int) -> int:
        """Where the candidate had it in its order."""
        return self._order.index(self.names[image])

    def _among_mates(self, way: Way, mates: Mates, image: int) -> At:
        """Others begin at the candidate's own values too, as far as these are known. Where its pixels went stays its own."""
        places = {name: k for k, name in enumerate(self.names)}
        order = self._order
        others = [order[k] for k in mates.of(self.place(image), len(order))]
        if not set(others) <= set(places):
            raise ValueError("an image that has a part in this one is on one side alone")
        own = self._runner.at(way, image, mates.source, self._seen(image).begun)
        # One that is made twice may be two: not all is kept, and who mixes rows knows its own by what it is.
        theirs = [own if places[o] == image else self.at(way, places[o], mates.source) for o in others]
        at = At(told(mates.make, own, theirs), own.geometry)
        last = self.stages[-1]
        return self._runner.at(way, image, last, (mates.stage, at)) if mates.stage != last else at

    def compared(self, way: Way, image: int) -> Compared:
        """MISMATCH where the way cannot be gone: shapes that do not go together, or values that a kernel refuses."""
        try:
            made = self.made(way, image)
        except StepError as e:
            return Compared(MISMATCH, False, e.text)
        except CANNOT:
            return Compared(MISMATCH, False)
        theirs = self.candidate(image)
        apart = self._apart(made, theirs)
        if self.end in OF_RESULTS:
            return Compared(apart, apart <= self._limits.results)
        return Compared(apart, self._limits.hold(self.end, made.value, theirs))

    def distance(self, way: Way, image: int) -> float:
        try:
            made = self.made(way, image)
        except CANNOT:
            return MISMATCH
        return self._apart(made, self.candidate(image))

    def _apart(self, made: At, theirs: Any) -> float:
        apart = distance(self.end, made.value, theirs, self.scored)
        if self.end != CANDIDATES or not apart or not isinstance(theirs, Detections) or made.geometry is None:
            return apart
        # Whether boxes are clipped before NMS or behind it is no difference by itself.
        return min(apart, distance(self.end, made.value, clipped(theirs, made.geometry), self.scored))

    def forget(self) -> None:
        """What is kept of images, which is made again where it is asked for: whoever is out of memory has it back."""
        self._runner.forget()

    def largest(self, way: Way, image: int) -> float | None:
        """max |Δ| of images and tensors; None of results, of shapes that differ, and where the way cannot be gone."""
        if self.end in OF_RESULTS:
            return None
        try:
            return largest(self.made(way, image).value, self.candidate(image))
        except CANNOT:
            return None


def _kind(value: Any) -> str:
    """'(1, 3, 320, 320) float32', of outputs each."""
    arrays = value if isinstance(value, list) else [value]
    return " and ".join(f"{a.shape} {a.dtype}" for a in arrays)


def check_names(reference: Sequence[str], shown: Shown) -> tuple[list[str], list[str], list[str]]:
    """Images on both sides in the reference's order, and those of either side alone. DataError where none is on both."""
    there = set(shown.names)
    both = [n for n in reference if n in there]
    if not both:
        raise DataError(
            f"no image is on both sides: the plan has {reference[0]!r} and others, the candidate {list(shown.names)[:1]}; name "
            "the images as the plan does, by their paths below its folder of images"
        )
    known = set(reference)
    return both, [n for n in reference if n not in there], [n for n in shown.names if n not in known]
