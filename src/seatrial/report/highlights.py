"""What of a load's results is worth telling: spikes, and the knee of a sweep."""

from __future__ import annotations

from collections.abc import Sequence

from seatrial.history.records import CellRecord, LoadResult, Measured, Spike
from seatrial.stats.knee import knee
from seatrial.stats.separate import PROCESS_SPREAD

# Of the median: a fifth above it is what a person would call a spike.
LEAST_TOLD = 1.2


def worth_telling(spikes: Sequence[Spike]) -> list[Spike]:
    """Without those that only stand out because all others are the same to a few microseconds."""
    return [s for s in spikes if s.times_median >= LEAST_TOLD]


def throughput_knee(loads: Sequence[LoadResult]) -> tuple[int, int]:
    """Clients that may be, and that surely are, enough for 95 % of the best throughput."""
    return knee([load.clients for load in loads], [_rate(load).ends for load in loads])


def thread_knee(cells: Sequence[CellRecord]) -> tuple[int, int]:
    """Threads that may be, and that surely are, enough for 95 % of the best throughput.

    Each count is a process of its own: its interval is widened by what separate processes differ by without any change.
    """
    own = [_rate(c.load).ends for c in cells]
    return knee([c.threads for c in cells], [(low / PROCESS_SPREAD, high * PROCESS_SPREAD) for low, high in own])


def _rate(load: LoadResult | None) -> Measured:
    assert load
    assert load.requests_per_s
    return load.requests_per_s
