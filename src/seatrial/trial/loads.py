"""A load in a process of its own: clients are opened, warmed up, and timed as the scenario says.

For: the worker's side of `seatrial bench`. Not for: what the samples mean (bench.py), or when requests come (timing/arrivals).
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial._native.timing import (
    Halt,
    MixWork,
    PythonWork,
    StageSamples,
    Work,
    closed_loop,
    closed_loops,
    now_ns,
    open_loop,
)
from seatrial.errors import CellError, UsageError
from seatrial.stats.sample import CONFIDENCE, effective_count, quantile_below, samples_needed
from seatrial.stats.stopping import CentreRule
from seatrial.timing import arrivals
from seatrial.timing.measure import StopRule, collector_paused, measure, warm_up
from seatrial.timing.search import REPEATS, Holds, bracket, rates_to_try
from seatrial.trial.child import pin
from seatrial.trial.opened import OpenedPipeline, open_pipeline, stage_names
from seatrial.trial.shared import FD_VARIABLE, SharedSamples, merged
from seatrial.trial.task import Answer, Point, Task
from seatrial.trial.turns import made_up
from seatrial.units import format_seconds

Tell = Callable[[str, float], None]
I64 = npt.NDArray[np.int64]
POLL_S = 0.2
# Behind the last arrival: a server that is behind may catch up; what it has not begun by then is unserved.
GRACE_S = 1.0
WARM_UP_S = 2.0
MIX_LENGTH = 4096
LEAST_PROBE_S = 1.0
SLOW_S = 1.0
# Of one rate of a search: a model of a few microseconds would fill the table of samples with the first rates.
MOST_PROBE_REQUESTS = 1 << 15


@dataclass
class Opened:
    """A work for each client, and what opening the first cost."""

    works: list[Work]
    backend: Any
    load_s: float
    first_s: float
    called: str
    shape_orders: list[I64] = field(default_factory=list)
    shape_first_s: list[float] = field(default_factory=list)
    feeds: dict[str, npt.NDArray[Any]] | None = None
    unmeasured: list[int] = field(default_factory=list)
    """Requests that each client has sent before those in its table."""

    def sent(self, client: int, count: int) -> None:
        self.unmeasured = self.unmeasured or [0] * len(self.works)
        self.unmeasured[client] += count

    def shape_order(self) -> list[int]:
        """Each client's order of shapes, one behind the other, from the first row of its table on."""
        orders = zip(self.shape_orders, self.unmeasured or [0] * len(self.works), strict=False)
        return [int(i) for order, sent in orders for i in np.roll(order, -sent)]


def run_load(task: Task, tell: Tell) -> Answer:
    """Opens, loads, answers. The samples are in the shared memory, also where this process does not live to answer."""
    from seatrial.timing.environment import peak_memory_bytes

    affinity = pin(task.threads * task.clients)
    opened = _open_pipeline(task, tell) if task.pipeline else _open_model(task, tell)
    names = stage_names(task)
    shared = SharedSamples(int(os.environ[FD_VARIABLE]), task.clients, task.capacity, len(names))
    tables = shared.tables()
    with opened.backend as backend:
        fields = _SCENARIOS[task.load.scenario](task, opened, tables, tell)
        peak = peak_memory_bytes()
        python_path = _python_path(task, opened, peak) if opened.called == "native" and opened.feeds else {}
        return Answer(
            stages=names, load_s=opened.load_s, first_inference_s=opened.first_s, peak_memory_bytes=peak, affinity=affinity,
            backend_details=backend.details(), called=opened.called, shape_order=opened.shape_order(),
            shape_first_s=opened.shape_first_s, python_path=python_path, **fields,
        )  # fmt: skip


def _open_model(task: Task, tell: Tell) -> Opened:
    from seatrial.backends import OpenOptions, open_backend
    from seatrial.backends.catalogue import has_native_loop

    mix = task.load.mix
    # A mix needs the dimensions open; every other load fixes them, as a deployed model would.
    shapes: dict[str, tuple[int, ...]] = {} if mix else task.input_shapes
    options = OpenOptions.for_shapes(task.model_info, task.threads, shapes, task.clients)
    native = task.native and has_native_loop(task.backend)
    tell("loading", 0.0)
    began = now_ns()
    backend = open_backend(task.backend, Path(task.model), options, native)
    loaded = now_ns()
    called = "native" if native else "python"
    if mix:
        return _mixed(task, backend, called, (loaded - began) / 1e9)
    feeds = {s.name: made_up(shapes[s.name], s.dtype, task.seed) for s in backend.inputs()}
    backend.run(feeds)
    answered = now_ns()
    works = [backend.work(feeds)]
    for client in range(1, task.clients):
        own = {s.name: made_up(shapes[s.name], s.dtype, task.seed + client) for s in backend.inputs()}
        works.append(backend.another().work(own))
    return Opened(works, backend, (loaded - began) / 1e9, (answered - loaded) / 1e9, called, feeds=feeds)


