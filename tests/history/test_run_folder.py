"""A run's folder: whole files with the user's own rights, and who is at work on it."""

import errno
import fcntl
import os
import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import records

from seatrial.errors import ResultsError
from seatrial.history.files import write_atomic, write_named
from seatrial.history.find import find_run, latest_interrupted, list_runs, load_record
from seatrial.history.records import RunStart
from seatrial.history.run_folder import RunFolder, new_run

START = RunStart(kind="trial", created="now", subject=("p",))


@pytest.fixture
def run(tmp_path):
    return new_run(tmp_path / "results", "here")


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664), (0o027, 0o640)])
def test_a_files_mode_is_what_the_umask_leaves(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        write_atomic(tmp_path / "record.json", b"{}")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "record.json").stat().st_mode) == mode


def test_the_folder_is_synchronised_after_the_rename(tmp_path, monkeypatch):
    synced = []
    fsync = os.fsync

    def note(descriptor):
        synced.append((stat.S_ISDIR(os.fstat(descriptor).st_mode), (tmp_path / "record.json").exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    write_atomic(tmp_path / "record.json", b"{}")
    assert synced == [(False, False), (True, True)]


def test_what_cannot_be_written_leaves_what_was_there_and_no_more(tmp_path):
    write_atomic(tmp_path / "a", b"old")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ResultsError, match="cannot be written"):
        write_atomic(tmp_path / "folder", b"new")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "folder"]


def test_a_named_file_is_written_through_its_links(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "old").write_text("old")
    for name, target in (("a", "b"), ("b", "folder/old"), ("new", "folder/new")):
        (tmp_path / name).symlink_to(target)
    for name in ("a", "new", "plain"):
        write_named(tmp_path / name, b"page", "output")
        assert (tmp_path / name).read_bytes() == b"page"
    assert [os.readlink(tmp_path / name) for name in ("a", "b", "new")] == ["b", "folder/old", "folder/new"]
    assert sorted(p.name for p in (tmp_path / "folder").iterdir()) == ["new", "old"]


def test_a_pipe_is_written_to_and_stays_one(tmp_path):
    """In any folder, and one that has no name."""
    content = b"page" * 50_000
    os.mkfifo(tmp_path / "pipe")
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit((tmp_path / "pipe").read_bytes)
        write_named(tmp_path / "pipe", content, "output")
        assert read.result() == content
        assert (tmp_path / "pipe").is_fifo()
        reader, writer = os.pipe()
        with os.fdopen(reader, "rb") as stream:
            read = pool.submit(stream.read)
            write_named(Path(f"/dev/fd/{writer}"), content, "output")
            os.close(writer)
            assert read.result() == content


def test_a_reader_who_leaves_has_seen_enough(tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    write_named(Path(f"/dev/fd/{writer}"), b"page", "output")
    os.close(writer)


def test_a_file_that_was_deleted_is_still_written(tmp_path):
    with (tmp_path / "deleted").open("w+") as stream:
        (tmp_path / "deleted").unlink()
        write_named(Path(f"/dev/fd/{stream.fileno()}"), b"page", "output")
        assert stream.read() == "page"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("path", "said"), [("/dev/full", "No space left"), ("", "Is a directory")])
def test_what_takes_no_page_is_told_and_stays(tmp_path, path, said):
    with pytest.raises(ResultsError, match=f"cannot be written: .*{said}"):
        write_named(Path(path or tmp_path), b"page", "output")
    assert Path("/dev/full").is_char_device()


@pytest.mark.parametrize(
    ("kind", "cells", "said"),
    [
        ("trial", 0, "carry on with 'seatrial run PLAN --resume'"),
        ("compare", 0, "a comparison that was killed cannot be carried on: run it again$"),
        ("bench", 0, "a bench that was killed cannot be carried on: run it again$"),
        ("bench", 1, "run it again; what its 1 load measured is in .*/cells$"),
    ],
)
def test_a_run_that_was_killed_says_what_can_be_done(run, kind, cells, said):
    with run:
        run.save_start(RunStart(kind=kind, created="now", subject=("p",)))
        for _ in range(cells):
            run.save_cell(records.cell())
    with pytest.raises(ResultsError, match=said):
        load_record(run)


