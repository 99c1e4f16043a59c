"""What the kernel counts about processes and the cores they run on, read often at little cost.

For: one row of cumulative counters at a time, out of /proc and /sys. Not for: when to read (watch.py) or what the numbers mean
(timeline.py, spikes.py). Root is not needed. A part that is missing, hidden or gone is UNREAD or keeps its last count.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from seatrial._native.timing import now_ns
from seatrial.machine.cgroups import cpu_limit, groups
from seatrial.machine.facts import ROOT, read
from seatrial.noise.gpu import GPU_COLUMNS, GpuCounters

COLUMNS = (
    "time_ns",  # CLOCK_MONOTONIC, as the samples' own times
    "voluntary_switches",
    "involuntary_switches",
    "minor_faults",
    "major_faults",
    "cpu_ns",  # what the processes used
    "run_queue_wait_ns",  # what they waited, ready to run, without a core; summed over threads
    "idle_ns",  # of the cores, waiting for a disk included; steps of 10 ms
    "steal_ns",  # of the cores, taken by the hypervisor; steps of 10 ms
    "throttled_ns",  # by a limit of the processes' control group
    "thermal_events",
    "cpu_pressure_ns",  # some task on the machine waited for a core
    "frequency_khz",  # of the fastest core: an idle core's clock says nothing
    "realtime_minus_monotonic_ns",
    "boottime_minus_monotonic_ns",
    *GPU_COLUMNS,
)
# Not -1: a difference between two clocks may be negative.
UNREAD = int(np.iinfo(np.int64).min)

_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
# Two descriptors a thread; the usual limit on descriptors is 1024, and the harness needs its own.
_MOST_THREADS = 128
# Two clocks read further apart than this were interrupted in between: their difference is not news.
_CLOCKS_APART_NS = 1_000_000


class Counters:
    """Open files of some processes and cores; `read()` gives one row, in the order of COLUMNS. gpu: by CUDA's number."""

    def __init__(self, pids: Sequence[int], cores: Sequence[int], root: Path = ROOT, gpu: int = 0) -> None:
        self._processes = [_Process(pid, root) for pid in pids]
        self._cores = _Cores(cores, root)
        self._limits = _Limits(pids, root)
        self._pressure = _File(root / "proc/pressure/cpu")
        self._frequency = _Frequency(cores, root)
        self._thermal = _Thermal(cores, root)
        # Of another tree than this machine's there is no driver to ask.
        self._gpu = GpuCounters(gpu) if root == ROOT else None
        self._last = [UNREAD] * len(COLUMNS)

    def read(self) -> list[int]:
        processes = [p.read() for p in self._processes]
        row = [now_ns()]
        row += [_add(column) for column in zip(*processes, strict=True)] or [UNREAD] * 6
        row += [*self._cores.read(), self._limits.read(), self._thermal.read()]
        row += [_field(self._pressure.read(), b"total=", 1000), self._frequency.read(), *_clock_offsets()]
        row += self._gpu.read(UNREAD) if self._gpu else [UNREAD] * len(GPU_COLUMNS)
        self._last = [old if new == UNREAD else new for old, new in zip(self._last, row, strict=True)]
        return self._last

    def close(self) -> None:
        for process in self._processes:
            process.close()
        self._cores.close()
        self._limits.close()
        self._pressure.close()
        self._frequency.close()
        self._thermal.close()
        if self._gpu:
            self._gpu.close()


