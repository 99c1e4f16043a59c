"""`seatrial convert`: a file in another precision, and one line for whatever stands in its way."""

import json
import math
import os

import numpy as np
import onnx
import pytest
from float_graphs import model_of
from onnx import helper
from typer.testing import CliRunner

from seatrial.cells.matrix import why_skipped
from seatrial.cli.convert import _near
from seatrial.demo import MODEL, PICTURE, PLAN
from seatrial.model.file import inspect_model


@pytest.fixture
def convert(tmp_path, monkeypatch):
    from seatrial.cli import convert as _registers  # noqa: F401
    from seatrial.cli.shell import app

    monkeypatch.setenv("SEATRIAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        result = CliRunner().invoke(app, ["convert", *map(str, arguments)])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert "Traceback" not in result.output
        return result

    return call


def test_a_plans_pipeline_becomes_a_file_and_says_what_was_done(convert, tmp_path):
    done = convert(f"{PLAN}:candidate", "--precision", "fp16", "--keep-fp32", "/stem/*", "--json", "out.json")
    assert done.exit_code == 0, done.output
    made = tmp_path / "seamarks-v2-fp16.onnx"
    onnx.checker.check_model(str(made))
    assert inspect_model(made).weights == "float16"
    said = json.loads((tmp_path / "out.json").read_text())
    assert said["schema"] == "seatrial.conversion/1"
    assert said["precision"] == "fp16"
    assert (said["measured_on"], said["warnings"]) == ("4 pictures that gave ranges too", [])
    assert said["nodes"] > 100
    assert {k["reason"] for k in said["kept"]} >= {"the recipe says so"}
    assert said["run_by"] == "onnxruntime"
    assert said["sqnr_db"]["output0"] > 40
    assert "onnxruntime computes fp16 in fp32 on a CPU: that is what rounding the weights costs" in " ".join(
        done.output.split()
    )
    for part in ("in fp16", "stay in fp32", "kept: ", "near: output0", "seamarks-v2-fp16.onnx: "):
        assert part in done.output, part
    assert not list(tmp_path.glob(".*")), "nothing half-written is left"


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["bf16", "int8", "int8-u8", "fp8"])
def test_a_model_alone_is_fed_as_init_would(convert, tmp_path, precision):
    done = convert(MODEL, "--precision", precision, "--images", PICTURE.parent, "-o", "made.onnx", "--json", "out.json")
    assert done.exit_code == 0, done.output
    onnx.checker.check_model(str(tmp_path / "made.onnx"))
    said = json.loads((tmp_path / "out.json").read_text())
    assert said["sqnr_db"]["output0"] > 25
    assert said["run_by"] == ("openvino" if precision in ("bf16", "fp8") else "onnxruntime")
    assert "demo's pictures" not in done.output


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((PLAN, "--precision", "fp17"), 2, "--precision: expected one of fp16, bf16, int8, int8-u8, fp8, got 'fp17' (did you mean"),
        ((PLAN, "--precision", "fp32"), 2, "--precision: expected one of fp16"),
        ((f"{PLAN}:canditate", "--precision", "fp16"), 4, "no pipeline is called 'canditate' (did you mean 'candidate'?)"),
        ((PLAN, "--precision", "fp16", "--images", "photos"), 2, "leave --plan and --images out"),
        ((MODEL, "--precision", "fp16", "--plan", PLAN, "--images", "p"), 2, "leave --images out"),
        (("gone.onnx", "--precision", "fp16"), 4, "gone.onnx"),
        ((PLAN, "--precision", "fp16", "--keep-fp32", "gone.yaml"), 4, "gone.yaml: the recipe cannot be read"),
        ((PLAN, "--precision", "fp16", "--keep-fp32", "Sofmax"), 4, "no node and no operator called Sofmax"),
        ((PLAN, "--precision", "fp16", "-o", "gone/made.onnx"), 5, "gone/made.onnx: cannot be written: No such file"),
        ((PLAN, "--precision", "int8", "--calibration", "entropie"), 2, "--calibration: expected one of minmax, entropy, percentile, got 'entropie' (did you mean 'entropy'?)"),
        ((PLAN, "--precision", "fp8", "--calibration", "entropy"), 2, "--calibration: fp8 takes the greatest magnitudes: leave it out"),
        ((f"{PLAN}:baseline", "--precision", "fp16", "-o", MODEL), 2, "this is the model itself"),
    ],
)  # fmt: skip
def test_what_is_in_the_way_is_one_line(convert, arguments, code, said):
    done = convert(*arguments)
    assert (done.exit_code, said in " ".join(done.output.split())) == (code, True), done.output


