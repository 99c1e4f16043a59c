"""Budgets against cells: one decision a budget and cell. For: single limits. Not for: the overall verdict (verdict.py)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
import numpy.typing as npt

from seatrial.gate.accuracy import Judged, judge_accuracy, judge_drop
from seatrial.gate.agreement import agreement_verdict
from seatrial.history.records import CellRecord, Decision, Measured, NoiseFloor, Verdict
from seatrial.parity.evaluation import Evaluation
from seatrial.plan.models import Budget, Plan, Where
from seatrial.plan.reference import baseline_name, reference_cell
from seatrial.stages import END_TO_END
from seatrial.stats.sample import BLOCKS, CONFIDENCE, quantile_below, round_up
from seatrial.timing.measure import CAPACITY
from seatrial.units import format_value

_VERDICTS: dict[str, Verdict] = {"yes": "PASS", "no": "FAIL", "unsure": "INCONCLUSIVE"}
_SINGLE_READINGS = {
    "cold_start": "one start in a fresh process",
    "peak_memory": "most resident memory of the cell's process",
    "model_size": "the model's file and its external data",
}
# Latencies of a stage in seconds, one a batch.
Latencies = Callable[[CellRecord, str], npt.NDArray[np.float64]]
# A cell's results against the truth; None where there is no truth, or none for its task.
Evaluations = Callable[[CellRecord], Evaluation | None]
_METRIC_OF_DROP = {"map_drop": "mAP", "top1_drop": "top-1", "miou_drop": "mIoU"}


def judge_budget(
    plan: Plan, budget: Budget, cells: Sequence[CellRecord], latencies: Latencies, evaluations: Evaluations,
    noise_floor: NoiseFloor | None = None,
) -> list[Decision]:  # fmt: skip
    """A decision for each cell that the budget is about; one INCONCLUSIVE where no such cell ran, and one for each value
    that `where` names and no such cell has."""
    name = describe(budget)
    judged = [c for c in cells if c.status != "skipped" and concerns(plan, budget, c)]
    reference = reference_cell(plan, cells)
    decisions = [_judge(plan, budget, name, c, reference, latencies, evaluations) for c in judged if c.status == "ok"]
    if noise_floor is not None and budget.metric in ("latency", "throughput"):
        decisions = [_above_the_floor(d, budget, noise_floor) for d in decisions]
    decisions += _never_ran(plan, budget, name, cells) if decisions else []
    failed = [c for c in judged if c.status == "failed"]
    if failed and not decisions:
        reason = f"no value: {failed[0].id} failed" + (f" and {len(failed) - 1} more" if len(failed) > 1 else "")
        return [_decision(name, budget, "INCONCLUSIVE", None, reason, failed[0].id)]
    if not judged:
        return [_decision(name, budget, "INCONCLUSIVE", None, "no cell that ran is concerned; widen 'where'", "")]
    return decisions


def _never_ran(plan: Plan, budget: Budget, name: str, cells: Sequence[CellRecord]) -> list[Decision]:
    """Combinations that `where` names, in pipelines that the budget judges, of which no cell ran: nothing is known of them."""
    named = {key: values for key, values in budget.where.model_dump().items() if values and key != "pipeline"}
    concerned = [c for c in cells if concerns(plan, budget, c)]
    pipelines = budget.where.pipeline or [p for p in plan.pipelines if any(c.pipeline == p for c in concerned)]
    decisions = []
    for pipeline, *values in product(pipelines, *named.values()):
        want = dict(zip(named, values, strict=True)) | {"pipeline": pipeline}
        own = [c for c in concerned if all(getattr(c, key) == value for key, value in want.items())]
        if any(c.status == "ok" for c in own):
            continue
        which = " ".join(f"{key}={value}" for key, value in want.items())
        why = "; ".join(dict.fromkeys(c.reason for c in own)) or "it is not in the matrix"
        reason = f"no cell of {which} ran, which the budget names: {why}"
        decisions.append(_decision(name, budget, "INCONCLUSIVE", None, reason, own[0].id if own else ""))
    return decisions


def describe(budget: Budget) -> str:
    """'latency p99 end_to_end batch=1': how tables and records call a budget."""
    words: list[str] = [budget.metric]
    if budget.metric == "latency":
        words += [budget.percentile, budget.stage or END_TO_END]
    for key, values in budget.where.model_dump().items():
        if values:
            words.append(f"{key}={','.join(map(str, values))}")
    return " ".join(words)


def concerns(plan: Plan, budget: Budget, cell: CellRecord) -> bool:
    """Budgets judge the candidates: every pipeline but the reference, unless `where` or a lone pipeline says otherwise."""
    baseline = baseline_name(plan)
    if budget.where.pipeline is None and len(plan.pipelines) > 1 and cell.pipeline == baseline:
        return False
    return _in_where(budget.where, cell)


def _in_where(where: Where, cell: CellRecord) -> bool:
    return all(
        values is None or getattr(cell, key) in values
        for key, values in (
            ("pipeline", where.pipeline), ("backend", where.backend), ("precision", where.precision),
            ("batch", where.batch), ("threads", where.threads),
        )
    )  # fmt: skip


def _judge(
    plan: Plan, budget: Budget, name: str, cell: CellRecord, reference: CellRecord | None, latencies: Latencies,
    evaluations: Evaluations,
) -> Decision:  # fmt: skip
    if cell.doubt and budget.metric in ("latency", "throughput"):
        return _decision(name, budget, "INCONCLUSIVE", None, cell.doubt, cell.id)
    if budget.metric == "latency":
        return _judge_latency(plan, budget, name, cell, latencies)
    if budget.metric == "accuracy" or budget.metric in _METRIC_OF_DROP:
        judged = _judge_evaluated(budget, cell, reference, evaluations, plan.measure.seed)
        against = reference.id if reference and budget.metric != "accuracy" else ""
        return _decision(name, budget, judged.verdict, judged.value, judged.reason, cell.id, against)
    if budget.metric == "agreement":
        return _judge_agreement(budget, name, cell)
    measured: Measured | None = getattr(cell, budget.metric)
    if measured is None:
        return _decision(
            name, budget, "INCONCLUSIVE", None, f"the cell has no {budget.metric.replace('_', ' ')}", cell.id
        )
    return _at_limit(budget, name, cell, measured, "")


def _judge_latency(plan: Plan, budget: Budget, name: str, cell: CellRecord, latencies: Latencies) -> Decision:
    stage = budget.stage or END_TO_END
    summary = cell.stages.get(stage)
    if summary is None:
        return _decision(name, budget, "INCONCLUSIVE", None, f"the cell has no stage {stage}", cell.id)
    quantile = float(budget.percentile[1:]) / 100
    samples = latencies(cell, stage)
    value = float(np.quantile(samples, quantile, method="inverted_cdf"))
    bound = quantile_below(samples, quantile, budget.limit, CONFIDENCE, longest_run=plan.measure.longest_run)
    cure = _time_for(bound.needed, cell) if bound.needed is not None else ""
    return _decision(name, budget, _VERDICTS[bound.answer], value, bound.reason + cure, cell.id)


def _time_for(requests: int, cell: CellRecord) -> str:
    if requests > CAPACITY:
        return f"; of a cell {CAPACITY:,} are kept: ask for a lower percentile, or say a shorter measure.longest_run"
    # Between two requests the loop takes a little time of its own.
    time_s = round_up(1.02 * requests * cell.stages[END_TO_END].mean.value)
    return f"; at this rate a measure.max_time of about {time_s} s would do"


def _above_the_floor(decision: Decision, budget: Budget, noise_floor: NoiseFloor) -> Decision:
    """A value so near to its limit that a second process might lie beyond it decides nothing."""
    stage = budget.stage or END_TO_END
    share = noise_floor.shares.get(stage)
    if not decision.value or not budget.limit or share is None:
        return decision
    at_least = "at least " if stage in noise_floor.at_least else ""
    said = f"{decision.reason}; noise floor of the median {at_least}{share:.1%}"
    away = max(decision.value / budget.limit, budget.limit / decision.value) - 1
    if away > share:
        return decision.model_copy(update={"reason": said})
    if decision.verdict == "FAIL" and _fails_again(decision, budget, noise_floor):
        return decision.model_copy(update={"reason": f"{said}, and the second process lies beyond the limit too"})
    reason = (
        f"{said}: a second process of {noise_floor.cell} was seen to differ by as much, and the limit is {away:.1%} away, so "
        "that another one may lie on its other side, however long it is measured; quiet the machine, or move the limit"
    )
    return decision.model_copy(update={"verdict": "INCONCLUSIVE", "reason": reason})


def _fails_again(decision: Decision, budget: Budget, noise_floor: NoiseFloor) -> bool:
    """Whether the repeated cell's second process lies beyond the limit too: known of its median end to end alone."""
    if decision.cell != noise_floor.cell or budget.metric != "latency":
        return False
    if budget.percentile != "p50" or budget.stage not in (None, END_TO_END):
        return False
    low = noise_floor.again.interval[0] if noise_floor.again.interval else None
    return low is not None and low > budget.limit


