"""The time left, as the bar shows it: what was forecast, less what has passed since."""

import io

import numpy as np
import pytest
import records
from rich.console import Console

from seatrial.cells.matrix import Cell
from seatrial.cli import progress
from seatrial.jobs.summarise import throughput

CELL = Cell("only", "fake", "fp32", 1, 1)


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 1000.0

        def monotonic(self):
            return self.now

    made = Clock()
    monkeypatch.setattr(progress, "time", made)
    return made


@pytest.fixture
def watcher(clock):
    made = progress.ProgressWatcher(Console(file=io.StringIO(), width=120))
    made.begins([CELL, CELL], 0, 4, 90.0)
    return made


def left(watcher):
    watcher.step(CELL, "measuring", 0.5)
    return watcher.bar.tasks[0].description.split()[0]


def test_it_counts_down_from_what_was_forecast_last(watcher, clock):
    assert left(watcher) == "01:30"
    clock.now += 31
    assert left(watcher) == "00:59"
    watcher.expects(3700.0)
    clock.now += 10
    assert left(watcher) == "1:01:30"


def test_what_takes_longer_than_forecast_has_no_time_left(watcher, clock):
    clock.now += 1e6
    assert left(watcher) == "00:00"


def test_without_a_terminal_the_forecast_is_a_line(watcher):
    assert "4 images, 2 cells; about 90.0 s" in watcher.out.file.getvalue()


def test_without_a_terminal_the_end_leaves_no_line():
    """Each error began with an empty one."""
    out = Console(file=io.StringIO(), width=120)
    with progress.ProgressWatcher(out) as made:
        made.checking("models")
    assert out.file.getvalue() == ""


def ended(pipeline, **fields):
    rows = np.tile(np.array([0, 1, 2, 8, 1, 12], np.int64) * 1_000_000, (300, 1))
    rows[:, 0] = np.arange(300) * 12_000_000
    found = records.measurement(rows, throughput=throughput(rows, 1))
    return records.cell(pipeline, "onnxruntime-cpu", "int8", measurement=found, **fields)


@pytest.mark.parametrize(
    ("width", "ends"),
    [(128, "n 300"), (90, "n 300"), (80, "images/s"), (64, "ms"), (53, "ms")],
)
def test_a_cells_line_does_not_wrap(width, ends):
    watcher = progress.ProgressWatcher(Console(file=io.StringIO(), width=width))
    cells = [Cell(name, "onnxruntime-cpu", "int8", 1, 1) for name in ("old", "new-one")]
    watcher.begins(cells, 0, 4, 90.0)
    for cell in cells:
        watcher.cell_ends(ended(cell.pipeline))
    lines = watcher.out.file.getvalue().splitlines()[1:]
    assert [line[:9] for line in lines] == ["✓ old    ", "✓ new-one"]
    assert all(line.endswith(ends) for line in lines)
    assert len({len(line) for line in lines}) == 1, "they are a table"


def test_its_tail_is_the_one_that_a_budget_limits():
    watcher = progress.ProgressWatcher(Console(file=io.StringIO(), width=128), "p95")
    watcher.cell_ends(ended("only"))
    assert "  p95 " in watcher.out.file.getvalue()
    assert "p99" not in watcher.out.file.getvalue()
