"""Engines of the real TensorRT-RTX, built without a GPU, of variants that our own precision room makes; and what it refuses."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from extras import extra
from onnx import TensorProto, helper, numpy_helper

from seatrial.backends.tensorrt.building import build
from seatrial.backends.tensorrt.cache import build_and_keep
from seatrial.backends.tensorrt.engine_files import read_engine
from seatrial.backends.tensorrt.library import import_library
from seatrial.backends.tensorrt.options import EngineOptions
from seatrial.backends.tensorrt.profiles import Profile
from seatrial.demo import MODEL
from seatrial.errors import BackendUnavailableError, ModelError
from seatrial.model.file import inspect_model
from seatrial.precision.conversion import Calibration
from seatrial.precision.variants import convert

pytestmark = pytest.mark.extra
GOLDEN = Path(__file__).parent / "refusals.json"
VALUE = helper.make_tensor_value_info


@pytest.fixture(scope="module")
def rtx():
    extra("tensorrt_rtx")
    return import_library("tensorrt-rtx")


def variant_of(path, precision, name, shape, folder):
    """The file itself for fp32."""
    if precision == "fp32":
        return inspect_model(path)
    images = np.random.default_rng(0).random((2, *shape[1:]), np.float32)
    calibration = Calibration(lambda: iter([{name: images[i : i + 1]} for i in range(2)]), "test")
    out = folder / f"{path.stem}-{precision}.onnx"
    convert(inspect_model(path), precision, calibration, out)
    return inspect_model(out)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Conv, BatchNorm, Relu, Gemm: with a batch of any size."""
    rng = np.random.default_rng(0)
    constants = {
        "w": rng.standard_normal((16, 3, 3, 3)) / 5, "b": rng.standard_normal(16), "w2": rng.standard_normal((16, 16, 3, 3)) / 12,
        "g": rng.random(16) + 0.5, "o": rng.standard_normal(16), "m": rng.standard_normal(16), "v": rng.random(16) + 0.1,
        "f": rng.standard_normal((16, 10)) / 4, "fb": rng.standard_normal(10),
    }  # fmt: skip
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c1"], "conv1", pads=[1] * 4),
        helper.make_node("BatchNormalization", ["c1", "g", "o", "m", "v"], ["n1"], "norm1"),
        helper.make_node("Relu", ["n1"], ["r1"], "relu1"),
        helper.make_node("Conv", ["r1", "w2"], ["c2"], "conv2", pads=[1] * 4, strides=[2, 2]),
        helper.make_node("Relu", ["c2"], ["r2"], "relu2"),
        helper.make_node("GlobalAveragePool", ["r2"], ["p"], "pool1"),
        helper.make_node("Flatten", ["p"], ["flat"], "flat1"),
        helper.make_node("Gemm", ["flat", "f", "fb"], ["y"], "gemm1"),
    ]
    held = [numpy_helper.from_array(v.astype(np.float32), k) for k, v in constants.items()]
    graph = helper.make_graph(nodes, "g", [VALUE("x", 1, ["n", 3, 32, 32])], [VALUE("y", 1, ["n", 10])], held)
    path = tmp_path_factory.mktemp("small") / "small.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.fixture(scope="module")
def variants(rtx, small, tmp_path_factory):
    folder = tmp_path_factory.mktemp("variants")
    return {p: variant_of(small, p, "x", (1, 3, 32, 32), folder) for p in ("fp32", "fp16", "int8", "fp8")}


CELLS = [
    (p, c) for p in ("fp32", "fp16", "int8", "fp8") for c in ("sm86", "sm89", "sm120") if (p, c) != ("fp8", "sm86")
]


@pytest.mark.parametrize(("precision", "capability"), CELLS)
def test_every_precision_builds_for_every_card_at_every_batch(rtx, variants, precision, capability):
    one = Profile.exactly({"x": (1, 3, 32, 32)})
    many = Profile({"x": (2, 3, 32, 32)}, {"x": (8, 3, 32, 32)}, {"x": (16, 3, 32, 32)})
    made = build(rtx, variants[precision], [one, many], EngineOptions((capability,)))
    assert len(made.data) > 10_000
    assert made.computed_in == {precision: 3}, "the network computes in what was asked for"
    assert not made.notes


