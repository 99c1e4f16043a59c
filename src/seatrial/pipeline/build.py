"""A pipeline from its plan: the stages around the model as callables, and the checks that they fit it.

For: decode, preprocess and postprocess, with buffers that stay in place. Not for: inference (backends), or timing the stages
(timing/measure.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.errors import ModelError, PlanError, count_of, did_you_mean
from seatrial.images.decode import DecodeSettings, decode
from seatrial.kernels.arguments import ArgumentError
from seatrial.kernels.geometry import Geometry
from seatrial.kernels.preprocess import Preprocess
from seatrial.model.feeds import DTYPES, unfed
from seatrial.model.file import ModelInfo, TensorInfo
from seatrial.model.image_size import main_input
from seatrial.pipeline.check_outputs import check_postprocess, check_tensors, pick_outputs
from seatrial.pipeline.decoders import decoder_of
from seatrial.pipeline.extra_inputs import check_source_boxes, extra_inputs
from seatrial.pipeline.preprocess_stage import kernel_stage, no_batch, user_stage, with_geometry
from seatrial.pipeline.results import Result, check_result
from seatrial.pipeline.text import characters_of
from seatrial.pipeline.user_code import load_user_function
from seatrial.plan import pipelines, tasks
from seatrial.plan.load import PlanFile

Array = npt.NDArray[Any]
# Results in source pixels: where pixels went has to be known.
_NEED_GEOMETRY = (*tasks.OBJECTS, "segment", "dense", "text")


@dataclass(frozen=True)
class Pipeline:
    """One image's way, batch by batch. `preprocess` writes into `feeds`, whose memory stays the same for a batch size.

    decode(bytes) -> image; preprocess(images, feeds) -> geometries; postprocess(outputs, geometries) -> results. fixed_shapes:
    whether feeds of one batch size always have the same shapes.
    """

    decode: Callable[[bytes], npt.NDArray[np.uint8]]
    allocate: Callable[[int], dict[str, Array]]
    preprocess: Callable[[Sequence[npt.NDArray[np.uint8]], dict[str, Array]], list[Geometry]]
    postprocess: Callable[[Sequence[Array], Sequence[Geometry]], list[Result]]
    fixed_shapes: bool = True


def build_pipeline(
    name: str, spec: pipelines.Pipeline, model: ModelInfo, folder: Path, allow_code: bool = False
) -> Pipeline:
    """Builds the stages and checks that they fit the model. ModelError or PlanError says what does not."""
    where = f"pipelines.{name}"
    check_tensors(model)
    fed = pick_input(where, spec, model)
    fixed_shapes = True
    decoder = DecodeSettings(**spec.decode.model_dump())
    if isinstance(spec.preprocess, pipelines.UserCode):
        function = load_user_function(spec.preprocess.python, folder, f"{where}.preprocess", allow_code)
        allocate, pre = user_stage(function, fed.name)
    else:
        kernel = preprocess_kernel(spec)
        check_fit(where, kernel, fed, model)
        if isinstance(spec.postprocess, pipelines.Postprocess):
            check_source_boxes(where, spec.preprocess, spec.postprocess)
        fixed_shapes = not kernel.varies
        extra = extra_inputs(where, spec.preprocess, fed, model)
        allocate, pre = kernel_stage(where, kernel, fed.name, extra)
    outputs = [o.name for o in model.outputs]
    if isinstance(spec.postprocess, pipelines.UserCode):
        function = load_user_function(spec.postprocess.python, folder, f"{where}.postprocess", allow_code)
        post = _user_postprocess(function, outputs)
    else:
        if isinstance(spec.preprocess, pipelines.UserCode) and _needs_geometry(spec.postprocess):
            pre = with_geometry(where, pre)
        chosen = pick_outputs(where, spec.postprocess, model)
        labels = labels_of(spec, model, folder)
        check_postprocess(where, spec.postprocess, model, labels)
        indices = [outputs.index(n) for n in chosen]
        post = _postprocess(where, spec.postprocess, indices, spec.engine, folder, labels)
    return Pipeline(lambda data: decode(data, decoder), allocate, pre, post, fixed_shapes)


def _needs_geometry(post: pipelines.Postprocess) -> bool:
    return post.task in _NEED_GEOMETRY and post.format != "ctc"


def preprocess_kernel(spec: pipelines.Pipeline) -> Preprocess:
    """The plan's preprocess section as the public kernel, fed with what the decode section gives."""
    assert isinstance(spec.preprocess, pipelines.Preprocess)
    settings = spec.preprocess.model_dump(exclude={"extra_inputs"})
    if spec.preprocess.resize_short is not None and spec.preprocess.mode != "resize_center_crop":
        said = f"only mode resize_center_crop reads it, not {spec.preprocess.mode}; leave it out, or null"
        raise PlanError(said, key="preprocess.resize_short")
    if settings["color"] == "gray" and "mean" not in spec.preprocess.model_fields_set:
        settings["mean"] = settings["mean"][:1]
    if settings["color"] == "gray" and "std" not in spec.preprocess.model_fields_set:
        settings["std"] = settings["std"][:1]
    try:
        return Preprocess(**settings, input_color=spec.decode.color, engine=spec.engine)
    except ArgumentError as e:
        if spec.decode.color == "gray" and spec.preprocess.color != "gray":
            raise PlanError(
                "gray gives one channel, which cannot become colour; use bgr, or preprocess.color: gray",
                key="decode.color",
            ) from None
        raise PlanError(e.text, key=f"preprocess.{e.argument}") from None


