"""What every variant is made of: folded, of a current opset, and answering as the file does."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from float_graphs import model_of
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from seatrial.errors import ModelError
from seatrial.model.file import inspect_model
from seatrial.precision.fold import constants_as_initialisers, fold_batch_norms
from seatrial.precision.prepare import inside_graphs, prepared


def run(proto, feeds):
    """The first output, by ONNX Runtime with nothing fused: onnx's own reference has no grouped transposed convolution."""
    settings = ort.SessionOptions()
    settings.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    settings.log_severity_level = 4
    return ort.InferenceSession(proto.SerializeToString(), settings, ["CPUExecutionProvider"]).run(None, feeds)[0]


def info_of(proto, tmp_path):
    path = tmp_path / "m.onnx"
    onnx.save(proto, str(path))
    return inspect_model(path)


def norm_constants(rng, channels, variance):
    return {
        "scale": rng.normal(size=channels).astype(np.float32),
        "bias": rng.normal(size=channels).astype(np.float32),
        "mean": rng.normal(size=channels).astype(np.float32),
        "var": (variance * rng.uniform(0.5, 2, channels)).astype(np.float32),
    }


PRODUCTS = {
    "Conv": ((6, 4, 3, 3), {"pads": [1, 1, 1, 1]}),
    "grouped Conv": ((6, 2, 3, 3), {"pads": [1, 1, 1, 1], "group": 2}),
    "ConvTranspose": ((4, 6, 3, 3), {}),
    "grouped ConvTranspose": ((4, 3, 3, 3), {"group": 2}),
}


@settings(max_examples=40, deadline=None)
@given(
    kind=st.sampled_from(sorted(PRODUCTS)), biased=st.booleans(), seed=st.integers(0, 99),
    variance=st.sampled_from([1.0, 1e-5, 1e-7, 1e4]),
)  # fmt: skip
def test_a_batch_norm_goes_into_the_product_before_it(kind, biased, seed, variance):
    rng = np.random.default_rng(seed)
    shape, attributes = PRODUCTS[kind]
    constants = {"w": rng.normal(size=shape).astype(np.float32), **norm_constants(rng, 6, variance)}
    if biased:
        constants["b"] = rng.normal(size=6).astype(np.float32)
    proto = model_of(
        [
            helper.make_node(kind.split()[-1], ["x", "w", *(["b"] if biased else [])], ["c"], **attributes),
            helper.make_node("BatchNormalization", ["c", "scale", "bias", "mean", "var"], ["y"], epsilon=1e-6),
        ],
        {"x": (2, 4, 7, 5)},
        {"y": None},
        constants,
    )
    x = {"x": rng.normal(size=(2, 4, 7, 5)).astype(np.float32)}
    expected = run(proto, x)
    assert fold_batch_norms(proto) == 1
    assert [n.op_type for n in proto.graph.node] == [kind.split()[-1]]
    found = run(proto, x)
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-5 * np.abs(expected).max())
    assert {t.name for t in proto.graph.initializer} == {"y_weight", "y_bias"}


@pytest.mark.parametrize("transposed", [0, 1])
def test_a_batch_norm_goes_into_a_gemm_with_its_alpha_and_beta(transposed):
    rng = np.random.default_rng(1)
    constants = {
        "w": rng.normal(size=(6, 5) if transposed else (5, 6)).astype(np.float32),
        "b": rng.normal(size=6).astype(np.float32), **norm_constants(rng, 6, 1.0),
    }  # fmt: skip
    proto = model_of(
        [
            helper.make_node("Gemm", ["x", "w", "b"], ["c"], transB=transposed, alpha=0.5, beta=3.0),
            helper.make_node("BatchNormalization", ["c", "scale", "bias", "mean", "var"], ["y"]),
        ],
        {"x": (3, 5)},
        {"y": None},
        constants,
    )
    x = {"x": rng.normal(size=(3, 5)).astype(np.float32)}
    expected = run(proto, x)
    assert fold_batch_norms(proto) == 1
    np.testing.assert_allclose(run(proto, x), expected, rtol=1e-4, atol=1e-4)


def conv_norm(outputs, extra=(), **attributes):
    rng = np.random.default_rng(0)
    constants = {"w": rng.normal(size=(6, 4, 1, 1)).astype(np.float32), **norm_constants(rng, 6, 1.0)}
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node("BatchNormalization", ["c", "scale", "bias", "mean", "var"], ["y"], **attributes),
        *extra,
    ]
    return model_of(nodes, {"x": (1, 4, 3, 3)}, outputs, constants)


