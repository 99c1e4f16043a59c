"""One cell of a trial once more, in a second process: what two processes of the same differ by, minutes apart.

For: the noise floor beside latency and throughput budgets. A sample's interval knows its own process only. Not for: A against B
(compare/ has rounds in lock-step), or the raw outputs' floor (cells/floor.py).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from seatrial.cells import measure
from seatrial.cells.matrix import Cell
from seatrial.cells.measure import MeasureTask
from seatrial.cells.prepare import NoModel, stopping_of, workload_of
from seatrial.gate.budgets import concerns
from seatrial.history.records import CellRecord, Measured, NoiseFloor
from seatrial.jobs.process import Ended, run_job
from seatrial.jobs.shared import SharedSamples
from seatrial.jobs.summarise import summarise_stages
from seatrial.plan.models import Plan
from seatrial.stages import END_TO_END, PIPELINE_STAGES
from seatrial.stats.separate import log_half_width
from seatrial.timing.measure import CAPACITY
from seatrial.trial.context import TrialContext

WHAT = "again, for the noise floor"
# A ratio beyond it is no figure any more, and infinity is not a JSON number.
MOST = 1e6


@dataclass(frozen=True)
class Repeated:
    """What came of it. problem: why the floor is not known though nothing is wrong with the cell; broke: how its second
    process ended before its time, as a finding about the cell."""

    cell: str = ""
    floor: NoiseFloor | None = None
    problem: str = ""
    broke: str = ""


def cell_to_repeat(plan: Plan, cells: Sequence[Cell], records: Mapping[str, CellRecord]) -> Cell | None:
    """The first cell that ran and that a budget on time is about; None where no such budget is."""
    timed = [b for b in plan.budgets if b.metric in ("latency", "throughput")]
    ran = (c for c in cells if c.id in records and records[c.id].status == "ok")
    return next((c for c in ran if any(concerns(plan, b, records[c.id]) for b in timed)), None)


def measure_noise_floor(trial: TrialContext, cell: Cell, first: CellRecord, model: Path | NoModel) -> Repeated:
    """Measures the cell once more. ResultsError where the run's folder takes no more."""
    if isinstance(model, Ended):
        return Repeated(first.id, problem=model.reason)
    ready = trial.ready
    # Of a tail, a few seconds more tell nothing.
    stopping = replace(stopping_of(ready, cell), tails=(), whole_time=False)
    task = MeasureTask(workload=workload_of(ready, cell, model), stopping=stopping, timing_only=True)
    shared = SharedSamples.create(1, CAPACITY, len(PIPELINE_STAGES))
    try:
        if why := trial.inputs_changed(cell):
            return Repeated(first.id, problem=why)
        tell = trial.watcher.of(cell)
        ended = run_job(
            measure.JOB,
            task,
            trial.run.work / f"{cell.id}.again",
            ready.plan.plan.measure.timeout,
            lambda step, share: tell(f"{step} {WHAT}", share),
            shared,
        )
        (table,) = shared.read()
    finally:
        shared.close()
    if why := trial.inputs_changed(cell):
        return Repeated(first.id, problem=why)
    if ended.answer is None:
        last = [] if ended.output_quoted else ended.last_output.strip().splitlines()[-1:]
        return Repeated(first.id, broke=": ".join([ended.reason, *last]))
    return Repeated(first.id, floor_of(first, table, ready.plan.plan.measure.longest_run))


def floor_of(first: CellRecord, again_ns: npt.NDArray[np.int64], longest_run: int) -> NoiseFloor:
    """By stage, from both processes' medians and, where these are known, their intervals."""
    again = summarise_stages(again_ns, PIPELINE_STAGES, longest_run)
    pairs = {name: (first.stages[name].p50, again[name].p50) for name in again}
    errors = {name: [_error(m) for m in pair] for name, pair in pairs.items()}
    shares = {}
    for name, (a, b) in pairs.items():
        known = [e for e in errors[name] if e is not None]
        # What takes no time on one side alone has no ratio: nothing can be held against it.
        apart = abs(math.log(b.value / a.value)) if a.value > 0 and b.value > 0 else math.inf
        shares[name] = min(MOST, math.expm1(min(apart + math.hypot(*known), 100)))
    return NoiseFloor(
        cell=first.id,
        first=pairs[END_TO_END][0],
        again=pairs[END_TO_END][1],
        shares=shares,
        at_least=tuple(name for name, both in errors.items() if None in both),
    )


def _error(m: Measured) -> float | None:
    """Half the interval of ln; None where an end is not known."""
    interval = m.positive_interval
    return log_half_width(interval) if interval else None
