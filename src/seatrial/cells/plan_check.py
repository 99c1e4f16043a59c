"""A plan against the files that it names, without a run: what fits, what is odd, and what could not be checked here.

For: `seatrial plan check`. Not for: a trial (preflight.py), which also needs the backends, and the user's leave for code.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from seatrial.backends import availability
from seatrial.cells.model_checks import check_models
from seatrial.cells.preflight import preflight
from seatrial.plan import pipelines
from seatrial.plan.backends import chosen
from seatrial.plan.load import PlanFile
from seatrial.warning import Warning


@dataclass(frozen=True)
class PlanCheck:
    """warnings: as a run would give them. unchecked: what nobody looked at, each with why."""

    warnings: tuple[Warning, ...]
    unchecked: tuple[str, ...]


def check_files(plan: PlanFile) -> PlanCheck:
    """All of a preflight for which the files are there. SeatrialError as that; nothing of the user's code runs."""
    missing = _missing(plan)
    unchecked = [f"{path} is not there" for path in missing]
    warnings: list[Warning] = []
    if not missing:
        warnings = preflight(_on_backends_here(plan), True, lambda _what: None).warnings
    elif not any(
        plan.resolve(spec.model) == plan.resolve(path) for path in missing for spec in plan.plan.pipelines.values()
    ):
        warnings = check_models(plan)[2]
        unchecked.append("images and truth, without these")
    else:
        unchecked.append("models, images and truth, without these")
    absent = [c.label for c in plan.plan.matrix.choices if not availability(c.backend).ok]
    unchecked += [f"{', '.join(absent)}: not on this machine"] if absent else []
    code = [n for n, spec in plan.plan.pipelines.items() if _has_code(spec)]
    unchecked += [f"the Python stages of {', '.join(code)}: nothing was run"] if code else []
    return PlanCheck(tuple(warnings), (*unchecked, "what only a run shows: answers, time and accuracy"))


def _missing(plan: PlanFile) -> list[str]:
    """Paths of the plan, as it has them, at which nothing is."""
    images = plan.plan.images
    named = [spec.model for spec in plan.plan.pipelines.values()]
    named += [images.path] if isinstance(images.path, str) else images.path
    named += [path for path in (images.annotations, images.tags) if path is not None]
    return [path for path in dict.fromkeys(named) if not plan.resolve(path).exists()]


def _on_backends_here(plan: PlanFile) -> PlanFile:
    """The rest is told as not checked: a plan may be written on another machine than its own."""
    matrix = plan.plan.matrix
    here = [e for e in matrix.backends if availability(chosen(e).backend).ok]
    return replace(plan, plan=plan.plan.model_copy(update={"matrix": matrix.model_copy(update={"backends": here})}))


def _has_code(spec: pipelines.Pipeline) -> bool:
    return any(isinstance(stage, pipelines.UserCode) for stage in (spec.preprocess, spec.postprocess))
