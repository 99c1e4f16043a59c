"""`seatrial parity` from a plan to a record: sides made ready, the candidate tapped, the diagnosis, each in its own process.

For: the order of things. Not for: what happens in those processes (job.py, own_code.py, tap_job.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from seatrial.cells.matrix import Cell
from seatrial.cells.preflight import Ready, preflight
from seatrial.cells.prepare import prepare_variants, workload_of
from seatrial.cells.watch import Watcher
from seatrial.diagnosis import job, own_code, tap_job
from seatrial.diagnosis.sides import Side, reference_side, side_of
from seatrial.errors import CellError, CodeRefusedError, UsageError, error_of, option
from seatrial.faults.names import NAMES
from seatrial.history.records import Environment
from seatrial.history.records.diagnosis import Diagnosis, ParityRecord
from seatrial.history.run_folder import RunFolder
from seatrial.jobs.job import AnswerT, Tell
from seatrial.jobs.process import Ended, run_job
from seatrial.jobs.workload import PipelineWorkload
from seatrial.machine.environment import environment
from seatrial.plan.load import PlanFile
from seatrial.runtimes.choice import BackendChoice

# Of a process beside what it is given for its work: opening, and a runtime's own start.
START_S = 120.0
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
) -> ParityRecord:
    """Raises what preflight raises, and CellError where a process broke."""
    side = side_of(plan, reference) if reference else reference_side(plan)
    other = candidate(side) if callable(candidate) else candidate
    if other.function and not allow_code:
        raise CodeRefusedError(
            f"{other.function} is Python code, which would be run; read it, then give {option('allow_code')}"
        )
    return diagnose_sides(preflight(plan, allow_code, says), run, side, other, time_s, says)


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
    workload = _workload(ready, run, side)

    def tell(step: str, share: float) -> None:
        says(f"{step} … {share:.0%}" if share else step)

    task = job.DiagnoseTask(
        workload=workload,
        reference=side.id,
        candidate=other.name,
        taps=str(_taps(ready, run, workload, other, tell, work)),
        time_s=time_s,
        other_model=_other_model(ready, side, other),
    )
    record = _done(run_job(job.JOB, task, work / "diagnosis", time_s + START_S, tell), "the diagnosis")
    return _finished(record, ready.plan, side, ready)


def _workload(ready: Ready, run: RunFolder, side: Side) -> PipelineWorkload:
    cell = Cell(side.pipeline, side.backend, side.precision, side.batch, side.threads, of=_choice(ready, side))
    made = prepare_variants(ready, run, [cell], Watcher())[side.pipeline, side.precision]
    if isinstance(made, Ended):
        raise CellError(f"{side.id}: its {side.precision} model could not be made: {made.reason}")
    return workload_of(ready, cell, made)


def _other_model(ready: Ready, side: Side, other: Candidate) -> bool:
    if other.side is None:
        return False
    return ready.models[side.pipeline].digest != ready.models[other.side.pipeline].digest


def _choice(ready: Ready, side: Side) -> BackendChoice:
    return next(c for c in ready.plan.plan.matrix.choices if c.label == side.backend)


def _taps(ready: Ready, run: RunFolder, reference: PipelineWorkload, other: Candidate, tell: Tell, work: Path) -> Path:
    """The folder of what the candidate shows."""
    if other.taps:
        return other.taps.absolute()
    out = work / "taps"
    if other.function:
        task = own_code.OwnCodeTask(workload=replace(reference, allow_code=True), function=other.function, out=str(out))
        _done(run_job(own_code.JOB, task, work / "candidate", 3600.0, tell), other.function)
        return out
    assert other.side
    own = _workload(ready, run, other.side)
    tapping = tap_job.TapTask(workload=own, out=str(out), producer=f"seatrial, {other.side.id}")
    _done(run_job(tap_job.JOB, tapping, work / "candidate", 3600.0, tell), other.name)
    return out


def _done(ended: Ended[AnswerT], what: str) -> AnswerT:
    if ended.answer is None:
        raise error_of(ended.failure) if ended.failure else CellError(f"{what} ended without a word")
    return ended.answer


def _finished(record: ParityRecord, plan: PlanFile, side: Side, ready: Ready) -> ParityRecord:
    """With what only this process knows: the plan's lines, its warnings, the machine."""
    found = tuple(_with_fix(d, plan, side) for d in record.diagnosis)
    return record.model_copy(
        update={
            "diagnosis": found,
            "warnings": (*ready.warnings, *record.warnings),
            "environment": Environment.model_validate(environment()),
        }
    )


def _said(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_said, value))}]"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _with_fix(d: Diagnosis, plan: PlanFile, side: Side) -> Diagnosis:
    """at: the plan's line that says what the reference does, with its value."""
    assert d.fault in NAMES
    keys = d.at.split(".")
    value: object = plan.plan.pipelines[side.pipeline]
    for key in keys:
        value = getattr(value, key, None)
    where = plan.where(("pipelines", side.pipeline, *keys))
    said = f"{where}: {_said(value)}" if isinstance(value, str | int | float | tuple) else where
    return d.model_copy(update={"at": said})
