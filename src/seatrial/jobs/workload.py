"""What a process opens and runs: a model alone, or a pipeline of a plan. Validated where it is made.

For: every job that opens a model. Not for: how it is measured (each job's own task).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from seatrial.model.file import ModelInfo
from seatrial.plan import pipelines
from seatrial.runtimes.choice import BackendChoice
from seatrial.stages import END_TO_END
from seatrial.stats.stopping import Centre, StoppingRule
from seatrial.timing.measure import Measurement

STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Workload:
    """A model file on a backend. model: the file to run, which may be a variant in another precision; model_info: of the
    pipeline's own model, read by the parent, since parsing it in the process would count as its memory. native: whether the
    backend is to be called without the interpreter, where it can be. build_number: as OpenOptions has it."""

    model: str
    model_info: ModelInfo
    backend: BackendChoice
    precision: str = "fp32"
    batch: int = 1
    threads: int = 1
    clients: int = 1
    native: bool = False
    seed: int = 0
    build_number: int = 0


@dataclass(frozen=True, config=STRICT, kw_only=True)
class ModelWorkload(Workload):
    """A model alone, on made-up inputs of these shapes."""

    kind: Literal["model"] = "model"
    input_shapes: dict[str, tuple[int, ...]]


@dataclass(frozen=True, config=STRICT, kw_only=True)
class PipelineWorkload(Workload):
    """A pipeline on images, each given as its path and its name. folder: the plan's, which its paths are relative to."""

    kind: Literal["pipeline"] = "pipeline"
    name: str
    spec: pipelines.Pipeline
    folder: str
    images: tuple[tuple[str, str], ...]
    allow_code: bool = False


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Stopping:
    """When there is enough: at max_time_s; before it where min_samples are there, the centre is known to `precision`, and each
    of `tails` (a stage and a quantile) is bounded from above. longest_run: slow requests are taken to come in runs of at
    most so many. whole_time: never before max_time_s."""

    max_time_s: float
    min_samples: int = 50
    precision: float = 0.01
    tails: tuple[tuple[str, float], ...] = ()
    longest_run: int
    whole_time: bool = False

    @property
    def max_time_ns(self) -> int:
        return int(self.max_time_s * 1e9)

    def rule(self, stages: Sequence[str], centre: Centre = "median") -> StoppingRule:
        """A plan names stages; a rule knows columns of a table: start, stages, end to end."""
        columns = ["start", *stages, END_TO_END]
        return StoppingRule(
            centre,
            self.precision,
            self.min_samples,
            tails=[(columns.index(stage), quantile) for stage, quantile in self.tails],
            longest_run=self.longest_run,
            whole_time=self.whole_time,
        )


@dataclass(frozen=True, config=STRICT, kw_only=True)
class OpenedFacts:
    """What opening a model cost, and what really runs. kernels_change: as Backend has it; steady: whether its latency had kept
    its level when the warm-up ended, where they do."""

    load_s: float
    first_inference_s: float
    details: dict[str, str]
    io_policy: str
    kernels_change: bool = False
    steady: bool = True


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Timing:
    """How a measurement went. warm_up: requests before it; ended: 'converged', 'deadline', 'full', 'count' or 'died'. known_to:
    half the median's interval over it; None where it has none."""

    warm_up: int = 0
    converged: bool = False
    elapsed_s: float = 0.0
    ended: str
    known_to: float | None = None


def timing_of(m: Measurement) -> Timing:
    return Timing(
        warm_up=m.warm_up,
        converged=m.converged,
        elapsed_s=m.elapsed_ns / 1e9,
        ended=m.ended,
        known_to=m.known_to,
    )
