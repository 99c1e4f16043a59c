"""FLOPs: against sums by hand, against loops that multiply one by one, and nothing dropped without a word."""

import itertools

import numpy as np
import onnx
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from seatrial.model.cost import Uncounted, cost_of

FLOAT, INT8, UINT8, INT64 = TensorProto.FLOAT, TensorProto.INT8, TensorProto.UINT8, TensorProto.INT64


def weights(name, shape, dtype=np.float32):
    return numpy_helper.from_array(np.zeros(shape, dtype), name)


def saved(path, nodes, inputs, initializers=(), opset=17, domains=(), **more):
    """inputs: (name, dtype, shape). The last node's first output is the graph's."""
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(*i) for i in inputs],
        [helper.make_tensor_value_info(nodes[-1].output[0], FLOAT, None)],
        list(initializers),
        value_info=more.pop("value_info", None),
    )
    opsets = [helper.make_opsetid(*o) for o in (("", opset), *((d, 1) for d in domains))]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9, **more), path)
    return path


def conv_by_hand(x, w, stride, dilation, pads, group):
    """Multiply-adds of a convolution, one by one: each output value, each weight that it meets, padding included."""
    count = 0
    sizes = [(x[2 + i] + pads[i] + pads[i + 2] - dilation[i] * (w[2 + i] - 1) - 1) // stride[i] + 1 for i in range(2)]
    for _image, _out, _row, _column in itertools.product(range(x[0]), range(w[0]), *map(range, sizes)):
        for _channel, _y, _x in itertools.product(range(x[1] // group), range(w[2]), range(w[3])):
            count += 1
    return count, sizes


@settings(max_examples=60)
@given(
    batch=st.integers(1, 2),
    group=st.integers(1, 3),
    inner=st.integers(1, 3),
    outer=st.integers(1, 3),
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    dilation=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    pads=st.tuples(*[st.integers(0, 2)] * 4),
)
def test_a_convolution_counts_as_a_loop_does(
    tmp_path_factory, batch, group, inner, outer, size, kernel, stride, dilation, pads
):
    x, w = (batch, group * inner, *size), (group * outer, inner, *kernel)
    count, sizes = conv_by_hand(x, w, stride, dilation, pads, group)
    assume(min(sizes) > 0)
    node = helper.make_node(
        "Conv", ["x", "w"], ["y"], strides=stride, dilations=dilation, pads=pads, group=group, kernel_shape=kernel
    )
    path = saved(tmp_path_factory.mktemp("m") / "m.onnx", [node], [("x", FLOAT, x)], [weights("w", w)])
    found = cost_of(path, {"x": x})
    assert (found.flops, found.counted, found.uncounted) == (2 * count, 1, ())


# Each line's sum is in its last column, as a person would write it down.
BY_HAND = {
    "Conv": (helper.make_node("Conv", ["x", "w"], ["y"]), (1, 3, 8, 8), (4, 3, 3, 3), 2 * (4 * 6 * 6) * (3 * 3 * 3)),
    "ConvTranspose": (
        helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[2, 2], group=2),
        (1, 4, 5, 5),
        (4, 3, 2, 2),
        2 * (4 * 5 * 5) * (3 * 2 * 2),
    ),
    "Gemm": (helper.make_node("Gemm", ["x", "w"], ["y"]), (5, 7), (7, 11), 2 * 5 * 7 * 11),
    "Gemm, A turned": (helper.make_node("Gemm", ["x", "w"], ["y"], transA=1), (7, 5), (7, 11), 2 * 5 * 7 * 11),
    "Gemm, B turned": (helper.make_node("Gemm", ["x", "w"], ["y"], transB=1), (5, 7), (11, 7), 2 * 5 * 7 * 11),
    "MatMul": (helper.make_node("MatMul", ["x", "w"], ["y"]), (2, 3, 5, 7), (7, 11), 2 * (2 * 3) * 5 * 7 * 11),
    "MatMul of batches": (helper.make_node("MatMul", ["x", "w"], ["y"]), (2, 1, 5, 7), (3, 7, 4), 2 * 2 * 3 * 5 * 7 * 4),
    "MatMul of vectors": (helper.make_node("MatMul", ["x", "w"], ["y"]), (7,), (7,), 2 * 7),
}  # fmt: skip


@pytest.mark.parametrize("what", BY_HAND)
def test_each_operator_counts_as_by_hand(tmp_path, what):
    node, x, w, flops = BY_HAND[what]
    found = cost_of(saved(tmp_path / "m.onnx", [node], [("x", FLOAT, x)], [weights("w", w)]), {"x": x})
    assert (found.flops, found.by_operator, found.whole) == (flops, {node.op_type: flops}, True)


QUANTISED = {
    "QLinearConv": (["x", "s", "z", "w", "s", "z", "s", "z"], (1, 3, 8, 8), (4, 3, 3, 3), 2 * 4 * 36 * 27),
    "ConvInteger": (["x", "w"], (1, 3, 8, 8), (4, 3, 3, 3), 2 * 4 * 36 * 27),
    "QLinearMatMul": (["x", "s", "z", "w", "s", "z", "s", "z"], (5, 7), (7, 11), 2 * 5 * 7 * 11),
    "MatMulInteger": (["x", "w"], (5, 7), (7, 11), 2 * 5 * 7 * 11),
}


@pytest.mark.parametrize("operator", QUANTISED)
def test_quantised_operators_count_like_their_floats(tmp_path, operator):
    inputs, x, w, flops = QUANTISED[operator]
    held = [weights("w", w, np.uint8), weights("s", ()), weights("z", (), np.uint8)]
    node = helper.make_node(operator, inputs, ["y"])
    found = cost_of(saved(tmp_path / "m.onnx", [node], [("x", UINT8, x)], held), {"x": x})
    assert (found.flops, found.uncounted) == (flops, ())


CONV = helper.make_node("Conv", ["x", "w"], ["c"])
HELD = [weights("w", (4, 3, 3, 3))]
X = [("x", FLOAT, ["n", 3, "h", "w"])]
CONV_FLOPS = 2 * 4 * 36 * 27


def uncounted(path, shape=(1, 3, 8, 8)):
    found = cost_of(path, {"x": shape})
    assert found.flops == CONV_FLOPS
    assert not found.whole
    return found.uncounted


@pytest.mark.parametrize("ir", [3, 9])
def test_weights_that_are_inputs_too_have_the_shapes_of_their_values(tmp_path, ir):
    """As before IR 4 all had to be, and as one that a caller may put another in place of is: its declared shape may be open."""
    inputs = [*X, ("w", FLOAT, ["o", None, 3, 3]), ("to", INT64, [2]), ("v", FLOAT, None)]
    nodes = [
        CONV,
        helper.make_node("Shape", ["c"], ["s"]),
        helper.make_node("Slice", ["s", "from", "until"], ["one"]),
        helper.make_node("Concat", ["one", "rest"], ["to2"], axis=0),
        helper.make_node("Reshape", ["c", "to2"], ["r"]),
        helper.make_node("MatMul", ["r", "v"], ["y"]),
    ]
    held = [*HELD, weights("v", (144, 5))]
    held += [
        numpy_helper.from_array(np.array(v), n)
        for n, v in (("from", [0]), ("until", [1]), ("rest", [-1]), ("to", [0, 0]))
    ]
    inputs += [(n, INT64, [1]) for n in ("from", "until", "rest")]
    path = saved(tmp_path / "m.onnx", nodes, inputs, held)
    model = onnx.load(path)
    model.ir_version = ir
    onnx.save(model, path)
    found = cost_of(path, {"x": (1, 3, 8, 8)})
    assert (found.flops, found.uncounted, found.problem) == (CONV_FLOPS + 2 * 144 * 5, (), "")


def test_nodes_in_any_order_count_alike(tmp_path):
    """As a converter to float16 leaves them: casts behind what reads them."""
    nodes = [helper.make_node("Relu", ["c"], ["r"]), CONV, helper.make_node("Conv", ["r", "v"], ["y"])]
    path = saved(tmp_path / "m.onnx", nodes, X, [*HELD, weights("v", (2, 4, 1, 1))])
    found = cost_of(path, {"x": (1, 3, 8, 8)})
    assert (found.flops, found.uncounted, found.problem) == (CONV_FLOPS + 2 * 2 * 36 * 4, (), "")


def test_nodes_in_a_circle_are_told(tmp_path):
    nodes = [helper.make_node("Add", ["b", "x"], ["a"]), helper.make_node("Relu", ["a"], ["b"], name="second"), CONV]
    found = cost_of(saved(tmp_path / "m.onnx", nodes, X, HELD), {"x": (1, 3, 8, 8)})
    assert found.problem == "2 nodes wait for each other's values, such as Add"
    assert found.flops == CONV_FLOPS


def test_what_no_run_needs_is_left_out_and_listed(tmp_path):
    nodes = [
        helper.make_node("MatMul", ["a", "a"], ["aa"]),
        helper.make_node("Reshape", ["aa", "to"], ["k"]),
        helper.make_node("Conv", ["x", "w"], ["unused"]),
        helper.make_node("Conv", ["unused", "k"], ["unused too"]),
        CONV,
        helper.make_node("Conv", ["c", "k"], ["y"]),
    ]
    held = [*HELD, weights("a", (4, 4)), numpy_helper.from_array(np.array([4, 4, 1, 1]), "to")]
    found = cost_of(saved(tmp_path / "m.onnx", nodes, X, held), {"x": (1, 3, 8, 8)})
    assert (found.flops, found.counted, found.uncounted) == (CONV_FLOPS + 2 * 4 * 36 * 4, 2, ())
    assert [(u.operator, u.count, u.why.split(":")[0]) for u in found.left_out] == [
        ("Conv", 2, "no output needs it"),
        ("MatMul", 1, "of constants alone"),
    ]


def test_a_product_of_nothing_is_counted_as_nothing(tmp_path):
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    found = cost_of(saved(tmp_path / "m.onnx", [node], [("x", FLOAT, [0, 8])], [weights("w", (8, 3))]), {"x": (0, 8)})
    assert (found.flops, found.counted, found.whole) == (0, 1, True)


def test_sparse_weights_have_the_shape_that_they_fill(tmp_path):
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    path = saved(tmp_path / "m.onnx", [node], [("x", FLOAT, [2, 8])])
    model = onnx.load(path)
    values, places = numpy_helper.from_array(np.ones(3, "f"), "w"), numpy_helper.from_array(np.array([0, 5, 9]), "w_at")
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, places, [8, 4]))
    onnx.save(model, path)
    assert (cost_of(path, {"x": (2, 8)}).flops, cost_of(path, {"x": (2, 8)}).whole) == (2 * 2 * 8 * 4, True)


