"""One model or pipeline under one or several loads, each in a fresh process: `seatrial bench`.

For: cells, their records, and what is kept where a process dies or the user has seen enough. Not for: the loads themselves
(loads.py, in the process) or their arithmetic (summarise.py).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.backends import IO_POLICY
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
from seatrial.history.records import CellRecord, Record
from seatrial.history.store import RunFolder
from seatrial.plan.model_file import FAKE_SUFFIX, inspect_model
from seatrial.stats.sample import CONFIDENCE
from seatrial.stats.share import requests_needed
from seatrial.timing import arrivals
from seatrial.timing.environment import environment, usable_cores
from seatrial.trial.inputs import model_alone
from seatrial.trial.keep import Keep, keeping
from seatrial.trial.load_results import load_fields
from seatrial.trial.mlperf import check_loadgen
from seatrial.trial.noise_fields import noise_fields
from seatrial.trial.opened import stage_names
from seatrial.trial.preflight import Ready
from seatrial.trial.prepare import cell_inputs
from seatrial.trial.process import Ended, run_worker
from seatrial.trial.shapes import batch_of, check_inputs, fixed_shapes
from seatrial.trial.shared import SharedSamples, merged
from seatrial.trial.subjects import check_backend, model_facts, pipeline_cell
from seatrial.trial.summarise import measured_fields
from seatrial.trial.task import Answer, Load, Task
from seatrial.units import format_seconds

I64 = npt.NDArray[np.int64]
CAPACITY = 1 << 17
MIX_POLICY = "inputs bound in place, outputs allocated in each run, shapes open"
# A search goes through many rates.
SEARCH_CAPACITY = 1 << 20
# Of one load: each client's table holds all of them, since nobody knows who will serve how many.
MOST_ARRIVALS = 2_000_000
Tell = Callable[[str, float], None]


@dataclass(frozen=True)
class BenchSubject:
    """What is measured, as a task without a load, and what the record says about it.

    changed: which of its files are not what they were, for people; empty where none is.
    """

    name: str
    task: Task
    model: dict[str, Any]
    model_bytes: int
    images: dict[str, Any]
    plan: dict[str, Any]
    changed: Callable[[], str]
    warnings: tuple[str, ...] = ()


NO_PLAN: dict[str, Any] = {"path": "", "digest": "", "text": "", "resolved": None, "changes": {}}


def model_bench(
    model: Path, backend: str, *, batch: int, threads: int, shapes: dict[str, tuple[int, ...]], native: bool,
    open_shapes: bool = False,
) -> BenchSubject:  # fmt: skip
    """A model alone, on made-up inputs. open_shapes: a mix will give them.

    Raises:
        ModelError: it can't be read, or has a dynamic dimension that neither batch nor `shapes` fixes.
        BackendUnavailableError: the backend is not on this machine.
    """
    info = inspect_model(model)
    if model.name.endswith(FAKE_SUFFIX):
        backend = "fake"
    check_backend(backend)
    check_inputs(info)
    input_shapes = dict(shapes) if open_shapes else fixed_shapes(info, batch, shapes)
    # A given shape says the batch too: images a run is what throughput counts.
    batch = batch_of(info, shapes, batch)
    task = Task(
        kind="bench", model=str(model.absolute()), model_info=info, backend=backend, batch=batch, threads=threads,
        native=native, input_shapes=input_shapes, answer="",
    )  # fmt: skip
    images = {"count": 0, "made_up_inputs": {n: list(s) for n, s in input_shapes.items()}}
    return BenchSubject("bench", task, model_facts(info), info.size_bytes, images, NO_PLAN, model_alone(info))


def pipeline_bench(
    ready: Ready, run: RunFolder, pipeline: str, *, backend: str | None, batch: int | None, threads: int | None, native: bool
) -> BenchSubject:  # fmt: skip
    """A plan's pipeline on its images, in the first configuration of the matrix unless said otherwise."""
    cell, task = pipeline_cell(ready, run, pipeline, backend=backend, batch=batch, threads=threads, native=native)
    info = ready.models[pipeline]
    images = {"count": len(ready.images), "digest": ready.images_digest, "names": [i.name for i in ready.images]}
    plan = NO_PLAN | {"path": str(ready.plan.path), "digest": ready.plan.digest, "text": ready.plan.text}
    size = Path(task.model).stat().st_size if cell.precision != "fp32" else info.size_bytes
    changed = partial(ready.inputs.changed, pipeline, cell_inputs(cell))
    return BenchSubject(
        pipeline,
        task.model_copy(update={"kind": "bench"}),
        model_facts(info),
        size,
        images,
        plan,
        changed,
        tuple(ready.warnings),
    )


@dataclass(frozen=True)
class LoadPoint:
    """One load of a sweep. threads: of each client; None: as many as the subject has. clients: None: what fills the cores."""

    load: Load
    clients: int | None = 1
    threads: int | None = None


