"""Two stored runs side by side: only what is far above the noise of separate processes is called."""

from __future__ import annotations

import math
import re
import time
from dataclasses import dataclass

from seatrial.compare.question import Question
from seatrial.compare.record import now, record_comparisons
from seatrial.compare.verdicts import adjust_for_many
from seatrial.errors import ResultsError, UsageError, did_you_mean, option
from seatrial.history.records import (
    CellRecord,
    Comparison,
    Environment,
    Measured,
    ModelSection,
    Record,
    RunStart,
    configuration,
)
from seatrial.history.run_folder import RunFolder
from seatrial.machine.environment import environment
from seatrial.runtimes.choice import BackendChoice
from seatrial.runtimes.engine_builds import LEAST_BUILDS, engines_of
from seatrial.stages import END_TO_END, QUEUE
from seatrial.stats.compare import Verdict, as_said, judge, margin_words
from seatrial.stats.separate import separate_effect, separate_noise_floor
from seatrial.units import change_words


def compare_stored(run: RunFolder, a: Record, b: Record, question: Question) -> Record:
    """Two runs that were measured at different times: only what is far above the noise of separate processes is called.

    Raises:
        UsageError: the question cannot be asked of them, or both are the same run.
        ResultsError: they were measured on unlike machines or inputs, or have no configuration in common.
    """
    began = time.monotonic()
    question.check()
    if a.id == b.id:
        raise UsageError(f"expected two runs, got {a.id} twice; name another one, 'seatrial results' lists them")
    _check_alike(a, b)
    pairs = _match(a, b)
    found = [_separately(x, y, m, question) for x, y in pairs for m in question.metrics]
    judged = iter(adjust_for_many([c for c in found if c.noise_floor is not None], question.alpha))
    comparisons = [c if c.noise_floor is None else next(judged) for c in found]
    models = {"a": _model_of(a, pairs[0][0]), "b": _model_of(b, pairs[0][1])}
    run.save_start(RunStart(kind="compare", created=now(), subject=(a.id, b.id)))
    machine = Environment.model_validate(environment())
    return record_comparisons(run, comparisons, machine, models, time.monotonic() - began)


def _model_of(record: Record, cell: CellRecord) -> ModelSection:
    return record.models.get(cell.pipeline) or next(iter(record.models.values()))


def _match(a: Record, b: Record) -> list[tuple[CellRecord, CellRecord]]:
    """The same pipelines in the same configurations; where each run has one pipeline only, its name may differ."""
    mine, theirs = ([c for c in r.cells if c.status == "ok" and c.stages] for r in (a, b))
    if any(c.load and c.load.curve for c in (*mine, *theirs)):
        raise ResultsError(
            f"{a.id} and {b.id}: a search for a rate went through rates of its own in each run; "
            f"bench both at one {option('rate')}"
        )
    for record, cells in ((a, mine), (b, theirs)):
        if not cells:
            what = (
                "a comparison, which has no cells of its own" if record.kind == "compare" else "without a cell that ran"
            )
            raise ResultsError(f"{record.id} is {what}; expected a run of 'seatrial run' or 'seatrial bench'")
    one_each = len({c.pipeline for c in mine}) == len({c.pipeline for c in theirs}) == 1

    def key(c: CellRecord) -> str:
        return " ".join([configuration(c.id) if one_each else c.id, *_backend_words(c), *_load_words(c)])

    by_key = {key(c): c for c in theirs}
    pairs = [(c, by_key[key(c)]) for c in mine if key(c) in by_key]
    if not pairs:
        names = [", ".join(key(c) for c in cells[:4]) + (", ..." if cells[4:] else "") for cells in (mine, theirs)]
        raise ResultsError(
            f"{a.id} and {b.id}: no configuration was measured in both: one has {names[0]}, the other {names[1]}; "
            "compare the models themselves, in lock-step"
        )
    return pairs


def _backend_words(c: CellRecord) -> list[str]:
    """What a backend's name stands for: with other options it is another configuration, whatever it is called."""
    words = _choice(c).words()
    return [] if words == c.backend else [f"({words})"]


