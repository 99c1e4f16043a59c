"""A load in a process of its own: clients are opened, warmed up, and timed as the scenario says.

For: the worker's side of `seatrial bench`. Not for: what the samples mean (results.py), or when requests come
(timing/arrivals.py).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial._native.timing import Halt, StageSamples, closed_loops, now_ns
from seatrial.backends.reasons import first_line
from seatrial.errors import CellError, UsageError
from seatrial.jobs.child import pin
from seatrial.jobs.opened import stage_names
from seatrial.jobs.shared import FD_VARIABLE, SharedSamples, merged
from seatrial.jobs.task import Answer, Task
from seatrial.loads.clients import Opened, open_clients, open_model
from seatrial.loads.rate_search import RateSearch
from seatrial.loads.server import beside, due_times, serve
from seatrial.stats.sample import CONFIDENCE, can_be_bounded
from seatrial.stats.stopping import CentreRule
from seatrial.timing.measure import StopRule, enough, measure, warm_up
from seatrial.units import format_seconds

Tell = Callable[[str, float], None]
I64 = npt.NDArray[np.int64]
WARM_UP_S = 2.0


def run_load(task: Task, tell: Tell) -> Answer:
    """Opens, loads, answers. The samples are in the shared memory, also where this process does not live to answer."""
    from seatrial.loads.cross_check import cross_check
    from seatrial.machine.environment import peak_memory_bytes, usable_cores

    usable = usable_cores()
    affinity = pin(task.threads * task.clients)
    opened = open_clients(task, tell) if task.pipeline else open_model(task, tell)
    opened.spare = set(usable) - set(affinity)
    names = stage_names(task)
    shared = SharedSamples(int(os.environ[FD_VARIABLE]), task.clients, task.capacity, len(names))
    tables = shared.tables()
    with opened.backend as backend:
        try:
            fields = _SCENARIOS[task.load.scenario](task, opened, tables, tell)
        except RuntimeError as e:  # what a native request failed with
            raise CellError(f"{task.backend} failed in a run: {first_line(e)}") from e
        # The tables are written once before the load, so that none of their pages is new in a request.
        peak = max(0, peak_memory_bytes() - sum(8 * StageSamples.words(t.capacity, t.stages) for t in tables))
        python_path, problem = cross_check(task, opened, peak)
        return Answer(
            stages=names, load_s=opened.load_s, first_inference_s=opened.first_s, peak_memory_bytes=peak, affinity=affinity,
            backend_details=backend.details(), io_policy=backend.io_policy(), called=opened.called,
            shape_order=opened.shape_order(), shape_first_s=opened.shape_first_s, python_path=python_path,
            python_path_problem=problem, **fields,
        )  # fmt: skip


def _single(task: Task, opened: Opened, tables: list[StageSamples], tell: Tell) -> dict[str, Any]:
    rule = StopRule(int(task.max_time_s * 1e9), task.min_samples, task.precision_target, _tails(task), task.longest_run)
    gap_ns = int(task.load.gap_s * 1e9)
    measured = measure(
        opened.works[0],
        tables[0].stages,
        rule,
        lambda share: tell("measuring", share),
        samples=tables[0],
        gap_ns=gap_ns,
    )
    opened.sent(0, measured.warm_up)
    return {
        "warm_up": measured.warm_up, "converged": measured.converged, "elapsed_s": measured.elapsed_ns / 1e9,
        "ended": measured.ended,
    }  # fmt: skip


def _tails(task: Task) -> tuple[tuple[int, float], ...]:
    return tuple((-1, quantile) for _, quantile in task.tails)


def _many(task: Task, opened: Opened, tables: list[StageSamples], tell: Tell) -> dict[str, Any]:
    """Clients back to back, until the mean is known: theirs is the throughput."""
    warmed = _warm_up(task, opened, tables[0].stages)
    rule = CentreRule(task.precision_target, 1 - CONFIDENCE, max(task.min_samples, 50))
    halt = Halt()
    began = now_ns()
    deadline = began + int(task.max_time_s * 1e9)
    enough = False

    def poll() -> None:
        nonlocal enough
        tell("measuring", min(1.0, (now_ns() - began) / (task.max_time_s * 1e9)))
        if sum(map(len, tables)) >= rule.next_look and not enough:
            latencies = merged([t.to_array() for t in tables])[:, -1]
            enough = rule.look(latencies).enough and all(
                can_be_bounded(latencies, quantile, task.longest_run) for _, quantile in task.tails
            )
            if enough:
                halt.ask()

    ended = beside(lambda: closed_loops(opened.works, tables, deadline_ns=deadline, halt=halt), poll, opened.spare)
    elapsed_s = (now_ns() - began) / 1e9
    return {
        "warm_up": warmed, "converged": enough, "elapsed_s": elapsed_s, "ended": "converged" if enough else ended
    }  # fmt: skip


def _server(task: Task, opened: Opened, tables: list[StageSamples], tell: Tell) -> dict[str, Any]:
    load = task.load
    began = now_ns()
    warmed = _warm_up(task, opened, tables[0].stages)
    # Of a request that comes alone, as far as the warm-up tells.
    service_s = (now_ns() - began) / 1e9 / max(1, warmed)
    if load.bound_s is not None:
        return {"warm_up": warmed, **RateSearch(task, opened.works, tables, tell, opened.spare, opened.sent).run()}
    due_ns = due_times(task, load.rate or 0.0, task.max_time_s, task.seed)
    began = now_ns()
    ended, _ = serve(
        opened.works, tables, due_ns, lambda share: tell("serving", share), opened.spare, longest_wait_s=service_s
    )
    elapsed_s = (now_ns() - began) / 1e9
    rows = merged([t.to_array() for t in tables])
    # Where the table was full, those behind were not refused, only not recorded.
    unserved = 0 if ended == "full" else len(due_ns) - len(rows)
    rule = StopRule(0, task.min_samples, task.precision_target, _tails(task), task.longest_run)
    return {
        "warm_up": warmed, "converged": not unserved and enough(rows, rule), "elapsed_s": elapsed_s, "ended": ended,
        "unserved": unserved,
    }  # fmt: skip


def _warm_up(task: Task, opened: Opened, stages: int) -> int:
    """Each client's own buffers, one client after another; returns how many requests ran."""
    inner = stages - 1 if task.load.scenario == "server" else stages
    budget_ns = int(min(WARM_UP_S, task.max_time_s / 3) * 1e9)
    warmed = [warm_up(work, inner, budget_ns // len(opened.works)) for work in opened.works]
    for client, count in enumerate(warmed):
        opened.sent(client, count)
    return sum(warmed)


def _mlperf(task: Task, opened: Opened, tables: list[StageSamples], tell: Tell) -> dict[str, Any]:
    from seatrial.loads.mlperf import run_loadgen

    began = now_ns()
    warmed = _warm_up(task, opened, tables[0].stages)
    if not warmed:
        raise UsageError(f"--max-time {format_seconds(task.max_time_s)}: no request was done in it; raise it")
    per_s = warmed / ((now_ns() - began) / 1e9) * len(opened.works)
    began = now_ns()
    official, full = run_loadgen(task, opened.works, tables, per_s, tell)
    return {
        "warm_up": warmed, "converged": official.get("Result is") == "VALID", "elapsed_s": (now_ns() - began) / 1e9,
        "ended": "full" if full else "count", "official": official,
    }  # fmt: skip


_SCENARIOS: dict[str, Callable[[Task, Opened, list[StageSamples], Tell], dict[str, Any]]] = {
    "single-stream": _single, "paced": _single, "multi-stream": _many, "offline": _many, "server": _server,
    "mlperf": _mlperf,
}  # fmt: skip
