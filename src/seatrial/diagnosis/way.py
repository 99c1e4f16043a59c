"""A pipeline as one step a stage, so that each can be run, replaced and begun at alone.

For: the reference, whose steps are changed one by one until they do what the candidate did. Not for: timing (jobs/opened.py),
which runs preprocessing as the one pass that it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.diagnosis.stages import DECODED, INPUT, OUTPUTS, RESIZED, RESULTS
from seatrial.images.decode import DecodeSettings, decode
from seatrial.kernels.geometry import Geometry
from seatrial.kernels.preprocess import Preprocess
from seatrial.model.file import ModelInfo
from seatrial.pipeline.build import build_pipeline, pick_input, preprocess_kernel
from seatrial.pipeline.extra_inputs import extra_inputs, extra_values
from seatrial.plan import pipelines

Array = npt.NDArray[Any]
Feeds = dict[str, Array]
# A model's feeds to its outputs, in the order of its file.
Run = Callable[[Feeds], list[Array]]


@dataclass(frozen=True, eq=False)
class At:
    """What a pipeline has at a stage of an image. value: bytes; (H, W, C) uint8 decoded and resized; (1, …) the input; the list
    of outputs; a result. geometry: where the image's pixels went, from `resized` on; None where nobody said."""

    value: Any
    geometry: Geometry | None = None


Step = Callable[[At], At]
Around = Callable[[Step], Step]
# Which step reads a key of the plan. All others of `preprocess` change values, those of a section of their own one step each.
_PLACES = frozenset(
    ("size", "mode", "interpolation", "pad_value", "pad_anchor", "resize_short", "stride", "scaling", "to_stride")
)


@dataclass(frozen=True, eq=False)
class Subject:
    """What all of a pipeline's steps are made for. run: the model, opened; batch: how many rows it takes at least.

    What only some mistakes need, None where there is none: open: another model file, for so many rows, by the same backend.
    judge: the same model by a third backend. recalibrated: the model in its int8, calibrated on feeds with a change.
    """

    name: str
    model: ModelInfo
    folder: Path
    run: Run
    allow_code: bool = False
    batch: int = 1
    open: Callable[[Path, int], Run] | None = None
    judge: Run | None = None
    recalibrated: Callable[[Callable[[Feeds], Feeds]], Run] | None = None


Maker = Callable[[Subject, pipelines.Pipeline], Step]


@dataclass(frozen=True, eq=False)
class Mates:
    """A stage at which images have a part in each other's values. source: the stage whose values of others are needed, at or
    in front of it. of(position, count): whose, as places in the order in which the candidate went through the images.
    make: from theirs the image's own value; raises ValueError where it cannot be made."""

    stage: str
    source: str
    of: Callable[[int, int], Sequence[int]]
    make: Callable[[Sequence[At]], Any]


@dataclass(frozen=True, eq=False)
class Way:
    """spec: what the steps are made of. steps: by stage, in order; a preprocess of the user's own has no step `resized`.
    makers and around: how each came about, so that other settings can be put under changes that stay. mates: where the images
    are not each for itself."""

    subject: Subject
    spec: pipelines.Pipeline
    steps: Mapping[str, Step]
    makers: Mapping[str, Maker]
    around: Mapping[str, tuple[Around, ...]] = field(default_factory=dict)
    mates: Mates | None = None

    def with_step(self, stage: str, step: Step) -> Way:
        """The same, with a step that reads no settings in place of the stage's, and of what was around it."""
        return self._with(stage, lambda _subject, _spec: step, ())

    def with_maker(self, stage: str, change: Callable[[Maker], Maker]) -> Way:
        """The same, with the step made otherwise; what is around it stays."""
        return self._with(stage, change(self.makers[stage]), self.around.get(stage, ()))

    def with_run(self, run: Run) -> Way:
        """The same, with another model opened."""
        subject = replace(self.subject, run=run)
        around = self.around.get(OUTPUTS, ())
        step = _wrapped(self.makers[OUTPUTS](subject, self.spec), around)
        return replace(self, subject=subject, steps={**self.steps, OUTPUTS: step})

    def with_mates(self, mates: Mates) -> Way:
        """ValueError where images have a part in each other already."""
        if self.mates is not None:
            raise ValueError("images have a part in each other's values at one stage only")
        return replace(self, mates=mates)

    def behind(self, stage: str, change: Callable[[At], At]) -> Way:
        """The same, with a change of what the step of `stage` gives."""
        return self._around(stage, lambda step: lambda at: change(step(at)))

    def before(self, stage: str, change: Callable[[At], At]) -> Way:
        """The same, with a change of what the step of `stage` gets."""
        return self._around(stage, lambda step: lambda at: step(change(at)))

    def _around(self, stage: str, around: Around) -> Way:
        every = {**self.around, stage: (*self.around.get(stage, ()), around)}
        return replace(self, steps={**self.steps, stage: around(self.steps[stage])}, around=every)

    def _with(self, stage: str, maker: Maker, around: tuple[Around, ...]) -> Way:
        step = _wrapped(maker(self.subject, self.spec), around)
        return replace(
            self,
            steps={**self.steps, stage: step},
            makers={**self.makers, stage: maker},
            around={**self.around, stage: around},
        )

    def with_settings(self, section: str, **values: Any) -> Way:
        """The same, with other values in a section of the plan. Steps that read none of them stay.

        Raises:
            PlanError, ModelError, ValueError: the values do not go together, or do not fit the model.
        """
        own = getattr(self.spec, section).model_dump(exclude_unset=True) | values
        spec = pipelines.Pipeline.model_validate(self.spec.model_dump(exclude_unset=True) | {section: own})
        changed = {
            s: _wrapped(self.makers[s](self.subject, spec), self.around.get(s, ()))
            for s in dict.fromkeys(_stages_of(section, values))
        }
        return replace(self, spec=spec, steps={**self.steps, **changed})


