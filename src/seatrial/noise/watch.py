"""What disturbed a run while it ran: a watch beside the measuring process.

For: the parent of a process that measures. Not for: the machine's settings (machine), how a counter is read
(counters.py), what the totals mean (report.py), or single samples (spikes.py).
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from seatrial.machine.environment import usable_cores
from seatrial.machine.facts import ROOT
from seatrial.noise.counters import COLUMNS, Counters
from seatrial.noise.report import NoiseReport, summarise
from seatrial.noise.spikes import Spike, attribute_spikes, outliers
from seatrial.noise.timeline import Timeline

__all__ = ["NoiseReport", "NoiseWatch", "Spike", "Timeline", "attribute_spikes", "outliers", "summarise"]

# The watch may cost this share of a core: with hundreds of threads to read, it looks less often.
OWN_SHARE = 0.01


class NoiseWatch:
    """Reads, beside a running process, what the kernel counts about it and its cores: `with NoiseWatch(child.pid) as w:`.

    `cores` are those that the process is measured on, by default all that it may use at the start; a process that pins
    itself later needs them named. `gpu` is the one that it uses, by CUDA's number. Processes and threads may end meanwhile, and
    any counter may be missing.
    """

    def __init__(
        self,
        pid: int | Iterable[int],
        period_s: float = 0.05,
        cores: Iterable[int] | None = None,
        root: Path = ROOT,
        gpu: int = 0,
    ) -> None:
        self._pids = [pid] if isinstance(pid, int) else list(pid)
        self._period_s = period_s
        self._cores = sorted(set(cores or ())) or _cores_of(self._pids)
        self._root, self._gpu = root, gpu
        self._rows = array("q")
        self._cost_ns = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="seatrial-noise", daemon=True)

    def __enter__(self) -> Self:
        began = time.thread_time_ns()
        self._counters = Counters(self._pids, self._cores, self._root, self._gpu)
        self._rows.extend(self._counters.read())
        self._cost_ns += time.thread_time_ns() - began
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()
        began = time.thread_time_ns()
        self._rows.extend(self._counters.read())
        self._counters.close()
        self._cost_ns += time.thread_time_ns() - began

    def report(self) -> NoiseReport:
        """What disturbed the watched time; so far, inside the block."""
        # One copy in one step: the watch may be adding a row.
        table = np.frombuffer(self._rows.tobytes(), np.int64).reshape(-1, len(COLUMNS))
        return summarise(Timeline(tuple(self._cores), table), self._cost_ns / 1e9)

    def _watch(self) -> None:
        _keep_off(self._cores)
        pause_s = self._period_s
        before = time.thread_time_ns()
        while not self._done.wait(pause_s):
            self._rows.extend(self._counters.read())
            now = time.thread_time_ns()
            pause_s = max(self._period_s, (now - before) / OWN_SHARE / 1e9)
            self._cost_ns += now - before
            before = now


def _cores_of(pids: Sequence[int]) -> list[int]:
    """Cores that the processes may use; ours where none of them is left to ask."""
    found: set[int] = set()
    for pid in pids:
        with contextlib.suppress(OSError):  # it has ended
            found |= os.sched_getaffinity(pid)
    return sorted(found) or usable_cores()


def _keep_off(cores: Sequence[int]) -> None:
    """Moves the calling thread to the cores that are not measured, if it may use any."""
    others = set(usable_cores()) - set(cores)
    if others:
        with contextlib.suppress(OSError):  # a cpuset that has changed since
            os.sched_setaffinity(0, others)