def _judge_evaluated(
    budget: Budget, cell: CellRecord, reference: CellRecord | None, evaluations: Evaluations, seed: int
) -> Judged:
    own = evaluations(cell)
    if own is None:
        return Judged(
            "INCONCLUSIVE", None, cell.accuracy_note or "this cell has no accuracy: the plan names no annotations"
        )
    if budget.metric == "accuracy":
        return judge_accuracy(own, budget.limit, seed)
    wanted = _METRIC_OF_DROP[budget.metric]
    if own.metric != wanted:
        return Judged("INCONCLUSIVE", None, f"this task's metric is {own.metric}, not {wanted}")
    theirs = evaluations(reference) if reference is not None and reference.status == "ok" else None
    if theirs is None or theirs.metric != wanted:
        return Judged("INCONCLUSIVE", None, f"the reference cell has no {wanted}")
    return judge_drop(theirs, own, budget.limit, seed)


def _judge_agreement(budget: Budget, name: str, cell: CellRecord) -> Decision:
    parity = cell.across or cell.parity
    if parity is None or parity.agreement is None:
        why = "no decoded results to compare with the reference"
        return _decision(name, budget, "INCONCLUSIVE", None, why, cell.id)
    verdict, reason = agreement_verdict(parity, budget.limit)
    reason = f"{reason}, against {parity.reference}"
    return _decision(name, budget, verdict, parity.agreement, reason, cell.id, parity.reference)