def test_several_cards_in_one_engine_and_the_file_is_read_back(rtx, variants, tmp_path):
    options, profiles = EngineOptions(("sm86", "sm89", "sm120")), [Profile.exactly({"x": (1, 3, 32, 32)})]
    path, built, manifest = build_and_keep(rtx, variants["fp16"], profiles, options, None, path=tmp_path / "a.engine")
    data, read = read_engine(path, rtx, variants["fp16"], None, allowed=False)
    assert (data, read) == (built.data, manifest)
    assert manifest.capabilities == ("sm86", "sm89", "sm120")


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8", "fp8"])
def test_the_demos_detector_in_every_precision(rtx, precision, tmp_path):
    info = variant_of(MODEL, precision, "images", (1, 3, 320, 320), tmp_path)
    told = []
    made = build(
        rtx,
        info,
        [Profile.exactly({"images": (4, 3, 320, 320)})],
        EngineOptions(("sm89", "sm120")),
        lambda *s: told.append(s),
    )
    assert made.computed_in == {precision: 35}
    shares = [share for step, share in told if step == "building the engine"]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_options_that_it_has_and_too_little_scratch_memory(rtx, variants):
    profiles = [Profile.exactly({"x": (1, 3, 32, 32)})]
    streamed = EngineOptions(("sm89",), weight_streaming=True, tf32=True, workspace_mib=64)
    assert build(rtx, variants["fp32"], profiles, streamed).data
    with pytest.raises(ModelError, match="workspace limit.*; set a larger workspace_mib, or none"):
        build(rtx, variants["fp32"], profiles, EngineOptions(("sm89",), workspace_mib=1))


def test_the_capabilities_are_these_and_no_hopper(rtx):
    assert {"sm75", "sm80", "sm86", "sm89", "sm120"} <= set(rtx.capabilities)
    assert "sm90" not in rtx.capabilities
    with pytest.raises(BackendUnavailableError, match="knows no sm90"):
        rtx.builds_for(("sm90",))


def test_ctrl_c_ends_a_build_and_leaves_no_file(rtx, variants, tmp_path):
    import signal

    def tell(step, share):
        if step == "building the engine":
            signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            build_and_keep(
                rtx, variants["fp32"], [Profile.exactly({"x": (1, 3, 32, 32)})], EngineOptions(("sm89",)), None, tell, tmp_path / "a.engine"
            )  # fmt: skip
    finally:
        signal.signal(signal.SIGINT, before)
    assert not list(tmp_path.iterdir())


def graph(nodes, inputs, outputs, held=(), opset=19, functions=()):
    return helper.make_model(
        helper.make_graph(nodes, "g", inputs, outputs, list(held)), opset_imports=[helper.make_opsetid("", opset)], ir_version=9
    )  # fmt: skip


def qdq(zero, bias=None):
    """A quantised input of a convolution, by a zero point; a bias in int32."""
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], "q1"),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"], "dq1"),
        *([helper.make_node("DequantizeLinear", ["bq", "s"], ["b"], "dq_bias")] if bias is not None else []),
        helper.make_node("Conv", ["d", "w", *(["b"] if bias is not None else [])], ["y"], "conv1"),
    ]
    held = {
        "s": np.float32(0.1),
        "z": zero,
        "w": np.ones((8, 3, 3, 3), np.float32),
        **({"bq": bias} if bias is not None else {}),
    }
    return graph(
        nodes,
        [VALUE("x", 1, [1, 3, 8, 8])],
        [VALUE("y", 1, [1, 8, 6, 6])],
        [numpy_helper.from_array(v, k) for k, v in held.items()],
        21,
    )


def in_bf16(node, shape, out, held=()):
    casts = [
        helper.make_node("Cast", [k], [f"{k}h"], f"cast_{k}", to=TensorProto.BFLOAT16)
        for k in ("x", *[t.name for t in held])
    ]
    nodes = [*casts, node, helper.make_node("Cast", ["h"], ["y"], "cast_y", to=1)]
    return graph(nodes, [VALUE("x", 1, shape)], [VALUE("y", 1, out)], held, 22)


def branches(then, otherwise):
    return [helper.make_graph([n], n.name, [], [VALUE(n.output[0], 1, [3])]) for n in (then, otherwise)]


