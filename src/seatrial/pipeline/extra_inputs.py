"""Inputs that a model takes beside the image, filled from where the image's pixels went.

For: im_shape and scale_factor of PaddleDetection, orig_target_sizes of RT-DETR and its relatives. Not for: the image itself
(kernels/preprocess.py).
"""

from __future__ import annotations

from seatrial.errors import ModelError, PlanError, did_you_mean
from seatrial.kernels.geometry import Geometry
from seatrial.model.file import ModelInfo, TensorInfo
from seatrial.plan import pipelines
from seatrial.plan.tasks import USUAL_INPUTS

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
    return {name: (spec.extra_inputs[name], tensor.dtype) for name, tensor in others.items()}


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
