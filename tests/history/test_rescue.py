"""A full disk: what was measured is kept somewhere else, and the error says where. On a real one, which a test fills."""

import contextlib
import errno
import os
import re
import signal
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import records
from rounds import Rounds, by_ratio

from seatrial.cells.watch import Watcher
from seatrial.compare import live
from seatrial.compare.live import run_comparison
from seatrial.compare.rounds import Question
from seatrial.compare.sides import model_subject
from seatrial.errors import ExitCode, ResultsError
from seatrial.history import rescue, run_folder
from seatrial.history.find import load_record
from seatrial.history.records import RunStart
from seatrial.history.run_folder import RunFolder, new_run
from seatrial.loads import bench as loads_bench
from seatrial.loads.bench import run_bench
from seatrial.loads.subject import model_bench
from seatrial.loads.sweep import LoadPoint, Sweep
from seatrial.loads.task import Load
from seatrial.trial.run import run_trial

# Time for a busy machine; a quiet one has enough in a tenth of a second.
PATIENT = "{max_time: 10 s, min_samples: 20, precision: 50%}"
TABLE = np.cumsum(np.ones((40, 6), np.int64), axis=0) * 1000


START = RunStart(kind="bench", created="now", subject=("m.onnx",))


def cell(name="only.fake.fp32.b1.t1"):
    return records.cell(id=name, measurement=records.measurement(TABLE))


def fill(disk):
    """Takes the last byte."""
    with (disk / "ballast").open("wb", buffering=0) as stream:
        for size in (1 << 16, 1):
            try:
                while True:
                    stream.write(bytes(size))
            except OSError as e:
                if e.errno != errno.ENOSPC:
                    raise