def test_a_value_that_no_tensor_can_hold_is_not_counted(tmp_path):
    nodes = [helper.make_node("Expand", ["x", "to"], ["e"]), helper.make_node("MatMul", ["e", "w"], ["y"])]
    held = [numpy_helper.from_array(np.array([2**62] * 30 + [1, 8]), "to"), weights("w", (8, 3))]
    found = cost_of(saved(tmp_path / "m.onnx", nodes, [("x", FLOAT, [1, 8])], held), {"x": (1, 8)})
    assert found.uncounted == (Uncounted("MatMul", 1, "shapes are not known"),)


def test_what_cannot_be_counted_is_listed_with_its_reason(tmp_path):
    magic = helper.make_node("Magic", ["c"], ["y"], domain="com.example")
    path = saved(tmp_path / "m.onnx", [CONV, magic], X, HELD, domains=["com.example"])
    assert uncounted(path) == (Uncounted("com.example.Magic", 1, "custom operator"),)
    path = saved(tmp_path / "m.onnx", [CONV, helper.make_node("NoSuchOperator", ["c"], ["y"])], X, HELD)
    assert uncounted(path) == (Uncounted("NoSuchOperator", 1, "not an operator that this onnx knows"),)
    path = saved(tmp_path / "m.onnx", [CONV, helper.make_node("Einsum", ["c"], ["y"], equation="abcd->ab")], X, HELD)
    assert uncounted(path) == (Uncounted("Einsum", 1, "no formula here"),)