def _choice(c: CellRecord) -> BackendChoice:
    return BackendChoice(c.backend_kind or c.backend, options=dict(sorted(c.backend_options.items())))


def _load_words(c: CellRecord) -> list[str]:
    """What else tells loads apart than the cell's name does."""
    load = c.load
    if not load:
        return []
    return [w for w in (load.arrivals, *(f"{s.shape}@{s.weight:.3g}" for s in load.shapes)) if w]


def _check_alike(a: Record, b: Record) -> None:
    inputs = [r.images.digest or r.images.made_up_inputs or None for r in (a, b)]
    if inputs[0] != inputs[1]:
        what = " and ".join(map(str, inputs)) if a.images.made_up_inputs else "their images differ"
        raise ResultsError(
            f"{a.id} and {b.id} were measured on unlike inputs ({what}); expected the same: run one of them again"
        )
    for r in (a, b):
        if not r.environment.fingerprint:
            raise ResultsError(f"{r.id}: its record does not say on which machine it was measured; run it again")
        if not r.models:
            raise ResultsError(f"{r.id}: its record does not say which model was measured; run it again")
    if a.environment.fingerprint == b.environment.fingerprint:
        return
    facts = a.environment.facts, b.environment.facts
    unlike = [
        f"{key.replace('_', ' ')} ({facts[0].get(key)} and {facts[1].get(key)})"
        for key in ("cpu", "cores", "governor", "smt", "turbo", "cgroup_cpu_limit", "python", "simd")
        if facts[0].get(key) != facts[1].get(key)
    ]
    mine, other = (r.environment.packages for r in (a, b))
    unlike += [
        f"{n} ({mine.get(n)} and {other.get(n)})" for n in sorted({*mine, *other}) if mine.get(n) != other.get(n)
    ]
    raise ResultsError(
        f"{a.id} and {b.id} were measured on unlike machines: they differ in {', '.join(unlike) or 'what is not recorded'}; "
        "compare the models themselves here: seatrial compare A.onnx B.onnx"
    )


def _separately(a: CellRecord, b: CellRecord, metric: str, question: Question) -> Comparison:
    stage = question.stage or (END_TO_END if len(a.stages) > 2 else next(iter(a.stages)))
    if stage not in a.stages or stage not in b.stages:
        both = [s for s in a.stages if s in b.stages]
        raise UsageError(
            f"expected one of {', '.join(both)}, which were measured in both, got {stage!r}{did_you_mean(stage, both)}",
            option="stage",
        )
    x, y = getattr(a.stages[stage], metric), getattr(b.stages[stage], metric)
    if not 0 < min(x.value, y.value) <= max(x.value, y.value) < math.inf:
        raise ResultsError(
            f"{a.id}: expected a {metric} of {stage} above zero in both runs, got {x.value:g} s and {y.value:g} s; "
            "a record is damaged: restore it or run it again"
        )
    why_not = _why_not_known(a, b, x, y, metric, stage)
    unknown = _unknown_spread(a, metric, stage)
    answer = _not_judged(x, y, question, unknown) if unknown else _judged(x, y, question)
    verdict, reason = (
        (answer.verdict, answer.reason) if not why_not else ("INCONCLUSIVE", f"{answer.reason}; {why_not}")
    )
    return Comparison(
        a=a.id,
        b=b.id,
        metric=metric,
        stage=stage,
        design="separate runs",
        verdict=verdict,
        reason=reason,
        margin=question.margin,
        change=answer.change,
        a_value=x,
        b_value=y,
        p_value=answer.p_value,
        p_adjusted=answer.p_value,
        noise_floor=answer.noise_floor,
        details={"a": a.measured.backend_details, "b": b.measured.backend_details},
    )


@dataclass(frozen=True)
class _Answer:
    """What two figures say, before anything that may speak against them. noise_floor: None where no verdict was asked for."""

    verdict: Verdict
    reason: str
    change: Measured
    p_value: float = 1.0
    noise_floor: float | None = None