@pytest.fixture
def places(tmp_path, monkeypatch):
    """Where a rescue may look for room: a folder for temporary files, and nothing else."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "nowhere")
    monkeypatch.setattr(rescue, "SHARED_MEMORY", tmp_path / "nowhere")
    return folder


def failed(run, work, said):
    def within():
        with run:
            work(run)

    with pytest.raises(ResultsError, match=said) as caught:
        within()
    return caught


def kept_in(error):
    return RunFolder(Path(re.search(r"is kept in ([^\s;]+)", str(error.value))[1]))


def test_a_cell_whose_samples_and_record_find_no_room(small_disk, places):
    run = new_run(small_disk / "results", "here")

    def work(run):
        run.save_start(START)
        run.save_cell(cell("first"), TABLE)
        fill(small_disk)
        run.save_cell(cell("second"), 2 * TABLE)

    caught = failed(run, work, "the disk is full")
    rescued = kept_in(caught)
    assert "(2 cells)" in str(caught.value)
    assert list(rescued.finished_cells()) == ["first", "second"]
    assert rescued.start() == START
    samples = pd.read_parquet(rescued.path / "samples.parquet")
    for name, table in (("first", TABLE), ("second", 2 * TABLE)):
        assert samples.loc[samples["cell"] == name, "infer_ns"].tolist() == table[:, 3].tolist()


def test_any_write_that_finds_no_room_is_a_full_disk_and_no_bug(small_disk, places):
    run = new_run(small_disk / "results", "here")

    def work(run):
        run.save_cell(cell())
        fill(small_disk)
        (run.path / "whatever").write_bytes(b"x")

    assert "is kept in" in str(failed(run, work, "the disk is full").value)
    with pytest.raises(FileNotFoundError), run:
        (run.path / "not-there").read_bytes()


def test_the_next_place_is_tried_and_the_last_word_is_honest(small_disk, places, monkeypatch):
    run = new_run(small_disk / "results", "here")
    monkeypatch.setattr(tempfile, "tempdir", str(small_disk))

    def work(run):
        (small_disk / "ballast").unlink(missing_ok=True)
        run.save_cell(cell(), TABLE)
        fill(small_disk)
        run.save_cell(cell("other"), TABLE)

    for home, said in ((places, f"is kept in {places}"), (small_disk, "could not be kept in another place either")):
        monkeypatch.setattr(Path, "home", lambda home=home: home)
        assert said in str(failed(run, work, "the disk is full").value)
    assert not list(small_disk.glob("seatrial-rescue-*"))
    assert list(run.finished_cells()) == ["only.fake.fp32.b1.t1"], "what its own folder has stays there"


def test_without_a_home_or_a_temporary_folder_there_is_nowhere_to_go(small_disk, places, monkeypatch):
    def nowhere():
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", nowhere)
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(Path, "home", lambda: Path("~nobody-of-this-name").expanduser())

    def work(run):
        run.save_cell(cell())
        raise ResultsError("the disk is full")

    caught = failed(new_run(small_disk / "results", "here"), work, "the disk is full")
    assert "could not be kept in another place either" in str(caught.value)


def test_nothing_measured_is_nothing_to_rescue(small_disk, places):
    run = new_run(small_disk / "results", "here")
    fill(small_disk)
    with pytest.raises(ResultsError, match="the disk is full") as caught, run:
        run.save_start(START)
    assert "kept" not in str(caught.value)
    assert not list(places.iterdir())


def test_a_trial_keeps_its_cells(workspace, small_disk, places):
    watcher = Watcher()
    watcher.cell_ends = lambda record: fill(small_disk)
    with pytest.raises(ResultsError, match="the disk is full") as caught:
        run_trial(workspace.load(parity=""), small_disk / "results", watcher=watcher)
    rescued = kept_in(caught)
    (record,) = rescued.finished_cells().values()
    assert (record.pipeline, record.status) == ("baseline", "ok")
    assert len(pd.read_parquet(rescued.path / "samples.parquet")) == record.stages["infer"].p50.n
    assert (next((small_disk / "results").glob("*/*/run.json"))).is_file(), "and can be resumed when there is room"


def test_a_trial_whose_record_finds_no_room_keeps_it_with_its_evidence(workspace, small_disk, places):
    """Its verdict is there too, bound to what was written beside it: loading it checks that."""
    watcher = Watcher()
    ended = []
    (workspace.folder / "truth.csv").write_text("image,class\n" + "".join(f"{i}.png,{i % 3}\n" for i in range(4)))

    def fill_behind_the_last(record):
        ended.append(record)
        if len(ended) == 2:
            fill(small_disk)

    watcher.cell_ends = fill_behind_the_last
    with pytest.raises(ResultsError, match="the disk is full") as caught:
        run_trial(
            workspace.load(images="{path: images, annotations: truth.csv}"), small_disk / "results", watcher=watcher
        )
    rescued = kept_in(caught)
    record = load_record(rescued)
    assert [c.id for c in record.cells] == [c.id for c in ended]
    assert record.decisions
    assert all(d.evidence for d in record.decisions)
    evaluations = pd.read_parquet(rescued.path / "evaluations.parquet")
    assert set(evaluations["cell"]) == {c.id for c in ended}


def test_a_cell_that_could_not_write_its_answer_is_kept_too(workspace, small_disk, places):
    """Its process ends for want of room: nobody calls it a crash, and its samples were in memory."""
    watcher = Watcher()
    watcher.step = lambda cell, step, share: fill(small_disk)
    pipelines = "\n  only:\n    model: model.fake.json\n    preprocess: {size: [8, 8], mode: stretch}\n    postprocess: {task: classify}"
    with pytest.raises(ResultsError, match="the disk is full") as caught:
        run_trial(
            workspace.load(pipelines=pipelines, parity="", measure=PATIENT), small_disk / "results", watcher=watcher
        )
    (record,) = kept_in(caught).finished_cells().values()
    assert (record.status, record.partial, record.exit_code) == ("failed", True, ExitCode.ENVIRONMENT)
    assert "the disk is full" in record.reason
    assert len(pd.read_parquet(kept_in(caught).path / "samples.parquet")) == record.stages["infer"].p50.n


@pytest.mark.slow
def test_a_bench_keeps_its_loads(workspace, small_disk, places):
    """The second load's process runs while the disk fills up: neither its samples nor the record find room."""
    subject = model_bench(
        workspace.folder / "model.fake.json", "fake", batch=1, threads=1, shapes={}, native=True
    )  # fmt: skip
    sweep = Sweep([LoadPoint(Load(scenario="paced", gap_s=gap)) for gap in (0.001, 0.002)], 0.5)
    said = []

    def tell(step, share):
        said.append(share)
        if len(list((small_disk / "results").glob("*/*/cells/*.json"))) == 1:
            fill(small_disk)

    with (
        pytest.raises(ResultsError, match="the disk is full") as caught,
        new_run(small_disk / "results", "here") as run,
    ):
        run_bench(run, subject, sweep, tell)
    rescued = kept_in(caught)
    cells = rescued.finished_cells()
    assert list(cells) == ["bench.fake.fp32.b1.t1@paced-1ms", "bench.fake.fp32.b1.t1@paced-2ms"]
    samples = pd.read_parquet(rescued.path / "samples.parquet")
    assert [sum(samples["cell"] == name) for name in cells] == [c.stages["infer"].p50.n for c in cells.values()]


def test_a_comparison_keeps_its_rounds(workspace, small_disk, places, monkeypatch):
    """Rounds are made up, since real ones tidy up behind them and leave some room."""
    sides = [model_subject(workspace.folder / "model.fake.json", backend="fake") for _ in "ab"]

    def round_on_a_full_disk(asked):
        fill(small_disk)
        return by_ratio(1.0)(asked)

    Rounds(round_on_a_full_disk).in_place(monkeypatch)
    with (
        pytest.raises(ResultsError, match="the disk is full") as caught,
        new_run(small_disk / "results", "here") as run,
    ):
        run_comparison(run, *sides, Question(), lambda step, share: None)
    assert f"'seatrial report {kept_in(caught).path}' shows it" in str(caught.value)
    record = load_record(kept_in(caught))
    assert (record.kind, record.status, record.verdict) == ("compare", "complete", "PASS")
    assert len(record.comparisons[0].pairs) >= 7
    assert record.rules
    assert all(d.evidence for d in record.decisions)
    path = kept_in(caught).path / "record.json"
    path.write_text(path.read_text("utf-8").replace('"EQUIVALENT"', '"IMPROVED"'), "utf-8")
    with pytest.raises(ResultsError, match="does not follow from the run's files"):
        load_record(RunFolder(path.parent))