def check_kernels(plan: PlanFile) -> None:
    """PlanError with file and line where a built-in preprocess has values that do not go together. Opens nothing."""
    problems = []
    for name, spec in plan.plan.pipelines.items():
        if isinstance(spec.preprocess, pipelines.Preprocess):
            try:
                if preprocess_kernel(spec).varies and max(plan.plan.matrix.batch_sizes) > 1:
                    problems.append(f"{plan.where(('matrix', 'batch_sizes'))}: {no_batch(spec.preprocess.mode)}")
            except PlanError as e:
                problems.append(f"{plan.where(('pipelines', name, *e.key.split('.')))}: {e.text}")
    if problems:
        raise PlanError("\n".join(dict.fromkeys(problems)))


def labels_of(spec: pipelines.Pipeline, model: ModelInfo, folder: Path) -> list[str] | None:
    """Class names, or characters of text: the plan's, else the model's own."""
    if isinstance(spec.postprocess, pipelines.Postprocess) and spec.postprocess.task == "text":
        return characters_of(spec.postprocess, model, folder)
    given = spec.postprocess.labels
    if isinstance(given, list):
        return given
    if isinstance(given, str):
        file = folder / given
        try:
            # A blank line in the middle is a class without a name: dropping it would shift all that follow.
            return [line.strip() for line in file.read_text("utf-8-sig").rstrip().splitlines()]
        except (OSError, UnicodeDecodeError) as e:
            raise PlanError(
                f"{file}: the labels cannot be read ({e}); expected a text file with one label a line"
            ) from None
    return model.labels()


def pick_input(where: str, spec: pipelines.Pipeline, model: ModelInfo) -> TensorInfo:
    names = [i.name for i in model.inputs]
    if not names:
        raise ModelError(f"{model.path} has no inputs, so no image can go in; there is nothing to try it on", key=where)
    if spec.input is not None and spec.input not in names:
        raise ModelError(
            f"{model.path} has no input called {spec.input!r}{did_you_mean(spec.input, names)}; its inputs are "
            f"{', '.join(names)}",
            key=f"{where}.input",
        )
    if spec.input is not None:
        return model.inputs[names.index(spec.input)]
    return main_input(model)


def check_fit(where: str, kernel: Preprocess, fed: TensorInfo, model: ModelInfo) -> None:
    """ModelError where the preprocessed tensor is not what the model takes."""
    expected = fed.shape[1:]
    sides = fed.shape[1:3] if kernel.layout == "nhwc" else fed.shape[2:4]
    if kernel.varies and any(isinstance(s, int) for s in sides):
        raise ModelError(
            f"{where}.preprocess.mode is {kernel.mode}, which gives each image a size of its own, but {model.path} expects "
            f"{fed}; export the model with open sides, or use mode: letterbox"
        )
    agrees = not fed.ranked or (
        len(fed.shape) == 4 and all(e == g for e, g in zip(expected, kernel.shape, strict=True) if isinstance(e, int))
    )
    if not agrees:
        raise ModelError(
            f"{where}.preprocess gives {kernel.dtype}{list(kernel.shape)} an image (layout {kernel.layout}), but "
            f"{model.path} expects {fed}; change size, layout or color{_hint(kernel, fed)}"
        )
    if fed.dtype not in DTYPES:
        raise ModelError(f"{where}.preprocess cannot feed {model.path}: {unfed(fed)}")
    if fed.dtype != kernel.dtype:
        raise ModelError(
            f"{where}.preprocess.dtype is {kernel.dtype}, but input {fed.name} of {model.path} takes {fed.dtype}; "
            f"set dtype: {fed.dtype}"
        )


def _hint(kernel: Preprocess, fed: TensorInfo) -> str:
    if len(fed.shape) != 4:
        return ""
    channels_last = fed.shape[3] in (1, 3)
    sides = fed.shape[1:3] if channels_last else fed.shape[2:4]
    if channels_last and kernel.layout == "nchw":
        return ": this model takes layout nhwc"
    if all(isinstance(s, int) for s in sides) and sides != kernel.size:
        return f": set size: [{sides[0]}, {sides[1]}]"
    return ""


def _postprocess(
    where: str,
    spec: pipelines.Postprocess,
    indices: list[int],
    engine: str,
    folder: Path,
    labels: list[str] | None,
) -> Callable[[Sequence[Array], Sequence[Geometry]], list[Result]]:
    decoder = decoder_of(spec, engine, folder, labels)
    if decoder is None:
        return lambda _outputs, geometries: [None] * len(geometries)

    def postprocess(outputs: Sequence[Array], geometries: Sequence[Geometry]) -> list[Result]:
        try:
            return list(decoder([outputs[i] for i in indices], geometries))
        except ValueError as e:
            raise ModelError(str(e), key=f"{where}.postprocess") from None

    return postprocess


def _user_postprocess(
    function: Callable[..., Any], output_names: list[str]
) -> Callable[[Sequence[Array], Sequence[Geometry]], list[Result]]:
    def postprocess(outputs: Sequence[Array], geometries: Sequence[Geometry]) -> list[Result]:
        given = function(dict(zip(output_names, outputs, strict=True)), [g.source_hw for g in geometries])
        if not isinstance(given, list | tuple) or len(given) != len(geometries):
            count = count_of(len(given), "result") if isinstance(given, list | tuple) else type(given).__name__
            raise PlanError(
                f"the Python postprocess gave {count}; expected a list of one result an image: {len(geometries)}"
            )
        return [check_result(r) for r in given]

    return postprocess
