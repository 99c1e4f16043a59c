"""A trial from plan to verdict: check, start or resume, prepare variants, run cells, judge, record.

For: the order of things. Each step is a module of its own.
"""

from __future__ import annotations

import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from seatrial.backends import IO_POLICY
from seatrial.errors import ModelError, ResultsError, SeatrialError
from seatrial.history.records import CellRecord, Comparison
from seatrial.history.store import RunFolder, latest_interrupted, new_run
from seatrial.plan.load import PlanFile
from seatrial.plan.model_file import inspect_model
from seatrial.timing.environment import environment, machine_name, usable_cores
from seatrial.trial.cells import Cell, expand, is_reference_configuration
from seatrial.trial.compare import Comparer
from seatrial.trial.conclude import Outcome, conclude
from seatrial.trial.forecast import Forecast
from seatrial.trial.lockstep import Side
from seatrial.trial.noise_fields import noise_fields
from seatrial.trial.preflight import Ready, preflight
from seatrial.trial.prepare import bare_record, prepare_variants, task_for, told
from seatrial.trial.process import Ended, run_worker
from seatrial.trial.samples import load_samples
from seatrial.trial.summarise import measured_fields
from seatrial.trial.versus import CutShortError, Question, adjusted, compare_sides
from seatrial.trial.watch import Watcher


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
    run, done = _open_run(ready, results, resume, environment())
    with run.locked():
        return _run_cells(ready, run, cells, done, watcher, began)


def _run_cells(
    ready: Ready, run: RunFolder, cells: list[Cell], done: dict[str, CellRecord], watcher: Watcher, began: float
) -> Outcome:
    forecast = Forecast(ready, [c for c in cells if c.id not in done])
    watcher.begins(cells, len(done), len(ready.images), forecast.left_s())
    comparer = Comparer(ready, run, cells)
    interrupted = False
    records: dict[str, CellRecord] = {}
    comparisons: list[Comparison] = []
    problems: dict[str, SeatrialError] = {}
    try:
        variants = prepare_variants(ready, run, [c for c in cells if not c.skip and c.id not in done], watcher)
        forecast.prepared()
        watcher.expects(forecast.left_s())
        for cell in cells:
            if cell.id in done:
                records[cell.id] = done[cell.id]
                continue
            cell_began = time.monotonic()
            records[cell.id] = _run_cell(ready, run, cell, variants, comparer, watcher)
            run.save_cell(records[cell.id])
            watcher.cell_ends(records[cell.id])
            forecast.ran(cell, time.monotonic() - cell_began)
            watcher.expects(forecast.left_s())
        comparisons, problems = _regressions(ready, run, cells, variants, records, watcher)
    except KeyboardInterrupt:
        interrupted = True
    except ResultsError as e:
        raise _rescued(e, records) from e
    try:
        cut = {name: str(e) for name, e in problems.items()}
        return conclude(ready, run, list(records.values()), comparisons, cut, interrupted, time.monotonic() - began)
    except ResultsError as e:
        raise _rescued(e, records) from e


def _regressions(
    ready: Ready, run: RunFolder, cells: list[Cell], variants: dict[tuple[str, str], Path | Ended],
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
        a, b = (_side(ready, run, c, made[c.pipeline, c.precision]) for c in (baseline, cell))
        folder = run.work / f"regression.{name}"
        try:
            comparisons += compare_sides(a, b, question, folder, (asked.against, name), told(watcher, cell))
        except ResultsError:
            raise
        except CutShortError as e:
            if e.interrupted:
                raise KeyboardInterrupt from e
            comparisons += e.comparisons
        except SeatrialError as e:
            problems[name] = e
    return adjusted(comparisons, 1 - question.confidence), problems


def _side(ready: Ready, run: RunFolder, cell: Cell, model: Path | Ended) -> Side:
    assert isinstance(model, Path)
    task = task_for(ready, run, cell, "measure", model).model_dump(mode="json")
    facts = {"threads": cell.threads, "backend": cell.backend, "batch": cell.batch, "native": False}
    return Side(cell.pipeline, {"pipeline": task, **facts})


def _open_run(
    ready: Ready, results: Path, resume: bool, machine: dict[str, Any]
) -> tuple[RunFolder, dict[str, CellRecord]]:
    """A new run, or the interrupted one with the cells that need not run again: those that failed are tried once more."""
    if resume:
        run = latest_interrupted(results, machine_name(), ready.identity())
        return run, {i: c for i, c in run.finished_cells().items() if c.status != "failed"}
    run = new_run(results, machine_name())
    start = {"created": datetime.now(UTC).isoformat(timespec="seconds"), "plan": str(ready.plan.path)}
    run.save_start(start | ready.identity() | {"environment": machine})
    return run, {}


def _reference_configurations_first(plan: PlanFile, cells: list[Cell]) -> list[Cell]:
    """Cells are compared as they end, so what they are compared with comes first."""
    first = [c for c in cells if is_reference_configuration(plan.plan, c)]
    return first + [c for c in cells if c not in first]


def _run_cell(
    ready: Ready,
    run: RunFolder,
    cell: Cell,
    variants: dict[tuple[str, str], Path | Ended],
    comparer: Comparer,
    watcher: Watcher,
) -> CellRecord:
    record = _ran(ready, run, cell, variants, comparer, watcher)
    return record.model_copy(update={"engine": ready.plan.plan.pipelines[cell.pipeline].engine})


def _ran(
    ready: Ready,
    run: RunFolder,
    cell: Cell,
    variants: dict[tuple[str, str], Path | Ended],
    comparer: Comparer,
    watcher: Watcher,
) -> CellRecord:
    if cell.skip:
        return bare_record(cell, "skipped", reason=cell.skip)
    model = variants[(cell.pipeline, cell.precision)]
    if isinstance(model, Ended):
        return _failed(cell, model, f"its {cell.precision} model could not be made: ")
    ended = run_worker(
        task_for(ready, run, cell, "measure", model), ready.plan.plan.measure.timeout, told(watcher, cell)
    )
    if ended.answer is None:
        return _failed(cell, ended)
    table = load_samples(run, cell.id)
    fields = measured_fields(ended.answer, table, cell.batch, _size(ready, cell, model))
    fields |= noise_fields(ended.noise, table, fields["warnings"])
    fields |= comparer.compare(cell)
    return bare_record(cell, io_policy=IO_POLICY, wall_s=ended.wall_s, **fields)


def _size(ready: Ready, cell: Cell, model: Path) -> int:
    info = ready.models[cell.pipeline]
    try:
        return info.size_bytes if model == info.path else inspect_model(model).size_bytes
    except ModelError:
        return model.stat().st_size


def _failed(cell: Cell, ended: Ended, prefix: str = "") -> CellRecord:
    return bare_record(
        cell,
        "failed",
        reason=prefix + ended.reason,
        exit_code=ended.exit_code,
        last_output=ended.last_output,
        wall_s=ended.wall_s,
    )


def _rescued(error: ResultsError, records: dict[str, CellRecord]) -> ResultsError:
    """Keeps what was measured somewhere else, and says where."""
    if not records:
        return error
    try:
        folder = Path(tempfile.mkdtemp(prefix="seatrial-rescue-"))
        for name, cell in records.items():
            (folder / f"{name}.json").write_text(cell.model_dump_json(indent=1), "utf-8")
    except OSError:
        return error
    return ResultsError(f"{error}\nwhat was measured ({len(records)} cells) is kept in {folder}")
