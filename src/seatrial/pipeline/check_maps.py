"""What a model's file alone says against reading a map of it: which of its dimensions are classes, and whether there are any.

For: tasks segment and dense, with the format that fits in the message. Not for: values, which only a run shows
(map_values.py).
"""

from __future__ import annotations

from collections.abc import Sequence

from seatrial.errors import ModelError
from seatrial.model.file import ModelInfo, TensorInfo
from seatrial.model.image_size import main_input
from seatrial.plan import pipelines


def check_map(where: str, spec: pipelines.Postprocess, outputs: Sequence[TensorInfo], model: ModelInfo) -> None:
    """ModelError where no map of the task and format can be in the outputs that are read."""
    form = spec.format or "scores"
    asked = "task is dense" if spec.task == "dense" else f"task is segment, format {form}"
    if len(outputs) > 1 and (spec.task == "dense" or form != "scores"):
        listed = ", ".join(map(str, outputs))
        raise ModelError(
            f"{where}.postprocess.{asked}, which reads one output, but {model.path} gives {listed}; name it: outputs: "
            f"[{outputs[0].name}]"
        )
    output = outputs[0]
    if output.ranked and (problem := _misfit(spec.task, form, output, model)):
        raise ModelError(
            f"{where}.postprocess.{asked}, which {problem[0]}, but {model.path} gives {output}; {problem[1]}"
        )


def _misfit(task: str, form: str, output: TensorInfo, model: ModelInfo) -> tuple[str, str] | None:
    """What is read, and what to do instead; None where the shape does not rule it out."""
    rank = len(output.shape)
    one_channel = rank == 3 or (rank == 4 and output.shape[1] == 1)
    if task == "dense" or form in ("class_map", "one_channel"):
        if one_channel or (rank == 4 and not isinstance(output.shape[1], int)):
            return None
        reads = "reads (B, 1, height, width) or (B, height, width)"
        if rank == 4 and output.shape[3] == 1:
            return reads, "transpose it in the model, or use a Python postprocess"
        return reads, "use task: segment with format scores where its channels are classes" if rank == 4 else _OTHER
    if rank == 3:
        return f"reads {_READS[form]}", "set format: class_map where it holds class numbers (an argmax in the graph)"
    if rank != 4:
        return f"reads {_READS[form]}", _OTHER
    if form == "scores" and one_channel:
        return (
            "chooses among two channels or more",
            "set format: one_channel for a mask with a threshold, class_map where it holds class numbers, or task: dense for a "
            "depth or another value",
        )
    turned = channels_are_last(output.shape, input_sides(model))
    if form == "scores" and turned:
        return "reads (B, classes, height, width)", "with its channels last: set format: channels_last"
    if form == "channels_last" and turned is False:
        return "reads (B, height, width, classes)", "with its channels first: set format: scores"
    if form == "channels_last" and output.shape[3] == 1:
        return "chooses among two channels or more", "transpose it in the model, or use a Python postprocess"
    return None


_READS = {"scores": "(B, classes, height, width)", "channels_last": "(B, height, width, classes)"}
_OTHER = "use task: raw, or a Python postprocess"


def input_sides(model: ModelInfo) -> Sequence[int | str | None]:
    image = main_input(model).shape if model.inputs else ()
    return image[1:3] if len(image) == 4 and image[3] in (1, 3) else image[2:4]


def channels_are_last(shape: Sequence[int | str | None], sides: Sequence[int | str | None]) -> bool | None:
    """Of a map's shape, with the batch, by its sides, which are like the input's; None where they do not tell."""
    dims = (*shape[1:], *sides)
    if len(shape) != 4 or len(dims) != 5 or not all(isinstance(d, int) for d in dims):
        return None
    a, b, c, height, width = (int(d) for d in dims if isinstance(d, int))
    last, first = a * width == b * height and c * 4 <= a, b * width == c * height and a * 4 <= b
    return last if last != first else None
