"""One cell of a trial once more, in a second process: what two processes of the same differ by, minutes apart.

For: the noise floor beside latency and throughput budgets. A sample's interval knows its own process only. Not for: A against B
(compare.py has rounds in lock-step), or the raw outputs' floor (floor.py).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from seatrial.gate.budgets import concerns
from seatrial.history.records import CellRecord, Measured, NoiseFloor
from seatrial.history.store import RunFolder
from seatrial.plan.models import Plan
from seatrial.stats.sample import CONFIDENCE
from seatrial.trial.cells import Cell
from seatrial.trial.opened import STAGES
from seatrial.trial.preflight import Ready
from seatrial.trial.prepare import cell_inputs, task_for
from seatrial.trial.process import Ended, run_worker
from seatrial.trial.shared import SharedSamples
from seatrial.trial.summarise import summarise_stages
from seatrial.trial.watch import Watcher

WHAT = "again, for the noise floor"


def cell_to_repeat(plan: Plan, cells: Sequence[Cell], records: Mapping[str, CellRecord]) -> Cell | None:
    """The first cell that ran and that a budget on time is about; None where no such budget is."""
    timed = [b for b in plan.budgets if b.metric in ("latency", "throughput")]
    ran = (c for c in cells if c.id in records and records[c.id].status == "ok")
    return next((c for c in ran if any(concerns(plan, b, records[c.id]) for b in timed)), None)


def measure_noise_floor(
    ready: Ready, run: RunFolder, cell: Cell, first: CellRecord, model: Path | Ended, watcher: Watcher
) -> tuple[NoiseFloor | None, str]:
    """The floor, or None and why it is not known.

    Raises:
        ResultsError: the run's folder takes no more.
    """
    if isinstance(model, Ended):
        return None, model.reason
    inputs = (cell.pipeline, cell_inputs(cell))
    task = task_for(ready, run, cell, "measure", model)
    # Of a tail, a few seconds more tell nothing.
    task = task.model_copy(
        update={"answer": f"{task.answer}.again", "timing_only": True, "whole_time": False, "tails": []}
    )
    shared = SharedSamples.create(1, task.capacity, len(STAGES))
    try:
        if why := ready.inputs.changed(*inputs):
            return None, why
        ended = run_worker(
            task, ready.plan.plan.measure.timeout, lambda step, share: watcher.step(cell, f"{step} {WHAT}", share), shared
        )  # fmt: skip
        (table,) = shared.read()
    finally:
        shared.close()
    if ended.answer is None:
        return None, ended.reason
    if why := ready.inputs.changed(*inputs):
        return None, why
    return floor_of(first, table, ready.plan.plan.measure.longest_run)


def floor_of(first: CellRecord, again_ns: npt.NDArray[np.int64], longest_run: int) -> tuple[NoiseFloor | None, str]:
    """By stage, from both processes' medians and their intervals; or why it is not known."""
    again = summarise_stages(again_ns, list(STAGES), longest_run)
    found = {name: _share(first.stages[name].p50, again[name].p50) for name in again}
    shares = {name: share for name, share in found.items() if share is not None}
    if "end_to_end" not in shares:
        count = min(first.stages["end_to_end"].p50.n, len(again_ns))
        return None, f"its median has no interval after {count} requests; raise measure.max_time"
    return NoiseFloor(
        cell=first.id, first=first.stages["end_to_end"].p50, again=again["end_to_end"].p50, shares=shares
    ), ""


def _share(a: Measured, b: Measured) -> float | None:
    """How far b may lie from a, as a share: the further end of the interval of their ratio; None where one has none."""
    ends = [m.interval or (None, None) for m in (a, b)]
    if not all(low is not None and high is not None and low > 0 for low, high in ends):
        return None
    z = float(ndtri(0.5 + CONFIDENCE / 2))
    # The half of an interval as standard errors of ln.
    errors = [math.log(high / low) / (2 * z) for low, high in ends if low and high]
    return math.expm1(abs(math.log(b.value / a.value)) + z * math.hypot(*errors))
