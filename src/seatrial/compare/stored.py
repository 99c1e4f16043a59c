"""Two stored runs side by side: only what is far above the noise of separate processes is called."""

from __future__ import annotations

import math
import time
from typing import Any

from scipy.special import ndtr, ndtri

from seatrial.compare.question import Question
from seatrial.compare.record import now, record_comparisons
from seatrial.compare.verdicts import adjusted
from seatrial.errors import ResultsError, UsageError, did_you_mean
from seatrial.history.keep import keeping
from seatrial.history.records import CellRecord, Comparison, Measured, Record, configuration
from seatrial.history.store import RunFolder
from seatrial.machine.environment import environment
from seatrial.stages import END_TO_END, QUEUE
from seatrial.stats.compare import SEPARATE_PROCESS_SD, PairedEffect, as_said, judge


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
    pairs = _matched(a, b)
    found = [_separately(x, y, m, question) for x, y in pairs for m in question.metrics]
    judged = iter(adjusted([c for c in found if c.noise_floor is not None], question.alpha))
    comparisons = [c if c.noise_floor is None else next(judged) for c in found]
    models = {"a": _model_of(a, pairs[0][0]), "b": _model_of(b, pairs[0][1])}
    with keeping(run) as keep:
        run.save_start({"created": now(), "compare": [a.id, b.id]})
        return record_comparisons(keep, comparisons, environment(), models, time.monotonic() - began)


def _model_of(record: Record, cell: CellRecord) -> dict[str, Any]:
    return record.models.get(cell.pipeline) or next(iter(record.models.values()))


def _matched(a: Record, b: Record) -> list[tuple[CellRecord, CellRecord]]:
    """The same pipelines in the same configurations; where each run has one pipeline only, its name may differ."""
    mine, theirs = ([c for c in r.cells if c.status == "ok" and c.stages] for r in (a, b))
    if any(c.load_result and c.load_result.curve for c in (*mine, *theirs)):
        raise ResultsError(
            f"{a.id} and {b.id}: a search for a rate went through rates of its own in each run; bench both at one --rate"
        )
    for record, cells in ((a, mine), (b, theirs)):
        if not cells:
            what = (
                "a comparison, which has no cells of its own" if record.kind == "compare" else "without a cell that ran"
            )
            raise ResultsError(f"{record.id} is {what}; expected a run of 'seatrial run' or 'seatrial bench'")
    one_each = len({c.pipeline for c in mine}) == len({c.pipeline for c in theirs}) == 1

    def key(c: CellRecord) -> str:
        return " ".join([configuration(c.id) if one_each else c.id, *_load_words(c)])

    by_key = {key(c): c for c in theirs}
    pairs = [(c, by_key[key(c)]) for c in mine if key(c) in by_key]
    if not pairs:
        names = [", ".join(key(c) for c in cells[:4]) + (", ..." if cells[4:] else "") for cells in (mine, theirs)]
        raise ResultsError(
            f"{a.id} and {b.id}: no configuration was measured in both: one has {names[0]}, the other {names[1]}; "
            "compare the models themselves, in lock-step"
        )
    return pairs


def _load_words(c: CellRecord) -> list[str]:
    """What else tells loads apart than the cell's name does."""
    load = c.load_result
    if not load:
        return []
    return [w for w in (load.arrivals, *(f"{s.shape}@{s.weight:.3g}" for s in load.shapes)) if w]