def test_a_model_in_sixteen_bits_already_is_refused(convert, tmp_path):
    assert convert(f"{PLAN}:baseline", "--precision", "fp16", "-o", "half.onnx").exit_code == 0
    done = convert("half.onnx", "--precision", "int8", "--plan", f"{PLAN}:baseline")
    assert done.exit_code == 4
    assert "the model holds float16 weights, and int8 variants are made from float32 models" in " ".join(
        done.output.split()
    )


def test_what_stood_there_stays_where_nothing_can_be_made(convert, tmp_path):
    proto = model_of(
        [helper.make_node("Relu", ["x"], ["y"])], {"x": ("n", 3, 32, 32)}, {"y": ("n", 3, 32, 32)}, opset=17
    )
    onnx.save(proto, str(tmp_path / "plain.onnx"))
    (tmp_path / "made.onnx").write_bytes(b"before")
    done = convert("plain.onnx", "--precision", "int8", "--images", PICTURE, "-o", "made.onnx")
    assert done.exit_code == 4
    assert "nothing to quantize: int8 applies to Conv" in " ".join(done.output.split())
    assert (tmp_path / "made.onnx").read_bytes() == b"before"


def test_one_picture_is_enough_to_calibrate_on_and_is_told(convert, tmp_path):
    done = convert(MODEL, "--precision", "int8", "--images", PICTURE, "-o", "made.onnx")
    assert done.exit_code == 0, done.output
    said = " ".join(done.output.split())
    assert "int8 ranges are seen on 1 picture, and what others bring is not known: name 8 or more" in said
    assert "on 1 picture that gave ranges too, by onnxruntime" in said
    onnx.checker.check_model(str(tmp_path / "made.onnx"))


@pytest.mark.parametrize("precision", ["fp16", "int8", "fp8"])
def test_what_is_within_an_if_stays_as_it_is(convert, tmp_path, precision):
    """A graph of its own inside: its products are not converted, and it goes on answering."""
    value, floats = helper.make_tensor_value_info, onnx.TensorProto.FLOAT
    branch = [
        helper.make_graph([helper.make_node("Conv", ["r", "w"], [name])], name, [], [value(name, floats, None)])
        for name in ("yes", "no")
    ]
    proto = model_of(
        [
            helper.make_node("Conv", ["x", "w"], ["r"]),
            helper.make_node("If", ["which"], ["y"], then_branch=branch[0], else_branch=branch[1]),
            helper.make_node("Relu", ["y"], ["z"]),
        ],
        {"x": ("n", 3, 32, 32)}, {"z": ("n", 3, 30, 30)},
        {"w": np.full((3, 3, 1, 1), 0.5, np.float32), "which": np.array(True)}, opset=19,
    )  # fmt: skip
    proto.graph.output[0].type.tensor_type.ClearField("shape")
    onnx.save(proto, str(tmp_path / "branched.onnx"))
    done = convert(
        "branched.onnx", "--precision", precision, "--images", PICTURE, "-o", "made.onnx", "--json", "out.json"
    )
    assert done.exit_code == 0, done.output
    kept = json.loads((tmp_path / "out.json").read_text())["kept"]
    assert [k["operator"] for k in kept] == (["If"] if precision == "fp16" else [])


@pytest.mark.parametrize("kind", [onnx.TensorProto.INT64, onnx.TensorProto.UINT8, onnx.TensorProto.FLOAT16])
def test_a_model_that_takes_no_float32_is_refused(convert, tmp_path, kind):
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Cast", ["x"], ["y"], to=onnx.TensorProto.FLOAT)], "g", [value("x", kind, ["n", 3, 32, 32])],
        [value("y", onnx.TensorProto.FLOAT, ["n", 3, 32, 32])],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), tmp_path / "m.onnx")
    done = convert("m.onnx", "--precision", "fp16", "--images", PICTURE)
    assert done.exit_code == 4, done.output
    assert "fp16 variants are made from float32 models" in " ".join(done.output.split()) or "m.onnx" in done.output


