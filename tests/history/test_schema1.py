"""Runs as the version before wrote them: all that they say is read, drawn, listed, compared and checked as before."""

import io
import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console
from typer.testing import CliRunner

from seatrial.cells.watch import Watcher
from seatrial.cli import compare, trials  # noqa: F401 - each registers its commands
from seatrial.cli.shell import app
from seatrial.compare.question import Question
from seatrial.compare.stored import compare_stored
from seatrial.errors import ResultsError, UsageError
from seatrial.history.find import load_record
from seatrial.history.frame import load_results
from seatrial.history.records import CELL_SCHEMA
from seatrial.history.run_folder import RunFolder, new_run
from seatrial.report.html import render
from seatrial.report.tables import print_record
from seatrial.trial.run import run_trial
from seatrial.warning import Warning

RECORDS = Path(__file__).parent / "records"
KINDS = ("trial", "bench", "search", "mix", "compare", "stored", "single")
# Where each field of an old cell is now: a field that is in no line fails the test.
MEASURED = (
    "stages", "throughput", "peak_memory", "first_inference", "cold_start", "model_size", "warm_up", "converged", "affinity",
    "io_policy", "backend_details", "engines", "nan_outputs", "doubt",
)  # fmt: skip
SAME = (
    "id", "pipeline", "backend", "precision", "weights", "batch", "threads", "engine", "status", "reason", "exit_code",
    "last_output", "partial", "parity", "across", "seen", "warnings", "wall_s", "noise",
)  # fmt: skip
CELL = {
    **{k: k for k in SAME}, **{k: f"measurement.{k}" for k in MEASURED}, "load": "measurement.load_time",
    "accuracy": "accuracy.value", "accuracy_name": "accuracy.metric", "accuracy_note": "accuracy.note",
    "accuracy_by_tag": "accuracy.by_tag", "load_result": "load", "spikes": "noise.spikes",
}  # fmt: skip
RECORD = (
    "id", "created", "kind", "status", "verdict", "rules", "wall_s", "plan", "images", "models", "environment", "decisions",
    "comparisons", "noise_floor", "pictures", "warnings",
)  # fmt: skip
START = {
    "created": "created", "environment": "environment", **{k: f"identity.{k}" for k in (
        "plan_digest", "images_digest", "model_digests", "truth_digest", "code_digests", "machine_fingerprint", "model_digest",
    )},
}  # fmt: skip


@pytest.fixture
def results(tmp_path):
    """A results folder of theirs; each kind of run stands where a machine's name would."""
    shutil.copytree(RECORDS, tmp_path / "results")
    return tmp_path / "results"


@pytest.fixture
def old(results):
    def call(kind):
        (path,) = (results / kind).iterdir()
        return RunFolder(path)

    return call


def said(run, name="record.json"):
    return json.loads((run.path / name).read_text("utf-8"))


def at(data, path):
    for name in path.split("."):
        data = None if data is None else data[name]
    return data


def holds(new, old):
    """Whether all that `old` says is in `new`. What is empty may be missing, and what is missing there may be empty here.

    A warning was a text, and a disturbance a `what` with its cure.
    """
    if isinstance(new, dict) and set(new) == {"code", "text", "cure"}:
        return (
            (new["text"], new["cure"]) == (old["what"], old["cure"])
            if isinstance(old, dict)
            else str(Warning(**new)) == old
        )
    if isinstance(old, dict) and isinstance(new, dict):
        return all(holds(new.get(k), v) for k, v in old.items())
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(map(holds, new, old))
    return new == old or (not new and not old)


def check_cell(new, old):
    assert set(old) - {"schema"} == set(CELL)
    for name, path in CELL.items():
        assert holds(at(new, path), called_now(old[name]) if name == "precision" else old[name]), name


def called_now(precision):
    """What was int8 then is one of two forms now."""
    return "int8-u8" if precision == "int8" else precision


@pytest.mark.parametrize("kind", KINDS)
def test_every_figure_is_read_and_the_evidence_holds(old, kind):
    run = old(kind)
    before = said(run)
    assert before["schema"] == "seatrial.record/1"
    now = load_record(run).to_json()
    assert now["schema"] == "seatrial.record/2"
    assert set(before) == {*RECORD, "schema", "cells"}
    for name in RECORD:
        assert holds(now[name], before[name]), name
    assert [c["id"] for c in now["cells"]] == [c["id"] for c in before["cells"]]
    for new, cell in zip(now["cells"], before["cells"], strict=True):
        check_cell(new, cell)
    assert bool(before["cells"]) == (kind not in ("compare", "stored"))


