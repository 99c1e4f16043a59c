"""From rounds to verdicts: what their pairs add up to, and what forbids to call it.

For: Comparison records. Not for: running rounds (lockstep.py), how many (rounds.py), their numbers (pairs.py), or formulas
(stats/compare.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from seatrial.compare.builds import Builds
from seatrial.compare.lockstep import Round
from seatrial.compare.pairs import CONTROL, A, B, pair_of, stage_and_columns
from seatrial.compare.question import Question
from seatrial.compare.turn_task import SideFacts
from seatrial.history.records import Comparison, Measured, Pair
from seatrial.stats.builds import with_builds
from seatrial.stats.compare import PairedEffect, Verdict, judge, paired_effect
from seatrial.stats.launches import LaunchModes, launch_modes
from seatrial.stats.multiplicity import benjamini_hochberg
from seatrial.warning import Warning

# Of a side's turns, after which it was still at work: above it the other sides were not measured alone.
MOST_RESTLESS = 0.05


def judge_rounds(
    rounds: Sequence[Round],
    question: Question,
    labels: tuple[str, str],
    builds: Builds = Builds(),
    late: str = "",
    cut: str = "",
) -> list[Comparison]:
    """One comparison a metric. builds: of the sides' engines. late: why the time ends here; cut: why rounds ended before that,
    so that nothing is called."""
    stage, columns = stage_and_columns(rounds[0].stages, question)
    comparisons = []
    for metric in question.metrics:
        pairs = [_with_build(pair_of(r, metric, columns.index(stage)), builds, k) for k, r in enumerate(rounds)]
        comparison = _comparison(metric, stage, pairs, rounds, question, labels, builds)
        if late and comparison.verdict == "INCONCLUSIVE":
            comparison = _with_reason(comparison, f"NOT CONVERGED: {late}")
        if cut:
            comparison = _with_reason(
                comparison, f"NOT CONVERGED: ended after {_rounds(rounds)}: {cut}", verdict="INCONCLUSIVE"
            )
        comparisons.append(comparison)
    return adjust_for_many(comparisons, 1 - question.confidence)


def _with_build(pair: Pair, builds: Builds, number: int) -> Pair:
    return pair.model_copy(update={"build": builds.number(number)}) if builds.engines else pair


def _rounds(rounds: Sequence[Round]) -> str:
    return f"{len(rounds)} round{'s' if len(rounds) > 1 else ''}"


def _with_reason(c: Comparison, more: str, **changes: Any) -> Comparison:
    return c.model_copy(update={"reason": f"{c.reason}; {more}", **changes})


def adjust_for_many(comparisons: Sequence[Comparison], alpha: float) -> list[Comparison]:
    """Many are judged at once: what would be luck among so many is not called."""
    found = []
    for c, p in zip(comparisons, benjamini_hochberg([c.p_value for c in comparisons]), strict=True):
        c = c.model_copy(update={"p_adjusted": p})
        if c.verdict in ("REGRESSION", "IMPROVED") and p > alpha:
            luck = f"among {len(comparisons)} comparisons such a difference is luck too often (adjusted p {p:.2g})"
            c = _with_reason(c, luck, verdict="INCONCLUSIVE")
        found.append(c)
    return found


def _comparison(
    metric: str,
    stage: str,
    pairs: list[Pair],
    rounds: Sequence[Round],
    question: Question,
    labels: tuple[str, str],
    builds: Builds,
) -> Comparison:
    effects = [p.effect for p in pairs]
    of_rounds = paired_effect(effects, question.confidence)
    effect = with_builds(of_rounds, effects, [builds.number(k) for k in range(len(pairs))])
    control = paired_effect([p.control for p in pairs if p.control is not None], question.confidence)
    floor = _noise_floor(control) if effect.low is not None else None
    verdict, reason = _above_the_floor(*judge(effect, question.margin), effect, floor, question.margin)
    modes = _modes(pairs)
    verdict, reason = _unless_modal(verdict, reason, effect, modes)
    verdict, reason = _unless_unsteady(*_unless_restless(verdict, reason, rounds), rounds)
    if verdict == "INCONCLUSIVE" and effect != of_rounds:
        reason += (
            f"; {builds.count} builds of an engine differ by more than rounds of one: more time makes more of them"
        )
    if why := builds.why_too_few(len(rounds)):
        verdict, reason = "INCONCLUSIVE", f"{reason}; {why}"
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
        pairs_sd=_finite_or_none(effect.sd),
        noise_floor=None if floor is None else float(np.expm1(floor)),
        noise_sd=_finite_or_none(control.sd),
        control=_change(control),
        launched_second=_launched_second(pairs),
        pairs=tuple(pairs),
        builds=builds.of_rounds(len(rounds)),
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


def _unless_modal(
    verdict: Verdict, reason: str, effect: PairedEffect, modes: Mapping[str, LaunchModes]
) -> tuple[Verdict, str]:
    """Where launches fall into two groups, a change smaller than they lie apart hangs on how often each comes."""
    for name, m in modes.items():
        if verdict == "INCONCLUSIVE" or m.mix_known or _beyond(effect, m.apart):
            continue
        return "INCONCLUSIVE", (
            f"{reason}; {_describe(name, m)}: too few launches to know how often each comes; give it more time for more of "
            "them, or find what the groups differ in"
        )
    return verdict, reason


def _describe(name: str, m: LaunchModes) -> str:
    groups = f"{m.larger} and {m.smaller} of {m.larger + m.smaller}, {np.expm1(m.apart):.1%} apart"
    return f"LAUNCH-MODAL: launches of {name.upper()} fall into two groups, {groups}"


def _unless_restless(verdict: Verdict, reason: str, rounds: Sequence[Round]) -> tuple[Verdict, str]:
    """A side that works on between its turns takes from the other's: what lock-step promises does not hold."""
    for name, said in ((A, "A"), (CONTROL, "A"), (B, "B")):
        share = float(np.mean([r.restless.get(name, 0.0) for r in rounds]))
        if share > MOST_RESTLESS:
            return "INCONCLUSIVE", (
                f"{reason}; {said}'s process was still at work after {share:.0%} of its turns, and took a core from the "
                "other's: end what it does in the background, or compare two stored benches"
            )
    return verdict, reason


def _unless_unsteady(verdict: Verdict, reason: str, rounds: Sequence[Round]) -> tuple[Verdict, str]:
    """A side whose kernels were exchanged between or before its turns was measured with some of each."""
    for said, names in (("A", (A, CONTROL)), ("B", (B,))):
        if count := sum(any(name in r.unsteady for name in names) for r in rounds):
            return "INCONCLUSIVE", (
                f"{reason}; {said}'s runtime exchanges kernels as it runs, and in {count} of {_rounds(rounds)} its latency "
                "kept no level: set kernel_strategy to eager or none"
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
        yield Warning("launch-modes", _describe(name, m), "more launches help, more iterations don't")
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
    yield from _disturbances(rounds)


def _detectable(effect: PairedEffect) -> float | None:
    """A share. Where the middle rounds happen to lie close together, not less than half the interval, which sees them all."""
    half = (effect.high - effect.low) / 2 if effect.high is not None and effect.low is not None else 0.0
    return _finite_or_none(float(np.expm1(max(effect.detectable, half))))


def _finite_or_none(value: float) -> float | None:
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


def _disturbances(rounds: Sequence[Round]) -> list[Warning]:
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
