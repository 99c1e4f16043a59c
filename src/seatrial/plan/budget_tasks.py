"""Metrics that the tasks of a plan's pipelines can have: a budget on another one would end without a verdict.

For: load.py, so that it is told before a run. Not for: judging (gate), or what a metric is (docs/plan.md).
"""

from __future__ import annotations

from seatrial.plan.models import Plan
from seatrial.plan.pipelines import Postprocess
from seatrial.plan.source import KeyPath
from seatrial.plan.tasks import OBJECTS

_OF_TASK: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(OBJECTS, ("accuracy", "map_drop")),
    "classify": ("accuracy", "top1_drop"),
    "multi_label": ("accuracy", "f1_drop"),
    "segment": ("accuracy", "miou_drop"),
    "dense": ("abs_rel", "rmse"),
    "db": ("accuracy", "hmean_drop"),
    "ctc": ("accuracy", "word_accuracy_drop"),
}
_JUDGED = {metric for metrics in _OF_TASK.values() for metric in metrics}


def impossible_budgets(plan: Plan) -> list[tuple[KeyPath, str]]:
    """Each with its place in the plan. What a user's own stage gives is not known: it may have any."""
    problems: list[tuple[KeyPath, str]] = []
    for i, budget in enumerate(plan.budgets):
        concerned = [p for name, p in plan.pipelines.items() if name in (budget.where.pipeline or plan.pipelines)]
        posts = [p.postprocess for p in concerned if isinstance(p.postprocess, Postprocess)]
        if budget.metric not in _JUDGED or not posts or len(posts) < len(concerned):
            continue
        if any(budget.metric in _metrics(post) for post in posts):
            continue
        said = f"task '{posts[0].task}' has no '{budget.metric}'"
        there = " or ".join(f"'{m}'" for m in _metrics(posts[0]))
        problems.append(
            (("budgets", i, "metric"), f"{said}; {f'use {there}' if there else 'it is held against no truth'}")
        )
    return problems


def _metrics(post: Postprocess) -> tuple[str, ...]:
    key = (post.format or "") if post.task == "text" else "multi_label" if post.multi_label else post.task
    return _OF_TASK.get(key, ())
