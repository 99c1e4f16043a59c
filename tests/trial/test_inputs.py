"""Inputs that change while a trial runs: no result stands under the digest of another file."""

import json
import os
from types import SimpleNamespace

import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import TensorProto, helper, numpy_helper

from seatrial.cells import preflight as preflight_module
from seatrial.cells.inputs import COMMON, Inputs
from seatrial.cells.preflight import preflight
from seatrial.cells.prepare import calibration_digest
from seatrial.cells.watch import Watcher
from seatrial.digests import hash_file
from seatrial.errors import DataError, ExitCode, PlanError
from seatrial.plan.load import load_plan
from seatrial.runtimes.choice import BackendChoice
from seatrial.runtimes.settings import Setting
from seatrial.trial.run import run_trial

ONE = "\n  only:\n    model: model.fake.json\n    preprocess: {size: [8, 8], mode: stretch}\n    postprocess: {task: classify}"
MINE = "\n  only:\n    model: model.fake.json\n    preprocess: {python: 'kit.stages:pre'}\n    postprocess: {task: classify}"
PRE = "import numpy as np\nimport settings\ndef pre(image):\n    return np.full((1, 3, 8, 8), settings.VALUE, np.float32)\n"


def test_what_changed_is_told_for_those_whom_it_concerns(tmp_path):
    paths = {name: tmp_path / name for name in ("picture", "model", "other")}
    inputs = Inputs()
    for owner, path in zip((COMMON, "a", "b"), paths.values(), strict=True):
        path.write_text(path.name)
        inputs.add(owner, [hash_file(path)])
    assert (inputs.changed("a"), inputs.changed("b")) == ("", "")
    paths["model"].write_text("new")
    assert "model changed (sha256 " in inputs.changed("a")
    assert inputs.changed("b") == ""
    paths["picture"].unlink()
    assert "picture can no longer be read (No such file or directory)" in inputs.changed("b")
    with pytest.raises(DataError, match="restore it, or start a new run"):
        inputs.check("a", "b")
    paths["picture"].write_text("picture")
    paths["model"].write_text("model")
    assert inputs.changed("a", "b") == "", "restored is restored"


def test_what_was_seen_first_counts(tmp_path):
    path = tmp_path / "model"
    inputs = Inputs()
    for text in ("one", "two"):
        path.write_text(text)
        inputs.add("a", [hash_file(path)])
    assert inputs.changed("a")


def weights_outside(workspace):
    """A model y = x * w of which w lies in a file of its own."""
    w = numpy_helper.from_array(np.ones((1, 3, 64, 64), np.float32), "w")
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 3, 64, 64]) for n in "xy")
    graph = helper.make_graph([helper.make_node("Mul", ["x", "w"], ["y"])], "g", [x], [y], [w])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, str(workspace.folder / "m.onnx"), save_as_external_data=True, location="w.bin", size_threshold=0)
    return "\n  only:\n    model: m.onnx\n    preprocess: {size: [64, 64], mode: stretch}\n    postprocess: {task: raw}"


@pytest.fixture
def everything(workspace):
    """A plan with every kind of input, checked, and its folder."""
    (workspace.folder / "truth.csv").write_text("image,class\n0.png,a\n1.png,b\n2.png,c\n3.png,a\n")
    (workspace.folder / "tags.csv").write_text("image,tag\n0.png,odd\n")
    (workspace.folder / "labels.txt").write_text("a\nb\nc\n")
    (workspace.folder / "kit").mkdir()
    (workspace.folder / "kit" / "__init__.py").write_text("")
    (workspace.folder / "kit" / "stages.py").write_text(PRE)
    (workspace.folder / "settings.py").write_text("VALUE = 0\n")
    external = weights_outside(workspace).replace("only", "external")
    plan = workspace.plan(
        images="{path: images, annotations: truth.csv, tags: tags.csv}",
        pipelines=MINE.replace("classify", "classify, labels: labels.txt") + external,
        matrix="{backends: [fake, onnxruntime-cpu]}",
        parity="",
    )
    return workspace.folder, plan


@pytest.mark.parametrize(
    ("name", "concerned"),
    [
        ("model.fake.json", ["only"]),
        ("m.onnx", ["external"]),
        ("w.bin", ["external"]),
        ("images/2.png", ["only", "external"]),
        ("truth.csv", ["only", "external"]),
        ("tags.csv", ["only", "external"]),
        ("labels.txt", ["only"]),
        ("kit/stages.py", ["only"]),
        ("kit/__init__.py", ["only"]),
        ("settings.py", ["only"]),
    ],
)
def test_every_file_that_a_trial_reads_is_watched(everything, name, concerned):
    folder, plan = everything
    ready = preflight(load_plan(plan), True, lambda _: None)
    assert [p for p in ("only", "external") if ready.inputs.changed(p)] == []
    with (folder / name).open("ab") as stream:
        stream.write(b"\n")
    assert [p for p in ("only", "external") if ready.inputs.changed(p)] == concerned


@pytest.mark.parametrize("name", ["kit/stages.py", "kit/__init__.py", "kit/more.py", "settings.py"])
def test_changed_code_is_another_trial_and_another_int8_model(everything, name):
    folder, plan = everything
    before = preflight(load_plan(plan), True, lambda _: None)
    with (folder / name).open("a") as stream:
        stream.write("\nCHANGED = 1\n")
    after = preflight(load_plan(plan), True, lambda _: None)
    differs = [key for key, value in before.identity().items() if after.identity()[key] != value]
    assert differs == ["code_digests"]
    assert calibration_digest(before, "only") != calibration_digest(after, "only")
    assert calibration_digest(before, "external") == calibration_digest(after, "external")


