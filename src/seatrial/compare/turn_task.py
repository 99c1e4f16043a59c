"""What one side's process is told, and what it says of itself. Standard library alone: another interpreter reads it too.

For: both ends of a side (turner.py, turns.py). Not for: the commands between them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from seatrial.errors import Failure
from seatrial.runtimes.settings import Value


@dataclass(frozen=True)
class ModelTurns:
    """A model alone, on made-up inputs of these shapes; named_sizes: the same by the names of dimensions; options: the
    backend's own; build_number: as OpenOptions has it."""

    model: str
    backend: str
    batch: int
    threads: int
    native: bool
    seed: int
    input_shapes: Mapping[str, tuple[int, ...]]
    named_sizes: Mapping[str, int]
    options: Mapping[str, Value] = field(default_factory=dict)
    build_number: int = 0


@dataclass(frozen=True)
class TurnTask:
    """One of model and pipeline, the latter a PipelineWorkload as JSON. answer: the file for SideFacts; capacity: rows."""

    answer: str
    capacity: int
    threads: int
    model: ModelTurns | None = None
    pipeline: Mapping[str, Any] | None = None

    def with_build(self, number: int) -> TurnTask:
        if self.model is not None:
            return replace(self, model=replace(self.model, build_number=number))
        return replace(self, pipeline={**(self.pipeline or {}), "build_number": number})

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)), "utf-8")

    @classmethod
    def read(cls, path: Path) -> TurnTask:
        data = json.loads(path.read_text("utf-8"))
        if data["model"] is not None:
            shapes = {name: tuple(shape) for name, shape in data["model"]["input_shapes"].items()}
            data["model"] = ModelTurns(**data["model"] | {"input_shapes": shapes})
        return cls(**data)


@dataclass(frozen=True)
class SideFacts:
    """stages: of its samples; details: what really runs; affinity: its cores; kernels_change: as Backend has it. Where it broke
    on purpose, only why."""

    stages: tuple[str, ...] = ()
    details: Mapping[str, str] | None = None
    affinity: tuple[int, ...] = ()
    load_s: float = 0.0
    kernels_change: bool = False
    failure: Failure | None = None

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)), "utf-8")

    @classmethod
    def read(cls, path: Path) -> SideFacts:
        """Empty where the process has not said anything."""
        try:
            data = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError):
            return cls()
        failure = Failure(**data["failure"]) if data["failure"] else None
        lists = {"stages": tuple(data["stages"]), "affinity": tuple(data["affinity"])}
        return cls(**data | lists | {"failure": failure})
