"""Variants as a trial makes them: of a real model, cached by everything they depend on, and noted."""

import errno
import json
import tracemalloc
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
from seatrial.precision.ranges import value_ranges
from seatrial.precision.recipe import Recipe
from seatrial.precision.variants import conversion_of, convert, variant_path, why_not_whole

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


def lie(path):
    note = json.loads(path.with_suffix(".json").read_text())
    note["file"]["sha256"] = "0" * 64
    path.with_suffix(".json").write_text(json.dumps(note))


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-100]), "the file has changed"),
        (lambda path: path.write_bytes(bytes(path.stat().st_size)), "the file has changed"),
        (lambda path: path.write_bytes(b""), "the file has changed"),
        (lambda path: path.unlink(), "it is gone"),
        (lambda path: path.with_suffix(".json").write_text("{}"), "what was noted of it is gone or damaged"),
        (lambda path: path.with_suffix(".json").unlink(), "what was noted of it is gone or damaged"),
        (lie, "the file has changed"),
    ],
    ids=["cut", "zeros", "empty", "gone", "empty note", "no note", "another digest"],
)
def test_a_damaged_variant_is_made_once_more(info, harm, why):
    path = variant(info, "fp16", calibration())
    whole, said = path.read_bytes(), conversion_of(path)
    assert why_not_whole(path) == ""
    harm(path)
    assert why_not_whole(path).startswith(why)
    assert variant(info, "fp16", calibration()) == path
    assert (why_not_whole(path), path.read_bytes(), conversion_of(path)) == ("", whole, said)


def test_nothing_is_said_of_what_never_was_in_the_cache(info):
    assert why_not_whole(variant_path(info, "fp16", "never")) is None


def made_of(nodes, constants, feeds, precision, tmp_path, outputs=None, **given):
    proto = model_of(nodes, {n: a.shape for n, a in feeds[0].items()}, outputs or {"y": None}, constants, opset=17)
    onnx.save(proto, str(tmp_path / "m.onnx"))
    return convert(
        inspect_model(tmp_path / "m.onnx"),
        precision,
        Calibration(lambda: iter(feeds), "q", **given),
        tmp_path / "o.onnx",
    )


RNG = np.random.default_rng(5)
CONV = helper.make_node("Conv", ["x", "w"], ["c"], name="first")
WEIGHTS = {"w": RNG.normal(size=(4, 3, 3, 3)).astype(np.float32)}
PICTURES = [{"x": RNG.random((1, 3, 8, 8), np.float32)} for _ in range(3)]


@pytest.mark.parametrize("precision", ["fp16", "int8", "int8-u8", "fp8"])
def test_pictures_with_nothing_on_them_tell_no_range(tmp_path, precision):
    black = [{"x": np.zeros((1, 3, 8, 8), np.float32)}] * 3
    with pytest.raises(
        ModelError, match="3 calibration pictures, and nothing on them: every number .* is 0, which tells no range"
    ):
        made_of([CONV, helper.make_node("Relu", ["c"], ["y"])], WEIGHTS, black, precision, tmp_path)


@pytest.mark.parametrize("precision", sorted(MAKERS))
def test_few_pictures_are_said_to_be_few(tmp_path, precision):
    nodes = [CONV, helper.make_node("Relu", ["c"], ["y"])]
    found = made_of(nodes, WEIGHTS, PICTURES, precision, tmp_path)
    assert found.measured_on == "1 picture that gave ranges too"
    said = f"{precision} ranges are seen on 3 pictures, and what others bring is not known: name 8 or more"
    assert found.warnings == (() if precision == "bf16" else (said,))
    assert not made_of(nodes, WEIGHTS, PICTURES * 3, precision, tmp_path).warnings


