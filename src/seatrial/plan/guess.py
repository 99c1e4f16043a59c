"""A first guess at a model's pipeline, from its file and from what a picture gave: what is certain and what is to be checked.

For: `init`. Not for: knowing what preprocessing a model was trained with; no file says that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from seatrial.errors import ModelError
from seatrial.model.feeds import DTYPES, unfed
from seatrial.model.file import ModelInfo, TensorInfo, not_an_array
from seatrial.model.fitting import example_shape, multiple_of
from seatrial.model.image_size import Size, layout_of, main_input, size_in, size_words, stated_size, unread_size
from seatrial.plan.head_rtdetr import is_rtdetr
from seatrial.plan.head_text import open_size
from seatrial.plan.heads import Head, Recognition, recognise
from seatrial.plan.seen import Seen
from seatrial.plan.tasks import OBJECTS, USUAL_INPUTS

Dim = int | str | None
COMMON: Size = (640, 640)
Floats = tuple[float, ...]
IMAGENET: tuple[Floats, Floats] = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
PLAIN: tuple[Floats, Floats] = ((0, 0, 0), (1, 1, 1))


@dataclass(frozen=True)
class Guess:
    """A pipeline that may fit the model. why: what each choice rests on; unsure: what is to be checked.

    preprocess: arguments of kernels.Preprocess. batch_fixed: the model's own batch, where it has one. size_known: whether the
    model, its metadata or somebody says the size. labels_fit: whether the file's labels are as many as the head's classes.
    background: the column that is no class, where the labels are one fewer than the columns. run_s: seconds that a batch took
    on a picture, at the most that one core would take. extra_inputs: what goes into those beside the image, by their names.
    """

    recognition: Recognition
    preprocess: dict[str, Any]
    batch_fixed: int | None
    activation: str
    why: tuple[str, ...]
    unsure: tuple[str, ...]
    size_known: bool = True
    labels_fit: bool = True
    background: str = ""
    run_s: float | None = None
    extra_inputs: Mapping[str, str] = field(default_factory=dict)

    @property
    def task(self) -> str:
        return self.recognition.head.task

    @property
    def format(self) -> str | None:
        return self.recognition.head.format

    @property
    def size(self) -> tuple[int, int]:
        size: tuple[int, int] = self.preprocess["size"]
        return size


@dataclass
class _Reasons:
    """What each choice rests on, and what is to be checked, as the choices are made."""

    why: list[str] = field(default_factory=list)
    unsure: list[str] = field(default_factory=list)


def guess(
    info: ModelInfo, seen: Mapping[str, Seen] | None = None, not_run: str = "", size: Size | None = None
) -> Guess:
    """Task, format, size and preprocessing from metadata, names and shapes, and from what a picture gave.

    seen: the outputs on a picture. not_run: why there are none, for the plan. size: of a model that leaves it open, where
    somebody says it.

    Raises:
        ModelError: no plan with a built-in preprocess can run the model; the message says why and the cure.
    """
    image = _image_input(info)
    if problem := not_an_array(info):
        raise ModelError(f"{info.path}: {problem}")
    layout, channels, (high, wide) = layout_of(image)
    reasons = _Reasons()
    taken, known = _size(info, (image.shape[high], image.shape[wide]), size, reasons)
    found = recognise(info, seen or {}, taken)
    reasons.why += found.certain
    reasons.unsure += found.doubts
    if info.held:
        reasons.why.append(f"the file {info.held}: fp32 runs it as it is, and int8 is not made of it")
    if not_run:
        reasons.unsure.append(f"nothing was run on a picture: {not_run}; what stands here is from the file alone")
    color = "gray" if channels == 1 else "rgb"
    settings: dict[str, Any] = {"size": taken, "layout": layout, "dtype": image.dtype, "color": color}
    pixels = "bytes as they are" if image.dtype == "uint8" else "scale 1/255, no mean"
    settings |= _fit(info, found.head, taken, pixels, reasons)
    settings |= _values(info, image, found.head, channels, settings["mode"], reasons)
    batch = image.shape[0] if isinstance(image.shape[0], int) else None
    activation = found.activation or _activation(info)
    if found.head.format == "one_channel" and activation == "softmax":
        activation = "sigmoid"
    extra = {i.name: USUAL_INPUTS[i.name] for i in info.inputs if i is not image}
    if extra:
        said = ", ".join(f"{name} gets {kind}" for name, kind in extra.items())
        reasons.unsure.append(f"extra_inputs: by their names alone, {said}: what the exporter's own code puts in there")
    return Guess(
        found, settings, batch, activation, tuple(reasons.why), tuple(reasons.unsure), known, extra_inputs=extra
    )


def _image_input(info: ModelInfo) -> TensorInfo:
    if not info.inputs:
        raise ModelError(f"{info.path}: the model has no inputs, so no image can go in; there is nothing to try it on")
    inputs = ", ".join(map(str, info.inputs))
    pictures = [i for i in info.inputs if len(i.shape) == 4]
    known = all(i.name in USUAL_INPUTS and len(i.shape) in (0, 2) for i in info.inputs if len(i.shape) != 4)
    if len(info.inputs) > 1 and not (len(pictures) == 1 and known):
        raise ModelError(
            f"{info.path}: the model has {len(info.inputs)} inputs ({inputs}), and a built-in "
            "preprocess feeds one; write the plan by hand with a Python preprocess stage that returns a dict (docs/plan.md)"
        )
    image = pictures[0] if len(pictures) == 1 else info.inputs[0]
    if image.dtype == "object":
        raise ModelError(
            f"{info.path}: the model takes text, not an image (inputs are {inputs}); write the plan by hand with a Python "
            "preprocess stage"
        )
    if not image.ranked:
        raise ModelError(
            f"{info.path}: the file does not say its input's shape ({inputs}), so nothing shows whether it takes an image; "
            "export the model with the shapes of its inputs, or write the plan by hand (docs/plan.md)"
        )
    if len(image.shape) != 4:
        raise ModelError(
            f"{info.path}: no input looks like an image (four dimensions); inputs are {inputs}; write the plan by hand "
            "with a Python preprocess stage"
        )
    if 0 in image.shape:
        raise ModelError(
            f"{info.path}: input {image} has a dimension of size 0, into which no picture goes; export it with real sizes"
        )
    if image.dtype not in DTYPES:
        raise ModelError(f"{info.path}: {unfed(image)}")
    return image


def _size(info: ModelInfo, sides: tuple[Dim, Dim], given: Size | None, reasons: _Reasons) -> tuple[Size, bool]:
    """Height and width, and whether anything says so. given: by whoever asks, for what the model leaves open."""
    stated = stated_size(info)
    known = given or stated
    size = known or ((0, 0) if all(isinstance(s, int) for s in sides) else _fitting(info))
    size = (sides[0] if isinstance(sides[0], int) else size[0], sides[1] if isinstance(sides[1], int) else size[1])
    other = f"; its metadata says {size_words(stated)}" if stated and not given and stated != size else ""
    words, problem = f"size {size[0]} × {size[1]}", unread_size(info)
    if all(isinstance(s, int) for s in sides):
        reasons.why.append(f"{words}: fixed in the model{other}{f'; {problem}' if problem else ''}")
        return size, True
    if problem:
        reasons.unsure.append(f"size: {problem}")
    if other:
        reasons.unsure.append(f"{words}: one side is fixed in the model{other}")
    elif given:
        reasons.why.append(f"{words}: as given")
    elif stated:
        reasons.why.append(f"{words}: from the model's metadata (imgsz)")
    elif size == open_size(info):
        reasons.unsure.append(
            f"size: the model leaves it open; PaddleOCR trains its recognisers with {size[0]} × {size[1]}: longer lines shrink"
        )
    else:
        multiple = multiple_of(info)
        of = f", which takes multiples of {multiple}" if multiple else ""
        common = " is a common choice, and" if size == COMMON else ""
        reasons.unsure.append(
            f"size: the model leaves it open; {size[0]} × {size[1]}{common} goes through its graph{of}"
        )
    return size, known is not None


def _fitting(info: ModelInfo) -> Size:
    """The common choice, or another where that does not go through the graph."""
    image = main_input(info)
    return open_size(info) or size_in(image, example_shape(info, image, 1, {}))


def _ultralytics(info: ModelInfo) -> bool:
    return "stride" in info.metadata


def _fit(info: ModelInfo, head: Head, size: Size, pixels: str, reasons: _Reasons) -> dict[str, Any]:
    """How a picture comes to the input's size. pixels: what they become, in words."""
    if head.task == "classify":
        if _ultralytics(info):
            reasons.unsure.append(
                f"an Ultralytics classifier: short side to size, antialiased, centre crop, RGB, {pixels}"
            )
            return {"mode": "resize_center_crop", "resize_short": min(size), "interpolation": "antialias_linear"}
        return {"mode": "resize_center_crop"}
    if _ultralytics(info) and is_rtdetr(info):
        reasons.why.append(f"metadata of an Ultralytics RT-DETR: stretched, RGB, {pixels}")
        return {"mode": "stretch"}
    if _ultralytics(info):
        reasons.why.append(f"metadata of an Ultralytics export: letterbox, RGB, {pixels}")
        return {"mode": "letterbox"}
    if head.format == "yolox":
        return {"mode": "letterbox", "pad_anchor": "top_left"}
    if head.format == "ctc":
        return {"mode": "letterbox", "pad_anchor": "top_left", "pad_value": 127}
    return {"mode": head.fits or ("letterbox" if head.task in OBJECTS else "stretch")}


