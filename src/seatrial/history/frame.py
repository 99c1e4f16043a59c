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
    frame = pd.DataFrame(rows, columns=COLUMNS)
    # A column of which no run has a value is one of numbers all the same.
    empty = [name for name in COLUMNS if name not in TEXTS and frame[name].dtype == object]
    frame[empty] = frame[empty].astype("float64")
    return frame


TEXTS = {
    "run", "kind", "created", "machine", "fingerprint", "pipeline", "model", "backend", "precision", "scenario", "status",
    "reason", "stage", "accuracy_name", "against", "metric", "verdict",
}  # fmt: skip


PERCENTILES = ("p50", "p90", "p95", "p99")
COLUMNS = [
    "run",
    "kind",
    "created",
    "machine",
    "fingerprint",
    "pipeline",
    "model",
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
    "p90_low_s",
    "p90_high_s",
    "p95_s",
    "p95_low_s",
    "p95_high_s",
    "p99_s",
    "p99_low_s",
    "p99_high_s",
    "share",
    "throughput_images_per_s",
    "requests_per_s",
    "bound_s",
    "bound_quantile",
    "estimated_rate_per_s",
    "estimated_rate_low_per_s",
    "estimated_rate_high_per_s",
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
        "model": record.models[cell.pipeline].path if cell.pipeline in record.models else None,
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
        counts = {"stage": stage, "n": s.p50.n, "n_eff": s.p50.n_eff, "mean_s": s.mean.value, "share": s.share}
        rows.append(
            common | counts | {k: v for p in PERCENTILES for k, v in _interval(f"{p}_s", getattr(s, p)).items()}
        )
    return rows


def _interval(column: str, m: Measured | None) -> dict[str, float | None]:
    """A value and its ends; an end that is not known is none: the value of such a percentile is what was seen."""
    name, unit = column.split("_", 1)
    low, high = (m.interval if m else None) or (None, None)
    return {column: _value(m), f"{name}_low_{unit}": low, f"{name}_high_{unit}": high}


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
    estimated = (load.rate_estimate.interval if load.rate_estimate else None) or (None, None)
    return {
        "scenario": load.scenario,
        "clients": load.clients,
        "rate_per_s": load.rate_per_s,
        "requests_per_s": _value(load.requests_per_s),
        "bound_s": load.bound_s,
        "bound_quantile": load.bound_quantile,
        "estimated_rate_per_s": _value(load.rate_estimate),
        "estimated_rate_low_per_s": estimated[0],
        "estimated_rate_high_per_s": estimated[1],
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
