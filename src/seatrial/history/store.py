"""Where records lie: results/<machine>/<date>-<id>/. Written once, whole or not at all.

    run.json          written first: environment, and plan, images, models and truth by digest: what --resume compares
    cells/ID.json     as each cell ends
    samples.parquet   raw samples: one row an iteration
    evaluations.parquet   what was right on each image, where there is truth
    record.json       last: its presence means that the run is complete
    report.html       can be made again from the rest

For: atomic writes, finding runs, resuming. Not for: what is in a record (records.py).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import secrets
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from seatrial.errors import ResultsError
from seatrial.history.evidence import Evidence
from seatrial.history.records import CellRecord, Record


def write_atomic(path: Path, content: bytes) -> None:
    """Writes the whole file or leaves what was there: temporary file, fsync, rename. ResultsError says why not."""
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            Path(name).chmod(0o644)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as e:
        raise ResultsError(f"{path}: cannot be written: {why_not_written(e)}") from e


def why_not_written(error: OSError) -> str:
    """The reason and the cure, for people."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return (
            f"the disk is full ({error.strerror}); earlier records are intact; free some space or give --results FOLDER"
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"no permission ({error.strerror}); give --results FOLDER with a folder that you may write to"
    return f"{error.strerror or error}; name a place that you may write to, such as --results FOLDER"


@dataclass(frozen=True)
class RunFolder:
    """One run's folder."""

    path: Path

    @property
    def cells(self) -> Path:
        return self.path / "cells"

    @property
    def work(self) -> Path:
        """Results of cells and raw tensors, kept until the run is complete."""
        return self.path / "work"

    def save_start(self, start: dict[str, Any]) -> None:
        write_atomic(self.path / "run.json", _json(start))

    def start(self) -> dict[str, Any]:
        return _read_json(self.path / "run.json")

    def save_cell(self, cell: CellRecord) -> None:
        write_atomic(self.cells / f"{cell.id}.json", _json(cell.model_dump(mode="json")))

    def finished_cells(self) -> dict[str, CellRecord]:
        found = {}
        for path in sorted(self.cells.glob("*.json")):
            try:
                found[path.stem] = CellRecord.model_validate(_read_json(path))
            except ValidationError:
                continue
        return found

    def save_record(self, record: Record) -> None:
        if (self.path / "record.json").exists():
            raise ResultsError(f"{self.path / 'record.json'}: a record is never rewritten; start a new run")
        write_atomic(self.path / "record.json", _json(record.to_json()))

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Held while the run goes on, by the kernel: it ends with the process, however that ends."""
        with (self.path / ".lock").open("w") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise ResultsError(
                    f"{self.path}: this run is still going on in another process; wait for it, or stop it"
                ) from None
            yield
        if self.complete:
            (self.path / ".lock").unlink(missing_ok=True)

    @property
    def running(self) -> bool:
        """Whether another process holds the lock."""
        try:
            with self.locked():
                return False
        except (ResultsError, OSError):
            return True

    @property
    def complete(self) -> bool:
        return (self.path / "record.json").is_file()


def new_run(results: Path, machine: str) -> RunFolder:
    """Makes results/<machine>/<date>-<id>/. ResultsError where that can't be written."""
    name = f"{time.strftime('%Y-%m-%d')}-{time.strftime('%H%M%S')}-{secrets.token_hex(2)}"
    run = RunFolder(results / machine / name)
    try:
        run.cells.mkdir(parents=True)
        run.work.mkdir()
    except OSError as e:
        raise ResultsError(f"{run.path}: the results folder cannot be made: {why_not_written(e)}") from None
    return run


def list_runs(results: Path) -> list[RunFolder]:
    """Runs below a results folder, oldest first; `results` may also be one run."""
    if (results / "run.json").is_file() or (results / "record.json").is_file():
        return [RunFolder(results)]
    if not results.is_dir():
        raise ResultsError(f"{results}: no such results folder; 'seatrial run PLAN' makes one")
    starts = {*results.glob("*/*/run.json"), *results.glob("*/run.json")}
    return [RunFolder(p.parent) for p in sorted(starts, key=lambda p: p.parent.name)]


def latest_interrupted(results: Path, machine: str, identity: dict[str, Any]) -> RunFolder:
    """The newest unfinished run of the same trial on this machine. ResultsError where there is none to resume."""
    runs = [
        r for r in (list_runs(results) if results.is_dir() else []) if r.path.parent.name == machine and not r.complete
    ]
    other = ""
    for run in reversed(runs):
        try:
            start = run.start()
        except ResultsError:  # somebody else's damage is no reason not to find ours
            continue
        differs = [key for key, value in identity.items() if start.get(key) != value]
        if not differs:
            return run
        other = other or f" ({run.path.name} is unfinished, but its {' and '.join(differs).replace('_', ' ')} differ)"
    raise ResultsError(f"{results / machine}: no interrupted run of this trial to resume{other}; run without --resume")


def find_run(text: str, results: Path, but: str = "") -> RunFolder:
    """A run by its folder, its record.json, its name or a unique part of it, or 'latest', which is of no kind `but`."""
    path = Path(text)
    if path.is_file():
        path = path.parent
    if (path / "run.json").is_file() or (path / "record.json").is_file():
        return RunFolder(path)
    runs = list_runs(results)
    if text == "latest" and runs:
        wanted = [r for r in runs if not but or _kind(r) != but] or runs
        return next((r for r in reversed(wanted) if r.complete), wanted[-1])
    matches = [r for r in runs if r.path.name == text] or [r for r in runs if text in r.path.name]
    if len(matches) == 1:
        return matches[0]
    names = ", ".join(r.path.name for r in (matches or runs)[-5:]) or "none"
    what = "several runs match" if matches else "no run matches"
    raise ResultsError(f"{what} {text!r} in {results}; expected a run's folder, 'latest', or one of {names}")


def _kind(run: RunFolder) -> str:
    """'trial', 'bench' or 'compare', without reading the record of a damaged run."""
    try:
        return load_record(run, check=False).kind
    except ResultsError:
        return ""


def load_record(run: RunFolder, check: bool = True) -> Record:
    """The record of a complete run. ResultsError where it is missing, damaged or of an unknown schema.

    check: whether its decisions still follow from its files, which takes reading all samples; not for lists of many runs.
    """
    path = run.path / "record.json"
    if not path.is_file():
        raise ResultsError(f"{run.path}: this run is not complete; carry on with 'seatrial run PLAN --resume'")
    data = _read_json(path)
    if data.get("schema") != "seatrial.record/1":
        raise ResultsError(
            f"{path}: expected schema seatrial.record/1, got {data.get('schema')!r}; use a newer seatrial"
        )
    try:
        record = Record.from_json(data)
    except ValidationError as e:
        first = e.errors()[0]
        raise ResultsError(
            f"{path}: the record is damaged at {'.'.join(map(str, first['loc']))}: {first['msg']}"
        ) from None
    if check:
        Evidence(run.path).check(record)
    return record


def _json(data: Any) -> bytes:
    return (json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _read_json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text("utf-8"))
    except OSError as e:
        raise ResultsError(f"{path}: cannot be read: {e.strerror}") from None
    except ValueError as e:
        raise ResultsError(f"{path}: the file is damaged ({e}); restore it or delete the run's folder") from None
    if not isinstance(data, dict):
        raise ResultsError(f"{path}: the file is damaged: expected a JSON object")
    return data
