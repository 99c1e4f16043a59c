"""Signed int8 behind a Concat: what OpenVINO opens here answers as ONNX Runtime does, and what would not is refused."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from seatrial.backends import OpenOptions, open_backend, openvino_joins
from seatrial.errors import ModelError
from seatrial.precision.closeness import by_onnx_runtime, sqnr_db

SIDE = 8
SHAPES = {"a": (1, 4, SIDE, SIDE), "b": (1, 4, SIDE, SIDE)}


def node(kind, inputs, output, **attributes):
    return helper.make_node(kind, inputs, [output], name=f"node_{output}", **attributes)


def network(folder, zero_point, between=(), groups=1, behind=True, scales=(1 / 32, 1 / 32)):
    """Two inputs joined, and a convolution; Q/DQ behind the Concat, or before it with a scale each."""
    rng = np.random.default_rng(0)
    held = {"zero": zero_point, "weight_zero": np.zeros(8, np.int8), "scale_a": np.float32(scales[0]), "scale_b": np.float32(scales[1])}  # fmt: skip
    held |= {"weight": rng.integers(-127, 128, (8, 8 // groups, 3, 3)).astype(np.int8)}
    held |= {"weight_scale": rng.uniform(0.001, 0.01, 8).astype(np.float32)}

    def quantised(name, scale):
        return [node("QuantizeLinear", [name, scale, "zero"], f"{name}_q"), node("DequantizeLinear", [f"{name}_q", scale, "zero"], f"{name}_d")]  # fmt: skip

    if behind:
        nodes = [node("Concat", ["a", "b"], "joined", axis=1)]
    else:
        nodes = [
            *quantised("a", "scale_a"),
            *quantised("b", "scale_b"),
            node("Concat", ["a_d", "b_d"], "joined", axis=1),
        ]
    last = "joined"
    for kind, attributes in between:
        nodes.append(node(kind, [last], f"{last}_{kind}", **attributes))
        last = f"{last}_{kind}"
    if behind:
        nodes += quantised(last, "scale_a")
        last += "_d"
    nodes += [
        node("DequantizeLinear", ["weight", "weight_scale", "weight_zero"], "weight_d", axis=0),
        node("Conv", [last, "weight_d"], "y", pads=[1] * 4, group=groups),
    ]
    ends = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (*SHAPES.items(), ("y", (1, 8, SIDE, SIDE)))
    ]
    constants = [numpy_helper.from_array(np.asarray(v), k) for k, v in held.items()]
    graph = helper.make_graph(nodes, "joins", ends[:2], ends[2:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    path = folder / "joins.onnx"
    onnx.save(model, str(path))
    return path


def feeds():
    rng = np.random.default_rng(1)
    return {name: rng.normal(0, 1.2, shape).astype(np.float32) for name, shape in SHAPES.items()}


def answer(path):
    with open_backend("openvino-cpu", path, OpenOptions(1, 1, SHAPES)) as backend:
        return backend.run(feeds())[0].copy()


SIGNED = np.array(0, np.int8)
POOL = ("MaxPool", {"kernel_shape": [3, 3], "pads": [1] * 4})
CASES = {
    "behind": {},
    "before": {"behind": False},
    "before, scales of their own": {"behind": False, "scales": (1 / 32, 1 / 20)},
    "a pooling in between": {"behind": False, "between": [POOL]},
    "quantised behind a pooling": {"between": [POOL]},
    "quantised behind a sigmoid": {"between": [("Sigmoid", {})]},
    "a channel each": {"groups": 8},
}


@pytest.mark.parametrize("case", CASES)
def test_it_answers_as_onnx_runtime_does_or_is_refused(tmp_path, monkeypatch, case):
    path = network(tmp_path, SIGNED, **CASES[case])
    expected = by_onnx_runtime(str(path), feeds())["y"]
    with monkeypatch.context() as patch:
        patch.setattr(openvino_joins, "joins_right", lambda _device: True)
        near = sqnr_db(expected, answer(path))
    if near > 60:
        answer(path)
        return
    assert near < 30
    with pytest.raises(ModelError) as caught:
        answer(path)
    assert "what node_joined joins for a convolution is signed int8, of which it loses the scale" in str(caught.value)
    assert "quantise to int8-u8, which it computes right, or run this model by onnxruntime-cpu" in str(caught.value)


@pytest.mark.parametrize("case", CASES)
def test_the_same_numbers_in_uint8_are_computed_right(tmp_path, case):
    path = network(tmp_path, np.array(128, np.uint8), **CASES[case])
    assert sqnr_db(by_onnx_runtime(str(path), feeds())["y"], answer(path)) > 60