def test_answers_are_compared_on_other_pictures_and_the_worst_counts(tmp_path):
    nodes = [CONV, helper.make_node("Relu", ["c"], ["y"])]
    bright = [{"x": 40 * p["x"]} for p in PICTURES]
    own = made_of(nodes, WEIGHTS, PICTURES, "int8", tmp_path)
    other = made_of(
        nodes, WEIGHTS, PICTURES, "int8", tmp_path, compared=lambda: iter([PICTURES[0], *bright]), apart=True
    )
    assert other.measured_on == "4 pictures that no range was seen on"
    assert other.sqnr_db["y"] < 5 < 25 < own.sqnr_db["y"]


@pytest.mark.parametrize("precision", sorted(MAKERS))
def test_whole_numbers_are_compared_too(tmp_path, precision):
    proto = model_of(
        [CONV, helper.make_node("ArgMax", ["c"], ["y"], axis=1)], {"x": (1, 3, 8, 8)}, {}, WEIGHTS, opset=17
    )
    proto.graph.output.append(helper.make_tensor_value_info("y", TensorProto.INT64, None))
    onnx.save(proto, str(tmp_path / "m.onnx"))
    made = convert(
        inspect_model(tmp_path / "m.onnx"), precision, Calibration(lambda: iter(PICTURES), "q"), tmp_path / "o.onnx"
    )
    assert (dict(made.sqnr_db), dict(made.unknown)) == ({}, {})
    assert 0.8 < made.equal_share["y"] <= 1


@pytest.mark.parametrize("precision", ["int8", "int8-u8", "fp8"])
def test_products_are_counted_in_the_file(tmp_path, precision):
    """One multiplies float64, one reads an infinity: neither is quantised, and both are named."""
    nodes = [
        CONV, helper.make_node("Relu", ["c"], ["r"]), helper.make_node("Cast", ["r"], ["d"], to=TensorProto.DOUBLE),
        helper.make_node("MatMul", ["d", "v"], ["e"], name="double"), helper.make_node("Cast", ["e"], ["z"], to=TensorProto.FLOAT),
        helper.make_node("Log", ["zero"], ["l"]), helper.make_node("Add", ["r", "l"], ["endless"]),
        helper.make_node("MatMul", ["endless", "u"], ["q"], name="endless"), helper.make_node("Clip", ["q", "low", "high"], ["k"]),
        helper.make_node("Add", ["z", "k"], ["y"]),
    ]  # fmt: skip
    constants = WEIGHTS | {
        "v": RNG.normal(size=(6, 5)), "u": RNG.random((6, 5), np.float32), "zero": np.zeros(1, np.float32),
        "low": np.array(-1, np.float32), "high": np.array(1, np.float32),
    }  # fmt: skip
    made = made_of(nodes, constants, PICTURES, precision, tmp_path)
    assert made.nodes == 1
    assert {k.node: k.reason for k in made.kept} == {
        "double": "what it multiplies is not float32",
        "endless": "endless was seen to be NaN or infinite, for which there is no scale",
    }


def test_a_histogram_of_what_is_no_number_is_refused(tmp_path):
    nodes = [CONV, helper.make_node("Sqrt", ["c"], ["r"]), helper.make_node("Conv", ["r", "v"], ["d"], name="second"),
             helper.make_node("Concat", ["c", "d"], ["y"], axis=1)]  # fmt: skip
    constants = WEIGHTS | {"v": RNG.normal(size=(4, 4, 1, 1)).astype(np.float32)}
    with pytest.raises(
        ModelError, match="entropy has no histogram of what is no number: r was seen to be NaN or infinite"
    ):
        made_of(nodes, constants, PICTURES, "int8", tmp_path, method="entropy")


@pytest.mark.parametrize("method", ["minmax", "entropy", "percentile"])
def test_pictures_of_several_sizes_calibrate(tmp_path, method):
    proto = model_of(
        [CONV, helper.make_node("Relu", ["c"], ["y"])], {"x": (1, 3, 8, "w")}, {"y": None}, WEIGHTS, opset=17
    )
    onnx.save(proto, str(tmp_path / "m.onnx"))
    feeds = [{"x": RNG.random((1, 3, 8, width), np.float32)} for width in (8, 12, 20)]
    made = convert(
        inspect_model(tmp_path / "m.onnx"), "int8", Calibration(lambda: iter(feeds), "v", method), tmp_path / "o.onnx"
    )
    assert made.sqnr_db["y"] > 25


