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
from seatrial.stats.level import LEAST_SAMPLES, level_shift
from seatrial.stats.stopping import StoppingRule, windows_agree

WARM_UP_WINDOW = 20
WARM_UP_CAP = 300
LEAST_WARM_UP_NS = 100_000_000
# Where kernels may change: for how long the latency must have kept its level, and how many requests at the least.
STEADY_NS, STEADY_REQUESTS = 1_000_000_000, 2 * LEAST_SAMPLES
LOOK_NS = 50_000_000
CAPACITY = 1 << 17
# The loop comes back this often to say how far it is.
WORD_NS = 200_000_000


@dataclass(frozen=True)
class Measurement:
    """table_ns: (iterations, 1 + stages + 1) int64: start, one a stage, end to end. warm_up is how many were thrown away.

    ended: 'converged', 'deadline' or 'full'. known_to: half the median's interval over it; None where it has none. steady: as
    WarmUp has it.
    """

    table_ns: npt.NDArray[np.int64]
    warm_up: int
    elapsed_ns: int
    converged: bool
    ended: str
    known_to: float | None = None
    steady: bool = True


def measure(
    work: Work,
    stages: int,
    max_time_ns: int,
    rule: StoppingRule,
    tell: Callable[[float], None],
    *,
    samples: StageSamples | None = None,
    gap_ns: int = 0,
    level_of: int | None = None,
) -> Measurement:
    """Warms up, then samples until the rule has enough or the time is up. `tell` hears the share of the time used, between
    requests.

    samples: the table to fill, which another process may share; gap_ns: sleep behind each request. level_of: as warm_up has it,
    which then may take as long as the measurement.
    """
    warmed = warm_up(work, stages, max_time_ns // 3 if level_of is None else max_time_ns, gap_ns, level_of)
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
    return Measurement(table, warmed.count, elapsed, last.enough, ended, last.known_to, warmed.steady)


def _requests_a_word(samples: StageSamples, gap_ns: int) -> int:
    last = samples.to_array(len(samples) - 1)[:, -1] if len(samples) else [0]
    return max(1, WORD_NS // (gap_ns + int(last[0])))


@dataclass(frozen=True)
class WarmUp:
    """count: how many requests ran. steady: False where kernels may change, and the latency did not keep its level in time."""

    count: int
    steady: bool = True


def warm_up(work: Work, stages: int, max_time_ns: int, gap_ns: int = 0, level_of: int | None = None) -> WarmUp:
    """Requests until two windows in a row agree, the cap, or the time is up.

    Not before LEAST_WARM_UP_NS: a model of microseconds would be through before the governor has seen it. level_of: a column of
    the rows, where kernels may change while they run: then it lasts until that column has kept its level for STEADY_NS, however
    many requests that takes.
    """
    began = now_ns()
    deadline = began + max_time_ns
    least = min(deadline, began + LEAST_WARM_UP_NS)
    before, count = None, 0
    level = _Level(began)
    while True:
        window = StageSamples(WARM_UP_WINDOW, stages)
        ended = closed_loop(work, window, deadline_ns=deadline, most=WARM_UP_WINDOW, gap_ns=gap_ns)
        count += len(window)
        if ended != "count":
            return WarmUp(count, level_of is None)
        if level_of is not None:
            if level.is_kept(window.to_array()[:, [0, level_of]]):
                return WarmUp(count)
            continue
        latest = window.to_array()[:, -1].astype(np.float64)
        if now_ns() >= least and (count >= WARM_UP_CAP or (before is not None and windows_agree(before, latest))):
            return WarmUp(count)
        before = latest


class _Level:
    """What requests of the last STEADY_NS took, or as many as STEADY_REQUESTS."""

    def __init__(self, began_ns: int) -> None:
        self._rows: list[npt.NDArray[np.int64]] = []
        self._next_ns = began_ns + LOOK_NS

    def is_kept(self, rows: npt.NDArray[np.int64]) -> bool:
        """rows: (n, 2), when the next requests started and what they took. Looked at every LOOK_NS."""
        self._rows.append(rows)
        if now_ns() < self._next_ns:
            return False
        self._next_ns = now_ns() + LOOK_NS
        found = np.concatenate(self._rows)
        long_ago = int(np.searchsorted(found[:, 0], found[-1, 0] - STEADY_NS, "right")) - 1
        first = min(long_ago, len(found) - STEADY_REQUESTS)
        if first < 0:
            return False
        self._rows = [found[first:]]
        return level_shift(found[first:, 1]) is None


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
