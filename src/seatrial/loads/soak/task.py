"""What a soak's process is told, and what a user asks of one. For: both ends of the process boundary, and the command line."""

from __future__ import annotations

from dataclasses import dataclass as plain_dataclass
from typing import Literal

from pydantic.dataclasses import dataclass

from seatrial.errors import UsageError, option
from seatrial.jobs.workload import STRICT
from seatrial.loads.task import Load, LoadAnswer, LoadTask

# So many windows tell a line from a wander, and fill a plot; a soak of a day has no more.
WINDOWS = 120
LEAST_WINDOW_S = 0.25
# A window's median of fewer requests is mostly luck, and its p99 the slowest of them.
LEAST_REQUESTS, LEAST_FOR_P99 = 20, 100
# What glibc's malloc takes from the system at least (M_TOP_PAD and a page or so): a slower leak need not show at once. Where
# every mapping gets huge pages, one of those.
MALLOC_STEP, HUGE_PAGE = 132 * 1024, 2 << 20
# Samples that are kept of a whole soak, drawn by chance where there are more.
MOST_KEPT = 1 << 17
# Of the windows, at the beginning: allocators, caches and heat settle.
WARM_UP_SHARE = 0.1
# How long a GPU is watched while it has nothing to do, for what it takes then.
IDLE_S = 10.0


@plain_dataclass(frozen=True)
class GrowthLimits:
    """The most that is allowed, an hour; None: not asked. latency: of itself, at this percentile."""

    memory_bytes: float | None = None
    latency: float | None = None
    latency_percentile: Literal["p50", "p99"] = "p50"


@plain_dataclass(frozen=True)
class SoakPlan:
    """How long, and what must not grow."""

    time_s: float
    limits: GrowthLimits = GrowthLimits()

    def check(self, load: Load) -> None:
        """UsageError for a load that has no steady stream of requests to watch."""
        why = ""
        if load.searches:
            why = "a search goes through many rates"
        elif load.mlperf:
            why = "LoadGen says itself how long it runs"
        elif load.arrivals == "trace":
            why = "a recorded trace has a length of its own"
        if why:
            raise UsageError(f"{why}; leave {option('soak')} away, or choose another load")


@dataclass(frozen=True, config=STRICT, kw_only=True)
class SoakTask(LoadTask):
    """idle_s: how long to wait, with the model loaded, before the load; 0 where no counter would tell anything of it."""

    soak_s: float
    idle_s: float = 0.0


@dataclass(frozen=True, config=STRICT, kw_only=True)
class SoakAnswer(LoadAnswer):
    """unserved: requests that were due in the time and not begun."""
