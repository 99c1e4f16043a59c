"""Faults of the model as it was built or run: other pooling, overflow, calibration, activations, batches, stale buffers."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from faulty.injections.injection import Injection, Setting, step
from faulty.injections.scores import ALONG_BATCH
from faulty.pipelines import decode, infer_of, right_steps, tensor_of
from faulty.way import Array, Steps

LAYERS = {"Conv", "ConvTranspose", "MatMul", "Gemm"}


def edited(name: str, edit):
    """A step that runs a model which `edit` has changed in place; written once."""

    def make(setting: Setting):
        path = setting.folder / f"{name}-{setting.task.model}"
        if not path.is_file():
            model = onnx.load(setting.folder / setting.task.model)
            edit(model, setting)
            onnx.save(model, path)
        return infer_of(replace(setting.task, model=path.name), setting.folder)

    return step("infer", make)


def attribute(kind: str, key: str, value):
    def edit(model: onnx.ModelProto, _setting: Setting) -> None:
        for node in model.graph.node:
            if node.op_type == kind:
                kept = [a for a in node.attribute if a.name != key]
                del node.attribute[:]
                node.attribute.extend([*kept, helper.make_attribute(key, value)])

    return edit


def padded_at_the_end(model: onnx.ModelProto, _setting: Setting) -> None:
    """Strided convolutions pad as TensorFlow's SAME does where an even size is halved."""
    for node in model.graph.node:
        values = {a.name: list(a.ints) for a in node.attribute}
        if node.op_type == "Conv" and values.get("strides") == [2, 2] and values.get("pads") == [1, 1, 1, 1]:
            kept = [a for a in node.attribute if a.name != "pads"]
            del node.attribute[:]
            node.attribute.extend([*kept, helper.make_attribute("pads", [0, 0, 1, 1])])


def without_activation(model: onnx.ModelProto, _setting: Setting) -> None:
    """The last sigmoid or softmax lets all through."""
    last = [n for n in model.graph.node if n.op_type in ("Sigmoid", "Softmax")][-1]
    last.op_type = "Identity"
    del last.attribute[:]


def other_activation(kind: str):
    """The last sigmoid or softmax is the other one, along the axis of classes."""

    def edit(model: onnx.ModelProto, _setting: Setting) -> None:
        last = [n for n in model.graph.node if n.op_type in ("Sigmoid", "Softmax")][-1]
        last.op_type = kind
        del last.attribute[:]
        if kind == "Softmax":
            last.attribute.append(helper.make_attribute("axis", 1))

    return edit


def overflow(share: float):
    """One layer's values pass through float16, at such a size that the greatest of them are beyond its range.

    share: which layer, from the first to the last.
    """

    def edit(model: onnx.ModelProto, setting: Setting) -> None:
        layers = [n for n in model.graph.node if n.op_type in LAYERS]
        node = layers[int(share * (len(layers) - 1))]
        greatest = _greatest(model, node.output[0], setting)
        inner, scaled, half, full = (f"{node.output[0]}_{k}" for k in ("own", "large", "half", "wide"))
        outer = node.output[0]
        node.output[0] = inner
        factor = 65504 / (0.6 * greatest)
        model.graph.initializer.append(numpy_helper.from_array(np.array(factor, np.float32), f"{outer}_factor"))
        make = helper.make_node
        added = [
            make("Mul", [inner, f"{outer}_factor"], [scaled]),
            make("Cast", [scaled], [half], to=TensorProto.FLOAT16),
            make("Cast", [half], [full], to=TensorProto.FLOAT),
            make("Div", [full, f"{outer}_factor"], [outer]),
        ]
        at = list(model.graph.node).index(node) + 1
        nodes = [*model.graph.node[:at], *added, *model.graph.node[at:]]
        del model.graph.node[:]
        model.graph.node.extend(nodes)

    return edit


def _greatest(model: onnx.ModelProto, name: str, setting: Setting) -> float:
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    probe.graph.output.append(onnx.ValueInfoProto(name=name))
    session = ort.InferenceSession(probe.SerializeToString(), providers=["CPUExecutionProvider"])
    fed = {session.get_inputs()[0].name: _tensors(setting, 1)[0]}
    return float(np.abs(session.run([name], fed)[0]).max())


def _tensors(setting: Setting, count: int, tensor=None, chosen_by: str = "") -> list[Array]:
    """Of the first pictures; chosen_by: of some that chance takes by this name, as no tool can guess."""
    steps = right_steps(setting.task, setting.folder)
    files = sorted((setting.folder / "images-0").iterdir())
    files = random.Random(chosen_by).sample(files, count) if chosen_by else files[:count]
    return [(tensor or steps.tensor)(steps.resize(decode(f.read_bytes()))[0]) for f in files]


