"""`seatrial inspect` on models of every kind, in this process: an answer or one clear line, and never a traceback."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

from seatrial.backends import Availability
from seatrial.demo import MODEL
from seatrial.jobs import look
from seatrial.jobs.opening import Opening

FLOAT = TensorProto.FLOAT
VALUE = helper.make_tensor_value_info


@pytest.fixture(scope="module")
def inspect():
    from seatrial.cli import inspect as _registers  # noqa: F401
    from seatrial.cli.shell import app

    def call(*arguments):
        result = CliRunner().invoke(app, ["inspect", *map(str, arguments)])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert "Traceback" not in result.output
        return result

    return call


@pytest.fixture
def no_processes(monkeypatch):
    """Backends answer at once: what is tested is about the file."""
    monkeypatch.setattr(look, "availability", lambda n: Availability(n, n == "onnxruntime-cpu", reason="not asked for"))
    monkeypatch.setattr(look, "missing_extra", lambda n: "gpu" if n.endswith("cuda") else "")
    monkeypatch.setattr(look, "try_to_open", lambda _info, name, _shapes, _threads: Opening(name, "", 0.01, 0.002))
    monkeypatch.setattr(look, "guess_seen", lambda info, _images, _backends, size: (look.guess(info, size=size), ""))


def saved(path, nodes, inputs, outputs, initializers=(), domains=(), metadata=()):
    opsets = [helper.make_opsetid(d, v) for d, v in (("", 17), *((d, 1) for d in domains))]
    made = helper.make_model(
        helper.make_graph(nodes, "g", inputs, outputs, list(initializers)), opset_imports=opsets, ir_version=9
    )
    for key, value in metadata:
        made.metadata_props.add(key=key, value=value)
    onnx.save(made, path)
    return path


def conv(path, **more):
    weights = numpy_helper.from_array(np.zeros((4, 3, 3, 3), np.float32), "w")
    node = helper.make_node("Conv", ["x", "w"], ["y"])
    return saved(path, [node], [VALUE("x", FLOAT, ["n", 3, "h", "w_"])], [VALUE("y", FLOAT, None)], [weights], **more)


@pytest.mark.slow
def test_the_demos_model_on_one_screen(inspect, tmp_path):
    done = inspect(MODEL, "--json", tmp_path / "m.json")
    assert done.exit_code == 0
    said = " ".join(done.stdout.split())
    for words in (
        "seamarks-v1.onnx 2.38 MiB, opset 17, IR 8, from pytorch",
        "input images float32[batch, 3, 320, 320]",
        "task detect; imgsz [320, 320]; stride 32",
        "5 labels (port_can, starboard_cone, mooring_ball, …)",
        "980 MFLOPs (2 × multiply-adds) at images=1x3x320x320, all in Conv",
        "✓ task detect, format yolov8: from the model's metadata",
        "✓ onnxruntime-cpu opens it in",
        "and runs it on made-up values",
    ):
        assert words in said, said
    assert len(done.stdout.splitlines()) <= 24
    facts = json.loads((tmp_path / "m.json").read_text())
    held = [numpy_helper.to_array(t) for t in onnx.load(MODEL).graph.initializer]
    assert facts["parameters"]["values"] == sum(a.size for a in held)
    assert (facts["task"], facts["format"], facts["cost"]["flops"]) == ("detect", "yolov8", 979_724_800)
    assert {b["name"]: b["opens"] for b in facts["backends"]}["onnxruntime-cpu"] is True


@pytest.mark.slow
def test_it_recognises_in_inits_own_words(inspect, tmp_path):
    from seatrial.cli import plans as _registers  # noqa: F401
    from seatrial.cli.shell import app

    plan = tmp_path / "trial.yaml"
    CliRunner().invoke(app, ["init", str(MODEL), "--output", str(plan), "--json", str(tmp_path / "init.json")])
    inspect(MODEL, "--json", tmp_path / "m.json")
    own, inits = (json.loads((tmp_path / n).read_text()) for n in ("m.json", "init.json"))
    assert (own["certain"], own["to_check"]) == (inits["certain"], inits["to_check"])
    assert own["boxes"] == inits["boxes"] == "pixels"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("text.onnx", b"this is no model\n" * 9, "cannot be parsed: the file is cut short or is not ONNX"),
        ("empty.onnx", b"", "the model file is empty (0 bytes)"),
        ("cut.onnx", MODEL.read_bytes()[:100_000], "cannot be parsed: the file is cut short or is not ONNX"),
        ("m.fake.json", b'{"inputs": {}, "outputs": {}}', "expected an ONNX model, got the fake backend's script"),
    ],
)
def test_what_is_no_model_is_one_line_and_exit_code_4(inspect, tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    done = inspect(tmp_path / name)
    assert (done.exit_code, done.stdout) == (4, "")
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_no_path_out_of_the_models_folder_is_followed(inspect, tmp_path):
    path = conv(tmp_path / "m.onnx")
    made = onnx.load(path)
    made.graph.initializer[0].ClearField("raw_data")
    made.graph.initializer[0].data_location = TensorProto.EXTERNAL
    made.graph.initializer[0].external_data.add(key="location", value="../../etc/passwd")
    onnx.save(made, path)
    done = inspect(path)
    assert done.exit_code == 4
    assert "outside the model's folder" in done.stderr


def test_open_dimensions_say_which_shape_to_give(inspect, no_processes, tmp_path):
    done = inspect(conv(tmp_path / "m.onnx"))
    assert "give --shape x=1x3x640x640" in " ".join(done.stdout.split())
    done = inspect(conv(tmp_path / "m.onnx"), "--shape", "x=1x3x8x8")
    assert "7.78 kFLOPs (2 × multiply-adds) at x=1x3x8x8, all in Conv" in done.stdout
    done = inspect(conv(tmp_path / "m.onnx", metadata=[("imgsz", "[8, 8]")]))
    assert "7.78 kFLOPs (2 × multiply-adds) at x=1x3x8x8, all in Conv" in done.stdout


@pytest.mark.parametrize("shape", ["z=1x3x8x8", "x=1x4x8x8", "x=8", "nonsense"])
def test_a_shape_that_does_not_fit_is_exit_code_2(inspect, no_processes, tmp_path, shape):
    done = inspect(conv(tmp_path / "m.onnx"), "--shape", shape)
    assert done.exit_code == 2
    assert "--shape" in done.stderr


def test_an_input_without_a_shape_in_the_file_asks_for_one_and_takes_it(inspect, no_processes, tmp_path):
    path = conv(tmp_path / "m.onnx")
    made = onnx.load(path)
    made.graph.input[0].type.tensor_type.ClearField("shape")
    onnx.save(made, path)
    done = inspect(path, "--json", tmp_path / "m.json")
    said = " ".join(done.stdout.split())
    assert "input x float32[unknown rank]" in said
    assert "output y float32[unknown rank]" in said
    assert "x float32[unknown rank] has no shape in the file; give --shape x=1x3x640x640" in said
    assert "does not say its input's shape" in said
    assert json.loads((tmp_path / "m.json").read_text())["inputs"] == [{"name": "x", "dtype": "float32", "shape": None}]
    done = inspect(path, "--shape", "x=1x3x8x8")
    assert "7.78 kFLOPs (2 × multiply-adds) at x=1x3x8x8, all in Conv" in done.stdout


@pytest.mark.parametrize("case", ["huge", "short"])
def test_a_tensor_that_cannot_be_is_one_line_and_exit_code_4(inspect, tmp_path, case):
    path = conv(tmp_path / "m.onnx")
    made = onnx.load(path)
    weights = made.graph.initializer[0]
    weights.ClearField("raw_data")
    if case == "huge":
        weights.dims[:] = [2**62] * 40
    else:
        weights.data_location = TensorProto.EXTERNAL
        weights.external_data.add(key="location", value="w.bin")
        (tmp_path / "w.bin").write_bytes(bytes(100))
    onnx.save(made, path)
    done = inspect(path)
    assert (done.exit_code, done.stdout, len(done.stderr.splitlines())) == (4, "", 1)
    words = {"huge": "40 dimensions], which no tensor can have", "short": "expected at least 432 bytes, got 100"}
    assert words[case] in done.stderr


def test_no_flops_is_said_of_a_product_of_nothing_and_none_of_no_product(inspect, no_processes, tmp_path):
    weights = numpy_helper.from_array(np.zeros((4, 4), np.float32), "w")
    square = helper.make_node("MatMul", ["w", "w"], ["ww"])
    x, y = VALUE("x", FLOAT, [1, 4]), VALUE("y", FLOAT, None)
    nothing = numpy_helper.from_array(np.zeros((4, 0), np.float32), "nothing")
    product = helper.make_node("MatMul", ["x", "nothing"], ["y"])
    assert (
        "FLOPs     0 FLOPs (2 × multiply-adds) at x=1x4"
        in inspect(saved(tmp_path / "m.onnx", [product], [x], [y], [nothing])).stdout
    )
    added = helper.make_node("Add", ["x", "ww"], ["y"])
    said = inspect(saved(tmp_path / "m.onnx", [square, added], [VALUE("x", FLOAT, [4])], [y], [weights])).stdout
    assert "none: no convolution and no matrix product that a run needs" in said
    assert "left out: 1 MatMul (of constants alone: worked out once, when the model is opened)" in said


def test_small_weights_and_quantised_arithmetic_are_told_apart(inspect, no_processes, tmp_path):
    held = [
        helper.make_tensor("q", TensorProto.INT4, [4, 4], [1] * 16),
        numpy_helper.from_array(np.float32(1), "s"),
    ]
    nodes = [helper.make_node("DequantizeLinear", ["q", "s"], ["w"]), helper.make_node("MatMul", ["x", "w"], ["y"])]
    path = saved(tmp_path / "m.onnx", nodes, [VALUE("x", FLOAT, [1, 4])], [VALUE("y", FLOAT, None)], held)
    assert "17 parameters, 12.0 B (int4 66.7%, float32 33.3%); int4 weights, float arithmetic" in inspect(path).stdout
    nodes[1].input[0] = "f"
    rounded = [
        helper.make_node("QuantizeLinear", ["x", "s"], ["r"]),
        helper.make_node("DequantizeLinear", ["r", "s"], ["f"]),
    ]
    path = saved(tmp_path / "m.onnx", [*rounded, *nodes], [VALUE("x", FLOAT, [1, 4])], [VALUE("y", FLOAT, None)], held)
    assert "; quantised: int8 arithmetic" in inspect(path).stdout


def test_custom_operators_are_marked_and_never_in_the_sum(inspect, no_processes, tmp_path):
    node = helper.make_node("Magic[bold]", ["x"], ["y"], domain="com.example")
    path = saved(
        tmp_path / "m.onnx",
        [node],
        [VALUE("x", FLOAT, [1, 3, 8, 8])],
        [VALUE("y", FLOAT, None)],
        domains=["com.example"],
    )
    said = inspect(path).stdout
    assert "at least 0 FLOPs" in said
    assert "not counted: 1 com.example.Magic[bold] (custom operator)" in said
    assert "Magic[bold] 1 (custom: com.example)" in said


def test_nms_inside_is_shown_however_many_other_operators_there_are(inspect, no_processes, tmp_path):
    names = ["Abs", "Neg", "Exp", "Relu", "Tanh", "Sign", "Ceil", "Floor", "Sqrt", "Erf", "Sin", "Cos", "Atan", "Round"]
    nodes = [helper.make_node(n, ["x"], [f"{n}{i}"]) for n in names for i in range(2)]
    nodes.append(helper.make_node("NonMaxSuppression", ["b", "s"], ["y"]))
    held = [numpy_helper.from_array(np.zeros(s, np.float32), n) for n, s in (("b", (1, 5, 4)), ("s", (1, 1, 5)))]
    path = saved(
        tmp_path / "m.onnx", nodes, [VALUE("x", FLOAT, [1, 3, 8, 8])], [VALUE("y", TensorProto.INT64, None)], held
    )
    assert "NonMaxSuppression 1, 2 kinds more; 29 nodes" in " ".join(inspect(path).stdout.split())


@pytest.mark.parametrize("kind", ["text", "sequence"])
def test_inputs_that_are_no_arrays_have_an_answer_too(inspect, no_processes, tmp_path, kind):
    if kind == "text":
        node, given = helper.make_node("Identity", ["x"], ["y"]), VALUE("x", TensorProto.STRING, [1])
        given_back = VALUE("y", TensorProto.STRING, [1])
    else:
        node, given = (
            helper.make_node("SequenceLength", ["x"], ["y"]),
            helper.make_tensor_sequence_value_info("x", FLOAT, None),
        )
        given_back = VALUE("y", TensorProto.INT64, [])
    done = inspect(saved(tmp_path / "m.onnx", [node], [given], [given_back]))
    assert done.exit_code == 0
    assert "none: no convolution and no matrix product" in done.stdout
    assert "  – " in done.stdout


def test_absent_backends_say_which_extra_brings_them(inspect, no_processes, tmp_path):
    said = " ".join(inspect(conv(tmp_path / "m.onnx")).stdout.split())
    assert "– onnxruntime-cuda: not installed (pip install 'seatrial[gpu]')" in said
    assert "openvino-cpu, openvino-gpu, tensorrt, tensorrt-rtx: not asked for" in said


def test_a_refusal_of_a_guessed_size_is_no_refusal_of_the_model(inspect, monkeypatch, tmp_path):
    """What only runs at a size that nobody gave is open, not refused."""
    monkeypatch.setattr(look, "availability", lambda n: Availability(n, n == "onnxruntime-cpu", reason="not here"))
    monkeypatch.setattr(look, "guess_seen", lambda info, _images, _backends, size: (look.guess(info, size=size), ""))

    def picky(_info, name, shapes, _threads):
        return Opening(name, "640 is too large") if shapes else Opening(name, "", 0.01)

    monkeypatch.setattr(look, "try_to_open", picky)
    said = " ".join(inspect(conv(tmp_path / "m.onnx")).stdout.split())
    assert "does not run it on made-up values at x=1x3x640x640, which is a guess: 640 is too large" in said
    said = " ".join(inspect(conv(tmp_path / "m.onnx"), "--shape", "x=1x3x8x8").stdout.split())
    assert "✗ onnxruntime-cpu refuses it: 640 is too large" in said


def test_quiet_prints_nothing_and_json_has_it_all(inspect, no_processes, tmp_path):
    done = inspect(conv(tmp_path / "m.onnx"), "--quiet", "--json", "-")
    facts = json.loads(done.stdout)
    assert facts["inputs"] == [{"name": "x", "dtype": "float32", "shape": ["n", 3, "h", "w_"]}]
    assert facts["operators"] == [{"name": "Conv", "domain": "", "count": 1, "function": False, "custom": False}]
    assert facts["cost"] is None
    assert "--shape" in facts["no_cost"]


def test_nodes_are_listed_by_operator(inspect, tmp_path, no_processes):
    nodes = [
        helper.make_node("Relu", ["x"], ["a"], name="first [bold]"),
        helper.make_node("Neg", ["a"], ["b"]),
        helper.make_node("Relu", ["b"], ["y"], name="/block/relu"),
    ]
    path = saved(tmp_path / "m.onnx", nodes, [VALUE("x", FLOAT, [1, 4])], [VALUE("y", FLOAT, [1, 4])])
    said = inspect(path, "--nodes").output.splitlines()
    assert said[said.index("Nodes, by operator") :] == [
        "Nodes, by operator", "  Relu", "    first [bold]", "    /block/relu",
        "  1 node without a name: only by operator",
    ]  # fmt: skip
    assert "first" not in inspect(path).output
    written = tmp_path / "look.json"
    inspect(path, "--json", written)
    assert json.loads(written.read_text())["node_names"] == {"Relu": ["first [bold]", "/block/relu"]}
