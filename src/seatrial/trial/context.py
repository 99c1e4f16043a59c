"""What every step of a trial needs: the checked plan, its cells, the run's folder, and who is told. Not for: results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from seatrial.cells.matrix import Cell
from seatrial.cells.preflight import Ready
from seatrial.cells.prepare import Variants, cell_inputs, prepare_variants
from seatrial.cells.watch import Watcher
from seatrial.history.run_folder import RunFolder


@dataclass(frozen=True)
class TrialContext:
    """ready: the plan, checked against this machine. cells: all of them, in the order in which they run."""

    ready: Ready
    run: RunFolder
    cells: Sequence[Cell]
    watcher: Watcher

    def variants(self, cells: Sequence[Cell], made: Variants | None = None) -> Variants:
        """made, and the model files of those cells that it lacks: a resumed run prepared only what was left to run."""
        return (made or {}) | prepare_variants(self.ready, self.run, cells, self.watcher)

    def inputs_changed(self, *cells: Cell) -> str:
        """What of the cells' inputs is no more what was hashed; empty where all is as it was."""
        return self.ready.inputs.changed(*inputs_of(cells))

    def check_inputs(self, *cells: Cell) -> None:
        """SeatrialError where inputs_changed."""
        self.ready.inputs.check(*inputs_of(cells))


def inputs_of(cells: Sequence[Cell]) -> list[str]:
    """Names under which preflight hashed what the cells read."""
    return [name for c in cells for name in (c.pipeline, cell_inputs(c))]
