"""The worker's side of --find-rate: rates sent one after another, for search.py to choose and judge.

For: sending a rate, and what its requests were. Not for: which rate comes next, or what requests prove.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter, ValidationError

from seatrial._native.timing import StageSamples, closed_loop, closed_loops, now_ns
from seatrial.errors import UsageError
from seatrial.jobs.job import Tell
from seatrial.jobs.shared import merged
from seatrial.jobs.workload import Timing
from seatrial.loads.bound import LatencyBound
from seatrial.loads.chance import FILLING
from seatrial.loads.clients import Opened
from seatrial.loads.fit import Fit, Sent
from seatrial.loads.search import Found, find_rate
from seatrial.loads.server import due_times, serve
from seatrial.loads.sweep import no_request
from seatrial.loads.task import Estimate, LoadTask, Point, Search, Served
from seatrial.stats.sample import quantile_below
from seatrial.units import format_seconds

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
# Requests back to back, of one client and then of all: a first idea of the service times.
LOOK_S, SHARE_LOOKED = 1.0, 1 / 10


def read_kept(kept: Path) -> Search | None:
    """What a search had found before its process died; None where it had not sent a rate."""
    try:
        return TypeAdapter(Search).validate_json(kept.read_bytes())
    except (OSError, ValidationError):
        return None


class RateSearch:
    """One search: `run` fills the tables, and gives what the worker answers.

    kept: a file for what is found so far, after each rate, for whoever outlives this process.
    """

    def __init__(
        self, task: LoadTask, opened: Opened, tables: list[StageSamples], tell: Tell, kept: Path | None = None
    ) -> None:
        assert task.load.bound_s is not None
        self._task = task
        self._bound = LatencyBound(task.load.bound_quantile, task.load.bound_s, len(opened.works))
        self._works, self._spare, self._sent = opened.works, opened.spare, opened.sent
        self._tables, self._tell, self._kept = tables, tell, kept
        self._began = now_ns()
        self._points: list[Point] = []
        self._full = False
        self._service_s = self._budget_s = 0.0

    def run(self, warm_up: int) -> Served:
        """warm_up: requests before it."""
        service_s = self._back_to_back()
        self._budget_s = max(0.0, self._task.stopping.max_time_s - self._elapsed_s())
        seed, evenly = self._task.workload.seed, self._task.load.arrivals == "constant"
        found = find_rate(self._bound, service_s, self._send, self._budget_s, seed, evenly, self._keep)
        ended = "full" if self._full else "deadline" if found.held is None else "converged"
        timing = Timing(warm_up=warm_up, converged=found.held is not None, elapsed_s=self._elapsed_s(), ended=ended)
        return Served(timing=timing, search=self._search(found))

    def _keep(self, so_far: Found) -> None:
        if self._kept:
            self._kept.write_bytes(TypeAdapter(Search).dump_json(self._search(so_far)))

    def _search(self, found: Found) -> Search:
        e, fits = found.estimate, found.fits or (Fit(),) * len(self._points)
        points = [
            replace(p, holds=holds, slow=fit.slow, expected_slow=fit.expected, misfit=fit.misfit)
            for p, holds, fit in zip(self._points, found.holds, fits, strict=True)
        ]
        looked_s = self._task.stopping.max_time_s - self._budget_s
        return Search(
            points=tuple(points),
            held=found.held,
            broke=found.broke,
            estimate=Estimate(per_s=e.value, low=e.low, high=e.high, service_times=e.n) if e else None,
            enough_s=None if found.enough_s is None else found.enough_s + looked_s,
        )

    def _back_to_back(self) -> F64:
        """Service times without idle time between them: of one client alone, or of all at once where there are several.

        UsageError where even requests that come alone break the bound.
        """
        works, stages, max_time_s = self._works, self._tables[0].stages, self._task.stopping.max_time_s
        duration_ns = int(min(LOOK_S, max_time_s * SHARE_LOOKED) * 1e9)
        # Alone, a request waits in no queue: these rows lack the stage for the wait, which the tables of a load have.
        alone = StageSamples(4096, stages - 1)
        closed_loop(works[0], alone, deadline_ns=now_ns() + duration_ns, most=4096)
        self._sent(0, len(alone))
        if not len(alone):
            raise no_request(max_time_s)
        alone_s = alone.to_array()[:, -1] / 1e9
        self._service_s = float(np.median(alone_s))
        self._check_bound(alone_s)
        if len(works) == 1:
            return alone_s
        tables = [StageSamples(1 << 15, stages - 1) for _ in works]
        closed_loops(works, tables, deadline_ns=now_ns() + duration_ns)
        for client, table in enumerate(tables):
            self._sent(client, len(table))
        return np.asarray(merged([t.to_array() for t in tables])[:, -1] / 1e9)

    def _check_bound(self, alone_s: F64) -> None:
        quantile, limit_s = self._bound.quantile, self._bound.limit_s
        if quantile_below(alone_s, quantile, limit_s, 0.99, longest_run=1).answer != "no":
            return
        least = float(np.quantile(alone_s, quantile))
        raise UsageError(
            f"no rate can hold it: with nothing else to do p{quantile * 100:g} of {len(alone_s)} requests is "
            f"{format_seconds(least)}; ask for more time than that",
            option="latency_bound",
            value=f"{format_seconds(limit_s)}@p{quantile * 100:g}",
        )

    def _send(self, rate: float, duration_s: float) -> Sent | None:
        task = self._task
        self._tell(f"{rate:.3g} requests/s", min(1.0, self._elapsed_s() / task.stopping.max_time_s))
        due_ns = due_times(task, rate, duration_s, task.workload.seed + len(self._points))
        longest_wait_s = max(self._bound.limit_s, self._service_s)
        ended, first_ns = serve(
            self._works, self._tables, due_ns, lambda _: None, self._spare, longest_wait_s=longest_wait_s
        )
        if ended == "full":
            self._full = True
            return None
        first = int(len(due_ns) * FILLING)
        judged_from = first_ns + int(due_ns[first])
        rows = merged([t.to_array() for t in self._tables])
        filling, rows = rows[(first_ns <= rows[:, 0]) & (rows[:, 0] < judged_from)], rows[rows[:, 0] >= judged_from]
        # Two may be due in the same nanosecond.
        first = int(np.searchsorted(due_ns, due_ns[first]))
        count = len(due_ns) - first
        self._points.append(
            Point(
                offered_per_s=rate,
                first_row_ns=judged_from,
                last_row_ns=first_ns + int(due_ns[-1]),
                arrivals=count,
                holds="unsure",
            )
        )
        unserved = np.full(count - len(rows), math.inf)
        return Sent(
            rate=rate,
            due_s=due_ns / 1e9,
            first=first,
            filling_s=(filling[:, -1] - filling[:, 1]) / 1e9,
            latencies_s=np.concatenate([rows[:, -1] / 1e9, unserved]),
            service_s=(rows[:, -1] - rows[:, 1]) / 1e9,
        )

    def _elapsed_s(self) -> float:
        return (now_ns() - self._began) / 1e9
