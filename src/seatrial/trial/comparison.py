"""A comparison from subjects to record: lock-step rounds of what can run, or two stored runs side by side.

For: `seatrial compare`. Not for: the rounds (versus.py) or what subjects are (subjects.py).
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from scipy.special import ndtri

from seatrial.errors import ResultsError, UsageError, did_you_mean
from seatrial.gate.verdict import comparison_decision, overall
from seatrial.history.records import CellRecord, Comparison, Measured, Record, configuration
from seatrial.history.store import RunFolder
from seatrial.stats.compare import PairedEffect, benjamini_hochberg, judge
from seatrial.timing.environment import environment
from seatrial.trial.subjects import Subject
from seatrial.trial.versus import Question, Tell, compare_sides

# Standard deviation of ln(B / A) between two medians from separate processes, as seen on a shared two-core machine:
# see docs/adr/0003.
SEPARATE_PROCESS_SD = 0.105


def run_comparison(run: RunFolder, a: Subject, b: Subject, question: Question, tell: Tell) -> Record:
    """Compares in lock-step, and writes the record into the run's folder. What failed leaves no folder behind."""
    began = time.monotonic()
    machine = environment()
    try:
        run.save_start({"created": _now(), "compare": [a.label, b.label]})
        comparisons = compare_sides(a.side, b.side, question, run.work / "rounds", (a.label, b.label), tell)
    except BaseException:
        shutil.rmtree(run.path, ignore_errors=True)
        raise
    return _recorded(run, comparisons, machine, {"a": a.model, "b": b.model}, time.monotonic() - began)


def compare_stored(run: RunFolder, a: Record, b: Record, question: Question) -> Record:
    """Two runs that were measured at different times: only what is far above the noise of separate processes is called.

    Raises:
        UsageError: the question cannot be asked of them, or both are the same run.
        ResultsError: they were measured on unlike machines, or have no configuration in common.
    """
    began = time.monotonic()
    question.check()
    if a.id == b.id:
        raise UsageError(f"expected two runs, got {a.id} twice; name another one, 'seatrial results' lists them")
    _check_alike(a, b)
    comparisons = _adjusted(
        [_separately(x, y, m, question) for x, y in _matched(a, b) for m in question.metrics], question.alpha
    )
    models = {"a": next(iter(a.models.values())), "b": next(iter(b.models.values()))}
    run.save_start({"created": _now(), "compare": [a.id, b.id]})
    return _recorded(run, comparisons, environment(), models, time.monotonic() - began)


def _recorded(
    run: RunFolder, comparisons: Sequence[Comparison], machine: dict[str, Any], models: dict[str, Any], wall_s: float
) -> Record:
    decisions = tuple(map(comparison_decision, comparisons))
    record = Record(
        id=run.path.name, created=run.start()["created"], kind="compare", verdict=overall(decisions), wall_s=round(wall_s, 2),
        plan={"path": "", "digest": "", "text": "", "resolved": None, "changes": {}}, images={"count": 0}, models=models,
        environment=machine, cells=(), decisions=decisions, comparisons=tuple(comparisons),
    )  # fmt: skip
    run.save_record(record)
    shutil.rmtree(run.work, ignore_errors=True)
    return record


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _matched(a: Record, b: Record) -> list[tuple[CellRecord, CellRecord]]:
    """The same pipelines in the same configurations; where each run has one pipeline only, its name may differ."""
    mine, theirs = ([c for c in r.cells if c.status == "ok" and c.stages] for r in (a, b))
    for record, cells in ((a, mine), (b, theirs)):
        if not cells:
            what = (
                "a comparison, which has no cells of its own" if record.kind == "compare" else "without a cell that ran"
            )
            raise ResultsError(f"{record.id} is {what}; expected a run of 'seatrial run' or 'seatrial bench'")
    one_each = len({c.pipeline for c in mine}) == len({c.pipeline for c in theirs}) == 1
    key = (lambda c: configuration(c.id)) if one_each else (lambda c: c.id)
    by_key = {key(c): c for c in theirs}
    pairs = [(c, by_key[key(c)]) for c in mine if key(c) in by_key]
    if not pairs:
        names = [", ".join(key(c) for c in cells[:4]) + (", ..." if cells[4:] else "") for cells in (mine, theirs)]
        raise ResultsError(
            f"{a.id} and {b.id}: no configuration was measured in both: one has {names[0]}, the other {names[1]}; "
            "compare the models themselves, in lock-step"
        )
    return pairs


def _adjusted(comparisons: list[Comparison], alpha: float) -> list[Comparison]:
    """Many cells are judged at once: what would be luck among so many is not called."""
    judged = []
    for c, p in zip(comparisons, benjamini_hochberg([c.p_value for c in comparisons]), strict=True):
        changes: dict[str, Any] = {"p_adjusted": p}
        if c.verdict in ("REGRESSION", "IMPROVED") and p > alpha:
            changes["verdict"] = "INCONCLUSIVE"
            changes["reason"] = (
                f"{c.reason}; among {len(comparisons)} comparisons such a difference is luck too often (adjusted p {p:.2g})"
            )
        judged.append(c.model_copy(update=changes))
    return judged


def _check_alike(a: Record, b: Record) -> None:
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
    stage = question.stage or ("end_to_end" if len(a.stages) > 2 else next(iter(a.stages)))
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
    effect = math.log(y.value / x.value)
    confidence = 1 - question.alpha
    half = float(ndtri(0.5 + confidence / 2)) * SEPARATE_PROCESS_SD
    p_value = float(2 * ndtri_tail(abs(effect) / SEPARATE_PROCESS_SD))
    known = PairedEffect(effect, effect - half, effect + half, confidence, p_value, 1, half, SEPARATE_PROCESS_SD)
    verdict, reason = judge(known, question.margin)
    reason = reason.partition("; the margin")[0]
    reason += (
        f"; the margin is {100 * question.margin:.3g} %; medians of separate processes differ by "
        f"±{100 * math.expm1(half):.0f} % without any change, so that smaller ones are not called: "
        "compare the models themselves, in lock-step"
    )
    change = Measured(
        value=math.expm1(effect), unit="fraction", interval=(math.expm1(known.low or 0), math.expm1(known.high or 0)),
        confidence=confidence,
    )  # fmt: skip
    return Comparison(
        a=a.id, b=b.id, metric=metric, stage=stage, design="separate runs", verdict=verdict, reason=reason,
        margin=question.margin, change=change, a_value=x, b_value=y, p_value=p_value, p_adjusted=p_value,
        noise_floor=math.expm1(half), details={"a": a.backend_details, "b": b.backend_details},
    )  # fmt: skip


def ndtri_tail(z: float) -> float:
    """The normal distribution's upper tail."""
    return 0.5 * math.erfc(z / math.sqrt(2))
