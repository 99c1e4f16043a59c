"""A load's samples to its results: rates, queueing apart from service, shapes, searches. Arithmetic, no processes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from seatrial.errors import flag
from seatrial.history.records import LoadResult, Measured, Measurement, RatePoint, ShapeResult, StageSummary
from seatrial.jobs.shared import merged
from seatrial.jobs.summarise import exact, measurement_of, not_converged, record_of, stage_summary, unaccounted_time
from seatrial.loads.search import ERROR
from seatrial.loads.task import LoadAnswer, LoadTask, Point
from seatrial.model.shapes import batch_of
from seatrial.stages import END_TO_END, SERVICE
from seatrial.stats.means import BLOCKS, rate_per_s
from seatrial.stats.sample import CONFIDENCE, percentile_estimate, quantile_of
from seatrial.stats.share import LONGEST_RUN
from seatrial.stats.utilisation import utilisation
from seatrial.warning import Warning

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]
# Fewer requests say little about how busy a server is.
LEAST_FOR_LOAD = 20
SEARCH_CUT, MORE_TIME = "the time was up before the bracket was narrow", f"raise {flag('max_time')}"


@dataclass(frozen=True)
class Loaded:
    """What a load showed: parts of its cell's record, and its warnings."""

    measurement: Measurement
    load: LoadResult
    warnings: tuple[Warning, ...]


def results_of(
    task: LoadTask, answer: LoadAnswer, tables: Sequence[I64], percentiles: Sequence[str], model_bytes: int
) -> Loaded:
    """tables: each client's samples. percentiles: asked for by name. Of a process that died: what is known without it."""
    w, load, searched = task.workload, task.load, task.load.searches
    table, longest_run = merged(tables), task.stopping.longest_run
    m = measurement_of(task.stages, table, w.batch, answer.opened, answer.timing, longest_run)
    rate = requests_per_s(table)
    busy = overload_of(task, table) if load.scenario == "server" and not searched else ""
    asked, refused = _percentiles(table[:, -1] / 1e9, answer.unserved, percentiles, longest_run)
    if busy:
        asked, refused = {}, refused | {name: f"{name} is refused: {busy}" for name in asked}
    shapes = _shapes(task, answer, tables)
    result = LoadResult(
        scenario=load.mlperf or load.scenario,
        clients=w.clients,
        rate_per_s=load.rate,
        arrivals=load.arrivals if load.scenario == "server" else "",
        gap_s=load.gap_s,
        # Over all rates of a search it would be nobody's question.
        requests_per_s=None if searched else rate,
        unserved=answer.unserved,
        overloaded=bool(busy),
        ended=answer.timing.ended,
        called=answer.called,
        shapes=tuple(s for s, _ in shapes),
        bound_s=load.bound_s if searched else None,
        bound_quantile=load.bound_quantile if searched else None,
        found_rate=_found(answer) if searched else None,
        curve=_curve(answer.search.points if answer.search else (), table, load.bound_quantile),
        percentiles=asked,
        refused=refused,
        python_path=answer.python_path,
        official=answer.official,
    )
    throughput = m.throughput
    if searched:
        throughput = None
    elif (load.scenario != "single-stream" or shapes) and rate is not None:
        throughput = _times(rate, _images_a_request(task, shapes))
    service = {SERVICE: service_summary(table, longest_run)} if load.scenario == "server" else {}
    measurement = m.model_copy(
        update={
            "stages": m.stages | service,
            "throughput": throughput,
            "peak_memory": exact(answer.peak_memory_bytes, "B") if answer.opened else None,
            "model_size": exact(model_bytes, "B"),
            "affinity": answer.affinity,
            # Between stages a client may wait for another's turn in the interpreter: that is its latency.
            "doubt": m.doubt if w.clients == 1 else "",
        }
    )
    about_time = _about_time(answer, m.stages[END_TO_END].p50, searched, busy)
    warnings = [unaccounted_time(m), about_time, *_about_the_load(task, answer, table, busy)]
    return Loaded(measurement, result, tuple(filter(None, warnings)))


def _about_time(answer: LoadAnswer, p50: Measured, searched: bool, busy: str) -> Warning | None:
    """A process that died had no time to converge, and to a queue that grows more time would do no good."""
    if answer.timing.ended == "died" or busy:
        return None
    if searched and not answer.timing.converged:
        said = f"NOT CONVERGED within {answer.timing.elapsed_s:.1f} s: {SEARCH_CUT}"
        return Warning("not-converged", said, MORE_TIME)
    return not_converged(answer.timing, p50, flag("max_time"))


def _about_the_load(task: LoadTask, answer: LoadAnswer, table: I64, busy: str) -> Iterator[Warning]:
    if busy:
        yield Warning("overload", f"OVERLOADED: {busy}", f"lower {flag('rate')}, or raise {flag('clients')}")
    if answer.unserved:
        said = f"{answer.unserved} of {answer.unserved + len(table)} requests were not begun when the time was up"
        yield Warning("unserved", f"{said}; the stages' percentiles are of the others")
    if answer.timing.ended == "full":
        said = f"the table of samples was full after {len(table)} requests; the rest of the time was not measured"
        yield Warning("full-table", said, f"lower {flag('max_time')}")
    if task.load.mlperf == "mlperf-server":
        said = "the percentiles here are of the service alone; LoadGen's latency counts from its own schedule"
        yield Warning("loadgen-latency", said)
    if answer.python_path and not answer.python_path.same_outputs:
        said = "the C API and the Python binding gave different outputs for the same input"
        yield Warning("unlike-outputs", said)
    if answer.python_path_problem:
        said = f"the Python binding could not be held against the native loop: {answer.python_path_problem}"
        yield Warning("python-binding", said)


