"""What a cell's process is told, and what it answers: two JSON files. For: both ends of the process boundary."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from seatrial.model.file import ModelInfo
from seatrial.stats.share import LONGEST_RUN

CALIBRATION_IMAGES = 64


Scenario = Literal["single-stream", "multi-stream", "offline", "server", "paced"]


class Load(BaseModel):
    """How requests come. rate: of the server scenario; arrivals_s replaces it by recorded times since the first request.

    bound_s and bound_quantile: search for the highest rate that holds them. mix: input shapes with their weights.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    scenario: Scenario | Literal["mlperf"] = "single-stream"
    mlperf: str = ""
    rate: float | None = None
    arrivals: Literal["poisson", "constant", "trace"] = "poisson"
    arrivals_s: list[float] = []
    gap_s: float = 0.0
    bound_s: float | None = None
    bound_quantile: float = 0.99
    mix: list[tuple[dict[str, tuple[int, ...]], float]] = []
    cross_check: bool = True


class Task(BaseModel):
    """`prepare` makes a precision variant; `measure` runs a cell; `bench` runs a model or a pipeline under a load."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["prepare", "measure", "bench"]
    pipeline_name: str = ""
    pipeline: dict[str, Any] = {}
    folder: str = ""
    model: str
    model_info: ModelInfo
    """The pipeline's own model, read by the parent: parsing it here would count as the cell's memory."""
    backend: str = ""
    precision: str = "fp32"
    batch: int = 1
    threads: int = 1
    clients: int = 1
    native: bool = False
    """Whether the backend is to be called without the interpreter, where it can be."""
    images: list[tuple[str, str]] = []
    allow_code: bool = False
    max_time_s: float = 5.0
    min_samples: int = 50
    precision_target: float = 0.01
    tails: list[tuple[str, float]] = []
    """Stages and quantiles that must have a bound from above before the measurement may end early."""
    whole_time: bool = False
    """Whether it never ends early."""
    longest_run: int = LONGEST_RUN
    """Slow requests are taken to come in runs of at most so many."""
    seed: int = 0
    raw_images: int = 0
    timing_only: bool = False
    """Of a cell that is measured once more: no results are collected."""
    floor: list[tuple[int, int]] = []
    """Of a reference cell: batch sizes and threads at which it is run again, against itself."""
    calibration_digest: str = ""
    input_shapes: dict[str, tuple[int, ...]] = {}
    load: Load = Load()
    capacity: int = 1 << 17
    """Rows of each client's table of samples, where they are shared with the parent."""
    answer: str
    """Folder for answer.json, samples.npy and results.npz."""


class StageEngines(BaseModel):
    """One stage's times with both kinds of kernels, in interleaved rounds, and whether they gave the same.

    difference: the largest absolute one between tensors, or None for decoded results; same: bit for bit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    native_ns: list[int]
    reference_ns: list[int]
    same: bool
    difference: float | None = None


class Point(BaseModel):
    """One rate of a search: which rows of the samples are its own, and what the bound's test said."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    offered_per_s: float
    first_row_ns: int
    last_row_ns: int
    arrivals: int
    holds: Literal["yes", "no", "unsure"]


class Answer(BaseModel):
    """What a process leaves behind; `error` where it ended on purpose without a result."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    error: str = ""
    exit_code: int = 0
    variant: str = ""
    stages: list[str] = []
    warm_up: int = 0
    converged: bool = False
    elapsed_s: float = 0.0
    load_s: float = 0.0
    first_inference_s: float = 0.0
    peak_memory_bytes: int = 0
    affinity: list[int] = []
    nan_outputs: list[str] = []
    doubts: list[str] = []
    """What the outputs' numbers make doubtful about the postprocess."""
    backend_details: dict[str, str] = {}
    io_policy: str = ""
    image_source: str = "memory"
    engines: dict[str, StageEngines] = {}
    engines_problem: str = ""
    ended: str = ""
    unserved: int = 0
    called: str = ""
    shape_order: list[int] = []
    shape_first_s: list[float] = []
    points: list[Point] = []
    held: float | None = None
    broke: float | None = None
    confirmed: bool = False
    """Of a search: the highest rate that held, the lowest that was shown not to, and whether the former held again."""
    python_path: dict[str, Any] = {}
    python_path_problem: str = ""
    official: dict[str, Any] = {}