def test_a_product_behind_a_shape_that_nobody_knows_is_listed(tmp_path):
    """How many values are not zero depends on the data."""
    nodes = [
        CONV,
        helper.make_node("NonZero", ["c"], ["where"]),
        helper.make_node("Cast", ["where"], ["f"], to=FLOAT),
        helper.make_node("Transpose", ["f"], ["t"]),
        helper.make_node("MatMul", ["t", "v"], ["y"]),
    ]
    path = saved(tmp_path / "m.onnx", nodes, X, [*HELD, weights("v", (4, 5))])
    assert uncounted(path) == (Uncounted("MatMul", 1, "shapes are not known"),)


def test_the_nodes_in_branches_are_listed_with_how_many_there_are(tmp_path):
    branch = helper.make_graph(
        [helper.make_node("Relu", ["c"], ["r"]), helper.make_node("Conv", ["r", "v"], ["b"])], "b",
        [], [helper.make_tensor_value_info("b", FLOAT, None)],
    )  # fmt: skip
    choice = helper.make_node("If", ["yes"], ["y"], then_branch=branch, else_branch=branch)
    held = [*HELD, weights("v", (2, 4, 1, 1)), numpy_helper.from_array(np.array(True), "yes")]
    found = uncounted(saved(tmp_path / "m.onnx", [CONV, choice], X, held))
    assert found == (Uncounted("If", 1, "control flow: what runs depends on the data", inside=4),)


