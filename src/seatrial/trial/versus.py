"""B against A in lock-step rounds, looked at after 8, 12 and 16 of them, with A against itself in every round.

For: the order of things and the records. Not for: processes (lockstep.py), formulas (stats/compare.py), or what A and B are
(subjects.py).
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.errors import UsageError, did_you_mean
from seatrial.history.records import Comparison, Measured, Pair
from seatrial.stats.compare import (
    LOOKS,
    PairedEffect,
    benjamini_hochberg,
    hodges_lehmann,
    judge,
    launch_modal,
    nominal_alpha,
    paired_effect,
    what_to_add,
    within_pair_se,
)
from seatrial.stats.sample import CONFIDENCE, samples_needed
from seatrial.trial.lockstep import BLOCKS, Round, Side, run_round

F64 = npt.NDArray[np.float64]
A, B, CONTROL = "a", "b", "control"
MOST_BLOCKS = 4 * BLOCKS
# Launches differ by some 0.3 %; a round whose own error is as large as that needs no more blocks.
WITHIN_TARGET = 0.0035
METRICS = ("p50", "p90", "p95", "p99", "mean")
# Below this many pairs no interval at the looks' level exists.
LEAST_PAIRS = 7


@dataclass(frozen=True)
class Question:
    """What is asked of A and B. margin: a share such as 0.02; max_time_s: no round starts after it."""

    margin: float = 0.02
    metrics: tuple[str, ...] = ("p50",)
    stage: str = ""
    max_time_s: float = 60.0
    alpha: float = 0.05
    seed: int = 0

    def check(self) -> None:
        """UsageError where it cannot be asked."""
        unknown = [m for m in self.metrics if m not in METRICS]
        if unknown or not self.metrics:
            got = f"{unknown[0]!r}{did_you_mean(unknown[0], list(METRICS))}" if unknown else "none"
            raise UsageError(f"--metric: expected one of {', '.join(METRICS)}, got {got}")
        if not 0 < self.margin < 1:
            raise UsageError(
                f"--margin: expected a share above 0 and below 100 %, such as 2% or 0.02, got {self.margin * 100:g} %"
            )


Tell = Callable[[str, float], None]


def compare_sides(
    a: Side, b: Side, question: Question, folder: Path, labels: tuple[str, str], tell: Tell = lambda _step, _share: None
) -> list[Comparison]:
    """Runs rounds until every metric has a verdict, or there are 16, or the time is up; one Comparison a metric.

    Raises:
        UsageError: the stage is none of theirs, or a metric needs more requests than a round has.
        SeatrialError: a side could not load, or broke.
    """
    question.check()
    called = {A: f"A, {labels[0]}", B: f"B, {labels[1]}", CONTROL: f"A again, {labels[0]}"}
    sides = [Side(n, s.task, s.python, s.environment, called[n]) for n, s in ((A, a), (B, b), (CONTROL, a))]
    alpha = nominal_alpha(len(LOOKS), question.alpha)
    began = time.monotonic()
    rounds: list[Round] = []
    blocks = BLOCKS
    # So that the first look's rounds fit into the time with some to spare.
    budget_s = 0.9 * question.max_time_s / LOOKS[0]
    comparisons: list[Comparison] = []
    try:
        for look in LOOKS:
            while len(rounds) < look:
                if rounds and time.monotonic() - began + rounds[-1].wall_s > question.max_time_s:
                    return _judged(rounds, question, alpha, labels, out_of_time=True)
                seed = question.seed * 1000 + len(rounds)
                needed = _requests_needed(question)
                told = _told(tell, len(rounds))
                rounds.append(
                    run_round(
                        sides,
                        folder,
                        seed,
                        blocks=blocks,
                        least_requests=needed,
                        tell=told,
                        budget_s=budget_s,
                        enough=_well_known,
                    )
                )
                # After one round, not after eight.
                _stage_and_columns(rounds[0].stages, question)
            comparisons = _judged(rounds, question, alpha, labels)
            if all(c.verdict != "INCONCLUSIVE" for c in comparisons):
                break
            blocks = _more_blocks(comparisons, blocks)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return comparisons


def _told(tell: Tell, done: int) -> Callable[[float], None]:
    return lambda share: tell(f"round {done + 1}", min(1.0, (done + share) / LOOKS[0]))


def _requests_needed(question: Question) -> int:
    """A round's requests a side: enough that its tail percentile has a sample beyond it."""
    tails = [float(m[1:]) / 100 for m in question.metrics if m.startswith("p")]
    return max((samples_needed(q, CONFIDENCE) for q in tails if q > 0.5), default=1)


