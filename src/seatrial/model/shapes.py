"""Shapes of made-up inputs: the model's own, with what the user gives, or its metadata says, for what it leaves open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from seatrial.errors import ModelError, UsageError, did_you_mean, option, printable
from seatrial.model.file import ModelInfo, TensorInfo, not_an_array
from seatrial.model.fitting import example_shape
from seatrial.model.image_size import Size, image_input, open_sides, size_in, sized, stated_size, unread_size


def check_inputs(info: ModelInfo) -> None:
    """ModelError for an input whose values cannot be made up, or an input or output that can be no array at all."""
    if problem := not_an_array(info):
        raise ModelError(f"{info.path}: {problem}")
    for tensor in info.inputs:
        if tensor.dtype == "object":
            raise ModelError(
                f"{info.path}: input {tensor.name!r} takes strings, and only numbers can be made up; measure it in a plan "
                f"whose preprocess stage is a Python function that gives this input: PLAN:PIPELINE {option('allow_code')}"
            )


def batch_input(info: ModelInfo) -> str:
    """The input whose first dimension is the batch: the first that has two dimensions or more. '' of a model without inputs.

    Others may hold what does not grow with the batch: anchors, sizes, a recurrent state.
    """
    wide = [i.name for i in info.inputs if len(i.shape) > 1 or not i.ranked]
    return (wide or [i.name for i in info.inputs] or [""])[0]


def batch_of(info: ModelInfo, shapes: dict[str, tuple[int, ...]], otherwise: int) -> int:
    """Images a request: what the shapes say, where they say anything."""
    shape = shapes.get(batch_input(info))
    return shape[0] if shape else otherwise


def fixed_shapes(
    info: ModelInfo, batch: int, given: dict[str, tuple[int, ...]], given_by: str = "shape"
) -> dict[str, tuple[int, ...]]:
    """Shape of every input: the model's own, an open first dimension from `batch`, the rest from `given` or the metadata.

    given_by: the option that these came by, for errors.
    """
    names = [i.name for i in info.inputs]
    for name in given:
        if name not in names:
            raise UsageError(
                f"the model has no input called {name!r}{did_you_mean(name, names)}; inputs are {', '.join(names)}",
                option=given_by,
            )
    counted = batch_input(info)
    batch = batch_of(info, given, batch) if batch == 1 else batch
    shapes = {}
    for tensor in info.inputs:
        if tensor.name in given:
            shape = given[tensor.name]
            if not tensor.fits(shape):
                raise UsageError(f"{tensor} cannot take {'x'.join(map(str, shape))}", option=given_by)
            if shape and tensor.name == counted and shape[0] != batch:
                raise UsageError(
                    f"{option('batch')} {batch} and {option(given_by)} {tensor.name}={'x'.join(map(str, shape))} disagree; "
                    "give one of them"
                )
            shapes[tensor.name] = shape
            continue
        own = list(tensor.shape)
        if own and not isinstance(own[0], int):
            own[0] = batch
        elif own and own[0] == 0:
            raise ModelError(
                f"{tensor} holds no value: its first dimension is 0; export the model with a batch of 1, or an open one",
                subject=info.path,
            )
        elif own and own[0] != batch and len(own) > 1 and tensor.name == counted:
            raise ModelError(
                f"{tensor} has a fixed batch of {own[0]}, not {batch}; give {option('batch')} {own[0]}",
                subject=info.path,
            )
        if not all(isinstance(d, int) for d in own):
            own = list(_stated(info, tensor, batch) or ())
        if not own and (tensor.shape or not tensor.ranked):
            known = {**shapes, **{n: s for n, s in given.items() if n != tensor.name}}
            example = "x".join(map(str, example_shape(info, tensor, batch, known)))
            unsaid = ""
            if tensor is image_input(info):
                unsaid = f"; {unread_size(info)}" if unread_size(info) else ", and no metadata gives a size"
            what = f"has dimensions that are not fixed{unsaid}" if tensor.ranked else "has no shape in the file"
            raise ModelError(
                f"{tensor} {what}; give {option(given_by)} {tensor.name}={example}",
                subject=info.path,
            )
        shapes[tensor.name] = tuple(d for d in own if isinstance(d, int))
    return shapes


def picture_size(info: ModelInfo, given: Mapping[str, tuple[int, ...]], batch: int = 1) -> Size | None:
    """Height and width of the pictures, where `given` shapes say them.

    Raises:
        UsageError: shapes that the model does not take, or of which none is a picture's.
    """
    if not given:
        return None
    fixed_shapes(info, batch, dict(given))
    image = image_input(info)
    if image is None and not all(i.ranked for i in info.inputs):
        return None  # whoever guesses says that no input can be called a picture
    if image is None or image.name not in given:
        raise UsageError(
            "it gives the picture's size, and that is of another input, or none takes a picture", option="shape"
        )
    return size_in(image, given[image.name])


def taken_shapes(info: ModelInfo, given: Mapping[str, Sequence[int]], shapes: Mapping[str, tuple[int, ...]]) -> str:
    """A line for people: which shape was taken from the metadata, and from where; '' where none was."""
    for tensor in info.inputs:
        if tensor.name not in given and _stated(info, tensor, 1):
            shape = "x".join(map(str, shapes[tensor.name]))
            return f"{printable(tensor.name)} {shape}: the size is from the model's metadata (imgsz)"
    return ""


def _stated(info: ModelInfo, tensor: TensorInfo, batch: int) -> tuple[int, ...] | None:
    """The shape of a picture whose sides are open and stand in the metadata."""
    size = stated_size(info)
    return sized(tensor, batch, size) if size and tensor is image_input(info) and open_sides(tensor) else None
