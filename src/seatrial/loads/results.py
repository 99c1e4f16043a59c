"""A load's samples to its results: rates, queueing apart from service, shapes, searches. Arithmetic, no processes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.history.records import LoadResult, Measured, RatePoint, ShapeResult, StageSummary
from seatrial.jobs.summarise import exact, stage_summary
from seatrial.jobs.task import Answer, Point, Task
from seatrial.loads.search import ERROR
from seatrial.loads.server import utilisation
from seatrial.model.shapes import batch_of
from seatrial.stages import SERVICE
from seatrial.stats.sample import BLOCKS, CONFIDENCE, Estimate, percentile_estimate
from seatrial.stats.share import LONGEST_RUN

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]
# Fewer requests say little about how busy a server is.
LEAST_FOR_LOAD = 20
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
    searched = load.scenario == "server" and load.bound_s is not None
    rate = requests_per_s(table)
    busy = _overload(task, table) if load.scenario == "server" and not searched else ""
    asked, refused = _percentiles(table[:, -1] / 1e9, answer.unserved, percentiles, task.longest_run)
    if busy:
        asked, refused = {}, refused | {name: f"{name} is refused: {busy}" for name in asked}
    shapes = _shapes(task, answer, tables)
    result = LoadResult(
        scenario=load.mlperf or load.scenario, clients=task.clients, rate_per_s=load.rate,
        arrivals=load.arrivals if load.scenario == "server" else "", gap_s=load.gap_s,
        # Over all rates of a search it would be nobody's question.
        requests_per_s=None if searched else rate,
        unserved=answer.unserved, overloaded=bool(busy), ended=answer.ended, called=answer.called,
        shapes=tuple(s for s, _ in shapes),
        bound_s=load.bound_s if searched else None, bound_quantile=load.bound_quantile if searched else None,
        found_rate=_found(answer) if searched else None, curve=_curve(answer.points, table, load.bound_quantile),
        percentiles=asked, refused=refused, python_path=answer.python_path, official=answer.official,
    )  # fmt: skip
    fields: dict[str, Any] = {
        "load_result": result,
        "warnings": (*_about_time(warnings, answer, searched, busy), *_about_the_load(task, answer, table, busy)),
    }
    if load.scenario == "server":
        fields["stages"] = stages | {SERVICE: service_summary(table, task.longest_run)}
    if searched:
        fields["throughput"] = None
    elif (load.scenario != "single-stream" or shapes) and rate is not None:
        fields["throughput"] = _times(rate, _images_a_request(task, shapes))
    return fields


def _about_time(warnings: Sequence[str], answer: Answer, searched: bool, busy: str) -> list[str]:
    """What was said of a cell, in a bench's words: there is no plan whose keys could be changed."""
    cap = "NOT CONVERGED"
    # A process that died had no time to converge, and to a queue that grows more time would do no good.
    said = [w for w in warnings if not w.startswith(cap) or not (answer.ended == "died" or busy)]
    if searched:
        said = [f"{w.partition(':')[0]}: {SEARCH_CUT}" if w.startswith(cap) else w for w in said]
    return [w.replace("measure.max_time", "--max-time") for w in said]


def _about_the_load(task: Task, answer: Answer, table: I64, busy: str) -> Iterator[str]:
    if busy:
        yield f"OVERLOADED: {busy}; lower --rate, or raise --clients"
    if answer.unserved:
        yield (
            f"{answer.unserved} of {answer.unserved + len(table)} requests were not begun when the time was up; the stages' "
            "percentiles are of the others"
        )
    if answer.ended == "full":
        yield (
            f"the table of samples was full after {len(table)} requests; the rest of the time was not measured; "
            "lower --max-time"
        )
    if task.load.mlperf == "mlperf-server":
        yield "the percentiles here are of the service alone; LoadGen's latency counts from its own schedule"
    if answer.python_path and not answer.python_path["same_outputs"]:
        yield "the C API and the Python binding gave different outputs for the same input"
    if answer.python_path_problem:
        yield f"the Python binding could not be held against the native loop: {answer.python_path_problem}"


def _overload(task: Task, table: I64) -> str:
    """Why a server's latencies say nothing but how long it ran; '' where its clients keep up."""
    if len(table) < LEAST_FOR_LOAD:
        return ""
    service_s = (table[:, -1] - table[:, 1]) / 1e9
    span_s = (int(table[-1, 0]) - int(table[0, 0])) / 1e9
    # What was asked for, where it is known: random arrivals are a few percent more or fewer.
    rate = task.load.rate or ((len(table) - 1) / span_s if span_s else 0.0)
    least, most = utilisation(service_s, rate, task.clients)
    if least < 1:
        return ""
    return (
        f"{rate:.4g} requests a second take {(least + most) / 2:.0%} of the time that {task.clients} client(s) have, so that "
        "the queue grows for as long as the run lasts"
    )


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