def _check_alike(a: Record, b: Record) -> None:
    inputs = [r.images.get("digest") or r.images.get("made_up_inputs") for r in (a, b)]
    if inputs[0] != inputs[1]:
        what = " and ".join(map(str, inputs)) if a.images.get("made_up_inputs") else "their images differ"
        raise ResultsError(
            f"{a.id} and {b.id} were measured on unlike inputs ({what}); expected the same: run one of them again"
        )
    for r in (a, b):
        if "fingerprint" not in r.environment:
            raise ResultsError(f"{r.id}: its record does not say on which machine it was measured; run it again")
        if not r.models:
            raise ResultsError(f"{r.id}: its record does not say which model was measured; run it again")
    if a.environment["fingerprint"] == b.environment["fingerprint"]:
        return
    unlike = [
        f"{key.replace('_', ' ')} ({a.environment.get(key)} and {b.environment.get(key)})"
        for key in ("cpu", "cores", "governor", "smt", "turbo", "cgroup_cpu_limit", "python", "simd")
        if a.environment.get(key) != b.environment.get(key)
    ]
    mine, other = (r.environment.get("packages") or {} for r in (a, b))
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
            f"--stage: expected one of {', '.join(both)}, which were measured in both, got {stage!r}{did_you_mean(stage, both)}"
        )
    x, y = getattr(a.stages[stage], metric), getattr(b.stages[stage], metric)
    if not 0 < min(x.value, y.value) <= max(x.value, y.value) < math.inf:
        raise ResultsError(
            f"{a.id}: expected a {metric} of {stage} above zero in both runs, got {x.value:g} s and {y.value:g} s; "
            "a record is damaged: restore it or run it again"
        )
    unknown = _unknown_spread(a, metric, stage)
    if unknown:
        return _not_judged(a, b, x, y, metric, stage, question, unknown)
    effect = math.log(y.value / x.value)
    confidence = 1 - question.alpha
    z = float(ndtri(0.5 + confidence / 2))
    own = [_relative_error(m, z) for m in (x, y)]
    # What launches differ by, and what each run knew of its own figure.
    sd = math.sqrt(SEPARATE_PROCESS_SD**2 + sum(e**2 for e in own))
    half = z * sd
    p_value = float(2 * ndtr(-abs(effect) / sd))
    known = PairedEffect(effect, effect - half, effect + half, confidence, p_value, 1, half, sd)
    verdict = judge(known, question.margin)[0]
    reason = (
        f"{as_said(known)}; the margin is {100 * question.margin:.3g} %; separate processes differ by "
        f"±{100 * math.expm1(z * SEPARATE_PROCESS_SD):.0f} % without any change, so that smaller ones are not called: "
        "compare the models themselves, in lock-step"
    )
    why_not = _why_not_known(a, b, x, y, metric, stage)
    if why_not:
        verdict, reason = "INCONCLUSIVE", f"{reason}; {why_not}"
    change = Measured(
        value=math.expm1(effect), unit="fraction", interval=(math.expm1(known.low or 0), math.expm1(known.high or 0)),
        confidence=confidence,
    )  # fmt: skip
    return Comparison(
        a=a.id, b=b.id, metric=metric, stage=stage, design="separate runs", verdict=verdict, reason=reason,
        margin=question.margin, change=change, a_value=x, b_value=y, p_value=p_value, p_adjusted=p_value,
        noise_floor=math.expm1(z * SEPARATE_PROCESS_SD), details={"a": a.backend_details, "b": b.backend_details},
    )  # fmt: skip


def _unknown_spread(cell: CellRecord, metric: str, stage: str) -> str:
    """Of what SEPARATE_PROCESS_SD was not measured, if that is what is asked; '' where it was."""
    if metric != "p50":
        return metric
    queued = cell.load_result is not None and cell.load_result.scenario == "server" and stage in (QUEUE, END_TO_END)
    return "how long requests wait in a queue" if queued else ""


def _not_judged(
    a: CellRecord, b: CellRecord, x: Measured, y: Measured, metric: str, stage: str, question: Question, unknown: str
) -> Comparison:
    """What both runs say, and nothing called: nobody knows what two runs of the same differ by."""
    change = y.value / x.value - 1
    reason = (
        f"B's {metric} is {abs(change):.1%} {'above' if change > 0 else 'below'} A's; what separate processes differ by "
        f"without any change was measured of medians of requests, not of {unknown}, so that nothing is called: compare the "
        "models themselves, in lock-step"
    )
    why_not = _why_not_known(a, b, x, y, metric, stage)
    return Comparison(
        a=a.id, b=b.id, metric=metric, stage=stage, design="separate runs", verdict="INCONCLUSIVE",
        reason=f"{reason}; {why_not}" if why_not else reason, margin=question.margin,
        change=Measured(value=change, unit="fraction", interval=(None, None), confidence=1 - question.alpha),
        a_value=x, b_value=y, p_value=1.0, p_adjusted=1.0, details={"a": a.backend_details, "b": b.backend_details},
    )  # fmt: skip


def _relative_error(m: Measured, z: float) -> float:
    """Standard error of ln of a stored figure, from its interval; 0 where it has none, which _why_not_known tells."""
    interval = m.positive_interval
    return math.log(interval[1] / interval[0]) / (2 * z) if interval else 0.0


def _why_not_known(a: CellRecord, b: CellRecord, x: Measured, y: Measured, metric: str, stage: str) -> str:
    """Why nothing can be called, whatever the figures say; '' where it can."""
    for name, cell, m in (("A", a, x), ("B", b, y)):
        if m.positive_interval is None:
            return f"{name}'s {metric} of {stage} has no interval: it needs more samples than the {m.n} that were taken"
        if cell.load_result and cell.load_result.unserved:
            return f"{name} left {cell.load_result.unserved} requests unserved, which its figures know nothing of"
        if cell.load_result and cell.load_result.overloaded:
            return f"{name} was overloaded: its latencies say how long it ran"
    return ""
