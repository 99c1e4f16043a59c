"""One model or pipeline under one or several loads, each in a fresh process: `seatrial bench`.

For: cells, their records, and what is kept where a process dies or the user has seen enough. Not for: the loads themselves
(job.py, in the process) or their arithmetic (results.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from seatrial.errors import (
    ExitCode,
    Failure,
    ModelError,
    ResultsError,
    SeatrialError,
    error_of,
    option,
)
from seatrial.gate.verdict import RULES, exit_code, overall
from seatrial.history.records import CONVERSIONS, CellRecord, Decision, Environment, Record, RunStart, Verdict
from seatrial.history.run_folder import RunFolder
from seatrial.interrupts import interrupts_held
from seatrial.jobs.noise_fields import noise_of
from seatrial.jobs.process import Ended, run_job
from seatrial.jobs.shared import SharedSamples, merged
from seatrial.jobs.workload import PipelineWorkload, Timing, Workload
from seatrial.loads import job
from seatrial.loads.clock_lock import held_clocks
from seatrial.loads.mlperf import check_loadgen
from seatrial.loads.rate_search import read_kept
from seatrial.loads.results import MORE_TIME, results_of
from seatrial.loads.soak.cell import soak_cell
from seatrial.loads.soak.task import SoakPlan
from seatrial.loads.subject import BenchSubject
from seatrial.loads.sweep import (
    Sweep,
    capacity_of,
    clients_of,
    no_request,
    with_whole_shapes,
)
from seatrial.loads.task import Load, LoadAnswer, LoadTask
from seatrial.machine.environment import environment
from seatrial.stages import END_TO_END
from seatrial.stats.sample import quantile_of
from seatrial.warning import Warning

I64 = npt.NDArray[np.int64]
Tell = Callable[[str, float], None]


@dataclass(frozen=True)
class Outcome:
    """problem: why it did not go to its end; what was measured before is in the record all the same."""

    record: Record
    exit_code: ExitCode
    problem: str = ""


def run_bench(run: RunFolder, subject: BenchSubject, sweep: Sweep, tell: Tell) -> Outcome:
    """A cell a load, into a folder that is entered. A process that dies, or Ctrl-C, leaves the samples so far, marked.

    Raises:
        ResultsError: the folder takes no more; the message says where what was measured is kept.
        SeatrialError: nothing could be measured at all; the message has the process's last words.
    """
    sweep.check(subject.workload.threads, subject.workload.backend)
    sweep = replace(sweep, loads=[replace(p, load=with_whole_shapes(p.load, subject.workload)) for p in sweep.loads])
    if any(p.load.mlperf for p in sweep.loads):
        check_loadgen()
    with held_clocks(sweep.lock_clocks, subject.workload.backend) as word:
        subject = replace(subject, warnings=(*subject.warnings, *filter(None, [word])))
        return _run_loads(run, subject, sweep, tell)


def _run_loads(run: RunFolder, subject: BenchSubject, sweep: Sweep, tell: Tell) -> Outcome:
    began = time.monotonic()
    machine = Environment.model_validate(environment())
    created = datetime.now(UTC).isoformat(timespec="seconds")
    cells: list[CellRecord] = []
    decisions: list[Decision] = []
    problem, code = "", ExitCode.PASS
    identity = {"model_digest": subject.model.digest}
    run.save_start(RunStart(kind="bench", created=created, subject=(subject.workload.model,), identity=identity))
    try:
        for point in sweep.loads:
            threads = point.threads or subject.workload.threads
            clients = clients_of(point, threads)
            own = replace(
                subject, workload=replace(subject.workload, threads=threads, clients=clients, seed=sweep.seed)
            )
            try:
                if sweep.soak:
                    cell = _soak(run, own, sweep.soak, point.load, decisions, tell)
                else:
                    cell = _cell(run, own, sweep, point.load, tell)
            except _CutShortError as e:
                problem, code, cell = str(e), e.code, e.cell
            except ResultsError:
                raise
            except SeatrialError as e:
                if not cells:
                    raise
                # The loads before it were measured to their end.
                problem, code = f"{_cell_id(own, point.load)}: {e.for_command_line()}", e.exit_code
                break
            cells.append(cell)
            if problem:
                break
    except KeyboardInterrupt:
        # One that was written just before is kept, though nobody had counted it yet.
        counted = {c.id for c in cells}
        cells += [c for c in run.finished_cells().values() if c.id not in counted]
        if not cells:
            raise
        problem, code = "interrupted", ExitCode.INTERRUPTED
    # Nothing is left to stop: Ctrl-C comes behind the record.
    with interrupts_held():
        missing = any(c.load and (c.load.refused or (c.load.bound and not c.load.found_rate)) for c in cells)
        if missing and code is ExitCode.PASS:
            code = ExitCode.INCONCLUSIVE
        verdict: Verdict = "PASS" if code is ExitCode.PASS else "INCONCLUSIVE"
        # What a soak has proved to grow it has proved, though it was ended early; nothing else is known of one that was.
        if decisions and (code is ExitCode.PASS or overall(decisions) == "FAIL"):
            verdict = overall(decisions)
            code = exit_code(verdict, ()) if code is ExitCode.PASS else code
        record = Record(
            conversions=CONVERSIONS,
            id=run.path.name,
            created=created,
            kind="bench",
            status="complete" if not problem else "interrupted",
            verdict=verdict,
            wall_s=round(time.monotonic() - began, 2),
            plan=subject.plan,
            images=subject.images,
            models={subject.name: subject.model},
            environment=machine,
            cells=tuple(cells),
            rules=RULES,
            decisions=tuple(decisions),
            warnings=(*subject.warnings, *([Warning("cut-short", problem)] if problem else [])),
        )
        return Outcome(run.save_record(record), code, problem)


class _CutShortError(Exception):
    """A cell whose process ended before its time, with what it had measured."""

    def __init__(self, cell: CellRecord, reason: str, code: ExitCode) -> None:
        super().__init__(reason)
        self.cell = cell
        self.code = code


def _cell(run: RunFolder, subject: BenchSubject, sweep: Sweep, load: Load, tell: Tell) -> CellRecord:
    cell_id, clients = _cell_id(subject, load), subject.workload.clients
    tails = tuple((END_TO_END, quantile_of(p)) for p in sweep.percentiles)
    task = LoadTask(
        workload=subject.workload,
        load=load,
        stopping=replace(subject.stopping, max_time_s=sweep.max_time_s, tails=tails, whole_time=False),
        capacity=capacity_of(load, clients, sweep.max_time_s),
    )
    if why := subject.changed():
        raise ModelError(why)
    shared = SharedSamples.create(clients, task.capacity, len(task.stages))
    try:
        try:
            timeout_s = sweep.max_time_s * 10 + 600
            ended = run_job(job.JOB, task, run.work / cell_id, timeout_s, tell, shared, option("max_time"))
        except (KeyboardInterrupt, ResultsError) as e:
            if not any(map(len, shared.read())):
                raise
            stopped = Failure.of_text("interrupted", ExitCode.INTERRUPTED)
            ended = Ended(None, Failure.of(e) if isinstance(e, ResultsError) else stopped)
        tables = shared.read()
    finally:
        shared.close()
    # It was measured: Ctrl-C comes behind its file.
    with interrupts_held():
        table = merged(tables)
        if why := subject.changed():
            ended = replace(ended, answer=None, failure=Failure.of_text(why, ExitCode.BAD_INPUT))
        if ended.failure and not len(table):
            raise _error(task.workload, ended.failure)
        if not len(table):
            raise no_request(sweep.max_time_s)
        answer = ended.answer or _left_behind(run.work / cell_id)
        cell = _record(subject, task, cell_id, ended, answer, tables, sweep.percentiles)
        run.save_cell(cell, table)
    if ended.answer is None:
        raise _CutShortError(cell, cell.reason, ExitCode(ended.exit_code))
    return cell


def _soak(
    run: RunFolder, subject: BenchSubject, plan: SoakPlan, load: Load, decisions: list[Decision], tell: Tell
) -> CellRecord:
    """Adds what its limits say to the decisions."""
    if why := subject.changed():
        raise ModelError(why)
    soaked = soak_cell(run, subject, plan, load, _cell_id(subject, load), tell)
    if isinstance(soaked, Failure):
        raise _error(subject.workload, soaked)
    decisions += soaked.decisions
    if soaked.failure:
        raise _CutShortError(soaked.cell, soaked.cell.reason, ExitCode(soaked.failure.exit_code))
    return soaked.cell


def _left_behind(folder: Path) -> LoadAnswer:
    """Of a process that did not live to answer."""
    return LoadAnswer(timing=Timing(ended="died"), search=read_kept(folder / job.KEPT_SEARCH))


def _cell_id(subject: BenchSubject, load: Load) -> str:
    w = subject.workload
    clients = w.clients
    base = f"{subject.name}.{w.backend.label}.{w.precision}.b{w.batch}.t{w.threads}"
    words = [load.mlperf or load.scenario] if load.scenario != "single-stream" else []
    words += [f"c{clients}"] if clients > 1 or load.scenario in ("multi-stream", "offline") else []
    words += [f"{load.rate:g}"] if load.rate and load.bound_s is None else []
    words += [f"{load.gap_s * 1e3:g}ms"] if load.scenario == "paced" else []
    words += ["mix"] if load.mix else []
    return f"{base}@{'-'.join(words)}" if words else base


def _record(
    subject: BenchSubject,
    task: LoadTask,
    cell_id: str,
    ended: Ended[LoadAnswer],
    answer: LoadAnswer,
    tables: Sequence[I64],
    percentiles: Sequence[str],
) -> CellRecord:
    """answer: of a process that died, what it left."""
    w = task.workload
    found = results_of(task, answer, tables, percentiles, subject.model_bytes)
    # Of a mix, the larger shape is no outlier of the smaller.
    queued, alike = task.load.scenario == "server", not task.load.mix
    noise = noise_of(ended.noise, merged(tables), queued=queued, spikes=alike, backend=w.backend.backend)
    record = CellRecord(
        id=cell_id,
        pipeline=subject.name,
        backend=w.backend.label,
        backend_kind=w.backend.backend,
        backend_options=dict(w.backend.options),
        precision=w.precision,
        weights=w.model_info.weights if w.precision == "fp32" else "",
        batch=w.batch,
        threads=w.threads,
        engine=w.spec.engine if isinstance(w, PipelineWorkload) else "native",
        status="ok",
        measurement=found.measurement,
        load=found.load,
        noise=noise,
        warnings=(*found.warnings, *_images_left(w, tables), *(noise.disturbances if noise else ()), *ended.printed),
        last_output=ended.last_output,
        wall_s=ended.wall_s,
    )
    return record if ended.answer else _cut_short(record, ended, sum(map(len, tables)))


def _cut_short(record: CellRecord, ended: Ended[LoadAnswer], requests: int) -> CellRecord:
    changes = {"status": "failed", "partial": True, "exit_code": ended.exit_code}
    reason = f"{ended.reason}; the {requests} requests before it are kept"
    return record.model_copy(update=changes | {"reason": reason})


def _images_left(w: Workload, tables: Sequence[I64]) -> tuple[Warning, ...]:
    """A warning where the load ended before every image had its turn: a rarer one may take more memory."""
    count = len(w.images) if isinstance(w, PipelineWorkload) else 0
    most = w.batch * max(map(len, tables))
    if most >= count:
        return ()
    said = f"peak memory is of {most} of the {count} images: the load ended before the others"
    return (Warning("unseen-images", said, MORE_TIME),)


def _error(w: Workload, failure: Failure) -> SeatrialError:
    named = failure.subject == w.model or failure.exit_code == ExitCode.USAGE
    return error_of(failure, "" if named else w.model)
