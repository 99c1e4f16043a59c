"""A soak in a process of its own: opens, warms up, and sends requests until the time is up, while somebody beside it reads.

For: the worker's side of `seatrial bench --soak`. Not for: what the windows mean (results.py).

The load runs in a thread and is never stopped for a window: the reader takes rows out of the table of samples while it fills.
Only where the table is full does the load pause, for a few milliseconds, until it is empty again. A single client that is
called from Python is read in turns instead, five times a second. Unlike in a short bench Python's cycle collector is on: a soak
is to show what production would.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import psutil

from seatrial._native.timing import Halt, closed_loops, now_ns, open_loop
from seatrial.jobs.child import pin
from seatrial.jobs.job import Job, Tell
from seatrial.jobs.shared import FD_VARIABLE, SharedSamples, merged
from seatrial.jobs.workload import OpenedFacts, Timing
from seatrial.loads.clients import Opened, open_works
from seatrial.loads.server import LEAD_NS, POLL_S, on_cores
from seatrial.loads.soak.meters import Meter
from seatrial.loads.soak.task import (
    HUGE_PAGE,
    LEAST_REQUESTS,
    LEAST_WINDOW_S,
    MALLOC_STEP,
    MOST_KEPT,
    WINDOWS,
    SoakAnswer,
    SoakTask,
)
from seatrial.loads.soak.windows import SoakStart, WindowWriter
from seatrial.loads.sweep import no_request
from seatrial.machine.environment import peak_memory_bytes, usable_cores
from seatrial.machine.facts import transparent_huge_pages
from seatrial.stages import QUEUE

I64 = npt.NDArray[np.int64]
# Arrivals are made for so long at a time: those of a day would not fit.
ARRIVALS_S = 10.0


def run_soak(task: SoakTask, folder: Path, tell: Tell) -> SoakAnswer:
    """Opens, loads, answers. What was measured is in the folder's files, also where this process does not live to answer."""
    usable = usable_cores()
    affinity = pin(task.workload.threads * task.workload.clients)
    opened = open_works(task, tell)
    opened.spare = set(usable) - set(affinity)
    shared = SharedSamples(int(os.environ[FD_VARIABLE]), task.workload.clients, task.capacity, len(task.stages))
    with opened.backend as backend:
        try:
            timing, unserved = _Soak(task, opened, shared, folder, tell).run()
        except RuntimeError as e:  # what a native request failed with
            raise backend.failure(e) from e
        return SoakAnswer(
            timing=timing,
            unserved=unserved,
            opened=OpenedFacts(
                load_s=opened.load_s,
                first_inference_s=opened.first_s,
                details=backend.details(),
                io_policy=backend.io_policy(),
                kernels_change=backend.kernels_change,
                steady=opened.steady,
            ),
            affinity=tuple(affinity),
            peak_memory_bytes=max(0, peak_memory_bytes() - shared.bytes_of_all),
            called=opened.called,
        )


