"""Models in 16 bits: what computes in them, what stays and why, and what comes out."""

import ml_dtypes
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from float_graphs import model_of, node
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from seatrial.errors import ModelError
from seatrial.precision.half import halved
from seatrial.precision.ranges import greatest_magnitudes
from seatrial.precision.recipe import Recipe

F32, F16, BF16 = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16
EITHER = pytest.mark.parametrize("precision", ["fp16", "bf16"])


def types(proto):
    """Element types of every tensor, by name."""
    graph = onnx.shape_inference.infer_shapes(proto, strict_mode=True).graph
    found = {v.name: v.type.tensor_type.elem_type for v in (*graph.input, *graph.output, *graph.value_info)}
    return found | {t.name: t.data_type for t in graph.initializer}


def small_net():
    rng = np.random.default_rng(0)
    weights = {"w": rng.normal(size=(6, 3, 3, 3)).astype(np.float32), "v": rng.normal(size=(6, 5)).astype(np.float32)}
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("ReduceMean", ["r", "axes"], ["m"], keepdims=0),
        helper.make_node("MatMul", ["m", "v"], ["y"]),
    ]
    return model_of(nodes, {"x": (2, 3, 8, 8)}, {"y": (2, 5)}, weights | {"axes": np.array([2, 3])})


@EITHER
def test_every_node_computes_in_it_and_callers_see_floats(precision):
    proto = small_net()
    made = halved(proto, precision, {})
    own = F16 if precision == "fp16" else BF16
    assert (made.nodes, made.kept) == (4, ())
    kinds = types(made.proto)
    assert (kinds["x"], kinds["y"]) == (F32, F32)
    assert {kinds[n] for n in ("c", "r", "m")} == {own}
    assert {t.data_type for t in made.proto.graph.initializer} == {own, TensorProto.INT64}
    assert sum(n.op_type == "Cast" for n in made.proto.graph.node) == 2
    assert [i.name for i in made.proto.graph.input] == ["x"]
    assert proto.graph.node[0].input[1] == "w", "the given model is left as it is"


def test_float16_answers_are_those_of_float16_arithmetic():
    proto, x = small_net(), np.random.default_rng(1).normal(size=(2, 3, 8, 8)).astype(np.float32)
    (expected,) = ReferenceEvaluator(proto).run(None, {"x": x})
    made = halved(proto, "fp16", {}).proto
    (by_reference,) = ReferenceEvaluator(made).run(None, {"x": x})
    session = ort.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    (by_runtime,) = session.run(None, {"x": x})
    for found in (by_reference, by_runtime):
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, atol=5e-3 * np.abs(expected).max())
    assert np.abs(by_runtime - expected).max() > 0


@EITHER
def test_weights_are_rounded_to_nearest(precision):
    proto = small_net()
    made = halved(proto, precision, {}).proto
    weights = numpy_helper.to_array(next(t for t in proto.graph.initializer if t.name == "w"))
    held = next(t for t in made.graph.initializer if t.name == f"w_{precision}")
    expected = weights.astype(np.float16 if precision == "fp16" else ml_dtypes.bfloat16)
    assert held.raw_data == expected.tobytes()


def test_what_was_seen_beyond_the_range_stays_with_its_neighbours():
    nodes = [
        helper.make_node("Relu", ["x"], ["a"]), helper.make_node("Exp", ["a"], ["b"]),
        helper.make_node("Log", ["b"], ["c"]), helper.make_node("Relu", ["c"], ["y"]),
    ]  # fmt: skip
    proto = model_of(nodes, {"x": (4,)}, {"y": (4,)})
    made = halved(proto, "fp16", {"x": 11.0, "a": 11.0, "b": 59874.0, "c": 11.0, "y": 11.0})
    assert {k.operator: k.reason for k in made.kept} == {
        "Exp": "b was seen to reach 5.987e+04, and fp16 ends at 6.55e+04",
        "Log": "b was seen to reach 5.987e+04, and fp16 ends at 6.55e+04",
    }
    kinds = types(made.proto)
    assert (kinds["b"], kinds["a"]) == (F32, F16)
    x = np.array([-1, 0.5, 3, 11], np.float32)
    (found,) = ReferenceEvaluator(made.proto).run(None, {"x": x})
    np.testing.assert_allclose(found, np.maximum(x, 0), atol=0.02)
    assert not halved(proto, "bf16", {"b": 59874.0}).kept


