"""`regression` in a plan: the trial compares pipelines in lock-step behind its cells."""

import json
from dataclasses import replace

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from rounds import Rounds, with_a_real_first

from seatrial.cells.matrix import expand
from seatrial.cells.preflight import preflight
from seatrial.cells.prepare import bare_record
from seatrial.cells.watch import Watcher
from seatrial.compare.rounds import CutShortError
from seatrial.errors import CellError, PlanError
from seatrial.history.run_folder import new_run
from seatrial.plan import load_plan
from seatrial.report.html import render
from seatrial.trial import regression
from seatrial.trial import run as trial_run
from seatrial.trial.context import TrialContext


@pytest.fixture
def slower(workspace):
    """A plan whose candidate takes half as long again."""
    workspace.script("slow.fake.json", latency_ms=[0.9])
    workspace.script("model.fake.json", latency_ms=[0.6])
    pipelines = (
        "\n  baseline:\n    model: model.fake.json\n    preprocess: {size: [8, 8], mode: stretch}\n"
        "    postprocess: {task: classify, top_k: 3}\n  candidate: {extends: baseline, model: slow.fake.json}"
    )
    return workspace.plan(pipelines=pipelines, regression="{against: baseline, margin: 10%, max_time: 60 s}", parity="")


def test_a_slower_candidate_fails_the_trial(slower, tmp_path, monkeypatch):
    """A first round is run by real processes; the times are made up, since a busy machine has its own."""
    real = []

    def timed(asked, first):
        real.append(first)
        shape = (8, first.burst, len(first.stages) + 1)
        times = {name: np.full(shape, 3_000_000 if name == "b" else 2_000_000) for name in first.blocks_ns}
        return replace(first, blocks_ns=times, launched=list(asked.launch), wall_s=0.0)

    Rounds(with_a_real_first(timed)).in_place(monkeypatch)
    outcome = trial_run.run_trial(load_plan(slower), tmp_path / "results")
    assert all((table[:, :, -1] >= 600_000).all() for table in real[0].blocks_ns.values())
    (c,) = outcome.record.comparisons
    assert (c.a, c.b, c.stage, c.design) == ("baseline", "candidate", "end_to_end", "lock-step")
    assert c.verdict == "REGRESSION", c.reason
    assert c.change.value == pytest.approx(0.5)
    (d,) = [d for d in outcome.record.decisions if d.check == "regression candidate against baseline"]
    assert d.verdict == "FAIL"
    assert d.evidence.startswith("sha256:")
    assert (outcome.record.verdict, outcome.exit_code) == ("FAIL", 1)
    assert "REGRESSION" in render(outcome.run)


@pytest.mark.slow
def test_without_the_baselines_cell_it_is_inconclusive(slower, seatrial_cli):
    script = slower.parent / "model.fake.json"
    script.write_text(json.dumps(json.loads(script.read_text()) | {"fail": {"at": 0, "how": "raise"}}))
    done = seatrial_cli("run", slower, "--json", "out.json")
    record = json.loads((slower.parent / "out.json").read_text())
    assert record["comparisons"] == []
    (d,) = [d for d in record["decisions"] if d["check"].startswith("regression")]
    assert d["verdict"] == "INCONCLUSIVE"
    assert "the reference configuration did not run in both pipelines" in d["reason"]
    assert done.returncode == 1


@pytest.mark.slow
@pytest.mark.parametrize("cut", [False, True])
def test_a_side_that_dies_in_the_comparison_costs_the_comparison_only(slower, workspace, tmp_path, monkeypatch, cut):
    """Three loaded copies may not fit where one did: the cells stand, and nothing passes."""

    def dies(a, b, question, folder, labels, tell):
        assert (question.time_key, question.max_time_s) == ("regression.max_time", 60.0)
        broken = CellError("B, candidate: was killed by signal 9 (SIGKILL)")
        raise CutShortError([], broken) if cut else broken

    monkeypatch.setattr(regression, "compare_sides", dies)
    outcome = trial_run.run_trial(load_plan(slower), tmp_path / "results")
    assert {c.status for c in outcome.record.cells} == {"ok"}
    assert (outcome.run.path / "record.json").is_file()
    (d,) = [d for d in outcome.record.decisions if d.check.startswith("regression")]
    assert d.verdict == "INCONCLUSIVE"
    assert ("was killed by signal 9" in d.reason) == (not cut)
    assert outcome.exit_code == 3


def test_a_side_whose_int8_model_is_gone_costs_the_comparison_only(workspace, tmp_path, monkeypatch):
    """As on --resume, when the cells stand and the cache has been emptied, or can no longer be written."""
    monkeypatch.setenv("SEATRIAL_CACHE", "/proc/nowhere")
    w = numpy_helper.from_array(np.ones((3, 192), np.float32), "w")
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("x", [1, 3, 8, 8]), ("y", [1, 3])))
    nodes = [helper.make_node("Flatten", ["x"], ["f"]), helper.make_node("Gemm", ["f", "w"], ["y"], transB=1)]
    model = helper.make_model(
        helper.make_graph(nodes, "g", [x], [y], [w]), opset_imports=[helper.make_opsetid("", 17)], ir_version=9
    )
    (workspace.folder / "model.onnx").write_bytes(model.SerializeToString())
    plan = workspace.plan(regression="{against: baseline}", matrix="{precisions: [int8]}")
    plan.write_text(plan.read_text().replace("model.fake.json", "model.onnx"))
    ready = preflight(load_plan(plan), False, lambda _: None)
    cells = expand(ready.plan, ready.models, len(ready.images), 1)
    done = {c.id: bare_record(c) for c in cells}
    run = new_run(tmp_path / "results", "here")
    comparisons, problems = regression.run_regression(TrialContext(ready, run, cells, Watcher()), {}, done)
    assert comparisons == []
    assert list(problems) == ["candidate"]
    said = str(problems["candidate"])
    assert said.startswith(
        "the int8 model of baseline could not be made: /proc/nowhere/precision: the cache of int8 models"
    )


@pytest.mark.parametrize(("confidence", "ok"), [("99.99%", True), ("99.999%", False)])
def test_a_confidence_that_no_number_of_rounds_gives_is_refused(workspace, confidence, ok):
    plan = workspace.plan(regression=f"{{against: baseline, confidence: {confidence}}}")
    if ok:
        load_plan(plan)
        return
    with pytest.raises(PlanError, match=r"regression\.confidence.*99\.99"):
        load_plan(plan)
