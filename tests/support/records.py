"""Records made by hand: a cell from a table of samples, and a run around cells. Not for: what a real run writes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.history.records import CellRecord, ImagesSection, Measured, Measurement, PlanSection, Record
from seatrial.jobs.summarise import stage_summary, summarise_stages
from seatrial.stages import PIPELINE_STAGES

Table = npt.NDArray[np.int64]

ENVIRONMENT: dict[str, Any] = {
    "machine": "test-bench", "cpu": "some CPU", "cores": 2, "memory_bytes": 1 << 34, "virtual": True, "turbo": None, "gpus": [],
    "packages": {"seatrial": "0", "numpy": "2"}, "disturbances": [{"code": "other-load", "text": "other work <here>", "cure": "stop it"}],
}  # fmt: skip
MODEL: dict[str, Any] = {
    "path": "/models/m.onnx", "size_bytes": 4096, "digest": "sha256:" + "0" * 64, "opset": 17, "inputs": ["x"], "outputs": ["y"],
}  # fmt: skip


def measured(
    value: float, low: float | None = None, high: float | None = None, unit: str = "s", **more: Any
) -> Measured:
    """A figure of a hundred samples; an end of its interval that is not given is not known."""
    fields = {"value": value, "unit": unit, "interval": (low, high), "confidence": 0.95, "n": 100, "n_eff": 100}
    return Measured(**(fields | more))


def measurement(table_ns: Table, stages: Sequence[str] = PIPELINE_STAGES, **fields: Any) -> Measurement:
    """stages: the names of the table's columns behind the start. A server's table, which has a queue, has a service too."""
    found = summarise_stages(table_ns, stages)
    if stages[0] == "queue":
        service = (table_ns[:, -1] - table_ns[:, 1]) / 1e9
        found |= {"service": stage_summary(service, float(service.sum() / table_ns[:, -1].sum() * 1e9))}
    return Measurement(stages=found, **fields)


def cell(
    pipeline: str = "only", backend: str = "fake", precision: str = "fp32", batch: int = 1, threads: int = 1, point: str = "",
    **fields: Any,
) -> CellRecord:  # fmt: skip
    """Of what is named. point: what stands behind the '@' of a bench's cell."""
    made = {
        "id": f"{pipeline}.{backend}.{precision}.b{batch}.t{threads}" + (f"@{point}" if point else ""), "pipeline": pipeline,
        "backend": backend, "precision": precision, "batch": batch, "threads": threads, "status": "ok",
    }  # fmt: skip
    return CellRecord(**(made | fields))


def with_measurement(cell: CellRecord, **fields: Any) -> CellRecord:
    """The cell with these parts of its measurement in place of its own."""
    return cell.model_copy(update={"measurement": cell.measured.model_copy(update=fields)})


def read(data: dict[str, Any]) -> Record:
    """What --json wrote, as the record that it is."""
    return Record.model_validate({"schema_": data["schema"], **{k: v for k, v in data.items() if k != "schema"}})


def record(cells: Iterable[CellRecord] = (), **fields: Any) -> Record:
    """A complete bench, unless said otherwise."""
    made = {
        "id": "2026-01-02-030405-0000", "created": "2026-01-02T03:04:05+00:00", "kind": "bench", "verdict": "PASS",
        "wall_s": 3.0, "plan": PlanSection(), "images": ImagesSection(count=0), "models": {"bench": MODEL},
        "environment": ENVIRONMENT, "cells": tuple(cells), "decisions": (),
    }  # fmt: skip
    return Record(**(made | fields))
