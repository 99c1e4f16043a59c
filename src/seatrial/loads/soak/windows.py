"""A soak's files: each window when it ends, and a sample of the requests. What is in them outlives the process.

For: the process that writes them and whoever reads them, also of one that was killed. Not for: slopes (results.py).
Memory is bounded: a window's latencies go into one histogram, and no more than about MOST_KEPT requests are kept whole.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from seatrial.history.records import SoakWindow
from seatrial.loads.soak.task import LEAST_FOR_P99, MALLOC_STEP
from seatrial.stats.log_histogram import LogHistogram

I64 = npt.NDArray[np.int64]
START, WINDOWS_FILE, SAMPLES = "soak.json", "windows.jsonl", "samples.i64"


@dataclass(frozen=True)
class SoakStart:
    """Known before the first request. share: of the requests that are kept; idle_*_ns: the span in which nothing was asked;
    memory_step: bytes that memory grows by at once at least."""

    began_ns: int
    window_ns: int
    share: float
    warm_up: int
    idle_from_ns: int = 0
    idle_to_ns: int = 0
    memory_step: int = MALLOC_STEP


@dataclass(frozen=True)
class Meters:
    """A machine's figures at the end of a window."""

    memory_bytes: int | None = None
    processes: int = 1
    cpu_celsius: float | None = None


class WindowWriter:
    """Takes rows as they come, in any order of their starts, and closes windows at times that are told."""

    def __init__(self, folder: Path, start: SoakStart, read_meters: Callable[[], Meters], seed: int) -> None:
        (folder / START).write_text(json.dumps(asdict(start)), "utf-8")
        self._windows = (folder / WINDOWS_FILE).open("w", encoding="utf-8")
        self._samples = (folder / SAMPLES).open("wb")
        self._start = start
        self._read_meters = read_meters
        self._histogram = LogHistogram()
        self._rng = np.random.default_rng(seed)
        self._longest_ns = 0
        self._window_from_ns = start.began_ns
        self.taken = 0

    @property
    def window_to_ns(self) -> int:
        """When the window that is open ends."""
        return self._window_from_ns + self._start.window_ns

    def add(self, rows: I64) -> None:
        """rows: (n, 1 + stages + 1), each once. A request belongs to the window in which it ended."""
        self.taken += len(rows)
        if not len(rows):
            return
        chosen = rows if self._start.share >= 1 else rows[self._rng.random(len(rows)) < self._start.share]
        self._samples.write(np.ascontiguousarray(chosen, "<i8").tobytes())
        self._samples.flush()
        rows = rows[np.argsort(rows[:, 0] + rows[:, -1], kind="stable")]
        while len(rows):
            here = int(np.searchsorted(rows[:, 0] + rows[:, -1], self.window_to_ns, side="right"))
            self._count(rows[:here, -1])
            rows = rows[here:]
            if len(rows):
                self.close_window()

    def close_until(self, now_ns: int) -> None:
        """Closes the windows that have ended; what ended in them has been added."""
        while self.window_to_ns <= now_ns:
            self.close_window()

    def _count(self, durations_ns: I64) -> None:
        if len(durations_ns):
            self._histogram.add(durations_ns)
            self._longest_ns = max(self._longest_ns, int(durations_ns.max()))

    def close_window(self) -> None:
        """Writes what the open window has, and opens the next."""
        meters, count = self._read_meters(), len(self._histogram)
        window = SoakWindow(
            start_ns=self._window_from_ns,
            seconds=self._start.window_ns / 1e9,
            requests=count,
            p50_s=self._histogram.quantile_ns(0.5) / 1e9 if count else None,
            p99_s=self._histogram.quantile_ns(0.99) / 1e9 if count >= LEAST_FOR_P99 else None,
            longest_s=self._longest_ns / 1e9 if count else None,
            **asdict(meters),
        )
        self._windows.write(window.model_dump_json(exclude_defaults=True) + "\n")
        self._windows.flush()
        self._histogram.clear()
        self._longest_ns = 0
        self._window_from_ns += self._start.window_ns

    def close(self) -> None:
        self._windows.close()
        self._samples.close()


@dataclass(frozen=True)
class Left:
    """What a soak's process left in its folder. start is None where it did not come so far. rows: in the order of their
    starts."""

    start: SoakStart | None
    windows: tuple[SoakWindow, ...]
    rows: I64


def read_left(folder: Path, columns: int) -> Left:
    """columns: of a row. A line or a row that was cut short is left out."""
    try:
        start = SoakStart(**json.loads((folder / START).read_text("utf-8")))
        lines = (folder / WINDOWS_FILE).read_text("utf-8").splitlines(keepends=True)
        raw = (folder / SAMPLES).read_bytes()
    except (OSError, ValueError, TypeError):
        return Left(None, (), np.zeros((0, columns), np.int64))
    windows = []
    for line in lines:
        try:
            windows.append(SoakWindow.model_validate_json(line))
        except ValidationError:
            break
    size = 8 * columns
    rows = np.frombuffer(raw[: len(raw) // size * size], "<i8").astype(np.int64).reshape(-1, columns)
    return Left(start, tuple(windows), rows[np.argsort(rows[:, 0], kind="stable")])