def test_who_asks_whether_a_run_goes_on_writes_nothing(run):
    assert not run.running
    assert not (run.path / ".lock").exists()
    with pytest.raises(ResultsError, match="is not complete; a run that was killed cannot be carried on"):
        load_record(run)
    with run:
        assert run.running
        with pytest.raises(ResultsError, match="this run is still going on; wait for it"):
            load_record(run)
        with pytest.raises(ResultsError, match="still going on"), RunFolder(run.path):
            pass
    assert not run.running


@pytest.mark.parametrize("locked_once", [True, False])
def test_an_interrupted_run_on_a_read_only_disk_is_not_running(small_disk, locked_once):
    run = new_run(small_disk / "results", "here")
    run.save_start(START)
    if locked_once:
        with run:
            pass
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    assert not run.running
    with pytest.raises(ResultsError, match="cannot be locked: no permission"), run:
        pass


def test_a_running_one_is_also_seen_on_a_read_only_disk(small_disk):
    run = new_run(small_disk / "results", "here")
    with run:
        other = small_disk.with_name("other")
        other.mkdir()
        # Another view of the same disk, since one that is being written to cannot be made read-only.
        subprocess.run(["mount", "--bind", small_disk, other], check=True)
        try:
            subprocess.run(["mount", "-o", "remount,bind,ro", other], check=True)
            assert RunFolder(other / run.path.relative_to(small_disk)).running
        finally:
            subprocess.run(["umount", "--lazy", other], check=True)


def broken(results, cell=""):
    """A single run that fails, behind its first cell if that is named."""
    with new_run(results, "here") as run:
        run.save_start(START)
        if cell:
            (run.cells / cell).write_text("{}")
        raise ResultsError("a record is never rewritten")


@pytest.mark.parametrize("earlier", ["", "results", "results/here"])
def test_a_single_run_without_a_result_takes_back_what_it_made(tmp_path, earlier):
    (tmp_path / earlier).mkdir(parents=True, exist_ok=True)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ResultsError, match="never rewritten"):
        broken(tmp_path / "results")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_single_run_with_a_result_is_never_taken_back(tmp_path):
    with pytest.raises(ResultsError, match="never rewritten"):
        broken(tmp_path / "results", "a.json")
    assert len(list(tmp_path.glob("results/here/*/cells/a.json"))) == 1


def test_a_folder_that_cannot_be_locked_is_taken_back(tmp_path, monkeypatch):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    run = new_run(tmp_path / "results", "here", resumable=False)
    with pytest.raises(ResultsError, match="cannot be locked"), run:
        pytest.fail("it was entered")
    assert list(tmp_path.iterdir()) == []


def test_runs_are_in_the_order_in_which_they_began_whatever_their_clocks_said(tmp_path):
    """East of Greenwich it is tomorrow already. Names and dates of files say the opposite."""
    began = [
        "2026-11-30T01:00:00+14:00",
        "2026-11-29T12:00:00",
        "2026-11-29T03:00:00-10:00",
        "2026-11-29T14:00:00+00:00",
    ]
    for number, created in enumerate(began):
        run = RunFolder(tmp_path / "here" / f"2026-11-{30 - number}")
        run.cells.mkdir(parents=True)
        with run:
            run.save_start(RunStart(kind="trial", created=created, subject=("p",), identity={"plan_digest": "x"}))
    # Of this one only the record is whole; of the next nothing is, and it was written a day later.
    (run.path / "record.json").write_text((run.path / "run.json").read_text())
    (run.path / "run.json").write_text("{")
    damaged = tmp_path / "here" / "2025-01-01"
    damaged.mkdir()
    (damaged / "run.json").write_text("[")
    os.utime(damaged / "run.json", (1796100000, 1796100000))
    names = [f"2026-11-{30 - number}" for number in range(4)] + ["2025-01-01"]
    assert [r.path.name for r in list_runs(tmp_path)] == names
    assert find_run("latest", tmp_path).path.name == names[3], "the others have no record"
    assert latest_interrupted(tmp_path, "here", {"plan_digest": "x"}).path.name == names[2]
