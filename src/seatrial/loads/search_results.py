"""What a search for the highest rate found: for the record, and what is to be said of it. Arithmetic, no processes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from seatrial.errors import flag
from seatrial.history.records import Measured, RatePoint
from seatrial.jobs.summarise import record_of
from seatrial.loads.bound import ERROR
from seatrial.loads.task import LoadAnswer, LoadTask, Point, Search
from seatrial.stats.queue import enough_service_times
from seatrial.stats.sample import CONFIDENCE, percentile_estimate
from seatrial.units import format_seconds
from seatrial.warning import Warning

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]


def found_rate(answer: LoadAnswer) -> Measured | None:
    """The rate that was proved, with the lowest that was shown not to hold: each end may be wrong with 5 %."""
    search = answer.search
    if search is None or search.held is None:
        return None
    return Measured(
        value=search.held,
        unit="requests/s",
        interval=(search.held, search.broke),
        confidence=1 - 2 * ERROR,
        n=sum(p.arrivals for p in search.points if p.offered_per_s == search.held),
    )


def rate_estimate(search: Search, quantile: float) -> Measured | None:
    """None where anything that was sent speaks against it, or nothing was sent that could, or it rests on too little. quantile:
    the bound's."""
    e = search.estimate
    if e is None or any(said_against(search, quantile)):
        return None
    return Measured(
        value=e.per_s, unit="requests/s", interval=(e.low, e.high), confidence=CONFIDENCE, n=e.service_times
    )


def said_against(search: Search, quantile: float) -> Iterator[str]:
    """What speaks against the estimate, for people."""
    e = search.estimate
    if e is None:
        return
    enough = enough_service_times(quantile)
    if e.service_times < enough:
        yield f"p{quantile * 100:g} takes {enough:,} service times, and {e.service_times:,} were measured"
    for p in (p for p in search.points if p.misfit):
        yield f"at {p.offered_per_s:.3g}/s {p.misfit}"
    if search.held is not None and search.held > e.high:
        yield f"{search.held:.3g}/s was proved to hold, above its {e.low:.3g} to {e.high:.3g}/s"
    broke = min((p.offered_per_s for p in search.points if p.holds == "no"), default=math.inf)
    if broke < e.low:
        yield f"{broke:.3g}/s was shown not to hold, below its {e.low:.3g} to {e.high:.3g}/s"
    if e.per_s and all(p.expected_slow is None for p in search.points):
        yield "no rate that was sent is near enough to check it"


def rate_curve(points: Sequence[Point], table: I64, quantile: float) -> tuple[RatePoint, ...]:
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
        slow=None if p.slow is None else sum(q.slow or 0 for q in group),
        expected_slow=p.expected_slow,
    )


def _among_unserved(seconds: F64, unserved: int, quantile: float) -> Measured:
    """A quantile where some were never served: an end among those is not known, and a value there is at least the slowest."""
    if not len(seconds):
        return Measured(value=0.0, unit="s", warnings=(Warning("unserved", "no request was served"),))
    e = percentile_estimate(with_unserved(seconds, unserved), quantile, CONFIDENCE)
    low, high = (None if end is None or math.isinf(end) else end for end in (e.low, e.high))
    lost = (Warning("unserved", f"{unserved} requests were never served"),) if high is None and unserved else ()
    value = float(seconds.max()) if math.isinf(e.value) else e.value
    return record_of(replace(e, value=value, low=low, high=high, warnings=(*lost, *e.warnings)), "s")


def with_unserved(seconds: F64, unserved: int) -> F64:
    """Latencies in the order of arrival: who was never served waited longest, and came last."""
    return np.concatenate([seconds, np.full(unserved, math.inf)])


def about_the_search(task: LoadTask, answer: LoadAnswer) -> Iterator[Warning]:
    search, load = answer.search, task.load
    if answer.timing.ended == "died" or search is None:
        return
    bound = f"{format_seconds(load.bound_s or 0.0)}@p{load.bound_quantile * 100:g}"
    if search.held is None:
        cure = "ask for more time than that, or for a lower percentile"
        if search.enough_s is not None:
            cure = f"give {flag('max_time')} {math.ceil(search.enough_s)}s"
        yield Warning(
            "unproved-rate", f"no rate was proved to hold {bound} within {answer.timing.elapsed_s:.1f} s", cure
        )
    for said in said_against(search, load.bound_quantile):
        yield Warning("queue-model", f"no estimate: {said}", "give more time, or quieten the machine")
