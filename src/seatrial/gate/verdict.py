"""All checks of a trial, and what follows from them. A pure function of plan, cells and samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from seatrial.errors import ExitCode
from seatrial.gate.agreement import agreement_verdict
from seatrial.gate.budgets import Evaluations, Latencies, concerns, judge_budget
from seatrial.gate.decisions import decision
from seatrial.gate.tensors import judge_between, judge_tensors, why_nothing
from seatrial.history.records import CellRecord, Comparison, Decision, NoiseFloor, ParityResult, Verdict
from seatrial.parity.tolerance import least_agreement
from seatrial.plan.budgets import Budget
from seatrial.plan.models import Plan
from seatrial.plan.reference import reference_cell

# What a record says it was judged by. A change that could turn a verdict gets a new number, from the first release on.
RULES = "seatrial.rules/2"
_OF_COMPARISON: dict[str, Verdict] = {
    "REGRESSION": "FAIL",
    "IMPROVED": "PASS",
    "EQUIVALENT": "PASS",
    "INCONCLUSIVE": "INCONCLUSIVE",
}


def judge(
    plan: Plan,
    cells: Sequence[CellRecord],
    latencies: Latencies,
    evaluations: Evaluations = lambda _cell: None,
    comparisons: Sequence[Comparison] = (),
    not_compared: Mapping[str, str] = MappingProxyType({}),
    noise_floor: NoiseFloor | None = None,
    not_repeated: Mapping[str, str] = MappingProxyType({}),
) -> list[Decision]:
    """Every decision of the trial: cells that broke, parity, budgets, regression.

    noise_floor: what budgets on time cannot tell apart, where it is known. not_repeated: how a cell's second process broke, by
    the cell's id. not_compared: why pipelines could not be compared with the regression's baseline, by their names.
    """
    decisions = [_broken(c) for c in cells if c.status == "failed"]
    decisions += [d for name in plan.pipelines if (d := _never_ran(name, cells)) is not None]
    decisions += [_broke_again(cell_id, how) for cell_id, how in not_repeated.items()]
    decisions += [_nan(c) for c in cells if c.measurement and c.measurement.nan_outputs]
    decisions += [d for c in cells if c.status == "ok" for d in _judge_parity(c)]
    if plan.parity:
        decisions += [d for c in cells if (d := _judge_across(plan, c)) is not None]
    for budget in plan.budgets:
        decisions += judge_budget(plan, budget, cells, latencies, evaluations, noise_floor)
    if plan.regression:
        decisions += _judge_regression(plan, cells, comparisons, not_compared)
    if not decisions:
        ran = sum(c.status == "ok" for c in cells)
        reason = f"all {ran} cells ran; there was nothing to judge: no budget, no second cell to compare"
        decisions = [decision("cells run", "PASS" if ran else "INCONCLUSIVE", reason)]
    return decisions


def _broke_again(cell_id: str, how: str) -> Decision:
    """It ran once and broke once: nobody knows which of the two is the rule."""
    reason = f"ran, and broke in a second process, which was started for the noise floor: {how}"
    return decision("cell runs again", "INCONCLUSIVE", reason, cell_id)


def overall(decisions: Sequence[Decision]) -> Verdict:
    verdicts = {d.verdict for d in decisions}
    if "FAIL" in verdicts:
        return "FAIL"
    # Where nothing was decided nothing has passed.
    return "INCONCLUSIVE" if "INCONCLUSIVE" in verdicts or not verdicts else "PASS"


def exit_code(verdict: Verdict, cells: Sequence[CellRecord]) -> ExitCode:
    """The worst of several decides, in the order 5, 4, 1, 3, 0."""
    codes = {ExitCode(c.exit_code) for c in cells if c.status == "failed"}
    codes.add({"PASS": ExitCode.PASS, "FAIL": ExitCode.FAIL, "INCONCLUSIVE": ExitCode.INCONCLUSIVE}[verdict])
    order = (ExitCode.ENVIRONMENT, ExitCode.BAD_INPUT, ExitCode.FAIL, ExitCode.INCONCLUSIVE, ExitCode.PASS)
    return next(code for code in order if code in codes)


def _broken(cell: CellRecord) -> Decision:
    return decision("cell runs", "FAIL", cell.reason, cell.id, group="cells run")


def _never_ran(pipeline: str, cells: Sequence[CellRecord]) -> Decision | None:
    """A pipeline whose every cell was skipped was not tried, and what was not tried is not fit."""
    own = [c for c in cells if c.pipeline == pipeline]
    if not own or any(c.status != "skipped" for c in own):
        return None
    reason = f"no cell of pipeline {pipeline} ran: {'; '.join(dict.fromkeys(c.reason for c in own))}"
    return decision("cells run", "INCONCLUSIVE", reason)


def _nan(cell: CellRecord) -> Decision:
    reason = f"NaN in {', '.join(cell.measured.nan_outputs)}: look for overflow in reduced precision, or broken weights"
    return decision("outputs without NaN", "FAIL", reason, cell.id)


def _judge_parity(cell: CellRecord) -> list[Decision]:
    """At least one decision of every cell that was compared: a check that could not be made is INCONCLUSIVE, not gone."""
    parity = cell.parity
    if parity is None:
        return []
    agreed = _judge_agreement(cell, parity)
    tensors = [d.model_copy(update={"against": parity.reference}) for d in judge_tensors(cell, parity)]
    made = [*tensors, *([agreed] if agreed else [])]
    if made and not parity.note:
        return made
    why = parity.note or why_nothing(parity)
    return [*made, decision("parity", "INCONCLUSIVE", why, cell.id)]


def _judge_agreement(cell: CellRecord, parity: ParityResult) -> Decision | None:
    if parity.agreement is None or parity.least_agreement is None:
        return None
    # Results made from the same numbers are the same whatever their count.
    alike = any(t.elements != 0 for t in parity.tensors) and not parity.special_images
    alike = alike and all(t.share_outside == 0 and not t.nan_mismatch for t in parity.tensors)
    verdict, reason = agreement_verdict(parity, parity.least_agreement, counted=not alike)
    if parity.tensors_note:
        reason += f"; raw outputs cannot be compared: {parity.tensors_note}"
    return decision("parity results", verdict, reason, cell.id, **_shares(parity, parity.least_agreement))


def _shares(parity: ParityResult, least: float) -> dict[str, Any]:
    return {"value": parity.agreement, "limit": least, "unit": "fraction", "against": parity.reference}


def _judge_across(plan: Plan, cell: CellRecord) -> Decision | None:
    """A candidate's answers against the reference pipeline's, by the plan's limit.

    A better version answers differently on purpose, so by default it may; but where no budget on this very cell says whose
    answers are right, nobody may call it fit unless both answer alike.
    """
    across = cell.across
    if cell.status != "ok" or across is None:
        return None
    check = f"agreement with {across.reference.rsplit('.', 4)[0]}"
    if across.agreement is None:
        reason = f"nothing in common to compare: {across.note or why_nothing(across)}"
        nothing = decision(check, "INCONCLUSIVE", reason, cell.id)
        return (judge_between(cell, across) or nothing).model_copy(update={"against": across.reference})
    assert plan.parity
    limit = plan.parity.agreement
    if limit is None and any(_says_who_is_right(b) and concerns(plan, b, cell) for b in plan.budgets):
        return None
    least = limit if limit is not None else least_agreement(cell.precision)
    verdict, reason = agreement_verdict(across, least)
    if limit is None and verdict != "PASS":
        verdict = "INCONCLUSIVE"
        reason += "; nothing says who is right: set parity.agreement, or give annotations and a budget on this cell"
    return decision(check, verdict, reason, cell.id, **_shares(across, least))


def _says_who_is_right(budget: Budget) -> bool:
    return budget.metric in ("agreement", "accuracy", "abs_rel", "rmse") or budget.metric.endswith("_drop")


def comparison_decision(c: Comparison) -> Decision:
    """A comparison as a check: slower than the margin fails, and what is not known is not passed."""
    check, group = f"{c.metric} {c.stage} against {c.a}", f"{c.metric} {c.stage} of {c.b}"
    numbers: dict[str, Any] = {"value": c.change.value, "limit": c.margin, "unit": "change"}
    return decision(check, _OF_COMPARISON[c.verdict], c.reason, group=group, **numbers)


def _judge_regression(
    plan: Plan, cells: Sequence[CellRecord], comparisons: Sequence[Comparison], not_compared: Mapping[str, str]
) -> list[Decision]:
    """Slower than the baseline? Judged from lock-step rounds; the cells' own figures are from separate processes."""
    assert plan.regression
    against = plan.regression.against
    by_pipeline = {c.b: c for c in comparisons}
    decisions = []
    for name in plan.pipelines:
        if name == against:
            continue
        cell = reference_cell(plan, cells, name)
        check = f"regression {name} against {against}"
        if name in by_pipeline:
            place = {"check": check, "group": check} | ({"cell": cell.id} if cell else {})
            decisions.append(comparison_decision(by_pipeline[name]).model_copy(update=place))
        else:
            why = not_compared.get(name, "the reference configuration did not run in both pipelines")
            decisions.append(decision(check, "INCONCLUSIVE", f"no comparison was made: {why}", cell.id if cell else ""))
    return decisions