def test_what_nobody_measured_is_no_part_of_a_cell(old):
    cells = load_record(old("trial")).cells
    skipped = [c for c in cells if c.status == "skipped"]
    assert len(skipped) == 4
    assert all((c.measurement, c.accuracy, c.load, c.noise) == (None,) * 4 for c in skipped)
    (mix,) = load_record(old("mix")).cells
    assert (mix.accuracy, mix.load.python_path) == (None, None)
    assert load_record(old("stored")).comparisons[0].asked is None


@pytest.mark.parametrize("kind", [*KINDS, "interrupted"])
def test_the_start_of_a_run_is_read(old, kind):
    run = old(kind)
    before, start = said(run, "run.json"), old(kind).start()
    now = start.model_dump(mode="json", by_alias=True)
    assert set(before) - {"plan", "bench", "compare"} <= set(START)
    for name in set(before) & set(START):
        assert holds(at(now, START[name]), before[name]), name
    assert now["subject"] == (before.get("compare") or [before.get("plan") or before["bench"]])
    kinds = {"interrupted": "trial", "compare": "compare", "stored": "compare", "trial": "trial"}
    assert start.kind == kinds.get(kind, "bench")


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_printed_and_drawn(old, kind):
    record, out = load_record(old(kind)), io.StringIO()
    print_record(Console(file=out, width=160), record)
    page = render(old(kind))
    for cell in record.cells:
        if cell.status == "ok":
            assert cell.pipeline in out.getvalue()
    for c in record.comparisons:
        assert c.verdict in page
    assert record.environment.cpu in page
    assert page.count("<svg") >= (0 if kind == "stored" else 1)
    if kind == "trial":
        assert "0.627" in out.getvalue()
        assert "0.627" in page
    if kind == "search":
        assert "Rate under a latency bound" in page


def test_they_are_a_table(results):
    frame = load_results(results)
    rows = 0
    for kind in KINDS:
        (path,) = (results / kind).iterdir()
        for cell in said(RunFolder(path))["cells"]:
            of_run = frame[(frame["run"] == path.name) & (frame["pipeline"] == cell["pipeline"])]
            own = of_run[
                (of_run["backend"] == cell["backend"]) & (of_run["precision"] == called_now(cell["precision"]))
            ]
            if not cell["stages"]:
                assert own["stage"].isna().all()
                rows += 1
            for stage, s in cell["stages"].items():
                row = own[(own["stage"] == stage) & (own["mean_s"] == s["mean"]["value"])].iloc[0]
                rows += 1
                assert (row["p50_s"], row["p99_s"], row["share"]) == (
                    s["p50"]["value"], s["p99"]["value"], s["share"]
                )  # fmt: skip
                for column, name in (
                    ("throughput_images_per_s", "throughput"), ("peak_memory_bytes", "peak_memory"),
                    ("cold_start_s", "cold_start"), ("model_size_bytes", "model_size"), ("accuracy", "accuracy"),
                ):  # fmt: skip
                    expected = cell[name] and cell[name]["value"]
                    assert pd.isna(row[column]) if expected is None else row[column] == expected
                assert row["accuracy_name"] == cell["accuracy_name"]
        for c in said(RunFolder(path))["comparisons"]:
            of_run = frame[frame["run"] == path.name]
            (row,) = of_run[of_run["metric"].notna()].to_dict("records")
            assert (row["pipeline"], row["against"], row["metric"]) == (c["b"], c["a"], c["metric"])
            assert (row["change"], row["change_low"], row["change_high"]) == (
                c["change"]["value"],
                *c["change"]["interval"],
            )
            assert (row["kind"], row["verdict"]) == (said(RunFolder(path)).get("kind", "trial"), c["verdict"])
            rows += 1
    assert rows == len(frame)


