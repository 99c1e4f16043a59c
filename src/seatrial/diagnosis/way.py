"""A pipeline as one step a stage, so that each can be run, replaced and begun at alone.

For: the reference, whose steps are changed one by one until they do what the candidate did. Not for: timing (jobs/opened.py),
which runs preprocessing as the one pass that it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from seatrial.diagnosis.at import At as At
from seatrial.diagnosis.resize import Resize
from seatrial.diagnosis.stages import DECODED, INPUT, OUTPUTS, RESIZED, RESULTS
from seatrial.images.decode import DecodeSettings, decode
from seatrial.kernels import reference
from seatrial.kernels.preprocess import Preprocess
from seatrial.model.file import ModelInfo
from seatrial.pipeline.build import build_pipeline, pick_input, preprocess_kernel
from seatrial.pipeline.extra_inputs import extra_inputs, extra_values
from seatrial.plan import pipelines

Array = npt.NDArray[Any]
Feeds = dict[str, Array]
# A model's feeds to its outputs, in the order of its file.
Run = Callable[[Feeds], list[Array]]


Step = Callable[[At], At]
Wrap = Callable[[Step], Step]
_GRAY = {"bgr": cv2.COLOR_BGR2GRAY, "rgb": cv2.COLOR_RGB2GRAY}
# Which step reads a key of the plan. All others of `preprocess` change values, those of a section of their own one step each.
_PLACES = frozenset(
    ("size", "mode", "interpolation", "pad_value", "pad_anchor", "resize_short", "stride", "scaling", "to_stride")
)


@dataclass(frozen=True, eq=False)
class Subject:
    """What all of a pipeline's steps are made for. run: the model, opened; batch: how many rows it takes at least."""

    name: str
    model: ModelInfo
    folder: Path
    run: Run
    allow_code: bool = False
    batch: int = 1


@dataclass(frozen=True, eq=False)
class Way:
    """spec: what the bases were made of. bases: by stage, in order; a preprocess of the user's own has none `resized`. wraps:
    what was put around each since, first to last, so that a change of the spec loses none. steps: the bases, wrapped."""

    subject: Subject
    spec: pipelines.Pipeline
    bases: Mapping[str, Step]
    wraps: Mapping[str, tuple[Wrap, ...]] = field(default_factory=dict)

    @cached_property
    def steps(self) -> Mapping[str, Step]:
        return {stage: _wrapped(base, self.wraps.get(stage, ())) for stage, base in self.bases.items()}

    def wrapped(self, stage: str, wrap: Wrap) -> Way:
        """The same, with another step made of the one of `stage`."""
        made = replace(self, wraps={**self.wraps, stage: (*self.wraps.get(stage, ()), wrap)})
        # Steps are known by themselves: those that stay must stay the same ones.
        made.__dict__["steps"] = {**self.steps, stage: wrap(self.steps[stage])}
        return made

    def with_step(self, stage: str, step: Step) -> Way:
        return self.wrapped(stage, lambda _: step)

    def behind(self, stage: str, change: Callable[[At], At]) -> Way:
        """The same, with a change of what the step of `stage` gives."""
        return self.wrapped(stage, lambda step: lambda at: change(step(at)))

    def before(self, stage: str, change: Callable[[At], At]) -> Way:
        """The same, with a change of what the step of `stage` gets."""
        return self.wrapped(stage, lambda step: lambda at: step(change(at)))

    @property
    def resize(self) -> Resize:
        """The base of `resized`, by its parts. ValueError where there is none: a preprocess of the user's own."""
        base = self.bases.get(RESIZED)
        if not isinstance(base, Resize):
            raise ValueError("the pipeline has no resize of the plan's")
        return base

    def with_resize(self, **parts: Any) -> Way:
        """The same, with other parts of the step `resized`."""
        return self._with_bases(self.spec, {RESIZED: replace(self.resize, **parts)})

    def with_settings(self, section: str, **values: Any) -> Way:
        """The same, with other values in a section of the plan. Steps that read none of them stay.

        Raises:
            PlanError, ModelError, ValueError: the values do not go together, or do not fit the model.
        """
        own = getattr(self.spec, section).model_dump(exclude_unset=True) | values
        spec = pipelines.Pipeline.model_validate(self.spec.model_dump(exclude_unset=True) | {section: own})
        made = {s: _step(self.subject, spec, s) for s in dict.fromkeys(_stages_of(section, values))}
        new = made.get(RESIZED)
        if isinstance(new, Resize):
            made[RESIZED] = replace(new, **self.resize.parts)
        return self._with_bases(spec, made)

    def _with_bases(self, spec: pipelines.Pipeline, bases: Mapping[str, Step]) -> Way:
        made = replace(self, spec=spec, bases={**self.bases, **bases})
        changed = {stage: _wrapped(base, self.wraps.get(stage, ())) for stage, base in bases.items()}
        made.__dict__["steps"] = {**self.steps, **changed}
        return made


