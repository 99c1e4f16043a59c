"""Writes a commented plan from a model: what the file says, what was guessed from its shapes, and what is to be checked.

For: a first plan that runs. Not for: knowing what preprocessing a model was trained with; no file says that.
"""

from __future__ import annotations

import ast
import json
from dataclasses import dataclass
from pathlib import Path

from seatrial.errors import ModelError
from seatrial.plan.model_file import ModelInfo, TensorInfo

Dim = int | str | None
IMAGENET = ("[0.485, 0.456, 0.406]", "[0.229, 0.224, 0.225]")


@dataclass(frozen=True)
class Guess:
    """One pipeline, guessed: `why` lists what each choice rests on."""

    task: str
    format: str | None
    size: tuple[int, int]
    layout: str
    dtype: str
    color: str
    mode: str
    mean: str
    std: str
    scale: str
    batch_fixed: int | None
    why: tuple[str, ...]
    unsure: tuple[str, ...]
    resize_short: int | None
    interpolation: str
    quantised: tuple[float, int] | None


def guess(info: ModelInfo) -> Guess:
    """Reads task, layout and size from metadata and shapes. ModelError where no input looks like an image."""
    if len(info.inputs) > 1:
        raise ModelError(
            f"{info.path}: the model has {len(info.inputs)} inputs ({', '.join(map(str, info.inputs))}), and a built-in "
            "preprocess feeds one; write the plan by hand with a Python preprocess stage that returns a dict (docs/plan.md)"
        )
    image = next((i for i in info.inputs if len(i.shape) == 4), None)
    if image is None:
        raise ModelError(
            f"{info.path}: no input looks like an image (four dimensions); inputs are {', '.join(map(str, info.inputs))}; "
            "write the plan by hand with a Python preprocess stage"
        )
    why: list[str] = []
    unsure: list[str] = []
    layout, channels, sides = _layout(image)
    size = _size(info, sides, why, unsure)
    task, form = _task(info, why, unsure)
    detector = task == "detect"
    ultralytics = "stride" in info.metadata
    uint8 = image.dtype == "uint8"
    mode, mean, std = ("letterbox", "[0, 0, 0]", "[1, 1, 1]") if detector or ultralytics else ("stretch", *IMAGENET)
    short, interpolation = None, "linear"
    if task == "classify":
        mode = "resize_center_crop"
    if ultralytics and task == "classify":
        short, interpolation = min(size), "antialias_linear"
        unsure.append(
            "an Ultralytics classifier: short side to size, antialiased, centre crop, RGB, scale 1/255, no mean"
        )
    elif ultralytics:
        why.append("metadata of an Ultralytics export: letterbox, RGB, scale 1/255, no mean")
        mean, std = "[0, 0, 0]", "[1, 1, 1]"
    elif not uint8:
        unsure.append(
            "color, scale, mean and std: no model file says what it was trained with; wrong ones cost accuracy silently"
        )
    quantised: tuple[float, int] | None = None
    if image.dtype == "int8":
        quantised = info.input_quantisation.get(image.name)
        if quantised:
            why.append("quant_scale and zero_point stand in the model, behind its input")
        else:
            # Any other mean and std would leave the range that this pair covers.
            quantised, mean, std = (1 / 255, -128), "[0, 0, 0]", "[1, 1, 1]"
            unsure.append(
                "int8 input: quant_scale and zero_point are guessed for values from 0 to 1; ask its converter"
            )
    if uint8:
        mean, std = "[0, 0, 0]", "[1, 1, 1]"
    if channels == 1:
        mean, std = ("[0]", "[1]") if mean == "[0, 0, 0]" else ("[0.5]", "[0.5]")
    if form == "yolox":
        unsure.append("YOLOX exports take BGR, 0 to 255 and top-left padding")
    batch = image.shape[0] if isinstance(image.shape[0], int) else None
    return Guess(
        task, form, size, layout, image.dtype, "gray" if channels == 1 else "rgb", mode, mean, std,
        "1" if uint8 else "1/255", batch, tuple(why), tuple(unsure), short, interpolation, quantised,
    )  # fmt: skip


def _layout(image: TensorInfo) -> tuple[str, int, tuple[Dim, Dim]]:
    shape = image.shape
    if shape[3] in (1, 3) and shape[1] not in (1, 3):
        return "nhwc", 3 if shape[3] == 3 else 1, (shape[1], shape[2])
    return "nchw", 1 if shape[1] == 1 else 3, (shape[2], shape[3])


def _size(info: ModelInfo, sides: tuple[Dim, Dim], why: list[str], unsure: list[str]) -> tuple[int, int]:
    if isinstance(sides[0], int) and isinstance(sides[1], int):
        why.append(f"size {sides[0]} × {sides[1]}: fixed in the model")
        return sides[0], sides[1]
    try:
        given = ast.literal_eval(info.metadata.get("imgsz", ""))
        size = (int(given[0]), int(given[1])) if isinstance(given, list | tuple) else (int(given), int(given))
    except (ValueError, SyntaxError, TypeError, IndexError):
        unsure.append("size: the model takes any; 640 × 640 is a common choice")
        return 640, 640
    why.append(f"size {size[0]} × {size[1]}: from the model's metadata (imgsz)")
    return size


