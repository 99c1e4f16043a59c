"""What of a load's results is worth telling: spikes, and the knee of a sweep."""

from __future__ import annotations

import math
from collections.abc import Sequence

from seatrial.history.records import CellRecord, LoadResult, Spike
from seatrial.stats.compare import SEPARATE_PROCESS_SD
from seatrial.stats.knee import knee

# Of the median: a fifth above it is what a person would call a spike.
LEAST_TOLD = 1.2


# 95 % of processes lie within this ratio of the usual one: SEPARATE_PROCESS_SD is of the ratio of two.
PROCESS_SPREAD = math.exp(1.96 * SEPARATE_PROCESS_SD / math.sqrt(2))


def worth_telling(spikes: Sequence[Spike]) -> list[Spike]:
    """Without those that only stand out because all others are the same to a few microseconds."""
    return [s for s in spikes if s.times_median >= LEAST_TOLD]


def throughput_knee(loads: Sequence[LoadResult]) -> tuple[int, int]:
    """Clients that may be, and that surely are, enough for 95 % of the best throughput."""
    intervals = []
    for m in (load.requests_per_s for load in loads):
        assert m
        low, high = m.interval or (None, None)
        intervals.append((m.value if low is None else low, m.value if high is None else high))
    return knee([load.clients for load in loads], intervals)


def thread_knee(cells: Sequence[CellRecord]) -> tuple[int, int]:
    """Threads that may be, and that surely are, enough for 95 % of the best throughput.

    Each count is a process of its own: its interval is widened by what separate processes differ by without any change.
    """
    spread = PROCESS_SPREAD
    intervals = []
    for m in (c.load.requests_per_s for c in cells if c.load):
        assert m
        low, high = m.interval or (None, None)
        own_low, own_high = m.value if low is None else low, m.value if high is None else high
        intervals.append((own_low / spread, own_high * spread))
    return knee([c.threads for c in cells], intervals)