def test_code_that_is_not_there_is_told_before_anything_runs(everything):
    folder, plan = everything
    (folder / "kit" / "stages.py").unlink()
    (folder / "kit" / "__init__.py").rename(folder / "kit" / "__init__.pyc")
    with pytest.raises(PlanError, match=r"pipelines.only.preprocess: 'kit' has no source at .*kit"):
        preflight(load_plan(plan), True, lambda _: None)


class Meanwhile(Watcher):
    """Does something when the first cell has ended, or once the first one is being loaded."""

    def __init__(self, act, at):
        self.act, self.at = act, at

    def _now(self, at):
        if at == self.at:
            self.at = ""
            self.act()

    def step(self, cell, step, share):
        if step == "loading":
            self._now("loading")

    def cell_ends(self, record):
        self._now("ended")


def test_a_model_replaced_between_two_cells_fails_the_second(workspace):
    def replace():
        workspace.script("new.fake.json", latency_ms=[0.1])
        (workspace.folder / "new.fake.json").replace(workspace.folder / "model.fake.json")

    plan = workspace.load(parity="", budgets="[{metric: latency, at: p50, max: 10 s}]")
    outcome = run_trial(plan, workspace.folder / "results", watcher=Meanwhile(replace, "ended"))
    first, second = outcome.record.cells
    assert (first.status, second.status, second.exit_code) == ("ok", "failed", ExitCode.BAD_INPUT)
    assert "model.fake.json changed (sha256" in second.reason
    assert outcome.exit_code == ExitCode.BAD_INPUT
    assert outcome.record.verdict != "PASS"


def test_a_picture_replaced_while_a_cell_runs_fails_it_and_keeps_what_it_measured(workspace):
    budgets, measure = "[{metric: latency, at: p50, max: 10 s}]", "{max_time: 10 s, min_samples: 20, precision: 50%}"
    plan = workspace.load(pipelines=ONE, parity="", budgets=budgets, measure=measure)
    watcher = Meanwhile(lambda: workspace.image("1.png", np.zeros((5, 5, 3), np.uint8)), "loading")
    outcome = run_trial(plan, workspace.folder / "results", watcher=watcher)
    (cell,) = outcome.record.cells
    assert (cell.status, cell.exit_code, cell.partial) == ("failed", ExitCode.BAD_INPUT, True)
    assert "1.png changed" in cell.reason
    assert len(pd.read_parquet(outcome.run.path / "samples.parquet")) == cell.stages["infer"].p50.n
    assert [d.verdict for d in outcome.record.decisions] == ["FAIL", "INCONCLUSIVE"]
    assert json.loads((outcome.run.cells / f"{cell.id}.json").read_text())["partial"] is True


def test_results_of_a_reference_that_changed_judge_nobody(workspace):
    """The baseline's model is replaced while it runs: the candidate, whose own is sound, has nothing to be compared with."""
    workspace.script("other.fake.json")
    pipelines = ONE.replace("only", "baseline") + "\n  candidate: {extends: baseline, model: other.fake.json}"
    plan = workspace.load(pipelines=pipelines, budgets="[{metric: agreement, min: 50%}]")
    watcher = Meanwhile(lambda: workspace.script("model.fake.json", latency_ms=[0.1]), "loading")
    outcome = run_trial(plan, workspace.folder / "results", watcher=watcher)
    assert [(c.status, c.exit_code) for c in outcome.record.cells] == [("failed", ExitCode.BAD_INPUT), ("ok", 0)]
    assert "did not run" in outcome.record.cells[1].across.note
    assert {d.verdict for d in outcome.record.decisions if d.check.startswith("agreement")} == {"INCONCLUSIVE"}


def test_a_picture_that_is_only_copied_anew_disturbs_nothing(workspace):
    path = workspace.folder / "images" / "1.png"

    def copy():
        path.with_suffix(".tmp").write_bytes(path.read_bytes())
        os.replace(path.with_suffix(".tmp"), path)

    outcome = run_trial(
        workspace.load(pipelines=ONE, parity=""), workspace.folder / "results", watcher=Meanwhile(copy, "loading")
    )
    assert [c.status for c in outcome.record.cells] == ["ok"]


def test_no_picture_is_drawn_of_another_one(workspace):
    """The cell stands: it was measured before."""
    watcher = Meanwhile(lambda: workspace.image("1.png", np.zeros((5, 5, 3), np.uint8)), "ended")
    outcome = run_trial(workspace.load(pipelines=ONE, parity=""), workspace.folder / "results", watcher=watcher)
    assert [c.status for c in outcome.record.cells] == ["ok"]
    assert outcome.record.pictures == ()
    assert any(w.code == "no-pictures" and "1.png changed" in w.text for w in outcome.record.warnings)


def test_a_file_that_an_option_names_is_watched_and_is_another_trial_once_it_is_another(tmp_path, monkeypatch):
    """Such as an engine: --resume would go on with another one."""
    monkeypatch.setattr(preflight_module, "takes", lambda _name: (Setting("engine", str, "", is_path=True),))
    choices = (BackendChoice("fake", "mine", {"engine": "m.engine"}), BackendChoice("fake"))
    matrix = SimpleNamespace(choices=choices)
    plan = SimpleNamespace(path=tmp_path / "trial.yaml", folder=tmp_path, plan=SimpleNamespace(matrix=matrix))
    with pytest.raises(PlanError, match="mine, option engine: .*m.engine cannot be read: No such file"):
        preflight_module._option_digests(plan, Inputs())
    (tmp_path / "m.engine").write_bytes(b"1")
    inputs = Inputs()
    before = preflight_module._option_digests(plan, inputs)
    assert list(before) == ["mine engine"]
    (tmp_path / "m.engine").write_bytes(b"22")
    assert "m.engine changed" in inputs.changed("only")
    assert preflight_module._option_digests(plan, Inputs()) != before
