"""Every command as users call it: help with examples, JSON, quiet, completion."""

import json
import re
import sys
from pathlib import Path

import jsonschema
import pandas as pd
import pytest
import yaml
from processes import ran

import seatrial.demo
from seatrial._native.kernels import simd_level
from seatrial.plan.load import load_plan

DEMO = Path(seatrial.demo.__file__).parent
ROOT = Path(__file__).parent.parent.parent
MODEL = DEMO / "models" / "seamarks-v1.onnx"
COMMANDS = [
    "run",
    "demo",
    "report",
    "results",
    "init",
    "convert",
    "bench",
    "bench-kernels",
    "doctor",
    "faults",
    "backends",
    "plan check",
    "tap write",
    "tap check",
    "plan schema",
    "schema",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_examples_and_the_common_options(seatrial_cli, command):
    done = seatrial_cli(*command.split(), "--help")
    assert done.returncode == 0
    assert "Examples:" in done.stdout
    assert f"seatrial {command}" in done.stdout
    for option in ("--json", "--quiet", "--debug"):
        assert option in done.stdout


def test_version_help_and_completion(seatrial_cli):
    assert seatrial_cli("--version").stdout.startswith("seatrial 0.")
    done = seatrial_cli("--help")
    assert "130 interrupted" in done.stdout
    assert "--install-completion" in done.stdout


def test_the_schema_is_a_schema_and_knows_the_plan(seatrial_cli):
    schema = json.loads(seatrial_cli("plan", "schema").stdout)
    assert schema["$schema"].endswith("2020-12/schema")
    assert schema["additionalProperties"] is False
    assert "pipelines" in schema["required"]
    for text in (
        (DEMO / "trial.yaml").read_text(),
        *re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "plan.md").read_text(), re.S),
    ):
        jsonschema.validate(yaml.safe_load(text), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load((DEMO / "trial.yaml").read_text().replace("letterbox", "ltterbox")), schema)


def test_a_plan_is_checked_without_its_files_and_says_that_they_are_missing(seatrial_cli, tmp_path):
    (tmp_path / "p.yaml").write_text(
        "version: 1\nimages: nowhere\npipelines: {a: {model: no.onnx, preprocess: {size: [8, 8]}}}\n"
    )
    done = seatrial_cli("plan", "check", "p.yaml")
    assert (done.returncode, "valid; 1 pipeline, 1 cell, 0 budgets" in done.stdout) == (0, True)
    assert "not checked: no.onnx is not there" in done.stdout
    assert "not checked: models, images and truth, without these" in done.stdout


def test_init_writes_a_plan_that_runs(seatrial_cli, tmp_path):
    (tmp_path / "photos").mkdir()
    for i in range(3):
        name = f"scene-{i:02d}.jpg"
        (tmp_path / "photos" / name).write_bytes((DEMO / "images" / name).read_bytes())
    done = seatrial_cli("init", MODEL, "--images", "photos/")
    assert done.returncode == 0, done.stderr
    plan = load_plan(tmp_path / "trial.yaml").plan
    only = plan.pipelines["baseline"]
    assert (only.postprocess.task, only.postprocess.format) == ("detect", "yolov8")
    assert only.preprocess.size == (320, 320)
    assert only.postprocess.labels[0] == "port_can"
    assert "Ultralytics" in (tmp_path / "trial.yaml").read_text()
    text = (tmp_path / "trial.yaml").read_text()
    assert text.count("max_time: 20 s") == 1
    (tmp_path / "trial.yaml").write_text(text.replace("max_time: 20 s", "max_time: 300 ms"))
    done = seatrial_cli("run", "trial.yaml", "--json", "out.json", "--quiet")
    assert done.stdout == ""
    record = json.loads((tmp_path / "out.json").read_text())
    assert {c["status"] for c in record["cells"]} == {"ok"}
    again = seatrial_cli("init", MODEL)
    assert again.returncode == 2
    assert "there is a plan already" in again.stderr


