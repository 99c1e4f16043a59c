"""A load's samples to its results: rates, queueing apart from service, shapes, searches. Arithmetic, no processes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.history.records import LoadResult, Measured, RatePoint, ShapeResult, StageSummary
from seatrial.stats.sample import BLOCKS, CONFIDENCE, Estimate, percentile_estimate, samples_needed
from seatrial.timing.search import bracket
from seatrial.trial.summarise import exact, stage_summary
from seatrial.trial.task import Answer, Point, Task
from seatrial.units import format_seconds

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]
SEARCH_CUT = "the time was up before the bracket was narrow; raise --max-time"


def load_fields(
    task: Task,
    answer: Answer,
    table: I64,
    tables: Sequence[I64],
    percentiles: Sequence[str],
    warnings: tuple[str, ...],
    stages: dict[str, StageSummary],
) -> dict[str, Any]:
    """Fields of a CellRecord that a load adds or replaces: load_result, throughput, a server's service stage, warnings."""
    load = task.load
    rate = requests_per_s(table)
    asked, refused = _percentiles(table[:, -1] / 1e9, percentiles)
    curve = _curve(answer.points, table, load.bound_quantile)
    # By the last word on each rate: one that was measured again until it was sure was unsure before.
    found = bracket([(p.offered_per_s, p.holds) for p in curve])
    # A process that died had no time to converge, and there is no plan whose keys could be changed.
    cap = "NOT CONVERGED"
    more = [
        w.replace("measure.max_time", "--max-time") for w in warnings if answer.ended != "died" or not w.startswith(cap)
    ]
    if load.bound_s is not None:
        # The median of all rates together is nobody's question.
        more = [f"{w.partition(':')[0]}: {SEARCH_CUT}" if w.startswith(cap) else w for w in more]
    if answer.unserved:
        more.append(
            f"{answer.unserved} of {answer.unserved + len(table)} requests were never served: the rate is above what "
            f"{task.clients} client(s) can do; the percentiles are of the served ones only; lower --rate, or raise --clients"
        )
    if answer.ended == "full":
        more.append(
            f"the table of samples was full after {len(table)} requests; the rest of the time was not measured; "
            "lower --max-time"
        )
    path = answer.python_path
    if path and not path["same_outputs"]:
        more.append("the C API and the Python binding gave different outputs for the same input")
    shapes = _shapes(task, answer, tables)
    result = LoadResult(
        scenario=load.mlperf or load.scenario, clients=task.clients, rate_per_s=load.rate,
        arrivals=load.arrivals if load.scenario == "server" else "", gap_s=load.gap_s, requests_per_s=rate,
        unserved=answer.unserved, ended=answer.ended, called=answer.called, shapes=tuple(s for s, _ in shapes),
        bound="" if load.bound_s is None else f"{format_seconds(load.bound_s)}@p{load.bound_quantile * 100:g}",
        found_rate=_found(found.held, found.failed, answer) if load.bound_s is not None else None,
        curve=curve, percentiles=asked, refused=refused,
        python_path=path, official=answer.official,
    )  # fmt: skip
    fields: dict[str, Any] = {"load_result": result, "warnings": tuple(more)}
    if load.scenario == "server":
        fields["stages"] = stages | {"service": service_summary(table)}
    if (load.scenario != "single-stream" or shapes) and rate is not None:
        fields["throughput"] = _times(rate, _images_a_request(task, shapes))
    return fields


def requests_per_s(table: I64) -> Measured | None:
    """Requests over the time from the first start to the last end, with a Student interval over ten stretches of time."""
    if len(table) < 2:
        return None
    ends = np.sort(table[:, 0] + table[:, -1])
    first = int(table[0, 0])
    seconds = (int(ends[-1]) - first) / 1e9
    value = len(table) / seconds
    if len(table) < 2 * BLOCKS:
        return Measured(value=value, unit="requests/s", n=len(table))
    from scipy.special import stdtrit

    # Equal counts, not equal times: the time that a tenth of the requests took has no jitter of one request.
    marks = np.concatenate([[first], ends[np.linspace(0, len(ends), BLOCKS + 1).astype(int)[1:] - 1]])
    counts = np.diff(np.linspace(0, len(ends), BLOCKS + 1).astype(int))
    rates = counts / (np.diff(marks) / 1e9)
    half = float(stdtrit(BLOCKS - 1, 0.5 + CONFIDENCE / 2)) * float(rates.std(ddof=1)) / BLOCKS**0.5
    return Measured(
        value=value, unit="requests/s", interval=(max(0.0, value - half), value + half), confidence=CONFIDENCE,
        n=len(table), n_eff=BLOCKS,
    )  # fmt: skip


def service_summary(table: I64) -> StageSummary:
    """A server's requests without their wait."""
    seconds = (table[:, -1] - table[:, 1]) / 1e9
    total = float(table[:, -1].sum()) / 1e9
    return stage_summary(seconds, float(seconds.sum()) / total if total else 0.0)


