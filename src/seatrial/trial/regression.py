"""The regression of a trial: every other pipeline against the baseline, in lock-step. Not for: rounds (compare/)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from seatrial.cells.matrix import Cell
from seatrial.cells.prepare import NoModel, Variants, workload_of
from seatrial.compare.question import Question
from seatrial.compare.rounds import CutShortError, compare_sides
from seatrial.compare.turner import Side
from seatrial.compare.verdicts import adjust_for_many
from seatrial.errors import CellError, ResultsError, SeatrialError
from seatrial.history.records import CellRecord, Comparison
from seatrial.jobs.process import Ended
from seatrial.plan.reference import is_reference_configuration
from seatrial.trial.context import TrialContext


def run_regression(
    trial: TrialContext, variants: Variants, records: Mapping[str, CellRecord]
) -> tuple[list[Comparison], dict[str, SeatrialError]]:
    """Every other pipeline against the regression's baseline, in lock-step, in the reference configuration.

    And what kept pipelines from being compared, by name: the trial's other results stand. KeyboardInterrupt where the user
    stops it; ResultsError where the run's folder takes no more.
    """
    plan = trial.ready.plan.plan
    asked = plan.regression
    if asked is None:
        return [], {}
    ran = [c for c in trial.cells if is_reference_configuration(plan, c) and records[c.id].status == "ok"]
    own = {c.pipeline: c for c in ran}
    baseline = own.pop(asked.against, None)
    if baseline is None:
        return [], {}
    question = Question(
        margin=asked.margin,
        max_time_s=asked.max_time,
        alpha=1 - asked.confidence,
        seed=plan.measure.seed,
        time_key="regression.max_time",
    )
    comparisons: list[Comparison] = []
    problems: dict[str, SeatrialError] = {}
    for name, cell in own.items():
        try:
            comparisons += _compare(trial, baseline, cell, variants, question)
        except ResultsError:
            raise
        except CutShortError as e:
            if e.interrupted:
                raise KeyboardInterrupt from e
            comparisons += e.comparisons
        except SeatrialError as e:
            problems[name] = e
    return adjust_for_many(comparisons, 1 - question.confidence), problems


def _compare(
    trial: TrialContext, baseline: Cell, cell: Cell, variants: Variants, question: Question
) -> list[Comparison]:
    made = trial.variants([baseline, cell], variants)
    a, b = (_side(trial, c, made[c.pipeline, c.precision]) for c in (baseline, cell))
    folder = trial.run.work / f"regression.{cell.pipeline}"
    found = compare_sides(a, b, question, folder, (baseline.pipeline, cell.pipeline), trial.watcher.of(cell))
    # Each round opens both models again.
    trial.check_inputs(baseline, cell)
    return found


def _side(trial: TrialContext, cell: Cell, model: Path | NoModel) -> Side:
    """SeatrialError where its model could not be made, or is not what was hashed."""
    if isinstance(model, Ended):
        raise CellError(f"the {cell.precision} model of {cell.pipeline} could not be made: {model.reason}")
    trial.check_inputs(cell)
    return Side(cell.pipeline, workload_of(trial.ready, cell, model))
