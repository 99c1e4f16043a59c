"""The measuring loop: warm up, time every stage of every request, stop when there is enough.

For: one client in a closed loop, in one process: clocks, deadlines, gaps. Not for: when there is enough, or what the samples
mean (stats), loads (loads/), or several processes (trial).
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from seatrial._native.timing import StageSamples, Work, closed_loop, now_ns
from seatrial.stats.stopping import StoppingRule, windows_agree

WARM_UP_WINDOW = 20
WARM_UP_CAP = 300
LEAST_WARM_UP_NS = 100_000_000
CAPACITY = 1 << 17
# The loop comes back this often to say how far it is.
WORD_NS = 200_000_000


@dataclass(frozen=True)
class Measurement:
    """table_ns: (iterations, 1 + stages + 1) int64: start, one a stage, end to end. warm_up is how many were thrown away.

    ended: 'converged', 'deadline' or 'full'. known_to: half the median's interval over it; None where it has none.
    """

    table_ns: npt.NDArray[np.int64]
    warm_up: int
    elapsed_ns: int
    converged: bool
    ended: str
    known_to: float | None = None


def measure(
    work: Work,
    stages: int,
    max_time_ns: int,
    rule: StoppingRule,
    tell: Callable[[float], None],
    *,
    samples: StageSamples | None = None,
    gap_ns: int = 0,
) -> Measurement:
    """Warms up, then samples until the rule has enough or the time is up. `tell` hears the share of the time used, between
    requests.

    samples: the table to fill, which another process may share; gap_ns: sleep behind each request.
    """
    warmed = warm_up(work, stages, max_time_ns // 3, gap_ns)
    # Not `or`: an empty table is false.
    samples = StageSamples(CAPACITY, stages) if samples is None else samples
    with collector_paused():
        began = now_ns()
        end = began + max_time_ns
        while True:
            # One more than there is room for would never be reached.
            left = max(0, min(rule.next_look, samples.capacity + 1) - len(samples))
            # A deadline would cut the gap before it short: with gaps, the loop comes back after a number of requests.
            ended = closed_loop(
                work,
                samples,
                deadline_ns=end if gap_ns else min(end, now_ns() + WORD_NS),
                most=min(left, _requests_a_word(samples, gap_ns)) if gap_ns else left,
                gap_ns=gap_ns,
            )
            if ended not in ("deadline", "count"):
                break
            if ended == "count" and len(samples) >= rule.next_look and rule.look(samples.to_array()).enough:
                ended = "converged"
                break
            if now_ns() >= end:
                ended = "deadline"
                break
            tell((now_ns() - began) / max_time_ns)
        elapsed = now_ns() - began
    table = samples.to_array()
    last = rule.conclude(table)
    return Measurement(table, warmed, elapsed, last.enough, ended, last.known_to)


def _requests_a_word(samples: StageSamples, gap_ns: int) -> int:
    last = samples.to_array(len(samples) - 1)[:, -1] if len(samples) else [0]
    return max(1, WORD_NS // (gap_ns + int(last[0])))


def warm_up(work: Work, stages: int, max_time_ns: int, gap_ns: int = 0) -> int:
    """Requests until two windows in a row agree, the cap, or the time is up; returns how many ran.

    Not before LEAST_WARM_UP_NS: a model of microseconds would be through before the governor has seen it.
    """
    began = now_ns()
    deadline = began + max_time_ns
    least = min(deadline, began + LEAST_WARM_UP_NS)
    before, count = None, 0
    while True:
        window = StageSamples(WARM_UP_WINDOW, stages)
        ended = closed_loop(work, window, deadline_ns=deadline, most=WARM_UP_WINDOW, gap_ns=gap_ns)
        count += len(window)
        if ended != "count":
            return count
        latest = window.to_array()[:, -1].astype(np.float64)
        if now_ns() >= least and (count >= WARM_UP_CAP or (before is not None and windows_agree(before, latest))):
            return count
        before = latest


@contextmanager
def collector_paused() -> Iterator[None]:
    """Python's cycle collector would run inside whichever stage crosses its threshold, and be charged to it."""
    gc.collect()
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def image_order(count: int, seed: int) -> Iterator[int]:
    """Endless image indices: every image once a round, each round in a new random order.

    A fixed order would make the latency of neighbours repeat with the round, and the samples look correlated.
    """
    rng = np.random.default_rng(seed)
    while True:
        yield from (int(i) for i in rng.permutation(count))
