"""`seatrial parity` from a plan to a record: sides made ready, the candidate tapped, the diagnosis, each in its own process.

For: the order of things. Not for: what happens in those processes (job.py, own_code.py, tap_job.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from seatrial.cells.preflight import Ready, preflight
from seatrial.diagnosis import job, own_code
from seatrial.diagnosis.alone import SHARE_OF_TIME, not_run_again
from seatrial.diagnosis.answers import answers_as_taps
from seatrial.diagnosis.begun import failed
from seatrial.diagnosis.inside import LookInside, with_inside
from seatrial.diagnosis.loss import Loss, with_loss
from seatrial.diagnosis.of_the_plan import declared, with_fix
from seatrial.diagnosis.sides import Side, reference_side, side_of
from seatrial.diagnosis.tap import largest_batch, tap_side, workload_of_side
from seatrial.diagnosis.tap_job import TapAnswer
from seatrial.diagnosis.task_metrics import truth_figures
from seatrial.errors import BrokenProcessError, CodeRefusedError, PlanError, SeatrialError, UsageError, option
from seatrial.gate.budgets import concerns
from seatrial.history.records import Environment
from seatrial.history.records.diagnosis import ParityRecord, TaskFigure
from seatrial.history.run_folder import RunFolder
from seatrial.jobs.job import AnswerT, Tell
from seatrial.jobs.process import Ended, run_job
from seatrial.jobs.workload import PipelineWorkload
from seatrial.machine.environment import environment
from seatrial.plan.load import PlanFile
from seatrial.warning import Warning

# Of a process beside what it is given for its work: opening, and a runtime's own start.
START_S = 120.0
# Of a candidate that is run here: as long as a model is slow, so long it takes. More where more was given for the diagnosis.
TAP_S = 3600.0
Says = Callable[[str], None]


@dataclass(frozen=True)
class Candidate:
    """One of: side, a cell of the plan; function, 'module:function'; taps, a folder; answers, a file."""

    name: str
    side: Side | None = None
    function: str = ""
    taps: Path | None = None
    answers: Path | None = None


def candidate_of(
    plan: PlanFile, reference: Side, text: str | None, taps: Path | None, answers: Path | None
) -> Candidate:
    """From what the command was given. UsageError where that is nothing, or too much."""
    given = [n for n, v in (("candidate", text), ("taps", taps), ("answers", answers)) if v]
    if len(given) > 1:
        named = " and ".join(option(n) for n in given)
        raise UsageError(f"expected one candidate, got {named}; give one of them")
    if taps:
        return Candidate(str(taps), taps=taps)
    if answers:
        return Candidate(str(answers), answers=answers)
    if text and ":" in text:
        return Candidate(text, function=text)
    if text:
        return Candidate(text, side=side_of(plan, text))
    others = [n for n in plan.plan.pipelines if n != reference.pipeline]
    if not others:
        wanted = ", ".join(option(n) for n in ("taps", "answers", "candidate"))
        raise UsageError(
            f"{plan.path} has one pipeline, {reference.pipeline}; say what it is held against: {wanted} (another cell, such as "
            f"{reference.pipeline}.openvino-cpu)"
        )
    return Candidate(others[0], side=reference_side(plan, others[0]))


def run_parity(
    plan: PlanFile,
    run: RunFolder,
    reference: str | None,
    candidate: Candidate | Callable[[Side], Candidate],
    *,
    time_s: float,
    allow_code: bool = False,
    says: Says = lambda _said: None,
    look: LookInside | None = None,
) -> ParityRecord:
    """look: what searches two models, where raw outputs differ.

    Raises what preflight raises, PlanError where the user's own code broke, BrokenProcessError where another process did.
    """
    side = side_of(plan, reference) if reference else reference_side(plan)
    other = candidate(side) if callable(candidate) else candidate
    if other.function and not allow_code:
        raise CodeRefusedError(
            f"{other.function} is Python code, which would be run; read it, then give {option('allow_code')}"
        )
    ready = preflight(plan, allow_code, says)
    record = diagnose_sides(ready, run, side, other, time_s, says)
    if look is None or other.side is None or not record.outputs_differ:
        return record
    sides = [workload_of_side(ready, run, s) for s in (side, other.side)]
    return with_inside(record, sides[0], sides[1], look, time_s - record.wall_s, says)


def diagnose_sides(
    ready: Ready,
    run: RunFolder,
    side: Side,
    other: Candidate,
    time_s: float,
    says: Says = lambda _said: None,
    work: Path | None = None,
) -> ParityRecord:
    """Of a plan that was checked. side: the reference. work: a folder for its processes, by default the run's own."""
    work = work or run.work
    workload = workload_of_side(ready, run, side)

    def tell(step: str, share: float) -> None:
        says(f"{step} … {share:.0%}" if share else step)

    taps, tapped, warnings = _taps(ready, run, workload, other, tell, work, time_s)
    task = job.DiagnoseTask(
        workload=workload,
        reference=side.id,
        candidate=other.name,
        taps=str(taps),
        time_s=time_s,
        other_model=_other_model(ready, side, other),
        other_backend=_backend_of(ready, other.side) if other.side else "",
        other_precision=other.side.precision if other.side else "",
        other_invariants=tapped.invariants if tapped else not_run_again(),
        other_computed_in=tapped.computed_in if tapped else {},
        other_range=tapped.input_range if tapped else None,
        required=_required(ready, other.side) if other.side else None,
        together=largest_batch(ready),
        choices=tuple(ready.plan.plan.matrix.choices),
        same_by_plan=_same_by_plan(ready, side, other),
        least_agreement=ready.plan.plan.parity.agreement if ready.plan.plan.parity else None,
    )
    at = work / "diagnosis"
    ended = run_job(job.JOB, task, at, TAP_S + time_s + START_S, tell, time_option=option("max_time"))
    record = _done(ended, "the diagnosis", at, BrokenProcessError)
    figures, loss, problem = _truth_figures(ready, at, side, other)
    warnings += [*record.warnings, *problem]
    task_figures = (*record.task, *figures)
    update = {"declared": declared(ready, side, other.side), "warnings": tuple(warnings), "task": task_figures}
    record = with_loss(record.model_copy(update=update), loss, ready.plan.plan, other.side)
    return _finished(record, ready, side, other)


