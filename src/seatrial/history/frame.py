"""Records as a pandas table: one row a cell and stage, and one a comparison. Public as seatrial.load_results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from seatrial.errors import ResultsError
from seatrial.history.find import list_runs, load_record
from seatrial.history.records import Accuracy, CellRecord, Comparison, LoadResult, Measured, Measurement, Record

if TYPE_CHECKING:
    import pandas as pd


def load_results(path: str | Path) -> pd.DataFrame:
    """All complete runs below a results folder (or one run) as a table, one row a cell and stage, and one a comparison.

    Base units: seconds, bytes, images or requests per second. A failed or skipped cell has one row without a stage, so that it
    is not overlooked. A comparison's row has a `metric`, which cells' have not: `pipeline` against `against`, the `change` as a
    fraction with its interval, and its own verdict. ResultsError where the folder is missing or a record is damaged.
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
            rows += [_compared(record, c) for c in record.comparisons]
    return pd.DataFrame(rows, columns=COLUMNS)


COLUMNS = [
    "run",
    "kind",
    "created",
    "machine",
    "fingerprint",
    "pipeline",
    "backend",
    "precision",
    "batch",
    "threads",
    "scenario",
    "clients",
    "rate_per_s",
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
    "requests_per_s",
    "bound_s",
    "bound_quantile",
    "estimated_rate_per_s",
    "proved_rate_per_s",
    "peak_memory_bytes",
    "cold_start_s",
    "model_size_bytes",
    "accuracy_name",
    "accuracy",
    "agreement",
    "against",
    "metric",
    "change",
    "change_low",
    "change_high",
    "margin",
    "verdict",
]


def _rows(record: Record, cell: CellRecord) -> list[dict[str, Any]]:
    m, accuracy = cell.measurement or Measurement(stages={}), cell.accuracy or Accuracy()
    common: dict[str, Any] = {
        **_run(record),
        **_load(cell.load),
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


def _run(record: Record) -> dict[str, Any]:
    return {
        "run": record.id,
        "kind": record.kind,
        "created": record.created,
        "machine": record.environment.machine or None,
        "fingerprint": record.environment.fingerprint or None,
    }


def _load(load: LoadResult | None) -> dict[str, Any]:
    """Of a bench's cell; a search was measured at many rates, and at none for good."""
    if load is None:
        return {}
    return {
        "scenario": load.scenario,
        "clients": load.clients,
        "rate_per_s": load.rate_per_s,
        "requests_per_s": _value(load.requests_per_s),
        "bound_s": load.bound_s,
        "bound_quantile": load.bound_quantile,
        "estimated_rate_per_s": _value(load.rate_estimate),
        "proved_rate_per_s": _value(load.found_rate),
    }


def _compared(record: Record, c: Comparison) -> dict[str, Any]:
    low, high = (c.change.interval if c.change else None) or (None, None)
    return {
        **_run(record),
        "pipeline": c.b,
        "against": c.a,
        "stage": c.stage,
        "metric": c.metric,
        "reason": c.reason,
        "change": _value(c.change),
        "change_low": low,
        "change_high": high,
        "margin": c.margin,
        "verdict": c.verdict,
    }


def _value(m: Measured | None) -> float | None:
    return None if m is None else m.value
