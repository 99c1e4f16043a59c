"""What a run has measured, kept somewhere else where its own folder takes no more: run, bench and compare alike.

For: a full disk. Not for: what becomes of a folder in which there is nothing worth keeping (history/store.py).
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from seatrial.errors import ResultsError
from seatrial.history.evidence import Evidence
from seatrial.history.records import CellRecord, Record
from seatrial.history.samples import Evaluations, load_samples, save_evaluations, save_samples, save_table
from seatrial.history.store import RunFolder, is_full, why_not_written
from seatrial.interrupts import interrupted, interrupts_held, interrupts_noted

I64 = npt.NDArray[np.int64]
SHARED_MEMORY = Path("/dev/shm")


class Keep:
    """Saves into a run's folder, and remembers what is not safe there yet."""

    def __init__(self, run: RunFolder) -> None:
        self.run = run
        self._cells: dict[str, CellRecord] = {}
        self._tables: dict[str, I64] = {}
        self._record: Record | None = None
        self._evaluations: Evaluations = {}

    def cell(self, cell: CellRecord, table_ns: I64 | None = None) -> None:
        """table_ns: (n, 1 + stages + 1) int64 nanoseconds, where the cell has samples."""
        self._cells[cell.id] = cell
        if table_ns is not None:
            self._tables[cell.id] = table_ns
            save_table(self.run, cell.id, table_ns)
            del self._tables[cell.id]
        self.run.save_cell(cell)

    def record(self, record: Record, evaluations: Evaluations = MappingProxyType({})) -> Record:
        """Last: the run is complete, and all of it is safe. Gives the record with its decisions bound to their evidence.

        evaluations: of each cell that has truth, by its id.
        """
        self._record, self._evaluations = record, evaluations
        # A second before the end nobody wants half a record.
        with interrupts_held():
            save_samples(self.run, record.cells)
            save_evaluations(self.run, record, evaluations)
            bound = Evidence(self.run.path).bound(record)
            self.run.save_record(bound)
            self._record = None
            self._cells.clear()
            shutil.rmtree(self.run.work, ignore_errors=True)
        return bound

    def rescue(self) -> str:
        """Where what was measured lies now, as a sentence; empty where nothing was."""
        if self._record:
            # Cells of before a resume are among them.
            self._cells = {c.id: c for c in self._record.cells}
        count = sum(c.status != "skipped" for c in self._cells.values())
        if not (count or self._record):
            return ""
        what = f"{count} cell{'s' if count != 1 else ''}" if count else "its comparisons"
        for place in (tempfile.gettempdir, Path.home, lambda: SHARED_MEMORY):
            try:
                folder = Path(tempfile.mkdtemp(prefix="seatrial-rescue-", dir=place()))
            except (OSError, RuntimeError):  # full too, not there, or nobody's home
                continue
            try:
                samples = self._write(RunFolder(folder))
            except (OSError, ResultsError):
                shutil.rmtree(folder, ignore_errors=True)
                continue
            shown = f"; 'seatrial report {folder}' shows it" if self._record else ""
            return f"what was measured ({what}{'' if samples else ', without raw samples'}) is kept in {folder}{shown}"
        return f"what was measured ({what}) could not be kept in another place either"

    def _write(self, other: RunFolder) -> bool:
        """The same as in the run's folder; gives whether the samples are among it, which are the larger part."""
        other.cells.mkdir()
        for cell in self._cells.values():
            other.save_cell(cell)
        with contextlib.suppress(ResultsError):
            other.save_start(self.run.start())
        whole = self._write_samples(other)
        if self._record:
            save_evaluations(other, self._record, self._evaluations)
            other.save_record(Evidence(other.path).bound(self._record))
        return whole

    def _write_samples(self, other: RunFolder) -> bool:
        try:
            for cell in self._cells.values():
                if cell.stages:
                    kept = self._tables.get(cell.id)
                    save_table(other, cell.id, load_samples(self.run, cell.id) if kept is None else kept)
            save_samples(other, list(self._cells.values()))
        except (OSError, ResultsError):
            return False
        finally:
            shutil.rmtree(other.work, ignore_errors=True)
        return True


@contextlib.contextmanager
def keeping(run: RunFolder) -> Iterator[Keep]:
    """Holds the run's lock. Where its folder takes no more, what was measured is kept elsewhere, and the error says where.

    Raises:
        ResultsError: another process holds the lock, or something could not be written.
    """
    keep = Keep(run)
    try:
        with run.locked(), interrupts_noted():
            try:
                yield keep
            except ResultsError:
                raise
            except Exception as e:
                if interrupted():  # what a library made of it
                    raise KeyboardInterrupt from e
                raise
    except ResultsError as e:
        raise _with_place(e, keep) from e
    except OSError as e:
        if not is_full(e):
            raise
        raise _with_place(ResultsError(f"{run.path}: cannot be written: {why_not_written(e)}"), keep) from e


def _with_place(error: ResultsError, keep: Keep) -> ResultsError:
    return ResultsError("\n".join(filter(None, [str(error), keep.rescue()])))
