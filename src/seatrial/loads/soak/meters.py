"""What a process and what it started hold of the machine's memory, and how hot the processor is, at one moment.

For: one reading a window. Not for: clocks and throttling, which the parent's watch reads 20 times a second (noise/).
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import psutil

from seatrial.loads.soak.windows import Meters
from seatrial.machine.facts import ROOT, read

# Drivers of the sensors in processors: Intel's, AMD's two, Arm's.
_CPU_SENSORS = ("coretemp", "k10temp", "zenpower", "cpu_thermal")


class Meter:
    """tables_bytes: of the harness's own tables, which the process holds from its first window to its last."""

    def __init__(self, process: psutil.Process, tables_bytes: int, root: Path = ROOT) -> None:
        self._process, self._tables_bytes, self._root = process, tables_bytes, root
        names = sorted(root.glob("sys/class/hwmon/hwmon*/name"))
        folders = [n.parent for n in names if read(n.relative_to(root), root) in _CPU_SENSORS]
        self._sensors = [s for f in folders for s in sorted(f.glob("temp*_input"))]

    def read(self) -> Meters:
        memory, processes = self._memory()
        return Meters(memory_bytes=memory, processes=processes, cpu_celsius=self._celsius())

    def _memory(self) -> tuple[int | None, int]:
        """Resident and swapped out, summed over the process and its descendants: memory that was swapped out has not shrunk."""
        pids = [self._process.pid]
        with contextlib.suppress(psutil.Error):
            pids += [child.pid for child in self._process.children(recursive=True)]
        held = [h for pid in pids if (h := _held_bytes(read(f"proc/{pid}/status", self._root))) is not None]
        return (max(0, sum(held) - self._tables_bytes) if held else None), max(1, len(held))

    def _celsius(self) -> float | None:
        """Of the hottest sensor in a processor."""
        texts = [read(s.relative_to(self._root), self._root) for s in self._sensors]
        return max((int(t) / 1000 for t in texts if t.lstrip("-").isdigit()), default=None)


def _held_bytes(status: str) -> int | None:
    """VmRSS + VmSwap of a /proc/PID/status; None where it has ended, or is the kernel's own."""
    found = dict(re.findall(r"^(VmRSS|VmSwap):\s+(\d+) kB", status, re.MULTILINE))
    return 1024 * (int(found["VmRSS"]) + int(found.get("VmSwap", 0))) if "VmRSS" in found else None
