"""One run's folder: results/<machine>/<date>-<id>/. Each file is written once, whole or not at all.

    run.json          written first: environment, and plan, images, models and truth by digest: what --resume compares
    cells/ID.json     as each cell ends
    samples.parquet   raw samples: one row an iteration
    evaluations.parquet   what was right on each image, where there is truth
    record.json       last: its presence means that the run is complete
    report.html       can be made again from the rest

For: whoever runs something, as a context: its lock, its rescue and its clean-up are armed once. Not for: finding runs and
reading records (find.py), or what is in one (records/).
"""

from __future__ import annotations

import contextlib
import fcntl
import secrets
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

from seatrial.errors import NOT_UTF8, ResultsError, is_utf8, option, printable
from seatrial.history.files import is_full, sync_folder, why_not_written
from seatrial.history.reading import read_cell, read_start
from seatrial.history.records import CellRecord, Record, RunStart
from seatrial.history.rescue import Unsafe, rescued
from seatrial.history.samples import Evaluations, save_samples, save_table
from seatrial.history.writing import write_cell, write_record, write_start
from seatrial.interrupts import interrupted, interrupts_held, interrupts_noted

I64 = npt.NDArray[np.int64]


class RunFolder:
    """A place to read from; entered, a place to write to, held against every other process.

    What is measured and finds no room here is kept somewhere else, and the error says where. Nothing is left of a run that
    ends with nothing measured and cannot be resumed.
    """

    def __init__(self, path: Path, *, resumable: bool = True, made: Sequence[Path] = ()) -> None:
        """made: folders that go with it, the deepest first, where nothing was measured."""
        self.path = path
        self._resumable = resumable
        self._made = made
        self._unsafe = Unsafe()
        self._stack = contextlib.ExitStack()

    @property
    def cells(self) -> Path:
        return self.path / "cells"

    @property
    def work(self) -> Path:
        """Results of cells and raw tensors, kept until the run is complete."""
        return self.path / "work"

    def __enter__(self) -> Self:
        """ResultsError where another process holds it, or where the folder can't be written or locked."""
        try:
            with contextlib.ExitStack() as stack:
                stack.enter_context(_locked(self.path))
                stack.enter_context(interrupts_noted())
                self._stack = stack.pop_all()
        except ResultsError:
            self._remove_unless_worth_keeping()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A library may have made an error of its own of Ctrl-C; what is written says more than that somebody had lost patience.
        swallowed = isinstance(error, Exception) and not isinstance(error, ResultsError) and interrupted()
        self._stack.close()
        place = ""
        if isinstance(error, ResultsError) or (isinstance(error, OSError) and is_full(error)):
            place = rescued(self.path, self._unsafe)
        if self.complete:
            (self.path / ".lock").unlink(missing_ok=True)
        elif error is not None:
            self._remove_unless_worth_keeping()
        if swallowed:
            raise KeyboardInterrupt from error
        if isinstance(error, ResultsError) and place:
            raise ResultsError(f"{error.raw}\n{place}") from error
        if isinstance(error, OSError) and is_full(error):
            why = f"{self.path}: cannot be written: {why_not_written(error)}"
            raise ResultsError("\n".join(filter(None, [why, place]))) from error

    def save_start(self, start: RunStart) -> None:
        write_start(self.path, start)

    def start(self) -> RunStart:
        """ResultsError where run.json is missing or damaged, or of a newer schema."""
        return read_start(self.path / "run.json")

    def save_cell(self, cell: CellRecord, table_ns: I64 | None = None) -> None:
        """table_ns: (n, 1 + stages + 1) int64 nanoseconds, where the cell has samples."""
        self._unsafe.cells[cell.id] = cell
        if table_ns is not None:
            self._unsafe.tables[cell.id] = table_ns
            save_table(self.work, cell.id, table_ns)
            del self._unsafe.tables[cell.id]
        write_cell(self.path, cell)

    def save_record(self, record: Record, evaluations: Evaluations = MappingProxyType({})) -> Record:
        """Last: the run is complete, and all of it is safe. Gives the record with its decisions bound to their evidence.

        evaluations: of each cell that has truth, by its id.
        """
        if self.complete:
            raise ResultsError(f"{self.path / 'record.json'}: a record is never rewritten; start a new run")
        self._unsafe.record, self._unsafe.evaluations = record, evaluations
        # A second before the end nobody wants half a record.
        with interrupts_held():
            save_samples(self.path, self.work, record.cells)
            bound = write_record(self.path, record, evaluations)
            self._unsafe = Unsafe()
            shutil.rmtree(self.work, ignore_errors=True)
        return bound

    def finished_cells(self) -> dict[str, CellRecord]:
        """By their ids, those that can be read."""
        found = {path.stem: read_cell(path) for path in sorted(self.cells.glob("*.json"))}
        return {name: cell for name, cell in found.items() if cell is not None}

    def _remove_unless_worth_keeping(self) -> None:
        resumable = self._resumable and (self.path / "run.json").is_file()
        if not resumable and not any(self.cells.glob("*.json")):
            shutil.rmtree(self.path, ignore_errors=True)
            remove_empty(self._made)

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


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Held while the run goes on, by the kernel: it ends with the process, however that ends."""
    with contextlib.ExitStack() as stack:
        try:
            stream = stack.enter_context((path / ".lock").open("w"))
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ResultsError(
                f"{path}: this run is still going on in another process; wait for it, or stop it"
            ) from None
        except OSError as e:
            raise ResultsError(f"{path}: cannot be locked: {why_not_written(e)}") from e
        yield


def new_run(results: Path, machine: str, *, resumable: bool = False) -> RunFolder:
    """Makes results/<machine>/<date>-<id>/. ResultsError where that can't be written.

    Its path is absolute: a user's code may change the working folder of a process that writes into it.
    """
    name = f"{time.strftime('%Y-%m-%d')}-{time.strftime('%H%M%S')}-{secrets.token_hex(2)}"
    path = results.absolute() / machine / name
    check_nameable(results)
    made = [folder for folder in path.parents if not folder.exists()]
    run = RunFolder(path, resumable=resumable, made=made)
    try:
        run.cells.mkdir(parents=True)
        run.work.mkdir()
        sync_folder(path.parent)
    except OSError as e:
        remove_empty(made)
        raise ResultsError(f"{path}: the results folder cannot be made: {why_not_written(e)}") from None
    return run


def check_nameable(path: Path) -> None:
    """ResultsError where files below it could not be named in records, or by libraries that write them."""
    if not is_utf8(path.absolute()):
        raise ResultsError(f"{printable(str(path.absolute()))}: {NOT_UTF8}, or give {option('results')}")


def remove_empty(folders: Sequence[Path]) -> None:
    with contextlib.suppress(OSError):
        for folder in folders:
            folder.rmdir()