def _mixed(task: Task, backend: Any, called: str, load_s: float) -> Opened:
    """Each client takes shapes by weight in an order of its own. The first run of each shape is timed alone."""
    mix = task.load.mix
    dtypes = {s.name: s.dtype for s in backend.inputs()}
    kinds: list[list[Work]] = []
    for client in range(task.clients):
        kinds.append([
            backend.another().work({n: made_up(shape, dtypes[n], task.seed + client) for n, shape in shapes.items()})
            for shapes, _ in mix
        ])  # fmt: skip
    firsts = [_once_s(work, shapes) for work, (shapes, _) in zip(kinds[0], mix, strict=True)]
    weights = np.array([weight for _, weight in mix])
    orders = [
        np.random.default_rng(task.seed + client).choice(len(mix), MIX_LENGTH, p=weights / weights.sum())
        for client in range(task.clients)
    ]
    works: list[Work] = [MixWork(k, order) for k, order in zip(kinds, orders, strict=True)]
    return Opened(works, backend, load_s, firsts[0], called, orders, firsts)


def _once_s(work: Work, shapes: dict[str, tuple[int, ...]]) -> float:
    samples = StageSamples(1, 1)
    try:
        closed_loop(work, samples, deadline_ns=1 << 62, most=1)
    except RuntimeError as e:
        shape = ";".join(f"{n}={'x'.join(map(str, s))}" for n, s in shapes.items())
        raise CellError(
            f"--mix {shape}: the model does not run on this shape: {str(e).strip()}; leave it away"
        ) from None
    return float(samples.to_array()[0, -1]) / 1e9


def _open_pipeline(task: Task, tell: Tell) -> Opened:
    first = open_pipeline(task, tell)
    clients: list[OpenedPipeline] = [first, *(first.another(task, c) for c in range(1, task.clients))]
    called = "native" if "C API" in first.backend.details().get("called", "") else "python"
    works: list[Work] = [PythonWork(c.iterate) for c in clients]
    return Opened(works, first.backend, first.load_s, first.first_inference_s, called)


def _single(task: Task, opened: Opened, tables: list[StageSamples], tell: Tell) -> dict[str, Any]:
    rule = StopRule(int(task.max_time_s * 1e9), task.min_samples, task.precision_target, _tails(task))
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


def _tails(task: Task) -> tuple[tuple[int, float, int], ...]:
    return tuple((-1, quantile, needed) for _, quantile, needed in task.tails)


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
                effective_count(latencies, quantile) >= needed for _, quantile, needed in task.tails
            )
            if enough:
                halt.ask()

    ended = _beside(lambda: closed_loops(opened.works, tables, deadline_ns=deadline, halt=halt), poll)
    elapsed_s = (now_ns() - began) / 1e9
    return {
        "warm_up": warmed, "converged": enough, "elapsed_s": elapsed_s, "ended": "converged" if enough else ended
    }  # fmt: skip


def _server(task: Task, opened: Opened, tables: list[StageSamples], tell: Tell) -> dict[str, Any]:
    load = task.load
    if load.bound_s is not None:
        return _search(task, opened, tables, tell)
    warmed = _warm_up(task, opened, tables[0].stages)
    due_ns = _arrivals(task, load.rate or 0.0, task.max_time_s, task.seed)
    began = now_ns()
    ended, first_ns = _serve(opened.works, tables, due_ns, lambda share: tell("serving", share))
    served = sum(map(len, tables))
    # Where the table was full, those behind were not refused, only not recorded.
    unserved = 0 if ended == "full" else len(due_ns) - served
    return {
        "warm_up": warmed, "converged": True, "elapsed_s": (now_ns() - began) / 1e9, "ended": ended,
        "unserved": unserved, "first_ns": first_ns,
    }  # fmt: skip


