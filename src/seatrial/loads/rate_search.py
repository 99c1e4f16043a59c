"""The worker's side of --find-rate: rates sent one after another, each judged by its own requests.

For: how long a rate is sent, and what its requests say. Not for: which rate comes next (search.py).
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from seatrial._native.timing import StageSamples, closed_loop, closed_loops, now_ns
from seatrial.errors import UsageError, option
from seatrial.jobs.job import Tell
from seatrial.jobs.shared import merged
from seatrial.jobs.workload import Timing
from seatrial.loads.clients import Opened
from seatrial.loads.search import ERROR, MOST_LOOKS, Holds, find_rate
from seatrial.loads.server import due_times, serve
from seatrial.loads.sweep import no_request
from seatrial.loads.task import LoadTask, Point, Search, Served
from seatrial.stats.sample import effective_count, quantile_below
from seatrial.stats.share import Worth
from seatrial.stats.stopping import tail_samples_needed
from seatrial.stats.utilisation import utilisation
from seatrial.units import format_seconds

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
# Shares of --max-time: how long one rate of the search is sent, and how long one that is to be confirmed.
SHARE_TRIED, SHARE_CONFIRMED = 1 / 16, 1 / 6
# Most requests of one rate: those of a model that takes a few microseconds would fill the table of samples at once.
MOST_PROBE_REQUESTS = 1 << 15
# After a change of rate the queue takes a while to reach its usual length: this share of a rate's requests is left out.
FILLING = 0.1
# Share of --max-time for the search; the rest is for confirming the rate that it ends at.
SEARCHING = 0.5
# How far below its limit a share should be seen, in standard errors, to go on with: 1.96 for the test that confirms at
# ERROR / 2 on a side, and 0.84 more, so that four rates in five pass it.
CONFIRMING_Z = 2.8
# Requests above the bound that a rate may have and still pass, in the search and at its confirmation: with none allowed,
# one stall of the machine would decide.
MAY_BE_ABOVE, MAY_BE_ABOVE_AT_LAST = 1, 3
ONE_BY_ONE = Worth(memory=1.0, unseen=1.0)


class RateSearch:
    """One search: `run` fills the tables, and gives what the worker answers."""

    def __init__(self, task: LoadTask, opened: Opened, tables: list[StageSamples], tell: Tell) -> None:
        assert task.load.bound_s is not None
        self._task = task
        self._bound_s, self._quantile = task.load.bound_s, task.load.bound_quantile
        self._works, self._spare, self._sent = opened.works, opened.spare, opened.sent
        self._tables, self._tell = tables, tell
        self._began = now_ns()
        self._points: list[Point] = []
        self._full = False
        self._service_s, self._least_service_s = 0.0, math.inf

    def run(self, warm_up: int) -> Served:
        """warm_up: requests before it."""
        capacity = self._capacity()
        self._check_time(capacity)
        found = find_rate(capacity, self._try, self._confirm)
        sure = found.complete and (found.confirmed or found.held is None)
        # No such rate needs to be sent: where requests come faster than all clients can serve, each waits longer than the last.
        too_fast = len(self._works) / self._least_service_s if 0 < self._least_service_s < math.inf else math.inf
        broke = min(found.failed or math.inf, too_fast)
        search = Search(
            points=tuple(self._points),
            held=found.held,
            broke=broke if math.isfinite(broke) else None,
            confirmed=found.confirmed,
        )
        ended = "full" if self._full else "converged" if sure else "deadline"
        elapsed_s = (now_ns() - self._began) / 1e9
        return Served(timing=Timing(warm_up=warm_up, converged=sure, elapsed_s=elapsed_s, ended=ended), search=search)

    def _capacity(self) -> float:
        """Requests a second without idle time, as a first guess. UsageError where even requests that come alone break the
        bound."""
        works, stages = self._works, self._tables[0].stages
        duration_ns = int(min(1.0, self._task.stopping.max_time_s / 8) * 1e9)
        # Alone, a request waits in no queue: these rows lack the stage for the wait, which the tables of a load have.
        alone = StageSamples(4096, stages - 1)
        closed_loop(works[0], alone, deadline_ns=now_ns() + duration_ns, most=4096)
        self._sent(0, len(alone))
        if not len(alone):
            raise no_request(self._task.stopping.max_time_s)
        self._service_s = float(np.median(alone.to_array()[:, -1])) / 1e9
        if self._service_s > self._bound_s:
            raise UsageError(
                f"no rate can hold it: with nothing else to do, half of the requests take more than "
                f"{format_seconds(self._service_s)}; ask for more time than that",
                option="latency_bound",
                value=f"{format_seconds(self._bound_s)}@p{self._quantile * 100:g}",
            )
        tables = [StageSamples(1 << 15, stages - 1) for _ in works]
        began = now_ns()
        closed_loops(works, tables, deadline_ns=began + duration_ns)
        for client, table in enumerate(tables):
            self._sent(client, len(table))
        return max(1, sum(map(len, tables))) / ((now_ns() - began) / 1e9)

    def _check_time(self, capacity: float) -> None:
        needed = requests_needed(self._quantile, ERROR, MAY_BE_ABOVE)
        rate, max_time_s = 0.6 * capacity, self._task.stopping.max_time_s
        if needed / rate > SEARCHING * max_time_s:
            raise UsageError(
                f"one rate needs {needed} requests to tell p{self._quantile * 100:g}, which take "
                f"{format_seconds(needed / rate)} at the first, {rate:.3g}/s; {option('max_time')} is "
                f"{format_seconds(max_time_s)}: give {math.ceil(15 * needed / rate)} s, or a lower percentile",
                option="find_rate",
            )

    def _try(self, rate: float) -> Holds | None:
        """For the search a likely "yes" will do: one that a confirmation would probably pass. The record's point keeps what
        its requests alone prove."""
        needed = requests_needed(self._quantile, ERROR, MAY_BE_ABOVE)
        sent = self._send(rate, needed, SHARE_TRIED, until=SEARCHING, must=not self._points)
        if sent is None:
            return None
        holds = self._mark_point(rate, sent, ERROR)
        if holds != "unsure":
            return holds
        of_confirming = SHARE_CONFIRMED * self._task.stopping.max_time_s * rate
        return (
            "yes"
            if looks_confirmable(
                sent.latencies_s,
                sent.service_s,
                rate,
                len(self._works),
                self._quantile,
                self._bound_s,
                of_confirming,
            )
            else "unsure"
        )

    def _confirm(self, rate: float, error: float) -> Holds | None:
        needed = requests_needed(self._quantile, error, MAY_BE_ABOVE_AT_LAST)
        sent = self._send(rate, needed, SHARE_CONFIRMED, until=1.0)
        return None if sent is None else self._mark_point(rate, sent, error)

    def _mark_point(self, rate: float, sent: _Requests, error: float) -> Holds:
        holds = bound_holds(
            sent.latencies_s, sent.service_s, rate, len(self._works), self._quantile, self._bound_s, error
        )
        self._points[-1] = replace(self._points[-1], holds=holds)
        return holds

    def _send(self, rate: float, needed: int, share: float, until: float, must: bool = False) -> _Requests | None:
        """Sends a rate: `needed` requests or as many as `share` of --max-time holds, whichever are more.

        None where they would end later than `until` (a share of --max-time too), or where the table is full.
        """
        task, max_time_s = self._task, self._task.stopping.max_time_s
        duration_s = max(needed / (1 - FILLING) / rate, min(share * max_time_s, MOST_PROBE_REQUESTS / rate))
        spent_s = (now_ns() - self._began) / 1e9
        if self._full or (not must and spent_s + duration_s > until * max_time_s):
            return None
        self._tell(f"{rate:.3g} requests/s", min(1.0, spent_s / max_time_s))
        due_ns = due_times(task, rate, duration_s, task.workload.seed + len(self._points))
        ended, first_ns = serve(
            self._works,
            self._tables,
            due_ns,
            lambda _: None,
            self._spare,
            longest_wait_s=max(self._bound_s, self._service_s),
        )
        if ended == "full":
            self._full = True
            return None
        first_judged = due_ns[int(len(due_ns) * FILLING)]
        judged_from = first_ns + int(first_judged)
        rows = merged([t.to_array() for t in self._tables])
        rows = rows[rows[:, 0] >= judged_from]
        # Two may be due in the same nanosecond.
        count = int((due_ns >= first_judged).sum())
        last_ns = first_ns + int(due_ns[-1])
        self._points.append(
            Point(offered_per_s=rate, first_row_ns=judged_from, last_row_ns=last_ns, arrivals=count, holds="unsure")
        )
        sent = _Requests(rows, count)
        if len(sent.service_s):
            self._least_service_s = min(self._least_service_s, utilisation(sent.service_s, 1.0, 1)[0])
        return sent


def bound_holds(
    latencies_s: F64, service_s: F64, rate: float, clients: int, quantile: float, bound_s: float, error: float
) -> Holds:
    """What one rate's requests say. error: how often a "yes" may be wrong; a "no" is wrong with ERROR in a whole search."""
    # ERROR is for the whole search: MOST_LOOKS rates at most, each tried and perhaps confirmed, where latencies or busy clients
    # may say "no".
    error_of_no = ERROR / (4 * MOST_LOOKS)
    if _answer(latencies_s, quantile, bound_s, error_of_no) == "no":
        return "no"
    # Requests that were given up long after they were due stood in a queue. That they came together is the queue's doing, so
    # that each counts in full.
    served = int(np.isfinite(latencies_s).sum())
    if ONE_BY_ONE.bounds(served, len(latencies_s), 1.0, quantile, error_of_no):
        return "no"
    if utilisation(service_s, rate, clients, 1 - error_of_no)[0] >= 1:
        return "no"
    # Where the queue may still be growing, latencies so far do not say what they will be.
    if utilisation(service_s, rate, clients)[1] >= 1:
        return "unsure"
    return "yes" if _answer(latencies_s, quantile, bound_s, error) == "yes" else "unsure"