class _File:
    """A file kept open, since opening costs several times the reading; empty where it is not there, or gone."""

    def __init__(self, path: Path, size: int = 4096) -> None:
        self._size = size
        try:
            self._descriptor = os.open(path, os.O_RDONLY)
        except OSError:
            self._descriptor = -1

    @property
    def is_open(self) -> bool:
        return self._descriptor >= 0

    def read(self) -> bytes:
        if self._descriptor < 0:
            return b""
        try:
            return os.pread(self._descriptor, self._size, 0)
        except OSError:  # its process or thread has ended, or a driver is busy
            return b""

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class _Thread:
    """Switches, CPU time and run-queue wait of one thread; the last ones once it has ended."""

    def __init__(self, folder: Path) -> None:
        self._status = _File(folder / "status", 8192)
        self._schedstat = _File(folder / "schedstat", 128)
        self.counts = [0, 0, UNREAD, UNREAD]

    def read(self) -> list[int]:
        if status := self._status.read():
            # The leading line break keeps "voluntary" from being found inside "nonvoluntary".
            self.counts[0] = max(0, _field(status, b"\nvoluntary_ctxt_switches:"))
            self.counts[1] = max(0, _field(status, b"\nnonvoluntary_ctxt_switches:"))
        if schedstat := self._schedstat.read().split():
            self.counts[2], self.counts[3] = int(schedstat[0]), int(schedstat[1])
        return self.counts

    def close(self) -> None:
        self._status.close()
        self._schedstat.close()


class _Process:
    """Counts over all threads of a process, those that have ended included."""

    def __init__(self, pid: int, root: Path) -> None:
        self._tasks = root / "proc" / str(pid) / "task"
        self._stat = _File(root / "proc" / str(pid) / "stat")
        self._threads: dict[str, _Thread] = {}
        self._ended = [0, 0, 0, 0]
        self._reads = 0
        self._last = [UNREAD] * 6

    def read(self) -> list[int]:
        """voluntary and involuntary switches, minor and major faults, CPU and run-queue wait in nanoseconds."""
        stat = self._stat.read()
        if not stat:
            return self._last
        # Fields from the third on: the second, the name, may hold spaces and brackets.
        fields = stat[stat.rfind(b")") + 2 :].split()
        ticks_ns = (int(fields[11]) + int(fields[12])) * _TICK_NS
        # Threads that came and went between two looks are found by number; an exchange of one for one, every second or so.
        if int(fields[17]) != len(self._threads) or self._reads % 20 == 0:
            self._look_for_threads()
        counts = [_add(column) for column in zip(self._ended, *(t.read() for t in self._threads.values()), strict=True)]
        if self._reads == 0:
            # Threads that ended before the watch are in the ticks only.
            self._ended[2] = max(0, ticks_ns - counts[2])
            counts[2] += self._ended[2]
        self._reads += 1
        waited = counts[3] if any(t.counts[3] != UNREAD for t in self._threads.values()) else self._last[5]
        # Ticks are coarse, but lack no thread: neither those beyond the most that are followed nor very short ones.
        self._last = [counts[0], counts[1], int(fields[7]), int(fields[9]), max(counts[2], ticks_ns), waited]
        return self._last

    def _look_for_threads(self) -> None:
        try:
            with os.scandir(self._tasks) as entries:
                alive = {entry.name for entry in entries}
        except OSError:
            return
        for gone in self._threads.keys() - alive:
            thread = self._threads.pop(gone)
            self._ended = [_add(pair) for pair in zip(self._ended, thread.counts, strict=True)]
            thread.close()
        for new in sorted(alive - self._threads.keys(), key=int)[: _MOST_THREADS - len(self._threads)]:
            self._threads[new] = _Thread(self._tasks / new)

    def close(self) -> None:
        self._stat.close()
        for thread in self._threads.values():
            thread.close()


class _Cores:
    """Idle time and steal time of some cores."""

    def __init__(self, cores: Sequence[int], root: Path) -> None:
        self._lines = [b"\ncpu%d " % core for core in cores]
        # The cores come first, and a line has at most ten numbers; what follows, on large machines, is long.
        self._file = _File(root / "proc/stat", 256 * (max(cores, default=0) + 2))

    def read(self) -> tuple[int, int]:
        text = self._file.read()
        idle, steal = UNREAD, UNREAD
        for line in self._lines:
            at = text.find(line)
            if at >= 0:
                fields = text[at + 1 : text.find(b"\n", at + 1)].split()
                idle = _add((idle, (int(fields[4]) + int(fields[5])) * _TICK_NS))
                steal = _add((steal, int(fields[8]) * _TICK_NS)) if len(fields) > 8 else steal
        return idle, steal

    def close(self) -> None:
        self._file.close()


