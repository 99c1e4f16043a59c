"""The shape of a record: what a later version adds is passed over, what it changes is refused by name."""

import json
import shutil
import sys
from pathlib import Path

import pytest
from processes import SEATRIAL, ran
from pydantic import BaseModel
from typer.testing import CliRunner

from seatrial.cli import trials  # noqa: F401 - it registers its commands
from seatrial.cli.shell import app
from seatrial.errors import ExitCode, ResultsError
from seatrial.history import find
from seatrial.history.evidence import Evidence
from seatrial.history.files import json_bytes, write_atomic
from seatrial.history.find import load_record
from seatrial.history.records import CELL_SCHEMA, Environment, RunStart
from seatrial.history.run_folder import RunFolder

RECORDS = Path(__file__).parent / "records"
KINDS = ("trial", "bench", "search", "mix", "compare", "stored", "single")
START = RunStart(
    kind="trial", created="2026-01-02T03:04:05+00:00", subject=("trial.yaml",), identity={"plan_digest": "sha256:0"},
    environment=Environment(machine="here", cores=2, packages={"numpy": "2"}, governor="unknown"),
)  # fmt: skip


@pytest.fixture
def current(tmp_path):
    """The same runs as this version writes them, with all that lies beside a record."""

    def call(kind):
        (old,) = (RECORDS / kind).iterdir()
        run = RunFolder(tmp_path / "results" / kind / old.name)
        shutil.copytree(old, run.path)
        record, start = load_record(run), run.start()
        (run.path / "record.json").unlink()
        for cell in record.cells:
            run.save_cell(cell)
        run.save_start(start)
        record = Evidence(run.path).bound(record)
        write_atomic(run.path / "record.json", json_bytes(record.to_json()))
        return run, record

    return call


def said(path):
    return json.loads(path.read_text("utf-8"))


def with_more(model, data):
    """data with a key more in each object that is a part of the model; mappings, whose keys are data, stay as they are."""
    if isinstance(model, BaseModel):
        # `schema` is pydantic's own word.
        inner = {k: with_more(getattr(model, k, None), v) for k, v in data.items()}
        return {**inner, "added": {"by": ["a later version"]}}
    if isinstance(model, dict):
        return {k: with_more(model[k], v) for k, v in data.items()}
    if isinstance(model, tuple):
        return [with_more(m, v) for m, v in zip(model, data, strict=True)]
    return data


def without_more(data):
    if isinstance(data, dict):
        return {k: "" if k == "evidence" else without_more(v) for k, v in data.items() if k != "added"}
    return [without_more(v) for v in data] if isinstance(data, list) else data


def count(data):
    if isinstance(data, dict):
        return ("added" in data) + sum(count(v) for k, v in data.items() if k != "added")
    return sum(map(count, data)) if isinstance(data, list) else 0


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_is_read(current, kind):
    run, record = current(kind)
    assert load_record(run) == record
    assert said(run.path / "record.json") == json.loads(json.dumps(record.to_json()))
    assert next(iter(record.to_json())) == "schema"
    assert run.finished_cells() == {c.id: c for c in record.cells}


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_later_version_adds_is_passed_over_and_still_bound(current, kind):
    run, record = current(kind)
    data = with_more(record, said(run.path / "record.json"))
    assert count(data) >= (200 if kind == "trial" else 5)
    for cell in data["cells"]:
        (run.cells / f"{cell['id']}.json").write_text(json.dumps({"schema": CELL_SCHEMA, **cell}))
    digests = [Evidence(run.path).digest(data, d) for d in data["decisions"]]
    for decision, digest in zip(data["decisions"], digests, strict=True):
        decision["evidence"] = digest
    path = run.path / "record.json"
    path.write_text(json.dumps(data))
    assert without_more(load_record(run).to_json()) == without_more(record.to_json())
    assert run.finished_cells() == {c.id: c for c in record.cells}
    for part in ("cells",) if data["cells"] else ("comparisons", "plan", "models"):
        edited = json.loads(json.dumps(data))
        target = edited[part]
        target = target[0] if isinstance(target, list) else target if part == "plan" else target["a"]
        target["added"] = "something else"
        path.write_text(json.dumps(edited))
        with pytest.raises(ResultsError, match="does not follow from the run's files"):
            load_record(run)


