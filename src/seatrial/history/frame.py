"""Records as a pandas table: one row a cell and stage. Public as seatrial.load_results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from seatrial.errors import ResultsError
from seatrial.history.find import list_runs, load_record
from seatrial.history.records import Accuracy, CellRecord, Measured, Measurement, Record

if TYPE_CHECKING:
    import pandas as pd


def load_results(path: str | Path) -> pd.DataFrame:
    """All complete runs below a results folder (or one run) as a table, one row a cell and stage.

    Base units: seconds, bytes, images per second. A failed or skipped cell has one row without a stage, so that it is
    not overlooked. ResultsError where the folder is missing or a record is damaged.
    """
    import pandas as pd

    rows: list[dict[str, Any]] = []
    runs = list_runs(Path(path))
    if not runs:
        raise ResultsError(
            f"{path}: no runs in this folder; expected a results folder, a machine's folder in it, or one run"
        )
    for run in runs:
        if run.complete:
            record = load_record(run)
            rows += [row for cell in record.cells for row in _rows(record, cell)]
    return pd.DataFrame(rows, columns=COLUMNS)


COLUMNS = [
    "run",
    "created",
    "machine",
    "fingerprint",
    "pipeline",
    "backend",
    "precision",
    "batch",
    "threads",
    "status",
    "reason",
    "stage",
    "n",
    "n_eff",
    "mean_s",
    "p50_s",
    "p50_low_s",
    "p50_high_s",
    "p90_s",
    "p95_s",
    "p99_s",
    "share",
    "throughput_images_per_s",
    "peak_memory_bytes",
    "cold_start_s",
    "model_size_bytes",
    "accuracy_name",
    "accuracy",
    "agreement",
    "verdict",
]


def _rows(record: Record, cell: CellRecord) -> list[dict[str, Any]]:
    m, accuracy = cell.measurement or Measurement(stages={}), cell.accuracy or Accuracy()
    common: dict[str, Any] = {
        "run": record.id,
        "created": record.created,
        "machine": record.environment.machine or None,
        "fingerprint": record.environment.fingerprint or None,
        "pipeline": cell.pipeline,
        "backend": cell.backend,
        "precision": cell.precision,
        "batch": cell.batch,
        "threads": cell.threads,
        "status": cell.status,
        "reason": cell.reason,
        "throughput_images_per_s": _value(m.throughput),
        "peak_memory_bytes": _value(m.peak_memory),
        "cold_start_s": _value(m.cold_start),
        "model_size_bytes": _value(m.model_size),
        "accuracy_name": accuracy.metric,
        "accuracy": _value(accuracy.value),
        "agreement": cell.parity.agreement if cell.parity else None,
        "verdict": record.verdict,
    }
    if not cell.stages:
        return [common | {"stage": None}]
    rows = []
    for stage, s in cell.stages.items():
        low, high = s.p50.interval or (None, None)
        rows.append(
            common
            | {
                "stage": stage,
                "n": s.p50.n,
                "n_eff": s.p50.n_eff,
                "mean_s": s.mean.value,
                "p50_s": s.p50.value,
                "p50_low_s": low,
                "p50_high_s": high,
                "p90_s": s.p90.value,
                "p95_s": s.p95.value,
                "p99_s": s.p99.value,
                "share": s.share,
            }
        )
    return rows


def _value(m: Measured | None) -> float | None:
    return None if m is None else m.value
