"""One model or pipeline under one or several loads, each in a fresh process: `seatrial bench`.

For: cells, their records, and what is kept where a process dies or the user has seen enough. Not for: the loads themselves
(job.py, in the process) or their arithmetic (results.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from seatrial.errors import (
    BackendUnavailableError,
    CellError,
    ExitCode,
    ModelError,
    ResultsError,
    SeatrialError,
    UsageError,
)
from seatrial.gate.verdict import RULES
from seatrial.history.keep import Keep, keeping
from seatrial.history.records import CellRecord, Record
from seatrial.history.store import RunFolder
from seatrial.jobs.noise_fields import noise_fields
from seatrial.jobs.opened import stage_names
from seatrial.jobs.process import Ended, run_worker
from seatrial.jobs.shared import SharedSamples, merged
from seatrial.jobs.summarise import measured_fields
from seatrial.jobs.task import Answer, Load, Task
from seatrial.loads.mlperf import check_loadgen
from seatrial.loads.results import load_fields
from seatrial.loads.subject import BenchSubject
from seatrial.loads.sweep import (
    Sweep,
    capacity_of,
    clients_of,
    quantile_of,
    with_whole_shapes,
)
from seatrial.machine.environment import environment
from seatrial.stages import END_TO_END
from seatrial.units import format_seconds

I64 = npt.NDArray[np.int64]
Tell = Callable[[str, float], None]


@dataclass(frozen=True)
class Outcome:
    """problem: why it did not go to its end; what was measured before is in the record all the same."""

    record: Record
    exit_code: ExitCode
    problem: str = ""


def run_bench(run: RunFolder, subject: BenchSubject, sweep: Sweep, tell: Tell) -> Outcome:
    """A cell a load. A process that dies, or Ctrl-C, leaves the samples so far, marked.

    Raises:
        ResultsError: the folder takes no more; the message says where what was measured is kept.
        SeatrialError: nothing could be measured at all; the message has the process's last words.
    """
    sweep.check(subject.task.threads)
    sweep = replace(sweep, loads=[replace(p, load=with_whole_shapes(p.load, subject.task)) for p in sweep.loads])
    if any(p.load.mlperf for p in sweep.loads):
        check_loadgen()
    with keeping(run) as keep:
        return _run_loads(keep, subject, sweep, tell)


def _run_loads(keep: Keep, subject: BenchSubject, sweep: Sweep, tell: Tell) -> Outcome:
    run = keep.run
    began = time.monotonic()
    machine = environment()
    created = datetime.now(UTC).isoformat(timespec="seconds")
    cells: list[CellRecord] = []
    problem, code = "", ExitCode.PASS
    run.save_start({"created": created, "bench": subject.task.model, "model_digest": subject.model["digest"]})
    try:
        for point in sweep.loads:
            task = subject.task.model_copy(update={"threads": point.threads or subject.task.threads})
            own = replace(subject, task=task)
            try:
                cell = _cell(keep, own, sweep, point.load, clients_of(point, task.threads), tell)
            except _CutShortError as e:
                problem, code, cell = str(e), e.code, e.cell
            except ResultsError:
                raise
            except SeatrialError as e:
                if not cells:
                    raise
                # The loads before it were measured to their end.
                problem, code = f"{_cell_id(own, point.load, clients_of(point, task.threads))}: {e}", e.exit_code
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
    missing = any(c.load_result and c.load_result.refused for c in cells)
    if missing and code is ExitCode.PASS:
        code = ExitCode.INCONCLUSIVE
    record = Record(
        id=run.path.name, created=created, kind="bench", status="complete" if not problem else "interrupted",
        verdict="PASS" if code is ExitCode.PASS else "INCONCLUSIVE", wall_s=round(time.monotonic() - began, 2),
        plan=subject.plan, images=subject.images, models={subject.name: subject.model},
        environment=machine, cells=tuple(cells), rules=RULES, decisions=(),
        warnings=(*subject.warnings, *((problem,) if problem else ())),
    )  # fmt: skip
    return Outcome(keep.record(record), code, problem)


class _CutShortError(Exception):
    """A cell whose process ended before its time, with what it had measured."""

    def __init__(self, cell: CellRecord, reason: str, code: ExitCode) -> None:
        super().__init__(reason)
        self.cell = cell
        self.code = code


def _cell(keep: Keep, subject: BenchSubject, sweep: Sweep, load: Load, clients: int, tell: Tell) -> CellRecord:
    cell_id = _cell_id(subject, load, clients)
    asked = [quantile_of(p) for p in sweep.percentiles]
    task = subject.task.model_copy(update={
        "clients": clients, "load": load, "max_time_s": sweep.max_time_s, "seed": sweep.seed,
        "answer": str(keep.run.work / cell_id), "capacity": capacity_of(load, clients, sweep.max_time_s),
        "tails": [(END_TO_END, q) for q in asked], "whole_time": False,
    })  # fmt: skip
    if why := subject.changed():
        raise ModelError(why)
    shared = SharedSamples.create(clients, task.capacity, len(stage_names(task)))
    try:
        try:
            ended = run_worker(task, sweep.max_time_s * 10 + 600, tell, shared)
        except (KeyboardInterrupt, ResultsError) as e:
            if not any(map(len, shared.read())):
                raise
            code = e.exit_code if isinstance(e, ResultsError) else ExitCode.INTERRUPTED
            ended = Ended(None, str(e) or "interrupted", int(code), "", 0.0)
        tables = shared.read()
    finally:
        shared.close()
    table = merged(tables)
    if why := subject.changed():
        ended = replace(ended, answer=None, reason=why, exit_code=int(ExitCode.BAD_INPUT))
    ended = replace(ended, reason=ended.reason.replace("measure.timeout", "--max-time"))
    if ended.answer is None and not len(table):
        raise _error(task, ended)
    if not len(table):
        raise UsageError(f"--max-time {format_seconds(sweep.max_time_s)}: no request was done in it; raise it")
    answer = ended.answer or Answer(stages=stage_names(task), ended="died")
    cell = _record(subject, task, cell_id, ended, answer, table, tables, sweep.percentiles)
    if ended.answer is None:
        # Nobody was left to tell these.
        cell = cell.model_copy(update=dict.fromkeys(("load", "first_inference", "cold_start", "peak_memory")))
        reason = f"{ended.reason}; the {len(table)} requests before it are kept"
        cell = cell.model_copy(
            update={
                "status": "failed",
                "partial": True,
                "reason": reason,
                "exit_code": ended.exit_code,
                "last_output": ended.last_output,
            }
        )
        keep.cell(cell, table)
        raise _CutShortError(cell, reason, ExitCode(ended.exit_code))
    keep.cell(cell, table)
    return cell


def _cell_id(subject: BenchSubject, load: Load, clients: int) -> str:
    t = subject.task
    base = f"{subject.name}.{t.backend}.{t.precision}.b{t.batch}.t{t.threads}"
    words = [load.mlperf or load.scenario] if load.scenario != "single-stream" else []
    words += [f"c{clients}"] if clients > 1 or load.scenario in ("multi-stream", "offline") else []
    words += [f"{load.rate:g}"] if load.rate and load.bound_s is None else []
    words += [f"{load.gap_s * 1e3:g}ms"] if load.scenario == "paced" else []
    words += ["mix"] if load.mix else []
    return f"{base}@{'-'.join(words)}" if words else base


def _record(
    subject: BenchSubject, task: Task, cell_id: str, ended: Ended, answer: Answer, table: I64, tables: Sequence[I64],
    percentiles: Sequence[str],
) -> CellRecord:  # fmt: skip
    fields = measured_fields(answer, table, task.batch, subject.model_bytes, task.longest_run)
    fields |= load_fields(task, answer, table, tables, percentiles, fields["warnings"], fields["stages"])
    if task.clients > 1:
        # Between stages a client may wait for another's turn in the interpreter: that is its latency.
        fields["doubt"] = ""
    fields["warnings"] += _images_left(task, tables)
    fields |= noise_fields(ended.noise, table, fields["warnings"], queued=task.load.scenario == "server")
    if task.load.mix:
        # The larger shape is no outlier of the smaller.
        fields["spikes"] = ()
    return CellRecord(
        id=cell_id, pipeline=subject.name, backend=task.backend, precision=task.precision, batch=task.batch,
        threads=task.threads, status="ok", wall_s=ended.wall_s,
        engine=task.pipeline.get("engine", "native"), weights=task.model_info.weights if task.precision == "fp32" else "",
        **fields,
    )  # fmt: skip


def _images_left(task: Task, tables: Sequence[I64]) -> tuple[str, ...]:
    """A warning where the load ended before every image had its turn: a rarer one may take more memory."""
    count, most = len(task.images), task.batch * max(map(len, tables))
    if most >= count:
        return ()
    return (f"peak memory is of {most} of the {count} images: the load ended before the others; raise --max-time",)


def _error(task: Task, ended: Ended) -> SeatrialError:
    kinds = {2: UsageError, 4: ModelError, 5: BackendUnavailableError}
    text = ended.reason if task.model in ended.reason or ended.exit_code == 2 else f"{task.model}: {ended.reason}"
    return kinds.get(ended.exit_code, CellError)(text)
