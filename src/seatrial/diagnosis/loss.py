"""What a candidate surely loses against the truth, and whether it may: enough by itself for two pipelines to differ.

For: one clause of the verdict, by gate's bounds. Not for: the figures (task_metrics.py), or calling sides equal: a loss that is
not sure says nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from seatrial.diagnosis.sides import Side
from seatrial.diagnosis.verdict import LEAST_IMAGES
from seatrial.errors import count_of
from seatrial.gate.accuracy import drop_interval
from seatrial.gate.budgets import METRIC_OF_DROP, concerns, describe
from seatrial.history.records.diagnosis import ParityRecord
from seatrial.parity.dense import ErrorEvaluation
from seatrial.parity.evaluation import Evaluation, judged_images, value_of
from seatrial.plan.models import Plan
from seatrial.stats.sample import CONFIDENCE

# Where no budget says how much: what results may differ by across runtimes.
ROUNDING = 1e-3


# Of a reference that says something else each time, or nothing, no loss is told.
_NO_YARDSTICK = ("reference-not-stable", "reference-not-finite")


@dataclass(frozen=True)
class Loss:
    """By how much the candidate is worse than the reference; low: what is sure of it, None where nothing is. scale: what the
    metric counts in, 1 of a share, of an error the reference's own."""

    metric: str
    value: float
    low: float | None
    high: float | None
    images: int
    scale: float = 1.0


def loss_of(reference: Evaluation, candidate: Evaluation) -> Loss | None:
    """None where the figure is undefined."""
    before, after = value_of(reference), value_of(candidate)
    if before is None or after is None:
        return None
    images = judged_images(candidate)
    if isinstance(candidate, ErrorEvaluation):
        return Loss(candidate.metric, after - before, *drop_interval(candidate, reference, 0), images, before)
    return Loss(candidate.metric, before - after, *drop_interval(reference, candidate, 0), images)


def with_loss(record: ParityRecord, loss: Loss | None, plan: Plan, side: Side | None) -> ParityRecord:
    """DIFFER where more is surely lost than may be. side: the candidate, where it is one of the plan's."""
    if loss is None or record.verdict == "DIFFER" or loss.low is None or loss.images < LEAST_IMAGES:
        return record
    if any(w.code in _NO_YARDSTICK for w in record.warnings):
        return record
    allowed, by = _allowed(loss, plan, side)
    if loss.low <= allowed:
        return record
    high = "?" if loss.high is None else f"{loss.high:.3g}"
    said = (
        f"the candidate loses {loss.value:.3g} {loss.metric}, {CONFIDENCE:.0%} a side {loss.low:.3g} to {high}, paired over "
        f"{count_of(loss.images, 'image')}, where {by}; {record.reason}"
    )
    return record.model_copy(update={"verdict": "DIFFER", "reason": said})


def _allowed(loss: Loss, plan: Plan, side: Side | None) -> tuple[float, str]:
    """The least that a budget allows the candidate; of one that is no cell of the plan, a budget of all cells."""
    limits = [
        (b.limit, f"the plan's budget {describe(b)} allows {b.limit:.3g}")
        for b in plan.budgets
        if METRIC_OF_DROP.get(b.metric) in (loss.metric, loss.metric.split()[-1])
        and (concerns(plan, b, side) if side else not any(values for _, values in b.where))
    ]
    own = ROUNDING * loss.scale
    return min(limits, default=(own, f"no budget of the plan allows more than rounding's {own:.3g}"))
