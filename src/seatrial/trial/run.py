"""A trial from plan to verdict: check, start or resume, prepare variants, run cells, judge, record.

For: the order of things. Each step is a module of its own.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from seatrial.cells.matrix import Cell, expand
from seatrial.cells.preflight import Ready, preflight
from seatrial.cells.prepare import Variants
from seatrial.cells.watch import Watcher
from seatrial.errors import ResultsError
from seatrial.history.find import latest_interrupted
from seatrial.history.records import CellRecord, Environment, RunStart
from seatrial.history.run_folder import RunFolder, new_run
from seatrial.interrupts import interrupted, raise_swallowed
from seatrial.machine.environment import environment, machine_name, usable_cores
from seatrial.plan.load import PlanFile
from seatrial.plan.reference import is_reference_configuration
from seatrial.trial.agreement import Comparer
from seatrial.trial.cell import compare_again, run_cell
from seatrial.trial.conclude import Findings, Outcome, conclude
from seatrial.trial.context import TrialContext
from seatrial.trial.explain import explained
from seatrial.trial.forecast import Forecast, ForetellingWatcher
from seatrial.trial.noise_floor import Repeated, cell_to_repeat, measure_noise_floor
from seatrial.trial.regression import run_regression


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
        done = _cells_done(run) if resume else {}
        if not resume:
            run.save_start(_start_of(ready, machine))
        return _run_cells(TrialContext(ready, run, cells, watcher), done, began)


def _run_cells(trial: TrialContext, done: Mapping[str, CellRecord], began: float) -> Outcome:
    """done: cells of before the resume. began: time.monotonic() at the trial's first step."""
    ready, run = trial.ready, trial.run
    forecast = Forecast(ready, trial.cells, done=done)
    for cell in trial.cells:
        if cell.id in done:
            forecast.ran(cell, done[cell.id], done[cell.id].wall_s)
    trial = replace(trial, watcher=ForetellingWatcher(trial.watcher, forecast))
    watcher = trial.watcher
    watcher.begins(trial.cells, len(done), len(ready.images), forecast.left_s())
    comparer = Comparer(ready, run, trial.cells)
    findings = Findings(lambda c: comparer.evaluation(c.id))
    records: dict[str, CellRecord] = {}
    try:
        variants = trial.variants([c for c in trial.cells if not c.skip and c.id not in done])
        forecast.prepared()
        watcher.expects(forecast.left_s())
        for cell in trial.cells:
            raise_swallowed()
            if cell.id in done:
                records[cell.id] = compare_again(trial, done[cell.id], cell, comparer)
                continue
            cell_began = time.monotonic()
            forecast.began(cell)
            model = None if cell.skip else variants[cell.pipeline, cell.precision]
            records[cell.id] = run_cell(trial, cell, model, comparer)
            watcher.cell_ends(records[cell.id])
            forecast.ran(cell, records[cell.id], time.monotonic() - cell_began)
            watcher.expects(forecast.left_s())
        findings = replace(findings, repeated=_repeat(trial, variants, records))
        forecast.repeated()
        watcher.expects(forecast.left_s())
        comparisons, problems = run_regression(trial, variants, records)
        forecast.compared()
        watcher.expects(forecast.left_s())
        not_compared = {name: e.for_command_line() for name, e in problems.items()}
        findings = replace(findings, comparisons=comparisons, not_compared=not_compared)
    except (KeyboardInterrupt, Exception) as e:
        if not isinstance(e, KeyboardInterrupt) and not interrupted():
            raise
        # One that was written just before is kept, though nobody had counted it yet.
        records = run.finished_cells() | records
        findings = replace(findings, interrupted=True)
    findings = replace(findings, cells=list(records.values()), wall_s=time.monotonic() - began)
    return conclude(ready, run, findings, lambda cells, decisions: explained(trial, cells, decisions))


def _repeat(trial: TrialContext, variants: Variants, records: Mapping[str, CellRecord]) -> Repeated:
    """The first cell that a budget on time is about, once more."""
    cell = cell_to_repeat(trial.ready.plan.plan, trial.cells, records)
    if cell is None:
        return Repeated()
    try:
        made = trial.variants([cell], variants)
        return measure_noise_floor(trial, cell, records[cell.id], made[cell.pipeline, cell.precision])
    except ResultsError as e:  # the record of what was measured is worth more, and has a rescue of its own
        return Repeated(cell.id, problem=e.for_command_line())


def _run_folder(ready: Ready, results: Path, resume: bool) -> RunFolder:
    if resume:
        return latest_interrupted(results.absolute(), machine_name(), ready.identity())
    return new_run(results, machine_name(), resumable=True)


def _cells_done(run: RunFolder) -> dict[str, CellRecord]:
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
