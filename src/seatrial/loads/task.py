"""What a load's process is told, and what it answers. For: both ends of the process boundary."""

from __future__ import annotations

from dataclasses import field
from typing import Any, Literal

from pydantic.dataclasses import dataclass

from seatrial.history.records import PythonPath
from seatrial.jobs.workload import STRICT, ModelWorkload, OpenedFacts, PipelineWorkload, Stopping, Timing
from seatrial.runtimes.options import model_stages
from seatrial.stages import PIPELINE_STAGES, QUEUE

Scenario = Literal["single-stream", "multi-stream", "offline", "server", "paced", "mlperf"]


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Load:
    """How requests come. rate: of the server scenario; arrivals_s replaces it by recorded times since the first request.

    bound_s and bound_quantile: search for the highest rate that holds them. mix: input shapes with their weights.
    """

    scenario: Scenario = "single-stream"
    mlperf: str = ""
    rate: float | None = None
    arrivals: Literal["poisson", "constant", "trace"] = "poisson"
    arrivals_s: tuple[float, ...] = ()
    gap_s: float = 0.0
    bound_s: float | None = None
    bound_quantile: float = 0.99
    mix: tuple[tuple[dict[str, tuple[int, ...]], float], ...] = ()
    cross_check: bool = True

    @property
    def searches(self) -> bool:
        return self.scenario == "server" and self.bound_s is not None


@dataclass(frozen=True, config=STRICT, kw_only=True)
class LoadTask:
    """capacity: rows of each client's table of samples."""

    workload: ModelWorkload | PipelineWorkload = field(metadata={"discriminator": "kind"})
    load: Load
    stopping: Stopping
    capacity: int

    @property
    def stages(self) -> list[str]:
        """The stages of its samples, in order: a server's begin with the wait for it."""
        w = self.workload
        names = PIPELINE_STAGES if isinstance(w, PipelineWorkload) else model_stages(w.backend)
        return [QUEUE, *names] if self.load.scenario == "server" else list(names)


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Point:
    """One rate of a search: which rows of the samples are its own, and what the bound's test said.

    slow: its requests above the bound, once the search is over; expected_slow: fewest and most by the queue's model, None far
    from the highest rate; misfit: what that model does not explain of them.
    """

    offered_per_s: float
    first_row_ns: int
    last_row_ns: int
    arrivals: int
    holds: Literal["yes", "no", "unsure"]
    slow: int | None = None
    expected_slow: tuple[int, int] | None = None
    misfit: str = ""


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Estimate:
    """The highest rate by the queue's model, with its 95 % interval, from so many service times."""

    per_s: float
    low: float
    high: float
    service_times: int


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Search:
    """held: the highest rate that was proved to hold; broke: the lowest shown not to, or more than all clients can do.

    enough_s: where nothing was proved, the --max-time that probably would do; None: not known.
    """

    points: tuple[Point, ...]
    held: float | None
    broke: float | None
    estimate: Estimate | None = None
    enough_s: float | None = None


@dataclass(frozen=True, config=STRICT, kw_only=True)
class LoadAnswer:
    """opened is None where nobody lived to tell. called: 'native' or 'python'. shape_order: each client's order of a mix's
    shapes, one behind the other; shape_first_s: the first run of each shape. python_path: the same model by the runtime's
    Python binding; python_path_problem: why not. official: what MLPerf LoadGen printed."""

    timing: Timing
    opened: OpenedFacts | None = None
    affinity: tuple[int, ...] = ()
    peak_memory_bytes: int = 0
    called: str = ""
    unserved: int = 0
    shape_order: tuple[int, ...] = ()
    shape_first_s: tuple[float, ...] = ()
    search: Search | None = None
    python_path: PythonPath | None = None
    python_path_problem: str = ""
    official: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Served:
    """What a scenario found: fields of the LoadAnswer that it alone knows."""

    timing: Timing
    unserved: int = 0
    search: Search | None = None
    official: dict[str, Any] = field(default_factory=dict)