def test_ctrl_c_behind_a_finished_load_leaves_a_record_of_it(workspace, tmp_path, monkeypatch):
    subject = model_bench(workspace.folder / "model.fake.json", "fake", batch=1, threads=1, shapes={}, native=True)
    saved = RunFolder.save_cell

    def then_ctrl_c(run, cell, table_ns=None):
        saved(run, cell, table_ns)
        raise KeyboardInterrupt

    monkeypatch.setattr(RunFolder, "save_cell", then_ctrl_c)
    with new_run(tmp_path / "results", "here") as run:
        outcome = run_bench(run, subject, Sweep([LoadPoint(Load())] * 2, 0.3), lambda step, share: None)
    assert (outcome.record.status, outcome.exit_code) == ("interrupted", ExitCode.INTERRUPTED)
    (kept,) = load_record(run).cells
    assert kept.status == "ok"


@pytest.mark.slow
def test_ctrl_c_while_a_record_is_written_comes_behind_it(workspace, tmp_path, monkeypatch):
    saved = run_folder.save_samples

    def with_ctrl_c(folder, work, cells):
        os.kill(os.getpid(), signal.SIGINT)
        saved(folder, work, cells)

    monkeypatch.setattr(run_folder, "save_samples", with_ctrl_c)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            run_trial(workspace.load(parity=""), tmp_path / "results")
    finally:
        signal.signal(signal.SIGINT, before)
    (path,) = (tmp_path / "results").glob("*/*/record.json")
    assert load_record(RunFolder(path.parent)).status == "complete"


def test_a_full_disk_is_told_although_ctrl_c_came_meanwhile(workspace, small_disk, places, monkeypatch):
    saved = run_folder.save_samples

    def with_ctrl_c(folder, work, cells):
        if folder.is_relative_to(small_disk):
            os.kill(os.getpid(), signal.SIGINT)
            fill(small_disk)
        saved(folder, work, cells)

    monkeypatch.setattr(run_folder, "save_samples", with_ctrl_c)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(ResultsError, match="the disk is full") as caught:
            run_trial(workspace.load(parity=""), small_disk / "results")
    finally:
        signal.signal(signal.SIGINT, before)
    assert load_record(kept_in(caught)).status == "complete"


@pytest.fixture
def cancelled():
    """What a cancelled job raises in a command."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    yield lambda: os.kill(os.getpid(), signal.SIGTERM)
    signal.signal(signal.SIGTERM, before)


def and_cancelled(function, cancelled):
    def work(*arguments, **options):
        cancelled()
        return function(*arguments, **options)

    return work


@pytest.mark.parametrize("where", ["record_comparisons", "save_samples"])
def test_a_job_cancelled_behind_the_last_round_keeps_the_comparison(workspace, tmp_path, monkeypatch, cancelled, where):
    sides = [model_subject(workspace.folder / "model.fake.json", backend="fake") for _ in "ab"]
    owner = run_folder if where == "save_samples" else live
    monkeypatch.setattr(owner, where, and_cancelled(getattr(owner, where), cancelled))
    Rounds(by_ratio(1.0)).in_place(monkeypatch)
    with pytest.raises(KeyboardInterrupt), new_run(tmp_path / "results", "here") as run:
        run_comparison(run, *sides, Question(), lambda step, share: None)
    assert (load_record(run).kind, load_record(run).status) == ("compare", "complete")


@pytest.mark.parametrize("where", ["results_of", "Record", "save_samples"])
def test_a_job_cancelled_behind_the_last_request_keeps_the_bench(workspace, tmp_path, monkeypatch, cancelled, where):
    subject = model_bench(workspace.folder / "model.fake.json", "fake", batch=1, threads=1, shapes={}, native=True)
    owner = run_folder if where == "save_samples" else loads_bench
    monkeypatch.setattr(owner, where, and_cancelled(getattr(owner, where), cancelled))
    with contextlib.suppress(KeyboardInterrupt), new_run(tmp_path / "results", "here") as run:
        run_bench(run, subject, Sweep([LoadPoint(Load())], 0.3), lambda step, share: None)
    (kept,) = load_record(run).cells
    assert kept.status == "ok"
    assert len(pd.read_parquet(run.path / "samples.parquet")) == kept.stages["infer"].p50.n