class _Limits:
    """Time that control groups with a CPU limit kept their processes from running."""

    def __init__(self, pids: Sequence[int], root: Path) -> None:
        found = {group: None for pid in pids for group in groups("cpu", pid, root)}
        self._has_groups = bool(found)
        # A group without a limit never throttles, and reading its statistics makes the kernel add up those below it.
        self._files = [_File(group / "cpu.stat") for group in found if cpu_limit(group) is not None]

    def read(self) -> int:
        if not self._has_groups:
            return UNREAD
        # v2 counts microseconds, v1 nanoseconds.
        texts = [f.read() for f in self._files]
        return sum(max(0, _field(t, b"throttled_usec ", 1000), _field(t, b"throttled_time ")) for t in texts)

    def close(self) -> None:
        for file in self._files:
            file.close()


class _Frequency:
    """Clock of the fastest of some cores, by the scaling driver, else by /proc/cpuinfo where that is measured."""

    def __init__(self, cores: Sequence[int], root: Path) -> None:
        paths = (root / f"sys/devices/system/cpu/cpu{core}/cpufreq/scaling_cur_freq" for core in cores)
        self._files = [f for f in map(_File, paths) if f.is_open]
        self._cores = set(cores)
        # Without these counters "cpu MHz" is the nominal clock, whatever the core does: so on virtual machines.
        if not self._files and re.search(r"^flags\s*:.*\baperfmperf\b", read("proc/cpuinfo", root), re.MULTILINE):
            self._cpuinfo = [_File(root / "proc/cpuinfo", 1 << 20)]
        else:
            self._cpuinfo = []

    def read(self) -> int:
        clocks = [int(text) for f in self._files if (text := f.read().strip()).isdigit()]
        for file in self._cpuinfo:
            pairs = re.findall(rb"^processor\s*: (\d+)$.*?^cpu MHz\s*: (\d+)", file.read(), re.M | re.S)
            clocks += [int(mhz) * 1000 for core, mhz in pairs if int(core) in self._cores]
        return max(clocks, default=UNREAD)

    def close(self) -> None:
        for file in (*self._files, *self._cpuinfo):
            file.close()


class _Thermal:
    """How often heat slowed some cores, or the packages that they are part of."""

    def __init__(self, cores: Sequence[int], root: Path) -> None:
        cpus = root / "sys/devices/system/cpu"
        paths = [cpus / f"cpu{core}/thermal_throttle/core_throttle_count" for core in cores]
        # Every core of a package shows the package's count.
        first = {read(cpus / f"cpu{core}/topology/physical_package_id"): core for core in reversed(cores)}
        paths += [cpus / f"cpu{core}/thermal_throttle/package_throttle_count" for core in first.values()]
        self._files = [f for f in map(_File, paths) if f.is_open]

    def read(self) -> int:
        counts = [int(text) for f in self._files if (text := f.read().strip()).isdigit()]
        return sum(counts) if counts else UNREAD

    def close(self) -> None:
        for file in self._files:
            file.close()


def _clock_offsets() -> tuple[int, int]:
    """How far the date and the clock that counts sleep are ahead of the monotonic clock."""
    before = now_ns()
    date = time.time_ns()
    boot = time.clock_gettime_ns(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else None
    if now_ns() - before > _CLOCKS_APART_NS:
        return UNREAD, UNREAD
    return date - before, UNREAD if boot is None else boot - before


def _field(text: bytes, name: bytes, scale: int = 1) -> int:
    """The whole number that follows a name, times the scale."""
    at = text.find(name)
    return int(text[at + len(name) :].split(None, 1)[0]) * scale if at >= 0 else UNREAD


def _add(counts: Sequence[int]) -> int:
    """Sum of those that were read."""
    numbers = [c for c in counts if c != UNREAD]
    return sum(numbers) if numbers else UNREAD