def _images_a_request(task: Task, shapes: Sequence[tuple[ShapeResult, int]]) -> float:
    """The batch; of a mix, whose shapes may differ in it, the mean."""
    if not shapes:
        return task.batch
    return sum(s.p50.n * batch for s, batch in shapes) / sum(s.p50.n for s, _ in shapes)


def _times(rate: Measured, batch: float) -> Measured:
    low, high = rate.interval or (None, None)
    return rate.model_copy(update={
        "value": rate.value * batch, "unit": "images/s",
        "interval": (low * batch, high * batch) if low is not None and high is not None else None,
    })  # fmt: skip


def _percentiles(seconds: F64, names: Sequence[str]) -> tuple[dict[str, Measured], dict[str, str]]:
    """Those that the sample can bound, and why not for those that it cannot."""
    asked, refused = {}, {}
    for name in names:
        quantile = float(name[1:]) / 100
        e = percentile_estimate(seconds, quantile, CONFIDENCE)
        if e.high is None:
            needed = samples_needed(quantile, (1 + CONFIDENCE) / 2)
            refused[name] = (
                f"{name} is refused: it needs {needed} independent samples, {needed - e.n_eff} more than these {e.n_eff} "
                f"(of {e.n}); raise --max-time"
            )
        else:
            asked[name] = _measured(e)
    return asked, refused


def _measured(e: Estimate) -> Measured:
    return Measured(
        value=e.value, unit="s", interval=(e.low, e.high), confidence=e.confidence, n=e.n, n_eff=e.n_eff, warnings=e.warnings
    )  # fmt: skip


def _shapes(task: Task, answer: Answer, tables: Sequence[I64]) -> list[tuple[ShapeResult, int]]:
    """Each shape that came, with its batch."""
    mix = task.load.mix
    if not mix or not answer.shape_order:
        return []
    orders = np.array(answer.shape_order).reshape(len(tables), -1)
    durations: list[list[float]] = [[] for _ in mix]
    for client, rows in enumerate(tables):
        kinds = orders[client][np.arange(len(rows)) % orders.shape[1]]
        for kind in range(len(mix)):
            durations[kind] += list(rows[kinds == kind, -1] / 1e9)
    results = []
    total = sum(weight for _, weight in mix)
    for (shapes, weight), first, seconds in zip(mix, answer.shape_first_s, durations, strict=True):
        if not seconds:
            continue
        name = ", ".join(f"{n}={'x'.join(map(str, s))}" for n, s in shapes.items())
        p50, p99 = (_measured(percentile_estimate(seconds, q, CONFIDENCE)) for q in (0.5, 0.99))
        result = ShapeResult(shape=name, weight=weight / total, first=exact(first, "s"), p50=p50, p99=p99)
        results.append((result, next((s[0] for s in shapes.values() if s), 1)))
    return results


def _found(held: float | None, failed: float | None, answer: Answer) -> Measured | None:
    if held is None:
        return None
    own = [p for p in answer.points if p.offered_per_s == held]
    warnings = () if answer.converged else (f"NOT CONVERGED: {SEARCH_CUT}",)
    return Measured(
        value=held, unit="requests/s", interval=(held, failed), confidence=CONFIDENCE, n=sum(p.arrivals for p in own),
        n_eff=len(answer.points), warnings=warnings,
    )  # fmt: skip


def _curve(points: Sequence[Point], table: I64, quantile: float) -> tuple[RatePoint, ...]:
    """One point a rate, in the order in which they were tried: an edge that was measured again is one rate."""
    by_rate: dict[float, list[Point]] = {}
    for p in points:
        by_rate.setdefault(p.offered_per_s, []).append(p)
    return tuple(_point(group, table, quantile) for group in by_rate.values())


def _point(group: Sequence[Point], table: I64, quantile: float) -> RatePoint:
    rows = [table[(table[:, 0] >= p.first_row_ns) & (table[:, 0] <= p.last_row_ns)] for p in group]
    seconds = np.concatenate([r[:, -1] for r in rows]) / 1e9
    unserved = sum(p.arrivals for p in group) - len(seconds)
    # Sorted last, as the test had them; the slowest that was served stands for them in the figures.
    padded = np.concatenate([seconds, np.full(unserved, seconds.max() if len(seconds) else 0.0)])
    spans = [int((r[:, 0] + r[:, -1]).max()) - p.first_row_ns for p, r in zip(group, rows, strict=True) if len(r)]
    window = sum(spans) / 1e9 or 1.0
    p, rows_served = group[-1], len(seconds)
    p50, p90, p99, tail = (_measured(percentile_estimate(padded, q, CONFIDENCE)) for q in (0.5, 0.9, 0.99, quantile))
    return RatePoint(
        offered_per_s=p.offered_per_s, achieved_per_s=rows_served / window, n=rows_served, unserved=unserved, p50=p50, p90=p90,
        p99=p99, tail=tail, holds=p.holds,
    )  # fmt: skip
