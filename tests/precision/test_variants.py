"""Variants as a trial makes them: of a real model, cached by everything they depend on, and noted."""

import errno
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from float_graphs import model_of
from onnx import TensorProto, helper

import seatrial.demo
from seatrial.errors import ModelError, ResultsError
from seatrial.model.file import inspect_model
from seatrial.precision import Calibration, variant, variants
from seatrial.precision.makers import MAKERS
from seatrial.precision.recipe import Recipe
from seatrial.precision.variants import conversion_of, convert, variant_path

MODEL = Path(seatrial.demo.__file__).parent / "models" / "seamarks-v1.onnx"
INT8 = pytest.mark.parametrize("precision", ["int8", "int8-u8"])


@pytest.fixture
def info(tmp_path, monkeypatch):
    monkeypatch.setenv("SEATRIAL_CACHE", str(tmp_path / "cache"))
    return inspect_model(MODEL)


def pictures():
    for seed in range(2):
        yield {"images": np.random.default_rng(seed).random((1, 3, 320, 320), np.float32)}


def calibration(digest="a", **given):
    return Calibration(pictures, digest, **given)


def answers(path):
    settings = ort.SessionOptions()
    # Above it this runtime is wrong about float8.
    settings.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    session = ort.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
    return session.run(None, next(pictures()))


def test_fp32_is_the_file_itself(info):
    assert variant(info, "fp32", calibration()) == MODEL


@INT8
def test_int8_quantizes_the_heavy_operators_only(info, precision):
    path = variant(info, precision, calibration())
    model = onnx.load(path)
    onnx.checker.check_model(model)
    kinds = Counter(n.op_type for n in model.graph.node)
    assert kinds["QuantizeLinear"] > 0
    fed = {i for n in model.graph.node if n.op_type == "Concat" for i in n.input}
    made_by = {o: n.op_type for n in model.graph.node for o in n.output}
    assert not any(made_by.get(i) == "DequantizeLinear" for i in fed), "boxes and scores must not share one scale"
    assert path.stat().st_size < MODEL.stat().st_size / 2
    assert inspect_model(path).inputs == info.inputs
    assert inspect_model(path).arithmetic == "int8"


@INT8
def test_the_two_forms_are_what_they_say(info, precision):
    """What TensorRT takes: signed, no zero point but zero, a bias in floats. What CPUs run fast: unsigned activations."""
    model = onnx.load(variant(info, precision, calibration()))
    constants = {t.name: t for t in model.graph.initializer}
    quantise = [n for n in model.graph.node if n.op_type == "QuantizeLinear"]
    zeros = [constants[n.input[2]] for n in quantise]
    back = [constants.get(n.input[0]) for n in model.graph.node if n.op_type == "DequantizeLinear"]
    held = {t.data_type for t in back if t is not None}
    if precision == "int8":
        assert {z.data_type for z in zeros} == {TensorProto.INT8}
        assert all(not onnx.numpy_helper.to_array(z).any() for z in zeros)
        assert held == {TensorProto.INT8}
    else:
        assert {z.data_type for z in zeros} == {TensorProto.UINT8}
        assert held == {TensorProto.INT8, TensorProto.INT32}


@pytest.mark.parametrize(
    ("precision", "least_db", "size"),
    [("fp16", 55, 0.55), ("int8", 25, 0.35), ("int8-u8", 25, 0.35), ("fp8", 25, 0.45)],
)
def test_each_answers_nearly_as_the_model(info, precision, least_db, size):
    path = variant(info, precision, calibration())
    for own, other in zip(answers(MODEL), answers(path), strict=True):
        assert other.dtype == np.float32
        noise = 10 * np.log10((own**2).sum() / ((own - other) ** 2).sum())
        assert noise > least_db
    assert path.stat().st_size < size * MODEL.stat().st_size
    conversion = conversion_of(path)
    assert conversion.precision == precision
    assert conversion.nodes > 30


@pytest.mark.parametrize("precision", sorted(MAKERS))
def test_a_recipe_is_kept_to_and_noted(info, precision):
    recipe = Recipe(nodes=("/stem/*",))
    path = variant(info, precision, calibration("r", recipe=recipe))
    conversion = conversion_of(path)
    assert any(k.node.startswith("/stem/") and k.reason == "the recipe says so" for k in conversion.kept)
    whole = conversion_of(variant(info, precision, calibration("a")))
    assert conversion.nodes < whole.nodes


@pytest.mark.parametrize("precision", sorted(MAKERS))
def test_a_recipe_that_names_nothing_of_the_model_is_refused(info, precision):
    """It would keep nothing, and nobody would know."""
    with pytest.raises(
        ModelError, match=r"keep_fp32: the model has no node and no operator called Convv \(did you mean 'Conv'"
    ):
        variant(info, precision, calibration("t", recipe=Recipe(operators=("Convv",))))