def overload_of(task: LoadTask, table: I64) -> str:
    """Why a server's latencies say nothing but how long it ran; '' where its clients keep up."""
    if len(table) < LEAST_FOR_LOAD:
        return ""
    service_s = (table[:, -1] - table[:, 1]) / 1e9
    span_s = (int(table[-1, 0]) - int(table[0, 0])) / 1e9
    # What was asked for, where it is known: random arrivals are a few percent more or fewer.
    rate = task.load.rate or ((len(table) - 1) / span_s if span_s else 0.0)
    least, most = utilisation(service_s, rate, task.workload.clients)
    if least < 1:
        return ""
    return (
        f"{rate:.4g} requests a second take {(least + most) / 2:.0%} of the time that {task.workload.clients} client(s) have, "
        "so that the queue grows for as long as the run lasts"
    )


def requests_per_s(table: I64) -> Measured | None:
    """Requests over the time from the first start to the last end; None for fewer than two."""
    if len(table) < 2:
        return None
    rate, interval = rate_per_s(int(table[0, 0]), np.sort(table[:, 0] + table[:, -1]))
    if interval is None:
        return Measured(value=rate, unit="requests/s", n=len(table))
    return Measured(value=rate, unit="requests/s", interval=interval, confidence=CONFIDENCE, n=len(table), n_eff=BLOCKS)


def service_summary(table: I64, longest_run: int = LONGEST_RUN) -> StageSummary:
    """A server's requests without their wait."""
    seconds = (table[:, -1] - table[:, 1]) / 1e9
    total = float(table[:, -1].sum()) / 1e9
    return stage_summary(seconds, float(seconds.sum()) / total if total else 0.0, longest_run)


def _images_a_request(task: LoadTask, shapes: Sequence[tuple[ShapeResult, int]]) -> float:
    """The batch; of a mix, whose shapes may differ in it, the mean."""
    if not shapes:
        return task.workload.batch
    return sum(s.p50.n * batch for s, batch in shapes) / sum(s.p50.n for s, _ in shapes)


def _times(rate: Measured, batch: float) -> Measured:
    low, high = rate.interval or (None, None)
    return rate.model_copy(
        update={
            "value": rate.value * batch,
            "unit": "images/s",
            "interval": (low * batch, high * batch) if low is not None and high is not None else None,
        }
    )


def _percentiles(
    seconds: F64, unserved: int, names: Sequence[str], longest_run: int
) -> tuple[dict[str, Measured], dict[str, str]]:
    """Those that the sample can bound, and why not for those that it cannot."""
    asked, refused = {}, {}
    for name in names:
        e = percentile_estimate(_with_unserved(seconds, unserved), quantile_of(name), CONFIDENCE, longest_run)
        if e.high is None:
            refused[name] = f"{name} is refused: {e.unbounded}; {MORE_TIME}"
        elif math.isinf(e.high):
            refused[name] = (
                f"{name} is refused: it may lie among the {unserved} requests that were never served; lower {flag('rate')}"
            )
        else:
            asked[name] = record_of(e, "s")
    return asked, refused


def _with_unserved(seconds: F64, unserved: int) -> F64:
    """Latencies in the order of arrival: who was never served waited longest, and came last."""
    return np.concatenate([seconds, np.full(unserved, math.inf)])


def _among_unserved(seconds: F64, unserved: int, quantile: float) -> Measured:
    """A quantile where some were never served: an end among those is not known, and a value there is at least the slowest."""
    if not len(seconds):
        return Measured(value=0.0, unit="s", warnings=(Warning("unserved", "no request was served"),))
    e = percentile_estimate(_with_unserved(seconds, unserved), quantile, CONFIDENCE)
    low, high = (None if end is None or math.isinf(end) else end for end in (e.low, e.high))
    lost = (Warning("unserved", f"{unserved} requests were never served"),) if high is None and unserved else ()
    value = float(seconds.max()) if math.isinf(e.value) else e.value
    return record_of(replace(e, value=value, low=low, high=high, warnings=(*lost, *e.warnings)), "s")


def _shapes(task: LoadTask, answer: LoadAnswer, tables: Sequence[I64]) -> list[tuple[ShapeResult, int]]:
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
        p50, p99 = (
            record_of(percentile_estimate(seconds, q, CONFIDENCE, task.stopping.longest_run), "s") for q in (0.5, 0.99)
        )
        result = ShapeResult(shape=name, weight=weight / total, first=exact(first, "s"), p50=p50, p99=p99)
        results.append((result, batch_of(task.workload.model_info, shapes, 1)))
    return results


def _found(answer: LoadAnswer) -> Measured | None:
    """The rate that held, with the lowest that was shown not to: each end may be wrong with 5 %."""
    search = answer.search
    if search is None or search.held is None:
        return None
    own = [p for p in search.points if p.offered_per_s == search.held]
    warnings = []
    if not answer.timing.converged:
        warnings.append(Warning("not-converged", f"NOT CONVERGED: {SEARCH_CUT}", MORE_TIME))
    if not search.confirmed:
        said = "there was no time to confirm it on new requests: it may have been luck"
        warnings.append(Warning("unconfirmed-rate", said))
    return Measured(
        value=search.held,
        unit="requests/s",
        interval=(search.held if search.confirmed else None, search.broke),
        confidence=1 - 2 * ERROR,
        n=sum(p.arrivals for p in own),
        warnings=tuple(warnings),
    )


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
        offered_per_s=p.offered_per_s,
        achieved_per_s=rows_served / window,
        n=rows_served,
        unserved=unserved,
        p50=p50,
        p90=p90,
        p99=p99,
        tail=tail,
        holds=p.holds,
    )
