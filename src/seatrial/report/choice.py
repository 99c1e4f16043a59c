"""Which configuration to deploy: of those that pass every check, the one with the least latency an image, and what it costs.

For: one sentence at a trial's end, and which cells no other one beats. Not for: the checks (gate).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from seatrial.history.records import CellRecord, Record
from seatrial.stages import END_TO_END
from seatrial.units import format_seconds

# Metrics of which less is better.
ERRORS = ("AbsRel", "RMSE")


@dataclass(frozen=True)
class Choice:
    """cell: the fastest that passes. lost: what its metric is worse by than the same pipeline's best fp32; None where either
    has no figure, or it is fp32 itself."""

    cell: CellRecord
    lost: float | None


def fastest_that_passes(record: Record) -> Choice | None:
    """None where none passes all that it was asked. Of several pipelines the reference is no candidate."""
    failing = {d.cell for d in record.decisions if d.verdict != "PASS"}
    passing = [c for c in _candidates(record) if c.status == "ok" and c.id not in failing]
    if not passing:
        return None
    best = min(passing, key=seconds_an_image)
    plain = [
        c for c in record.cells if c.pipeline == best.pipeline and c.precision == "fp32" and metric_of(c) is not None
    ]
    own = metric_of(best)
    if own is None or not plain or best.precision == "fp32":
        return Choice(best, None)
    sign = -1.0 if best.accuracy is not None and best.accuracy.metric in ERRORS else 1.0
    return Choice(best, max(sign * (metric_of(c) or 0.0) for c in plain) - sign * own)


def choice_said(record: Record) -> str:
    """'' where no budget was judged on any cell."""
    candidates = {c.id for c in _candidates(record)}
    if not any(
        d.cell in candidates and d.limit is not None and not d.check.startswith("parity") for d in record.decisions
    ):
        return ""
    found = fastest_that_passes(record)
    if found is None:
        return "no configuration passes every check that it has: none is to be deployed by this trial"
    cell = found.cell
    each = format_seconds(seconds_an_image(cell))
    said = f"fastest that passes every check: {cell.pipeline} · {cell.configuration}, {each} an image"
    value = metric_of(cell)
    if value is None or cell.accuracy is None:
        return said
    said += f"; {cell.accuracy.metric} {value:.3f}"
    if found.lost is not None:
        points = abs(found.lost) * 100
        how = (
            "as its fp32"
            if points < 0.05
            else f"{points:.1f} points {'worse' if found.lost > 0 else 'better'} than its fp32"
        )
        said += f", {how}"
    return said


def _candidates(record: Record) -> list[CellRecord]:
    compared = {c.pipeline for c in record.cells if c.across is not None}
    return [c for c in record.cells if not compared or c.pipeline in compared]


def seconds_an_image(cell: CellRecord) -> float:
    return cell.stages[END_TO_END].p50.value / cell.batch


def metric_of(cell: CellRecord) -> float | None:
    return cell.accuracy.value.value if cell.accuracy is not None and cell.accuracy.value is not None else None


def unbeaten(cells: Sequence[CellRecord]) -> list[CellRecord]:
    """Those than which no other one is as fast and as right, and better in either: the Pareto front, the fastest first."""
    front: list[CellRecord] = []
    for cell in sorted(cells, key=lambda c: (seconds_an_image(c), -_goodness(c))):
        if not front or _goodness(cell) > _goodness(front[-1]):
            front.append(cell)
    return front


def _goodness(cell: CellRecord) -> float:
    value = metric_of(cell)
    assert value is not None
    return -value if cell.accuracy is not None and cell.accuracy.metric in ERRORS else value