def _well_known(blocks_ns: Mapping[str, npt.NDArray[np.int64]]) -> bool:
    """Whether a round's own error is small beside what launches differ by: from the spread of blocks, not from the effect."""
    logs = {name: _logs(table[:, :, -1] / 1e9, "p50") for name, table in blocks_ns.items()}
    return within_pair_se(logs[B] - (logs[A] + logs[CONTROL]) / 2) <= WITHIN_TARGET


def _more_blocks(comparisons: Sequence[Comparison], blocks: int) -> int:
    first = comparisons[0]
    within = float(np.median([p.within_se for p in first.pairs]))
    assert first.pairs_sd is not None
    return min(MOST_BLOCKS, 2 * blocks) if what_to_add(first.pairs_sd, within) == "blocks" else blocks


def _judged(
    rounds: Sequence[Round], question: Question, alpha: float, labels: tuple[str, str], out_of_time: bool = False
) -> list[Comparison]:
    stage, columns = _stage_and_columns(rounds[0].stages, question)
    measured = {m: [_pair(r, m, columns.index(stage)) for r in rounds] for m in question.metrics}
    effects = {m: paired_effect([p.effect for p in pairs], 1 - alpha) for m, pairs in measured.items()}
    adjusted = benjamini_hochberg([e.p_value for e in effects.values()])
    return [
        _comparison(metric, stage, pairs, effects[metric], adjusted[i], rounds, question, labels, out_of_time)
        for i, (metric, pairs) in enumerate(measured.items())
    ]


def _stage_and_columns(stages: list[str], question: Question) -> tuple[str, list[str]]:
    columns = [*stages, "end_to_end"]
    stage = question.stage or ("end_to_end" if len(stages) > 1 else stages[0])
    if stage not in columns:
        raise UsageError(f"--stage: expected one of {', '.join(columns)}, got {stage!r}{did_you_mean(stage, columns)}")
    return stage, columns


def _pair(r: Round, metric: str, column: int) -> Pair:
    seconds = {name: table[:, :, column] / 1e9 for name, table in r.blocks_ns.items()}
    logs = {name: _logs(s, metric) for name, s in seconds.items()}
    # Two launches of A are there anyway, and their mean is the better known.
    units = logs[B] - (logs[A] + logs[CONTROL]) / 2
    return Pair(
        effect=hodges_lehmann(units), control=hodges_lehmann(logs[CONTROL] - logs[A]), within_se=_within(units),
        values={name: _value(s, metric) for name, s in seconds.items()}, launched=tuple(r.launched), burst=r.burst,
        blocks=len(seconds[A]), wall_s=r.wall_s,
    )  # fmt: skip


def _logs(seconds: F64, metric: str) -> F64:
    """ln of the metric, one a block and its mirror image, whose mean frees it of who ran behind whom.

    A tail is not in a burst: its requests are pooled, and one number comes out.
    """
    if metric not in ("p50", "mean"):
        return np.array([np.log(_value(seconds, metric))])
    by_block = np.log(np.median(seconds, axis=1) if metric == "p50" else seconds.mean(axis=1))
    return np.asarray((by_block[0::2] + by_block[1::2]) / 2)


def _within(units: F64) -> float:
    return within_pair_se(units) if len(units) > 1 else 0.0


def _value(seconds: F64, metric: str) -> float:
    if metric == "mean":
        return float(seconds.mean())
    return float(np.quantile(seconds, float(metric[1:]) / 100, method="inverted_cdf"))