class _Soak:
    """One soak: a load in a thread, and a reader beside it."""

    def __init__(self, task: SoakTask, opened: Opened, shared: SharedSamples, folder: Path, tell: Tell) -> None:
        self._task, self._opened, self._shared, self._folder, self._tell = task, opened, shared, folder, tell
        self._tables = shared.tables()
        self._read = [0] * len(self._tables)
        self._halt = Halt()
        # One client that holds the interpreter takes it again before any other thread wakes up: nobody could read beside it.
        self._in_turns = len(opened.works) == 1 and opened.called == "python"

    def run(self) -> tuple[Timing, int]:
        """How it went, and how many requests were due but not begun."""
        idle_from_ns = now_ns()
        if self._task.idle_s:
            self._tell("idle", 0.0)
            time.sleep(self._task.idle_s)
        idle_to_ns = now_ns()
        warmed = self._warm_up()
        per_s = warmed / ((now_ns() - idle_to_ns) / 1e9) * len(self._opened.works)
        if self._task.load.rate:
            per_s = self._task.load.rate
        elif self._task.load.gap_s:
            per_s = 1 / (1 / per_s + self._task.load.gap_s)
        if not warmed:
            raise no_request(self._task.soak_s)
        window_s = max(self._task.soak_s / WINDOWS, LEAST_WINDOW_S, LEAST_REQUESTS / per_s)
        start = SoakStart(
            began_ns=now_ns() + LEAD_NS,
            window_ns=int(window_s * 1e9),
            share=min(1.0, MOST_KEPT / (per_s * self._task.soak_s)),
            warm_up=warmed,
            idle_from_ns=idle_from_ns if self._task.idle_s else 0,
            idle_to_ns=idle_to_ns if self._task.idle_s else 0,
            memory_step=HUGE_PAGE if transparent_huge_pages() == "always" else MALLOC_STEP,
        )
        meter = Meter(psutil.Process(), self._shared.bytes_of_all)
        writer = WindowWriter(self._folder, start, meter.read, self._task.workload.seed)
        try:
            unserved = self._serve(start, writer)
        finally:
            writer.close()
        elapsed_s = (now_ns() - start.began_ns) / 1e9
        return Timing(warm_up=warmed, elapsed_s=elapsed_s, ended="deadline"), unserved

    def _warm_up(self) -> int:
        return self._opened.warm_up([s for s in self._task.stages if s != QUEUE], self._task.soak_s)

    def _serve(self, start: SoakStart, writer: WindowWriter) -> int:
        deadline_ns = start.began_ns + int(self._task.soak_s * 1e9)

        def word() -> None:
            self._take(writer)
            share = (now_ns() - start.began_ns) / (deadline_ns - start.began_ns)
            self._tell("soaking", min(1.0, max(0.0, share)))

        def pause_s() -> float:
            return min(POLL_S, max(0.001, (writer.window_to_ns - now_ns()) / 1e9))

        if self._task.load.scenario == "server":
            return self._serve_arrivals(start.began_ns, deadline_ns, writer, word, pause_s)
        gap_ns = int(self._task.load.gap_s * 1e9)

        def closed() -> str:
            until_ns = min(deadline_ns, now_ns() + int(pause_s() * 1e9)) if self._in_turns else deadline_ns
            return closed_loops(self._opened.works, self._tables, deadline_ns=until_ns, gap_ns=gap_ns, halt=self._halt)

        while now_ns() < deadline_ns:
            if self._run(closed, word, pause_s) == "full":
                self._empty_tables()
        return 0

    def _serve_arrivals(
        self,
        began_ns: int,
        deadline_ns: int,
        writer: WindowWriter,
        word: Callable[[], None],
        pause_s: Callable[[], float],
    ) -> int:
        unserved = 0
        for due_ns in self._arrivals(began_ns, deadline_ns):
            before = writer.taken
            loop = partial(
                open_loop,
                self._opened.works,
                self._tables,
                due_ns,
                first_ns=0,
                deadline_ns=deadline_ns,
                halt=self._halt,
            )
            self._run(loop, word, pause_s)
            unserved += len(due_ns) - (writer.taken - before)
            self._empty_tables()
        return unserved

    def _arrivals(self, began_ns: int, deadline_ns: int) -> Iterator[I64]:
        """Times by the clock at which requests are due, a few seconds' at a time: no more than a table holds, since one client
        may serve all of them. A server that is behind takes what is due from the last ones first."""
        rate, constant = self._task.load.rate or 1.0, self._task.load.arrivals == "constant"
        rng = np.random.default_rng(self._task.workload.seed)
        each_s = POLL_S if self._in_turns else ARRIVALS_S
        last_ns, count = float(began_ns), max(1, min(int(rate * each_s), self._task.capacity))
        while last_ns < deadline_ns:
            gaps = np.full(count, 1e9 / rate) if constant else rng.exponential(1e9 / rate, count)
            due = last_ns + np.cumsum(gaps)
            last_ns = float(due[-1])
            due = due[due < deadline_ns]
            if len(due):
                yield due.astype(np.int64)

    def _run(self, loop: Callable[[], str], word: Callable[[], None], pause_s: Callable[[], float]) -> str:
        """In a thread, with `word` beside it, on cores that are not measured if there are any; or one after the other."""
        if self._in_turns:
            ended = loop()
            word()
            return ended
        result: list[str] = []
        problem: list[BaseException] = []

        def body() -> None:
            try:
                result.append(loop())
            except BaseException as e:
                problem.append(e)

        thread = threading.Thread(target=body, name="seatrial-soak")
        thread.start()
        with on_cores(self._opened.spare):
            try:
                while thread.is_alive():
                    thread.join(pause_s())
                    word()
            finally:
                # Also where nobody listens any more, or the disk is full.
                if thread.is_alive():
                    self._halt.ask()
                    thread.join()
        word()
        if problem:
            raise problem[0]
        return result[0]

    def _take(self, writer: WindowWriter) -> None:
        until_ns = now_ns()
        parts = [t.to_array(seen) for t, seen in zip(self._tables, self._read, strict=True)]
        self._read = [seen + len(part) for seen, part in zip(self._read, parts, strict=True)]
        writer.add(merged(parts))
        writer.close_until(until_ns)

    def _empty_tables(self) -> None:
        """Made anew over the same memory, whose pages are all there."""
        self._tables = []
        self._tables = self._shared.tables()
        self._read = [0] * len(self._tables)


JOB = Job("seatrial.loads.soak.job", SoakTask, SoakAnswer, run_soak)
