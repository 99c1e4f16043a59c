"""A comparison from subjects to record: lock-step rounds of what can run, or two stored runs side by side.

For: `seatrial compare`. Not for: the rounds (rounds.py) or what subjects are (sides.py).
"""

from __future__ import annotations

import time
from typing import Literal

from seatrial.compare.question import Question
from seatrial.compare.record import now, record_comparisons
from seatrial.compare.rounds import CutShortError, Tell, compare_sides
from seatrial.compare.sides import Subject, called_alike, distinct_labels
from seatrial.compare.turn_task import ModelTurns
from seatrial.compare.turner import Side
from seatrial.errors import DataError, UsageError, option
from seatrial.history.records import Asked, AskedSide, Comparison, Environment, Record, RunStart
from seatrial.history.run_folder import RunFolder
from seatrial.interrupts import interrupts_held
from seatrial.machine.environment import environment
from seatrial.warning import Warning


def run_comparison(
    run: RunFolder, a: Subject, b: Subject, question: Question, tell: Tell
) -> tuple[Record, CutShortError | None]:
    """Compares in lock-step, and writes the record into the run's folder, which is entered.

    Rounds that were done before a side broke, or before Ctrl-C, are kept in a record that says so, and what ended them is
    given beside it.

    Raises:
        ResultsError: the folder takes no more; the message says where the rounds are kept.
        UsageError: the sides differ in their batch or their images, or no verdict would fit into the time.
        SeatrialError: a side could not load, or broke in the first round.
    """
    return _run_rounds(run, a, b, question, tell)


def _run_rounds(
    run: RunFolder, a: Subject, b: Subject, question: Question, tell: Tell
) -> tuple[Record, CutShortError | None]:
    began = time.monotonic()
    machine = Environment.model_validate(environment())
    cut: CutShortError | None = None
    _check_inputs(a, b)
    a, b = distinct_labels(a, b)
    mine, theirs, said = called_alike(a.side, b.side)
    run.save_start(RunStart(kind="compare", created=now(), subject=(a.label, b.label)))
    try:
        comparisons = compare_sides(mine, theirs, question, run.work / "rounds", (a.label, b.label), tell)
    except CutShortError as e:
        comparisons, cut = e.comparisons, e
    # A minute's rounds are in memory only: Ctrl-C comes behind their record.
    with interrupts_held():
        # Each round opens both models again.
        if why := a.changed() or b.changed():
            comparisons = [_not_called(c, why) for c in comparisons]
            cut = CutShortError(comparisons, DataError(why))
        comparisons = [_with_its_question(c, question, mine, theirs, said) for c in comparisons]
        wall_s = time.monotonic() - began
        status: Literal["complete", "interrupted"] = "interrupted" if cut else "complete"
        warnings = tuple(dict.fromkeys((*a.warnings, *b.warnings)))
        models = {"a": a.model, "b": b.model}
        return record_comparisons(run, comparisons, machine, models, wall_s, status, warnings), cut


def _not_called(c: Comparison, why: str) -> Comparison:
    return c.model_copy(update={"verdict": "INCONCLUSIVE", "reason": f"{c.reason}; nothing is called: {why}"})


def _check_inputs(a: Subject, b: Subject) -> None:
    batches = a.side.work.batch, b.side.work.batch
    if batches[0] != batches[1]:
        raise UsageError(
            f"expected the same batch on both sides, got {batches[0]} of A and {batches[1]} of B: times are of a batch; "
            f"give {option('batch')}"
        )
    if a.images != b.images:
        raise UsageError(
            "expected the same images on both sides, got two plans whose images differ: in each turn both sides see the same "
            "ones; give both plans one images.path"
        )


def _with_its_question(c: Comparison, question: Question, a: Side, b: Side, said: Warning | None) -> Comparison:
    """What was asked, and what a reader of the verdict should know of its two sides."""
    asked = Asked(
        max_time_s=question.max_time_s,
        confidence=1 - question.alpha,
        seed=question.seed,
        a=_question_record(a),
        b=_question_record(b),
    )
    warnings = [said] if said else []
    runtimes = [c.details[name].get("runtime") for name in ("a", "b")]
    if a.python != b.python and runtimes[0] == runtimes[1]:
        same = f"both interpreters run {runtimes[0]}: what differs is not the runtime's version"
        warnings.append(Warning("one-runtime", same))
    return c.model_copy(update={"asked": asked, "warnings": (*warnings, *c.warnings)})


def _question_record(side: Side) -> AskedSide:
    w = side.work
    shapes = w.input_shapes if isinstance(w, ModelTurns) else {}
    return AskedSide(
        batch=w.batch,
        threads=w.threads,
        backend=w.backend if isinstance(w, ModelTurns) else w.backend.label,
        backend_options=dict(w.options if isinstance(w, ModelTurns) else w.backend.options),
        python=side.python,
        input_shapes=dict(shapes),
        native_loop=w.native,
    )