def calibrated(name: str, **wrong):
    """An int8 model whose activation ranges are of pictures that were prepared otherwise than the service prepares them."""

    def make(setting: Setting):
        path = setting.folder / f"int8-{name}-{setting.task.model}"
        if not path.is_file():
            chosen_by = f"{name} {setting.task.model}"
            _quantise(setting, path, _tensors(setting, 8, tensor_of(setting.task, **wrong), chosen_by))
        return infer_of(replace(setting.task, model=path.name), setting.folder)

    return step("infer", make)


def _quantise(setting: Setting, path: Path, tensors: list[Array]) -> None:
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self._left = iter(tensors)

        def get_next(self):
            found = next(self._left, None)
            return None if found is None else {name: found}

    source = setting.folder / setting.task.model
    name = ort.InferenceSession(str(source), providers=["CPUExecutionProvider"]).get_inputs()[0].name
    ready = path.with_suffix(".ready.onnx")
    quant_pre_process(str(source), str(ready), skip_symbolic_shape=True)
    quantize_static(
        str(ready), str(path), Reader(), quant_format=QuantFormat.QDQ, per_channel=False,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, op_types_to_quantize=["Conv"],
    )  # fmt: skip
    ready.unlink()


def stale(steps: Steps, _setting: Setting) -> Steps:
    """The buffer is read before the device has written it: each image gets the outputs of the one before."""
    kept: dict[str, Array] = {}

    def infer(batch: Array) -> dict[str, Array]:
        now = steps.infer(batch)
        before = {k: kept.get(k, np.zeros_like(v)) for k, v in now.items()}
        kept.update(now)
        return before

    return replace(steps, infer=infer)


def leaking_rows(steps: Steps, _setting: Setting) -> Steps:
    """At batch 4 a row takes something of its neighbour with it; the first is right."""

    def infer(batch: Array) -> dict[str, Array]:
        mixed = batch.copy()
        mixed[1:] = batch[1:] * np.float32(0.75) + batch[:-1] * np.float32(0.25)
        return steps.infer(mixed)

    return replace(steps, infer=infer, batch=4)


def mixed_layout(steps: Steps, _setting: Setting) -> Steps:
    """The outputs of a batch of 4 are read with the batch as the second axis, which at batch 1 is the same."""

    def infer(batch: Array) -> dict[str, Array]:
        def turned(value: Array) -> Array:
            channels, rows = value.shape[1], value.shape[0]
            return np.ascontiguousarray(value.reshape(channels, rows, *value.shape[2:]).swapaxes(0, 1))

        return {k: turned(v) for k, v in steps.infer(batch).items()}

    return replace(steps, infer=infer, batch=4)


MODEL = ("taps", "code")
INJECTIONS = (
    Injection("pooling-mode", "ceil", edited("ceil", attribute("MaxPool", "ceil_mode", 1)), ("segment",)),
    Injection(
        "pooling-mode", "padding-counted", edited("counted", attribute("AveragePool", "count_include_pad", 1)), ("segment",)
    ),
    Injection(
        "half-pixel", "inside-the-model",
        edited("corners", attribute("Resize", "coordinate_transformation_mode", "align_corners")), ("segment",),
    ),
    Injection("graph-attribute", "padded-at-the-end", edited("same", padded_at_the_end), ("detect", "segment")),
    Injection("graph-attribute", "nearest", edited("nearest", attribute("Resize", "mode", "nearest")), ("segment",)),
    Injection("activation", "left-out", edited("bare", without_activation), ("detect", "classify", "text")),
    Injection("activation", "sigmoid-for-softmax", edited("sigmoid", other_activation("Sigmoid")), ("classify",)),
    Injection("activation", "softmax-for-sigmoid", edited("softmax", other_activation("Softmax")), ("detect",)),
    # What is NaN answers nothing, so that answers alone say nothing of it.
    Injection("fp16-overflow", "early", edited("overflow-early", overflow(0.15)), levels=MODEL),
    Injection("fp16-overflow", "late", edited("overflow-late", overflow(0.7)), levels=MODEL),
    Injection("calibration", "not-scaled", calibrated("not-scaled", scale=1.0), levels=MODEL),
    Injection("calibration", "dark", calibrated("dark", scale=1 / 255 / 8), levels=MODEL),
    Injection("stale-output", "previous", stale),
    # A single image at a time knows no batch.
    ALONG_BATCH,
    Injection("batch-dependent", "leaking-rows", leaking_rows, levels=("taps", "answers")),
    Injection("batch-dependent", "axes-mixed", mixed_layout, ("detect", "classify", "segment"), ("taps", "answers")),
)  # fmt: skip
