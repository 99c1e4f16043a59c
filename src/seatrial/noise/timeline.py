"""A watched stretch of time: rows of cumulative counters, and what happened between two of them.

For: totals and differences with their gaps filled. Not for: reading the counters (counters.py) or judging
them (report.py, spikes.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from seatrial.noise.counters import COLUMNS, UNREAD


@dataclass(frozen=True)
class Timeline:
    """table: (rows, len(COLUMNS)) int64, in the order of time; cores: those that idle and steal time are of."""

    cores: tuple[int, ...]
    table: npt.NDArray[np.int64]

    @property
    def time_ns(self) -> npt.NDArray[np.int64]:
        return self.table[:, 0]

    @property
    def watched_ns(self) -> int:
        return int(self.time_ns[-1] - self.time_ns[0]) if len(self.table) else 0

    def column(self, name: str) -> npt.NDArray[np.int64] | None:
        """A counter at every row, None where it was never read. Rows from before its first reading get that reading."""
        values = self.table[:, COLUMNS.index(name)]
        read = np.flatnonzero(values != UNREAD)
        if not read.size:
            return None
        # The reading before a row, or at it; the first for those before it.
        return values[read[np.maximum(0, np.searchsorted(read, np.arange(len(values)), side="right") - 1)]]

    def total(self, name: str) -> int | None:
        """How far a counter rose. Never below zero: the kernel takes back some idle time, and that of cores switched off."""
        values = self.column(name)
        return None if values is None else max(0, int(values[-1] - values[0]))

    def other_ns(self) -> npt.NDArray[np.int64] | None:
        """Time that the cores spent on work that is not the processes', cumulative; steps of 10 ms go up and down.

        Derived from idle time: it is measured, while the kernel samples "user" and "system" at ticks, and misses
        what comes and goes between two of them.
        """
        idle, cpu, steal = self.column("idle_ns"), self.column("cpu_ns"), self.column("steal_ns")
        if idle is None or cpu is None:
            return None
        other = len(self.cores) * (self.time_ns - self.time_ns[0]) - (idle - idle[0]) - (cpu - cpu[0])
        return np.asarray(other if steal is None else other - (steal - steal[0]))