@pytest.mark.parametrize(
    ("decibels", "said"),
    [
        (72.46, "72.5 dB over its error"),
        (-9.9, "its error is greater than the answers themselves (-9.9 dB)"),
        (math.inf, "the same to the bit"),
        (-math.inf, "NaN or infinity on one side alone"),
    ],
)
def test_how_near_it_comes_in_words(decibels, said):
    assert _near(decibels) == said


def test_what_the_cache_holds_is_not_handed_out_once_it_is_damaged(convert, tmp_path):
    assert convert(f"{PLAN}:baseline", "--precision", "fp16", "-o", "a.onnx").exit_code == 0
    (cached,) = (tmp_path / "cache" / "precision").glob("*.onnx")
    cached.write_bytes(bytes(cached.stat().st_size))
    done = convert(f"{PLAN}:baseline", "--precision", "fp16", "-o", "b.onnx")
    assert "the cache's own was made anew: the file has changed since it was made" in " ".join(done.output.split())
    assert (tmp_path / "b.onnx").read_bytes() == (tmp_path / "a.onnx").read_bytes()
    cached.with_suffix(".json").write_text("{}")
    done = convert(f"{PLAN}:baseline", "--precision", "fp16", "-o", "b.onnx")
    assert "what was noted of it is gone or damaged" in " ".join(done.output.split())
    assert "made anew" not in convert(f"{PLAN}:baseline", "--precision", "fp16", "-o", "b.onnx").output


def test_how_ranges_are_seen_can_be_said_without_a_plan(convert, tmp_path):
    files = [f"{method}.onnx" for method in ("minmax", "entropy", "percentile")]
    for file in files:
        given = ("--calibration", file.removesuffix(".onnx"), "--limit", "3")
        done = convert(MODEL, "--precision", "int8", "--images", PICTURE.parent, "-o", file, *given)
        assert done.exit_code == 0, done.output
        assert "int8 ranges are seen on 3 pictures" in " ".join(done.output.split())
    assert len({(tmp_path / file).read_bytes() for file in files}) == 3


def test_a_file_becomes_no_device_and_no_link(convert, tmp_path):
    (tmp_path / "link.onnx").symlink_to(tmp_path / "there.onnx")
    assert convert(f"{PLAN}:baseline", "--precision", "fp16", "-o", "link.onnx").exit_code == 0
    assert (tmp_path / "link.onnx").is_symlink()
    assert inspect_model(tmp_path / "there.onnx").weights == "float16"
    assert convert(f"{PLAN}:baseline", "--precision", "fp16", "-o", os.devnull).exit_code == 0
    assert not os.path.isfile(os.devnull)


def sized(path, kind):
    """As RT-DETR: a picture, and a size beside it that its boxes are scaled by."""
    value = helper.make_tensor_value_info
    proto = model_of(
        [helper.make_node("Conv", ["x", "w"], ["c"]), helper.make_node("GlobalAveragePool", ["c"], ["p"]),
         helper.make_node("Flatten", ["p"], ["f"]), helper.make_node("Cast", ["size"], ["s"], to=onnx.TensorProto.FLOAT),
         helper.make_node("ReduceMax", ["s"], ["m"], keepdims=0), helper.make_node("Mul", ["f", "m"], ["y"])],
        {"x": ("n", 3, 32, 32)}, {"y": ("n", 4)}, {"w": np.full((4, 3, 3, 3), 0.5, np.float32)}, opset=17,
    )  # fmt: skip
    proto.graph.input.append(value("size", kind, ["n", 2]))
    onnx.save(proto, str(path))


def test_whole_numbers_beside_the_picture_are_no_reason_to_refuse(tmp_path):
    """A size stays what it is; another kind of floats is named."""
    sized(tmp_path / "m.onnx", onnx.TensorProto.INT64)
    assert why_skipped(inspect_model(tmp_path / "m.onnx"), "onnxruntime-cpu", "fp16", 1, 1, 1, 1) == ""
    sized(tmp_path / "m.onnx", onnx.TensorProto.DOUBLE)
    said = "the model's input size is float64, and fp16 variants are made from float32 models"
    assert why_skipped(inspect_model(tmp_path / "m.onnx"), "onnxruntime-cpu", "fp16", 1, 1, 1, 1) == said