def test_it_is_made_once(info):
    calls = []

    def counted():
        calls.append(1)
        return pictures()

    path = variant(info, "int8-u8", Calibration(counted, "a"))
    made = len(calls)
    assert made > 0
    assert variant(info, "int8-u8", Calibration(counted, "a")) == path
    assert len(calls) == made


def test_the_cache_key_holds_what_the_variant_depends_on(info, tmp_path):
    copy = tmp_path / "other.onnx"
    copy.write_bytes(MODEL.with_name("seamarks-v2.onnx").read_bytes())
    keys = {
        variant_path(info, "int8", "a"),
        variant_path(info, "int8-u8", "a"),
        variant_path(info, "int8", "b"),
        variant_path(inspect_model(copy), "int8", "a"),
    }
    assert len(keys) == 4


@pytest.mark.parametrize("precision", sorted(MAKERS))
def test_a_failed_making_leaves_nothing_behind(info, precision):
    def broken():
        yield {"wrong": np.zeros((1, 3, 320, 320), np.float32)}

    with pytest.raises(ModelError, match=r"seamarks-v1\.onnx: it cannot be run to be converted"):
        variant(info, precision, Calibration(broken, "c"))
    assert list(variant_path(info, precision, "c").parent.iterdir()) == []


@pytest.mark.parametrize("precision", sorted(MAKERS))
def test_without_an_image_there_is_nothing_to_calibrate_on(info, precision):
    with pytest.raises(ModelError, match="there is no image to calibrate on"):
        variant(info, precision, Calibration(lambda: iter(()), "d"))


@pytest.mark.parametrize("method", ["minmax", "entropy", "percentile"])
def test_ranges_follow_the_method(info, tmp_path, method):
    out = tmp_path / "m.onnx"
    convert(info, "int8", calibration(method=method), out)
    scales = {
        t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(out).graph.initializer if t.name.endswith("_scale")
    }
    assert scales["images_scale"] == pytest.approx(1 / 127, rel=0.02 if method == "minmax" else 0.2)


def test_a_conversion_that_changes_the_answers_is_refused(info, tmp_path, monkeypatch):
    """As one simplifier does: it drops a reshape. Or a weight is another, or an output is gone."""
    from seatrial.precision import makers

    def without_its_last_transpose(proto):
        last = next(n for n in proto.graph.node if proto.graph.output[0].name in n.output)
        last.op_type, last.domain = "Identity", ""
        del last.attribute[:], last.input[1:]
        proto.graph.output[0].type.tensor_type.ClearField("shape")

    def with_another_weight(proto):
        weights = next(t for t in proto.graph.initializer if t.name.endswith("stem.0.0.weight") or len(t.dims) == 4)
        weights.CopyFrom(onnx.numpy_helper.from_array(0.9 * onnx.numpy_helper.to_array(weights), weights.name))

    def without_an_output(proto):
        proto.graph.output[0].name = next(n.output[0] for n in proto.graph.node if n.op_type == "Conv")

    prepared = makers.prepared
    for change, said in (
        (without_its_last_transpose, "it gives output0 of shape|it cannot be run to be converted"),
        (with_another_weight, "it gives another output0, [0-9]+ dB above the difference"),
        (without_an_output, "it has no output output0"),
    ):

        def wrong(model, *_, change=change):
            proto = prepared(model)
            change(proto)
            return proto

        with monkeypatch.context() as patch:
            patch.setattr(makers, "prepared", wrong)
            with pytest.raises(ModelError, match=said):
                convert(info, "fp16", calibration(), tmp_path / "m.onnx")


@pytest.mark.parametrize("precision", ["int8", "int8-u8", "fp8"])
def test_a_model_without_products_is_refused(tmp_path, precision):
    proto = model_of([helper.make_node("Relu", ["x"], ["y"])], {"x": (1, 3)}, {"y": (1, 3)}, opset=17)
    onnx.save(proto, str(tmp_path / "m.onnx"))
    feeds = [{"x": np.arange(3, dtype=np.float32).reshape(1, 3)}]
    with pytest.raises(ModelError, match="nothing to quantize"):
        convert(
            inspect_model(tmp_path / "m.onnx"), precision, Calibration(lambda: iter(feeds), "e"), tmp_path / "o.onnx"
        )


def test_a_cache_that_gets_full_in_the_middle_is_named_with_the_cure(info, monkeypatch):
    def full(*_given):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(variants, "convert", full)
    with pytest.raises(
        ResultsError, match="the cache of fp16 models cannot be written: No space left on device; set SEATRIAL_CACHE"
    ):
        variant(info, "fp16", calibration())
