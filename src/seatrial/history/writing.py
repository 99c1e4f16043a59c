"""A run's files into a folder, whichever that is: its own, or another where that takes no more.

For: run_folder.py and rescue.py. ResultsError where something can't be written.
"""

from __future__ import annotations

from pathlib import Path

from seatrial.history.evidence import Evidence
from seatrial.history.files import json_bytes, write_atomic
from seatrial.history.records import CELL_SCHEMA, CellRecord, Record, RunStart
from seatrial.history.samples import Evaluations, save_evaluations


def write_start(folder: Path, start: RunStart) -> None:
    write_atomic(folder / "run.json", json_bytes(start.model_dump(mode="json", by_alias=True)))


def write_cell(folder: Path, cell: CellRecord) -> None:
    data = {"schema": CELL_SCHEMA, **cell.model_dump(mode="json")}
    write_atomic(folder / "cells" / f"{cell.id}.json", json_bytes(data))


def write_record(folder: Path, record: Record, evaluations: Evaluations) -> Record:
    """record.json, with its decisions bound to their evidence, which is read back from the folder; gives it."""
    save_evaluations(folder, record, evaluations)
    bound = Evidence(folder).bound(record)
    write_atomic(folder / "record.json", json_bytes(bound.to_json()))
    return bound
