"""A load's samples to its results: rates, queueing apart from service, shapes, searches. Arithmetic, no processes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from seatrial.errors import count_of, flag
from seatrial.history.records import LoadResult, Measured, Measurement, ShapeResult, StageSummary
from seatrial.jobs.shared import merged
from seatrial.jobs.summarise import (
    changed_kernels,
    exact,
    measurement_of,
    not_converged,
    record_of,
    stage_summary,
    unaccounted_time,
)
from seatrial.loads.search_results import about_the_search, found_rate, rate_curve, rate_estimate, with_unserved
from seatrial.loads.task import LoadAnswer, LoadTask
from seatrial.model.shapes import batch_of
from seatrial.runtimes.options import requests_overlap
from seatrial.stages import SERVICE
from seatrial.stats.means import BLOCKS, rate_per_s
from seatrial.stats.sample import CONFIDENCE, percentile_estimate, quantile_of
from seatrial.stats.share import LONGEST_RUN
from seatrial.stats.utilisation import utilisation
from seatrial.warning import Warning

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]
# Fewer requests say little about how busy a server is.
LEAST_FOR_LOAD = 20
MORE_TIME = f"raise {flag('max_time')}"


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
    m = measurement_of(task.stages, table, w.batch, answer.opened, answer.timing, task.stopping)
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
        found_rate=found_rate(answer) if searched else None,
        rate_estimate=rate_estimate(answer.search, task.load.bound_quantile) if answer.search else None,
        broken_rate=answer.search.broke if answer.search else None,
        curve=rate_curve(answer.search.points if answer.search else (), table, load.bound_quantile),
        percentiles=asked,
        refused=refused,
        python_path=answer.python_path,
        official=answer.official,
    )
    changed = changed_kernels(task.stages, table, answer.opened)
    throughput = m.throughput
    if searched:
        throughput = None
    elif (load.scenario != "single-stream" or shapes or requests_overlap(w.backend)) and rate is not None:
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
            "doubt": m.doubt if w.clients == 1 else changed.text if changed else "",
        }
    )
    about_time = _about_time(task, answer, m, busy)
    warnings = [unaccounted_time(m), changed, about_time, *_about_the_load(task, answer, table, busy)]
    return Loaded(measurement, result, tuple(filter(None, warnings)))


def _about_time(task: LoadTask, answer: LoadAnswer, m: Measurement, busy: str) -> Warning | None:
    """A process that died had no time to converge, and to a queue that grows more time would do no good. A search has figures
    of its own."""
    if answer.timing.ended == "died" or busy or task.load.searches:
        return None
    centre = "mean" if task.load.scenario in ("multi-stream", "offline") else "median"
    return not_converged(m, answer.timing, flag("max_time"), centre)


def _about_the_load(task: LoadTask, answer: LoadAnswer, table: I64, busy: str) -> Iterator[Warning]:
    if task.load.searches:
        yield from about_the_search(task, answer)
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
    clients = task.workload.clients
    have = f"{count_of(clients, 'client')} {'has' if clients == 1 else 'have'}"
    return (
        f"{rate:.4g} requests a second take {(least + most) / 2:.0%} of the time that {have}, so that the queue grows for as "
        "long as the run lasts"
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
        e = percentile_estimate(with_unserved(seconds, unserved), quantile_of(name), CONFIDENCE, longest_run)
        if e.high is None:
            refused[name] = f"{name} is refused: {e.unbounded}; {MORE_TIME}"
        elif math.isinf(e.high):
            refused[name] = (
                f"{name} is refused: it may lie among the {unserved} requests that were never served; lower {flag('rate')}"
            )
        else:
            asked[name] = record_of(e, "s")
    return asked, refused


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
