"""From rounds to verdicts: one number a round and metric, what they add up to, and what forbids to call it.

For: Comparison records. Not for: running rounds (lockstep.py) or how many (rounds.py), nor for formulas (stats/compare.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.compare.lockstep import Round
from seatrial.compare.question import Question
from seatrial.compare.turn_task import SideFacts
from seatrial.errors import UsageError, did_you_mean
from seatrial.history.records import Comparison, Measured, Pair
from seatrial.stages import END_TO_END
from seatrial.stats.compare import PairedEffect, Verdict, hodges_lehmann, judge, paired_effect, within_pair_se
from seatrial.stats.launches import LaunchModes, launch_modes
from seatrial.stats.multiplicity import benjamini_hochberg
from seatrial.stats.sample import quantile_of
from seatrial.warning import Warning

F64 = npt.NDArray[np.float64]
A, B, CONTROL = "a", "b", "control"
# Launches differ by some 0.3 %; a round whose own error is as large as that needs no more blocks.
WITHIN_TARGET = 0.003
# Of a side's turns, after which it was still at work: above it the other sides were not measured alone.
MOST_RESTLESS = 0.05


def judged(
    rounds: Sequence[Round], question: Question, labels: tuple[str, str], late: str = "", cut: str = ""
) -> list[Comparison]:
    """One comparison a metric. late: why the time ends here; cut: why rounds ended before that, so that nothing is called."""
    stage, columns = stage_and_columns(rounds[0].stages, question)
    comparisons = []
    for metric in question.metrics:
        pairs = [_pair(r, metric, columns.index(stage)) for r in rounds]
        comparison = _comparison(metric, stage, pairs, rounds, question, labels)
        if late and comparison.verdict == "INCONCLUSIVE":
            comparison = _with_reason(comparison, f"NOT CONVERGED: {late}")
        if cut:
            comparison = _with_reason(
                comparison, f"NOT CONVERGED: ended after {_rounds(rounds)}: {cut}", verdict="INCONCLUSIVE"
            )
        comparisons.append(comparison)
    return adjusted(comparisons, 1 - question.confidence)


def _rounds(rounds: Sequence[Round]) -> str:
    return f"{len(rounds)} round{'s' if len(rounds) > 1 else ''}"


def _with_reason(c: Comparison, more: str, **changes: Any) -> Comparison:
    return c.model_copy(update={"reason": f"{c.reason}; {more}", **changes})


def adjusted(comparisons: Sequence[Comparison], alpha: float) -> list[Comparison]:
    """Many are judged at once: what would be luck among so many is not called."""
    found = []
    for c, p in zip(comparisons, benjamini_hochberg([c.p_value for c in comparisons]), strict=True):
        c = c.model_copy(update={"p_adjusted": p})
        if c.verdict in ("REGRESSION", "IMPROVED") and p > alpha:
            luck = f"among {len(comparisons)} comparisons such a difference is luck too often (adjusted p {p:.2g})"
            c = _with_reason(c, luck, verdict="INCONCLUSIVE")
        found.append(c)
    return found


def stage_and_columns(stages: list[str], question: Question) -> tuple[str, list[str]]:
    columns = [*stages, END_TO_END]
    stage = question.stage or (END_TO_END if len(stages) > 1 else stages[0])
    if stage not in columns:
        raise UsageError(
            f"expected one of {', '.join(columns)}, got {stage!r}{did_you_mean(stage, columns)}", option="stage"
        )
    return stage, columns


def _pair(r: Round, metric: str, column: int) -> Pair:
    seconds = {name: table[:, :, column] / 1e9 for name, table in r.blocks_ns.items()}
    logs = {name: _logs(s, metric) for name, s in seconds.items()}
    return Pair(
        effect=hodges_lehmann(_units(logs)),
        control=hodges_lehmann(logs[CONTROL] - logs[A]),
        within_se=_within_se(seconds, metric),
        values={name: _value(s, metric) for name, s in seconds.items()},
        launched=tuple(r.launched),
        burst=r.burst,
        blocks=len(seconds[A]),
        wall_s=r.wall_s,
        disturbances=r.noise.disturbances,
    )


def _units(logs: Mapping[str, F64]) -> F64:
    """Two launches of A are there anyway, and their mean is the better known."""
    return np.asarray(logs[B] - (logs[A] + logs[CONTROL]) / 2)


def _logs(seconds: F64, metric: str) -> F64:
    """ln of the metric: of a median one a block and its mirror image, whose mean frees it of who ran behind whom.

    A tail is not in a burst, and a mean is the sum of all requests: the middle one of many bursts would not know of a stall
    now and then, nor of a change in the largest images alone, where most of the time goes. One number of the round comes out.
    """
    if metric != "p50":
        return np.array([np.log(_value(seconds, metric))])
    by_block = np.log(np.median(seconds, axis=1))
    return np.asarray((by_block[0::2] + by_block[1::2]) / 2)


def _within_se(seconds: Mapping[str, F64], metric: str) -> float | None:
    """Standard error of the round's own number, from its blocks; None where they do not tell: of a tail, or of one pair."""
    if len(seconds[A]) < 4:
        return None
    if metric == "p50":
        return within_pair_se(_units({name: _logs(s, metric) for name, s in seconds.items()}))
    if metric != "mean":
        return None
    # ln of a ratio of means, to first order: all sides had the same images in a block, so that these cancel here.
    shares = {name: s.mean(axis=1) / s.mean() for name, s in seconds.items()}
    units = _units({name: (share[0::2] + share[1::2]) / 2 for name, share in shares.items()})
    return float(units.std(ddof=1) / math.sqrt(len(units)))