def _at_limit(budget: Budget, name: str, cell: CellRecord, measured: Measured, why: str) -> Decision:
    """A measured value against its limit; where the interval spans the limit, nobody can say."""
    if budget.metric == "throughput" and not measured.interval:
        why = f"an interval needs {2 * BLOCKS} batches, got {measured.n}; raise measure.max_time"
        return _decision(name, budget, "INCONCLUSIVE", measured.value, why, cell.id)
    low, high = measured.interval or (measured.value, measured.value)
    low, high = (measured.value if low is None else low), (measured.value if high is None else high)
    limit = budget.limit
    inside, outside = (high <= limit, low > limit) if budget.side == "max" else (low >= limit, high < limit)
    verdict: Verdict = "PASS" if inside else "FAIL" if outside else "INCONCLUSIVE"
    if measured.interval:
        spread = f"interval {format_value(low, measured.unit)} to {format_value(high, measured.unit)}"
        why = f"{spread} spans the limit" if verdict == "INCONCLUSIVE" else spread
    return _decision(name, budget, verdict, measured.value, why or _SINGLE_READINGS[budget.metric], cell.id)


def _decision(
    name: str, budget: Budget, verdict: Verdict, value: float | None, reason: str, cell: str, against: str = ""
) -> Decision:
    return Decision(
        check=name, verdict=verdict, value=value, limit=budget.limit, unit=budget.unit, reason=reason, cell=cell,
        against=against, group=f"{name} {budget.side} {budget.limit:g}",
    )  # fmt: skip
