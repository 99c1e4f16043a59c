"""A cell's samples to the numbers in its record. For: arithmetic. Not for: processes or files."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from seatrial.errors import count_of
from seatrial.history.records import CellRecord, Measured, Measurement, StageSummary
from seatrial.jobs.workload import OpenedFacts, Stopping, Timing
from seatrial.stages import END_TO_END, ON_THE_DEVICE, kernel_column
from seatrial.stats.level import level_shift
from seatrial.stats.means import mean_interval
from seatrial.stats.sample import CONFIDENCE, Estimate, effective_count, percentile_estimate, quantile_of
from seatrial.stats.share import LONGEST_RUN
from seatrial.timing.measure import STEADY_NS
from seatrial.units import format_seconds
from seatrial.warning import Warning

PERCENTILES = ("p50", "p90", "p95", "p99")
# Stages share clock readings, so only the loop's own work can lie between them; more means the table is wrong.
STAGE_SUM_TOLERANCE = 0.02
LEAST_FOR_SPREAD = 20
# How many times the time that was measured may be asked for.
MOST_TIMES = 30


def summarise_stages(
    table_ns: npt.NDArray[np.int64], stages: Sequence[str], longest_run: int = LONGEST_RUN
) -> dict[str, StageSummary]:
    """Table (n, 1 + stages + 1): start, one a stage, end to end, to a summary a stage; seconds a batch."""
    seconds = table_ns[:, 1:] / 1e9
    total = float(seconds[:, -1].sum())
    return {
        name: stage_summary(seconds[:, i], float(seconds[:, i].sum()) / total if total else 0.0, longest_run)
        for i, name in enumerate([*stages, END_TO_END])
    }


def stage_summary(seconds: npt.NDArray[np.float64], share: float, longest_run: int = LONGEST_RUN) -> StageSummary:
    values = {
        name: record_of(percentile_estimate(seconds, quantile_of(name), CONFIDENCE, longest_run), "s")
        for name in PERCENTILES
    }
    return StageSummary(mean=_mean(seconds, "s"), **values, share=share)


def record_of(e: Estimate, unit: str) -> Measured:
    """Here, since history does not see stats, nor stats a record."""
    return Measured(
        value=e.value,
        unit=unit,
        interval=(e.low, e.high),
        confidence=e.confidence,
        n=e.n,
        n_eff=e.n_eff,
        needed=e.needed,
        warnings=e.warnings,
    )


def _mean(values: npt.NDArray[np.float64], unit: str) -> Measured:
    interval = mean_interval(values)
    return Measured(
        value=float(values.mean()),
        unit=unit,
        interval=interval,
        confidence=CONFIDENCE if interval else None,
        n=len(values),
        n_eff=effective_count(values),
    )


def throughput(table_ns: npt.NDArray[np.int64], batch: int) -> Measured:
    """Images a second of back-to-back batches; what the harness does between two batches is not the pipeline's."""
    seconds = _mean(table_ns[:, -1] / 1e9, "s")
    interval = None
    if seconds.interval and seconds.interval[0] and seconds.interval[1] and seconds.interval[0] > 0:
        interval = (batch / seconds.interval[1], batch / seconds.interval[0])
    return Measured(
        value=batch / seconds.value,
        unit="images/s",
        interval=interval,
        confidence=seconds.confidence,
        n=seconds.n,
        n_eff=seconds.n_eff,
    )


def exact(value: float, unit: str) -> Measured:
    """A single reading: a size, a peak, one start."""
    return Measured(value=float(value), unit=unit)


def measurement_of(
    stages: Sequence[str],
    table_ns: npt.NDArray[np.int64],
    batch: int,
    opened: OpenedFacts | None,
    timing: Timing,
    stopping: Stopping,
) -> Measurement:
    """What any measurement shows. stages: the names of the table's columns behind the start. opened: None where nobody lived
    to tell."""
    summaries = summarise_stages(table_ns, stages, stopping.longest_run)
    changed = changed_kernels(stages, table_ns, opened)
    start = {} if opened is None else {"load_time": opened.load_s, "first_inference": opened.first_inference_s}
    return Measurement(
        stages=summaries,
        throughput=throughput(table_ns, batch),
        **{name: exact(seconds, "s") for name, seconds in start.items()},
        cold_start=exact(sum(start.values()), "s") if start else None,
        warm_up=timing.warm_up,
        converged=timing.converged,
        known_to=timing.known_to,
        spread_of=_spread_of(table_ns, stages),
        enough_s=_enough_s(timing, stopping, len(table_ns)),
        backend_details=opened.details if opened else {},
        io_policy=opened.io_policy if opened else "",
        doubt=_doubt([summaries[s].share for s in stages if s not in ON_THE_DEVICE])
        or (changed.text if changed else ""),
    )


