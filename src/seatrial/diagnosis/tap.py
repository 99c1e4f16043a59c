"""A side of a comparison as a folder of taps: its model made ready, then tapped in a process of its own.

For: `seatrial tap`, and a candidate that is a cell of the plan. Not for: what happens in that process (tap_job.py).
"""

from __future__ import annotations

from pathlib import Path

from seatrial.cells.matrix import Cell
from seatrial.cells.preflight import Ready
from seatrial.cells.prepare import prepare_variants, workload_of
from seatrial.cells.watch import Watcher
from seatrial.diagnosis import tap_job
from seatrial.diagnosis.begun import failed
from seatrial.diagnosis.sides import Side
from seatrial.diagnosis.tap_job import TapAnswer, TapTask
from seatrial.errors import BrokenProcessError, CellError, PlanError
from seatrial.history.run_folder import RunFolder
from seatrial.jobs.job import Tell
from seatrial.jobs.process import Ended, run_job
from seatrial.jobs.workload import PipelineWorkload
from seatrial.plan.pipelines import UserCode


def workload_of_side(ready: Ready, run: RunFolder, side: Side) -> PipelineWorkload:
    """CellError where the side's model could not be made in its precision."""
    choice = next(c for c in ready.plan.plan.matrix.choices if c.label == side.backend)
    cell = Cell(side.pipeline, side.backend, side.precision, side.batch, side.threads, of=choice)
    made = prepare_variants(ready, run, [cell], Watcher())[side.pipeline, side.precision]
    if isinstance(made, Ended):
        raise CellError(f"{side.id}: its {side.precision} model could not be made: {made.reason}")
    return workload_of(ready, cell, made)


def tap_side(
    ready: Ready,
    run: RunFolder,
    side: Side,
    out: Path,
    timeout_s: float,
    tell: Tell,
    alone_s: float = 0.0,
    time_option: str = "",
) -> TapAnswer:
    """out: an empty folder, or one that is not there. alone_s: for what must hold of the side by itself, 0 where nobody asks.
    time_option: as run_job's.

    Raises what its process ended with; DataError where inputs changed.
    """
    task = TapTask(
        workload=workload_of_side(ready, run, side),
        out=str(out.absolute()),
        producer=f"seatrial: {side.id} of {ready.plan.path.name}",
        together=largest_batch(ready),
        alone_s=alone_s,
    )
    folder = run.work / f"tap.{side.id}"
    ended = run_job(tap_job.JOB, task, folder, timeout_s, tell, time_option=time_option)
    ready.inputs.check(side.pipeline)
    if ended.answer is None:
        spec = task.workload.spec
        own_code = any(isinstance(s, UserCode) for s in (spec.preprocess, spec.postprocess))
        raise failed(ended, side.id, folder, PlanError if own_code else BrokenProcessError, side.id)
    return ended.answer


def largest_batch(ready: Ready) -> int:
    """Of the plan's matrix; 0 where it runs none of two images or more."""
    largest = max(ready.plan.plan.matrix.batch_sizes)
    return largest if largest > 1 else 0