def _wrapped(step: Step, wraps: tuple[Wrap, ...]) -> Step:
    for wrap in wraps:
        step = wrap(step)
    return step


def way_of(subject: Subject, spec: pipelines.Pipeline) -> Way:
    """As seatrial itself runs the plan."""
    own_code = isinstance(spec.preprocess, pipelines.UserCode)
    stages = [DECODED, *([] if own_code else [RESIZED]), INPUT, OUTPUTS, RESULTS]
    return Way(subject, spec, {s: _step(subject, spec, s) for s in stages})


def _stages_of(section: str, keys: Mapping[str, Any]) -> list[str]:
    if section != "preprocess":
        return [{"decode": DECODED, "postprocess": RESULTS}[section]]
    return [RESIZED if k in _PLACES else INPUT for k in keys]


def _step(subject: Subject, spec: pipelines.Pipeline, stage: str) -> Step:
    return _STEPS[stage](subject, spec)


def _decoded(_subject: Subject, spec: pipelines.Pipeline) -> Step:
    settings = DecodeSettings(**spec.decode.model_dump())
    return lambda at: At(decode(at.value, settings))


def _resized(_subject: Subject, spec: pipelines.Pipeline) -> Step:
    """By the kernel itself, told to leave colours and levels as they are."""
    kernel = preprocess_kernel(spec)
    plain: dict[str, Any] = {"scale": 1, "dtype": "uint8", "layout": "nhwc", "color": kernel.input_color}
    places = {k: getattr(kernel, k) for k in (*_PLACES, "input_color", "engine")}
    return Resize(Preprocess(**places, **plain))


def _input(subject: Subject, spec: pipelines.Pipeline) -> Step:
    if isinstance(spec.preprocess, pipelines.UserCode):
        return _own_input(subject, spec)
    kernel = preprocess_kernel(spec)
    values = ("color", "input_color", "scale", "mean", "std", "layout", "dtype", "quant_scale", "zero_point", "engine")
    own = {k: getattr(kernel, k) for k in values}

    def step(at: At) -> At:
        """An image that has its size already is not resized again."""
        if at.value.dtype != np.uint8:
            return At(_of_levels(at.value, kernel), at.geometry)
        return At(Preprocess(**own, size=at.value.shape[:2], mode="stretch")(at.value), at.geometry)

    return step


def _of_levels(image_hwc: Array, kernel: Preprocess) -> Array:
    """The tensor of levels between whole ones, which only a mistaken resize gives and the kernel does not take."""
    image = image_hwc
    if kernel.color != kernel.input_color:
        image = (
            image[..., ::-1] if kernel.color != "gray" else cv2.cvtColor(image, _GRAY[kernel.input_color])[..., None]
        )
    values = reference.normalise(image, kernel.scale, kernel.mean, kernel.std)
    if kernel.dtype in ("uint8", "int8"):
        values = reference.quantise(values, kernel.quant_scale or 1.0, kernel.zero_point, kernel.dtype)
    tensor = values.astype(kernel.dtype)
    return np.ascontiguousarray(tensor.transpose(2, 0, 1) if kernel.layout == "nchw" else tensor)[None]


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


_STEPS: dict[str, Callable[[Subject, pipelines.Pipeline], Step]] = {
    DECODED: _decoded,
    RESIZED: _resized,
    INPUT: _input,
    OUTPUTS: _outputs,
    RESULTS: _results,
}
