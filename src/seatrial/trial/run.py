"""A trial from plan to verdict: check, start or resume, prepare variants, run cells, judge, record.

For: the order of things. Each step is a module of its own.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.cells import measure
from seatrial.cells.fields import cell_measurement
from seatrial.cells.matrix import Cell, expand
from seatrial.cells.measure import MeasureAnswer, MeasureTask
from seatrial.cells.preflight import Ready, preflight
from seatrial.cells.prepare import (
    NoModel,
    Variants,
    bare_record,
    cell_inputs,
    measure_task,
    prepare_variants,
    workload_of,
)
from seatrial.cells.watch import Watcher
from seatrial.compare.question import Question
from seatrial.compare.rounds import CutShortError, compare_sides
from seatrial.compare.turner import Side
from seatrial.compare.verdicts import adjusted
from seatrial.errors import CellError, ExitCode, ModelError, ResultsError, SeatrialError
from seatrial.history.find import latest_interrupted
from seatrial.history.records import CellRecord, Comparison, Environment, Measurement, RunStart
from seatrial.history.run_folder import RunFolder, new_run
from seatrial.interrupts import interrupted, raise_swallowed
from seatrial.jobs.job import Tell
from seatrial.jobs.noise_fields import noise_of
from seatrial.jobs.process import Ended, run_job
from seatrial.jobs.shared import SharedSamples
from seatrial.jobs.summarise import summarise_stages
from seatrial.machine.environment import environment, machine_name, usable_cores
from seatrial.model.file import inspect_model
from seatrial.plan.load import PlanFile
from seatrial.plan.reference import is_reference_configuration
from seatrial.stages import PIPELINE_STAGES
from seatrial.timing.measure import CAPACITY
from seatrial.trial.agreement import Comparer
from seatrial.trial.conclude import Outcome, conclude
from seatrial.trial.forecast import Forecast
from seatrial.trial.noise_floor import Repeated, cell_to_repeat, measure_noise_floor

I64 = npt.NDArray[np.int64]


def run_trial(
    plan: PlanFile,
    results: Path,
    *,
    allow_code: bool = False,
    resume: bool = False,
    watcher: Watcher | None = None,
) -> Outcome:
    """Runs a plan. Ctrl-C gives an Outcome with exit code 130 and the cells done so far, which --resume carries on.

    Raises:
        SeatrialError: the plan, its files or this machine are not fit to run it; nothing was measured.
        ResultsError: results could not be written; the message says where what was measured is kept.
    """
    watcher = watcher or Watcher()
    began = time.monotonic()
    ready = preflight(plan, allow_code, watcher.checking)
    cells = expand(plan, ready.models, len(ready.images), len(usable_cores()))
    cells = _reference_configurations_first(plan, cells)
    machine = Environment.model_validate(environment())
    with _run_folder(ready, results, resume) as run:
        done = _finished(run) if resume else {}
        if not resume:
            run.save_start(_start_of(ready, machine))
        return _run_cells(ready, run, cells, done, watcher, began)


def _run_cells(
    ready: Ready, run: RunFolder, cells: list[Cell], done: dict[str, CellRecord], watcher: Watcher, began: float
) -> Outcome:
    forecast = Forecast(ready, [c for c in cells if c.id not in done])
    watcher.begins(cells, len(done), len(ready.images), forecast.left_s())
    comparer = Comparer(ready, run, cells)
    stopped = False
    records: dict[str, CellRecord] = {}
    comparisons: list[Comparison] = []
    problems: dict[str, SeatrialError] = {}
    repeated = Repeated()
    try:
        variants = prepare_variants(ready, run, [c for c in cells if not c.skip and c.id not in done], watcher)
        forecast.prepared()
        watcher.expects(forecast.left_s())
        for cell in cells:
            raise_swallowed()
            if cell.id in done:
                records[cell.id] = _compared_again(run, done[cell.id], cell, comparer)
                continue
            cell_began = time.monotonic()
            records[cell.id] = _run_cell(ready, run, cell, variants, comparer, watcher)
            watcher.cell_ends(records[cell.id])
            forecast.ran(cell, time.monotonic() - cell_began)
            watcher.expects(forecast.left_s())
        repeated = _repeated(ready, run, cells, variants, records, watcher)
        comparisons, problems = _regressions(ready, run, cells, variants, records, watcher)
    except (KeyboardInterrupt, Exception) as e:
        if not isinstance(e, KeyboardInterrupt) and not interrupted():
            raise
        stopped = True
        # One that was written just before is kept, though nobody had counted it yet.
        records = run.finished_cells() | records
    cut = {name: str(e) for name, e in problems.items()}
    return conclude(
        ready, run, list(records.values()), lambda c: comparer.evaluation(c.id), comparisons, cut, repeated, stopped,
        time.monotonic() - began,
    )  # fmt: skip


def _repeated(
    ready: Ready, run: RunFolder, cells: list[Cell], variants: Variants,
    records: dict[str, CellRecord], watcher: Watcher,
) -> Repeated:  # fmt: skip
    """The first cell that a budget on time is about, once more."""
    cell = cell_to_repeat(ready.plan.plan, cells, records)
    if cell is None:
        return Repeated()
    try:
        # A resumed run prepared only what was left to run.
        made = variants | prepare_variants(ready, run, [cell], watcher)
        return measure_noise_floor(ready, run, cell, records[cell.id], made[cell.pipeline, cell.precision], watcher)
    except ResultsError as e:  # the record of what was measured is worth more, and has a rescue of its own
        return Repeated(cell.id, problem=str(e))


def _regressions(
    ready: Ready, run: RunFolder, cells: list[Cell], variants: Variants,
    records: dict[str, CellRecord], watcher: Watcher,
) -> tuple[list[Comparison], dict[str, SeatrialError]]:  # fmt: skip
    """Every other pipeline against the regression's baseline, in lock-step, in the reference configuration.

    And what kept pipelines from being compared, by name: the trial's other results stand.
    """
    asked = ready.plan.plan.regression
    if asked is None:
        return [], {}
    own = {
        c.pipeline: c for c in cells if is_reference_configuration(ready.plan.plan, c) and records[c.id].status == "ok"
    }
    baseline = own.pop(asked.against, None)
    if baseline is None:
        return [], {}
    question = Question(
        margin=asked.margin, max_time_s=asked.max_time, alpha=1 - asked.confidence, seed=ready.plan.plan.measure.seed,
        time_option="regression.max_time",
    )  # fmt: skip
    comparisons: list[Comparison] = []
    problems: dict[str, SeatrialError] = {}
    for name, cell in own.items():
        # A resumed run prepared only what was left to run.
        made = variants | prepare_variants(ready, run, [baseline, cell], watcher)
        try:
            a, b = (_side(ready, c, made[c.pipeline, c.precision]) for c in (baseline, cell))
        except SeatrialError as e:
            problems[name] = e
            continue
        folder = run.work / f"regression.{name}"
        try:
            found = compare_sides(a, b, question, folder, (asked.against, name), watcher.of(cell))
            # Each round opens both models again.
            _check_inputs(ready, baseline, cell)
            comparisons += found
        except ResultsError:
            raise
        except CutShortError as e:
            if e.interrupted:
                raise KeyboardInterrupt from e
            comparisons += e.comparisons
        except SeatrialError as e:
            problems[name] = e
    return adjusted(comparisons, 1 - question.confidence), problems


def _side(ready: Ready, cell: Cell, model: Path | NoModel) -> Side:
    """SeatrialError where its model could not be made, or is not what was hashed."""
    if isinstance(model, Ended):
        raise CellError(f"the {cell.precision} model of {cell.pipeline} could not be made: {model.reason}")
    _check_inputs(ready, cell)
    return Side(cell.pipeline, workload_of(ready, cell, model))


def _check_inputs(ready: Ready, *cells: Cell) -> None:
    ready.inputs.check(*_inputs_of(cells))


def _inputs_of(cells: Sequence[Cell]) -> list[str]:
    return [name for c in cells for name in (c.pipeline, cell_inputs(c))]


def _run_folder(ready: Ready, results: Path, resume: bool) -> RunFolder:
    if resume:
        return latest_interrupted(results, machine_name(), ready.identity())
    return new_run(results, machine_name(), resumable=True)


def _finished(run: RunFolder) -> dict[str, CellRecord]:
    """Cells that need not run again: those that failed are tried once more."""
    return {i: c for i, c in run.finished_cells().items() if c.status != "failed"}


def _start_of(ready: Ready, machine: Environment) -> RunStart:
    return RunStart(
        kind="trial",
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        subject=(str(ready.plan.path),),
        identity=ready.identity(),
        environment=machine,
    )


def _reference_configurations_first(plan: PlanFile, cells: list[Cell]) -> list[Cell]:
    """Cells are compared as they end, so what they are compared with comes first."""
    first = [c for c in cells if is_reference_configuration(plan.plan, c)]
    return first + [c for c in cells if c not in first]


def _compared_again(run: RunFolder, record: CellRecord, cell: Cell, comparer: Comparer) -> CellRecord:
    """A cell of before the resume: its reference may have run only now."""
    if record.status != "ok" or not (run.work / cell.id / "results.npz").is_file():
        return record
    found = comparer.compare(cell).put_into(record)
    if found != record:
        run.save_cell(found)
    return found


def _run_cell(
    ready: Ready,
    run: RunFolder,
    cell: Cell,
    variants: Variants,
    comparer: Comparer,
    watcher: Watcher,
) -> CellRecord:
    """Runs a cell and saves its record, with whatever samples it left."""
    table: I64 | None = None
    if cell.skip:
        record = bare_record(cell, "skipped", reason=cell.skip)
    elif isinstance(model := variants[(cell.pipeline, cell.precision)], Ended):
        record = _failed(cell, model, f"its {cell.precision} model could not be made: ")
    elif why := ready.inputs.changed(*_inputs_of([cell])):
        record = _failed(cell, NoModel.without(why, ExitCode.BAD_INPUT))
    else:
        record, table = _measured(ready, run, cell, model, comparer, watcher)
    weights = ready.models[cell.pipeline].weights if cell.precision == "fp32" else ""
    record = record.model_copy(update={"engine": ready.plan.plan.pipelines[cell.pipeline].engine, "weights": weights})
    run.save_cell(record, table)
    return record


def _measured(
    ready: Ready, run: RunFolder, cell: Cell, model: Path, comparer: Comparer, watcher: Watcher
) -> tuple[CellRecord, I64]:
    """One process's record and samples. Where it died, or its inputs moved under it, what it measured is kept as partial."""
    task, folder = measure_task(ready, cell, model), run.work / cell.id
    shared = SharedSamples.create(1, CAPACITY, len(PIPELINE_STAGES))
    try:
        ended = _ended(task, folder, ready, watcher.of(cell), shared)
        (table,) = shared.read()
    finally:
        shared.close()
    if why := ready.inputs.changed(*_inputs_of([cell])):
        ended = replace(ended, answer=None, reason=why, exit_code=int(ExitCode.BAD_INPUT))
    if ended.answer is None:
        # No other cell is to be compared with them.
        (folder / "results.npz").unlink(missing_ok=True)
        return _failed(cell, ended, table=table), table
    measured, warnings = cell_measurement(task, ended.answer, table, _size(ready, cell, model))
    noise = noise_of(ended.noise, table)
    found = comparer.compare(cell)
    warnings += (*(noise.disturbances if noise else ()), *comparer.warnings(cell))
    record = bare_record(
        cell, measurement=measured, noise=noise, warnings=warnings, wall_s=ended.wall_s
    )  # fmt: skip
    return found.put_into(record), table


def _ended(task: MeasureTask, folder: Path, ready: Ready, tell: Tell, shared: SharedSamples) -> Ended[MeasureAnswer]:
    """As run_job; a disk that is full does not lose the samples that are in memory."""
    try:
        return run_job(measure.JOB, task, folder, ready.plan.plan.measure.timeout, tell, shared)
    except ResultsError as e:
        if not any(map(len, shared.read())):
            raise
        return Ended.without(str(e), e.exit_code)


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
