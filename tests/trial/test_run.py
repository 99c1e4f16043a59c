"""Trials on scripted models: isolation, failures, resuming, records."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from processes import SEATRIAL, ran, started

from seatrial.cells.fields import cell_measurement
from seatrial.cells.measure import MeasureAnswer
from seatrial.cells.preflight import preflight
from seatrial.cells.prepare import measure_task, pipeline_cell
from seatrial.cells.watch import Watcher
from seatrial.errors import BackendUnavailableError, CodeRefusedError, DataError, ExitCode, ModelError, ResultsError
from seatrial.history.find import list_runs, load_record
from seatrial.history.frame import load_results
from seatrial.history.run_folder import RunFolder
from seatrial.jobs.workload import OpenedFacts, Timing
from seatrial.runtimes.choice import BackendChoice
from seatrial.trial.run import run_trial


def trial(workspace, **parts):
    return run_trial(workspace.load(**parts), workspace.folder / "results")


def broken_candidate(workspace, **fail):
    workspace.script("broken.fake.json", fail={"at": 0} | fail)
    return "\n  baseline:\n    model: model.fake.json\n    preprocess: {size: [8, 8], mode: stretch}\n" + (
        "    postprocess: {task: classify}\n  candidate: {extends: baseline, model: broken.fake.json}"
    )


def test_a_sound_trial_passes_and_leaves_everything(workspace):
    outcome = trial(workspace, matrix="{backends: [fake], batch_sizes: [1, 2]}")
    assert outcome.exit_code == ExitCode.PASS
    record = load_record(outcome.run)
    assert record.to_json() == outcome.record.to_json()
    assert [c.status for c in record.cells] == ["ok"] * 4
    assert {c.measured.io_policy for c in record.cells} == {
        "inputs bound in place, outputs read without a copy, shapes fixed when opened"
    }
    assert {p.name for p in outcome.run.path.iterdir()} == {
        "record.json",
        "run.json",
        "samples.parquet",
        "cells",
        "pictures",
    }
    data = json.loads((outcome.run.path / "record.json").read_text())
    assert data["schema"] == "seatrial.record/2"
    assert all(d["evidence"].startswith("sha256:") for d in data["decisions"] if d["cell"])
    samples = pd.read_parquet(outcome.run.path / "samples.parquet")
    for cell in record.cells:
        own = samples[samples["cell"] == cell.id]
        assert len(own) == cell.stages["infer"].p50.n >= 20
        stages = own[["decode_ns", "preprocess_ns", "infer_ns", "postprocess_ns"]].sum(axis=1)
        assert (stages <= own["end_to_end_ns"]).all()
        # Of most requests: whoever takes the core between two clock readings is in the whole alone.
        assert (stages / own["end_to_end_ns"]).median() > 0.98
        assert cell.stages["infer"].p50.value >= 0.0002


@pytest.mark.slow
def test_stages_add_up_to_the_wall_time_outside_the_process(workspace):
    workspace.script("model.fake.json", latency_ms=[5.0])
    cell = trial(workspace, matrix="{backends: [fake]}", pipelines=ONE, parity="").record.cells[0]
    run = next(iter(list_runs(workspace.folder / "results")))
    own = pd.read_parquet(run.path / "samples.parquet")
    starts, whole = own["start_ns"].to_numpy(), own["end_to_end_ns"].to_numpy()
    between = starts[1:] - (starts + whole)[:-1]
    assert cell.stages["infer"].p50.value >= 0.005
    assert (between >= 0).all()
    # Of the median pair: the harness looks at its samples now and then, and the machine may stand still anywhere.
    assert np.median(between) < 0.1 * np.median(whole)


ONE = "\n  only:\n    model: model.fake.json\n    preprocess: {size: [8, 8], mode: stretch}\n    postprocess: {task: classify}"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("segfault", "crashed with SIGSEGV"),
        ("kill", "ran out of memory"),
        ("exit", "exit status 7"),
        ("raise", "the script says so"),
    ],
)
def test_a_cell_that_dies_is_failed_and_the_rest_goes_on(workspace, how, reason):
    outcome = trial(workspace, pipelines=broken_candidate(workspace, how=how))
    good, bad = outcome.record.cells
    assert (good.status, bad.status) == ("ok", "failed")
    assert reason in bad.reason
    assert outcome.exit_code == ExitCode.FAIL
    assert any(d.check == "cell runs" and d.verdict == "FAIL" for d in outcome.record.decisions)


@pytest.mark.slow
def test_a_cell_that_dies_keeps_what_it_measured(workspace):
    """It dies at a request that only a measurement reaches: warming up takes 300 at most, and nothing ends it before."""
    outcome = trial(
        workspace,
        pipelines=broken_candidate(workspace, at=1000, how="kill"),
        measure="{max_time: 60 s, min_samples: 1000, precision: 50%}",
        budgets="[{metric: latency, at: p50, max: 10 s}, {metric: throughput, min: 0.001 images/s}]",
    )
    good, bad = outcome.record.cells
    assert (good.partial, bad.partial, bad.status) == (False, True, "failed")
    samples = pd.read_parquet(outcome.run.path / "samples.parquet")
    count = int((samples["cell"] == bad.id).sum())
    assert count == bad.stages["infer"].p50.n >= 600
    assert bad.reason.endswith(f"the {count} samples before it are kept")
    assert (bad.measured.throughput, bad.measured.peak_memory, bad.measured.cold_start, bad.accuracy) == (
        None,
        None,
        None,
        None,
    )
    assert {d.verdict for d in outcome.record.decisions if d.cell == bad.id} == {"FAIL", "INCONCLUSIVE"}
    assert all(d.verdict == "INCONCLUSIVE" for d in outcome.record.decisions if d.limit is not None)


@pytest.mark.slow
def test_peak_memory_is_of_every_picture(workspace):
    """One picture of forty costs 200 MB, whether or not it comes up while times are taken."""
    for i in range(40):
        workspace.image(f"more-{i:02}.png", np.full((12, 16, 3), 50 + i, np.uint8))
    workspace.image("zz-dear.png", np.full((12, 16, 3), 255, np.uint8))
    (workspace.folder / "mine.py").write_text(
        "import numpy as np\n"
        "def pre(image):\n    dear = np.ones(200_000_000 if image[0, 0, 0] == 255 else 1, np.uint8)\n"
        "    return np.full((1, 3, 8, 8), dear[0], np.float32)\n"
    )
    mine = ONE.replace("{size: [8, 8], mode: stretch}", "{python: 'mine:pre'}")
    plan = workspace.load(pipelines=mine, parity="", measure="{max_time: 2 ms, min_samples: 1}")
    (cell,) = run_trial(plan, workspace.folder / "results", allow_code=True).record.cells
    assert cell.status == "ok", cell.reason
    # What Python and its packages take comes on top.
    assert 200e6 < cell.measured.peak_memory.value < 500e6


def test_stages_that_do_not_add_up_mark_the_cell(workspace):
    table = np.array([[0, 10, 20, 30, 35, 100]] * 40)
    ready = preflight(workspace.load(), False, lambda _: None)
    cell, _ = pipeline_cell(ready, RunFolder(workspace.folder / "run"), "baseline")
    task = measure_task(ready, cell, workspace.folder / "model.fake.json")
    opened = OpenedFacts(load_s=0.1, first_inference_s=0.1, details={}, io_policy="in place")
    answer = MeasureAnswer(opened=opened, timing=Timing(converged=True, ended="converged"))
    found, warnings = cell_measurement(task, answer, table, 1)
    assert found.doubt == warnings[0].text
    assert warnings[0].code == "unaccounted-time"
    assert found.doubt.startswith("the stages add up to 95.0% of the end-to-end time")
    table[:, -1] = 96
    found, warnings = cell_measurement(task, answer, table, 1)
    assert (found.doubt, warnings) == ("", ())


@pytest.mark.parametrize("floor", [(), ((1, 1),)])
def test_a_reference_that_computes_otherwise_says_so_with_what_asks_for_it(workspace, floor):
    """An option that changes the arithmetic is no reduced precision: nothing else would tell that all is judged by it."""
    ready = preflight(workspace.load(), False, lambda _: None)
    cell, _ = pipeline_cell(ready, RunFolder(workspace.folder / "run"), "baseline")
    task = measure_task(ready, cell, workspace.folder / "model.fake.json")
    choice = BackendChoice("openvino-cpu", "quick", {"inference_precision": "bf16"})
    task = replace(task, workload=replace(task.workload, backend=choice), floor=floor)
    opened = OpenedFacts(load_s=0.1, first_inference_s=0.1, details={}, io_policy="in place")
    answer = MeasureAnswer(
        opened=opened, timing=Timing(converged=True, ended="converged"), computed_in={"bf16": 34, "fp32": 1}
    )
    (said,) = cell_measurement(task, answer, np.array([[0, 10, 20, 30, 36, 96]] * 40), 1)[1]
    assert said.code == "computed-otherwise"
    assert ("the reference that other cells are judged against" in said.text) == bool(floor)
    assert said.cure.startswith("inference_precision: bf16 asks for that; with precisions: [bf16]")


@pytest.mark.slow
def test_a_cell_that_hangs_is_stopped(workspace):
    began = time.monotonic()
    outcome = trial(
        workspace,
        pipelines=broken_candidate(workspace, how="hang"),
        measure="{max_time: 100 ms, min_samples: 5, timeout: 4 s}",
    )
    assert "took longer than 4.00 s" in outcome.record.cells[1].reason
    assert outcome.record.cells[0].status == "ok"
    assert time.monotonic() - began < 60


@pytest.mark.slow
def test_a_failed_reference_makes_parity_inconclusive(workspace):
    """The reference cell (batch 1) dies; batch 2 lives and has nothing to be compared with."""
    workspace.script("model.fake.json", latency_ms=[0.2], fail={"at": 0, "how": "raise", "batch": 1})
    outcome = trial(workspace, pipelines=ONE, matrix="{backends: [fake], batch_sizes: [1, 2]}")
    assert [c.status for c in outcome.record.cells] == ["failed", "ok"]
    parity = next(d for d in outcome.record.decisions if d.check == "parity")
    assert (parity.verdict, outcome.exit_code) == ("INCONCLUSIVE", ExitCode.FAIL)
    assert "did not run" in parity.reason


@pytest.mark.slow
def test_parity_sees_a_channel_swap(workspace):
    pipelines = ONE.replace("only", "baseline") + "\n  candidate: {extends: baseline, preprocess: {color: bgr}}"
    outcome = trial(workspace, pipelines=pipelines, budgets="[{metric: agreement, min: 90%}]")
    candidate = outcome.record.cells[1]
    assert candidate.across.agreement == pytest.approx(0.25)  # only the green image keeps its class
    assert outcome.exit_code == ExitCode.FAIL


def test_accuracy_from_a_csv_of_classes(workspace):
    (workspace.folder / "truth.csv").write_text("image,class\n0.png,blue\n1.png,green\n2.png,red\n3.png,blue\n")
    (workspace.folder / "tags.csv").write_text("image,tag\n3.png,odd\n0.png,plain\n1.png,plain\n")
    outcome = trial(
        workspace,
        images="{path: images, annotations: truth.csv, tags: tags.csv}",
        pipelines=ONE.replace("task: classify", "task: classify, labels: [red, green, blue]"),
        # Three of four show a quarter at 95 %.
        budgets="[{metric: accuracy, min: 24%}]",
        parity="",
    )
    cell = outcome.record.cells[0]
    assert (cell.accuracy.value.value, cell.accuracy.metric) == (0.75, "top-1")
    assert cell.accuracy.by_tag == {"odd": 0.0, "plain": 1.0}
    assert outcome.exit_code == ExitCode.PASS


@pytest.mark.slow
def test_budgets_pass_fail_and_say_when_they_cannot_tell(workspace):
    budgets = """
  - {metric: latency, at: p50, stage: infer, max: 100 ms}
  - {metric: latency, at: p50, stage: infer, max: 1 us}
  - {metric: latency, at: p99.9, max: 100 ms}
  - {metric: throughput, min: 1 images/s}
  - {metric: throughput, min: 1000000 images/s}
  - {metric: peak_memory, max: 1 B}
  - {metric: model_size, max: 1 MiB}"""
    # Half a second holds 2500 requests of 0.2 ms at most: too few for p99.9 on any machine, and plenty for the others.
    measure = "{max_time: 500 ms, min_samples: 20, precision: 50%, longest_run: 2}"
    outcome = trial(workspace, budgets=budgets, pipelines=ONE, parity="", measure=measure)
    verdicts = [d.verdict for d in outcome.record.decisions]
    assert verdicts == ["PASS", "FAIL", "INCONCLUSIVE", "PASS", "FAIL", "FAIL", "PASS"], [
        d.reason for d in outcome.record.decisions
    ]
    reason = outcome.record.decisions[2].reason
    assert "p99.9 needs " in reason
    assert "; slow ones taken to come in runs of at most 2; at this rate a measure.max_time of about " in reason


def test_cells_that_make_no_sense_are_skipped_with_the_reason(workspace):
    workspace.script("model.fake.json", inputs={"x": {"shape": [1, 3, 8, 8]}})
    outcome = trial(
        workspace,
        pipelines=ONE,
        matrix="{backends: [fake], precisions: [fp32, int8, fp16], batch_sizes: [1, 2], threads: [1, 4096]}",
    )
    reasons = {c.id: c.reason for c in outcome.record.cells if c.status == "skipped"}
    assert len(outcome.record.cells) == 12
    assert len(reasons) == 11
    assert reasons["only.fake.fp32.b2.t1"] == "the model's batch dimension is fixed at 1"
    assert "threads on" in reasons["only.fake.fp32.b1.t4096"]
    assert reasons["only.fake.int8.b1.t1"] == "a fake script has no precisions"


class StopAfter(Watcher):
    def __init__(self, cells):
        self.left = cells

    def cell_ends(self, record):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


def test_an_interrupted_run_keeps_its_cells_and_is_resumed(workspace):
    plan, results = workspace.load(matrix="{backends: [fake], batch_sizes: [1, 2]}"), workspace.folder / "results"
    first = run_trial(plan, results, watcher=StopAfter(3))
    assert first.exit_code == ExitCode.INTERRUPTED
    assert len(first.record.cells) in (2, 3)
    assert not first.run.complete
    again = []
    watcher = Watcher()
    watcher.cell_ends = again.append
    second = run_trial(plan, results, resume=True, watcher=watcher)
    assert second.run.path == first.run.path
    assert second.exit_code == ExitCode.PASS
    assert len(second.record.cells) == 4
    assert len(again) == 1
    with pytest.raises(ResultsError, match="no interrupted run"):
        run_trial(plan, results, resume=True)


@pytest.mark.slow
def test_resume_refuses_another_trial(workspace):
    plan, results = workspace.load(), workspace.folder / "results"
    run_trial(plan, results, watcher=StopAfter(1))
    workspace.image("9.png", np.zeros((5, 5, 3), np.uint8))
    with pytest.raises(ResultsError, match="its images digest differ"):
        run_trial(workspace.load(), results, resume=True)


@pytest.mark.slow
def test_ctrl_c_ends_the_command_with_130_and_keeps_what_is_done(workspace, seatrial_cli):
    workspace.script("loading.fake.json", load_ms=600_000)
    plan = workspace.plan(
        pipelines=ONE.replace("only", "baseline") + "\n  candidate: {extends: baseline, model: loading.fake.json}"
    )
    with started([*SEATRIAL, "run", plan], cwd=workspace.folder, stderr=subprocess.STDOUT) as child:
        deadline = time.monotonic() + 60
        while not list(workspace.folder.glob("results/*/*/cells/*.json")) and time.monotonic() < deadline:
            time.sleep(0.02)
        os.kill(child.pid, signal.SIGINT)
        said, _ = child.communicate(timeout=60)
        assert child.returncode == 130, said
    assert "1 cell is kept" in said
    assert "INCONCLUSIVE" not in said, "what was not measured yet is no finding"
    assert "--resume" in said
    assert "Traceback" not in said
    listed = seatrial_cli("results", "--json", "-")
    assert "interrupted" in listed.stdout


@pytest.mark.slow
def test_results_load_as_a_frame(workspace):
    trial(workspace, pipelines=broken_candidate(workspace, how="raise"))
    frame = load_results(workspace.folder / "results")
    assert list(frame["stage"].dropna()) == ["decode", "preprocess", "infer", "postprocess", "end_to_end"]
    assert (frame["status"] == "failed").sum() == 1
    whole = frame.loc[frame["stage"] == "end_to_end"].iloc[0]
    assert 0 < whole["p50_low_s"] <= whole["p50_s"] <= whole["p50_high_s"]
    assert whole["model"].endswith(".fake.json")
    assert whole["batch"] == 1
    assert frame["rate_per_s"].dtype == "float64", "no run of these has a rate"


@pytest.mark.slow
def test_records_are_never_rewritten(workspace):
    outcome = trial(workspace)
    before = (outcome.run.path / "record.json").read_bytes()
    with pytest.raises(ResultsError, match="never rewritten"):
        outcome.run.save_record(outcome.record)
    assert (outcome.run.path / "record.json").read_bytes() == before


@pytest.mark.parametrize(
    ("parts", "error", "said"),
    [
        ({"images": "{path: nowhere}"}, DataError, "nowhere: no such folder of images"),
        ({"images": "{path: [images/0.png, images/x.png]}"}, DataError, "x.png: no such image"),
        ({"matrix": "{backends: [tensorrt]}"}, BackendUnavailableError, "the package tensorrt is not installed"),
        ({"pipelines": ONE.replace("model.fake", "other.fake")}, ModelError, "no such model"),
        ({"pipelines": ONE.replace("[8, 8]", "[9, 8]")}, ModelError, "set size: [8, 8]"),
        ({"pipelines": ONE.replace("stretch}", "stretch, dtype: float16}")}, ModelError, "set dtype: float32"),
        ({"pipelines": ONE.replace("stretch}", "stretch, layout: nhwc}")}, ModelError, "change size, layout or color"),
        ({"pipelines": ONE + "\n    input: y"}, ModelError, "no input called 'y'"),
        (
            {"pipelines": ONE.replace("{size: [8, 8], mode: stretch}", "{python: 'mine:pre'}")},
            CodeRefusedError,
            "allow_code",
        ),
    ],
)
def test_what_does_not_fit_is_told_before_anything_runs(workspace, parts, error, said):
    with pytest.raises(error) as caught:
        trial(workspace, **parts)
    assert said in str(caught.value)
    assert not (workspace.folder / "results").exists()


def test_the_users_own_stages_run_when_allowed(workspace):
    (workspace.folder / "mystages.py").write_text(
        "import numpy as np\nfrom seatrial import Classification\n"
        "def pre(image):\n    return np.full((1, 3, 8, 8), image[0, 0, ::-1].reshape(3, 1, 1) / 255, np.float32)\n"
        "def post(outputs, sizes):\n    return [Classification(np.array([y.argmax()]), np.array([1.0], np.float32)) for y in outputs['y']]\n"
    )
    mine = "\n  mine:\n    model: model.fake.json\n    preprocess: {python: 'mystages:pre'}\n    postprocess: {python: 'mystages:post'}"
    plan = workspace.load(
        pipelines=ONE.replace("only", "baseline") + mine, matrix="{backends: [fake], batch_sizes: [1, 2]}"
    )
    outcome = run_trial(plan, workspace.folder / "results", allow_code=True)
    assert outcome.exit_code == ExitCode.PASS, outcome.record.decisions
    assert next(c for c in outcome.record.cells if c.pipeline == "mine").across.agreement == 1


@pytest.mark.slow
def test_results_outlive_a_full_disk(workspace):
    """RLIMIT_FSIZE makes every larger write fail as a full disk does, without needing one."""
    ok = trial(workspace)
    before = (ok.run.path / "record.json").read_bytes()
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500));"
        "from seatrial.cli import main; main()"
    )
    done = ran([sys.executable, "-c", code, "run", workspace.plan()], cwd=workspace.folder)
    assert done.returncode == 5, done.stdout + done.stderr
    assert "cannot be written: the disk is full" in done.stderr
    assert "Traceback" not in done.stderr
    assert (ok.run.path / "record.json").read_bytes() == before
    assert len(load_results(workspace.folder / "results")["run"].unique()) == 1


def test_a_results_folder_that_cannot_be_made_is_told(workspace, seatrial_cli):
    Path(workspace.folder / "blocked").write_text("a file stands where the folder should be")
    done = seatrial_cli("run", workspace.plan(), "--results", "blocked")
    assert done.returncode == 5
    assert "blocked" in done.stderr
    assert "--results FOLDER" in done.stderr


def test_the_python_function_does_what_the_command_does(workspace, monkeypatch):
    import seatrial

    monkeypatch.chdir(workspace.folder)
    record = seatrial.run(workspace.plan())
    assert record.verdict == "PASS"
    assert next(workspace.folder.glob("results/*/*/report.html")).is_file()
    with pytest.raises(seatrial.SeatrialError, match="no such plan"):
        seatrial.run("nothing.yaml")


@pytest.mark.slow
def test_code_that_changes_the_working_folder_does_not_lose_a_relative_results_folder(workspace, seatrial_cli):
    (workspace.folder / "moving.py").write_text(
        "import os, numpy as np\nos.chdir('/')\n\n\n"
        "def prepare(image):\n    return np.ascontiguousarray(image[:8, :8].transpose(2, 0, 1)[None], dtype=np.float32)\n"
    )
    workspace.plan(
        pipelines="\n  only:\n    model: model.fake.json\n    preprocess: {python: 'moving:prepare'}\n"
        "    postprocess: {task: classify}",
        parity="",
    )
    done = seatrial_cli("run", "trial.yaml", "--allow-code", "--results", "./kept", env={"SEATRIAL_CACHE": "cache"})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "report: kept/" in done.stdout
    assert load_record(RunFolder(next(workspace.folder.glob("kept/*/*")))).cells[0].status == "ok"
    done = seatrial_cli(
        "bench", "trial.yaml:only", "--allow-code", "--max-time", "200ms", "--results", "../" + workspace.folder.name
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"report: ../{workspace.folder.name}/" in done.stdout