def refused():
    """What is refused: a graph, the capability, the shapes."""
    w = numpy_helper.from_array(np.ones((3, 8, 2, 2), np.float32), "w")
    custom = graph(
        [helper.make_node("Frobnicate", ["x"], ["y"], "frob1", domain="acme")],
        [VALUE("x", 1, [1, 3])],
        [VALUE("y", 1, [1, 3])],
    )
    custom.opset_import.append(helper.make_opsetid("acme", 1))
    then, otherwise = branches(
        helper.make_node("Det", ["m"], ["t"], "det_in_if"), helper.make_node("Neg", ["x"], ["e"], "neg1")
    )
    images = [VALUE("x", 1, [4, 64])]
    product = graph([helper.make_node("MatMul", ["x", "w"], ["y"], "product1")], images, [VALUE("y", 1, [4, 64])], [numpy_helper.from_array(np.ones((64, 64), np.float32), "w")])  # fmt: skip
    nms = graph(
        [helper.make_node("NonMaxSuppression", ["boxes", "scores", "most"], ["y"], "nms1")],
        [VALUE("boxes", 1, [1, 10, 4]), VALUE("scores", 1, [1, 1, 10])], [VALUE("y", 7, [None, 3])],
        [numpy_helper.from_array(np.array([5], np.int64), "most")],
    )  # fmt: skip
    return {
        "bf16 HardSwish": (in_bf16(helper.make_node("HardSwish", ["xh"], ["h"], "hardswish1"), [1, 3, 8, 8], [1, 3, 8, 8]), "sm80"),
        "bf16 ConvTranspose": (in_bf16(helper.make_node("ConvTranspose", ["xh", "wh"], ["h"], "deconv1", strides=[2, 2]), [1, 3, 8, 8], None, [w]), "sm80"),
        "NMS parses, and does not build": (nms, "sm89"),
        "uint8 Q/DQ": (qdq(np.uint8(128)), "sm89"),
        "int16 Q/DQ": (qdq(np.int16(0)), "sm89"),
        "a zero point that is none": (qdq(np.int8(3)), "sm89"),
        "a bias in int32": (qdq(np.int8(0), np.zeros(8, np.int32)), "sm89"),
        "a custom operator": (custom, "sm89"),
        "an operator that it has not": (graph([helper.make_node("Det", ["x"], ["y"], "det1")], [VALUE("x", 1, [1, 3, 3])], [VALUE("y", 1, [1])]), "sm89"),
        "an operator inside a branch": (
            graph(
                [helper.make_node("ReduceSum", ["x"], ["s"], "sum1", keepdims=0), helper.make_node("Greater", ["s", "zero"], ["c"], "greater1"),
                 helper.make_node("If", ["c"], ["y"], "if1", then_branch=then, else_branch=otherwise)],
                [VALUE("x", 1, [3]), VALUE("m", 1, [3, 2, 2])], [VALUE("y", 1, [3])], [numpy_helper.from_array(np.float32(0), "zero")],
            ), "sm89",
        ),
        "integer products": (graph([helper.make_node("MatMulInteger", ["x", "w"], ["y"], "integers1")], [VALUE("x", 3, [2, 3])], [VALUE("y", 6, [2, 2])], [numpy_helper.from_array(np.ones((3, 2), np.int8), "w")]), "sm89"),
        "fp32 products on sm75": (product, "sm75"),
        "dimensions that cannot be multiplied": (graph([helper.make_node("MatMul", ["x", "w"], ["y"], "product1")], [VALUE("x", 1, [4, "k"])], [VALUE("y", 1, None)], [numpy_helper.from_array(np.ones((64, 64), np.float32), "w")]), "sm89"),
        "text": (graph([helper.make_node("StringNormalizer", ["x"], ["y"], "text1")], [VALUE("x", 8, [1])], [VALUE("y", 8, [1])]), "sm89"),
    }  # fmt: skip


REFUSED = refused()


@pytest.mark.parametrize("what", REFUSED)
def test_a_refusal_names_the_node_and_the_cure(rtx, tmp_path, what, golden_refusals):
    proto, capability = REFUSED[what]
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    model = inspect_model(tmp_path / "m.onnx")
    shapes = {t.name: tuple(d if isinstance(d, int) else 3 for d in t.shape) for t in model.inputs}
    with pytest.raises(ModelError) as caught:
        build(rtx, model, [Profile.exactly(shapes)], EngineOptions((capability,)))
    said = caught.value.text.replace(rtx.version, "VERSION")
    assert said == golden_refusals(what, said)


@pytest.fixture
def golden_refusals():
    """SEATRIAL_GOLDEN=write takes what comes."""
    import os

    def said(what, now):
        known = json.loads(GOLDEN.read_text()) if GOLDEN.is_file() else {}
        if os.environ.get("SEATRIAL_GOLDEN") == "write":
            known[what] = now
            GOLDEN.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n")
        return known[what]

    return said


def test_fp8_and_bf16_say_which_cards_they_want(rtx, variants, tmp_path):
    with pytest.raises(ModelError, match="fp8 wants sm89 or later: leave the others out of --for"):
        build(rtx, variants["fp8"], [Profile.exactly({"x": (1, 3, 32, 32)})], EngineOptions(("sm86", "sm89")))


