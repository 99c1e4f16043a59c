"""Budgets against cells: one decision a budget and cell. For: single limits. Not for: the overall verdict (verdict.py)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.gate.accuracy import Judgement, judge_accuracy, judge_drop, judge_error
from seatrial.gate.agreement import agreement_verdict
from seatrial.gate.decisions import decision
from seatrial.history.records import CellRecord, Decision, Measured, NoiseFloor, Verdict, said_of_types, share_untold
from seatrial.parity.dense import ErrorEvaluation
from seatrial.parity.evaluation import Evaluation
from seatrial.plan.budgets import Budget
from seatrial.plan.models import Plan
from seatrial.plan.reference import Configuration, baseline_name, reference_cell
from seatrial.stages import END_TO_END
from seatrial.stats.means import BLOCKS
from seatrial.stats.sample import CONFIDENCE, quantile_below, quantile_of, round_up
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
METRIC_OF_DROP = {
    "map_drop": "mAP",
    "top1_drop": "top-1",
    "miou_drop": "mIoU",
    "f1_drop": "F1",
    "hmean_drop": "hmean",
    "word_accuracy_drop": "word accuracy",
}
_METRIC_OF_ERROR = {"abs_rel": "AbsRel", "rmse": "RMSE"}


def judge_budget(
    plan: Plan,
    budget: Budget,
    cells: Sequence[CellRecord],
    latencies: Latencies,
    evaluations: Evaluations,
    noise_floor: NoiseFloor | None = None,
) -> list[Decision]:
    """A decision for each cell that the budget is about; one INCONCLUSIVE where no such cell ran, and one for each value
    that `where` names and no such cell has."""
    own = [c for c in cells if c.status != "skipped" and concerns(plan, budget, c)]
    reference = reference_cell(plan, cells)
    if budget.metric == "agreement" and reference is not None and any(c.id != reference.id for c in own):
        # The reference is what the others agree with.
        own = [c for c in own if c.id != reference.id]
    decisions = [
        _decision(budget, _judge(plan, budget, c, reference, latencies, evaluations), c)
        for c in own
        if c.status == "ok"
    ]
    if noise_floor is not None and budget.metric in ("latency", "throughput"):
        decisions = [_above_the_floor(d, budget, noise_floor) for d in decisions]
    decisions += _never_ran(plan, budget, cells) if decisions else []
    failed = [c for c in own if c.status == "failed"]
    if failed and not decisions:
        reason = f"no value: {failed[0].id} failed" + (f" and {len(failed) - 1} more" if len(failed) > 1 else "")
        return [_decision(budget, _inconclusive(reason), failed[0])]
    if not own:
        return [_decision(budget, _inconclusive("no cell that ran is concerned; widen 'where'"))]
    return decisions


def _never_ran(plan: Plan, budget: Budget, cells: Sequence[CellRecord]) -> list[Decision]:
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
        decisions.append(_decision(budget, _inconclusive(reason), own[0] if own else None))
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


def concerns(plan: Plan, budget: Budget, cell: Configuration) -> bool:
    """Budgets judge the candidates: every pipeline but the reference, unless `where` or a lone pipeline says otherwise."""
    baseline = baseline_name(plan)
    if budget.where.pipeline is None and len(plan.pipelines) > 1 and cell.pipeline == baseline:
        return False
    return all(values is None or getattr(cell, key) in values for key, values in budget.where)


def _judge(
    plan: Plan,
    budget: Budget,
    cell: CellRecord,
    reference: CellRecord | None,
    latencies: Latencies,
    evaluations: Evaluations,
) -> Judgement:
    if cell.measured.doubt and budget.metric in ("latency", "throughput"):
        return _inconclusive(cell.measured.doubt)
    if budget.metric == "latency":
        return _judge_latency(plan, budget, cell, latencies)
    if budget.metric == "accuracy" or budget.metric in METRIC_OF_DROP | _METRIC_OF_ERROR:
        against = reference.id if reference and budget.metric in METRIC_OF_DROP else ""
        return replace(_judge_evaluated(budget, cell, reference, evaluations, plan.measure.seed), against=against)
    if budget.metric == "agreement":
        return _judge_agreement(budget, cell)
    if budget.metric == "computed_in":
        return _judge_computed(budget, cell)
    measured: Measured | None = getattr(cell.measured, budget.metric)
    if measured is None:
        return _inconclusive(f"the cell has no {budget.metric.replace('_', ' ')}")
    return _judge_measured(budget, measured)


def _judge_latency(plan: Plan, budget: Budget, cell: CellRecord, latencies: Latencies) -> Judgement:
    stage = budget.stage or END_TO_END
    summary = cell.stages.get(stage)
    if summary is None:
        return _inconclusive(f"the cell has no stage {stage}")
    quantile = quantile_of(budget.percentile)
    samples = latencies(cell, stage)
    value = float(np.quantile(samples, quantile, method="inverted_cdf"))
    bound = quantile_below(samples, quantile, budget.limit, CONFIDENCE, longest_run=plan.measure.longest_run)
    cure = _time_for(bound.needed, cell) if bound.needed is not None else ""
    return Judgement(_VERDICTS[bound.answer], value, bound.reason + cure)


def _time_for(requests: int, cell: CellRecord) -> str:
    if requests > CAPACITY:
        return f"; of a cell {CAPACITY:,} are kept: ask for a lower percentile, or say a shorter measure.longest_run"
    # Between two requests the loop takes a little time of its own.
    time_s = round_up(1.02 * requests * cell.stages[END_TO_END].mean.value)
    return f"; at this rate a measure.max_time of about {time_s} s would do"


def _above_the_floor(own: Decision, budget: Budget, noise_floor: NoiseFloor) -> Decision:
    """A value so near to its limit that a second process might lie beyond it decides nothing."""
    stage = budget.stage or END_TO_END
    share = noise_floor.shares.get(stage)
    if not own.value or not budget.limit or share is None:
        return own
    at_least = "at least " if stage in noise_floor.at_least else ""
    reason = f"{own.reason}; noise floor of the median {at_least}{share:.1%}"
    away = max(own.value / budget.limit, budget.limit / own.value) - 1
    if away > share:
        return own.model_copy(update={"reason": reason})
    if own.verdict == "FAIL" and _fails_again(own, budget, noise_floor):
        return own.model_copy(update={"reason": f"{reason}, and the second process lies beyond the limit too"})
    reason = (
        f"{reason}: a second process of {noise_floor.cell} was seen to differ by as much, and the limit is {away:.1%} away, so "
        "that another one may lie on its other side, however long it is measured; quiet the machine, or move the limit"
    )
    return own.model_copy(update={"verdict": "INCONCLUSIVE", "reason": reason})


def _fails_again(own: Decision, budget: Budget, noise_floor: NoiseFloor) -> bool:
    """Whether the repeated cell's second process lies beyond the limit too: known of its median end to end alone."""
    if own.cell != noise_floor.cell or budget.metric != "latency":
        return False
    if budget.percentile != "p50" or budget.stage not in (None, END_TO_END):
        return False
    low = noise_floor.again.interval[0] if noise_floor.again.interval else None
    return low is not None and low > budget.limit