def test_what_the_file_says_of_inner_shapes_does_not_outlive_other_input_shapes(tmp_path):
    """As a file that was exported at one size and opened up by hand still says."""
    stale = [helper.make_tensor_value_info("c", FLOAT, [1, 4, 98, 98])]
    nodes = [CONV, helper.make_node("Conv", ["c", "v"], ["y"])]
    path = saved(tmp_path / "m.onnx", nodes, X, [*HELD, weights("v", (2, 4, 1, 1))], value_info=stale)
    found = cost_of(path, {"x": (1, 3, 8, 8)})
    assert (found.flops, found.uncounted) == (CONV_FLOPS + 2 * 2 * 36 * 4, ())


def test_behind_a_custom_operator_the_files_own_shapes_serve_where_the_input_is_the_files_own(tmp_path):
    nodes = [
        CONV,
        helper.make_node("Magic", ["c"], ["m"], domain="com.example"),
        helper.make_node("Conv", ["m", "v"], ["y"]),
    ]
    said = [helper.make_tensor_value_info("m", FLOAT, [1, 4, 6, 6])]
    held = [*HELD, weights("v", (2, 4, 1, 1))]
    fixed = [("x", FLOAT, [1, 3, 8, 8])]
    path = saved(tmp_path / "m.onnx", nodes, fixed, held, domains=["com.example"], value_info=said)
    assert cost_of(path, {"x": (1, 3, 8, 8)}).flops == CONV_FLOPS + 2 * 2 * 36 * 4
    path = saved(tmp_path / "m.onnx", nodes, X, held, domains=["com.example"], value_info=said)
    assert {u.operator for u in cost_of(path, {"x": (1, 3, 16, 16)}).uncounted} == {"com.example.Magic", "Conv"}