@pytest.mark.parametrize(
    "proto",
    [
        conv_norm({"y": None, "c": None}),
        conv_norm({"y": None, "z": None}, [helper.make_node("Relu", ["c"], ["z"])]),
    ],
    ids=["the product is an output", "somebody else reads the product"],
)
def test_what_is_read_in_between_stays(proto):
    assert fold_batch_norms(proto) == 0


def test_constants_that_two_products_share_are_folded_apart():
    rng = np.random.default_rng(2)
    constants = {"w": rng.normal(size=(4, 4, 1, 1)).astype(np.float32), **norm_constants(rng, 4, 1.0)}
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node("BatchNormalization", ["c", "scale", "bias", "mean", "var"], ["d"]),
        helper.make_node("Conv", ["d", "w"], ["y"]),
    ]
    proto = model_of(nodes, {"x": (1, 4, 3, 3)}, {"y": None}, constants)
    x = {"x": rng.normal(size=(1, 4, 3, 3)).astype(np.float32)}
    expected = run(proto, x)
    assert fold_batch_norms(proto) == 1
    np.testing.assert_allclose(run(proto, x), expected, rtol=1e-4, atol=1e-4)


def test_constant_nodes_of_every_kind_become_initialisers():
    kinds = [("value_float", 2.5), ("value_int", 3), ("value_floats", [1.0, 2.0]), ("value_ints", [4, 5])]
    nodes = [helper.make_node("Constant", [], [key], **{key: value}) for key, value in kinds]
    nodes.append(
        helper.make_node("Constant", [], ["tensor"], value=numpy_helper.from_array(np.eye(2, dtype=np.float32)))
    )
    nodes.append(helper.make_node("Identity", ["x"], ["y"]))
    proto = model_of(nodes, {"x": (1,)}, {"y": (1,)})
    constants_as_initialisers(proto)
    found = {t.name: numpy_helper.to_array(t) for t in proto.graph.initializer}
    assert found["value_float"] == np.float32(2.5)
    assert found["value_int"] == 3
    assert found["value_floats"].tolist() == [1, 2]
    assert found["value_ints"].tolist() == [4, 5]
    assert found["tensor"].tolist() == np.eye(2).tolist()
    assert [n.op_type for n in proto.graph.node] == ["Identity"]


def test_dimensions_of_one_name_get_names_of_their_own_and_others_stay(tmp_path):
    proto = model_of([helper.make_node("Relu", ["x"], ["y"])], {"x": ("n", 3, "?", "?")}, {"y": ("n", 3, "?", "?")})
    made = prepared(info_of(proto, tmp_path))
    names = [d.dim_param or d.dim_value for d in made.graph.input[0].type.tensor_type.shape.dim]
    assert names == ["n", 3, "x_2", "x_3"]
    assert made.opset_import[0].version >= 19


def test_what_a_file_says_wrongly_of_its_output_is_left_out(tmp_path):
    proto = model_of([helper.make_node("Relu", ["x"], ["y"])], {"x": (2, 3)}, {"y": (6,)})
    made = prepared(info_of(proto, tmp_path))
    assert [d.dim_value for d in made.graph.output[0].type.tensor_type.shape.dim] == [2, 3]


def test_weights_that_are_inputs_too_are_inputs_no_more(tmp_path):
    proto = model_of(
        [helper.make_node("Add", ["x", "w"], ["y"])], {"x": (2,), "w": (2,)}, {"y": (2,)},
        {"w": np.ones(2, np.float32)}, ir=3,
    )  # fmt: skip
    made = prepared(info_of(proto, tmp_path))
    assert [i.name for i in made.graph.input] == ["x"]


def test_a_model_that_no_converter_brings_to_the_opset_is_refused_by_name(tmp_path):
    proto = model_of([helper.make_node("Upsample", ["x", "s"], ["y"], mode="nearest")], {"x": (1, 1, 2, 2)}, {"y": None},
                     {"s": np.array([1, 1, 2, 2], np.float32)}, opset=9)  # fmt: skip
    proto.graph.node[0].op_type = "NoSuchOperator"
    with pytest.raises(ModelError, match=r"m\.onnx: cannot be brought to opset 19"):
        prepared(info_of(proto, tmp_path))


