"""What of a load's results is worth telling: spikes, and the knee of a sweep."""

from __future__ import annotations

from collections.abc import Sequence

from seatrial.history.records import CellRecord, LoadResult, Measured, Spike
from seatrial.stats.knee import knee
from seatrial.stats.separate import PROCESS_SPREAD

# In a very calm sample a fifth above the median is an outlier, and nothing that anyone has to look for.
LEAST_TOLD = 1.5
LEAST_TOLD_S = 0.5e-3


def worth_telling(spikes: Sequence[Spike]) -> list[Spike]:
    """Those that took half as long again as the median, and so much longer that it matters by the clock too."""
    return [s for s in spikes if s.times_median >= LEAST_TOLD and _beyond_s(s) >= LEAST_TOLD_S]


def _beyond_s(s: Spike) -> float:
    """What it took beyond the median."""
    return s.duration_s * (1 - 1 / s.times_median)


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