def _values(
    info: ModelInfo, image: TensorInfo, head: Head, channels: int, mode: str, reasons: _Reasons
) -> dict[str, Any]:
    """What a pixel becomes: color, scale, mean and std, and quantisation where the input has it."""
    values: dict[str, Any] = {"scale": 1 / 255}
    values["mean"], values["std"] = IMAGENET if _imagenet(info, head) else PLAIN
    if head.format == "yolox":
        values |= {"scale": 1, "color": "bgr"}
        reasons.unsure.append("YOLOX exports take BGR, 0 to 255 and top-left padding")
    elif head.task == "text" and image.dtype != "uint8":
        values["color"] = "bgr"
        if head.format == "ctc":
            values["mean"], values["std"] = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
        reasons.unsure.append(
            f"{_fit_words(mode)}, color, mean and std: PaddleOCR feeds BGR, "
            + ("mean and std 0.5, grey on the right" if head.format == "ctc" else "ImageNet's mean and std")
            + "; no model file says what it was trained with, and wrong ones cost accuracy silently"
        )
    elif image.dtype == "uint8":
        values["scale"], values["mean"], values["std"] = 1, *PLAIN
        reasons.unsure.append(
            f"{_fit_words(mode)} and color: no model file says how its training fitted pictures, and in which order it saw "
            "the channels"
        )
    elif not _ultralytics(info):
        reasons.unsure.append(
            f"{_fit_words(mode)}, color, scale, mean and std: no model file says what it was trained with; wrong ones cost "
            "accuracy silently"
        )
    if image.dtype == "int8":
        # Any other mean and std would leave the range that a guessed pair covers.
        held = info.input_quantisation.get(image.name)
        if held:
            reasons.why.append("quant_scale and zero_point stand in the model, behind its input")
        else:
            values["mean"], values["std"] = PLAIN
            reasons.unsure.append(
                "int8 input: quant_scale and zero_point are guessed for values from 0 to 1; ask its converter"
            )
        values["quant_scale"], values["zero_point"] = held or (1 / 255, -128)
    if channels == 1:
        plain = (values["mean"], values["std"]) == PLAIN
        values["mean"], values["std"] = ((0,), (1,)) if plain else ((0.5,), (0.5,))
        values["color"] = "gray"
    return values