def test_histograms_hold_no_more_than_one_picture_makes(tmp_path):
    """All at once, twenty pictures of 9 MB of activations were 180 MB and more."""
    constants = {"w": RNG.normal(size=(16, 3, 1, 1)).astype(np.float32)}
    shape = (1, 3, 384, 384)

    def peak(count):
        feeds = [{"x": RNG.random(shape, np.float32)}] * count
        tracemalloc.start()
        made_of([CONV, helper.make_node("Relu", ["c"], ["y"])], constants, feeds, "int8", tmp_path, method="percentile")
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    assert peak(20) < 1.5 * peak(2) + 20e6


def test_a_name_that_the_quantizer_would_take_is_somebody_elses(tmp_path):
    nodes = [CONV, helper.make_node("Mul", ["c", "x_scale"], ["m"]), helper.make_node("Conv", ["m", "v"], ["y"])]
    constants = WEIGHTS | {"v": RNG.normal(size=(4, 4, 1, 1)).astype(np.float32), "x_scale": np.array(3, np.float32)}
    for precision in ("int8", "int8-u8"):
        assert made_of(nodes, constants, PICTURES, precision, tmp_path).sqnr_db["y"] > 25


def test_an_operator_that_openvino_lacks_costs_the_figure_alone(tmp_path):
    nodes = [CONV, helper.make_node("Det", ["c"], ["y"])]
    for precision in ("bf16", "fp8"):
        made = made_of(nodes, WEIGHTS, PICTURES, precision, tmp_path)
        assert (made.run_by, dict(made.sqnr_db)) == ("", {})
        assert made.unknown[""].startswith("openvino does not run it: ")


@pytest.mark.parametrize("precision", sorted(MAKERS))
def test_an_operator_of_another_domain_in_the_middle(tmp_path, precision):
    nodes = [CONV, helper.make_node("Gelu", ["c"], ["g"], domain="com.microsoft"), helper.make_node("Mul", ["g", "k"], ["m"]),
             helper.make_node("Conv", ["m", "v"], ["y"])]  # fmt: skip
    constants = WEIGHTS | {"v": RNG.normal(size=(4, 4, 1, 1)).astype(np.float32), "k": np.array(2, np.float32)}
    proto = model_of(nodes, {"x": (1, 3, 8, 8)}, {"y": None}, constants, opset=17, domains=("com.microsoft",))
    onnx.save(proto, str(tmp_path / "m.onnx"))
    made = convert(
        inspect_model(tmp_path / "m.onnx"), precision, Calibration(lambda: iter(PICTURES), "q"), tmp_path / "o.onnx"
    )
    assert made.sqnr_db["y"] > 20


@pytest.mark.parametrize("at", [0, 1, 95, 190, 191])
def test_one_number_that_is_none_is_seen_wherever_it_lies(at):
    """ONNX Runtime's ReduceMax of a tensor with NaN is NaN only where its first number is."""
    picture = np.ones((1, 3, 8, 8), np.float32)
    picture.flat[at] = -1.0
    proto = model_of([helper.make_node("Log", ["x"], ["y"])], {"x": (1, 3, 8, 8)}, {"y": (1, 3, 8, 8)}, {}, opset=17)
    assert value_ranges(proto, [{"x": picture}])["y"] == (-np.inf, np.inf)


def test_black_pictures_with_a_mean_and_std_of_each_channel_have_nothing_on_them(tmp_path):
    black = [
        {"x": np.broadcast_to(np.array([-2.1, -2.0, -1.8], np.float32).reshape(1, 3, 1, 1), (1, 3, 8, 8)).copy()}
    ] * 9
    with pytest.raises(ModelError, match="9 calibration pictures, and nothing on them"):
        made_of([CONV, helper.make_node("Relu", ["c"], ["y"])], WEIGHTS, black, "int8", tmp_path)