@pytest.mark.slow
def test_bench_measures_one_model(seatrial_cli, tmp_path):
    done = seatrial_cli(
        "bench", MODEL, "--backend", "openvino-cpu", "--batch", "2", "--max-time", "500 ms", "--json", "b.json"
    )
    assert done.returncode == 0, done.stderr
    assert "95 % interval" in done.stdout
    record = json.loads((tmp_path / "b.json").read_text())
    cell = record["cells"][0]
    assert (record["kind"], cell["batch"], list(cell["measurement"]["stages"])) == ("bench", 2, ["infer", "end_to_end"])
    assert cell["measurement"]["throughput"]["value"] == pytest.approx(
        2 / cell["measurement"]["stages"]["infer"]["mean"]["value"], rel=0.02
    )
    (run,) = tmp_path.glob("results/*/*")
    assert cell["measurement"]["stages"]["infer"]["p50"]["n"] == len(pd.read_parquet(run / "samples.parquet")) > 0
    assert "measured" in seatrial_cli("results").stdout
    done = seatrial_cli("report", "latest")
    assert done.returncode == 0, done.stderr
    page = next(tmp_path.glob("results/*/*/report.html")).read_text()
    assert "alone, on made-up inputs" in page
    assert "PASS" not in page
    shaped = seatrial_cli(
        "bench", MODEL, "--shape", "images=3x3x320x320", "--max-time", "300 ms", "--json", "-", "--quiet"
    )
    cell = json.loads(shaped.stdout)["cells"][0]
    assert cell["batch"] == 3
    assert cell["measurement"]["throughput"]["value"] == pytest.approx(
        3 / cell["measurement"]["stages"]["infer"]["mean"]["value"], rel=0.02
    )
    assert seatrial_cli("bench", MODEL, "--shape", "images=3x3x320x320", "--batch", "2").returncode == 2


@pytest.mark.slow
def test_bench_asks_for_a_shape_it_cannot_know(seatrial_cli, tmp_path):
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])], "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, "h", "w"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3, "h", "w"])],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    (tmp_path / "free.onnx").write_bytes(model.SerializeToString())
    done = seatrial_cli("bench", "free.onnx")
    assert done.returncode == 4
    assert "give --shape x=1x3x640x640" in done.stderr
    done = seatrial_cli("bench", "free.onnx", "--shape", "x=1x3x32x48", "--max-time", "200 ms")
    assert done.returncode == 0, done.stderr
    assert seatrial_cli("bench", "free.onnx", "--shape", "x=1x4x32x48").returncode == 2
    assert seatrial_cli("bench", "free.onnx", "--shape", "z=1").returncode == 2


@pytest.mark.slow
def test_doctor_and_backends_tell_what_runs_here(seatrial_cli):
    done = seatrial_cli("doctor", "--json", "-")
    assert done.returncode == 0
    assert "onnxruntime-cpu" in done.stdout
    assert "kernels: " in seatrial_cli("doctor").stdout
    facts = json.loads(done.stdout[done.stdout.index("{") :])
    assert (facts["schema"], facts["environment"]["simd"]) == ("seatrial.doctor/1", simd_level())
    listed = seatrial_cli("backends", "--quiet", "--json", "-")
    said = json.loads(listed.stdout)
    assert (said["schema"], said["left_out"]) == ("seatrial.backends/1", [])
    rows = {row["name"]: row for row in said["backends"]}
    assert rows["onnxruntime-cpu"]["ok"]
    assert rows["tensorrt"]["cure"]
    assert "inference_precision one of f32, bf16, f16, auto; " in " ".join(
        seatrial_cli("backends", "openvino-cpu").stdout.split()
    )
    wrong = seatrial_cli("backends", "openvino")
    assert (wrong.returncode, "did you mean 'openvino-cpu'" in wrong.stderr) == (2, True)


@pytest.mark.slow
def test_bench_kernels_races_on_the_users_picture(seatrial_cli, tmp_path):
    import cv2
    import numpy as np

    cv2.imwrite(str(tmp_path / "mine.png"), np.zeros((30, 40, 3), np.uint8))
    ended = seatrial_cli(
        "bench-kernels", "--image", "mine.png", "--size", "64x48", "--max-time", "1ms", "--json", "k.json"
    )
    assert ended.returncode == 0, ended.stderr
    assert "letterbox 64 × 48" in ended.stdout
    assert "memory floor" in ended.stdout
    lines = json.loads((tmp_path / "k.json").read_text())["lines"]
    assert {line["work"].split()[0] for line in lines} == {
        "letterbox",
        "ImageNet",
        "32",
        "YOLOv8",
        "softmax",
        "argmax",
    }
    assert all(line["ratio"] > 0 and line["n"] >= 11 for line in lines)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--size", "12"], 2, "--size: expected WIDTHxHEIGHT"),
        (["--size", "0x5"], 2, "--size: expected WIDTHxHEIGHT"),
        (["--size", "99999x5"], 2, "of 1 to 20000 pixels"),
        (["--max-time", "soon"], 2, "--max-time"),
        (["--max-time", "-1s"], 2, "--max-time: expected more than zero"),
        (["--image", "none.jpg"], 4, "none.jpg: the photograph cannot be read"),
        (["--image", "text.jpg"], 4, "text.jpg: not an image"),
    ],
)
def test_bench_kernels_says_what_is_wrong(seatrial_cli, tmp_path, arguments, code, said):
    (tmp_path / "text.jpg").write_text("hello")
    ended = seatrial_cli("bench-kernels", *arguments)
    assert (ended.returncode, said in ended.stderr) == (code, True), ended.stderr