def _fit_words(mode: str) -> str:
    """What is guessed of how a picture comes to the input's size."""
    return "mode, pad_value, interpolation" if mode == "letterbox" else "mode, interpolation"


def _imagenet(info: ModelInfo, head: Head) -> bool:
    """Whether the family is mostly trained on ImageNet's mean and spread. A guess, and marked as one."""
    if _ultralytics(info):
        return False
    if any("dets" in o.name.lower() for o in info.outputs) and head.format == "rtdetr":  # RF-DETR
        return True
    return (
        head.task in ("classify", "segment", "dense", "embed")
        or head.format == "db"
        or head.format == "detr"
        or (not head.read and head.fits == "stretch")
    )


def _activation(info: ModelInfo) -> str:
    """'none' where the graph ends in a softmax already: a second one would flatten the scores."""
    import onnx

    if not info.opset:
        return "softmax"
    graph = onnx.load(str(info.path), load_external_data=False).graph
    name = info.outputs[0].name
    for _ in range(3):
        node = next((n for n in graph.node if name in n.output), None)
        if node is None:
            break
        if node.op_type in ("Softmax", "Sigmoid"):
            return "none"
        if node.op_type not in ("Identity", "Reshape", "Flatten", "Squeeze", "Cast") or not node.input:
            break
        name = node.input[0]
    return "softmax"
