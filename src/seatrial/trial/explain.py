"""Why a pipeline's answers failed: the known mistake that explains it, in the reasons of the decisions.

For: a trial's own diagnosis, within a time of its own. Not for: the diagnosis itself (diagnosis/), or who asks for it alone
(`seatrial parity`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from seatrial.diagnosis.inside import LEAST_S, with_inside
from seatrial.diagnosis.run import Candidate, diagnose_sides
from seatrial.diagnosis.sides import Side, reference_side
from seatrial.diagnosis.tap import workload_of_side
from seatrial.diagnosis.verdict import UNEXPLAINED
from seatrial.errors import SeatrialError, short_list
from seatrial.history.records import CellRecord, Decision
from seatrial.history.records.diagnosis import ParityRecord
from seatrial.localise.sides import look_inside
from seatrial.plan.reference import baseline_name, is_reference_configuration
from seatrial.trial.context import TrialContext
from seatrial.warning import Warning

# For all pipelines of a trial together, less what tapping takes: the verdict stands without it. Where both sides run one model
# so much of it is for known mistakes, and what is left for the search inside.
TIME_S, FOR_MISTAKES = 60.0, 0.6
_CURE = "ask 'seatrial parity' with that cell as the candidate"
_OF_ANSWERS = ("parity", "agreement", "map_drop", "accuracy", "outputs without NaN")


def explained(
    trial: TrialContext, cells: Sequence[CellRecord], decisions: Sequence[Decision]
) -> tuple[list[Decision], list[ParityRecord], list[Warning]]:
    """The decisions, those that failed with the fault's name in the reason; the diagnoses; and why one could not be made."""
    failing = _failing(trial, cells, decisions)
    found: dict[str, ParityRecord] = {}
    warnings = []
    for name, (reference, candidate) in failing.items():
        try:
            trial.watcher.diagnoses(name)
            found[name] = _diagnosed(trial, reference, candidate, TIME_S / len(failing))
        except SeatrialError as e:
            said = f"why the answers of {name} failed could not be looked into: {e.for_command_line()}"
            warnings.append(Warning("not-explained", said, _CURE))
    unsearched = [(r, w) for r in found.values() for w in r.warnings if w.code == "inside-not-searched"]
    warnings += [replace(w.of(r.candidate), cure=w.cure or _CURE) for r, w in unsearched]
    warnings += _not_looked_into(cells, decisions, list(found.values()))
    reasons = {record.candidate: words for record in found.values() if (words := _words(record))}
    return [_with_reason(d, cells, reasons) for d in decisions], list(found.values()), warnings


def _diagnosed(trial: TrialContext, reference: Side, candidate: Side, time_s: float) -> ParityRecord:
    """Of one model on two backends or in two precisions also which node makes its raw outputs differ."""
    ready, run = trial.ready, trial.run
    one_model = ready.models[reference.pipeline].digest == ready.models[candidate.pipeline].digest
    # Shared by several pipelines it may be too little for a search, and mistakes come first.
    split = one_model and time_s * (1 - FOR_MISTAKES) >= LEAST_S
    record = diagnose_sides(
        ready,
        run,
        reference,
        Candidate(candidate.id, side=candidate),
        time_s * (FOR_MISTAKES if split else 1),
        work=run.work / f"diagnosis.{candidate.pipeline}",
    )
    if not one_model or not record.outputs_differ:
        return record
    sides = [workload_of_side(ready, run, side) for side in (reference, candidate)]
    return with_inside(record, sides[0], sides[1], look_inside, time_s - record.wall_s)


def _failing(
    trial: TrialContext, cells: Sequence[CellRecord], decisions: Sequence[Decision]
) -> dict[str, tuple[Side, Side]]:
    """Of each pipeline whose answers failed: what to hold against what. In the reference's own configuration another pipeline
    against the baseline; where only other configurations failed, those against the pipeline's own."""
    plan = trial.ready.plan
    by_id = {c.id: c for c in cells if c.status == "ok"}
    failed: dict[str, list[CellRecord]] = {}
    for d in decisions:
        if _is_of_answers(d) and d.cell in by_id:
            failed.setdefault(by_id[d.cell].pipeline, []).append(by_id[d.cell])
    found = {}
    for name, own in failed.items():
        as_reference = [c for c in own if is_reference_configuration(plan.plan, c)]
        if as_reference and name != baseline_name(plan.plan):
            found[name] = reference_side(plan), reference_side(plan, name)
        elif not as_reference:
            c = own[0]
            found[name] = reference_side(plan, name), Side(name, c.backend, c.precision, c.batch, c.threads)
    return found


def _words(record: ParityRecord) -> str:
    """'' where nothing is known that the reason does not say already."""
    said = _mistake(record)
    jumps = record.inside.jumps if record.inside else ()
    if not jumps:
        return said
    more = f" and {len(jumps) - 1} more" if len(jumps) > 1 else ""
    return "; ".join(filter(None, (said, f"inside the model, first at {jumps[0].said}{more}")))


def _mistake(record: ParityRecord) -> str:
    # In more bits than were asked for no answer gets worse.
    named = [d for d in record.diagnosis if d.fault != "precision-not-applied"]
    if named:
        faults = " and ".join(dict.fromkeys(d.fault for d in named))
        return f"known mistake: {faults}, at '{named[0].stage}'"
    if record.verdict == "DIFFER":
        said = UNEXPLAINED in record.reason or record.left
        said = said or any(w.code == "diagnosis-cut-short" for w in record.warnings)
        return record.reason if said else f"no known mistake explains it: {record.reason}"
    return ""


def _is_of_answers(d: Decision) -> bool:
    return d.verdict == "FAIL" and d.check.startswith(_OF_ANSWERS)


def _with_reason(d: Decision, cells: Sequence[CellRecord], reasons: Mapping[str, str]) -> Decision:
    """reasons: by the cell that was looked into. Another batch or number of threads may be wrong by the same, which is said as
    what it is; another backend or precision has mistakes of its own."""
    if not _is_of_answers(d):
        return d
    words = reasons.get(d.cell)
    own = _model_run(cells, d.cell)
    if words is None and own is not None:
        words = next((f"as of {c}: {said}" for c, said in reasons.items() if _model_run(cells, c) == own), None)
    return d.model_copy(update={"reason": f"{d.reason}; {words}"}) if words else d


def _model_run(cells: Sequence[CellRecord], name: str) -> tuple[str, str, str] | None:
    """Pipeline, backend and precision of the cell so called."""
    return next(((c.pipeline, c.backend, c.precision) for c in cells if c.id == name), None)


def _not_looked_into(
    cells: Sequence[CellRecord], decisions: Sequence[Decision], found: Sequence[ParityRecord]
) -> list[Warning]:
    """Failing backends and precisions of a pipeline of which another one was diagnosed."""
    known = [run for record in found if (run := _model_run(cells, record.candidate))]
    pipelines = {pipeline for pipeline, _, _ in known}
    others: dict[tuple[str, str, str], str] = {}
    for d in decisions:
        run = _model_run(cells, d.cell)
        if _is_of_answers(d) and run and run[0] in pipelines and run not in known:
            others.setdefault(run, d.cell)
    if not others:
        return []
    named = short_list(list(others.values()))
    said = f"why the answers of {named} failed was not looked into: one configuration of a pipeline is"
    return [Warning("not-explained", said, _CURE)]