def seatrial(*words):
    done = CliRunner().invoke(app, [*map(str, words)], prog_name="seatrial")
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def test_they_are_listed(results):
    done = seatrial("results", "--results", results, "--json", "-")
    assert done.exit_code == 0, done.output
    rows = {r["machine"]: r for r in json.loads(done.stdout)}
    assert {k: (r["verdict"], r["cells"], r["plan"]) for k, r in rows.items()} == {
        "trial": ("PASS", 4, "/trials/trial.yaml"),
        "interrupted": ("interrupted", 4, "/trials/trial.yaml"),
        "bench": ("INCONCLUSIVE", 2, "models/seamarks-v1.onnx"),
        "search": ("measured", 1, "models/seamarks-v1.onnx"),
        "mix": ("measured", 1, "models/seamarks-v1.onnx"),
        "single": ("measured", 1, "models/seamarks-v1.onnx"),
        "compare": ("EQUIVALENT", 0, "seamarks-v2.onnx on onnxruntime-cpu against seamarks-v1.onnx on onnxruntime-cpu"),
        "stored": ("INCONCLUSIVE", 0, "bench.onnxruntime-cpu.fp32.b1.t1 against itself"),
    }


@pytest.fixture
def two(old):
    """One bench, and the same once more under another name."""
    first = old("single")
    second = first.path.with_name("2099-01-01-000000-cafe")
    shutil.copytree(first.path, second)
    data = said(first) | {"id": second.name}
    (second / "record.json").write_text(json.dumps(data))
    return first, RunFolder(second)


def test_they_are_compared(two, tmp_path):
    a, b = map(load_record, two)
    run = new_run(tmp_path / "new", "here")
    found = compare_stored(run, a, b, Question())
    assert load_record(run) == found
    (c,) = found.comparisons
    before = said(two[0])["cells"][0]["stages"]["infer"]["p50"]
    assert (c.verdict, c.design, c.change.value) == ("INCONCLUSIVE", "separate runs", 0)
    assert c.a_value.value == c.b_value.value == before["value"]
    assert run.start().subject == (a.id, b.id)
    with pytest.raises(UsageError, match="expected two runs"):
        compare_stored(run, a, a, Question())


def test_they_are_compared_by_the_command(two, results):
    done = seatrial("compare", *(r.path for r in two), "--results", results)
    assert done.exit_code == 3, done.output
    assert "separate processes differ by ±23 %" in " ".join(done.stdout.split())


@pytest.mark.parametrize(("other", "why"), [("compare", "is a comparison"), ("trial", "measured on unlike inputs")])
def test_what_cannot_be_compared_is_refused_as_before(old, tmp_path, other, why):
    run = new_run(tmp_path / "new", "here")
    if other == "compare":
        a = b = load_record(old("compare"))
        b = b.model_copy(update={"id": "2099"})
    else:
        a, b = load_record(old("single")), load_record(old(other))
    with pytest.raises(ResultsError, match=why):
        compare_stored(run, a, b, Question())


def edited(path, change):
    data = json.loads(path.read_text("utf-8"))
    change(data)
    path.write_text(json.dumps(data))


def figure(cell):
    cell["stages"]["infer"]["p50"]["value"] *= 0.5


def cut(folder, name):
    pd.read_parquet(folder / name).iloc[:-1].to_parquet(folder / name, index=False)


def a_cell(folder):
    return sorted(folder.glob("cells/*onnxruntime-cpu.int8*.json") or folder.glob("cells/*.json"))[0]


TAMPERED = {
    "a figure of a cell": ("trial", lambda f: edited(f / "record.json", lambda d: figure(d["cells"][0]))),
    "its accuracy": ("trial", lambda f: edited(f / "record.json", lambda d: d["cells"][0]["accuracy"].update(value=1.0))),
    "its accuracy's name": ("trial", lambda f: edited(f / "record.json", lambda d: d["cells"][0].update(accuracy_name="x"))),
    "a decision": ("trial", lambda f: edited(f / "record.json", lambda d: d["decisions"][0].update(value=99.0))),
    "the verdict": ("trial", lambda f: edited(f / "record.json", lambda d: d.update(verdict="FAIL"))),
    "an empty annotation": ("trial", lambda f: edited(f / "record.json", lambda d: d["images"].update(annotations=None))),
    "a cell's file": ("trial", lambda f: edited(a_cell(f), figure)),
    "a cell's file that is gone": ("trial", lambda f: a_cell(f).unlink()),
    "samples": ("trial", lambda f: cut(f, "samples.parquet")),
    "evaluations": ("trial", lambda f: cut(f, "evaluations.parquet")),
    "a figure of a bench": ("bench", lambda f: edited(f / "record.json", lambda d: figure(d["cells"][1]))),
    "a load": ("bench", lambda f: edited(f / "record.json", lambda d: d["cells"][0]["load_result"].update(unserved=1))),
    "a bench's cell": ("single", lambda f: edited(next(f.glob("cells/*.json")), figure)),
    "a rate of a search": (
        "search", lambda f: edited(f / "record.json", lambda d: d["cells"][0]["load_result"]["curve"][0].update(n=1)),
    ),
    "what was asked": ("compare", lambda f: edited(f / "record.json", lambda d: d["comparisons"][0]["asked"].update(seed=1))),
    "a pair": ("compare", lambda f: edited(f / "record.json", lambda d: d["comparisons"][0]["pairs"].pop())),
    "a change": ("stored", lambda f: edited(f / "record.json", lambda d: d["comparisons"][0]["change"].update(value=1.0))),
}  # fmt: skip


