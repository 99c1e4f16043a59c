"""`seatrial init` on models of every kind, in this process: each tick is right, and each plan runs or is not written."""

import json
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_models import ULTRALYTICS, neck, saved
from typer.testing import CliRunner

from seatrial.cells.preflight import preflight
from seatrial.plan.load import load_plan
from seatrial.units import format_bytes

SIDE = 64


@pytest.fixture(scope="module")
def init():
    from seatrial.cli import plans as _registers  # noqa: F401
    from seatrial.cli.shell import app

    def call(*arguments):
        result = CliRunner().invoke(app, ["init", *map(str, arguments)])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return call


def test_a_small_file_has_a_size(init, tmp_path):
    path = tmp_path / "m.onnx"
    detector(path, np.zeros((84, 84), np.float32))
    done = init(path, "--output", tmp_path / "trial.yaml")
    assert f"m.onnx  {format_bytes(path.stat().st_size)}, opset" in done.output
    assert "MiB" not in done.output


def detector(path, head, metadata=None):
    """A model that gives `head` whatever it sees, but has to see a picture of its size."""
    shape = [1, *head.shape]
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["images"], ["mean"], keepdims=0),
            helper.make_node("Mul", ["mean", "none"], ["nothing"]),
            helper.make_node("Add", ["head", "nothing"], ["output0"]),
        ],
        "g",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, shape)],
        [
            numpy_helper.from_array(head[None].astype(np.float32), "head"),
            numpy_helper.from_array(np.float32(0), "none"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    for key, value in (metadata or {}).items():
        model.metadata_props.add(key=key, value=value)
    onnx.save(model, path)


def yolov8(classes, extra=None):
    head = np.zeros((4 + classes, 84))
    head[:, 0] = [16, 32, 16, 32, *([0.9] * classes)]
    return head if extra is None else np.concatenate([head, extra])


def rtdetr(scale):
    head = np.zeros((300, 7))
    head[:, :4] = np.array([16, 32, 16, 32]) * scale
    head[0, 4:] = 0.9
    return head


DETECTOR = {"stride": "32", "names": "{0: 'a', 1: 'b', 2: 'c'}", "imgsz": "[64, 64]"}
HEADS = {
    "yolov8": (yolov8(3), DETECTOR | {"task": "detect"}, "detect", "yolov8", True),
    "rtdetr alone": (rtdetr(1 / SIDE), {}, "detect", "rtdetr_joined", False),
    "pose alone": (yolov8(3, np.full((6, 84), 40.0)), {}, "pose", "yolov8", False),
}


@pytest.mark.parametrize("name", HEADS)
def test_init_ticks_what_it_knows_and_its_plan_passes_the_checks(init, tmp_path, monkeypatch, name):
    """The run on the bundled picture tells RT-DETR from YOLOv5, and keypoints from scores."""
    monkeypatch.chdir(tmp_path)
    head, metadata, task, form, ticked = HEADS[name]
    detector(tmp_path / "m.onnx", head, metadata)
    done = init("m.onnx")
    assert done.exit_code == 0, done.output
    assert (f"✓ task {task}" in done.stdout) is ticked
    assert (f"? task {task}" in done.stdout) is not ticked
    assert "nothing was run" not in done.stdout
    (tmp_path / "images").mkdir()
    cv2.imwrite("images/0.png", np.zeros((20, 30, 3), np.uint8))
    plan = load_plan("trial.yaml")
    post = plan.plan.pipelines["baseline"].postprocess
    assert (post.task, post.format) == (task, form)
    warnings = preflight(plan, False, lambda _: None).warnings
    assert any(w.code == "check-marks" for w in warnings) is bool(plan.unconfirmed)


def test_a_plan_that_is_there_already_costs_no_run(init, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    detector(tmp_path / "m.onnx", yolov8(3))
    (tmp_path / "trial.yaml").write_text("mine")
    monkeypatch.setattr("seatrial.jobs.glimpse.glimpse", lambda *_: pytest.fail("it was run"))
    done = init("m.onnx")
    assert (done.exit_code, (tmp_path / "trial.yaml").read_text()) == (2, "mine")


def test_without_a_runtime_nothing_is_ticked_by_shape(init, tmp_path, monkeypatch):
    from seatrial.backends.base import Availability

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("seatrial.backends.availability", lambda name: Availability(name, False))
    detector(tmp_path / "m.onnx", yolov8(3))
    done = init("m.onnx", "--output", "-")
    assert "# CHECK nothing was run on a picture: no runtime is installed" in done.stdout
    assert "# CHECK task detect, format yolov8" in done.stdout


def test_names_that_move_the_cursor_are_escaped_in_the_terminal(init, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    detector(tmp_path / "m.onnx", yolov8(3), {"names": repr({0: "\x1b[2Ja", 1: "b\nc", 2: "\u202ed"})})
    done = init("m.onnx")
    assert "labels  \\x1b[2Ja, b\\nc, \\u202ed" in done.stdout
    assert "\x1b[2J" not in done.stdout
    monkeypatch.setattr("seatrial.model.file.inspect_model", _evil)
    done = init("m.onnx", "--force")
    assert "\x1b[2J" not in done.output


def _evil(path):
    from seatrial.errors import ModelError

    raise ModelError(f"{path}: a name like \x1b[2J\u202e")


def test_a_plan_needs_a_name_and_its_command_fits_the_shell(init, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    detector(tmp_path / "m.onnx", yolov8(3))
    done = init("m.onnx", "--output", "", "--force")
    assert done.exit_code == 2
    done = init("m.onnx", "--output", "my plan.yaml")
    assert "seatrial run 'my plan.yaml'" in done.output
    (tmp_path / "file").write_text("")
    done = init("m.onnx", "--output", "file/trial.yaml")
    assert (done.exit_code, "--results" in done.output) == (5, False), done.output


def models(folder, **changes):
    """Two versions of one model, and one that differs from them in what is named."""
    neck(folder / "v1.onnx")
    neck(folder / "v2.onnx", {**ULTRALYTICS, **changes}, channels=6)


@pytest.mark.parametrize(
    ("changes", "extends", "own"),
    [
        ({}, True, {}),
        ({"imgsz": "[416, 416]"}, True, {"size": (416, 416), "resize_short": 416}),
        # Without labels of its own it must not have the baseline's.
        ({"names": ""}, False, {}),
    ],
)
def test_two_models_become_baseline_and_candidate(init, workspace, monkeypatch, changes, extends, own):
    monkeypatch.chdir(workspace.folder)
    models(workspace.folder, **changes)
    done = init("v1.onnx", "v2.onnx", "--json", "facts.json")
    assert done.exit_code == 0, done.output
    plan = load_plan("trial.yaml")
    a, b = plan.plan.pipelines["baseline"], plan.plan.pipelines["candidate"]
    assert (a.model, b.model, b.extends) == ("v1.onnx", "v2.onnx", "baseline" if extends else None)
    assert {k: getattr(b.preprocess, k) for k in own} == own
    assert (a.postprocess.labels, b.postprocess.labels) == (["a", "b", "c"], ["a", "b", "c"] if extends else None)
    assert (plan.plan.regression.against, plan.plan.parity.reference.pipeline) == ("baseline", "baseline")
    preflight(plan, False, lambda _: None)
    facts = json.loads(Path("facts.json").read_text())
    assert (facts["model"], facts["candidate"]["model"]) == ("v1.onnx", "v2.onnx")
    # What holds of both is said once.
    assert (
        plan.unconfirmed.count(
            "an Ultralytics classifier: short side to size, antialiased, centre crop, RGB, scale 1/255, no mean"
        )
        == 1
    )


@pytest.mark.slow
def test_the_plan_of_two_models_runs(seatrial_cli, workspace):
    models(workspace.folder, imgsz="[64, 64]")
    done = seatrial_cli("init", "v1.onnx", "v2.onnx", cwd=workspace.folder)
    assert done.returncode == 0, done.stderr
    plan = workspace.folder / "trial.yaml"
    text = plan.read_text()
    assert text.count("max_time: 20 s") == 1
    plan.write_text(text.replace("max_time: 20 s", "max_time: 1 s").replace("max_time: 60 s", "max_time: 15 s"))
    done = seatrial_cli("run", "trial.yaml", cwd=workspace.folder)
    assert "regression candidate against baseline" in " ".join(done.stdout.split())
    assert done.returncode in (0, 1, 3), done.stderr


def test_two_models_of_unlike_tasks_are_refused_with_the_cure(init, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    neck(tmp_path / "scores.onnx")
    detector(tmp_path / "boxes.onnx", yolov8(3), DETECTOR | {"task": "detect"})
    done = init("scores.onnx", "boxes.onnx")
    assert done.exit_code == 4
    assert (
        "expected two models of one task, got unlike ones: scores.onnx is classify and boxes.onnx is detect yolov8: their results "
        "cannot be compared; write a plan for each: seatrial init scores.onnx; seatrial init boxes.onnx --output boxes.yaml"
    ) in " ".join(done.output.split())
    assert not Path("trial.yaml").exists()


def test_two_models_of_other_fixed_batches_are_refused(init, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    neck(tmp_path / "one.onnx", ULTRALYTICS, (1, 3, "h", "w"))
    neck(tmp_path / "four.onnx", ULTRALYTICS, (4, 3, "h", "w"))
    done = init("one.onnx", "four.onnx")
    assert done.exit_code == 4
    assert "got a fixed batch of 1 in one.onnx and of 4 in four.onnx; export both with one" in " ".join(
        done.output.split()
    )
    neck(tmp_path / "any.onnx")
    assert init("any.onnx", "four.onnx").exit_code == 0
    assert load_plan("trial.yaml").plan.matrix.batch_sizes == [4]


def test_a_size_that_is_guessed_goes_through_the_graph(init, tmp_path, monkeypatch):
    """The common choice where it does, else another that does."""
    monkeypatch.chdir(tmp_path)
    neck(tmp_path / "bare.onnx", {})
    assert (
        "? size: the model leaves it open; 640 × 640 is a common choice, and goes through its graph, which takes multiples of 32"
    ) in " ".join(init("bare.onnx").stdout.split())
    value = helper.make_tensor_value_info
    nodes = [helper.make_node("Flatten", ["x"], ["flat"]), helper.make_node("MatMul", ["flat", "w"], ["y"])]
    x, y = value("x", TensorProto.FLOAT, ["n", 3, "h", "w"]), value("y", TensorProto.FLOAT, ["n", 2])
    weights = numpy_helper.from_array(np.zeros((3 * 28 * 28, 2), np.float32), "w")
    saved(tmp_path / "dense.onnx", helper.make_graph(nodes, "g", [x], [y], [weights]), {})
    done = init("dense.onnx", "--force")
    assert "? size: the model leaves it open; 28 × 28 goes through its graph" in done.stdout
    assert "nothing was run" not in done.stdout


def test_a_picture_of_another_size_is_what_the_shape_says(init, tmp_path, monkeypatch):
    """Of what the file leaves open: lines of text are wide and low, and no metadata says so."""
    monkeypatch.chdir(tmp_path)
    neck(tmp_path / "m.onnx", {}, ("n", 3, "h", "w"))
    done = init("m.onnx", "--shape", "images=4x3x64x320")
    assert done.exit_code == 0, done.output
    assert "✓ size 64 × 320: as given" in done.stdout
    plan = load_plan("trial.yaml").plan
    assert plan.pipelines["baseline"].preprocess.size == (64, 320)
    assert plan.matrix.batch_sizes == [4]


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ("image=1x3x64x320", "no input called 'image' (did you mean 'images'?)"),
        ("images=1x1x64x320", "cannot take 1x1x64x320"),
    ],
)
def test_a_shape_that_no_model_takes_is_refused_before_any_run(init, tmp_path, monkeypatch, shape, said):
    monkeypatch.chdir(tmp_path)
    for name in ("a.onnx", "b.onnx"):
        neck(tmp_path / name, {}, ("n", 3, "h", "w"))
    monkeypatch.setattr("seatrial.jobs.glimpse.glimpse", lambda *_: pytest.fail("it was run"))
    done = init("a.onnx", "b.onnx", "--shape", shape)
    assert done.exit_code == 2
    assert said in " ".join(done.output.split())


def test_models_of_unlike_numbers_of_classes_are_told(init, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    neck(tmp_path / "a.onnx")
    neck(tmp_path / "b.onnx", {**ULTRALYTICS, "names": "{0: 'a', 1: 'b'}"}, classes=2)
    done = init("a.onnx", "b.onnx")
    assert done.exit_code == 0, done.output
    said = "its head has 2 classes and the baseline's 3: answers agree at most on classes that both know"
    assert said in " ".join(done.output.split())
    assert f"# CHECK candidate: {said}" in Path("trial.yaml").read_text()


def test_metadata_is_no_tick_where_the_numbers_of_a_picture_contradict_it(init, tmp_path, monkeypatch):
    """Boxes from 0 to 1, and logits, under an export's own words: a run would refuse them."""
    monkeypatch.chdir(tmp_path)
    head = np.zeros((5 + 51, 84))
    head[:, :9] = 0.5
    detector(tmp_path / "m.onnx", head, {"stride": "32", "names": "{0: 'a'}", "imgsz": "[64, 64]", "task": "pose", "kpt_shape": "[17, 3]"})  # fmt: skip
    done = init("m.onnx")
    assert "✓ task pose" not in done.stdout
    assert "? task pose, format yolov8" in done.stdout
    assert "boxes fractions: a pose head" in " ".join(done.stdout.split())
    assert "boxes: fractions" in Path("trial.yaml").read_text()
    head[:4], head[4], head[5::3], head[6::3] = 30, 4, 30, 30
    detector(tmp_path / "n.onnx", head, {"stride": "32", "names": "{0: 'a'}", "imgsz": "[64, 64]", "task": "pose", "kpt_shape": "[17, 3]"})  # fmt: skip
    done = init("n.onnx", "--output", "n.yaml")
    assert "✓ task pose" not in done.stdout
    assert "yet that format expects probabilities, but its scores go" in " ".join(done.stdout.split())