def _judged(x: Measured, y: Measured, question: Question) -> _Answer:
    confidence = 1 - question.alpha
    # A figure without an interval is one that nothing is called by, see _why_not_known.
    effect = separate_effect(x.value, y.value, [x.positive_interval, y.positive_interval], confidence)
    floor = separate_noise_floor(confidence)
    reason = (
        f"{as_said(effect)}; {margin_words(question.margin)}; separate processes differ by "
        f"±{100 * floor:.0f} % without any change, so that smaller ones are not called: "
        "compare the models themselves, in lock-step"
    )
    change = Measured(
        value=effect.slowdown,
        unit="fraction",
        interval=(math.expm1(effect.low or 0), math.expm1(effect.high or 0)),
        confidence=confidence,
    )
    return _Answer(judge(effect, question.margin)[0], reason, change, effect.p_value, floor)


def _not_judged(x: Measured, y: Measured, question: Question, unknown: str) -> _Answer:
    """What both runs say, and nothing called: nobody knows what two runs of the same differ by."""
    change = y.value / x.value - 1
    reason = (
        f"B against A {change_words(change)}; what separate processes differ by "
        f"without any change was measured of medians of requests, not of {unknown}, so that nothing is called: compare the "
        "models themselves, in lock-step"
    )
    measured = Measured(value=change, unit="fraction", interval=(None, None), confidence=1 - question.alpha)
    return _Answer("INCONCLUSIVE", reason, measured)


def _unknown_spread(cell: CellRecord, metric: str, stage: str) -> str:
    """Of what SEPARATE_PROCESS_SD (stats) was not measured, if that is what is asked; '' where it was."""
    if metric != "p50":
        return metric
    queued = cell.load is not None and cell.load.scenario == "server" and stage in (QUEUE, END_TO_END)
    return "how long requests wait in a queue" if queued else ""


def _why_not_known(a: CellRecord, b: CellRecord, x: Measured, y: Measured, metric: str, stage: str) -> str:
    """Why nothing can be called, whatever the figures say; '' where it can."""
    for name, cell, m in (("A", a, x), ("B", b, y)):
        if m.positive_interval is None:
            return f"{name}'s {metric} of {stage} has no interval: it needs more samples than the {m.n} that were taken"
        if cell.load and cell.load.unserved:
            return f"{name} left {cell.load.unserved} requests unserved, which its figures know nothing of"
        if cell.load and cell.load.overloaded:
            return f"{name} was overloaded: its latencies say how long it ran"
        if cell.measured.doubt:
            return f"{name}'s times are in doubt: {cell.measured.doubt}"
    policies = [c.measured.io_policy for c in (a, b)]
    if all(policies) and policies[0] != policies[1]:
        return f"A's requests pay for other copies than B's: {policies[0]}; and {policies[1]}"
    if why := _one_build_each(a, b):
        return why
    how = [_called(c) for c in (a, b)]
    if how[0] != how[1]:
        return f"A was called {how[0]} and B {how[1]}, which takes time of its own: measure both by one loop"
    return ""


def _one_build_each(a: CellRecord, b: CellRecord) -> str:
    """Why engines speak for themselves and not for their models; '' where both ran the very same one, or none."""
    digests = [c.measured.backend_details.get("engine_digest") for c in (a, b)]
    if not any(engines_of(_choice(c)) for c in (a, b)) or (digests[0] and digests[0] == digests[1]):
        return ""
    return (
        f"each run has one build of an engine, and builds of one model differ: it takes {LEAST_BUILDS} independent ones of "
        "each, which a comparison of the models themselves makes"
    )


def _called(c: CellRecord) -> str:
    """By whom the model was run: the interpreter's share of a short request is larger than many a model's."""
    said = re.sub(r"by the C API of .*", "natively", c.measured.backend_details.get("called", ""))
    by_loop = {"native": "natively", "python": "from Python"}.get(c.load.called if c.load else "", "as is not recorded")
    return said or by_loop
