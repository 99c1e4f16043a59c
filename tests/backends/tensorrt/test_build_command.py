"""`seatrial build`: what it writes and prints, and one line for whatever stands in its way. The library is simulated."""

import json

import onnx
import pytest
from float_graphs import model_of
from onnx import helper
from simulated_tensorrt import VERSIONS
from typer.testing import CliRunner

from seatrial.backends.tensorrt.driver import NoDevice
from seatrial.demo import PLAN
from seatrial.trial import engines

RTX = ("--backend", "tensorrt-rtx", "--for", "sm89,8.6")


@pytest.fixture
def run(bench, cnn, monkeypatch, tmp_path):
    from seatrial.cli import build as _registers  # noqa: F401
    from seatrial.cli.shell import app

    monkeypatch.setattr(engines, "find_device", lambda: bench.device)
    monkeypatch.chdir(tmp_path)
    bench.install(VERSIONS[2])

    def call(*arguments):
        result = CliRunner().invoke(app, ["build", *map(str, arguments)])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert "Traceback" not in result.output
        return result

    return call


def test_an_engine_goes_where_it_is_told_with_its_manifest(run, tmp_path):
    done = run("cnn.onnx", *RTX, "--batch", "1,2-8", "--set", "tf32=true", "-o", "engines", "--json", "out.json")
    assert done.exit_code == 0, done.output
    path = tmp_path / "engines" / "cnn-fp32-tensorrt-rtx-sm89+sm86-b1+2-8.engine"
    assert sorted(p.name for p in path.parent.iterdir()) == [path.name, f"{path.name}.json"]
    assert json.loads(path.read_text())["flags"] == ["TF32"]
    for part in (
        f"engines/{path.name}",
        "for sm89, sm86",
        "x 1x3x6x6, scale 1; x 2x3x6x6 to 8x3x6x6",
        "asked for fp32",
    ):
        assert part in done.output, done.output
    [said] = json.loads((tmp_path / "out.json").read_text())["engines"]
    assert said["path"] == f"engines/{path.name}"
    assert (said["capabilities"], said["options"]["tf32"], said["precision"]) == (["sm89", "sm86"], True, "fp32")
    assert said["size_bytes"] == path.stat().st_size
    assert said["computed_in_by"] == "the parsed network"


def test_without_output_the_cache_has_it_for_the_cells(run, bench, cnn, tmp_path):
    from seatrial.backends import OpenOptions, open_backend

    done = run("cnn.onnx", *RTX, "--batch", "1,2")
    assert done.exit_code == 0, done.output
    [path] = (tmp_path / "cache" / "engines").rglob("*.engine")
    assert str(path.relative_to(tmp_path)) in done.output.replace("\n", "")
    with open_backend("tensorrt-rtx", cnn, OpenOptions(input_shapes={"x": (2, 3, 6, 6), "scale": (1,)})) as backend:
        assert backend.details()["engine"].startswith(f"{path.name}, from the cache")
        assert backend.details()["engine_profiles"] == "x 1x3x6x6, scale 1; x 2x3x6x6, scale 1"


def test_a_plans_pipeline_brings_its_own_shapes_and_batches(run):
    done = run(f"{PLAN}:candidate", *RTX, "-o", "e")
    assert done.exit_code == 0, done.output
    assert "images 1x3x320x320; images 4x3x320x320" in done.output