def test_a_tensor_that_held_nan_stays():
    proto = model_of([helper.make_node("Sqrt", ["x"], ["a"]), helper.make_node("Relu", ["a"], ["y"]),
                      helper.make_node("Neg", ["x"], ["z"])], {"x": (4,)}, {"y": (4,), "z": (4,)})  # fmt: skip
    assert {k.operator for k in halved(proto, "fp16", {"a": np.inf}).kept} == {"Sqrt", "Relu"}


@pytest.mark.parametrize(
    ("operator", "constant", "kept"),
    [
        ("Add", [1e-12], True),
        ("Add", [1e-5], False),
        ("Add", [1e5], True),
        ("Add", [-3.4e38], True),
        ("Add", [-np.inf], False),
        ("Add", [0.0], False),
        ("Mul", [1e-5], True),
        ("Mul", [1e-5, 1.0], False),
        ("Div", [1e-5, 1.0], True),
        ("Mul", [1 / 255, 1.0], False),
    ],
)
def test_a_constant_that_the_type_does_not_hold_keeps_its_node(operator, constant, kept):
    proto = model_of(
        [helper.make_node(operator, ["x", "k"], ["a"]), helper.make_node("Relu", ["a"], ["y"])],
        {"x": (2,)}, {"y": (2,)}, {"k": np.array(constant, np.float32)},
    )  # fmt: skip
    made = halved(proto, "fp16", {})
    assert [k.operator for k in made.kept] == ([operator] if kept else [])
    if kept:
        assert "its constant k" in made.kept[0].reason


def test_a_batch_norm_whose_variance_float16_does_not_hold_keeps_its_answers():
    rng = np.random.default_rng(0)
    own = {"s": 1.0, "b": 0.5, "m": 0.1, "v": 1e-9}
    proto = model_of(
        [helper.make_node("Relu", ["x"], ["r"]), helper.make_node("BatchNormalization", ["r", *own], ["y"], epsilon=1e-12)],
        {"x": (1, 4, 3, 3)}, {"y": (1, 4, 3, 3)}, {n: np.full(4, v, np.float32) for n, v in own.items()},
    )  # fmt: skip
    made = halved(proto, "fp16", {})
    assert [k.operator for k in made.kept] == ["BatchNormalization"]
    x = {"x": np.abs(rng.normal(size=(1, 4, 3, 3))).astype(np.float16).astype(np.float32)}
    (expected,), (found,) = (ReferenceEvaluator(p).run(None, x) for p in (proto, made.proto))
    np.testing.assert_array_equal(found, expected)


def test_what_the_operator_does_not_take_stays_float():
    """Sizes and scales of a Resize are float32 and int64 whatever its picture is."""
    proto = model_of(
        [helper.make_node("Resize", ["x", "", "scales"], ["r"], mode="nearest"), helper.make_node("Relu", ["r"], ["y"])],
        {"x": (1, 1, 2, 2)}, {"y": (1, 1, 4, 4)}, {"scales": np.array([1, 1, 2, 2], np.float32)},
    )  # fmt: skip
    made = halved(proto, "fp16", {})
    assert made.nodes == 2
    assert types(made.proto)["scales"] == F32
    assert node(made.proto, "Resize_0").input[2] == "scales"


@EITHER
def test_casts_counts_and_other_domains_stay(precision):
    proto = model_of(
        [
            helper.make_node("Shape", ["x"], ["s"]),
            helper.make_node("Cast", ["s"], ["f"], to=F32),
            helper.make_node("ReduceSum", ["f"], ["n"], keepdims=0),
            helper.make_node("Mul", ["x", "n"], ["y"]),
        ],
        {"x": (3000, 2)},
        {"y": (3000, 2)},
    )
    made = halved(proto, precision, {})
    assert [k.operator for k in made.kept] == ["Cast", "ReduceSum"]
    assert node(made.proto, "Cast_1").attribute[0].i == F32


def test_the_insides_of_a_loop_go_on_reading_floats():
    body = helper.make_graph(
        [helper.make_node("Identity", ["keep"], ["on"]), helper.make_node("Add", ["state", "outer"], ["next"])],
        "body",
        [helper.make_tensor_value_info("i", TensorProto.INT64, []), helper.make_tensor_value_info("keep", TensorProto.BOOL, []),
         helper.make_tensor_value_info("state", F32, [2])],
        [helper.make_tensor_value_info("on", TensorProto.BOOL, []), helper.make_tensor_value_info("next", F32, [2])],
    )  # fmt: skip
    proto = model_of(
        [
            helper.make_node("Relu", ["x"], ["outer"]),
            helper.make_node("Neg", ["outer"], ["start"]),
            helper.make_node("Loop", ["times", "yes", "start"], ["end"], body=body),
            helper.make_node("Relu", ["end"], ["y"]),
        ],
        {"x": (2,)}, {"y": (2,)}, {"times": np.array(3), "yes": np.array(True)},
    )  # fmt: skip
    made = halved(proto, "fp16", {})
    assert [(k.operator, k.reason) for k in made.kept] == [("Loop", "it holds a graph of its own")]
    session = ort.InferenceSession(made.proto.SerializeToString(), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"x": np.array([1, 2], np.float32)})
    assert found.tolist() == [2, 4]


