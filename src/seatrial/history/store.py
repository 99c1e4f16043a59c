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
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from seatrial.errors import ResultsError
from seatrial.history import schema1
from seatrial.history.evidence import Evidence
from seatrial.history.records import CELL_SCHEMA, RUN_SCHEMA, SCHEMA, CellRecord, Record, RunStart

Model = TypeVar("Model", bound=BaseModel)


def write_atomic(path: Path, content: bytes) -> None:
    """Writes the whole file or leaves what was there: temporary file, fsync, rename, fsync of the folder.

    Its mode is what the user's umask leaves. ResultsError says why it can't be written.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        try:
            # Opened with the usual mode, so that the kernel takes the umask, and a folder's own rules, from it.
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)
    except OSError as e:
        raise ResultsError(f"{path}: cannot be written: {why_not_written(e)}") from e


def _sync_folder(folder: Path) -> None:
    """Makes the names in a folder outlast a loss of power, as fsync does a file's content."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as e:
        if e.errno not in (errno.EINVAL, errno.ENOTSUP):  # a file system that has no such thing
            raise
    finally:
        os.close(descriptor)


def is_full(error: OSError) -> bool:
    """Whether there was no room left, on the disk or in a quota."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def why_not_written(error: OSError) -> str:
    """The reason and the cure, for people."""
    if is_full(error):
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

    def save_start(self, start: RunStart) -> None:
        write_atomic(self.path / "run.json", _json(start.model_dump(mode="json", by_alias=True)))

    def start(self) -> RunStart:
        """ResultsError where it is missing or damaged, or of a newer schema."""
        path = self.path / "run.json"
        data = read_json(path)
        if "schema" not in data:
            data = schema1.start_of(data)
        elif data["schema"] != RUN_SCHEMA:
            raise _unknown_schema(path, RUN_SCHEMA, data["schema"])
        return _validated(RunStart, data, path)

    def save_cell(self, cell: CellRecord) -> None:
        data = {"schema": CELL_SCHEMA, **cell.model_dump(mode="json")}
        write_atomic(self.cells / f"{cell.id}.json", _json(data))

    def finished_cells(self) -> dict[str, CellRecord]:
        """Those that can be read: of the others nothing is known, and they are measured again."""
        found = {}
        for path in sorted(self.cells.glob("*.json")):
            with contextlib.suppress(ValidationError):
                data = read_json(path)
                known = data.get("schema") in (None, CELL_SCHEMA)
                if known:
                    found[path.stem] = CellRecord.model_validate(data if "schema" in data else schema1.cell_of(data))
        return found

    def save_record(self, record: Record) -> None:
        if (self.path / "record.json").exists():
            raise ResultsError(f"{self.path / 'record.json'}: a record is never rewritten; start a new run")
        write_atomic(self.path / "record.json", _json(record.to_json()))

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Held while the run goes on, by the kernel: it ends with the process, however that ends.

        ResultsError where another process holds it, or where the folder can't be written or locked.
        """
        with contextlib.ExitStack() as stack:
            try:
                stream = stack.enter_context((self.path / ".lock").open("w"))
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ResultsError(
                    f"{self.path}: this run is still going on in another process; wait for it, or stop it"
                ) from None
            except OSError as e:
                raise ResultsError(f"{self.path}: cannot be locked: {why_not_written(e)}") from e
            yield
        if self.complete:
            (self.path / ".lock").unlink(missing_ok=True)

    @property
    def running(self) -> bool:
        """Whether a process holds the lock. Nothing is written, since a list of runs is also asked of a read-only disk."""
        try:
            with (self.path / ".lock").open("rb") as stream:
                fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:  # it was never locked, or lies where nobody can hold a lock
            return False
        return False

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
        _sync_folder(run.path.parent)
    except OSError as e:
        raise ResultsError(f"{run.path}: the results folder cannot be made: {why_not_written(e)}") from None
    return run


@contextlib.contextmanager
def single_run(results: Path, machine: str) -> Iterator[RunFolder]:
    """A new run that nobody resumes: where it ends with nothing measured, its folder goes, and those above that it made."""
    folder = results / machine
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        run = new_run(results, machine)
    except ResultsError:
        _remove_empty(made)
        raise
    try:
        yield run
    except BaseException:
        if not run.complete and not any(run.cells.glob("*.json")):
            shutil.rmtree(run.path, ignore_errors=True)
            _remove_empty(made)
        raise


def _remove_empty(folders: Sequence[Path]) -> None:
    with contextlib.suppress(OSError):
        for folder in folders:
            folder.rmdir()


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
        differs = [key for key, value in identity.items() if start.identity.get(key) != value]
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
        why = (
            "is still going on; wait for it"
            if run.running
            else "is not complete; carry on with 'seatrial run PLAN --resume'"
        )
        raise ResultsError(f"{run.path}: this run {why}")
    data = read_json(path)
    if data.get("schema") not in (SCHEMA, schema1.RECORD):
        raise _unknown_schema(path, SCHEMA, data.get("schema"))
    whole = _validated(Record, _record_of(data), path)
    if check:
        Evidence(run.path).check(data)
    return whole


def _record_of(data: dict[str, Any]) -> dict[str, Any]:
    if data["schema"] == SCHEMA:
        return {"schema_": SCHEMA, **{k: v for k, v in data.items() if k != "schema"}}
    return schema1.record_of(data)


def _unknown_schema(path: Path, known: str, got: Any) -> ResultsError:
    return ResultsError(f"{path}: expected schema {known} or older, got {got!r}; use a newer seatrial")


def _validated(kind: type[Model], data: dict[str, Any], path: Path) -> Model:
    try:
        return kind.model_validate(data)
    except ValidationError as e:
        first = e.errors()[0]
        what = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise ResultsError(f"{path}: the record is damaged at {what}") from None


def _json(data: Any) -> bytes:
    return (json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def read_json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text("utf-8"))
    except OSError as e:
        raise ResultsError(f"{path}: cannot be read: {e.strerror}") from None
    except ValueError as e:
        raise ResultsError(f"{path}: the file is damaged ({e}); restore it or delete the run's folder") from None
    if not isinstance(data, dict):
        raise ResultsError(f"{path}: the file is damaged: expected a JSON object")
    return data
