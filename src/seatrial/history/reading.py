"""JSON files of a run, of this schema or an older one, as models. Keys that nobody knows are passed over; a newer schema is
refused by name. Not for: which files there are (run_folder.py, find.py)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from seatrial.errors import ResultsError
from seatrial.history import schema1
from seatrial.history.files import read_json
from seatrial.history.records import CELL_SCHEMA, RUN_SCHEMA, SCHEMA, CellRecord, Record, RunStart

Model = TypeVar("Model", bound=BaseModel)


def read_record(path: Path) -> tuple[Record, dict[str, Any]]:
    """record.json as a model, and as it stands there. ResultsError where it is damaged or of a newer schema."""
    data = read_json(path)
    check_schema(path, data)
    try:
        own = {**data, "schema_": SCHEMA} if data["schema"] == SCHEMA else schema1.record_of(data)
        return _validated(Record, _as_called_now(own), path), data
    except (TypeError, ValueError, AttributeError):  # some part of it is no object or no list
        raise ResultsError(f"{path}: the record is damaged; restore it or delete the run's folder") from None


def check_schema(path: Path, record: dict[str, Any]) -> None:
    """ResultsError where it is none that is known here."""
    if record.get("schema") not in (SCHEMA, schema1.RECORD):
        raise _unknown(path, SCHEMA, record.get("schema"))


def read_start(path: Path) -> RunStart:
    """run.json. As read_record."""
    data = read_json(path)
    if "schema" not in data:
        data = schema1.start_of(data)
    elif data["schema"] != RUN_SCHEMA:
        raise _unknown(path, RUN_SCHEMA, data["schema"])
    return _validated(RunStart, data, path)


def read_cell(path: Path) -> CellRecord | None:
    """cells/ID.json; None where it is of a newer schema, or no whole cell: nothing is known of it, and it is measured again."""
    try:
        data = read_json(path)
        if data.get("schema", CELL_SCHEMA) == CELL_SCHEMA:
            return CellRecord.model_validate(data if "schema" in data else schema1.cell_of(data))
    except (ResultsError, TypeError, ValueError, AttributeError):  # not whole; pydantic's error is a ValueError
        pass
    return None


def _as_called_now(data: dict[str, Any]) -> dict[str, Any]:
    """Precisions as they are called since conversions/2. Ids stay: samples are found by them."""
    if data.get("conversions", 1) > 1:
        return data
    cells = [{**c, "precision": "int8-u8"} if c.get("precision") == "int8" else c for c in data.get("cells", [])]
    return {**data, "cells": cells}


def _unknown(path: Path, known: str, got: Any) -> ResultsError:
    return ResultsError(f"{path}: expected schema {known} or older, got {got!r}; use a newer seatrial")


def _validated(kind: type[Model], data: dict[str, Any], path: Path) -> Model:
    try:
        return kind.model_validate(data)
    except ValidationError as e:
        first = e.errors()[0]
        what = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise ResultsError(f"{path}: the record is damaged at {what}") from None