@pytest.mark.parametrize(("command", "code"), [("bench-kernels", 5), ("doctor", 0), ("run trial.yaml", 5)])
def test_a_simd_level_that_is_not_here(workspace, seatrial_cli, command, code):
    workspace.plan()
    done = seatrial_cli(*command.split(), env={"SEATRIAL_SIMD": "AVX9"})
    assert done.returncode == code, done.stderr
    said = done.stdout + done.stderr
    assert "SEATRIAL_SIMD" in said
    assert ("got 'AVX9'" in said) == (code == 5)
    if code == 0:
        assert "none: SEATRIAL_SIMD=AVX9 is not one of scalar" in said
        assert "native kernels refuse to run" in said


@pytest.mark.parametrize(
    ("preprocess", "said"),
    [
        ("dtype: int8", "trial.yaml:6: pipelines.only.preprocess.dtype: int8 needs a quant_scale"),
        ("dtype: int8, quant_scale: 0", "pipelines.only.preprocess.quant_scale: expected a positive finite number"),
        ("std: [0, 1, 1]", "pipelines.only.preprocess.std: expected finite values other than zero"),
        ("dtype: uint8", "pipelines.only.preprocess.dtype: uint8 keeps raw levels"),
    ],
)
def test_a_plan_is_checked_with_its_kernels(workspace, seatrial_cli, preprocess, said):
    plan = workspace.plan(
        pipelines=f"\n  only:\n    model: model.fake.json\n    preprocess: {{size: [8, 8], {preprocess}}}", parity=""
    )
    for command in (["plan", "check"], ["run"]):
        done = seatrial_cli(*command, plan)
        assert (done.returncode, said in done.stderr) == (4, True), done.stderr


def test_report_is_rendered_again(workspace, seatrial_cli):
    assert seatrial_cli("run", workspace.plan()).returncode == 0
    page = next(workspace.folder.glob("results/*/*/report.html"))
    before = page.read_text()
    page.unlink()
    done = seatrial_cli("report", "latest")
    assert done.returncode == 0, done.stderr
    assert page.read_text() == before
    assert seatrial_cli("report", "latest", "--output", "copy.html").returncode == 0
    assert (workspace.folder / "copy.html").read_text() == before
    missing = seatrial_cli("report", "1999")
    assert (missing.returncode, "no run matches '1999'" in missing.stderr) == (5, True)


def test_breaking_the_demo_lists_its_faults(seatrial_cli):
    done = seatrial_cli("demo", "--break", "list", "--json", "-")
    assert done.returncode == 0
    assert {"channel-order", "scale-missing", "exif"} <= set(json.loads(done.stdout[done.stdout.index("{") :]))


def test_json_on_standard_output_stands_alone(workspace, seatrial_cli):
    done = seatrial_cli("run", workspace.plan(), "--json", "-")
    assert json.loads(done.stdout)["verdict"] == "PASS"
    assert "report:" in done.stderr


@pytest.mark.slow
def test_a_reader_that_leaves_does_not_stop_the_trial(workspace):
    command = f"{sys.executable} -c 'from seatrial.cli import main; main()' run {workspace.plan()} | head -c 1; exit ${{PIPESTATUS[0]}}"
    done = ran(["bash", "-c", command], cwd=workspace.folder)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert list(workspace.folder.glob("results/*/*/report.html"))


@pytest.mark.slow
def test_names_with_brackets_and_a_terminal_without_unicode(workspace, seatrial_cli):
    done = seatrial_cli("run", workspace.plan(), "--results", "out[v2][b]", env={"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0, done.stderr
    assert "report: out[v2][b]/" in done.stdout
    assert "out[v2][b]" in str(next(workspace.folder.glob("out*/*/*/report.html")))
    from seatrial.history.frame import load_results

    machine = next(workspace.folder.glob("out*/*"))
    assert len(load_results(machine)) == 10