def test_height_and_width_of_one_name_build_at_different_sizes(rtx, tmp_path):
    """'?' for both is what an exporter writes; TensorRT takes it for equal."""
    nodes = [helper.make_node("Relu", ["x"], ["y"], "relu1")]
    onnx.save(
        graph(nodes, [VALUE("x", 1, ["?", 3, "?", "?"])], [VALUE("y", 1, ["?", 3, "?", "?"])]), tmp_path / "m.onnx"
    )
    model = inspect_model(tmp_path / "m.onnx")
    for profile in (
        Profile.exactly({"x": (1, 3, 8, 12)}),
        Profile({"x": (1, 3, 8, 12)}, {"x": (2, 3, 16, 24)}, {"x": (4, 3, 16, 24)}),
    ):
        assert build(rtx, model, [profile], EngineOptions(("sm89",))).data


@pytest.mark.parametrize(
    ("nodes", "dtype"),
    [
        ([helper.make_node("Add", ["x", "x"], ["y"], "add1")], TensorProto.INT64),
        ([helper.make_node("If", ["c"], ["y"], "if1")], TensorProto.FLOAT),
    ],
    ids=["int64", "control flow"],
)
def test_what_it_does_take(rtx, tmp_path, nodes, dtype):
    inputs = [VALUE("x", dtype, ["n"])]
    if nodes[0].op_type == "If":
        then, otherwise = branches(
            helper.make_node("Identity", ["x"], ["t"], "i1"), helper.make_node("Neg", ["x"], ["e"], "n1")
        )
        nodes = [helper.make_node("If", ["c"], ["y"], "if1", then_branch=then, else_branch=otherwise)]
        inputs.append(VALUE("c", TensorProto.BOOL, []))
    onnx.save(graph(nodes, inputs, [VALUE("y", dtype, ["n"])]), tmp_path / "m.onnx")
    model = inspect_model(tmp_path / "m.onnx")
    shapes = {t.name: (3,) if t.shape else () for t in model.inputs}
    assert build(rtx, model, [Profile.exactly(shapes)], EngineOptions(("sm89",))).data


def test_weights_beside_the_file_are_built_in(rtx, small, tmp_path):
    proto = onnx.load(str(small))
    onnx.save(proto, tmp_path / "m.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    model = inspect_model(tmp_path / "m.onnx")
    assert [f.name for f in model.external_files] == ["weights.bin"]
    made = build(rtx, model, [Profile.exactly({"x": (1, 3, 32, 32)})], EngineOptions(("sm89",)))
    assert made.computed_in == {"fp32": 3}


def test_the_names_that_the_stand_in_has_are_the_librarys(rtx):
    """A newer library may have more; none that the stand-in is built from may be gone."""
    from simulated_tensorrt import API

    for kind, names in API["tensorrt_rtx 1.7.1.116"].items():
        gone = set(names.split()) - set(dir(getattr(rtx.trt, kind))) - {"function"}
        assert not gone, f"{kind} has lost {gone}"


def test_a_process_without_a_driver_is_told_before_the_runtime_is_touched(rtx):
    from seatrial.backends import availability
    from seatrial.backends.tensorrt.driver import Device, find_device

    if isinstance(find_device(), Device):
        pytest.skip("there is a device here")
    found = availability("tensorrt-rtx")
    assert not found.ok
    assert found.version.startswith("TensorRT-RTX 1.")
    assert "seatrial build makes its engines here all the same" in found.reason
    assert found.cure


def test_the_command_writes_variants_engines_through_the_trials_own_cache(rtx, monkeypatch, tmp_path):
    from typer.testing import CliRunner

    from seatrial.cli import build as _registers  # noqa: F401
    from seatrial.cli.shell import app
    from seatrial.demo import PLAN

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEATRIAL_CACHE", str(tmp_path / "cache"))
    words = f"build {PLAN}:candidate --backend tensorrt-rtx --for sm89,sm120 --precision fp32,int8 -o engines --json out.json"
    done = CliRunner().invoke(app, words.split())
    assert done.exit_code == 0, done.output
    said = {e["precision"]: e for e in json.loads((tmp_path / "out.json").read_text())["engines"]}
    assert said["fp32"]["computed_in"] == {"fp32": 35}
    assert said["int8"]["computed_in"] == {"int8": 35}
    for engine in said.values():
        assert (tmp_path / engine["path"]).stat().st_size == engine["size_bytes"]
        assert set(engine["profiles"][0]) == {"images"}
        assert [e for e in engine["layers"] if e["kind"] == "CONVOLUTION"]
    [variant] = (tmp_path / "cache" / "precision").glob("*.onnx")
    assert inspect_model(variant).digest == said["int8"]["model_digest"]
    assert "asked for int8; 35 products: 35 in int8 (as the network states them)" in " ".join(done.output.split())
