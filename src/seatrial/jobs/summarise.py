"""A cell's samples to the numbers in its record. For: arithmetic. Not for: processes or files."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.history.records import CellRecord, EngineComparison, Measured, StageSummary
from seatrial.jobs.task import Answer, StageEngines
from seatrial.stages import END_TO_END
from seatrial.stats.sample import BLOCKS, CONFIDENCE, effective_count, percentile_estimate
from seatrial.stats.share import LONGEST_RUN
from seatrial.units import format_seconds

QUANTILES = {"p50": 0.50, "p90": 0.90, "p95": 0.95, "p99": 0.99}
# Stages share clock readings, so only the loop's own work can lie between them; more means the table is wrong.
STAGE_SUM_TOLERANCE = 0.02


def summarise_stages(
    table_ns: npt.NDArray[np.int64], stages: list[str], longest_run: int = LONGEST_RUN
) -> dict[str, StageSummary]:
    """Table (n, 1 + stages + 1): start, one a stage, end to end, to a summary a stage; seconds a batch."""
    seconds = table_ns[:, 1:] / 1e9
    total = float(seconds[:, -1].sum())
    return {
        name: stage_summary(seconds[:, i], float(seconds[:, i].sum()) / total if total else 0.0, longest_run)
        for i, name in enumerate([*stages, END_TO_END])
    }


def stage_summary(seconds: npt.NDArray[np.float64], share: float, longest_run: int = LONGEST_RUN) -> StageSummary:
    values = {}
    for name, quantile in QUANTILES.items():
        e = percentile_estimate(seconds, quantile, CONFIDENCE, longest_run)
        values[name] = Measured(
            value=e.value,
            unit="s",
            interval=(e.low, e.high),
            confidence=CONFIDENCE,
            n=e.n,
            n_eff=e.n_eff,
            warnings=e.warnings,
        )
    return StageSummary(mean=_mean(seconds, "s"), **values, share=share)


def _mean(values: npt.NDArray[np.float64], unit: str) -> Measured:
    """Mean with a Student interval over block means, which carry slow drift that single samples hide."""
    mean, n = float(values.mean()), len(values)
    interval = None
    if n >= 2 * BLOCKS:
        from scipy.special import stdtrit

        blocks = np.array([b.mean() for b in np.array_split(values, BLOCKS)])
        half = float(stdtrit(BLOCKS - 1, 0.5 + CONFIDENCE / 2)) * float(blocks.std(ddof=1)) / BLOCKS**0.5
        interval = (mean - half, mean + half)
    return Measured(
        value=mean,
        unit=unit,
        interval=interval,
        confidence=CONFIDENCE if interval else None,
        n=n,
        n_eff=effective_count(values),
    )


def throughput(table_ns: npt.NDArray[np.int64], batch: int) -> Measured:
    """Images a second of back-to-back batches; what the harness does between two batches is not the pipeline's."""
    seconds = _mean(table_ns[:, -1] / 1e9, "s")
    interval = None
    if seconds.interval and seconds.interval[0] and seconds.interval[1] and seconds.interval[0] > 0:
        interval = (batch / seconds.interval[1], batch / seconds.interval[0])
    return Measured(
        value=batch / seconds.value, unit="images/s", interval=interval, confidence=seconds.confidence, n=seconds.n,
        n_eff=seconds.n_eff,
    )  # fmt: skip


def exact(value: float, unit: str) -> Measured:
    """A single reading: a size, a peak, one start."""
    return Measured(value=float(value), unit=unit)


def measured_fields(
    answer: Answer, table_ns: npt.NDArray[np.int64], batch: int, model_bytes: int, longest_run: int = LONGEST_RUN
) -> dict[str, Any]:
    """The fields of a CellRecord that come from its process."""
    stages = summarise_stages(table_ns, answer.stages, longest_run)
    warnings = []
    doubt = ""
    gap = abs(1 - sum(stages[s].share for s in answer.stages))
    if gap > STAGE_SUM_TOLERANCE:
        doubt = (
            f"the stages add up to {1 - gap:.1%} of the end-to-end time; the rest lies between them, such as "
            "waiting for the interpreter where several clients run Python"
        )
        warnings.append(doubt)
    if not answer.converged:
        half = stages[END_TO_END].p50.interval
        ends = [format_seconds(v) for v in half or () if v]
        spread = f": p50 lies between {ends[0]} and {ends[1]}" if len(ends) == 2 else ""
        warnings.append(
            f"NOT CONVERGED within {answer.elapsed_s:.1f} s{spread}; raise measure.max_time or quiet the machine"
        )
    if answer.image_source == "disk":
        warnings.append("the images did not fit in memory: decode includes reading them from disk")
    warnings += answer.doubts
    if answer.engines_problem:
        warnings.append(f"native and reference kernels could not be compared: {answer.engines_problem}")
    return {
        "stages": stages,
        "throughput": throughput(table_ns, batch),
        "peak_memory": exact(answer.peak_memory_bytes, "B"),
        "load": exact(answer.load_s, "s"),
        "first_inference": exact(answer.first_inference_s, "s"),
        "cold_start": exact(answer.load_s + answer.first_inference_s, "s"),
        "model_size": exact(model_bytes, "B"),
        "nan_outputs": tuple(answer.nan_outputs),
        "warm_up": answer.warm_up,
        "converged": answer.converged,
        "affinity": tuple(answer.affinity),
        "backend_details": answer.backend_details,
        "io_policy": answer.io_policy,
        "engines": {stage: _compared(times) for stage, times in answer.engines.items()},
        "doubt": doubt,
        "warnings": tuple(warnings),
    }


def _compared(times: StageEngines) -> EngineComparison:
    def median(durations_ns: list[int]) -> Measured:
        # Rounds in random order, not a stream of requests.
        e = percentile_estimate(np.array(durations_ns) / 1e9, 0.5, CONFIDENCE, longest_run=1)
        return Measured(
            value=e.value, unit="s", interval=(e.low, e.high), confidence=CONFIDENCE, n=e.n, n_eff=e.n_eff, warnings=e.warnings
        )  # fmt: skip

    return EngineComparison(
        native=median(times.native_ns),
        reference=median(times.reference_ns),
        same=times.same,
        difference=times.difference,
    )


def stage_seconds(record: CellRecord, table_ns: npt.NDArray[np.int64], stage: str) -> npt.NDArray[np.float64]:
    """One stage's samples in seconds, by name."""
    names = list(record.stages)
    return table_ns[:, 1 + names.index(stage)] / 1e9