def test_sizes_that_other_nodes_compute_are_worked_out(tmp_path):
    """As exporters write a flatten: the shape of a value, its parts multiplied and halved, and a Reshape."""
    nodes = [
        CONV,
        helper.make_node("Shape", ["c"], ["s"]),
        helper.make_node("Gather", ["s", "third"], ["h"]),
        helper.make_node("Div", ["h", "two"], ["half"]),
        helper.make_node("Unsqueeze", ["half", "zero"], ["one"]),
        helper.make_node("Concat", ["one", "rest"], ["to"], axis=0),
        helper.make_node("Reshape", ["c", "to"], ["r"]),
        helper.make_node("MatMul", ["r", "v"], ["y"]),
    ]
    held = [
        *HELD,
        numpy_helper.from_array(np.array(2), "third"),
        numpy_helper.from_array(np.array(2), "two"),
        numpy_helper.from_array(np.array([0]), "zero"),
        numpy_helper.from_array(np.array([-1]), "rest"),
        weights("v", (4 * 36 // 3, 5)),
    ]
    found = cost_of(saved(tmp_path / "m.onnx", nodes, X, held), {"x": (1, 3, 8, 8)})
    assert (found.flops, found.uncounted) == (CONV_FLOPS + 2 * 3 * 48 * 5, ())


def test_the_models_own_functions_are_counted_inside(tmp_path):
    body = [helper.make_node("Conv", ["a", "k"], ["b"])]
    function = helper.make_function("mine", "Block", ["a", "k"], ["b"], body, [helper.make_opsetid("", 17)])
    nodes = [CONV, helper.make_node("Block", ["c", "v"], ["y"], domain="mine")]
    held = [*HELD, weights("v", (2, 4, 1, 1))]
    path = saved(tmp_path / "m.onnx", nodes, X, held, domains=["mine"], functions=[function])
    found = cost_of(path, {"x": (1, 3, 8, 8)})
    assert (found.flops, found.uncounted) == (CONV_FLOPS + 2 * 2 * 36 * 4, ())


def test_small_values_that_lie_outside_the_file_are_read(tmp_path):
    nodes = [CONV, helper.make_node("Reshape", ["c", "to"], ["r"]), helper.make_node("MatMul", ["r", "v"], ["y"])]
    held = [*HELD, numpy_helper.from_array(np.array([3, -1]), "to"), weights("v", (48, 5))]
    path = saved(tmp_path / "m.onnx", nodes, X, held)
    onnx.save(onnx.load(path), tmp_path / "e.onnx", save_as_external_data=True, location="e.data", size_threshold=0)
    found = cost_of(tmp_path / "e.onnx", {"x": (1, 3, 8, 8)})
    assert (found.flops, found.uncounted) == (CONV_FLOPS + 2 * 3 * 48 * 5, ())


def test_values_that_would_multiply_into_gigabytes_are_left_alone(tmp_path):
    """Three small tensors, broadcast: a file of a kilobyte may not ask for eight gigabytes."""
    held = [
        numpy_helper.from_array(np.ones([1024 if i == j else 1 for j in range(3)], np.int64), f"t{i}") for i in range(3)
    ]
    nodes = [
        helper.make_node("Equal", ["t0", "t0"], ["q"]),
        helper.make_node("Where", ["q", "t1", "t2"], ["big"]),
        helper.make_node("ConstantOfShape", ["huge"], ["filled"]),
        helper.make_node("Reshape", ["x", "big"], ["y"]),
    ]
    held.append(numpy_helper.from_array(np.array([1 << 20, 1 << 14]), "huge"))
    path = saved(tmp_path / "m.onnx", nodes, X, held)
    assert cost_of(path, {"x": (1, 3, 8, 8)}).flops == 0


def test_a_shape_that_contradicts_the_weights_is_no_crash(tmp_path):
    path = saved(
        tmp_path / "m.onnx",
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        [("x", FLOAT, [5, 7])],
        [weights("w", (8, 11))],
    )
    assert cost_of(path, {"x": (5, 7)}).uncounted == (Uncounted("MatMul", 1, "shapes are not known"),)


def test_a_shape_of_unknown_rank_is_no_known_shape(tmp_path):
    """How many values are not zero depends on the data, and so does all that follows from it."""
    nodes = [
        helper.make_node("NonZero", ["x"], ["found"]),
        helper.make_node("Squeeze", ["found"], ["flat"]),
        helper.make_node("Shape", ["flat"], ["s"], start=1),
        helper.make_node("ReduceProd", ["s"], ["n"], keepdims=1),
        helper.make_node("Concat", ["n", "four"], ["shape"], axis=0),
        helper.make_node("Expand", ["w", "shape"], ["wide"]),
        helper.make_node("MatMul", ["wide", "v"], ["y"]),
    ]
    four = numpy_helper.from_array(np.array([4]), "four")
    path = saved(
        tmp_path / "m.onnx", nodes, [("x", FLOAT, [1, 3, 8, 8])], [four, weights("w", (1, 4)), weights("v", (4, 8))]
    )
    cost = cost_of(path, {"x": (1, 3, 8, 8)})
    assert not cost.whole
    assert [u.operator for u in cost.uncounted] == ["MatMul"]