@pytest.mark.slow
def test_a_start_with_more_in_it(current):
    run, _ = current("trial")
    start = run.start()
    data = with_more(start, said(run.path / "run.json"))
    data["environment"].pop("added")
    (run.path / "run.json").write_text(json.dumps(data))
    assert run.start() == start


@pytest.mark.parametrize("start", [START, RunStart(kind="compare", created="now", subject=("a", "b"))])
def test_a_start_is_read_as_it_was_written(tmp_path, start):
    run = RunFolder(tmp_path)
    run.save_start(start)
    assert run.start() == start
    data = said(tmp_path / "run.json")
    assert (next(iter(data)), data["schema"]) == ("schema", "seatrial.run/2")
    assert {k: type(v) for k, v in data.items()} == {
        "schema": str, "kind": str, "created": str, "subject": list, "identity": dict,
        "environment": dict if start.environment else type(None),
    }  # fmt: skip


def test_a_newer_schema_is_refused_by_name(current):
    run, _ = current("trial")
    for name, known, newer, read in (
        ("run.json", "seatrial.run/2", "seatrial.run/3", run.start),
        ("record.json", "seatrial.record/2", "seatrial.record/3", lambda: load_record(run)),
    ):
        path = run.path / name
        data = said(path)
        for got in (newer, None, 5):
            path.write_text(json.dumps(data | {"schema": got}))
            with pytest.raises(ResultsError) as caught:
                read()
            assert str(caught.value) == f"{path}: expected schema {known} or older, got {got!r}; use a newer seatrial"
        path.write_text(json.dumps(data | {"schema": newer}))
    done = CliRunner().invoke(app, ["results", "--results", str(run.path.parent.parent), "--json", "-"])
    (row,) = json.loads(done.stdout)
    assert (done.exit_code, row["verdict"]) == (0, "unreadable")
    assert "use a newer seatrial" in row["why"]


def test_a_cell_of_a_newer_schema_is_not_finished(current):
    run, record = current("trial")
    newer = record.cells[0].id
    path = run.cells / f"{newer}.json"
    path.write_text(json.dumps(said(path) | {"schema": "seatrial.cell/3"}))
    assert set(run.finished_cells()) == {c.id for c in record.cells} - {newer}


@pytest.fixture
def broken(monkeypatch):
    def breaks(results):
        raise ZeroDivisionError("of all things")

    monkeypatch.setattr(find, "list_runs", breaks)


def test_a_bug_is_called_one_and_has_a_code_of_its_own(broken):
    done = CliRunner().invoke(app, ["results"])
    assert done.exit_code == ExitCode.INTERNAL == 70
    assert done.stderr.split("\n")[0] == "error: internal error: ZeroDivisionError: of all things"
    assert "this is a bug in seatrial; --debug shows where" in done.stderr
    assert "Traceback" not in done.output


def test_debug_shows_where_a_bug_is():
    breaks = "import seatrial.history.find as s\ns.list_runs = lambda results: 1 / 0\n"
    command = [sys.executable, "-c", breaks + SEATRIAL[-1], "results"]
    plain, shown = ran(command), ran([*command, "--debug"])
    assert (plain.returncode, "Traceback" in plain.stderr) == (70, False)
    assert "Traceback" in shown.stderr
    assert "ZeroDivisionError: division by zero" in shown.stderr
    assert "list_runs" in shown.stderr
    assert shown.returncode == 70, "a verdict's code is no bug's"


@pytest.mark.parametrize(
    ("key", "value"), [("wall_s", "abc"), ("wall_s", None), ("cells", 3), ("plan", []), ("kind", None)]
)
def test_a_damaged_record_does_not_hide_the_others(current, key, value):
    run, _ = current("trial")
    path = run.path / "record.json"
    path.write_text(json.dumps(said(path) | {key: value}))
    done = CliRunner().invoke(app, ["results", "--results", str(run.path.parent.parent)])
    assert (done.exit_code, run.path.name in done.stdout) == (0, True), done.output


@pytest.mark.parametrize("content", ["[]", "3", "{", ""])
def test_a_cells_file_that_is_no_object_is_not_the_records(current, content):
    run, record = current("bench")
    (run.cells / f"{record.cells[0].id}.json").write_text(content)
    with pytest.raises(ResultsError, match="does not follow from the run's files"):
        load_record(run)
