"""Live progress of a trial: a bar with the time left on a terminal, a line a cell elsewhere."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Column
from rich.text import Text

from seatrial.cells.matrix import Cell
from seatrial.cells.watch import Watcher
from seatrial.errors import count_of
from seatrial.history.records import CellRecord, configuration
from seatrial.report.hanging import sentence
from seatrial.report.percentiles import tail_of
from seatrial.stages import END_TO_END
from seatrial.units import format_rate, format_seconds


class ProgressWatcher(Watcher):
    """Use as a context manager. `quiet` consoles stay silent. tail: the percentile that a cell's line shows beside p50."""

    def __init__(self, out: Console, tail: str = "p99") -> None:
        self.out = out
        self._tail = tail
        # Of the cells' names, so that their lines are a table.
        self._widths = (0, 0)
        self.bar = Progress(
            TextColumn("{task.completed:.0f}/{task.total:.0f} cells"),
            BarColumn(24),
            TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True)),
            console=out,
            transient=True,
        )
        self._task = self.bar.add_task("checking", total=1, visible=True)
        self._ended = 0
        self._told: set[str] = set()
        self._ends_at = time.monotonic()

    def __enter__(self) -> Self:
        if self.out.is_terminal and not self.out.quiet:
            self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # One that never started would end with an empty line.
        if self.bar.live.is_started:
            self.bar.stop()

    def checking(self, what: str) -> None:
        self.bar.update(self._task, description=f"checking {what}")

    def begins(self, cells: Sequence[Cell], done: int, images: int, expected_s: float) -> None:
        self._ended = done
        self._widths = (
            max((len(c.pipeline) for c in cells), default=0),
            max((len(configuration(c.id)) for c in cells), default=0),
        )
        runnable = sum(not c.skip for c in cells)
        self.bar.update(self._task, total=len(cells), completed=done, description="starting")
        resumed = f", {done} of them done before" if done else ""
        what = f"{count_of(images, 'image')}, {count_of(runnable, 'cell')}{resumed}; about {format_seconds(expected_s)}"
        sentence(self.out, what, "dim")
        skipped: dict[str, int] = {}
        for cell in cells:
            if cell.skip:
                skipped[cell.skip] = skipped.get(cell.skip, 0) + 1
        for reason, count in skipped.items():
            sentence(self.out, f"skipped {count_of(count, 'cell')}: {reason}", "dim")
        self.expects(expected_s)

    def expects(self, left_s: float) -> None:
        self._ends_at = time.monotonic() + left_s

    def step(self, cell: Cell, step: str, share: float) -> None:
        seconds = max(0.0, self._ends_at - time.monotonic())
        name = f"{cell.pipeline} · {configuration(cell.id)} · {step}"
        self.bar.update(self._task, description=f"{_clock(seconds)} left · {name}")

    def diagnoses(self, pipeline: str) -> None:
        self.bar.update(self._task, description=f"looking into why the answers of {pipeline} failed")

    def cell_ends(self, record: CellRecord) -> None:
        self._ended += 1
        self.bar.update(self._task, completed=self._ended)
        if record.status == "skipped":
            return
        line = Text()
        line.append("✓ " if record.status == "ok" else "✗ ", "green" if record.status == "ok" else "bold red")
        line.append(f"{record.pipeline:<{self._widths[0]}} {record.configuration:<{self._widths[1]}}")
        if record.status != "ok":
            # In full it stands below the last cell, once.
            line.append(" as above" if record.reason in self._told else f" {record.reason}", "red")
            self._told.add(record.reason)
        else:
            # A line that wraps is no table any more. What has no room here stands in the table at the end.
            for part in _figures(record, self._tail):
                if line.cell_len + len(part) > self.out.width:
                    break
                line.append(part)
        self.out.print(line, no_wrap=record.status != "ok", overflow="ellipsis")


def _figures(record: CellRecord, tail: str) -> list[str]:
    """What matters most first."""
    end = record.stages[END_TO_END]
    throughput = record.measured.throughput
    assert throughput
    return [
        f"  p50 {format_seconds(end.p50.value):>7}",
        f"  {tail} {tail_of(end, [tail])[0]:>9}",
        f"  {format_rate(throughput.value):>13}",
        f"  n {end.p50.n}",
    ]


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes:02d}:{rest:02d}"