def _answer(latencies_s: F64, quantile: float, bound_s: float, error: float) -> str:
    """By the rule of budgets, but with this error, and not assuming that slow requests may come in runs not seen yet.

    With that, a rate would take twenty times the requests, and a search many rates. Here a queue makes the runs, at each
    rate, and they are seen; what else may come in runs must not come at the search's rate and again when it is confirmed.
    """
    return quantile_below(latencies_s, quantile, bound_s, 1 - 2 * error, longest_run=1).answer


def looks_confirmable(
    latencies_s: F64, service_s: F64, rate: float, clients: int, quantile: float, bound_s: float, requests: float
) -> bool:
    """Whether so many requests of the kind would pass the test, were the share above the bound what it is here."""
    if utilisation(service_s, rate, clients)[1] >= 1:
        return False
    independent = requests * effective_count(latencies_s, quantile) / len(latencies_s)
    may_be = 1 - quantile
    # A normal approximation of the test will do: this is a guess, and the confirmation applies the test itself.
    passes = may_be - CONFIRMING_Z * math.sqrt(may_be * quantile / max(1.0, independent))
    return float((latencies_s > bound_s).mean()) <= max(0.0, passes)


class _Requests:
    """latencies_s: of the requests that are judged; those that were never served count as infinite."""

    def __init__(self, rows: I64, count: int) -> None:
        self.service_s: F64 = (rows[:, -1] - rows[:, 1]) / 1e9
        self.latencies_s: F64 = np.concatenate([rows[:, -1] / 1e9, np.full(count - len(rows), math.inf)])


def requests_needed(quantile: float, error: float, above: int) -> int:
    """Some more than independent requests: latencies of neighbours in a queue are alike."""
    return math.ceil(1.3 * tail_samples_needed(quantile, 1 - error, above))
