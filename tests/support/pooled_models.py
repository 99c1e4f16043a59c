"""Small classifiers whose every number can be worked out by hand, and what ONNX Runtime itself makes of a reference's inputs."""

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from result_candidates import demo_images

from seatrial.diagnosis.runner import Runner

SPEC = {
    "preprocess": {"size": [32, 32], "mode": "stretch", "color": "rgb"},
    "postprocess": {"task": "classify", "activation": "softmax", "top_k": 3},
}


def saved(path, nodes, constants):
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, 32, 32])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 6])],
        constants,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def weights(**shapes):
    rng = np.random.default_rng(5)
    return [numpy_helper.from_array(rng.normal(0, 0.5, s).astype(np.float32), n) for n, s in shapes.items()]


def pooled(path, gain=1.0, **pool):
    """Convolution, pooling of an odd size, and scores. gain: how large the values in between become."""
    constants = weights(w=(4, 3, 3, 3), head=(4, 6))
    constants += [numpy_helper.from_array(np.array(v, np.float32), n) for n, v in (("up", gain), ("down", 1 / gain))]
    nodes = [
        helper.make_node("Conv", ["images", "w"], ["c"], name="conv"),
        helper.make_node("Mul", ["c", "up"], ["large"], name="large"),
        helper.make_node("Mul", ["large", "down"], ["small"], name="small"),
        helper.make_node("AveragePool", ["small"], ["p"], kernel_shape=[5, 5], strides=[4, 4], name="pool", **pool),
        helper.make_node("ReduceMax", ["p"], ["v"], axes=[2, 3], keepdims=0, name="reduce"),
        helper.make_node("MatMul", ["v", "head"], ["logits"], name="scores"),
    ]
    return saved(path, nodes, constants)


def outputs_of(model, reference):
    """By ONNX Runtime itself, of the reference's own inputs."""
    session = ort.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    encoded = demo_images()
    runner = Runner(lambda i: list(encoded.values())[i])
    inputs = [runner.at(reference, i, "input").value for i in range(len(encoded))]
    return session, dict(zip(encoded, inputs, strict=True))
