"""The loads to put on a subject, and whether the machine, the time and the memory are enough for them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from seatrial.errors import UsageError, count_of, option
from seatrial.jobs.workload import ModelWorkload, Workload
from seatrial.loads.soak.task import SoakPlan
from seatrial.loads.task import Load
from seatrial.machine.environment import usable_cores
from seatrial.model.shapes import fixed_shapes
from seatrial.runtimes.choice import BackendChoice
from seatrial.runtimes.options import flushes, requests_overlap
from seatrial.stats.sample import CONFIDENCE, quantile_of
from seatrial.stats.share import requests_needed
from seatrial.timing import arrivals
from seatrial.units import format_seconds

I64 = npt.NDArray[np.int64]
Tell = Callable[[str, float], None]

CAPACITY = 1 << 17
# A search goes through many rates.
SEARCH_CAPACITY = 1 << 20
# Of one load: each client's table holds all of them, since nobody knows who will serve how many.
MOST_ARRIVALS = 2_000_000


@dataclass(frozen=True)
class LoadPoint:
    """One load of a sweep. threads: of each client; None: as many as the subject has. clients: None: what fills the cores."""

    load: Load
    clients: int | None = 1
    threads: int | None = None


@dataclass(frozen=True)
class Sweep:
    """The loads to put on a subject, one cell each, and when each has enough. percentiles: asked for by name, 'p99.9'. soak:
    how long each goes on whatever it shows, instead of max_time_s. lock_clocks: of a GPU, as held_clocks has it."""

    loads: Sequence[LoadPoint]
    max_time_s: float
    percentiles: tuple[str, ...] = ()
    seed: int = 0
    soak: SoakPlan | None = None
    lock_clocks: str = ""

    def check(self, subject_threads: int, backend: BackendChoice) -> None:
        """UsageError where it asks for more than the machine, the time or the memory has."""
        cores = len(usable_cores())
        for point in self.loads:
            load, threads = point.load, point.threads or subject_threads
            clients = clients_of(point, threads)
            if threads > cores:
                raise UsageError(
                    f"expected at most {cores}, the cores that this process may use, got {threads}", option="threads"
                )
            if clients > 4 * cores:
                raise UsageError(
                    f"{count_of(clients, 'client')} of {count_of(threads, 'thread')} on {count_of(cores, 'core')} would "
                    f"measure the scheduler; give at most {4 * cores}",
                    option="clients",
                )
            if requests_overlap(backend) and (load.scenario != "single-stream" or clients > 1):
                raise UsageError(
                    f"in_flight={backend.options['in_flight']} of {backend.label} is one client's requests behind each other, "
                    f"got {load.scenario} with {count_of(clients, 'client')}; leave in_flight out, or the scenario",
                    option="backend",
                )
            if flushes(backend) and load.scenario in ("server", "mlperf"):
                raise UsageError(
                    f"l2_flush of {backend.label} empties the device's cache before each request, which then starts when that "
                    f"is done and not when it is due, got {load.scenario}; leave l2_flush out, or the scenario",
                    option="backend",
                )
            if self.soak:
                self.soak.check(load)
            else:
                self._check_arrivals(load, clients)
        for name in self.percentiles:
            needed = requests_needed(quantile_of(name), CONFIDENCE)
            if needed > CAPACITY:
                raise UsageError(
                    f"expected one that {CAPACITY:,} requests can bound, the most that are kept; this one needs {needed:,}; "
                    "ask for p99.9 or lower",
                    option="percentile",
                    value=name,
                )

    def _check_arrivals(self, load: Load, clients: int) -> None:
        """UsageError for a rate or a trace with next to no arrivals in the time, or more than memory is made for."""
        name = f"{option('rate')} {load.rate:g}" if load.rate else option("arrivals")
        requests, time = _arrivals_in(load, self.max_time_s), format_seconds(self.max_time_s)
        if requests * clients > MOST_ARRIVALS:
            room = f", and each of {clients} clients needs room for all of them" if clients > 1 else ""
            raise UsageError(
                f"{name} is {requests:.2g} requests in {option('max_time')} {time}{room}; expected at most "
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
                f"{name} is {requests:.2g} requests in {option('max_time')} {time}; expected at least {least}; raise "
                f"{option('max_time')} to {math.ceil(gap_s)} s or more"
            )


def no_request(max_time_s: float) -> UsageError:
    return UsageError("no request was done in it; raise it", option="max_time", value=format_seconds(max_time_s))


def clients_of(point: LoadPoint, threads: int) -> int:
    return point.clients or max(1, len(usable_cores()) // threads)


def with_whole_shapes(load: Load, workload: Workload) -> Load:
    """A mix's shapes with those of the inputs that it does not name. UsageError or ModelError where it does not fit."""
    given = workload.input_shapes if isinstance(workload, ModelWorkload) else {}
    mix = []
    for shapes, weight in load.mix:
        mix.append((fixed_shapes(workload.model_info, workload.batch, {**given, **shapes}, "mix"), weight))
    return replace(load, mix=tuple(mix))


def capacity_of(load: Load, clients: int, max_time_s: float) -> int:
    """Rows of each client's table."""
    if load.searches:
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