def _arrivals(task: Task, rate: float, duration_s: float, seed: int) -> I64:
    if task.load.arrivals == "trace":
        return arrivals.trace(task.load.arrivals_s, duration_s)
    if task.load.arrivals == "constant":
        return arrivals.constant(rate, duration_s)
    return arrivals.poisson(rate, duration_s, seed)


def _serve(
    works: list[Work], tables: list[StageSamples], due_ns: I64, tell: Callable[[float], None], halt: Halt | None = None
) -> tuple[str, int]:
    first_ns = now_ns() + 20_000_000
    last_ns = first_ns + int(due_ns[-1])
    deadline = last_ns + int(GRACE_S * 1e9)
    ended = _beside(
        lambda: open_loop(works, tables, due_ns, first_ns=first_ns, deadline_ns=deadline, halt=halt),
        lambda: tell(min(1.0, max(0, now_ns() - first_ns) / (last_ns - first_ns + 1))),
    )
    return ended, first_ns


def _search(task: Task, opened: Opened, tables: list[StageSamples], tell: Tell) -> dict[str, Any]:
    """Rates one after another, each by as many requests as the bound's percentile needs, until the time is up."""
    assert task.load.bound_s is not None
    quantile, bound_s = task.load.bound_quantile, task.load.bound_s
    warmed = _warm_up(task, opened, tables[0].stages)
    began = now_ns()
    deadline = began + int(task.max_time_s * 1e9)
    capacity = _capacity(opened, tables[0].stages, bound_s, quantile, min(1.0, task.max_time_s / 8))
    # Half as many again: arrivals are random, and correlated latencies count for less.
    needed = 1.6 * samples_needed(quantile, CONFIDENCE)
    points: list[Point] = []
    tried: list[tuple[float, Holds]] = []
    converged, ended = False, ""
    for rate, answer in rates_to_try(capacity):
        if not points and needed / rate > task.max_time_s:
            raise UsageError(
                f"--find-rate: one rate needs {needed:.0f} requests to tell p{quantile * 100:g}, which take "
                f"{format_seconds(needed / rate)} at the first, {rate:.3g}/s; --max-time is {format_seconds(task.max_time_s)}: "
                f"give {math.ceil(10 * needed / rate)} s, or a lower percentile"
            )
        latencies_s: list[float] = []
        holds: Holds = "unsure"
        for _ in range(REPEATS):
            left_s = (deadline - now_ns()) / 1e9
            duration_s = max(needed / rate, min(LEAST_PROBE_S, task.max_time_s / 10, MOST_PROBE_REQUESTS / rate))
            if points and duration_s > left_s:
                break
            tell(f"{rate:.3g} requests/s", 1 - max(0.0, left_s) / task.max_time_s)
            due_ns = _arrivals(task, rate, duration_s, task.seed + len(points))
            ended, first_ns = _serve(opened.works, tables, due_ns, lambda _: None)
            if ended == "full":
                break
            rows = merged([t.to_array() for t in tables])
            rows = rows[rows[:, 0] >= first_ns]
            latencies_s += [*(rows[:, -1] / 1e9), *[math.inf] * (len(due_ns) - len(rows))]
            holds = quantile_below(np.array(latencies_s), quantile, bound_s, CONFIDENCE).answer  # type: ignore[assignment]
            points.append(Point(
                offered_per_s=rate, first_row_ns=first_ns, last_row_ns=first_ns + int(due_ns[-1]), arrivals=len(due_ns),
                holds=holds,
            ))  # fmt: skip
            if holds != "unsure":
                break
        if not latencies_s or ended == "full":
            break
        tried.append((rate, holds))
        answer(holds)
    else:
        converged = True
    found = bracket(tried)
    return {
        "warm_up": warmed, "converged": converged and found.held is not None, "elapsed_s": (now_ns() - began) / 1e9,
        "ended": "converged" if converged else "full" if ended == "full" else "deadline", "points": points,
    }  # fmt: skip


