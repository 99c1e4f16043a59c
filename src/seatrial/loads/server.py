"""Requests that come when they are due, served by as many clients as there are. For: one rate, once."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial._native.timing import StageSamples, now_ns, open_loop
from seatrial.loads.task import LoadTask
from seatrial.timing import arrivals
from seatrial.timing.measure import collector_paused

I64 = npt.NDArray[np.int64]
POLL_S = 0.2
# Behind the last arrival: a server that is behind may catch up; what it has not begun by then is unserved.
LEAST_GRACE_S = 1.0
# The first arrival is due so long after the servers are started.
LEAD_NS = 20_000_000


def due_times(task: LoadTask, rate: float, duration_s: float, seed: int) -> I64:
    """Offsets from the first, int64 nanoseconds, as the load says."""
    if task.load.arrivals == "trace":
        return arrivals.trace(task.load.arrivals_s, duration_s)
    if task.load.arrivals == "constant":
        return arrivals.constant(rate, duration_s)
    return arrivals.poisson(rate, duration_s, seed)


def serve(
    works: list[Any],
    tables: list[StageSamples],
    due_ns: I64,
    tell: Callable[[float], None],
    spare: set[int],
    longest_wait_s: float = 0.0,
) -> tuple[str, int]:
    """Why it ended, and the clock at the first arrival.

    longest_wait_s: a wait that is nothing unusual here; several of them are given to a server that is behind at the end.
    """
    grace_ns = int(max(LEAST_GRACE_S, 5 * longest_wait_s) * 1e9)
    span_ns = int(due_ns[-1])
    first_ns = 0

    def loop() -> str:
        nonlocal first_ns
        # Behind the collector, which takes longer than the lead: what is due meanwhile would be charged with a wait for it.
        first_ns = now_ns() + LEAD_NS
        return open_loop(works, tables, due_ns, first_ns=first_ns, deadline_ns=first_ns + span_ns + grace_ns)

    def poll() -> None:
        if first_ns:
            tell(min(1.0, max(0, now_ns() - first_ns) / (span_ns + 1)))

    ended = beside(loop, poll, spare)
    return ended, first_ns


def beside(loop: Callable[[], str], poll: Callable[[], None], spare: set[int]) -> str:
    """Runs the loop in a thread, and `poll` a few times a second beside it, on the spare cores if there are any: who
    watches must not take time from who is measured. Raises what the loop raised."""
    result: list[str] = []
    problem: list[BaseException] = []

    def body() -> None:
        try:
            result.append(loop())
        except BaseException as e:
            problem.append(e)

    thread = threading.Thread(target=body, name="seatrial-load")
    with collector_paused():
        thread.start()
        with on_cores(spare):
            while thread.is_alive():
                thread.join(POLL_S)
                poll()
    if problem:
        raise problem[0]
    return result[0]


@contextmanager
def on_cores(cores: set[int]) -> Iterator[None]:
    """The calling thread alone, on these cores; where it is where there are none."""
    if not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