def _comparison(
    metric: str, stage: str, pairs: list[Pair], effect: PairedEffect, adjusted: float, rounds: Sequence[Round],
    question: Question, labels: tuple[str, str], out_of_time: bool,
) -> Comparison:  # fmt: skip
    controls = [p.control for p in pairs if p.control is not None]
    control = paired_effect(controls, effect.confidence)
    # What A against itself was seen to do, from its own spread and from where its middle lies.
    floor = max(control.detectable, abs(control.effect)) if len(pairs) >= LEAST_PAIRS else None
    verdict, reason = judge(effect, question.margin)
    warnings = list(effect.warnings)
    if verdict in ("REGRESSION", "IMPROVED") and adjusted > 1 - effect.confidence:
        verdict = "INCONCLUSIVE"
        reason += (
            f"; among {len(question.metrics)} metrics such a difference is luck too often (adjusted p {adjusted:.2g})"
        )
    if floor is not None and floor > np.log1p(question.margin) and verdict != "INCONCLUSIVE":
        verdict = "INCONCLUSIVE"
        reason += (
            f"; the noise floor, from A against itself, is {np.expm1(floor):.1%}: no margin below it can be judged here"
        )
    if out_of_time and verdict == "INCONCLUSIVE":
        reason += (
            f"; NOT CONVERGED: the time of {question.max_time_s:g} s was up after {len(pairs)} "
            f"round{'s' if len(pairs) > 1 else ''}, raise --max-time"
        )
    for name in (A, B):
        if launch_modal([p.values[name] for p in pairs]):
            warnings.append(
                f"LAUNCH-MODAL: launches of {name.upper()} fall into two groups; more launches would be needed"
            )
    warnings += _launch_order(pairs, question.margin)
    warnings += _disturbed(rounds)
    return Comparison(
        a=labels[0], b=labels[1], metric=metric, stage=stage, design="lock-step", verdict=verdict, reason=reason,
        margin=question.margin, change=_change(effect), a_value=_side(pairs, A, question), b_value=_side(pairs, B, question),
        p_value=effect.p_value, p_adjusted=adjusted, detectable=_known(float(np.expm1(effect.detectable))),
        pairs_sd=_known(effect.sd), noise_floor=None if floor is None else float(np.expm1(floor)), noise_sd=_known(control.sd),
        control=_change(control),
        pairs=tuple(pairs), details={n: _details(rounds[-1].details[n]) for n in (A, B)}, warnings=tuple(warnings),
    )  # fmt: skip


def _known(value: float) -> float | None:
    """None for what a lone pair cannot tell: JSON has no NaN."""
    return value if np.isfinite(value) else None


def _launch_order(pairs: Sequence[Pair], margin: float) -> list[str]:
    """A warning where who is launched second matters more than the margin; the order is random, so it blurs, not biases."""
    later = {True: [], False: []}  # type: dict[bool, list[float]]
    for p in pairs:
        later[p.launched.index(B) > p.launched.index(A)].append(p.effect)
    if len(pairs) < LEAST_PAIRS or not all(later.values()):
        return []
    second = float(np.mean(later[True]) - np.mean(later[False])) / 2
    if abs(second) <= margin:
        return []
    return [f"the side that is launched second is {abs(second):.1%} {'slower' if second > 0 else 'faster'} on average"]


def _disturbed(rounds: Sequence[Round]) -> list[str]:
    """A line a cure: how many rounds were disturbed that way, and how the first of them was."""
    by_cure: dict[str, list[str]] = {}
    for r in rounds:
        for d in r.noise.disturbances:
            by_cure.setdefault(d.cure, []).append(d.what)
    return [f"in {len(what)} of {len(rounds)} rounds: {what[0]}; {cure}" for cure, what in by_cure.items()]


def _change(effect: PairedEffect) -> Measured:
    ends = tuple(None if end is None else float(np.expm1(end)) for end in (effect.low, effect.high))
    return Measured(
        value=effect.slowdown, unit="fraction", interval=(ends[0], ends[1]), confidence=effect.confidence, n=effect.pairs,
        n_eff=effect.pairs, warnings=effect.warnings,
    )  # fmt: skip


def _side(pairs: Sequence[Pair], name: str, question: Question) -> Measured:
    """The metric of one side: median of its rounds, with the exact interval where there are enough."""
    logs = paired_effect(np.log([p.values[name] for p in pairs]), 1 - question.alpha)
    ends = tuple(None if end is None else float(np.exp(end)) for end in (logs.low, logs.high))
    return Measured(
        value=float(np.exp(logs.effect)), unit="s", interval=(ends[0], ends[1]), confidence=logs.confidence, n=len(pairs),
        n_eff=len(pairs), warnings=tuple(w for w in logs.warnings if not w.startswith("LAUNCH")),
    )  # fmt: skip


def _details(facts: Mapping[str, Any]) -> dict[str, str]:
    return {
        **facts["details"],
        "load": f"{facts['load_s']:.3g} s",
        "cores": ", ".join(map(str, facts["affinity"])) or "any",
    }
