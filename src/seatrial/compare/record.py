"""The record of a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

from seatrial.gate.verdict import RULES, comparison_decision, overall
from seatrial.history.keep import Keep
from seatrial.history.records import Comparison, Environment, ImagesSection, ModelSection, PlanSection, Record


def record_comparisons(
    keep: Keep, comparisons: Sequence[Comparison], machine: Environment, models: dict[str, ModelSection], wall_s: float,
    status: Literal["complete", "interrupted"] = "complete", warnings: tuple[str, ...] = (),
) -> Record:  # fmt: skip
    decisions = tuple(map(comparison_decision, comparisons))
    record = Record(
        id=keep.run.path.name, created=keep.run.start().created, kind="compare", status=status, verdict=overall(decisions),
        wall_s=round(wall_s, 2),
        plan=PlanSection(), images=ImagesSection(count=0), models=models,
        environment=machine, cells=(), rules=RULES, decisions=decisions, comparisons=tuple(comparisons), warnings=warnings,
    )  # fmt: skip
    return keep.record(record)


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