def test_a_recipe_keeps_what_it_names():
    proto = small_net()
    by_operator = halved(proto, "fp16", {}, Recipe(operators=("MatMul",)))
    by_name = halved(proto, "fp16", {}, Recipe(nodes=("Mat*",)))
    for made in (by_operator, by_name):
        assert [(k.node, k.reason) for k in made.kept] == [("MatMul_3", "the recipe says so")]
        assert types(made.proto)["v"] == F32


def test_a_model_of_which_nothing_can_change_is_refused():
    proto = small_net()
    with pytest.raises(ModelError, match="no node of the model can compute in it: the recipe says so"):
        halved(proto, "fp16", {}, Recipe(nodes=("*",)))


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_any_chain_of_nodes_is_sound_and_near(data):
    """Random graphs in which tensors are read several times, kept nodes lie among others, and some are outputs too."""
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    names, nodes, constants = ["x"], [], {}
    for k in range(data.draw(st.integers(1, 8))):
        operator = data.draw(st.sampled_from(["Add", "Mul", "Relu", "Sigmoid", "MatMul", "Softmax"]))
        first = data.draw(st.sampled_from(names))
        inputs = [first]
        if operator in ("Add", "Mul"):
            inputs.append(data.draw(st.sampled_from(names)))
        if operator == "MatMul":
            constants[f"w{k}"] = (rng.normal(size=(5, 5)) / 5).astype(np.float32)
            inputs.append(f"w{k}")
        nodes.append(helper.make_node(operator, inputs, [f"t{k}"], name=f"n{k}"))
        names.append(f"t{k}")
    outputs = data.draw(st.lists(st.sampled_from(names[1:]), min_size=1, max_size=3, unique=True))
    kept = data.draw(st.lists(st.sampled_from([n.name for n in nodes]), max_size=3, unique=True))
    proto = model_of(nodes, {"x": (3, 5)}, dict.fromkeys(outputs, (3, 5)), constants)
    if len(kept) == len(nodes):
        return
    made = halved(proto, "fp16", {}, Recipe(nodes=tuple(kept)))
    assert {k.node for k in made.kept} == set(kept)
    x = rng.uniform(-1, 1, size=(3, 5)).astype(np.float32)
    for own, other in zip(*(ReferenceEvaluator(p).run(None, {"x": x}) for p in (proto, made.proto)), strict=True):
        assert other.dtype == np.float32
        np.testing.assert_allclose(other, own, atol=0.02 * max(1.0, np.abs(own).max()))


def test_a_shape_of_a_float_needs_no_cast_and_one_of_sixteen_bits_neither():
    proto = model_of(
        [
            helper.make_node("Shape", ["x"], ["s"]),
            helper.make_node("Relu", ["x"], ["r"]),
            helper.make_node("Shape", ["r"], ["t"]),
            helper.make_node("Equal", ["s", "t"], ["same"]),
            helper.make_node("Greater", ["r", "limit"], ["above"]),
            helper.make_node("Where", ["above", "r", "limit"], ["y"]),
        ],
        {"x": (2, 2)}, {"y": (2, 2)}, {"limit": np.ones(1, np.float32)},
    )  # fmt: skip
    made = halved(proto, "fp16", {})
    assert node(made.proto, "Shape_0").input[0] == "x"
    assert node(made.proto, "Shape_2").input[0] == "r"
    assert list(node(made.proto, "Greater_4").input) == ["r", "limit_fp16"]
    assert sum(n.op_type == "Cast" for n in made.proto.graph.node) == 2


def pooled(operator, attributes, inputs=("a",), constants=(), feed=60.0):
    """A model whose inputs and outputs fit float16 though what `operator` adds up on its way may not; as it is made."""
    nodes = [helper.make_node("Relu", ["x"], ["a"]), helper.make_node(operator, [*inputs], ["b"], **attributes),
             helper.make_node("Neg", ["b"], ["y"])]  # fmt: skip
    proto = model_of(nodes, {"x": (1, 4, 40, 40)}, {"y": None}, dict(constants), opset=19)
    x = {"x": np.full((1, 4, 40, 40), feed, np.float32) + np.arange(4, dtype=np.float32).reshape(1, 4, 1, 1)}
    return proto, halved(proto, "fp16", greatest_magnitudes(proto, [x])), x


