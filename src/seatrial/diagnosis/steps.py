"""The steps that a plan's pipeline is made of, each by the plan's settings. Not for: changes of them (way.py, mutations/)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from seatrial.diagnosis.at import At
from seatrial.diagnosis.resize import Resize
from seatrial.diagnosis.stages import DECODED, INPUT, OUTPUTS, RESIZED, RESULTS
from seatrial.images.decode import DecodeSettings, decode
from seatrial.kernels import reference
from seatrial.kernels.preprocess import Preprocess
from seatrial.model.file import ModelInfo
from seatrial.pipeline.build import build_pipeline, pick_input, preprocess_kernel
from seatrial.pipeline.extra_inputs import extra_inputs, extra_values
from seatrial.pipeline.image_outputs import first_image
from seatrial.plan import pipelines

Array = npt.NDArray[Any]
Feeds = dict[str, Array]
# A model's feeds to its outputs, in the order of its file.
Run = Callable[[Feeds], list[Array]]
Step = Callable[[At], At]
# A model's file, there for as long as it is being opened, and each time anew.
ModelFile = Callable[[], AbstractContextManager[Path]]
_GRAY = {"bgr": cv2.COLOR_BGR2GRAY, "rgb": cv2.COLOR_RGB2GRAY}
# Which step reads a key of the plan. All others of `preprocess` change values, those of a section of their own one step each.
_PLACES = frozenset(
    ("size", "mode", "interpolation", "pad_value", "pad_anchor", "resize_short", "stride", "scaling", "to_stride")
)


@dataclass(frozen=True, eq=False)
class Subject:
    """What all of a pipeline's steps are made for. run: the model, opened; batch: how many rows it takes at least.

    What only some mistakes need, None where there is none: open: another model file, for so many rows, by the same backend.
    judge: the same model by a third backend.
    """

    name: str
    model: ModelInfo
    folder: Path
    run: Run
    allow_code: bool = False
    batch: int = 1
    open: Callable[[ModelFile, int], Run] | None = None
    judge: Run | None = None


Maker = Callable[[Subject, pipelines.Pipeline], Step]


def makers_of(spec: pipelines.Pipeline) -> dict[str, Maker]:
    """By stage, in order; a preprocess of the user's own has none `resized`."""
    own_code = isinstance(spec.preprocess, pipelines.UserCode)
    return {stage: maker for stage, maker in _MAKERS.items() if not (own_code and stage == RESIZED)}


def stages_reading(section: str, keys: Iterable[str]) -> list[str]:
    """Those whose steps read one of the keys of a section of the plan."""
    if section != "preprocess":
        return [{"decode": DECODED, "postprocess": RESULTS}[section]]
    return list(dict.fromkeys(RESIZED if k in _PLACES else INPUT for k in keys))


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
        # The user's code may work in place, which nobody else must see.
        (geometry,) = pipeline.preprocess([np.array(at.value)], feeds)
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
        # A batch gets the image in each row, and is left with what it gives of one.
        if subject.batch > 1:
            feeds = {k: np.repeat(v, subject.batch, axis=0) for k, v in feeds.items()}
        # The next run may write into the same memory.
        outputs = [np.array(o) for o in subject.run(feeds)]
        if subject.batch > 1:
            outputs = first_image(spec.postprocess, subject.model.outputs, outputs, subject.batch)
        return At(outputs, at.geometry)

    return step


def _results(subject: Subject, spec: pipelines.Pipeline) -> Step:
    pipeline = build_pipeline(subject.name, spec, subject.model, subject.folder, subject.allow_code)
    own_code = isinstance(spec.postprocess, pipelines.UserCode)

    def step(at: At) -> At:
        geometry = at.geometry
        assert geometry
        outputs = [np.array(o) for o in at.value] if own_code else at.value
        return At(pipeline.postprocess(outputs, [geometry])[0], geometry)

    return step


_MAKERS: dict[str, Maker] = {
    DECODED: _decoded,
    RESIZED: _resized,
    INPUT: _input,
    OUTPUTS: _outputs,
    RESULTS: _results,
}
