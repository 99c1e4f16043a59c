"""Quantised is what its arithmetic is: not a file of floats with a quantised input, nor one that only stores its weights small."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from seatrial.model.quantised import arithmetic_of, weights_of


def held(name, dtype, *shape):
    return helper.make_tensor(name, getattr(TensorProto, dtype), shape, np.zeros(shape).ravel())


def node(op, inputs, output, **more):
    return helper.make_node(op, inputs.split(), [output], **more)


def model(nodes, *tensors, x="FLOAT", functions=()):
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", getattr(TensorProto, x), [1, 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        list(tensors),
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], functions=functions)


SCALE, WEIGHTS = held("s", "FLOAT"), held("w", "FLOAT", 64, 64)
Q8, Q4, F8 = held("q", "INT8", 64, 64), held("q", "INT4", 64, 64), held("q", "FLOAT8E4M3FN", 64, 64)
IN = [node("QuantizeLinear", "x s z", "xq"), node("DequantizeLinear", "xq s z", "xf")]
OUT = node("MatMul", "xf wf", "y")
DQ = node("DequantizeLinear", "q s", "wf")
ZERO, ZERO8 = held("z", "UINT8"), held("z", "FLOAT8E4M3FN")

CASES = {
    "floats": (model([node("MatMul", "x w", "y")], WEIGHTS), "", ""),
    "activations and weights": (model([*IN, DQ, OUT], SCALE, ZERO, Q8), "int8", "int8"),
    "weights that training left as floats": (
        model([*IN, node("QuantizeLinear", "w s z", "q"), DQ, OUT], SCALE, ZERO, WEIGHTS), "int8", "",
    ),
    "weights turned behind it": (
        model([*IN, node("DequantizeLinear", "q s", "t"), node("Transpose", "t", "wf"), OUT], SCALE, ZERO, Q8), "int8", "int8",
    ),
    "a quantised input and weights": (
        model([node("DequantizeLinear", "x s z", "xf"), DQ, OUT], SCALE, ZERO, Q8, x="UINT8"), "int8", "int8",
    ),
    "an input alone": (
        model([node("DequantizeLinear", "x s z", "xf"), node("MatMul", "xf w", "y")], SCALE, ZERO, WEIGHTS, x="UINT8"), "", "",
    ),
    "activations alone": (model([*IN, node("MatMul", "xf w", "y")], SCALE, ZERO, WEIGHTS), "", ""),
    "an output alone": (
        model([node("MatMul", "x w", "m"), node("QuantizeLinear", "m s z", "y")], SCALE, ZERO, WEIGHTS), "", "",
    ),
    "weights alone, int8": (model([DQ, node("MatMul", "x wf", "y")], SCALE, Q8), "", "int8"),
    "weights alone, int4": (model([DQ, node("MatMul", "x wf", "y")], SCALE, Q4), "", "int4"),
    "a small table among floats": (
        model([node("DequantizeLinear", "t s", "tf"), node("MatMul", "x w", "y")], SCALE, WEIGHTS, held("t", "INT8", 8)), "", "",
    ),
    "weights in a Constant": (
        model([node("Constant", "", "q", value=Q8), DQ, node("MatMul", "x wf", "y")], SCALE), "", "int8",
    ),
    "float8": (model([*IN, DQ, OUT], SCALE, ZERO8, F8), "float8", "float8"),
    "bits of ONNX Runtime": (
        model([node("MatMulNBits", "x q s", "y", domain="com.microsoft", K=64, N=64, bits=4)], held("q", "UINT8", 64, 2, 16), SCALE),
        "", "int4",
    ),
    "integer operators": (model([node("QLinearConv", "x s z q s z s z", "y")], SCALE, ZERO, Q8), "int8", ""),
    "quantised in the run": (
        model([node("DynamicQuantizeLinear", "x", "xq"), node("MatMulInteger", "xq q", "y")], Q8), "int8", "",
    ),
    "FakeQuantize": (
        model([node("FakeQuantize", "x a", "xf", domain="org.openvinotoolkit"),
               node("FakeQuantize", "w a", "wf", domain="org.openvinotoolkit"), OUT], WEIGHTS), "int8", "",
    ),
    "bfloat16": (model([node("Cast", "b", "wf", to=1), node("MatMul", "x wf", "y")], held("b", "BFLOAT16", 8, 8)), "", "bfloat16"),
    "float16": (model([node("Cast", "b", "wf", to=1), node("MatMul", "x wf", "y")], held("b", "FLOAT16", 8, 8)), "", "float16"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_is_computed_in_and_what_is_held(case):
    made, arithmetic, weights = CASES[case]
    assert (arithmetic_of(made), weights_of(made)) == (arithmetic, weights)


@pytest.mark.parametrize("place", ["subgraph", "function"])
def test_also_where_the_nodes_stand_further_in(place):
    nodes = [*IN, DQ, OUT]
    if place == "subgraph":
        inner = helper.make_graph(nodes, "b", [], [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)])
        made = model([helper.make_node("If", ["c"], ["y"], then_branch=inner)], SCALE, ZERO, Q8)
    else:
        function = helper.make_function("d", "F", ["x", "s", "z", "q"], ["y"], nodes, [helper.make_opsetid("", 21)])
        made = model(
            [helper.make_node("F", ["x", "s", "z", "q"], ["y"], domain="d")], SCALE, ZERO, Q8, functions=[function]
        )
    assert arithmetic_of(made) == "int8"


def test_what_the_quantizer_itself_writes_is_int8(tmp_path):
    quantization = pytest.importorskip("onnxruntime.quantization")
    import onnx

    rng = np.random.default_rng(0)
    w = numpy_helper.from_array(rng.normal(size=(64, 8)).astype(np.float32), "w")
    onnx.save(model([node("MatMul", "x w", "y")], w), tmp_path / "f.onnx")

    class Reader(quantization.CalibrationDataReader):
        def __init__(self):
            self.feeds = iter([{"x": rng.random((1, 64), np.float32)}])

        def get_next(self):
            return next(self.feeds, None)

    for form in quantization.QuantFormat:
        quantization.quantize_static(str(tmp_path / "f.onnx"), str(tmp_path / "q.onnx"), Reader(), quant_format=form)
        assert arithmetic_of(onnx.load(tmp_path / "q.onnx")) == "int8"
    quantization.quantize_dynamic(str(tmp_path / "f.onnx"), str(tmp_path / "q.onnx"))
    assert arithmetic_of(onnx.load(tmp_path / "q.onnx")) == "int8"
