"""The end of a trial: judge, bind decisions to their evidence, draw, record, clean up. Not for: running cells."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from seatrial.cells.preflight import Ready
from seatrial.errors import ExitCode, ResultsError
from seatrial.gate.budgets import Evaluations
from seatrial.gate.verdict import RULES, exit_code, judge, overall
from seatrial.history.records import (
    CONVERSIONS,
    CellRecord,
    Comparison,
    Decision,
    Environment,
    ImagesSection,
    ParityRecord,
    Picture,
    PlanSection,
    Record,
)
from seatrial.history.run_folder import RunFolder
from seatrial.history.samples import load_samples
from seatrial.history.sections import model_section
from seatrial.jobs.summarise import stage_seconds
from seatrial.trial.noise_floor import Repeated
from seatrial.trial.pictures import draw_pictures
from seatrial.warning import Warning

Explained = tuple[list[Decision], list[ParityRecord], list[Warning]]
Explain = Callable[[Sequence[CellRecord], Sequence[Decision]], Explained]


@dataclass(frozen=True)
class Outcome:
    """What a trial leaves: its record, its folder, and the command's exit code."""

    record: Record
    run: RunFolder
    exit_code: ExitCode


@dataclass(frozen=True)
class Findings:
    """What a trial found until it ended or was stopped.

    not_compared: why pipelines could not be compared with the regression's baseline, by their names. repeated: what came of
    the cell that was measured once more.
    """

    evaluations: Evaluations
    cells: Sequence[CellRecord] = ()
    comparisons: Sequence[Comparison] = ()
    not_compared: Mapping[str, str] = field(default_factory=dict)
    repeated: Repeated = field(default_factory=Repeated)
    interrupted: bool = False
    wall_s: float = 0.0


def conclude(ready: Ready, run: RunFolder, found: Findings, explain: Explain) -> Outcome:
    """Judges, records, cleans up. An interrupted run keeps its cells and work for --resume, and gets no record file.

    explain: gives the decisions back, the known mistake in the reasons of those that failed.
    """
    cells, repeated = found.cells, found.repeated
    plan = ready.plan.plan
    decisions = judge(
        plan,
        cells,
        lambda c, stage: stage_seconds(c, load_samples(run.work, c.id), stage),
        found.evaluations,
        found.comparisons,
        found.not_compared,
        repeated.floor,
        {repeated.cell: repeated.broke} if repeated.broke else {},
    )
    verdict = overall(decisions) if not found.interrupted else "INCONCLUSIVE"
    pictures, warnings = _pictures(ready, run, found) if not found.interrupted else ((), tuple(ready.warnings))
    diagnoses: Sequence[ParityRecord] = ()
    if not found.interrupted:
        decisions, diagnoses, unexplained = explain(cells, decisions)
        warnings = (*warnings, *unexplained)
    start = run.start()
    record = Record(
        conversions=CONVERSIONS,
        id=run.path.name,
        created=start.created,
        status="interrupted" if found.interrupted else "complete",
        verdict=verdict,
        wall_s=round(found.wall_s, 2),
        plan=PlanSection(
            path=str(ready.plan.path),
            digest=ready.plan.digest,
            text=ready.plan.text,
            resolved=plan.model_dump(mode="json"),
            changes=dict(ready.plan.changes),
        ),
        images=ImagesSection(
            count=len(ready.images),
            digest=ready.images_digest,
            names=tuple(i.name for i in ready.images),
            sizes_hw=tuple(ready.sizes_hw),
            annotations=plan.images.annotations,
            truth_digest=ready.truth_digest,
        ),
        models={name: model_section(ready.models[name], ready.labels[name]) for name in plan.pipelines},
        # Of before the first cell: by now the load is our own.
        environment=start.environment or Environment(),
        cells=tuple(cells),
        rules=RULES,
        decisions=tuple(decisions),
        comparisons=tuple(found.comparisons),
        noise_floor=repeated.floor,
        pictures=pictures,
        warnings=(*warnings, *_noise_floor(repeated)),
        diagnoses=tuple(diagnoses),
    )
    if found.interrupted:
        return Outcome(record, run, ExitCode.INTERRUPTED)
    evaluations = {c.id: e for c in cells if c.status == "ok" and (e := found.evaluations(c)) is not None}
    record = run.save_record(record, evaluations)
    return Outcome(record, run, exit_code(verdict, cells))


def _pictures(ready: Ready, run: RunFolder, found: Findings) -> tuple[tuple[Picture, ...], tuple[Warning, ...]]:
    """Pictures for the report, and the run's warnings. What can't be drawn is never worth the record."""
    try:
        return tuple(draw_pictures(ready, run, found.cells, found.evaluations)), tuple(ready.warnings)
    except Exception as e:
        said = e.for_command_line() if isinstance(e, ResultsError) else f"{type(e).__name__}: {e}"
        return (), (*ready.warnings, Warning("no-pictures", f"the pictures could not be drawn: {said}"))


def _noise_floor(repeated: Repeated) -> list[Warning]:
    said = f"the noise floor beside budgets on time is not known: {repeated.problem}"
    return [Warning("noise-floor", said)] if repeated.problem else []
