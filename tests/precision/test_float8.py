"""float8 models and the magnitudes that their scales come from."""

import ml_dtypes
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from float_graphs import model_of, node
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from seatrial.errors import ModelError
from seatrial.precision.float8 import in_float8
from seatrial.precision.ranges import greatest_magnitudes
from seatrial.precision.recipe import Recipe

RNG = np.random.default_rng(4)


def net(**attributes):
    weights = {"w": RNG.normal(size=(6, 3, 3, 3)).astype(np.float32), "v": RNG.normal(size=(6, 5)).astype(np.float32)}
    weights["w"][2] = 0
    weights["w"][3] *= 1000
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"]), helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("ReduceMean", ["r", "axes"], ["m"], keepdims=0), helper.make_node("MatMul", ["m", "v"], ["y"]),
    ]  # fmt: skip
    return model_of(nodes, {"x": (2, 3, 8, 8)}, {"y": (2, 5)}, weights | {"axes": np.array([2, 3])}, opset=19)


def feeds(count=3):
    return [{"x": np.random.default_rng(k).normal(size=(2, 3, 8, 8)).astype(np.float32)} for k in range(count)]


def basic(proto):
    """At its higher levels this runtime drops the Relu before a quantised product."""
    settings = ort.SessionOptions()
    settings.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    return ort.InferenceSession(proto.SerializeToString(), settings, providers=["CPUExecutionProvider"])


def test_magnitudes_are_the_greatest_of_all_feeds():
    proto, given = net(), feeds()
    found = greatest_magnitudes(proto, given)
    assert set(found) == {"x", "c", "r", "m", "y", "m (summed)"}
    runs = [ReferenceEvaluator(proto).run(None, f)[0] for f in given]
    assert found["y"] == pytest.approx(max(np.abs(r).max() for r in runs), rel=1e-4)
    assert found["x"] == max(np.abs(f["x"]).max() for f in given)


def test_nan_is_no_magnitude_and_nothing_is_a_tensor_too():
    nodes = [helper.make_node("Sqrt", ["x"], ["y"]), helper.make_node("NonZero", ["x"], ["i"]),
             helper.make_node("Cast", ["i"], ["z"], to=TensorProto.FLOAT)]  # fmt: skip
    proto = model_of(nodes, {"x": (2,)}, {"y": (2,), "z": None})
    assert greatest_magnitudes(proto, [{"x": np.array([-1, 4], np.float32)}])["y"] == np.inf
    assert greatest_magnitudes(proto, [{"x": np.zeros(2, np.float32)}])["z"] == 0


def test_without_a_feed_there_is_nothing_to_know():
    with pytest.raises(ModelError, match="there are no images"):
        greatest_magnitudes(net(), [])


def test_answers_are_those_of_its_own_definition_and_near():
    proto, given = net(), feeds()
    made = in_float8(proto, greatest_magnitudes(proto, given)).proto
    (expected,) = ReferenceEvaluator(proto).run(None, given[0])
    (by_reference,) = ReferenceEvaluator(made).run(None, given[0])
    (by_runtime,) = basic(made).run(None, given[0])
    np.testing.assert_allclose(by_runtime, by_reference, rtol=1e-3, atol=1e-3 * np.abs(expected).max())
    noise = ((by_runtime - expected) ** 2).sum() / (expected**2).sum()
    assert 20 < -10 * np.log10(noise) < 45


def test_weights_are_held_in_eight_bits_with_a_scale_a_channel():
    proto = net()
    made = in_float8(proto, greatest_magnitudes(proto, feeds())).proto
    held = {t.name: t for t in made.graph.initializer}
    weights = numpy_helper.to_array(next(t for t in proto.graph.initializer if t.name == "w"))
    scale = numpy_helper.to_array(held["w_fp8_0_scale"])
    assert scale.shape == (6,)
    assert scale[2] == 1, "a channel of zeros has any scale"
    raw = np.frombuffer(held["w_fp8_0_q"].raw_data, ml_dtypes.float8_e4m3fn).astype(np.float32).reshape(weights.shape)
    assert np.isfinite(raw).all()
    np.testing.assert_allclose(raw * scale[:, None, None, None], weights, rtol=0.07, atol=scale.max() * 2**-9)
    assert "w" not in held
    assert [n.op_type for n in made.graph.node if n.output[0] == "w_fp8_0"] == ["DequantizeLinear"]


@pytest.mark.parametrize(
    ("operator", "shape", "attributes", "channels"),
    [
        ("Conv", (6, 4, 3, 3), {}, 6),
        ("ConvTranspose", (4, 6, 3, 3), {}, 6),
        ("ConvTranspose", (4, 3, 3, 3), {"group": 2}, None),
        ("Gemm", (4, 6), {}, 6),
        ("Gemm", (6, 4), {"transB": 1}, 6),
        ("MatMul", (4, 6), {}, 6),
        ("MatMul", (2, 4, 6), {}, None),
    ],
)
def test_a_channel_is_of_the_output(operator, shape, attributes, channels):
    x = (1, 4, 5, 5) if "Conv" in operator else (2, 3, 4) if len(shape) == 3 else (3, 4)
    proto = model_of(
        [helper.make_node(operator, ["x", "w"], ["y"], **attributes)], {"x": x}, {"y": None},
        {"w": RNG.normal(size=shape).astype(np.float32)}, opset=19,
    )  # fmt: skip
    given = {"x": RNG.normal(size=x).astype(np.float32)}
    made = in_float8(proto, greatest_magnitudes(proto, [given])).proto
    (scale,) = [t for t in made.graph.initializer if t.name.startswith("w_") and t.name.endswith("scale")]
    assert list(scale.dims) == ([] if channels is None else [channels])
    own, other = (basic(p).run(None, given)[0] for p in (proto, made))
    assert ((own - other) ** 2).sum() < 0.01 * (own**2).sum()


def test_a_tensor_that_two_products_read_is_quantised_once():
    constants = {n: RNG.normal(size=(4, 4)).astype(np.float32) for n in "wv"}
    nodes = [helper.make_node("MatMul", ["x", n], [f"y{n}"]) for n in "wv"]
    proto = model_of(nodes, {"x": (2, 4)}, {"yw": (2, 4), "yv": (2, 4)}, constants, opset=19)
    made = in_float8(proto, {"x": 3.0}).proto
    assert sum(n.op_type == "QuantizeLinear" for n in made.graph.node) == 1
    assert sum(n.op_type == "DequantizeLinear" for n in made.graph.node) == 3


def test_a_recipe_keeps_a_product_and_its_weights():
    proto = net()
    made = in_float8(proto, greatest_magnitudes(proto, feeds()), Recipe(operators=("MatMul",))).proto
    assert list(node(made, "MatMul_3").input) == ["m", "v"]


def test_where_nothing_is_quantised_it_is_refused():
    with pytest.raises(ModelError, match="nothing to quantize: fp8 applies to Conv, ConvTranspose, MatMul, Gemm"):
        in_float8(net(), {"x": 1.0, "m": np.inf, "c": 1.0, "r": 1.0, "y": 1.0}, Recipe(operators=("Conv",)))
    proto = model_of([helper.make_node("Relu", ["x"], ["y"])], {"x": (2,)}, {"y": (2,)}, opset=19)
    with pytest.raises(ModelError, match="the model has none that may be"):
        in_float8(proto, {"x": 1.0})


def test_the_given_model_is_left_as_it_is():
    proto = net()
    before = proto.SerializeToString()
    in_float8(proto, greatest_magnitudes(proto, feeds(1)))
    assert proto.SerializeToString() == before
    onnx.checker.check_model(proto)
