"""Which budgets can judge which task at all. For: load.py, which refuses the others before anything runs.

Not for: whether a truth fits a task (cells/class_checks.py), or verdicts (gate).
"""

from __future__ import annotations

from seatrial.plan.budgets import Budget
from seatrial.plan.models import Plan
from seatrial.plan.pipelines import Postprocess
from seatrial.plan.reference import baseline_name

OBJECTS = ("accuracy", "map_drop", "agreement")
# By task, and by format where that says more: what judges its results, best first. Latency and its like judge any.
JUDGED_BY: dict[str, tuple[str, ...]] = {
    "detect": OBJECTS,
    "instances": OBJECTS,
    "pose": OBJECTS,
    "oriented": OBJECTS,
    "classify": ("accuracy", "top1_drop", "agreement"),
    "multi_label": ("accuracy", "f1_drop", "agreement"),
    "segment": ("accuracy", "miou_drop", "agreement"),
    "dense": ("abs_rel", "rmse", "agreement"),
    "db": ("accuracy", "hmean_drop", "agreement"),
    "ctc": ("accuracy", "word_accuracy_drop", "agreement"),
    "embed": ("agreement",),
    "raw": (),
}
_OF_RESULTS = frozenset(metric for metrics in JUDGED_BY.values() for metric in metrics)


def unfit(plan: Plan, budget: Budget) -> str:
    """Why a budget cannot judge a pipeline that it is about, and what can; '' where it can, or only a run tells: of a Python
    stage nobody knows what it gives."""
    if budget.metric not in _OF_RESULTS:
        return ""
    for name in _concerned(plan, budget):
        post = plan.pipelines[name].postprocess
        if not isinstance(post, Postprocess) or budget.metric in JUDGED_BY[kind_of(post)]:
            continue
        able = JUDGED_BY[kind_of(post)]
        cure = f"use {' or '.join(able)}" if able else "raw tensors are judged by 'parity' alone: take this budget out"
        others = ", or name the pipelines that it judges: where: {pipeline: …}" if len(plan.pipelines) > 1 else ""
        return f"'{budget.metric}' does not judge {_called(post)} (pipelines.{name}); {cure}{others}"
    return _unlike_reference(plan, budget)


def kind_of(post: Postprocess) -> str:
    """A key of JUDGED_BY."""
    if post.task == "text":
        return post.format or "db"
    return "multi_label" if post.multi_label else post.task


def _called(post: Postprocess) -> str:
    more = f", format '{post.format}'" if post.task == "text" else " with multi_label" if post.multi_label else ""
    return f"task '{post.task}'{more}"


def _unlike_reference(plan: Plan, budget: Budget) -> str:
    """A drop is one of the reference's own figure: of masks none of boxes."""
    if not budget.metric.endswith("_drop") or baseline_name(plan) not in plan.pipelines:
        return ""
    reference = baseline_name(plan)
    base = plan.pipelines[reference].postprocess
    for name in _concerned(plan, budget):
        post = plan.pipelines[name].postprocess
        if not isinstance(post, Postprocess) or not isinstance(base, Postprocess) or kind_of(post) == kind_of(base):
            continue
        return (
            f"'{budget.metric}' needs the figure of the reference {reference}, of {_called(base)}, which {name}, of "
            f"{_called(post)}, does not have; use accuracy, or a reference of the same task"
        )
    return ""


def _concerned(plan: Plan, budget: Budget) -> list[str]:
    """Of the pipelines that it judges: those that `where` names, else the candidates, or the only one."""
    if budget.where.pipeline is not None:
        return [name for name in budget.where.pipeline if name in plan.pipelines]
    names = list(plan.pipelines)
    return names if len(names) == 1 else [name for name in names if name != baseline_name(plan)]