def way_of(subject: Subject, spec: pipelines.Pipeline) -> Way:
    """As seatrial itself runs the plan."""
    own_code = isinstance(spec.preprocess, pipelines.UserCode)
    stages = [DECODED, *([] if own_code else [RESIZED]), INPUT, OUTPUTS, RESULTS]
    makers = {s: _MAKERS[s] for s in stages}
    return Way(subject, spec, {s: make(subject, spec) for s, make in makers.items()}, makers)


def _wrapped(step: Step, around: Sequence[Around]) -> Step:
    for own in around:
        step = own(step)
    return step


def _stages_of(section: str, keys: Mapping[str, Any]) -> list[str]:
    if section != "preprocess":
        return [{"decode": DECODED, "postprocess": RESULTS}[section]]
    return [RESIZED if k in _PLACES else INPUT for k in keys]


def _decoded(_subject: Subject, spec: pipelines.Pipeline) -> Step:
    settings = DecodeSettings(**spec.decode.model_dump())
    return lambda at: At(decode(at.value, settings))


def _resized(_subject: Subject, spec: pipelines.Pipeline) -> Step:
    """By the kernel itself, told to leave colours and levels as they are."""
    kernel = preprocess_kernel(spec)
    plain: dict[str, Any] = {"scale": 1, "dtype": "uint8", "layout": "nhwc", "color": kernel.input_color}
    places = {k: getattr(kernel, k) for k in (*_PLACES, "input_color", "engine")}
    own = Preprocess(**places, **plain)

    def step(at: At) -> At:
        out, geometries = own.batch_with_geometries([at.value])
        return At(out[0], geometries[0])

    return step


def _input(subject: Subject, spec: pipelines.Pipeline) -> Step:
    if isinstance(spec.preprocess, pipelines.UserCode):
        return _own_input(subject, spec)
    kernel = preprocess_kernel(spec)
    values = ("color", "input_color", "scale", "mean", "std", "layout", "dtype", "quant_scale", "zero_point", "engine")
    own = {k: getattr(kernel, k) for k in values}

    def step(at: At) -> At:
        """An image that has its size already is not resized again."""
        return At(Preprocess(**own, size=at.value.shape[:2], mode="stretch")(at.value), at.geometry)

    return step


def _own_input(subject: Subject, spec: pipelines.Pipeline) -> Step:
    pipeline = build_pipeline(subject.name, spec, subject.model, subject.folder, subject.allow_code)
    name = pick_input(subject.name, spec, subject.model).name

    def step(at: At) -> At:
        feeds = pipeline.allocate(1)
        (geometry,) = pipeline.preprocess([at.value], feeds)
        return At(np.array(feeds[name]), geometry)

    return step


def _outputs(subject: Subject, spec: pipelines.Pipeline) -> Step:
    where = f"pipelines.{subject.name}"
    fed = pick_input(where, spec, subject.model)
    extra: dict[str, tuple[str, str]] = {}
    if isinstance(spec.preprocess, pipelines.Preprocess):
        extra = extra_inputs(where, spec.preprocess, fed, subject.model)

    def step(at: At) -> At:
        feeds = {fed.name: np.ascontiguousarray(at.value)}
        for name, (kind, dtype) in extra.items():
            assert at.geometry
            feeds[name] = np.array([extra_values(kind, at.geometry)], dtype)
        # A model of a fixed batch gets the image in each row.
        if subject.batch > 1:
            feeds = {k: np.repeat(v, subject.batch, axis=0) for k, v in feeds.items()}
        # The next run may write into the same memory.
        return At([np.array(o) for o in subject.run(feeds)], at.geometry)

    return step


def _results(subject: Subject, spec: pipelines.Pipeline) -> Step:
    pipeline = build_pipeline(subject.name, spec, subject.model, subject.folder, subject.allow_code)

    def step(at: At) -> At:
        geometry = at.geometry
        assert geometry
        return At(pipeline.postprocess(at.value, [geometry] * subject.batch)[0], geometry)

    return step


_MAKERS: dict[str, Maker] = {
    DECODED: _decoded,
    RESIZED: _resized,
    INPUT: _input,
    OUTPUTS: _outputs,
    RESULTS: _results,
}
