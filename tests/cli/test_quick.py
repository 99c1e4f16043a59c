"""`seatrial MODEL.onnx`: a first trial without a plan, on real runtimes; and what is refused before any."""

import json
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from records import read

from seatrial.cli.quick import _unchecked
from seatrial.demo import PICTURE
from seatrial.errors import BackendUnavailableError, ModelError, UsageError
from seatrial.jobs.look import Look, look_at
from seatrial.jobs.opening import Opening
from seatrial.model.contents import contents_of
from seatrial.model.cost import cost_of
from seatrial.model.file import inspect_model
from seatrial.plan.guess import guess
from seatrial.trial.quick import _rounded_up, next_commands, quick_trial

FLOAT = TensorProto.FLOAT


def classifier(path, side=16, classes=3, means=True, batch="n"):
    """Scores that sum to 1, of a picture's mean colour; so each picture has its own."""
    weights = np.eye(3, classes, dtype=np.float32) * (20 if means else 0)
    nodes = [
        helper.make_node("GlobalAveragePool", ["x"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("MatMul", ["f", "w"], ["m"]),
        helper.make_node("Softmax", ["m"], ["y"], axis=1),
    ]
    shapes = [("x", [batch, 3, side, side]), ("y", [batch, classes])]
    given, gives = (helper.make_tensor_value_info(n, FLOAT, s) for n, s in shapes)
    graph = helper.make_graph(nodes, "g", [given], [gives], [numpy_helper.from_array(weights, "w")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def looked(path, *openings, shapes=None):
    info = inspect_model(path)
    shapes = shapes or {"x": (1, 3, 16, 16)}
    return Look(info, contents_of(path), cost_of(path, shapes), "", guess(info), "", openings, shapes, ())


ORT, OPENVINO = Opening("onnxruntime-cpu", "", 0.05, 0.01), Opening("openvino-cpu", "", 0.2, 0.02)


@pytest.mark.slow
def test_the_shortest_way_runs_a_trial_and_says_what_it_did_not_check(seatrial_cli, tmp_path):
    classifier(tmp_path / "m.onnx")
    done = seatrial_cli("m.onnx", "--json", "out.json", "--max-time", "25s")
    assert done.returncode == 0, done.stdout + done.stderr
    said = " ".join(done.stdout.split())
    for words in (
        "opset 17, IR 9", "tried as task classify", "2 backends", "pictures of the demo; at most about",
        "the reference", "agree (100.0% of images)", "PASS onnxruntime-cpu and openvino-cpu give the same results",
        "that they are right, nobody checked", "not checked: accuracy", "not checked: your pictures",
        "next: seatrial init m.onnx --images photos/ && seatrial run trial.yaml",
        "seatrial compare m.onnx --backend-a onnxruntime-cpu --backend-b openvino-cpu", "--find-rate",
    ):  # fmt: skip
        assert words in said, said
    facts = json.loads((tmp_path / "out.json").read_text())
    record = read(facts["record"])
    assert record.verdict == "PASS"
    assert record.plan.resolved["budgets"] == []
    assert [c.backend for c in record.cells] == ["onnxruntime-cpu", "openvino-cpu"]
    assert not any(c.accuracy for c in record.cells)
    assert facts["bundled_pictures"] is True
    assert facts["inspection"]["cost"]["by_operator"] == {"MatMul": 18}
    assert not list(tmp_path.glob("*.yaml"))
    assert list(tmp_path.glob("results/*/*/report.html"))
    listed = json.loads(seatrial_cli("results", "--json", "-").stdout)
    assert [row["plan"] for row in listed] == [str(tmp_path / "m.onnx (plan in memory)")]


@pytest.mark.slow
def test_your_own_picture_and_quiet(seatrial_cli, tmp_path):
    classifier(tmp_path / "m.ONNX")
    done = seatrial_cli("m.ONNX", PICTURE, "--quiet", "--json", "-", "--results", "kept", "--max-time", "25s")
    facts = json.loads(done.stdout)
    assert done.stderr == ""
    assert facts["bundled_pictures"] is False
    assert not any("your pictures" in line for line in facts["not_checked"])
    assert facts["record"]["images"]["count"] == 1
    assert done.returncode == {"PASS": 0, "FAIL": 1, "INCONCLUSIVE": 3}[facts["record"]["verdict"]]
    assert list(tmp_path.glob("kept/*/*/record.json"))


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nowhere.onnx"], 4, "no such model"),
        (["m.onnx", "nowhere/"], 4, "no such picture or folder of pictures; leave it away"),
        (["m.onnx", "--max-time", "soon"], 2, "--max-time"),
        (["m.txt"], 2, "No such command"),
        (["try"], 2, "Missing argument"),
    ],
)
def test_what_cannot_be_tried_is_refused_at_once(seatrial_cli, tmp_path, arguments, code, words):
    classifier(tmp_path / "m.onnx")
    done = seatrial_cli(*arguments)
    assert done.returncode == code
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "results").exists()


def test_a_command_goes_before_a_file_of_its_name(seatrial_cli, tmp_path):
    classifier(tmp_path / "demo.onnx")
    assert "bundled trial" in seatrial_cli("demo", "--help").stdout


def test_no_budgets_and_the_time_that_there_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trial = quick_trial(looked(classifier(tmp_path / "m.onnx"), ORT, OPENVINO), None, {}, 25.0, 30.0)
    plan = trial.plan.plan
    assert plan.budgets == []
    assert plan.matrix.backends == ["onnxruntime-cpu", "openvino-cpu"]
    assert plan.images.annotations is None
    assert plan.parity.reference.backend == "onnxruntime-cpu"
    assert 2 <= plan.images.limit == trial.images <= 32
    assert trial.bundled
    assert trial.expected_s <= 25.5
    assert plan.measure.max_time * 2 < 25
    assert trial.plan.path.parent == tmp_path
    assert not trial.plan.path.exists()


@pytest.mark.parametrize("run_s", [0.001, 0.05, 0.3])
def test_what_it_expects_is_within_what_it_was_given(tmp_path, run_s):
    slow = Opening("onnxruntime-cpu", "", 0.05, run_s)
    trial = quick_trial(looked(classifier(tmp_path / "m.onnx"), slow), None, {}, 25.0, 30.0)
    assert trial.expected_s <= 25.5


def test_too_slow_a_model_says_how_much_time_it_takes(tmp_path):
    slow = Opening("onnxruntime-cpu", "", 0.05, 4.0)
    path = classifier(tmp_path / "m.onnx")
    with pytest.raises(UsageError) as e:
        quick_trial(looked(path, slow), None, {}, 25.0, 30.0)
    said = e.value.for_command_line()
    assert said.startswith("--max-time 30.0 s: expected ")
    needed = float(said.split("expected ")[1].split(" s")[0])
    assert needed > 30
    quick_trial(looked(path, slow), None, {}, needed - 5.0, needed)


def test_backends_that_do_not_run_it_are_left_out_and_none_at_all_is_an_error(tmp_path):
    path = classifier(tmp_path / "m.onnx")
    refusing, failing = Opening("onnxruntime-cpu", "cannot"), Opening("openvino-cpu", "", 0.1, None, "will not")
    assert quick_trial(looked(path, refusing, OPENVINO), None, {}, 25.0, 30.0).backends == ("openvino-cpu",)
    with pytest.raises(
        ModelError,
        match="no backend here runs the model at x=1x3x16x16: onnxruntime-cpu: cannot; openvino-cpu: will not",
    ):
        quick_trial(looked(path, refusing, failing), None, {}, 25.0, 30.0)
    alike = replace(failing, run_problem="cannot"), replace(refusing, problem="cannot")
    with pytest.raises(ModelError, match="openvino-cpu and onnxruntime-cpu: cannot$"):
        quick_trial(looked(path, *alike), None, {}, 25.0, 30.0)
    with pytest.raises(BackendUnavailableError, match="no backend is installed here"):
        quick_trial(looked(path), None, {}, 25.0, 30.0)


def test_a_model_that_takes_no_picture_says_what_measures_it(tmp_path):
    look = replace(looked(classifier(tmp_path / "m.onnx"), ORT), guess=None, no_guess="the model takes text")
    with pytest.raises(
        ModelError, match=r"cannot be tried on pictures: the model takes text; 'seatrial bench .*m.onnx' measures"
    ):
        quick_trial(look, None, {}, 25.0, 30.0)


def test_the_next_commands_can_be_typed(tmp_path):
    look = looked(classifier(tmp_path / "my model.onnx", side="side"), ORT, OPENVINO)
    trial = quick_trial(look, None, {}, 25.0, 30.0)
    commands = next_commands(look, trial, Path("my photos"), {}, 0.025)
    assert commands[0].endswith("my model.onnx' --images 'my photos' && seatrial run trial.yaml")
    assert "--shape=x=1x3x16x16" in commands[1]
    assert "--latency-bound=150ms@p95" in commands[2]
    assert all(typed(line) for line in commands)


def typed(line):
    """What each command makes of its words; an option that it does not have is an error."""
    from typer.main import get_command

    from seatrial.cli import bench, compare, plans  # noqa: F401
    from seatrial.cli.shell import app

    words = shlex.split(line.partition(" && ")[0])
    return get_command(app).commands[words[1]].make_context(words[1], words[2:]).params


def test_a_batch_that_the_model_fixes_is_counted_and_named(tmp_path):
    four = {"x": (4, 3, 16, 16)}
    look = looked(classifier(tmp_path / "m.onnx", batch=4), ORT, OPENVINO, shapes=four)
    trial = quick_trial(look, None, {}, 25.0, 30.0)
    assert trial.plan.plan.matrix.batch_sizes == [4]
    _, compared, benched = (typed(line) for line in next_commands(look, trial, None, {}, 0.025))
    assert compared["batch"] == benched["batch"] == 4


def test_the_size_that_was_given_is_tried_and_named_in_the_next_plan(tmp_path):
    """Lines of text are wide and low; no file says so."""
    path, shapes = classifier(tmp_path / "m.onnx", side="side"), {"x": (1, 3, 48, 320)}
    look = replace(looked(path, ORT, shapes=shapes), guess=guess(inspect_model(path), size=(48, 320)))
    trial = quick_trial(look, None, shapes, 25.0, 30.0)
    assert trial.plan.plan.pipelines["baseline"].preprocess.size == (48, 320)
    assert "--shape=x=1x3x48x320" in next_commands(look, trial, None, shapes, 0.025)[0]
    with pytest.raises(UsageError, match="a first trial has one picture a batch"):
        quick_trial(look, None, {"x": (2, 3, 48, 320)}, 25.0, 30.0)


def test_a_shape_reaches_the_guess(tmp_path):
    look = look_at(classifier(tmp_path / "m.onnx", side="side"), {"x": (1, 3, 48, 320)}, None, lambda _: None)
    assert look.guess.size == (48, 320)
    assert look.opened_at == {"x": (1, 3, 48, 320)}


@pytest.mark.parametrize(
    ("milliseconds", "said"),
    [(0.9, "1ms"), (1.0, "1ms"), (1.2, "1.5ms"), (125, "150ms"), (171, "200ms"), (820, "1s"), (2245, "2.5s"), (5100, "6s"), (9000, "10s")],
)  # fmt: skip
def test_a_bound_is_rounded_up_to_two_digits(milliseconds, said):
    assert _rounded_up(milliseconds / 1e3) == said


def test_of_many_pictures_it_is_said_how_many_were_run(tmp_path):
    path = classifier(tmp_path / "m.onnx")
    pictures = tmp_path / "photos"
    pictures.mkdir()
    for n in range(52):
        (pictures / f"{n}.png").write_bytes(PICTURE.read_bytes())
    trial = quick_trial(looked(path, ORT), pictures, {}, 25.0, 30.0)
    assert trial.pictures == f"{trial.images} of your 52 pictures"
    assert f"{52 - trial.images} of your 52 pictures" in _unchecked(looked(path, ORT), trial, [])
    for extra in list(pictures.iterdir())[2:]:
        extra.unlink()
    trial = quick_trial(looked(path, ORT), pictures, {}, 25.0, 30.0)
    assert trial.pictures == "2 pictures"
    assert not any("of your" in line for line in _unchecked(looked(path, ORT), trial, []))
