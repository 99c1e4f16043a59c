"""What a run has measured, kept somewhere else where its own folder takes no more: run, bench and compare alike.

For: a full disk. Not for: what becomes of a folder in which there is nothing worth keeping (run_folder.py).
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from seatrial.errors import ResultsError
from seatrial.history.reading import read_start
from seatrial.history.records import CellRecord, Record
from seatrial.history.samples import Evaluations, load_samples, save_samples, save_table
from seatrial.history.writing import write_cell, write_record, write_start

SHARED_MEMORY = Path("/dev/shm")


@dataclass
class Unsafe:
    """What is not all safe in its folder yet. tables: those of cells whose samples are not there."""

    cells: dict[str, CellRecord] = field(default_factory=dict)
    tables: dict[str, npt.NDArray[np.int64]] = field(default_factory=dict)
    record: Record | None = None
    evaluations: Evaluations = field(default_factory=dict)


def rescued(folder: Path, unsafe: Unsafe) -> str:
    """Where what was measured lies now, as a sentence; empty where nothing was."""
    # Cells of before a resume are among the record's.
    cells = {c.id: c for c in unsafe.record.cells} if unsafe.record else unsafe.cells
    count = sum(c.status != "skipped" for c in cells.values())
    if not (count or unsafe.record):
        return ""
    what = f"{count} cell{'s' if count != 1 else ''}" if count else "its comparisons"
    for place in (tempfile.gettempdir, Path.home, lambda: SHARED_MEMORY):
        try:
            other = Path(tempfile.mkdtemp(prefix="seatrial-rescue-", dir=place()))
        except (OSError, RuntimeError):  # full too, not there, or nobody's home
            continue
        try:
            samples = _write(folder, other, unsafe, cells)
        except (OSError, ResultsError):
            shutil.rmtree(other, ignore_errors=True)
            continue
        view = f"; 'seatrial report {other}' shows it" if unsafe.record else ""
        return f"what was measured ({what}{'' if samples else ', without raw samples'}) is kept in {other}{view}"
    return f"what was measured ({what}) could not be kept in another place either"


def _write(folder: Path, other: Path, unsafe: Unsafe, cells: dict[str, CellRecord]) -> bool:
    """The same as in the run's folder; gives whether the samples are among it, which are the larger part."""
    (other / "cells").mkdir()
    for cell in cells.values():
        write_cell(other, cell)
    with contextlib.suppress(ResultsError):
        write_start(other, read_start(folder / "run.json"))
    whole = _write_samples(folder, other, unsafe, cells)
    if unsafe.record:
        write_record(other, unsafe.record, unsafe.evaluations)
    return whole


def _write_samples(folder: Path, other: Path, unsafe: Unsafe, cells: dict[str, CellRecord]) -> bool:
    work = other / "work"
    try:
        for cell in cells.values():
            if cell.stages:
                table = unsafe.tables.get(cell.id)
                save_table(work, cell.id, load_samples(folder / "work", cell.id) if table is None else table)
        save_samples(other, work, list(cells.values()))
    except (OSError, ResultsError):
        return False
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return True