def _doubt(shares: Sequence[float]) -> str:
    """Why the stages' times may not be judged; '' where they add up to the whole."""
    gap = abs(1 - sum(shares))
    if gap <= STAGE_SUM_TOLERANCE:
        return ""
    return (
        f"the stages add up to {1 - gap:.1%} of the end-to-end time; the rest lies between them, such as "
        "waiting for the interpreter where several clients run Python"
    )


def unaccounted_time(m: Measurement) -> Warning | None:
    said = _doubt([s.share for name, s in m.stages.items() if name not in (END_TO_END, *ON_THE_DEVICE)])
    return Warning("unaccounted-time", said) if said else None


def changed_kernels(
    stages: Sequence[str], table_ns: npt.NDArray[np.int64], opened: OpenedFacts | None
) -> Warning | None:
    """Of a runtime that may exchange kernels as it runs: that latencies are of no one level, or that the warm-up saw none."""
    if opened is None or not opened.kernels_change:
        return None
    cure = "set kernel_strategy to eager or none, or give it more time"
    in_order = table_ns[np.argsort(table_ns[:, 0], kind="stable")]
    if shift := level_shift(in_order[:, kernel_column(stages)]):
        went = f"{format_seconds(shift.before / 1e9)} to {format_seconds(shift.after / 1e9)}"
        said = f"the latency went from {went} after {shift.at} of {len(in_order)} requests, in the midst of the measurement"
        return Warning("level-shift", f"{said}: kernels were exchanged, and no figure is of the one or the other", cure)
    if not opened.steady:
        said = f"the warm-up ended before the latency had kept its level for {format_seconds(STEADY_NS / 1e9)}"
        return Warning("unsteady-warm-up", f"{said}: kernels may have been exchanged since", cure)
    return None


def not_converged(m: Measurement, timing: Timing, more_time: str, centre: str = "median") -> Warning | None:
    """Why the centre is not known as closely as was asked; None where it is. more_time: what a user would raise."""
    if timing.converged:
        return None
    said = f"NOT CONVERGED within {timing.elapsed_s:.1f} s"
    count = next(iter(m.stages.values())).p50.n if m.stages else 0
    if m.known_to is not None:
        said += f": the {centre} is known to ±{m.known_to:.1%}"
    elif m.enough_s is not None:
        said += f": {count_of(count, 'request')} are too few to say how closely the {centre} is known"
    if m.spread_of:
        said += f"; the spread is mostly {m.spread_of}'s"
    enough = f"raise {more_time}" if m.enough_s is None else f"raise {more_time} to {format_seconds(m.enough_s)}"
    return Warning("not-converged", said, f"{enough} or quiet the machine")


def _enough_s(timing: Timing, stopping: Stopping, count: int) -> float | None:
    """An interval narrows with the root of the time; a fifth more for the luck of the next sample. Where there were too few
    requests for an interval, the time that twice the fewest take."""
    if timing.converged or not count:
        return None
    if count < stopping.min_samples:
        times = 2 * stopping.min_samples / count
    elif timing.known_to is None or timing.known_to <= stopping.precision:
        return None
    else:
        times = 1.2 * (timing.known_to / stopping.precision) ** 2
    # Two digits: it is a guess. What would take far longer drifts, which no longer measurement averages out.
    return float(f"{times * timing.elapsed_s:.2g}") if times <= MOST_TIMES else None


def _spread_of(table_ns: npt.NDArray[np.int64], stages: Sequence[str]) -> str:
    """The stage that holds more than half of the variance of the end-to-end times between their tenth and ninetieth
    percentile: cov(stage, whole) / var(whole), which adds up to 1 over all stages."""
    if len(stages) < 2 or len(table_ns) < LEAST_FOR_SPREAD:
        return ""
    whole = table_ns[:, -1]
    low, high = np.quantile(whole, [0.1, 0.9])
    kept = table_ns[(low <= whole) & (whole <= high), 1:].astype(np.float64)
    centred = kept - kept.mean(axis=0)
    shares = centred[:, :-1].T @ centred[:, -1]
    total = float(centred[:, -1] @ centred[:, -1])
    most = int(shares.argmax())
    return stages[most] if total > 0 and shares[most] > total / 2 else ""


def stage_seconds(record: CellRecord, table_ns: npt.NDArray[np.int64], stage: str) -> npt.NDArray[np.float64]:
    """One stage's samples in seconds, by name."""
    names = list(record.stages)
    return table_ns[:, 1 + names.index(stage)] / 1e9
