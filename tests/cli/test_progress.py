"""The time left, as the bar shows it: what was forecast, less what has passed since."""

import io

import pytest
from rich.console import Console

from seatrial.cells.matrix import Cell
from seatrial.cli import progress

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
