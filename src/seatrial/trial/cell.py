"""One cell of a trial: measured in a process of its own, compared, saved. Not for: what that process does (cells/)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.cells import measure
from seatrial.cells.fields import cell_measurement
from seatrial.cells.matrix import Cell
from seatrial.cells.measure import MeasureAnswer, MeasureTask
from seatrial.cells.preflight import Ready
from seatrial.cells.prepare import NoModel, bare_record, measure_task
from seatrial.errors import ExitCode, Failure, ModelError, ResultsError
from seatrial.history.records import CellRecord, Measurement
from seatrial.jobs.noise_fields import noise_of
from seatrial.jobs.process import Ended, run_job
from seatrial.jobs.shared import SharedSamples
from seatrial.jobs.summarise import summarise_stages
from seatrial.model.file import inspect_model
from seatrial.stages import PIPELINE_STAGES
from seatrial.timing.measure import CAPACITY
from seatrial.trial.agreement import Comparer
from seatrial.trial.context import TrialContext

I64 = npt.NDArray[np.int64]


def run_cell(trial: TrialContext, cell: Cell, model: Path | NoModel | None, comparer: Comparer) -> CellRecord:
    """Runs a cell and saves its record, with whatever samples it left. model: None where the cell is skipped."""
    ready = trial.ready
    table: I64 | None = None
    if model is None:
        record = bare_record(cell, "skipped", reason=cell.skip)
    elif isinstance(model, Ended):
        record = _failed(cell, model, f"its {cell.precision} model could not be made: ")
    elif why := trial.inputs_changed(cell):
        record = _failed(cell, NoModel(None, Failure.of_text(why, ExitCode.BAD_INPUT)))
    else:
        record, table = _measure(trial, cell, model, comparer)
    weights = ready.models[cell.pipeline].weights if cell.precision == "fp32" else ""
    record = record.model_copy(update={"engine": ready.plan.plan.pipelines[cell.pipeline].engine, "weights": weights})
    trial.run.save_cell(record, table)
    return record


def compare_again(trial: TrialContext, record: CellRecord, cell: Cell, comparer: Comparer) -> CellRecord:
    """A cell of before the resume: its reference may have run only now."""
    found = record
    if record.status == "ok" and (trial.run.work / cell.id / "results.npz").is_file():
        found = comparer.compare(cell).put_into(record)
    # Also where nothing changed: its file may be of an older schema, and must say what the record will.
    trial.run.save_cell(found)
    return found


def _measure(trial: TrialContext, cell: Cell, model: Path, comparer: Comparer) -> tuple[CellRecord, I64]:
    """One process's record and samples. Where it died, or its inputs moved under it, what it measured is kept as partial."""
    task, folder = measure_task(trial.ready, cell, model), trial.run.work / cell.id
    shared = SharedSamples.create(1, CAPACITY, len(PIPELINE_STAGES))
    try:
        ended = _run(trial, cell, task, shared)
        (table,) = shared.read()
    finally:
        shared.close()
    if why := trial.inputs_changed(cell):
        ended = replace(ended, answer=None, failure=Failure.of_text(why, ExitCode.BAD_INPUT))
    if ended.answer is None:
        # No other cell is to be compared with them.
        (folder / "results.npz").unlink(missing_ok=True)
        return _failed(cell, ended, table=table), table
    measured, warnings = cell_measurement(task, ended.answer, table, _size(trial.ready, cell, model))
    noise = noise_of(ended.noise, table, backend=cell.choice.backend)
    found = comparer.compare(cell)
    warnings += (*(noise.disturbances if noise else ()), *comparer.warnings(cell), *ended.printed)
    record = bare_record(
        cell,
        measurement=measured,
        noise=noise,
        warnings=warnings,
        last_output=ended.last_output,
        wall_s=ended.wall_s,
    )
    return found.put_into(record), table


def _run(trial: TrialContext, cell: Cell, task: MeasureTask, shared: SharedSamples) -> Ended[MeasureAnswer]:
    """As run_job; a disk that is full does not lose the samples that are in memory."""
    try:
        timeout_s = trial.ready.plan.plan.measure.timeout
        return run_job(measure.JOB, task, trial.run.work / cell.id, timeout_s, trial.watcher.of(cell), shared)
    except ResultsError as e:
        if not any(map(len, shared.read())):
            raise
        return Ended(None, Failure.of(e))


def _size(ready: Ready, cell: Cell, model: Path) -> int:
    info = ready.models[cell.pipeline]
    try:
        return info.size_bytes if model == info.path else inspect_model(model).size_bytes
    except ModelError:
        return model.stat().st_size


def _failed(cell: Cell, ended: Ended[Any], prefix: str = "", table: I64 | None = None) -> CellRecord:
    """table: the samples that it took before, if any."""
    kept: dict[str, Any] = {}
    reason = prefix + ended.reason
    if table is not None and len(table):
        kept = {"partial": True, "measurement": Measurement(stages=summarise_stages(table, PIPELINE_STAGES))}
        reason += f"; the {len(table)} samples before it are kept"
    return bare_record(
        cell,
        "failed",
        reason=reason,
        exit_code=ended.exit_code,
        last_output=ended.last_output,
        wall_s=ended.wall_s,
        **kept,
    )