def _capacity(opened: Opened, stages: int, bound_s: float, quantile: float, duration_s: float) -> float:
    """Requests a second without idle time. UsageError where even requests that come alone break the bound."""
    works, duration_ns = opened.works, int(duration_s * 1e9)
    # No queue: the stage that holds the wait in the real tables is not there.
    alone = StageSamples(4096, stages - 1)
    closed_loop(works[0], alone, deadline_ns=now_ns() + duration_ns, most=4096)
    opened.sent(0, len(alone))
    latencies = alone.to_array()[:, -1] / 1e9
    if len(latencies) and float(np.median(latencies)) > bound_s:
        raise UsageError(
            f"--latency-bound {format_seconds(bound_s)}@p{quantile * 100:g}: no rate can hold it: with nothing else to do, "
            f"half of the requests take more than {format_seconds(float(np.median(latencies)))}; ask for more time than that"
        )
    tables = [StageSamples(1 << 15, stages - 1) for _ in works]
    began = now_ns()
    closed_loops(works, tables, deadline_ns=began + duration_ns)
    elapsed_s = (now_ns() - began) / 1e9
    for client, table in enumerate(tables):
        opened.sent(client, len(table))
    return sum(map(len, tables)) / elapsed_s


def _warm_up(task: Task, opened: Opened, stages: int) -> int:
    """Each client's own buffers, one client after another; returns how many requests ran."""
    inner = stages - 1 if task.load.scenario == "server" else stages
    budget_ns = int(min(WARM_UP_S, task.max_time_s / 3) * 1e9)
    warmed = [warm_up(work, inner, budget_ns // len(opened.works)) for work in opened.works]
    for client, count in enumerate(warmed):
        opened.sent(client, count)
    return sum(warmed)


def _beside(loop: Callable[[], str], poll: Callable[[], None]) -> str:
    """Runs the loop in a thread, and `poll` a few times a second beside it. Raises what the loop raised."""
    result: list[str] = []
    problem: list[BaseException] = []

    def body() -> None:
        try:
            result.append(loop())
        except BaseException as e:
            problem.append(e)

    thread = threading.Thread(target=body, name="seatrial-load")
    with collector_paused():
        thread.start()
        while thread.is_alive():
            thread.join(POLL_S)
            poll()
    if problem:
        raise problem[0]
    return result[0]


def _mlperf(task: Task, opened: Opened, tables: list[StageSamples], tell: Tell) -> dict[str, Any]:
    from seatrial.trial.mlperf import run_loadgen

    began = now_ns()
    warmed = _warm_up(task, opened, tables[0].stages)
    per_s = warmed / ((now_ns() - began) / 1e9) * len(opened.works)
    began = now_ns()
    official, full = run_loadgen(task, opened.works, tables, per_s, tell)
    return {
        "warm_up": warmed, "converged": True, "elapsed_s": (now_ns() - began) / 1e9, "ended": "full" if full else "count",
        "official": official,
    }  # fmt: skip


_SCENARIOS: dict[str, Callable[[Task, Opened, list[StageSamples], Tell], dict[str, Any]]] = {
    "single-stream": _single, "paced": _single, "multi-stream": _many, "offline": _many, "server": _server,
    "mlperf": _mlperf,
}  # fmt: skip


def _python_path(task: Task, opened: Opened, peak_bytes: int) -> dict[str, Any]:
    """The same model by the runtime's Python binding, in turns with the native loop: same bits, and what it adds."""
    from seatrial.backends import OpenOptions, open_backend

    # It adds microseconds: nothing to a request of seconds. And a second session may want as much memory as the first.
    if (
        not task.load.cross_check
        or not opened.feeds
        or opened.first_s > SLOW_S
        or 1.2 * peak_bytes > _available_bytes()
    ):
        return {}
    began = time.monotonic()
    options = OpenOptions.for_shapes(task.model_info, task.threads, task.input_shapes)
    with open_backend(task.backend, Path(task.model), options) as other:
        same = all(
            np.array_equal(x, y, equal_nan=x.dtype.kind == "f")
            for x, y in zip(opened.backend.run(opened.feeds), other.run(opened.feeds), strict=True)
        )
        works = {"native": opened.works[0], "python": other.work(opened.feeds)}
        samples = {name: StageSamples(4096, 1) for name in works}
        while len(samples["python"]) < 500 and time.monotonic() - began < 2.0:
            for name, work in works.items():
                closed_loop(work, samples[name], deadline_ns=1 << 62, most=5)
    medians = {f"{name}_p50_s": float(np.median(table.to_array()[:, -1])) / 1e9 for name, table in samples.items()}
    return {"same_outputs": bool(same), **medians}


def _available_bytes() -> float:
    import psutil

    return float(psutil.virtual_memory().available)