@pytest.mark.parametrize("what", TAMPERED)
def test_what_was_changed_after_the_run_is_told(old, what):
    kind, change = TAMPERED[what]
    run = old(kind)
    load_record(run)
    change(run.path)
    with pytest.raises(ResultsError, match="does not follow from the run's files"):
        load_record(run)
    assert load_record(run, check=False).id == run.path.name


WRONG = (None, 5, "x", [], {}, [5], {"x": 5})


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["trial", "bench", "compare"])
def test_a_damaged_one_is_said_to_be_so(old, kind):
    """Whatever stands where something else should: it loads, or is damaged, and is never a bug."""
    run = old(kind)
    whole = said(run)
    path, wrong = run.path / "record.json", []
    places = [((k,), v) for k in whole for v in WRONG]
    places += [(("cells", 0, k), v) for k in CELL for v in WRONG if whole["cells"]]
    places += [(("comparisons", 0, k), v) for k in ("asked", "pairs") for v in WRONG if whole["comparisons"]]
    places += [((k, 0), v) for k in ("cells", "comparisons", "decisions") for v in WRONG if whole[k]]
    for place, value in places:
        data = json.loads(json.dumps(whole))
        part = data
        for name in place[:-1]:
            part = part[name]
        part[place[-1]] = value
        path.write_text(json.dumps(data))
        try:
            load_record(run, check=False)
        except ResultsError:
            continue
        except Exception as e:
            wrong.append((place, value, repr(e)))
    assert wrong == []


def test_an_interrupted_one_has_its_cells(old):
    run = old("interrupted")
    cells = run.finished_cells()
    assert len(cells) == 4
    for name, cell in cells.items():
        check_cell(cell.model_dump(mode="json"), json.loads((run.cells / f"{name}.json").read_text()))
    assert cells == {c.id: c for c in load_record(old("trial")).cells if c.status == "ok"}
    (run.cells / "cut.json").write_text("{}")
    assert run.finished_cells() == cells, "of what is no cell nothing is known"


def as_before(cell):
    """A cell that was measured, in the words of the version before."""
    found = {name: at(cell, path) for name, path in CELL.items()}
    found |= {"accuracy_name": "", "accuracy_note": "", "accuracy_by_tag": {}} if cell["accuracy"] is None else {}
    return found | {"noise": {k: v for k, v in cell["noise"].items() if k != "spikes"}}


class Stop(Watcher):
    def cell_ends(self, record):
        raise KeyboardInterrupt


ONE = "\n  only:\n    model: model.fake.json\n    preprocess: {size: [8, 8], mode: stretch}\n    postprocess: {task: classify}"


@pytest.mark.slow
def test_a_run_that_they_began_is_resumed_and_its_record_holds(workspace):
    plan = workspace.load(pipelines=ONE, parity="", matrix="{backends: [fake], batch_sizes: [1, 2]}")
    folder = workspace.folder / "results"
    run = run_trial(plan, folder, watcher=Stop()).run
    (path,) = run.cells.glob("*.json")
    path.write_text(json.dumps(as_before(json.loads(path.read_text()))))
    start = said(run, "run.json")
    (run.path / "run.json").write_text(
        json.dumps(
            {
                "created": start["created"],
                "plan": start["subject"][0],
                "environment": start["environment"],
                **start["identity"],
            }
        )
    )
    (before,) = run.finished_cells().values()
    done = run_trial(plan, folder, resume=True)
    assert done.run.path == run.path
    assert [c.id for c in done.record.cells] == ["only.fake.fp32.b1.t1", "only.fake.fp32.b2.t1"]
    assert done.record.cells[0] == before
    assert load_record(run) == done.record
    assert {json.loads(p.read_text())["schema"] for p in run.cells.glob("*.json")} == {CELL_SCHEMA}
