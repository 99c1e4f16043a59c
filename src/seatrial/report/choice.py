"""Which configuration to deploy: of those that every budget judged and that pass every check, the one with the least latency an
image, and what it costs.

For: one sentence at a trial's end, and which cells no other one beats. Not for: the checks (gate).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from seatrial.errors import count_of
from seatrial.history.records import CellRecord, Decision, Record
from seatrial.stages import END_TO_END
from seatrial.units import format_seconds

# Metrics of which less is better.
ERRORS = ("AbsRel", "RMSE")
SPEED = ("latency", "throughput")
# Budgets on how right the answers are, beside drops.
RIGHTNESS = ("accuracy", "agreement", "abs_rel", "rmse")


@dataclass(frozen=True)
class Choice:
    """cell: the fastest that passes. lost: what its metric is worse by than the same pipeline's best fp32; None where either
    has no figure, or it is fp32 itself. unjudged: faster ones that fail nothing, of which some budget says nothing."""

    cell: CellRecord
    lost: float | None
    unjudged: tuple[CellRecord, ...] = ()


def fastest_that_passes(record: Record) -> Choice | None:
    """None where none passes all that it was asked, and was asked for every metric that has a budget. Of several pipelines the
    reference is no candidate."""
    judged = [c for c in _failing_nothing(record) if not _lacks(record, c)]
    if not judged:
        return None
    best = min(judged, key=seconds_an_image)
    least = seconds_an_image(best)
    faster = tuple(c for c in _failing_nothing(record) if _lacks(record, c) and seconds_an_image(c) < least)
    plain = [
        c for c in record.cells if c.pipeline == best.pipeline and c.precision == "fp32" and metric_of(c) is not None
    ]
    own = metric_of(best)
    if own is None or not plain or best.precision == "fp32":
        return Choice(best, None, faster)
    sign = -1.0 if best.accuracy is not None and best.accuracy.metric in ERRORS else 1.0
    return Choice(best, max(sign * (metric_of(c) or 0.0) for c in plain) - sign * own, faster)


def choice_said(record: Record) -> str:
    """'' where no budget was judged on any cell."""
    candidates = {c.id for c in _candidates(record)}
    if not any(d.cell in candidates and _budgeted(d) for d in record.decisions):
        return ""
    found = fastest_that_passes(record)
    if found is None:
        said = "no configuration passes every check that it has: none is to be deployed by this trial"
        if left := _failing_nothing(record):
            said = "no configuration passes every budget: none is to be deployed by this trial" + _left_out(
                record, left
            )
        return said
    cell = found.cell
    each = format_seconds(seconds_an_image(cell))
    said = f"fastest that passes every check: {cell.pipeline} · {cell.configuration}, {each} an image"
    value = metric_of(cell)
    if value is not None and cell.accuracy is not None and cell.accuracy.value is not None:
        said += f"; {cell.accuracy.metric} {value:.3f} on {count_of(cell.accuracy.value.n, 'image')}"
    if found.lost is not None:
        points = abs(found.lost) * 100
        how = (
            "as its fp32"
            if points < 0.05
            else f"{points:.1f} points {'worse' if found.lost > 0 else 'better'} than its fp32"
        )
        said += f", {how}"
    if near := _as_fast(record, cell):
        are, within = ("is", "another that passes") if near == 1 else ("are", f"{near} others that pass")
        said += f"; {within} {are} within this machine's noise of it: seatrial compare tells them apart"
    return said + _left_out(record, found.unjudged, "faster ")


def _as_fast(record: Record, best: CellRecord) -> int:
    """How many others that pass every check the noise floor of the median does not tell from it."""
    floor = record.noise_floor.shares.get(END_TO_END, 0.0) if record.noise_floor else 0.0
    most = seconds_an_image(best) * (1 + floor)
    passing = [c for c in _failing_nothing(record) if not _lacks(record, c)]
    return sum(c.id != best.id and seconds_an_image(c) <= most for c in passing)


def _left_out(record: Record, cells: Sequence[CellRecord], how: str = "") -> str:
    """'; 2 faster configurations are left out, whose latency no budget judges'."""
    if not cells:
        return ""
    metrics = " or ".join(sorted({m.replace("_", " ") for c in cells for m in _lacks(record, c)}))
    are = "is" if len(cells) == 1 else "are"
    return f"; {count_of(len(cells), f'{how}configuration')} {are} left out, whose {metrics} no budget judges"


def _failing_nothing(record: Record) -> list[CellRecord]:
    failing = {d.cell for d in record.decisions if d.verdict != "PASS"}
    return [c for c in _candidates(record) if c.status == "ok" and c.id not in failing]


def _lacks(record: Record, cell: CellRecord) -> set[str]:
    """Speed or accuracy, where some budget judges it on its pipeline's cells, or of a pipeline without budgets on others', and
    none on this one: they are what is chosen by. What others are held against agrees with itself."""
    everywhere = [d for d in record.decisions if _budgeted(d)]
    own = {c.id for c in record.cells if c.pipeline == cell.pipeline}
    decisions = [d for d in everywhere if d.cell in own] or everywhere
    about = {_metric(d) for d in decisions if d.cell == cell.id}
    about |= {_metric(d) for d in decisions if d.against == cell.id}
    return ({_metric(d) for d in decisions} & {"speed", "accuracy"}) - about


def _budgeted(decision: Decision) -> bool:
    return decision.limit is not None and _metric(decision) not in ("parity", "regression")


def _metric(decision: Decision) -> str:
    """'accuracy' for all that judges how right the answers are, 'speed' for latency and throughput, of which plans ask the one
    at a batch of 1 and the other at a large one: with one of them a cell is judged by that."""
    first = decision.check.split()[0]
    if first in RIGHTNESS or first.endswith("_drop"):
        return "accuracy"
    return "speed" if first in SPEED else first


def _candidates(record: Record) -> list[CellRecord]:
    compared = {c.pipeline for c in record.cells if c.across is not None}
    return [c for c in record.cells if not compared or c.pipeline in compared]


def seconds_an_image(cell: CellRecord) -> float:
    return cell.stages[END_TO_END].p50.value / cell.batch


def metric_of(cell: CellRecord) -> float | None:
    return cell.accuracy.value.value if cell.accuracy is not None and cell.accuracy.value is not None else None


def unbeaten(cells: Sequence[CellRecord], goodness: Callable[[CellRecord], float]) -> list[CellRecord]:
    """Those than which no other one is as fast and as right, and better in either: the Pareto front, the fastest first."""
    front: list[CellRecord] = []
    for cell in sorted(cells, key=lambda c: (seconds_an_image(c), -goodness(c))):
        if not front or goodness(cell) > goodness(front[-1]):
            front.append(cell)
    return front
