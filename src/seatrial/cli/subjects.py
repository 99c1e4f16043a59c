"""Words for what bench and compare work on: MODEL.onnx, PLAN, PLAN:PIPELINE, demo, demo:PIPELINE."""

from __future__ import annotations

from pathlib import Path

from seatrial.plan import PlanFile, load_plan

PLAN_SUFFIXES = (".yaml", ".yml")


def is_plan(text: str) -> bool:
    path, _ = _split(text)
    return path == "demo" or path.endswith(PLAN_SUFFIXES)


def plan_of(text: str) -> PlanFile:
    from seatrial.demo import PLAN

    path, _ = _split(text)
    return load_plan(PLAN if path == "demo" else Path(path))


def pipeline_name(text: str, plan: PlanFile, position: int) -> str:
    """The pipeline behind the colon. Without one, the baseline at position 0, and the first other at 1."""
    from seatrial.plan.reference import baseline_name

    _, name = _split(text)
    if name:
        return name
    baseline = baseline_name(plan.plan)
    others = [n for n in plan.plan.pipelines if n != baseline] or [baseline]
    return (baseline, others[0])[position]


def _split(text: str) -> tuple[str, str]:
    """PLAN and the pipeline behind its colon, or ''."""
    if text.endswith(PLAN_SUFFIXES):
        return text, ""
    path, _, name = text.partition(":") if text.partition(":")[0] == "demo" else text.rpartition(":")
    return path, name
