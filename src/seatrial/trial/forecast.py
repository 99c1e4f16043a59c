"""How long a trial will take: guessed before its first cell, then from the cells of this run that are most alike.

For: what people are told. Not for: limits; nothing is stopped by a forecast.

A cell's time has three parts. What comes before and behind its measurement is much the same in cells that are alike. The
measurement itself is not: it ends with the fewest requests, or, where the median then is not known closely enough, mostly runs
for all of its time. Which of the two is chance, of all cells alike; so the share that ran on is taken from all of them.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from seatrial.cells.matrix import Cell
from seatrial.cells.preflight import Ready
from seatrial.cells.prepare import models_to_make
from seatrial.cells.watch import Watcher
from seatrial.gate.budgets import concerns
from seatrial.history.records import CellRecord
from seatrial.plan.models import Plan
from seatrial.stages import END_TO_END

# Of a small detector on one core of a server of 2023. A process with its imports and its model loaded; a warm-up, where
# measure.max_time does not cut it short; behind the measurement its kernels compared, and an image once more, for its results;
# a reduced model made; the verdict, the pictures, the record.
START_S, WARM_UP_S, AFTER_S, IMAGE_S, PREPARE_S, CONCLUDE_S = 0.8, 1.0, 0.8, 0.015, 2.0, 0.8
# How far between its least and its longest a measurement ends, where the median is asked for to 1 %, on a virtual machine; to
# 4 %, half as far. And as how many cells that guess counts beside those that ran.
RUNS_ON_AT_1_PERCENT, GUESS_WEIGHT = 0.9, 3
# Eight rounds in lock-step of a pipeline of some 10 ms.
COMPARISON_S = 40.0


@dataclass(frozen=True)
class Parts:
    """Seconds before the measurement, in it, and behind it. request_s: a batch; None where nothing was measured."""

    before_s: float
    measuring_s: float
    after_s: float
    request_s: float | None = None


@dataclass
class _Running:
    cell: Cell
    began_s: float
    share: float = 0.0
    before_s: float | None = None
    """How long it took until it measured."""
    collecting_s: float | None = None
    """When it had measured."""


@dataclass
class Forecast:
    """Of the cells that are still to run, the models that are still to be made, and what comes behind them. done: ids of cells
    that had run before an interrupted run is carried on."""

    ready: Ready
    cells: Sequence[Cell]
    clock: Callable[[], float] = time.monotonic
    done: Collection[str] = ()
    _ran: list[tuple[Cell, Parts]] = field(default_factory=list)
    _now: _Running | None = None

    def __post_init__(self) -> None:
        cells = [c for c in self.cells if not c.skip]
        self._left = [c for c in cells if c.id not in self.done]
        self._preparing_s = PREPARE_S * models_to_make(self.ready, self._left)
        self._again = _cell_again(self.ready.plan.plan, cells)
        self._comparing_s = _comparing_s(self.ready.plan.plan)

    def prepared(self) -> None:
        """All models are made."""
        self._preparing_s = 0.0

    def began(self, cell: Cell) -> None:
        """The cell begins now."""
        self._now = _Running(cell, self.clock())

    def step(self, cell: Cell, step: str, share: float) -> None:
        """What the cell that runs says of itself."""
        if self._now is None or not self.runs(cell):
            return
        if step == "measuring":
            if self._now.before_s is None:
                self._now.before_s = max(0.0, self.clock() - self._now.began_s - share * self._most_s)
            self._now.share = share
        elif step == "collecting results" and self._now.collecting_s is None:
            self._now.collecting_s = self.clock()

    def ran(self, cell: Cell, record: CellRecord, seconds: float) -> None:
        """The cell has ended, and took so long in all; or it had before an interrupted run was carried on."""
        running, self._now = self._now, None
        if cell.skip:
            return
        if cell in self._left:
            self._left.remove(cell)
        done_s = None if running is None else running.collecting_s
        self._ran.append((cell, _parts(record, seconds, None if done_s is None else self.clock() - done_s)))

    def runs(self, cell: Cell) -> bool:
        """Whether it is the one that began last, and has not ended."""
        return self._now is not None and self._now.cell == cell

    def repeated(self) -> None:
        """The noise floor is known."""
        self._again = None

    def compared(self) -> None:
        """The comparisons have ended."""
        self._comparing_s = 0.0

    def left_s(self) -> float:
        """Each cell as those of this run that are most alike, or as guessed where none ran yet."""
        running = self._now.cell if self._now else None
        cells_s = sum(self._cell_s(c) for c in self._left if c != running)
        again_s = self._again_s() if self._again else 0.0
        return self._preparing_s + self._running_s() + cells_s + again_s + self._comparing_s + CONCLUDE_S

    def _cell_s(self, cell: Cell) -> float:
        parts = self._parts_of(cell)
        return parts.before_s + parts.measuring_s + parts.after_s

    def _running_s(self) -> float:
        """What is left of the cell that runs, by how far it says it is."""
        if self._now is None:
            return 0.0
        parts, spent_s = self._parts_of(self._now.cell), self.clock() - self._now.began_s
        if self._now.collecting_s is not None:
            return max(0.0, parts.after_s - (self.clock() - self._now.collecting_s))
        measured_s = self._now.share * self._most_s
        if not measured_s:
            return max(0.0, parts.before_s - spent_s) + parts.measuring_s + parts.after_s
        # One that went on beyond its least mostly runs for all of its time.
        least_s = parts.measuring_s if parts.request_s is None else self._least_s(parts.request_s)
        ends_s = parts.measuring_s if measured_s <= least_s else self._most_s
        return max(0.0, ends_s - measured_s) + parts.after_s

    @property
    def _most_s(self) -> float:
        return self.ready.plan.plan.measure.max_time

    def _least_s(self, request_s: float | None) -> float:
        return min(self._most_s, self.ready.plan.plan.measure.min_samples * (request_s or 0.0))

    def _parts_of(self, cell: Cell) -> Parts:
        alike = self._alike(cell)
        if not alike:
            after_s = AFTER_S + IMAGE_S * len(self.ready.images)
            before_s = START_S + min(WARM_UP_S, self._most_s / 3)
            if self._now is not None and self._now.before_s is not None:
                before_s = self._now.before_s
            return Parts(before_s, self._measuring_s(cell, None), after_s)
        measured = [(c, p) for c, p in alike if p.request_s is not None]
        before_s, after_s = (_mean([getattr(p, name) for _, p in alike]) for name in ("before_s", "after_s"))
        if not measured:  # those like it failed, and so may it
            return Parts(before_s, 0.0, after_s)
        request_s = _mean([p.request_s / c.batch for c, p in measured if p.request_s is not None]) * cell.batch
        return Parts(before_s, self._measuring_s(cell, request_s), after_s, request_s)

    def _measuring_s(self, cell: Cell, request_s: float | None, tails: bool = True) -> float:
        if tails and _has_tail_budget(self.ready.plan.plan, cell):
            return self._most_s
        least_s = self._least_s(request_s)
        return least_s + self._share_that_runs_on() * (self._most_s - least_s)

    def _share_that_runs_on(self) -> float:
        plan = self.ready.plan.plan
        shares = []
        for cell, parts in self._ran:
            least_s = self._least_s(parts.request_s)
            if parts.request_s is not None and least_s < self._most_s and not _has_tail_budget(plan, cell):
                shares.append(min(1.0, max(0.0, (parts.measuring_s - least_s) / (self._most_s - least_s))))
        guess = min(1.0, RUNS_ON_AT_1_PERCENT * math.sqrt(0.01 / plan.measure.precision))
        return (guess * GUESS_WEIGHT + sum(shares)) / (GUESS_WEIGHT + len(shares))

    def _again_s(self) -> float:
        """One cell's median once more, for the noise floor: nothing comes behind it."""
        assert self._again
        parts = self._parts_of(self._again)
        return parts.before_s + self._measuring_s(self._again, parts.request_s, tails=False)

    def _alike(self, cell: Cell) -> list[tuple[Cell, Parts]]:
        most = max((_likeness(cell, other) for other, _ in self._ran), default=None)
        return [(other, parts) for other, parts in self._ran if _likeness(cell, other) == most]


