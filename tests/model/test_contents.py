"""What a file holds, counted: against sums made from NumPy's own arrays, and by hand."""

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from seatrial.demo import MODEL
from seatrial.errors import ModelError
from seatrial.model.contents import contents_of

DTYPES = (np.float32, np.float64, np.float16, np.int8, np.uint8, np.int32, np.int64, np.bool_)


def saved(path, nodes, initializers=(), opsets=(("", 17),), functions=(), outputs=("y",)):
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info(o, TensorProto.FLOAT, None) for o in outputs],
        list(initializers),
    )
    made = helper.make_model(
        graph, opset_imports=[helper.make_opsetid(*o) for o in opsets], ir_version=9, functions=list(functions)
    )
    onnx.save(made, path)
    return path


IDENTITY = helper.make_node("Identity", ["x"], ["y"])


@given(st.lists(st.tuples(st.sampled_from(DTYPES), st.lists(st.integers(0, 5), max_size=3)), min_size=1, max_size=6))
def test_parameters_are_the_sum_of_the_initializers(tmp_path_factory, tensors):
    arrays = [np.zeros(shape, dtype) for dtype, shape in tensors]
    held = [numpy_helper.from_array(a, f"w{i}") for i, a in enumerate(arrays)]
    path = saved(tmp_path_factory.mktemp("m") / "m.onnx", [IDENTITY], held)
    found = contents_of(path).parameters
    assert found.values == sum(a.size for a in arrays)
    assert found.size_bytes == sum(a.nbytes for a in arrays)
    assert set(found.by_dtype) == {a.dtype.name for a in arrays}


def test_a_model_of_others_holds_what_its_initializers_hold():
    arrays = [numpy_helper.to_array(t) for t in onnx.load(MODEL).graph.initializer]
    found = contents_of(MODEL)
    assert found.parameters.values == sum(a.size for a in arrays)
    assert found.parameters.size_bytes == sum(a.nbytes for a in arrays)
    assert found.nodes == len(onnx.load(MODEL).graph.node)
    assert (found.ir_version, found.opsets, found.inside) == (8, {"": 17}, 0)


@pytest.mark.parametrize(
    ("dtype", "values", "size"), [("INT4", 5, 3), ("UINT4", 4, 2), ("BFLOAT16", 3, 6), ("FLOAT8E4M3FN", 3, 3)]
)
def test_narrow_values_are_counted_as_packed_as_the_format_packs_them(tmp_path, dtype, values, size):
    tensor = TensorProto(name="w", data_type=TensorProto.DataType.Value(dtype), dims=[values], raw_data=bytes(size))
    found = contents_of(saved(tmp_path / "m.onnx", [IDENTITY], [tensor])).parameters
    assert (found.values, found.size_bytes) == (values, size)
    assert list(found.by_dtype) == [dtype.lower()]


def test_weights_in_constant_nodes_and_subgraphs_are_not_lost(tmp_path):
    weights = numpy_helper.from_array(np.ones((3, 4), np.float32), "inner")
    constant = helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(np.ones(7, np.float32)))
    branch = helper.make_graph(
        [helper.make_node("Identity", ["inner"], ["b"])], "b",
        [], [helper.make_tensor_value_info("b", TensorProto.FLOAT, None)], [weights],
    )  # fmt: skip
    condition = helper.make_node("Constant", [], ["yes"], value=numpy_helper.from_array(np.array(True)))
    choice = helper.make_node("If", ["yes"], ["y"], then_branch=branch, else_branch=branch)
    found = contents_of(saved(tmp_path / "m.onnx", [constant, condition, choice]))
    assert found.parameters.values == 24
    assert found.constants.values == 8
    assert (found.nodes, found.inside) == (5, 2)


