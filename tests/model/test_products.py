"""Which nodes of a file multiply, wherever they stand: a runtime's own account is held against their number."""

from itertools import pairwise

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from seatrial.backends import OpenOptions, open_backend
from seatrial.backends.computed_in import with_untold
from seatrial.model.file import inspect_model
from seatrial.model.products import count_products, is_product


def value(name, *shape, kind=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def weights(name, *shape):
    return onnx.numpy_helper.from_array(np.random.default_rng(0).random(shape, np.float32) / 8, name)


def save(path, nodes, inputs, outputs, held=(), functions=(), domains=()):
    graph = helper.make_graph(nodes, "g", inputs, outputs, list(held))
    imports = [helper.make_opsetid("", 17), *(helper.make_opsetid(d, 1) for d in domains)]
    onnx.save(helper.make_model(graph, opset_imports=imports, functions=list(functions), ir_version=8), path)
    return path


def product(before, after, by="w"):
    return helper.make_node("MatMul", [before, by], [after])


def told(backend, path, shape):
    with open_backend(backend, path, OpenOptions.for_shapes(inspect_model(path), 1, {"x": shape})) as opened:
        return opened.computed_in({"x": np.ones(shape, np.float32)})


@pytest.mark.parametrize(
    "operator",
    ["Conv", "FusedConv", "ConvTranspose", "Deconvolution", "QLinearConv", "Gemm", "QGemm", "MatMulInteger", "FullyConnected",
     "LSTM", "DynamicQuantizeLSTM", "GRU", "RNN", "RNNSeq", "Attention", "MultiHeadAttention", "ScaledAttn", "Einsum"],
)  # fmt: skip
def test_of_every_runtimes_names(operator):
    assert is_product(operator)


@pytest.mark.parametrize(
    "operator", ["Convert", "ConvertLike", "Relu", "GroupNormalization", "Reorder", "Subgraph", "Mul"]
)
def test_what_only_converts_is_none(operator):
    assert not is_product(operator)


def test_neither_what_is_constant_nor_what_nothing_needs_is_counted(tmp_path):
    nodes = [product("w", "v"), product("x", "y", "v"), product("x", "unused")]
    path = save(tmp_path / "m.onnx", nodes[::-1], [value("x", 4, 4)], [value("y", 4, 4)], [weights("w", 4, 4)])
    assert count_products(path) == 1


def test_those_of_bodies_and_of_each_call_of_a_function_are_counted(tmp_path):
    def branch(output, number):
        names = ["x", *(f"{output}{k}" for k in range(number - 1)), output]
        nodes = [product(a, b) for a, b in pairwise(names)]
        return helper.make_graph(nodes, output, [], [value(output, 4, 4)])

    twice = helper.make_function(
        "own", "Twice", ["a", "w"], ["c"], [product("a", "b"), product("b", "c")], [helper.make_opsetid("", 17)]
    )
    nodes = [
        helper.make_node("If", ["c"], ["y"], then_branch=branch("then", 1), else_branch=branch("else", 2)),
        *(helper.make_node("Twice", [a, "w"], [b], domain="own") for a, b in (("y", "z"), ("z", "u"))),
    ]
    inputs = [value("x", 4, 4), value("c", kind=TensorProto.BOOL)]
    path = save(tmp_path / "m.onnx", nodes, inputs, [value("u", 4, 4)], [weights("w", 4, 4)], [twice], ["own"])
    assert count_products(path) == 7


@pytest.mark.parametrize("backend", ["onnxruntime-cpu", "openvino-cpu"])
def test_transposed_convolutions_are_told_by_both_runtimes(tmp_path, backend):
    nodes = [helper.make_node("ConvTranspose", ["x", "w"], ["y"])]
    path = save(
        tmp_path / "m.onnx", nodes, [value("x", 1, 8, 8, 8)], [value("y", 1, 4, 10, 10)], [weights("w", 8, 4, 3, 3)]
    )
    assert told(backend, path, (1, 8, 8, 8)) == {"fp32": 1}


@pytest.mark.parametrize("backend", ["onnxruntime-cpu", "openvino-cpu"])
def test_recurrent_nodes_are_told_by_both_runtimes(tmp_path, backend):
    nodes = [helper.make_node("LSTM", ["x", "W", "R"], ["y"], hidden_size=8)]
    held = [weights("W", 1, 32, 16), weights("R", 1, 32, 8)]
    path = save(tmp_path / "m.onnx", nodes, [value("x", 5, 1, 16)], [value("y", 5, 1, 1, 8)], held)
    assert told(backend, path, (5, 1, 16)) == {"fp32": 1}


def test_what_openvino_joins_with_other_layers_is_not_told(tmp_path):
    """Its Subgraph of an attention holds two products, and says nothing of their type."""
    nodes = [product("x", n, f"w{n}") for n in "qkv"]
    nodes += [
        helper.make_node("Reshape", ["q", "heads"], ["q4"]),
        helper.make_node("Transpose", ["q4"], ["qt"], perm=[0, 2, 1, 3]),
        helper.make_node("Reshape", ["k", "heads"], ["k4"]),
        helper.make_node("Transpose", ["k4"], ["kt"], perm=[0, 2, 3, 1]),
        helper.make_node("Reshape", ["v", "heads"], ["v4"]),
        helper.make_node("Transpose", ["v4"], ["vt"], perm=[0, 2, 1, 3]),
        product("qt", "s", "kt"),
        helper.make_node("Softmax", ["s"], ["p"], axis=-1),
        product("p", "o", "vt"),
        helper.make_node("Transpose", ["o"], ["y"], perm=[0, 2, 1, 3]),
    ]
    held = [weights(f"w{n}", 32, 32) for n in "qkv"]
    held.append(onnx.numpy_helper.from_array(np.array([1, 16, 4, 8]), "heads"))
    path = save(tmp_path / "m.onnx", nodes, [value("x", 1, 16, 32)], [value("y", 1, 16, 4, 8)], held)
    found = with_untold(told("openvino-cpu", path, (1, 16, 32)), count_products(path))
    assert sum(found.values()) == count_products(path) == 5
    assert set(found) <= {"fp32", "unknown"}, "none is taken for told that is not"
    assert told("onnxruntime-cpu", path, (1, 16, 32)) == {"fp32": 5}


@pytest.mark.parametrize(
    ("told", "products", "whole"),
    [
        ({}, 0, {}),
        ({}, 3, {"unknown": 3}),
        ({"int8": 4}, 6, {"int8": 4, "unknown": 2}),
        ({"int8": 4, "unknown": 1}, 6, {"int8": 4, "unknown": 2}),
        ({"fp32": 4}, 3, {"fp32": 4}),
    ],
)
def test_the_rest_stands_as_not_told(told, products, whole):
    assert with_untold(told, products) == whole
