"""Small ONNX graphs that behave as real models do where sizes matter."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

ULTRALYTICS = {"stride": "32", "imgsz": "[320, 320]", "task": "classify", "names": "{0: 'a', 1: 'b', 2: 'c'}"}


def neck(
    path: Path,
    metadata: Mapping[str, str] = ULTRALYTICS,
    shape: Sequence[object] = ("batch", 3, "height", "width"),
    channels: int = 4,
    classes: int = 3,
) -> Path:
    """Five halvings, and the last joined with the one before it as in a YOLO's neck: sides are multiples of 32.

    The scores of the classes come behind it.
    """
    rng = np.random.default_rng(0)
    weights = {"w0": (channels, 3, 3, 3)} | {f"w{i}": (channels, channels, 3, 3) for i in range(1, 5)}
    weights["head"] = (classes, 2 * channels, 1, 1)
    tensors = [numpy_helper.from_array(rng.normal(0, 0.3, s).astype(np.float32), n) for n, s in weights.items()]
    tensors.append(numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "scales"))
    names = ["images", *(f"c{i}" for i in range(5))]
    nodes = [
        helper.make_node("Conv", [names[i], f"w{i}"], [names[i + 1]], strides=[2, 2], pads=[1, 1, 1, 1], name=f"/c{i}")
        for i in range(5)
    ]
    nodes += [
        helper.make_node("Resize", ["c4", "", "scales"], ["up"], mode="nearest", name="/up"),
        helper.make_node("Concat", ["up", "c3"], ["joined"], axis=1, name="/model.11/Concat"),
        helper.make_node("Conv", ["joined", "head"], ["scored"], name="/head"),
        helper.make_node("GlobalAveragePool", ["scored"], ["pooled"], name="/pool"),
        helper.make_node("Flatten", ["pooled"], ["output0"], name="/flat"),
    ]
    graph = helper.make_graph(
        nodes,
        "neck",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, list(shape))],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, [shape[0], classes])],
        tensors,
    )
    return saved(path, graph, metadata)


def saved(path: Path, graph: onnx.GraphProto, metadata: Mapping[str, str]) -> Path:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=value)
    onnx.save(model, path)
    return path