def test_the_datacentre_library_builds_for_the_device_at_hand(run, bench):
    bench.install(VERSIONS[1])
    done = run("cnn.onnx", "--backend", "tensorrt", "-o", "e", "--set", "builder_level=2")
    assert done.exit_code == 0, done.output
    assert "for sm89" in done.output
    bench.device = NoDevice("there is no CUDA driver (gone)", "install it")
    done = run("cnn.onnx", "--backend", "tensorrt", "-o", "e")
    assert done.exit_code == 5
    said = " ".join(done.output.split())
    assert (
        "builds for the device at hand: there is no CUDA driver (gone); install it; tensorrt-rtx builds without one"
        in said
    )


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("cnn.onnx", "--backend", "tensorflow"), 2, "--backend: expected one of tensorrt, tensorrt-rtx, got 'tensorflow'"),
        (("cnn.onnx", "--backend", "tensorrt-rtx"), 5, "expected the compute capabilities to build for, such as sm89"),
        (("cnn.onnx", "--backend", "tensorrt-rtx", "--for", "hopper"), 2, "--for: expected compute capabilities such as sm89 (RTX 40) or sm120 (RTX 50), got 'hopper'"),
        (("cnn.onnx", "--backend", "tensorrt-rtx", "--for", "90"), 5, "knows no sm90: onnxruntime-tensorrt or tensorrt runs on that card"),
        (("cnn.onnx", "--backend", "tensorrt-rtx", "--for", "sm89,89"), 2, "--for: expected different values, got sm89 twice"),
        (("cnn.onnx", *RTX, "--precision", "fp17"), 2, "--precision: expected one of fp32, fp16"),
        (("cnn.onnx", *RTX, "--precision", "int8-u8", "--batch", "1"), 4, "int8-u8 is the form that CPUs run fast; TensorRT reads its uint8 as int8"),
        (("cnn.onnx", *RTX, "--precision", "fp32,int8-u8"), 4, "int8-u8 is the form that CPUs run fast"),
        (("cnn.onnx", *RTX, "--precision", "fp32,fp8"), 4, "fp8 wants sm89 or later, and sm86 lacks it: leave that out of --for"),
        (("cnn.onnx", *RTX, "--batch", "8-1"), 2, "--batch: expected a range from less to more, such as 1-8, got '8-1'"),
        (("cnn.onnx", *RTX, "--batch", "0"), 2, "--batch: expected whole numbers from 1 on"),
        (("cnn.onnx", *RTX, "--set", "tf32"), 2, "--set: expected NAME=VALUE such as weight_streaming=true, got 'tf32'"),
        (("cnn.onnx", *RTX, "--set", "cuda_graph=false"), 2, "--set: cuda_graph: not all of it is of the engine"),
        (("cnn.onnx", *RTX, "--images", "photos"), 2, "fp32 is the file as it is: leave --images, --plan and --keep-fp32 out"),
        (("cnn.onnx", *RTX, "--set", "cuda_graph=true"), 2, "--set: cuda_graph: not all of it is of the engine"),
        (("cnn.onnx", *RTX, "--set", "tf32=true", "--set", "tf32=false"), 2, "--set: expected each option once, got tf32 twice"),
        (("cnn.onnx", *RTX, "--set", "fp16=true"), 4, "options.fp16: TensorRT has no option 'fp16'; it takes workspace_mib, tf32"),
        (("cnn.onnx", *RTX, "--set", "builder_level=3"), 5, "builder_level: TensorRT-RTX 1.7.1.116 has no such option"),
        (("cnn.onnx", *RTX, "--shape", "x=1x3x9x9"), 2, "cannot take 1x3x9x9"),
        (("cnn.onnx", *RTX, "-o", "file/deeper"), 5, "file/deeper: engines cannot be written there: Not a directory; name a folder that you may write to with --output"),
        (("gone.onnx", *RTX), 4, "gone.onnx: no such model"),
        ((f"{PLAN}:canditate", *RTX), 4, "no pipeline is called 'canditate' (did you mean 'candidate'?)"),
        (("open.onnx", *RTX), 4, "has dimensions that are not fixed, and no metadata gives a size; give --shape x="),
        (("zero.onnx", *RTX), 4, "holds no value"),
        (("double.onnx", *RTX), 4, "is float64, which TensorRT takes for float32, its buffer too"),
    ],
)  # fmt: skip
def test_what_is_in_the_way_is_one_line(run, tmp_path, arguments, code, said):
    (tmp_path / "file").write_text("")
    for name, shape, dtype in (
        ("open", ["n", 3, "h", "w"], 1),
        ("zero", [0, 3, 8, 8], 1),
        ("double", [1, 3, 8, 8], 11),
    ):
        proto = model_of([helper.make_node("Relu", ["x"], ["y"])], {"x": shape}, {"y": None})
        proto.graph.input[0].type.tensor_type.elem_type = dtype
        onnx.save(proto, tmp_path / f"{name}.onnx")
    done = run(*arguments)
    assert (done.exit_code, said in " ".join(done.output.split())) == (code, True), done.output
    assert not list(tmp_path.rglob("*.engine"))