@pytest.mark.parametrize(
    ("attribute", "dtype", "values", "size"),
    [
        ({"value": numpy_helper.from_array(np.ones(7, np.float16))}, "float16", 7, 14),
        ({"value_float": 1.5}, "float32", 1, 4),
        ({"value_floats": [1.5] * 6}, "float32", 6, 24),
        ({"value_int": 3}, "int64", 1, 8),
        ({"value_ints": [3] * 5}, "int64", 5, 40),
        ({"value_string": "abc"}, "text", 1, 3),
        ({"value_strings": ["abc", "de"]}, "text", 2, 5),
        (
            {"sparse_value": helper.make_sparse_tensor(
                numpy_helper.from_array(np.ones(3, np.float32), "v"), numpy_helper.from_array(np.arange(3), "i"), [9])},
            "float32", 3, 12,
        ),
    ],
)  # fmt: skip
def test_a_constant_is_counted_whichever_attribute_holds_it(tmp_path, attribute, dtype, values, size):
    node = helper.make_node("Constant", [], ["c"], **attribute)
    assert contents_of(saved(tmp_path / "m.onnx", [node, IDENTITY])).constants.by_dtype == {dtype: (values, size)}


def test_packed_weights_are_as_many_as_the_layer_has_and_not_as_many_as_there_are_bytes(tmp_path):
    node = helper.make_node(
        "MatMulNBits", ["x", "B", "s"], ["y"], domain="com.microsoft", K=64, N=32, bits=4, block_size=32
    )
    held = [
        numpy_helper.from_array(np.zeros((32, 2, 16), np.uint8), "B"),
        numpy_helper.from_array(np.ones(64, "f"), "s"),
    ]
    found = contents_of(saved(tmp_path / "m.onnx", [node], held, (("", 17), ("com.microsoft", 1)))).parameters
    assert found.by_dtype == {"int4": (64 * 32, 1024), "float32": (64, 256)}


def test_operators_come_by_how_many_there_are_and_say_whose_they_are(tmp_path):
    function = helper.make_function(
        "mine", "Twice", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])], [helper.make_opsetid("", 17)]
    )
    nodes = [
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node("Relu", ["r"], ["s"]),
        helper.make_node("Twice", ["s"], ["t"], domain="mine"),
        helper.make_node("Magic", ["t"], ["y"], domain="com.example"),
    ]
    opsets = (("", 17), ("mine", 1), ("com.example", 3))
    found = contents_of(saved(tmp_path / "m.onnx", nodes, opsets=opsets, functions=[function]))
    assert [(o.name, o.count, o.custom, o.function) for o in found.operators] == [
        ("Relu", 2, False, False),
        ("Add", 1, False, False),
        ("Magic", 1, True, False),
        ("Twice", 1, True, True),
    ]
    assert found.opsets == dict(opsets)


def test_an_impossible_shape_is_refused(tmp_path):
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[-4, 3], raw_data=bytes(48))
    with pytest.raises(ModelError, match=r"tensor 'w' is said to have the shape \[-4, 3\], which no tensor can have"):
        contents_of(saved(tmp_path / "m.onnx", [IDENTITY], [tensor]))


def test_a_shape_beyond_all_memory_is_refused_in_a_short_line(tmp_path):
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2**62] * 40)
    with pytest.raises(
        ModelError, match="tensor 'w' is said to have the shape .*… 40 dimensions.*no tensor can have"
    ) as e:
        contents_of(saved(tmp_path / "m.onnx", [IDENTITY], [tensor]))
    assert len(str(e.value)) < 400


def test_a_dtype_that_this_onnx_does_not_know_is_counted_and_called_unknown(tmp_path):
    tensor = TensorProto(name="w", data_type=99, dims=[6], raw_data=bytes(6))
    assert contents_of(saved(tmp_path / "m.onnx", [IDENTITY], [tensor])).parameters.by_dtype == {"unknown": (6, 6)}


def test_the_fake_backends_script_is_no_model(tmp_path):
    with pytest.raises(ModelError, match="expected an ONNX model, got the fake backend's script"):
        contents_of(tmp_path / "m.fake.json")