def _task(info: ModelInfo, why: list[str], unsure: list[str]) -> tuple[str, str | None]:
    known = info.metadata.get("task", "")
    if known in ("pose", "obb", "segment"):
        unsure.append(
            f"task raw: the metadata says '{known}', which has no built-in postprocess; use a Python stage for its results"
        )
        return "raw", None
    said = {"detect": "detect", "classify": "classify"}.get(known)
    shapes = [o.shape for o in info.outputs]
    form = _detector_format(shapes, said == "detect", len(info.labels() or []))
    if said:
        why.append(f"task {said}: from the model's metadata")
        return said, form or "yolov8" if said == "detect" else None
    if form:
        unsure.append(f"task detect, format {form}: guessed from the output's shape")
        return "detect", form
    if len(shapes) == 1 and len(shapes[0]) == 2:
        if info.labels() or (isinstance(shapes[0][1], int) and shapes[0][1] not in (128, 256, 384, 512, 768, 1024)):
            why.append("task classify: one output of two dimensions")
            return "classify", None
        unsure.append("task embed: one output of two dimensions without labels; it may be a classifier")
        return "embed", None
    if len(shapes) == 1 and len(shapes[0]) == 4 and isinstance(shapes[0][1], int) and shapes[0][1] > 1:
        why.append("task segment: one output of four dimensions with a channel a class")
        return "segment", None
    unsure.append("task raw: the outputs look like no known task; only tensors are compared")
    return "raw", None


def _detector_format(shapes: list[tuple[Dim, ...]], sure: bool, labels: int) -> str | None:
    ranks = [len(s) for s in shapes]
    if ranks == [3]:
        rows, columns = shapes[0][1], shapes[0][2]
        if columns == 6 and (not isinstance(rows, int) or rows <= 1000):
            return "end_to_end"
        # The side that counts anchors is the long one; classes are few.
        if isinstance(rows, int) and 5 <= rows <= 1300 and (not isinstance(columns, int) or columns > rows):
            return "yolov8" if sure or isinstance(columns, int) or rows == labels + 4 else None
        if isinstance(columns, int) and 6 <= columns <= 1300 and isinstance(rows, int) and rows > columns:
            return "yolov5"
    if ranks == [3, 3] and any(s[2] == 4 for s in shapes):
        return "detr" if all(isinstance(s[1], int) and s[1] <= 1000 for s in shapes) else "ssd"
    return None


def plan_text(info: ModelInfo, plan_folder: Path, images: str, backends: list[str]) -> str:
    """A commented plan for the model, with its own labels; valid as it stands where `images` is a folder of images."""
    g = guess(info)
    try:
        model = info.path.resolve().relative_to(plan_folder.resolve()).as_posix()
    except ValueError:
        model = str(info.path.resolve())
    labels = info.labels()
    facts = [f"#   {i}" for i in (*info.inputs, *info.outputs)]
    notes = [f"# From the file: {w}" for w in g.why] + [f"# CHECK {u}" for u in g.unsure]
    post = [f"task: {g.task}"]
    if g.format:
        post += [f"format: {g.format}", "confidence: 0.25", "iou: 0.45"]
    if g.task == "classify":
        post += ["top_k: 5", f"activation: {_activation(info)}"]
    lines = [
        f"# A trial of {info.path.name}; written by seatrial init. Inputs and outputs of the model:",
        *facts,
        *notes,
        "version: 1",
        "images:",
        f"  path: {json.dumps(images)}                # a folder of images, or a list of files",
        "  # annotations: annotations.json   # COCO JSON (boxes, polygons) or a CSV with columns image,class",
        "pipelines:",
        "  baseline:",
        f"    model: {json.dumps(model)}",
        "    decode: {color: bgr, exif: apply}",
        "    preprocess:",
        f"      size: [{g.size[0]}, {g.size[1]}]               # height, width",
        f"      mode: {g.mode}   # letterbox, stretch, resize_center_crop or pad",
        f"      interpolation: {g.interpolation}       # linear, nearest, area, cubic, antialias_linear, antialias_cubic",
        *([f"      resize_short: {g.resize_short}"] if g.resize_short else []),
        *(["      pad_value: 114"] if g.mode == "letterbox" else []),
        f"      color: {g.color}                  # the order that the model expects",
        f"      scale: {g.scale}               # (pixel * scale - mean) / std",
        f"      mean: {g.mean}",
        f"      std: {g.std}",
        f"      layout: {g.layout}",
        f"      dtype: {g.dtype}",
        *([f"      quant_scale: {g.quantised[0]:.9g}", f"      zero_point: {g.quantised[1]}"] if g.quantised else []),
        "    postprocess:",
        *(f"      {line}" for line in post),
        *([f"      labels: {json.dumps(labels, ensure_ascii=False)}"] if labels and len(labels) <= 100 else []),
        "  # candidate:",
        "  #   extends: baseline",
        "  #   model: the-next-version.onnx",
        "matrix:",
        f"  backends: [{', '.join(backends)}]",
        "  precisions: [fp32]              # fp32, int8 (calibrated on the images above)",
        f"  batch_sizes: [{g.batch_fixed or 1}]" + ("               # fixed in the model" if g.batch_fixed else ""),
        "  threads: [1]",
        "budgets:",
        "  - {metric: latency, at: p95, stage: end_to_end, max: 200 ms}   # your limit",
        f"parity: {{reference: {{pipeline: baseline, backend: {backends[0]}}}, tolerance: auto}}",
        "measure: {max_time: 5 s}",
    ]
    return "\n".join(lines) + "\n"


def _activation(info: ModelInfo) -> str:
    """'none' where the graph ends in a softmax already: a second one would flatten the scores."""
    import onnx

    graph = onnx.load(str(info.path), load_external_data=False).graph
    name = info.outputs[0].name
    for _ in range(3):
        node = next((n for n in graph.node if name in n.output), None)
        if node is None:
            break
        if node.op_type in ("Softmax", "Sigmoid"):
            return "none"
        if node.op_type not in ("Identity", "Reshape", "Flatten", "Squeeze", "Cast"):
            break
        name = node.input[0]
    return "softmax"
