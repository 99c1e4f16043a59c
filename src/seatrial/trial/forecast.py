"""How long a trial will take: guessed before its first cell, then from the cells of this run that are most alike.

For: what people are told. Not for: limits; nothing is stopped by a forecast.
"""

from __future__ import annotations

from collections.abc import Sequence

from seatrial.cells.matrix import Cell
from seatrial.cells.preflight import Ready
from seatrial.cells.prepare import models_to_make
from seatrial.gate.budgets import concerns

# Of a small detector on one core of a server of 2023. A process with its imports, its model loaded and its kernels compared; a
# warm-up, where measure.max_time does not cut it short; an image once more, for its results; a reduced model made.
START_S, WARM_UP_S, IMAGE_S, PREPARE_S = 1.6, 1.0, 0.015, 2.5
# A cell without a tail budget stops once its median is known, on a quiet machine long before its time is up.
EARLY = 0.3
# Eight rounds in lock-step of a pipeline of some 10 ms.
COMPARISON_S = 40.0


class Forecast:
    """Of the cells that are still to run, the models that are still to be made, and the comparisons behind them."""

    def __init__(self, ready: Ready, cells: Sequence[Cell]) -> None:
        self._left = [c for c in cells if not c.skip]
        self._guesses_s = {c: _cell_s(ready, c) for c in self._left}
        self._preparing_s = PREPARE_S * models_to_make(ready, self._left)
        self._again_s = _again_s(ready)
        self._comparing_s = _comparing_s(ready)
        self._ran: list[tuple[Cell, float]] = []

    def prepared(self) -> None:
        """All models are made."""
        self._preparing_s = 0.0

    def ran(self, cell: Cell, seconds: float) -> None:
        """The cell has ended, and took so long in all."""
        if not cell.skip:
            self._left.remove(cell)
            self._ran.append((cell, seconds))

    def left_s(self) -> float:
        """Each cell as long as those of this run that are most alike, or as guessed where none ran yet."""
        cells_s = sum(_as_those_like_it(c, self._ran) if self._ran else self._guesses_s[c] for c in self._left)
        return self._preparing_s + cells_s + self._again_s + self._comparing_s


def _cell_s(ready: Ready, cell: Cell) -> float:
    most_s = ready.plan.plan.measure.max_time
    measuring_s = most_s if _has_tail_budget(ready, cell) else EARLY * most_s
    return START_S + IMAGE_S * len(ready.images) + min(WARM_UP_S, most_s / 3) + measuring_s


def _again_s(ready: Ready) -> float:
    """One cell's median once more, for the noise floor."""
    plan = ready.plan.plan
    if not any(b.metric in ("latency", "throughput") for b in plan.budgets):
        return 0.0
    most_s = plan.measure.max_time
    return START_S + min(WARM_UP_S, most_s / 3) + EARLY * most_s


def _has_tail_budget(ready: Ready, cell: Cell) -> bool:
    plan = ready.plan.plan
    tails = [b for b in plan.budgets if b.metric == "latency" and b.percentile != "p50"]
    return any(concerns(plan, b, cell) for b in tails)


def _comparing_s(ready: Ready) -> float:
    plan = ready.plan.plan
    if plan.regression is None:
        return 0.0
    return min(plan.regression.max_time, COMPARISON_S) * (len(plan.pipelines) - 1)


def _as_those_like_it(cell: Cell, ran: Sequence[tuple[Cell, float]]) -> float:
    alike = [(_likeness(cell, other), seconds) for other, seconds in ran]
    most = max(likeness for likeness, _ in alike)
    nearest = [seconds for likeness, seconds in alike if likeness == most]
    return sum(nearest) / len(nearest)


def _likeness(a: Cell, b: Cell) -> tuple[int, int]:
    """What a cell's time depends on most comes first: the runtime and the batch, then the rest."""
    return (
        (a.backend == b.backend) + (a.batch == b.batch),
        (a.precision == b.precision) + (a.threads == b.threads) + (a.pipeline == b.pipeline),
    )