def _judge_evaluated(
    budget: Budget, cell: CellRecord, reference: CellRecord | None, evaluations: Evaluations, seed: int
) -> Judgement:
    own = evaluations(cell)
    if own is None:
        return _inconclusive(cell.accuracy_note or "this cell has no accuracy: the plan names no annotations")
    if budget.metric in _METRIC_OF_ERROR:
        error = own.called(_METRIC_OF_ERROR[budget.metric]) if isinstance(own, ErrorEvaluation) else None
        if error is None:
            return _inconclusive(f"this task's metric is {own.metric}, not {_METRIC_OF_ERROR[budget.metric]}")
        return judge_error(error, budget.limit, seed, budget.unit)
    if isinstance(own, ErrorEvaluation):
        cure = "of which less is better: use {metric: abs_rel, max: …} or {metric: rmse, max: …}"
        return _inconclusive(f"this task's metric is {own.metric}, {cure}")
    if budget.metric == "accuracy":
        return judge_accuracy(own, budget.limit, seed)
    wanted = METRIC_OF_DROP[budget.metric]
    # map_drop judges the mAP of masks and of keypoints too, by which task the pipeline has.
    if wanted not in (own.metric, own.metric.split()[-1]):
        return _inconclusive(f"this task's metric is {own.metric}, not {wanted}")
    theirs = evaluations(reference) if reference is not None and reference.status == "ok" else None
    if theirs is None or theirs.metric != own.metric:
        return _inconclusive(f"the reference cell has no {wanted}")
    return judge_drop(theirs, own, budget.limit, seed)


def _judge_agreement(budget: Budget, cell: CellRecord) -> Judgement:
    parity = cell.across or cell.parity
    if parity is None or parity.agreement is None:
        return _inconclusive("no decoded results to compare with the reference")
    verdict, reason = agreement_verdict(parity, budget.limit)
    return Judgement(verdict, parity.agreement, f"{reason}, against {parity.reference}", parity.reference)


def _judge_computed(budget: Budget, cell: CellRecord) -> Judgement:
    """What share of the convolutions and matrix products the runtime computes in the precision that was asked for."""
    share = cell.measured.share_as_asked(cell.precision)
    if share is None:
        return _inconclusive("the runtime does not say in which type it computes, or the model has no products")
    computed_in = cell.measured.computed_in
    at_most = share + share_untold(computed_in)
    verdict: Verdict = "PASS" if share >= budget.limit else "FAIL" if at_most < budget.limit else "INCONCLUSIVE"
    return Judgement(verdict, share, said_of_types(computed_in))


def _judge_measured(budget: Budget, measured: Measured) -> Judgement:
    """A measured value against its limit; where the interval spans the limit, nobody can say."""
    if budget.metric == "throughput" and not measured.interval:
        why = f"an interval needs {2 * BLOCKS} batches, got {measured.n}; raise measure.max_time"
        return Judgement("INCONCLUSIVE", measured.value, why)
    (low, high), limit = measured.ends, budget.limit
    inside, outside = (high <= limit, low > limit) if budget.side == "max" else (low >= limit, high < limit)
    verdict: Verdict = "PASS" if inside else "FAIL" if outside else "INCONCLUSIVE"
    if not measured.interval:
        return Judgement(verdict, measured.value, _SINGLE_READINGS[budget.metric])
    spread = f"interval {format_value(low, measured.unit)} to {format_value(high, measured.unit)}"
    spans = " spans the limit" if verdict == "INCONCLUSIVE" else ""
    return Judgement(verdict, measured.value, spread + spans)


def _inconclusive(reason: str) -> Judgement:
    return Judgement("INCONCLUSIVE", None, reason)


def _decision(budget: Budget, j: Judgement, cell: CellRecord | None = None) -> Decision:
    check = describe(budget)
    numbers: dict[str, Any] = {"value": j.value, "limit": budget.limit, "unit": budget.unit}
    group = f"{check} {budget.side} {budget.limit:g}"
    return decision(check, j.verdict, j.reason, cell.id if cell else "", against=j.against, group=group, **numbers)
