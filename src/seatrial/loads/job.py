"""A load in a process of its own: clients are opened, warmed up, and timed as the scenario says.

For: the worker's side of `seatrial bench`. Not for: what the samples mean (results.py), or when requests come
(timing/arrivals.py).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from seatrial._native.timing import Halt, StageSamples, closed_loops, now_ns
from seatrial.jobs.child import pin
from seatrial.jobs.job import Job, Tell
from seatrial.jobs.shared import FD_VARIABLE, SharedSamples, merged
from seatrial.jobs.workload import OpenedFacts, Timing, timing_of
from seatrial.loads.clients import Opened, open_works
from seatrial.loads.rate_search import RateSearch
from seatrial.loads.server import beside, due_times, serve
from seatrial.loads.sweep import no_request
from seatrial.loads.task import LoadAnswer, LoadTask, Served
from seatrial.stages import QUEUE
from seatrial.timing.measure import measure

I64 = npt.NDArray[np.int64]
# In a job's folder: what a search had found so far.
KEPT_SEARCH = "search.json"


def run_load(task: LoadTask, folder: Path, tell: Tell) -> LoadAnswer:
    """Opens, loads, answers. The samples are in the shared memory, also where this process does not live to answer."""
    from seatrial.loads.cross_check import cross_check
    from seatrial.machine.environment import peak_memory_bytes, usable_cores

    usable = usable_cores()
    affinity = pin(task.workload.threads * task.workload.clients)
    opened = open_works(task, tell)
    opened.spare = set(usable) - set(affinity)
    shared = SharedSamples(int(os.environ[FD_VARIABLE]), task.workload.clients, task.capacity, len(task.stages))
    tables = shared.tables()
    with opened.backend as backend:
        try:
            served = _serve(task, opened, tables, tell, folder)
        except RuntimeError as e:  # what a native request failed with
            raise backend.failure(e) from e
        # The tables are written once before the load, so that none of their pages is new in a request.
        peak = max(0, peak_memory_bytes() - sum(8 * StageSamples.words(t.capacity, t.stages) for t in tables))
        python_path, problem = cross_check(task, opened, peak)
        return LoadAnswer(
            opened=OpenedFacts(
                load_s=opened.load_s,
                first_inference_s=opened.first_s,
                details=backend.details(),
                io_policy=backend.io_policy(),
                kernels_change=backend.kernels_change,
                steady=opened.steady,
            ),
            affinity=tuple(affinity),
            peak_memory_bytes=peak,
            called=opened.called,
            shape_order=opened.shape_order(),
            shape_first_s=tuple(opened.shape_first_s),
            python_path=python_path,
            python_path_problem=problem,
            **vars(served),
        )


def _serve(task: LoadTask, opened: Opened, tables: list[StageSamples], tell: Tell, folder: Path) -> Served:
    if task.load.searches:
        warmed = _warm_up(task, opened)
        return RateSearch(task, opened, tables, tell, folder / KEPT_SEARCH).run(warmed)
    return _SCENARIOS[task.load.scenario](task, opened, tables, tell)


def _single(task: LoadTask, opened: Opened, tables: list[StageSamples], tell: Tell) -> Served:
    measured = measure(
        opened.works[0],
        tables[0].stages,
        task.stopping.max_time_ns,
        task.stopping.rule(task.stages),
        lambda share: tell("measuring", share),
        samples=tables[0],
        gap_ns=int(task.load.gap_s * 1e9),
        level_of=opened.level_of(task.stages),
    )
    opened.sent(0, measured.warm_up)
    opened.steady = measured.steady
    return Served(timing=timing_of(measured))


def _many(task: LoadTask, opened: Opened, tables: list[StageSamples], tell: Tell) -> Served:
    """Clients back to back, until the mean is known: theirs is the throughput."""
    warmed = _warm_up(task, opened)
    rule = task.stopping.rule(task.stages, "mean")
    halt = Halt()
    began = now_ns()
    deadline = began + task.stopping.max_time_ns
    enough = False

    def poll() -> None:
        nonlocal enough
        tell("measuring", min(1.0, (now_ns() - began) / (task.stopping.max_time_s * 1e9)))
        if sum(map(len, tables)) >= rule.next_look and not enough:
            enough = rule.look(merged([t.to_array() for t in tables])).enough
            if enough:
                halt.ask()

    ended = beside(lambda: closed_loops(opened.works, tables, deadline_ns=deadline, halt=halt), poll, opened.spare)
    elapsed_s = (now_ns() - began) / 1e9
    last = rule.conclude(merged([t.to_array() for t in tables]))
    return Served(
        timing=Timing(
            warm_up=warmed,
            converged=last.enough,
            elapsed_s=elapsed_s,
            ended="converged" if enough else ended,
            known_to=last.known_to,
        )
    )


def serve_load(task: LoadTask, opened: Opened, tables: list[StageSamples], tell: Tell) -> Served:
    load = task.load
    began = now_ns()
    warmed = _warm_up(task, opened)
    # Of a request that comes alone, as far as the warm-up tells.
    service_s = (now_ns() - began) / 1e9 / max(1, warmed)
    due_ns = due_times(task, load.rate or 0.0, task.stopping.max_time_s, task.workload.seed)
    began = now_ns()
    ended, _ = serve(
        opened.works, tables, due_ns, lambda share: tell("serving", share), opened.spare, longest_wait_s=service_s
    )
    elapsed_s = (now_ns() - began) / 1e9
    rows = merged([t.to_array() for t in tables])
    # Where the table was full, those behind were not refused, only not recorded.
    unserved = 0 if ended == "full" else len(due_ns) - len(rows)
    last = task.stopping.rule(task.stages).conclude(rows)
    sure = not unserved and last.enough
    timing = Timing(warm_up=warmed, converged=sure, elapsed_s=elapsed_s, ended=ended, known_to=last.known_to)
    return Served(timing=timing, unserved=unserved)


def _warm_up(task: LoadTask, opened: Opened) -> int:
    return opened.warm_up([s for s in task.stages if s != QUEUE], task.stopping.max_time_s)


def _mlperf(task: LoadTask, opened: Opened, tables: list[StageSamples], tell: Tell) -> Served:
    from seatrial.loads.mlperf import run_loadgen

    began = now_ns()
    warmed = _warm_up(task, opened)
    if not warmed:
        raise no_request(task.stopping.max_time_s)
    per_s = warmed / ((now_ns() - began) / 1e9) * len(opened.works)
    began = now_ns()
    official, full = run_loadgen(task, opened.works, tables, per_s, tell)
    elapsed_s, valid = (now_ns() - began) / 1e9, official.get("Result is") == "VALID"
    timing = Timing(warm_up=warmed, converged=valid, elapsed_s=elapsed_s, ended="full" if full else "count")
    return Served(timing=timing, official=official)


_SCENARIOS: dict[str, Callable[[LoadTask, Opened, list[StageSamples], Tell], Served]] = {
    "single-stream": _single,
    "paced": _single,
    "multi-stream": _many,
    "offline": _many,
    "server": serve_load,
    "mlperf": _mlperf,
}
JOB = Job("seatrial.loads.job", LoadTask, LoadAnswer, run_load)