def _value(seconds: F64, metric: str) -> float:
    if metric == "mean":
        return float(seconds.mean())
    return float(np.quantile(seconds, quantile_of(metric), method="inverted_cdf"))


def _comparison(
    metric: str, stage: str, pairs: list[Pair], rounds: Sequence[Round], question: Question, labels: tuple[str, str]
) -> Comparison:
    effect = paired_effect([p.effect for p in pairs], question.confidence)
    control = paired_effect([p.control for p in pairs if p.control is not None], question.confidence)
    floor = _noise_floor(control) if effect.low is not None else None
    verdict, reason = _above_the_floor(*judge(effect, question.margin), effect, floor, question.margin)
    modes = _modes(pairs)
    verdict, reason = _known_modes(verdict, reason, effect, modes)
    verdict, reason = _undisturbed(verdict, reason, rounds)
    a_value, b_value = _side(pairs, A, question), _side(pairs, B, question)
    return Comparison(
        a=labels[0],
        b=labels[1],
        metric=metric,
        stage=stage,
        design="lock-step",
        verdict=verdict,
        reason=reason,
        margin=question.margin,
        change=_change(effect),
        a_value=a_value,
        b_value=b_value,
        p_value=effect.p_value,
        p_adjusted=effect.p_value,
        detectable=_detectable(effect),
        pairs_sd=_known(effect.sd),
        noise_floor=None if floor is None else float(np.expm1(floor)),
        noise_sd=_known(control.sd),
        control=_change(control),
        launched_second=_launched_second(pairs),
        pairs=tuple(pairs),
        details={n: _details(rounds[-1].facts[n]) for n in (A, B)},
        warnings=(*effect.warnings, *_warnings(metric, effect, pairs, rounds, question.margin, modes)),
    )


def _noise_floor(control: PairedEffect) -> float:
    """ln of what A against itself was seen to do: from its own spread, its interval, and where its middle lies."""
    half = (control.high - control.low) / 2 if control.high is not None and control.low is not None else 0.0
    return max(control.detectable, half, abs(control.effect))


def _above_the_floor(
    verdict: Verdict, reason: str, effect: PairedEffect, floor: float | None, margin: float
) -> tuple[Verdict, str]:
    """Where A differs from itself by more than the margin, only what is surely beyond that is called."""
    if floor is None or floor <= np.log1p(margin):
        return verdict, reason
    said = f"the noise floor, from A against itself, is {np.expm1(floor):.1%}"
    if verdict != "INCONCLUSIVE" and _beyond(effect, floor):
        return verdict, f"{reason}; {said}, and the change is beyond it"
    return "INCONCLUSIVE", (
        f"{reason}; {said}: no margin below it can be judged here, so quiet the machine or raise the margin above it"
    )


def _beyond(effect: PairedEffect, size: float) -> bool:
    """Whether the whole interval lies further from zero than that."""
    return max(effect.low or 0.0, -(effect.high or 0.0)) > size


def _modes(pairs: Sequence[Pair]) -> dict[str, LaunchModes]:
    """Of each side whose launches fall into two groups. Both launches of A count for it."""
    effects, controls = [p.effect for p in pairs], [p.control or 0.0 for p in pairs]
    found = {
        A: launch_modes([p.values[name] for name in (A, CONTROL) for p in pairs], [*(-c for c in controls), *controls]),
        B: launch_modes([p.values[B] for p in pairs], effects),
    }
    return {name: modes for name, modes in found.items() if modes}


def _known_modes(
    verdict: Verdict, reason: str, effect: PairedEffect, modes: Mapping[str, LaunchModes]
) -> tuple[Verdict, str]:
    """Where launches fall into two groups, a change smaller than they lie apart hangs on how often each comes."""
    for name, m in modes.items():
        if verdict == "INCONCLUSIVE" or m.mix_known or _beyond(effect, m.apart):
            continue
        return "INCONCLUSIVE", (
            f"{reason}; {_said_of(name, m)}: too few launches to know how often each comes; give it more time for more of "
            "them, or find what the groups differ in"
        )
    return verdict, reason


def _said_of(name: str, m: LaunchModes) -> str:
    groups = f"{m.larger} and {m.smaller} of {m.larger + m.smaller}, {np.expm1(m.apart):.1%} apart"
    return f"LAUNCH-MODAL: launches of {name.upper()} fall into two groups, {groups}"


