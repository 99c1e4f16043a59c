"""A pipeline as one step a stage, so that each can be run, replaced and begun at alone.

For: the reference, whose steps are changed one by one until they do what the candidate did. Not for: timing (jobs/opened.py),
which runs preprocessing as the one pass that it is; or what a plan's steps do (steps.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from seatrial.diagnosis.at import At as At
from seatrial.diagnosis.resize import Resize
from seatrial.diagnosis.stages import OUTPUTS, RESIZED
from seatrial.diagnosis.steps import Array as Array
from seatrial.diagnosis.steps import Feeds as Feeds
from seatrial.diagnosis.steps import Maker, makers_of, stages_reading
from seatrial.diagnosis.steps import Run as Run
from seatrial.diagnosis.steps import Step as Step
from seatrial.diagnosis.steps import Subject as Subject
from seatrial.plan import pipelines

Wrap = Callable[[Step], Step]


@dataclass(frozen=True, eq=False)
class Mates:
    """A stage at which images have a part in each other's values. source: the stage whose values of others are needed, at or
    in front of it. of(position, count): whose, as places in the order in which the candidate went through the images.
    make: from its own and theirs the image's value; raises ValueError where it cannot be made."""

    stage: str
    source: str
    of: Callable[[int, int], Sequence[int]]
    make: Callable[[At, Sequence[At]], Any]


@dataclass(frozen=True, eq=False)
class Way:
    """spec: what the bases were made of, and makers: how. bases: by stage, in order; a preprocess of the user's own has none
    `resized`. wraps: what was put around each since, first to last, so that a change of the spec loses none. steps: the bases,
    wrapped. mates: where the images are not each for itself."""

    subject: Subject
    spec: pipelines.Pipeline
    makers: Mapping[str, Maker]
    bases: Mapping[str, Step]
    wraps: Mapping[str, tuple[Wrap, ...]] = field(default_factory=dict)
    mates: Mates | None = None

    @cached_property
    def steps(self) -> Mapping[str, Step]:
        return {stage: wrapped(base, self.wraps.get(stage, ())) for stage, base in self.bases.items()}

    def wrapped(self, stage: str, wrap: Wrap) -> Way:
        """The same, with another step made of the one of `stage`."""
        made = replace(self, wraps={**self.wraps, stage: (*self.wraps.get(stage, ()), wrap)})
        # Steps are known by themselves: those that stay must stay the same ones.
        made.__dict__["steps"] = {**self.steps, stage: wrap(self.steps[stage])}
        return made

    def behind(self, stage: str, change: Callable[[At], At]) -> Way:
        """The same, with a change of what the step of `stage` gives."""
        return self.wrapped(stage, lambda step: lambda at: change(step(at)))

    def before(self, stage: str, change: Callable[[At], At]) -> Way:
        """The same, with a change of what the step of `stage` gets."""
        return self.wrapped(stage, lambda step: lambda at: step(change(at)))

    def with_maker(self, stage: str, change: Callable[[Maker], Maker]) -> Way:
        """The same, with the base made otherwise, under this spec and others; what is around it stays."""
        maker = change(self.makers[stage])
        made = replace(self, makers={**self.makers, stage: maker})
        return made._with_bases(self.steps, self.spec, {stage: maker(self.subject, self.spec)})

    def with_run(self, run: Run) -> Way:
        """The same, with another model opened."""
        made = replace(self, subject=replace(self.subject, run=run))
        return made._with_bases(self.steps, self.spec, {OUTPUTS: self.makers[OUTPUTS](made.subject, self.spec)})

    def with_mates(self, mates: Mates) -> Way:
        """ValueError where images have a part in each other already."""
        if self.mates is not None:
            raise ValueError("images have a part in each other's values at one stage only")
        made = replace(self, mates=mates)
        made.__dict__["steps"] = self.steps
        return made

    @property
    def resize(self) -> Resize:
        """The base of `resized`, by its parts. ValueError where there is none: a preprocess of the user's own."""
        base = self.bases.get(RESIZED)
        if not isinstance(base, Resize):
            raise ValueError("the pipeline has no resize of the plan's")
        return base

    def with_resize(self, **parts: Any) -> Way:
        """The same, with other parts of the step `resized`."""
        return self._with_bases(self.steps, self.spec, {RESIZED: replace(self.resize, **parts)})

    def with_settings(self, section: str, **values: Any) -> Way:
        """The same, with other values in a section of the plan. Steps that read none of them stay.

        Raises:
            PlanError, ModelError, ValueError: the values do not go together, or do not fit the model.
        """
        own = getattr(self.spec, section).model_dump(exclude_unset=True) | values
        spec = pipelines.Pipeline.model_validate(self.spec.model_dump(exclude_unset=True) | {section: own})
        bases = {s: self.makers[s](self.subject, spec) for s in stages_reading(section, values)}
        new = bases.get(RESIZED)
        if isinstance(new, Resize):
            bases[RESIZED] = replace(new, **self.resize.parts)
        return self._with_bases(self.steps, spec, bases)

    def _with_bases(self, steps: Mapping[str, Step], spec: pipelines.Pipeline, bases: Mapping[str, Step]) -> Way:
        """steps: as they were before; those of other bases stay the same ones."""
        made = replace(self, spec=spec, bases={**self.bases, **bases})
        changed = {stage: wrapped(base, self.wraps.get(stage, ())) for stage, base in bases.items()}
        made.__dict__["steps"] = {**steps, **changed}
        return made


def way_of(subject: Subject, spec: pipelines.Pipeline) -> Way:
    """As seatrial itself runs the plan."""
    makers = makers_of(spec)
    return Way(subject, spec, makers, {stage: make(subject, spec) for stage, make in makers.items()})


def wrapped(step: Step, wraps: tuple[Wrap, ...]) -> Step:
    for wrap in wraps:
        step = wrap(step)
    return step