def service_summary(table: I64, longest_run: int = LONGEST_RUN) -> StageSummary:
    """A server's requests without their wait."""
    seconds = (table[:, -1] - table[:, 1]) / 1e9
    total = float(table[:, -1].sum()) / 1e9
    return stage_summary(seconds, float(seconds.sum()) / total if total else 0.0, longest_run)


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


def _percentiles(
    seconds: F64, unserved: int, names: Sequence[str], longest_run: int
) -> tuple[dict[str, Measured], dict[str, str]]:
    """Those that the sample can bound, and why not for those that it cannot."""
    asked, refused = {}, {}
    for name in names:
        quantile = float(name[1:]) / 100
        e = percentile_estimate(_with_unserved(seconds, unserved), quantile, CONFIDENCE, longest_run)
        if e.high is None:
            refused[name] = f"{name} is refused: {e.warnings[-1].removeprefix(name).strip()}; raise --max-time"
        elif math.isinf(e.high):
            refused[name] = (
                f"{name} is refused: it may lie among the {unserved} requests that were never served; lower --rate"
            )
        else:
            asked[name] = _measured(e)
    return asked, refused


def _with_unserved(seconds: F64, unserved: int) -> F64:
    """Latencies in the order of arrival: who was never served waited longest, and came last."""
    return np.concatenate([seconds, np.full(unserved, math.inf)])


def _measured(e: Estimate) -> Measured:
    return Measured(
        value=e.value, unit="s", interval=(e.low, e.high), confidence=e.confidence, n=e.n, n_eff=e.n_eff, warnings=e.warnings
    )  # fmt: skip


def _among_unserved(seconds: F64, unserved: int, quantile: float) -> Measured:
    """A quantile where some were never served: an end among those is not known, and a value there is at least the slowest."""
    if not len(seconds):
        return Measured(value=0.0, unit="s", warnings=("no request was served",))
    e = percentile_estimate(_with_unserved(seconds, unserved), quantile, CONFIDENCE)
    low, high = (None if end is None or math.isinf(end) else end for end in (e.low, e.high))
    lost = (f"{unserved} requests were never served",) if high is None and unserved else ()
    value = float(seconds.max()) if math.isinf(e.value) else e.value
    return Measured(
        value=value, unit="s", interval=(low, high), confidence=CONFIDENCE, n=e.n, n_eff=e.n_eff, warnings=(*lost, *e.warnings)
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
        p50, p99 = (_measured(percentile_estimate(seconds, q, CONFIDENCE, task.longest_run)) for q in (0.5, 0.99))
        result = ShapeResult(shape=name, weight=weight / total, first=exact(first, "s"), p50=p50, p99=p99)
        results.append((result, batch_of(task.model_info, shapes, 1)))
    return results


def _found(answer: Answer) -> Measured | None:
    """The rate that held, with the lowest that was shown not to: each end may be wrong with 5 %."""
    if answer.held is None:
        return None
    own = [p for p in answer.points if p.offered_per_s == answer.held]
    warnings = [] if answer.converged else [f"NOT CONVERGED: {SEARCH_CUT}"]
    if not answer.confirmed:
        warnings.append("there was no time to confirm it on new requests: it may have been luck")
    return Measured(
        value=answer.held, unit="requests/s", interval=(answer.held if answer.confirmed else None, answer.broke),
        confidence=1 - 2 * ERROR, n=sum(p.arrivals for p in own), warnings=tuple(warnings),
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
    spans = [int((r[:, 0] + r[:, -1]).max()) - p.first_row_ns for p, r in zip(group, rows, strict=True) if len(r)]
    window = sum(spans) / 1e9 or 1.0
    p, rows_served = group[-1], len(seconds)
    p50, p90, p99, tail = (_among_unserved(seconds, unserved, q) for q in (0.5, 0.9, 0.99, quantile))
    return RatePoint(
        offered_per_s=p.offered_per_s, achieved_per_s=rows_served / window, n=rows_served, unserved=unserved, p50=p50, p90=p90,
        p99=p99, tail=tail, holds=p.holds,
    )  # fmt: skip