AXES = {"axes": np.array([2, 3])}
NORMS = {"s": np.ones(4, np.float32), "z": np.zeros(4, np.float32)}


@pytest.mark.parametrize(
    ("operator", "attributes", "inputs", "constants"),
    [
        ("ReduceL2", {}, ("a", "axes"), AXES),
        ("ReduceMean", {}, ("a", "axes"), AXES),
        ("ReduceMean", {}, ("a",), ()),
        ("ReduceLogSum", {}, ("a", "axes"), AXES),
        ("GlobalAveragePool", {}, ("a",), ()),
        ("AveragePool", {"kernel_shape": [40, 40]}, ("a",), ()),
        ("InstanceNormalization", {}, ("a", "s", "z"), NORMS),
        ("LayerNormalization", {"axis": 1}, ("a", "one"), {"one": np.ones(40, np.float32)}),
        ("LpNormalization", {"axis": 2}, ("a",), ()),
        ("LRN", {"size": 3, "alpha": 1.0}, ("a",), ()),
    ],
)
def test_what_overflows_on_the_way_stays(operator, attributes, inputs, constants):
    _, made, _ = pooled(operator, attributes, inputs, constants, feed=100.0)
    assert [k.operator for k in made.kept] == [operator]
    assert "add" in made.kept[0].reason or "squares" in made.kept[0].reason


@pytest.mark.parametrize("operator", ["ReduceMean", "GlobalAveragePool", "InstanceNormalization"])
def test_what_fits_on_the_way_changes(operator):
    inputs, constants = (("a", "s", "z"), NORMS) if operator.startswith("Inst") else (("a",), ())
    assert not pooled(operator, {}, inputs, constants, feed=0.5)[1].kept


def test_a_norm_goes_on_answering_in_float16():
    proto, made, x = pooled("ReduceL2", {}, ("a", "axes"), AXES, feed=500.0)
    (own,), (found,) = (ReferenceEvaluator(p).run(None, x) for p in (proto, made.proto))
    np.testing.assert_allclose(found, own, rtol=2e-3)


@EITHER
def test_a_size_that_is_worked_out_in_floats_stays_what_it_is(precision):
    """301 is no bfloat16, and 2049 no float16."""
    nodes = [
        helper.make_node("Relu", ["x"], ["a"]), helper.make_node("Shape", ["a"], ["s"], start=2),
        helper.make_node("Cast", ["s"], ["f"], to=F32), helper.make_node("Mul", ["f", "one"], ["g"]),
        helper.make_node("Floor", ["g"], ["h"]), helper.make_node("Cast", ["h"], ["i"], to=TensorProto.INT64),
        helper.make_node("Shape", ["a"], ["front"], end=2), helper.make_node("Concat", ["front", "i"], ["sizes"], axis=0),
        helper.make_node("Resize", ["a", "", "", "sizes"], ["y"]),
    ]  # fmt: skip
    proto = model_of(nodes, {"x": (1, 1, 301, 2049)}, {"y": None}, {"one": np.ones(1, np.float32)}, opset=22)
    made = halved(proto, precision, {})
    assert [(k.operator, k.reason) for k in made.kept[1:]] == [
        ("Mul", "it works out sizes"),
        ("Floor", "it works out sizes"),
    ]
    assert made.kept[0].operator == "Cast"
    (found,) = ReferenceEvaluator(made.proto).run(None, {"x": np.zeros((1, 1, 301, 2049), np.float32)})
    assert found.shape == (1, 1, 301, 2049)


def test_what_nobody_knows_the_type_of_stays_with_its_neighbours():
    proto = model_of(
        [helper.make_node("Relu", ["x"], ["a"]), helper.make_node("Own", ["a"], ["b"], domain="some.where"),
         helper.make_node("Mul", ["b", "k"], ["c"]), helper.make_node("Relu", ["c"], ["y"])],
        {"x": (2,)}, {"y": (2,)}, {"k": np.ones(1, np.float32)}, domains=("some.where",),
    )  # fmt: skip
    plan_of = halved(proto, "fp16", {})
    assert [(k.operator, k.reason) for k in plan_of.kept] == [
        ("Own", "the type of what it reads or gives is not known"),
        ("Mul", "the type of what it reads or gives is not known"),
        ("Relu", "the type of what it reads or gives is not known"),
    ]
    assert node(plan_of.proto, "Own_1").input[0] == "a_fp32"