def _undisturbed(verdict: Verdict, reason: str, rounds: Sequence[Round]) -> tuple[Verdict, str]:
    """A side that works on between its turns takes from the other's: what lock-step promises does not hold."""
    for name, said in ((A, "A"), (CONTROL, "A"), (B, "B")):
        share = float(np.mean([r.restless.get(name, 0.0) for r in rounds]))
        if share > MOST_RESTLESS:
            return "INCONCLUSIVE", (
                f"{reason}; {said}'s process was still at work after {share:.0%} of its turns, and took a core from the "
                "other's: end what it does in the background, or compare two stored benches"
            )
    return verdict, reason


def _warnings(
    metric: str,
    effect: PairedEffect,
    pairs: list[Pair],
    rounds: Sequence[Round],
    margin: float,
    modes: Mapping[str, LaunchModes],
) -> Iterator[Warning]:
    for name, m in modes.items():
        yield Warning("launch-modes", _said_of(name, m), "more launches help, more iterations don't")
    second = _launched_second(pairs)
    if second is not None and abs(second) > margin:
        how = f"{abs(second):.1%} {'slower' if second > 0 else 'faster'}"
        yield Warning("launch-order", f"the side that is launched second is {how} on average")
    all_requests = float(np.median([np.log(p.values[B] / np.sqrt(p.values[A] * p.values[CONTROL])) for p in pairs]))
    within = effect.low is None or effect.high is None or effect.low <= all_requests <= effect.high
    if metric == "p50" and not within:
        yield Warning(
            "latency-modes",
            f"between the medians of all requests of a round lie {np.expm1(all_requests):+.1%}, outside the interval of the "
            "change, which is of bursts in turns: latencies have more than one mode",
            "look at the distributions of 'bench'",
        )
    yield from _disturbed(rounds)


def _detectable(effect: PairedEffect) -> float | None:
    """A share. Where the middle rounds happen to lie close together, not less than half the interval, which sees them all."""
    half = (effect.high - effect.low) / 2 if effect.high is not None and effect.low is not None else 0.0
    return _known(float(np.expm1(max(effect.detectable, half))))


def _known(value: float) -> float | None:
    """None for what a lone pair cannot tell: JSON has no NaN."""
    return value if np.isfinite(value) else None


def _launched_second(pairs: Sequence[Pair]) -> float | None:
    """By how much the side that is launched later is slower; the order is balanced, so that it widens, not biases."""
    later: dict[bool, list[float]] = {True: [], False: []}
    for p in pairs:
        later[p.launched.index(B) > p.launched.index(A)].append(p.effect)
    if not all(later.values()):
        return None
    return float(np.expm1((np.mean(later[True]) - np.mean(later[False])) / 2))


def _disturbed(rounds: Sequence[Round]) -> list[Warning]:
    """A line a kind: how many rounds were disturbed that way, and how the first of them was."""
    by_code: dict[str, list[Warning]] = {}
    for r in rounds:
        for d in r.noise.disturbances:
            by_code.setdefault(d.code, []).append(d)
    return [found[0].of(f"in {len(found)} of {len(rounds)} rounds") for found in by_code.values()]


def _change(effect: PairedEffect) -> Measured:
    ends = tuple(None if end is None else float(np.expm1(end)) for end in (effect.low, effect.high))
    return Measured(
        value=effect.slowdown,
        unit="fraction",
        interval=(ends[0], ends[1]),
        confidence=effect.confidence,
        n=effect.pairs,
        n_eff=effect.pairs,
        warnings=effect.warnings,
    )


def _side(pairs: Sequence[Pair], name: str, question: Question) -> Measured:
    """The metric of one side: median of its rounds, with the exact interval where there are enough."""
    logs = paired_effect(np.log([p.values[name] for p in pairs]), 1 - question.alpha)
    ends = tuple(None if end is None else float(np.exp(end)) for end in (logs.low, logs.high))
    return Measured(
        value=float(np.exp(logs.effect)),
        unit="s",
        interval=(ends[0], ends[1]),
        confidence=logs.confidence,
        n=len(pairs),
        n_eff=len(pairs),
        warnings=tuple(w for w in logs.warnings if w.code != "launch-modes"),
    )


def _details(facts: SideFacts) -> dict[str, str]:
    cores = ", ".join(map(str, facts.affinity)) or "any"
    return {**(facts.details or {}), "load": f"{facts.load_s:.3g} s", "cores": cores}


def well_known(blocks_ns: Mapping[str, npt.NDArray[np.int64]], stages: list[str], question: Question) -> bool:
    """Whether a round's own error is small beside what launches differ by: from the spread of blocks, not from the effect.

    Of a tail it is not known, so that it gets all the time that a round has.
    """
    stage, columns = stage_and_columns(stages, question)
    at = columns.index(stage)
    seconds = {name: table[:, :, at] / 1e9 for name, table in blocks_ns.items()}
    errors = [_within_se(seconds, metric) for metric in question.metrics]
    return all(error is not None and error <= WITHIN_TARGET for error in errors)