@dataclass(frozen=True)
class Sweep:
    """The loads to put on a subject, one cell each, and when each has enough. percentiles: asked for by name, 'p99.9'."""

    loads: Sequence[LoadPoint]
    max_time_s: float
    percentiles: tuple[str, ...] = ()
    seed: int = 0

    def check(self, subject_threads: int) -> None:
        """UsageError where it asks for more than the machine, the time or the memory has."""
        cores = len(usable_cores())
        for point in self.loads:
            load, threads = point.load, point.threads or subject_threads
            clients = _clients(point, threads)
            if threads > cores:
                raise UsageError(
                    f"--threads: expected at most {cores}, the cores that this process may use, got {threads}"
                )
            if clients > 4 * cores:
                raise UsageError(
                    f"--clients: {clients} clients of {threads} thread(s) on {cores} core(s) would measure the scheduler; "
                    f"give at most {4 * cores}"
                )
            self._check_arrivals(load, clients)
        for name in self.percentiles:
            needed = requests_needed(_quantile(name), CONFIDENCE)
            if needed > CAPACITY:
                raise UsageError(
                    f"--percentile {name}: expected one that {CAPACITY:,} requests can bound, the most that are kept; this one "
                    f"needs {needed:,}; ask for p99.9 or lower"
                )

    def _check_arrivals(self, load: Load, clients: int) -> None:
        """UsageError for a rate or a trace with next to no arrivals in the time, or more than memory is made for."""
        name = f"--rate {load.rate:g}" if load.rate else "--arrivals"
        requests, time = _arrivals_in(load, self.max_time_s), format_seconds(self.max_time_s)
        if requests * clients > MOST_ARRIVALS:
            room = f", and each of {clients} clients needs room for all of them" if clients > 1 else ""
            raise UsageError(
                f"{name} is {requests:.2g} requests in --max-time {time}{room}; expected at most "
                f"{MOST_ARRIVALS / clients:.2g}; "
                "lower the rate or the time"
            )
        # A server may also be started by LoadGen, which has arrivals of its own.
        least, gap_s = 0, 0.0
        if load.rate:
            least, gap_s = 1, 1 / load.rate
        elif load.arrivals_s:
            least, gap_s = 2, load.arrivals_s[1] - load.arrivals_s[0]
        if requests < least:
            raise UsageError(
                f"{name} is {requests:.2g} requests in --max-time {time}; expected at least {least}; raise --max-time to "
                f"{math.ceil(gap_s)} s or more"
            )


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
    sweep = replace(sweep, loads=[replace(p, load=_with_whole_shapes(p.load, subject.task)) for p in sweep.loads])
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
                cell = _cell(keep, own, sweep, point.load, _clients(point, task.threads), tell)
            except _CutShortError as e:
                problem, code, cell = str(e), e.code, e.cell
            except ResultsError:
                raise
            except SeatrialError as e:
                if not cells:
                    raise
                # The loads before it were measured to their end.
                problem, code = f"{_cell_id(own, point.load, _clients(point, task.threads))}: {e}", e.exit_code
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


def _clients(point: LoadPoint, threads: int) -> int:
    return point.clients or max(1, len(usable_cores()) // threads)


def _with_whole_shapes(load: Load, task: Task) -> Load:
    """A mix's shapes with those of the inputs that it does not name. UsageError or ModelError where it does not fit."""
    mix = []
    for shapes, weight in load.mix:
        try:
            mix.append((fixed_shapes(task.model_info, task.batch, {**task.input_shapes, **shapes}), weight))
        except (UsageError, ModelError) as e:
            raise type(e)(str(e).replace("--shape", "--mix")) from None
    return load.model_copy(update={"mix": mix})


class _CutShortError(Exception):
    """A cell whose process ended before its time, with what it had measured."""

    def __init__(self, cell: CellRecord, reason: str, code: ExitCode) -> None:
        super().__init__(reason)
        self.cell = cell
        self.code = code


def _cell(keep: Keep, subject: BenchSubject, sweep: Sweep, load: Load, clients: int, tell: Tell) -> CellRecord:
    cell_id = _cell_id(subject, load, clients)
    asked = [_quantile(p) for p in sweep.percentiles]
    task = subject.task.model_copy(update={
        "clients": clients, "load": load, "max_time_s": sweep.max_time_s, "seed": sweep.seed,
        "answer": str(keep.run.work / cell_id), "capacity": _capacity(load, clients, sweep.max_time_s),
        "tails": [("end_to_end", q) for q in asked], "whole_time": False,
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


def _capacity(load: Load, clients: int, max_time_s: float) -> int:
    """Rows of each client's table."""
    if load.bound_s is not None and load.scenario == "server":
        return SEARCH_CAPACITY // clients
    if load.scenario == "server":
        # Poisson arrivals may be ten standard deviations more than are expected.
        expected = _arrivals_in(load, max_time_s)
        return max(CAPACITY // clients, math.ceil(expected + 10 * math.sqrt(expected) + 10))
    return CAPACITY // clients


def _arrivals_in(load: Load, time_s: float) -> float:
    """How many requests come in that time; of a random load, how many are expected."""
    if not load.arrivals_s:
        return (load.rate or 0.0) * time_s
    # A short trace comes again and again: counted before it is made, so that no memory goes on what will be refused.
    span_s = load.arrivals_s[-1] - load.arrivals_s[0]
    most = len(load.arrivals_s) * math.ceil(time_s / span_s) if span_s else len(load.arrivals_s)
    return most if most > 20 * MOST_ARRIVALS else len(arrivals.trace(load.arrivals_s, time_s))


def _quantile(name: str) -> float:
    return float(name[1:]) / 100


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
        threads=task.threads, status="ok", io_policy=MIX_POLICY if task.load.mix else IO_POLICY, wall_s=ended.wall_s,
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
