"""All checks of a trial, and what follows from them. A pure function of plan, cells and samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from seatrial.errors import ExitCode
from seatrial.gate.agreement import agreement_verdict
from seatrial.gate.budgets import Evaluations, Latencies, concerns, judge_budget
from seatrial.gate.tensors import judge_between, judge_tensors, why_nothing
from seatrial.history.records import CellRecord, Comparison, Decision, NoiseFloor, ParityResult, Verdict
from seatrial.parity.tolerance import least_agreement
from seatrial.plan.budgets import Budget
from seatrial.plan.models import Plan
from seatrial.plan.reference import reference_cell

# What a record says it was judged by. A change that could turn a verdict gets a new number, from the first release on.
RULES = "seatrial.rules/2"
_COMPARED: dict[str, Verdict] = {
    "REGRESSION": "FAIL", "IMPROVED": "PASS", "EQUIVALENT": "PASS", "INCONCLUSIVE": "INCONCLUSIVE"
}  # fmt: skip


def judge(
    plan: Plan, cells: Sequence[CellRecord], latencies: Latencies, evaluations: Evaluations = lambda _cell: None,
    comparisons: Sequence[Comparison] = (),
    not_compared: Mapping[str, str] = MappingProxyType({}),
    noise_floor: NoiseFloor | None = None,
    not_repeated: Mapping[str, str] = MappingProxyType({}),
) -> list[Decision]:  # fmt: skip
    """Every decision of the trial: cells that broke, parity, budgets, regression.

    noise_floor: what budgets on time cannot tell apart, where it is known. not_repeated: how a cell's second process broke, by
    the cell's id. not_compared: why pipelines could not be compared with the regression's baseline, by their names.
    """
    decisions = [_broken(c) for c in cells if c.status == "failed"]
    decisions += [d for name in plan.pipelines if (d := _never_ran(name, cells)) is not None]
    decisions += [_broke_again(cell_id, how) for cell_id, how in not_repeated.items()]
    decisions += [_nan(c) for c in cells if c.nan_outputs]
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
        decisions = [
            Decision(check="cells run", verdict="PASS" if ran else "INCONCLUSIVE", reason=reason, group="cells run")
        ]
    return decisions


def _broke_again(cell_id: str, how: str) -> Decision:
    """It ran once and broke once: nobody knows which of the two is the rule."""
    reason = f"ran, and broke in a second process, which was started for the noise floor: {how}"
    return Decision(
        check="cell runs again", verdict="INCONCLUSIVE", reason=reason, cell=cell_id, group="cell runs again"
    )


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
    return Decision(check="cell runs", verdict="FAIL", reason=cell.reason, cell=cell.id, group="cells run")


def _never_ran(pipeline: str, cells: Sequence[CellRecord]) -> Decision | None:
    """A pipeline whose every cell was skipped was not tried, and what was not tried is not fit."""
    own = [c for c in cells if c.pipeline == pipeline]
    if not own or any(c.status != "skipped" for c in own):
        return None
    reason = f"no cell of pipeline {pipeline} ran: {'; '.join(dict.fromkeys(c.reason for c in own))}"
    return Decision(check="cells run", verdict="INCONCLUSIVE", reason=reason, group="cells run")


def _nan(cell: CellRecord) -> Decision:
    reason = f"NaN in {', '.join(cell.nan_outputs)}: look for overflow in reduced precision, or broken weights"
    return Decision(
        check="outputs without NaN", verdict="FAIL", reason=reason, cell=cell.id, group="outputs without NaN"
    )


def _judge_parity(cell: CellRecord) -> list[Decision]:
    """At least one decision of every cell that was compared: a check that could not be made is INCONCLUSIVE, not gone."""
    parity = cell.parity
    if parity is None:
        return []
    agreed = _judge_agreement(cell, parity)
    tensors = [d.model_copy(update={"against": parity.reference}) for d in judge_tensors(cell, parity)]
    found = [*tensors, *([agreed] if agreed else [])]
    if found and not parity.note:
        return found
    why = parity.note or why_nothing(parity)
    return [*found, Decision(check="parity", verdict="INCONCLUSIVE", reason=why, cell=cell.id, group="parity")]


def _judge_agreement(cell: CellRecord, parity: ParityResult) -> Decision | None:
    if parity.agreement is None or parity.least_agreement is None:
        return None
    # Results made from the same numbers are the same whatever their count.
    alike = any(t.elements != 0 for t in parity.tensors) and not parity.special_images
    alike = alike and all(t.share_outside == 0 and not t.nan_mismatch for t in parity.tensors)
    verdict, reason = agreement_verdict(parity, parity.least_agreement, counted=not alike)
    check = "parity results"
    return Decision(
        check=check, verdict=verdict, value=parity.agreement, limit=parity.least_agreement, unit="fraction", reason=reason,
        cell=cell.id, against=parity.reference, group=check,
    )  # fmt: skip


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
        nothing = Decision(check=check, verdict="INCONCLUSIVE", reason=reason, cell=cell.id, group=check)
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
    return Decision(
        check=check, verdict=verdict, value=across.agreement, limit=least, unit="fraction", reason=reason, cell=cell.id,
        against=across.reference, group=check,
    )  # fmt: skip


def _says_who_is_right(budget: Budget) -> bool:
    return budget.metric in ("agreement", "accuracy") or budget.metric.endswith("_drop")


def comparison_decision(c: Comparison) -> Decision:
    """A comparison as a check: slower than the margin fails, and what is not known is not passed."""
    return Decision(
        check=f"{c.metric} {c.stage} against {c.a}", verdict=_COMPARED[c.verdict], value=c.change.value, limit=c.margin,
        unit="fraction", reason=c.reason, group=f"{c.metric} {c.stage} of {c.b}",
    )  # fmt: skip


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
        where = {"cell": cell.id} if cell else {}
        check = f"regression {name} against {against}"
        if name in by_pipeline:
            decision = comparison_decision(by_pipeline[name])
            decisions.append(decision.model_copy(update={"check": check, "group": check, **where}))
        else:
            why = not_compared.get(name, "the reference configuration did not run in both pipelines")
            reason = f"no comparison was made: {why}"
            decisions.append(Decision(check=check, verdict="INCONCLUSIVE", reason=reason, group=check, **where))
    return decisions
