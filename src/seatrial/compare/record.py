"""The record of a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

from seatrial.gate.verdict import RULES, comparison_decision, overall
from seatrial.history.records import (
    CONVERSIONS,
    Comparison,
    Environment,
    ImagesSection,
    ModelSection,
    PlanSection,
    Record,
)
from seatrial.history.run_folder import RunFolder
from seatrial.warning import Warning


def record_comparisons(
    run: RunFolder,
    comparisons: Sequence[Comparison],
    machine: Environment,
    models: dict[str, ModelSection],
    wall_s: float,
    status: Literal["complete", "interrupted"] = "complete",
    warnings: tuple[Warning, ...] = (),
) -> Record:
    decisions = tuple(map(comparison_decision, comparisons))
    record = Record(
        conversions=CONVERSIONS,
        id=run.path.name,
        created=run.start().created,
        kind="compare",
        status=status,
        verdict=overall(decisions),
        wall_s=round(wall_s, 2),
        plan=PlanSection(),
        images=ImagesSection(count=0),
        models=models,
        environment=machine,
        cells=(),
        rules=RULES,
        decisions=decisions,
        comparisons=tuple(comparisons),
        warnings=warnings,
    )
    return run.save_record(record)


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