def _other_model(ready: Ready, side: Side, other: Candidate) -> bool:
    if other.side is None:
        return False
    return ready.models[side.pipeline].digest != ready.models[other.side.pipeline].digest


def _same_by_plan(ready: Ready, side: Side, other: Candidate) -> bool:
    """One cell under two names, or one."""
    return other.side is not None and not _other_model(ready, side, other) and not declared(ready, side, other.side)


def _backend_of(ready: Ready, side: Side) -> str:
    """Which it is, whatever the plan calls it."""
    return next(c.backend for c in ready.plan.plan.matrix.choices if c.label == side.backend)


def _required(ready: Ready, side: Side) -> float | None:
    """What share of a cell's products has to compute in its precision, by the plan's budgets."""
    plan = ready.plan.plan
    return max((b.limit for b in plan.budgets if b.metric == "computed_in" and concerns(plan, b, side)), default=None)


def _taps(
    ready: Ready, run: RunFolder, reference: PipelineWorkload, other: Candidate, tell: Tell, work: Path, time_s: float
) -> tuple[Path, TapAnswer | None, list[Warning]]:
    """The folder of what the candidate shows, what is known of one that was run here, and what is to be said of how it came
    about. time_s: for the diagnosis, which a part of is for what must hold of the candidate by itself."""
    if other.taps:
        return other.taps.absolute(), None, []
    out = work / "taps"
    if other.function:
        task = own_code.OwnCodeTask(workload=replace(reference, allow_code=True), function=other.function, out=str(out))
        at = work / "candidate"
        ended = run_job(own_code.JOB, task, at, max(TAP_S, time_s), tell, time_option=option("max_time"))
        _done(ended, other.function, at, PlanError)
        return out, None, []
    if other.answers:
        # COCO's results have no row for an image without objects; that some have none is said.
        return out, None, list(answers_as_taps(other.answers, ready, reference.name, out, rowless_are_empty=True))
    assert other.side
    timeout_s, alone_s = max(TAP_S, time_s), time_s * SHARE_OF_TIME
    tapped = tap_side(ready, run, other.side, out, timeout_s, tell, alone_s, option("max_time"))
    if not tapped.changed:
        return out, tapped, []
    said = f"{other.name} changes its {' and '.join(tapped.changed)} in place; what was compared is from before"
    cure = "copy in the stage that writes, or nobody else can trust the image"
    return out, tapped, [Warning("changed-in-place", said, cure)]


def _truth_figures(
    ready: Ready, folder: Path, side: Side, other: Candidate
) -> tuple[list[TaskFigure], Loss | None, list[Warning]]:
    """And a warning where results cannot be judged."""
    pipelines = side.pipeline, other.side.pipeline if other.side else side.pipeline
    try:
        return *truth_figures(ready, folder, pipelines), []
    except (SeatrialError, ValueError) as e:
        return [], None, [Warning("task-not-judged", f"both sides' results cannot be held against the truth: {e}")]


def _done(ended: Ended[AnswerT], what: str, folder: Path, otherwise: type[SeatrialError]) -> AnswerT:
    if ended.answer is None:
        raise failed(ended, what, folder, otherwise)
    return ended.answer


def _finished(record: ParityRecord, ready: Ready, side: Side, other: Candidate) -> ParityRecord:
    """With what only this process knows: the plan's lines, its warnings, the machine."""
    found = tuple(
        with_fix(d, ready.plan, side.pipeline, other.side.pipeline if other.side else "") for d in record.diagnosis
    )
    return record.model_copy(
        update={
            "diagnosis": found,
            "warnings": (*ready.warnings, *record.warnings),
            "environment": Environment.model_validate(environment()),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
        }
    )