class ForetellingWatcher(Watcher):
    """Tells a trial's watcher how long the rest will take, whenever that is known better."""

    def __init__(self, told: Watcher, forecast: Forecast) -> None:
        self._told = told
        self._forecast = forecast

    def checking(self, what: str) -> None:
        self._told.checking(what)

    def begins(self, cells: Sequence[Cell], done: int, images: int, expected_s: float) -> None:
        self._told.begins(cells, done, images, expected_s)

    def expects(self, left_s: float) -> None:
        self._told.expects(left_s)

    def step(self, cell: Cell, step: str, share: float) -> None:
        self._forecast.step(cell, step, share)
        if self._forecast.runs(cell):
            self._told.expects(self._forecast.left_s())
        self._told.step(cell, step, share)

    def diagnoses(self, pipeline: str) -> None:
        self._told.diagnoses(pipeline)

    def cell_ends(self, record: CellRecord) -> None:
        self._told.cell_ends(record)


def _parts(record: CellRecord, seconds: float, after_s: float | None) -> Parts:
    """after_s: since it had measured, where it said so; else it is taken for a third of what is not the measurement."""
    whole = record.stages.get(END_TO_END)
    if whole is None or record.status != "ok":
        return Parts(seconds, 0.0, 0.0)
    measuring_s = min(seconds, whole.mean.n * whole.mean.value)
    after_s = (seconds - measuring_s) / 3 if after_s is None else min(after_s, seconds - measuring_s)
    return Parts(seconds - measuring_s - after_s, measuring_s, after_s, whole.mean.value)


def _cell_again(plan: Plan, cells: Sequence[Cell]) -> Cell | None:
    """The cell that is measured once more, for the noise floor."""
    timed = [b for b in plan.budgets if b.metric in ("latency", "throughput")]
    return next((c for c in cells if any(concerns(plan, b, c) for b in timed)), None)


def _has_tail_budget(plan: Plan, cell: Cell) -> bool:
    """Such a cell measures for the whole of its time."""
    tails = [b for b in plan.budgets if b.metric == "latency" and b.percentile != "p50"]
    return any(concerns(plan, b, cell) for b in tails)


def _comparing_s(plan: Plan) -> float:
    if plan.regression is None:
        return 0.0
    return min(plan.regression.max_time, COMPARISON_S) * (len(plan.pipelines) - 1)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _likeness(a: Cell, b: Cell) -> tuple[int, int]:
    """What a cell's time depends on most comes first: the runtime and the batch, then the rest."""
    return (
        (a.backend == b.backend) + (a.batch == b.batch),
        (a.precision == b.precision) + (a.threads == b.threads) + (a.pipeline == b.pipeline),
    )