def test_weights_that_are_no_numbers_are_refused_by_name_and_infinities_are_not(tmp_path):
    weights = np.ones((4, 3, 3, 3), np.float32)
    weights[0, 0, 0, :2] = np.nan
    conv = [helper.make_node("Conv", ["x", "w"], ["c"]), helper.make_node("Add", ["c", "mask"], ["y"])]
    constants = {"w": weights, "mask": np.full(1, -np.inf, np.float32)}
    proto = model_of(conv, {"x": [1, 3, 8, 8]}, {"y": None}, constants)
    with pytest.raises(ModelError, match="2 values are NaN in constant w, and so are the answers that depend on it"):
        prepared(info_of(proto, tmp_path))
    proto = model_of(conv, {"x": [1, 3, 8, 8]}, {"y": None}, constants | {"w": np.ones_like(weights)})
    assert prepared(info_of(proto, tmp_path)).graph.node[0].op_type == "Conv"


def test_a_constant_that_says_another_size_than_it_has_is_refused_by_name(tmp_path):
    conv = [helper.make_node("Conv", ["x", "w"], ["c"])]
    proto = model_of(conv, {"x": [1, 3, 8, 8]}, {"c": None}, {"w": np.ones((4, 3, 3, 3), np.float32)})
    proto.graph.initializer[0].dims[:2] = [70_000, 70_000]
    with pytest.raises(
        ModelError, match="constant w says that it is 70000 x 70000 x 3 x 3, and the file holds another number"
    ):
        prepared(info_of(proto, tmp_path))


def test_products_inside_a_branch_are_said_to_be_there(tmp_path):
    branches = [
        helper.make_graph(
            [helper.make_node("Relu", ["x"], [name])], name, [], [helper.make_tensor_value_info(name, 1, None)]
        )
        for name in ("then", "else")
    ]
    choice = helper.make_node("If", ["c"], ["y"], name="choose", then_branch=branches[0], else_branch=branches[1])
    proto = model_of([choice], {"x": [1, 3]}, {"y": None}, {"c": np.array(True)})
    assert inside_graphs(proto) == ", beside what stands in graphs of their own (If choose)"
    assert inside_graphs(model_of([helper.make_node("Relu", ["x"], ["y"])], {"x": [1, 3]}, {"y": [1, 3]})) == ""


def test_a_name_that_a_fold_would_take_is_somebody_elses():
    rng = np.random.default_rng(3)
    constants = {"w": rng.normal(size=(6, 4, 1, 1)).astype(np.float32), **norm_constants(rng, 6, 1.0)}
    constants["y_weight"], constants["y_bias"] = constants.pop("scale"), constants.pop("bias")
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node("BatchNormalization", ["c", "y_weight", "y_bias", "mean", "var"], ["y"]),
        helper.make_node("BatchNormalization", ["y", "y_weight", "y_bias", "mean", "var"], ["z"]),
    ]
    proto = model_of(nodes, {"x": (1, 4, 3, 3)}, {"z": None, "y": None}, constants)
    x = {"x": rng.normal(size=(1, 4, 3, 3)).astype(np.float32)}
    expected = run(proto, x)
    assert fold_batch_norms(proto) == 1
    np.testing.assert_allclose(run(proto, x), expected, rtol=1e-4, atol=1e-4)
    names = [t.name for t in proto.graph.initializer]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("given", ["value", "value_float"])
def test_a_constant_node_that_is_no_number_is_refused_by_name(tmp_path, given):
    value = numpy_helper.from_array(np.array([1, np.nan], np.float32)) if given == "value" else float("nan")
    nodes = [helper.make_node("Constant", [], ["k"], **{given: value}), helper.make_node("Add", ["x", "k"], ["y"])]
    with pytest.raises(ModelError, match="1 value is NaN in constant k"):
        prepared(info_of(model_of(nodes, {"x": [2]}, {"y": [2]}, opset=17), tmp_path))


def test_what_onnx_cannot_infer_is_asked_of_the_runtime(tmp_path):
    """An operator of another domain in the middle, and an output that states no shape."""
    nodes = [helper.make_node("Relu", ["x"], ["a"]), helper.make_node("Gelu", ["a"], ["b"], domain="com.microsoft"),
             helper.make_node("Relu", ["b"], ["y"])]  # fmt: skip
    proto = model_of(nodes, {"x": ["n", 3]}, {"y": None}, opset=17, domains=("com.microsoft",))
    made = prepared(info_of(proto, tmp_path))
    found = {v.name: v.type.tensor_type for v in (*made.graph.value_info, *made.graph.output)}
    assert (found["b"].elem_type, found["y"].elem_type) == (1, 1)
    assert [d.dim_param or d.dim_value for d in found["y"].shape.dim] == ["n", 3]
