"""Text in a plan: its decoders, the dictionary of characters, and what the model's file says against either.

For: task text, both formats. Not for: the decoders' steps (kernels/text.py, kernels/text_regions.py), or numbers of a run
(plausible_text.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from seatrial.errors import ModelError, PlanError
from seatrial.kernels.text import TextDecoder, alphabet_problem
from seatrial.kernels.text_regions import ONE_MAP, TextRegionDecoder
from seatrial.model.file import ModelInfo, TensorInfo
from seatrial.plan import pipelines

_OF_REGIONS = ("threshold", "confidence", "unclip_ratio", "min_size", "score_mode", "dilation", "max_detections")
_OF_TEXT = ("blank", "space")
# What dictionaries call the class that is no character.
_BLANKS = ("blank", "blk", "pad", "ctc")


def text_decoder(post: pipelines.Postprocess, characters: Sequence[str] | None) -> TextRegionDecoder | TextDecoder:
    """With the decoder's own defaults where the plan says nothing: they are those of text, not of other objects."""
    names = _OF_REGIONS if post.format == "db" else _OF_TEXT
    given = {
        k: getattr(post, k)
        for k in (*names, "activation")
        if k in post.model_fields_set and getattr(post, k) is not None
    }
    return TextRegionDecoder(**given) if post.format == "db" else TextDecoder(tuple(characters or ()), **given)


def activation_of(post: pipelines.Postprocess) -> str:
    """Of text, none where the plan says nothing: most exports end in one."""
    return post.activation if "activation" in post.model_fields_set else "none"


def characters_of(post: pipelines.Postprocess, model: ModelInfo, folder: Path) -> list[str] | None:
    """The plan's labels, else the metadata's `character`, one a line, each as it stands: a line may be a space.

    None where format db reads none, or where nobody says them. PlanError where the plan's file cannot be read.
    """
    if post.format == "db":
        return None
    if isinstance(post.labels, list):
        return post.labels
    if post.labels is None:
        return lines_of(model.metadata["character"]) if model.metadata.get("character") else None
    file = folder / post.labels
    try:
        return lines_of(file.read_bytes().decode("utf-8-sig"))
    except (OSError, UnicodeDecodeError) as e:
        raise PlanError(
            f"{file}: the labels cannot be read ({e}); expected a text file in UTF-8 with one character a line"
        ) from None


def steps_first(output: TensorInfo, batch: int | str | None) -> bool:
    """Whether an output of three dimensions has the batch of the model's input in the second one, and a number in front."""
    steps, second = output.shape[:2]
    return isinstance(steps, int) and steps != 1 and second is not None and second == batch != steps


def lines_of(text: str) -> list[str]:
    """Between line feeds, without a carriage return before one; what Unicode has for line ends beside is a character here."""
    lines = text.removesuffix("\n").split("\n")
    return [line.removesuffix("\r") for line in lines]


def check_text(
    where: str,
    post: pipelines.Postprocess,
    outputs: Sequence[TensorInfo],
    model: ModelInfo,
    characters: Sequence[str] | None,
) -> None:
    """ModelError where shapes or the count of characters rule the format out. outputs: those that are read."""
    said = f"{where}.postprocess.format is {post.format}, which reads "
    gives = f"but {model.path} gives {', '.join(map(str, outputs))}"
    if len(outputs) != 1:
        raise ModelError(f"{said}one output, {gives}; name it: outputs: [{outputs[0].name}]")
    output = outputs[0]
    if post.format == "db":
        channels = output.shape[1] if len(output.shape) == 4 else 0
        if output.ranked and isinstance(channels, int) and channels != 1:
            raise ModelError(f"{said}{ONE_MAP.removeprefix('expected ')}, {gives}; name another output or format")
        return
    if characters is None:
        raise ModelError(
            f"{said}characters, but neither postprocess.labels nor the metadata of {model.path} (character) says which class "
            "is which; set labels: the dictionary that the model was trained with, a file with one character a line"
        )
    for line, character in enumerate(characters, start=1):
        if not character or character.strip("<>[]_ ").lower() in _BLANKS:
            raise ModelError(
                f"{where}.postprocess.labels: line {line} is {character!r}, which is no character: each one behind it would be "
                f"read as its neighbour; take it out, blank: {post.blank} has a class of its own already"
            )
    if output.ranked and len(output.shape) != 3:
        raise ModelError(f"{said}(B, steps, classes), {gives}; name another output or format")
    batch = model.inputs[0].shape[0] if model.inputs and model.inputs[0].shape else None
    if output.ranked and steps_first(output, batch):
        raise ModelError(f"{said}(B, steps, classes), {gives}, with the steps first: transpose it in the model")
    classes = output.shape[2] if output.ranked else None
    if isinstance(classes, int):
        turned = alphabet_problem(classes, len(characters), post.space, post.blank) and not alphabet_problem(
            output.shape[1] if isinstance(output.shape[1], int) else 0, len(characters), post.space, post.blank
        )
        if turned:
            raise ModelError(
                f"{said}(B, steps, classes), {gives}, with the classes before the steps: transpose it in the model"
            )
        problem = alphabet_problem(classes, len(characters), post.space, post.blank)
        if problem:
            raise ModelError(f"{where}.postprocess.labels: {output} of {model.path} {problem}")
