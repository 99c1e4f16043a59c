"""What a plan says of budgets: which metrics there are, in which units, and a limit on one of them.

For: reading and checking a limit. Not for: judging by it (gate).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from seatrial import units
from seatrial.plan.fields import Counts, Names, Precisions, Strict

Stage = Literal["decode", "preprocess", "infer", "postprocess", "end_to_end"]
Percentile = Literal["p50", "p90", "p95", "p99", "p99.9"]
Metric = Literal[
    "latency",
    "throughput",
    "peak_memory",
    "cold_start",
    "model_size",
    "accuracy",
    "map_drop",
    "top1_drop",
    "miou_drop",
    "f1_drop",
    "abs_rel",
    "rmse",
    "hmean_drop",
    "word_accuracy_drop",
    "agreement",
    "computed_in",
]


class Where(Strict):
    """Which cells a budget judges; a key left out admits all."""

    pipeline: Names | None = None
    backend: Names | None = None
    precision: Precisions | None = None
    batch: Counts | None = None
    threads: Counts | None = None


# metric: (reader, unit in records, the side that limits it)
METRICS: dict[str, tuple[Callable[[Any], float], str, Literal["max", "min"]]] = {
    "latency": (units.duration_s, "s", "max"),
    "throughput": (units.rate_per_s, "images/s", "min"),
    "peak_memory": (units.size_bytes, "B", "max"),
    "cold_start": (units.duration_s, "s", "max"),
    "model_size": (units.size_bytes, "B", "max"),
    "accuracy": (units.fraction, "fraction", "min"),
    "map_drop": (units.points, "points", "max"),
    "top1_drop": (units.points, "points", "max"),
    "miou_drop": (units.points, "points", "max"),
    "f1_drop": (units.points, "points", "max"),
    "abs_rel": (units.fraction, "fraction", "max"),
    "rmse": (units.plain, "", "max"),
    "hmean_drop": (units.points, "points", "max"),
    "word_accuracy_drop": (units.points, "points", "max"),
    "agreement": (units.fraction, "fraction", "min"),
    "computed_in": (units.fraction, "fraction", "min"),
}


class Budget(Strict):
    """A limit on one metric. latency and the rest take `max`; throughput, accuracy, agreement and computed_in take `min`."""

    metric: Metric
    at: Percentile | None = Field(None, description="latency: which percentile")
    stage: Stage | None = Field(None, description="latency: which stage; end_to_end by default")
    where: Where = Where()
    max: str | float | None = None
    min: str | float | None = None

    @model_validator(mode="after")
    def _one_limit(self) -> Budget:
        read, _, side = METRICS[self.metric]
        other = "min" if side == "max" else "max"
        if getattr(self, other) is not None:
            words = {"key": other, "metric": self.metric, "side": side, "other": other}
            raise PydanticCustomError("wrong_side", "metric '{metric}' takes '{side}', not '{other}'", words)
        given = getattr(self, side)
        if given is None:
            raise PydanticCustomError(
                "no_limit", "metric '{metric}' needs '{side}'", {"metric": self.metric, "side": side}
            )
        try:
            limit = read(given)
        except ValueError as e:
            raise PydanticCustomError("bad_limit", "{why}", {"key": side, "why": str(e)}) from None
        if limit < 0:
            raise PydanticCustomError(
                "bad_limit", "expected a limit of zero or more, got {given}", {"key": side, "given": str(given)}
            )
        if METRICS[self.metric][1] in ("fraction", "points") and limit > 1:
            raise PydanticCustomError(
                "bad_limit", "expected at most 100%, got {given}; write 75% or 0.75", {"key": side, "given": str(given)}
            )
        if self.metric != "latency":
            for key in ("at", "stage"):
                if getattr(self, key) is not None:
                    raise PydanticCustomError("only_latency", "only metric 'latency' takes '{key}'", {"key": key})
        return self

    @property
    def side(self) -> Literal["max", "min"]:
        return METRICS[self.metric][2]

    @property
    def unit(self) -> str:
        return METRICS[self.metric][1]

    @property
    def limit(self) -> float:
        """In base units."""
        return METRICS[self.metric][0](getattr(self, self.side))

    @property
    def percentile(self) -> str:
        return self.at or "p50"
