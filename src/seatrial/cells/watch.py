"""What a trial tells whoever looks on: a terminal, a notebook, a test. All methods may be left as they are."""

from __future__ import annotations

from collections.abc import Sequence

from seatrial.cells.matrix import Cell
from seatrial.history.records import CellRecord
from seatrial.jobs.job import Tell


class Watcher:
    def checking(self, what: str) -> None:
        """A step before the first cell, such as 'images'."""

    def begins(self, cells: Sequence[Cell], done: int, images: int, expected_s: float) -> None:
        """The cells are known; `done` of them come from an earlier, interrupted run."""

    def expects(self, left_s: float) -> None:
        """The rest will take about so many seconds from now."""

    def step(self, cell: Cell, step: str, share: float) -> None:
        """A cell goes on: `share` of its time is used."""

    def of(self, cell: Cell) -> Tell:
        """For whoever runs the cell."""
        return lambda step, share: self.step(cell, step, share)

    def diagnoses(self, pipeline: str) -> None:
        """A pipeline's answers failed, and why is looked into."""

    def cell_ends(self, record: CellRecord) -> None:
        """A cell's record is written."""
