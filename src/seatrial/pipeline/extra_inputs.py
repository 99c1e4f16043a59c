"""Inputs that a model takes beside the image, filled from where the image's pixels went.

For: im_shape and scale_factor of PaddleDetection, orig_target_sizes of RT-DETR and its relatives. Not for: the image itself
(kernels/preprocess.py).
"""

from __future__ import annotations

from seatrial.errors import ModelError, PlanError, did_you_mean
from seatrial.kernels.detection_formats import FORMATS
from seatrial.kernels.detector_format import SOURCE
from seatrial.kernels.geometry import Geometry
from seatrial.model.file import ModelInfo, TensorInfo
from seatrial.plan import pipelines, tasks
from seatrial.plan.tasks import USUAL_INPUTS
from seatrial.warning import Warning

_DTYPES = ("float32", "float64", "float16", "int32", "int64")


def extra_inputs(
    where: str, spec: pipelines.Preprocess, image: TensorInfo, model: ModelInfo
) -> dict[str, tuple[str, str]]:
    """What each input beside the image is filled with, and its dtype.

    ModelError or PlanError where one is not said, is not there, or takes something else than two numbers an image.
    """
    others = {i.name: i for i in model.inputs if i.name != image.name}
    key = f"{where}.preprocess.extra_inputs"
    for name in spec.extra_inputs:
        if name not in others:
            there = (
                f"the inputs beside the image are {', '.join(others)}" if others else "it has no input beside the image"
            )
            raise PlanError(
                f"{model.path} has no such input {name!r}{did_you_mean(name, list(others))}; {there}", key=key
            )
    unsaid = [name for name in others if name not in spec.extra_inputs]
    if unsaid:
        proposed = ", ".join(f"{name}: {USUAL_INPUTS.get(name, '?')}" for name in unsaid)
        raise ModelError(
            f"{model.path} has {len(model.inputs)} inputs ({', '.join(map(str, model.inputs))}), and nothing says what "
            f"goes into {', '.join(unsaid)}; set extra_inputs: {{{proposed}}} (source_hw, resized_hw, scale_yx and others), "
            "or use a Python preprocess stage that returns a dict with one array an input",
            key=where,
        )
    for name, tensor in others.items():
        two = len(tensor.shape) == 2 and (tensor.shape[1] == 2 or not isinstance(tensor.shape[1], int))
        if (tensor.ranked and not two) or tensor.dtype not in _DTYPES:
            raise ModelError(
                f"{key}.{name} gives two numbers an image, but {model.path} expects {tensor}; use a Python preprocess stage"
            )
        if spec.extra_inputs[name].startswith("scale") and not tensor.dtype.startswith("float"):
            raise ModelError(
                f"{key}.{name} gives scales, which are no whole numbers, but {model.path} expects {tensor}; name a size in "
                "pixels, such as source_hw"
            )
    return {name: (spec.extra_inputs[name], tensor.dtype) for name, tensor in others.items()}


def unusual_inputs(where: str, spec: pipelines.Pipeline) -> list[Warning]:
    """Inputs that bear a known name, but are filled with other numbers than exporters mean by it: rows and columns swapped cost
    accuracy on every picture that is not square, and look right on those that are."""
    if not isinstance(spec.preprocess, pipelines.Preprocess):
        return []
    found = []
    for name, kind in spec.preprocess.extra_inputs.items():
        usual = USUAL_INPUTS.get(name, kind)
        if kind != usual and kind not in _as_good(usual, spec):
            said = f"{where}.preprocess.extra_inputs: {name} gets {kind}, and exporters with an input of that name mean {usual}"
            # Where boxes are read in the input's pixels its size stays, in the usual order.
            own = [other for other in _as_good(usual, spec) if kind.startswith("input")]
            cure = f"set {name}: {(own or [usual])[0]}, unless the model's own code has it otherwise"
            found.append(Warning("unusual-input", said, cure))
    return found


def _as_good(usual: str, spec: pipelines.Pipeline) -> tuple[str, ...]:
    """The input's size in the same order, where it is the resized picture's, or where boxes are not to be the picture's."""
    which, _, order = usual.partition("_")
    stretched = isinstance(spec.preprocess, pipelines.Preprocess) and spec.preprocess.mode == "stretch"
    own_unit = not (isinstance(spec.postprocess, pipelines.Postprocess) and _of_the_picture(spec.postprocess))
    return (f"input_{order}",) if (which == "source" and own_unit) or (which == "resized" and stretched) else ()


def _of_the_picture(post: pipelines.Postprocess) -> bool:
    """Whether boxes are read as pixels of the picture."""
    form = FORMATS.get(post.format or "")
    return post.task in tasks.OBJECTS and form is not None and (post.boxes or form.units[0]) == SOURCE


def check_source_boxes(where: str, pre: pipelines.Preprocess, post: pipelines.Postprocess) -> None:
    """PlanError where a model that gives boxes in source pixels cannot know where the padding went.

    It divides by a scale, which undoes a resize and nothing else, or takes fractions of its whole input times the source's
    size, which undoes a stretch alone.
    """
    if not _of_the_picture(post):
        return
    pads = pre.mode in ("letterbox", "pad") or (pre.mode in ("rect", "keep_ratio") and pre.to_stride == "pad")
    by_size = any(kind in ("source_hw", "source_wh") for kind in pre.extra_inputs.values())
    moves = pre.mode == "resize_center_crop" or (pads and (by_size or pre.pad_anchor == "center"))
    if moves:
        cure = "set mode: stretch" if by_size else "set pad_anchor: top_left, or mode: stretch"
        raise PlanError(
            f"postprocess reads boxes in pixels of the picture, and mode {pre.mode} moves the picture in the input, of which "
            f"the model is not told; {cure}, as the model was trained",
            key=f"{where}.preprocess.mode",
        )


def extra_values(kind: str, g: Geometry) -> tuple[float, float]:
    """Two numbers of one image. scale: resized / source."""
    values: dict[str, tuple[float, float]] = {
        "source_hw": g.source_hw,
        "source_wh": g.source_hw[::-1],
        "resized_hw": g.resized_hw,
        "input_hw": g.input_hw,
        "input_wh": g.input_hw[::-1],
        "scale_yx": (g.scale_y, g.scale_x),
        "scale_xy": (g.scale_x, g.scale_y),
    }
    return values[kind]
