"""B against A in lock-step rounds, looked at after 8, 12 and 16 of them, with A against itself in every round.

For: the order of things and the records. Not for: processes (lockstep.py), formulas (stats/compare.py), or what A and B are
(subjects.py).
"""

from __future__ import annotations

import math
import random
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.errors import CellError, ExitCode, SeatrialError, UsageError, did_you_mean
from seatrial.history.records import Comparison, Measured, Pair
from seatrial.stats.compare import (
    LOOKS,
    PairedEffect,
    Verdict,
    benjamini_hochberg,
    hodges_lehmann,
    judge,
    launch_modal,
    least_pairs,
    nominal_alpha,
    paired_effect,
    what_to_add,
    within_pair_se,
)
from seatrial.stats.sample import CONFIDENCE, samples_needed
from seatrial.trial.lockstep import BLOCKS, Round, Side, run_round
from seatrial.units import format_seconds

F64 = npt.NDArray[np.float64]
A, B, CONTROL = "a", "b", "control"
MOST_BLOCKS = 4 * BLOCKS
# Launches differ by some 0.3 %; a round whose own error is as large as that needs no more blocks.
WITHIN_TARGET = 0.003
# A burst has its own; other percentiles are of a round.
BY_BLOCK = ("p50", "mean")
METRICS = ("p50", "p90", "p95", "p99", "mean")
# Beyond it not even the last look's pairs have an interval.
MOST_CONFIDENCE = 0.9999


@dataclass(frozen=True)
class Question:
    """What is asked of A and B. margin: a share such as 0.02; max_time_s: no round starts that would end after it.

    alpha: of all looks together. time_option: what a user would change to give it more time; spent_s: what of it is not for
    rounds.
    """

    margin: float = 0.02
    metrics: tuple[str, ...] = ("p50",)
    stage: str = ""
    max_time_s: float = 60.0
    alpha: float = 0.05
    seed: int = 0
    time_option: str = "--max-time"
    spent_s: float = 0.0

    @property
    def left_s(self) -> float:
        return max(0.0, self.max_time_s - self.spent_s)

    @property
    def looks(self) -> tuple[int, ...]:
        """Counts of rounds after which it may be answered: those at which there is an interval."""
        looks: tuple[int, ...] = LOOKS
        while looks and least_pairs(1 - nominal_alpha(len(looks), self.alpha)) > looks[0]:
            looks = looks[1:]
        return looks

    @property
    def confidence(self) -> float:
        """Of each look's interval."""
        return 1 - nominal_alpha(len(self.looks), self.alpha)

    def check(self) -> None:
        """UsageError where it cannot be asked."""
        if not 1 - MOST_CONFIDENCE <= self.alpha <= 0.5:
            raise UsageError(f"confidence: expected 50 % to {MOST_CONFIDENCE:.2%}, got {1 - self.alpha:.6%}")
        unknown = [m for m in self.metrics if m not in METRICS]
        if unknown or not self.metrics:
            got = f"{unknown[0]!r}{did_you_mean(unknown[0], list(METRICS))}" if unknown else "none"
            raise UsageError(f"--metric: expected one of {', '.join(METRICS)}, got {got}")
        if not 0 < self.margin < 1:
            raise UsageError(
                f"--margin: expected a share above 0 and below 100 %, such as 2% or 0.02, got {self.margin * 100:g} %"
            )


Tell = Callable[[str, float], None]


class CutShortError(CellError):
    """A side broke, or someone stopped it, after rounds that are worth keeping: `comparisons` are of those."""

    def __init__(self, comparisons: list[Comparison], cause: BaseException) -> None:
        self.interrupted = isinstance(cause, KeyboardInterrupt)
        super().__init__("interrupted" if self.interrupted else str(cause))
        self.comparisons = comparisons
        self.ended_with = ExitCode.INTERRUPTED if self.interrupted else getattr(cause, "exit_code", ExitCode.FAIL)


def compare_sides(
    a: Side, b: Side, question: Question, folder: Path, labels: tuple[str, str], tell: Tell = lambda _step, _share: None
) -> list[Comparison]:
    """Runs rounds until every metric has a verdict, or there are 16, or the time is up; one Comparison a metric.

    Raises:
        UsageError: the stage is none of theirs, or no verdict would fit into the time.
        CutShortError: a side broke, or Ctrl-C came, after a round or more.
        SeatrialError: a side could not load, or broke.
    """
    question.check()
    called = {A: f"A, {labels[0]}", B: f"B, {labels[1]}", CONTROL: f"A again, {labels[0]}"}
    sides = [Side(n, s.task, s.python, s.environment, called[n]) for n, s in ((A, a), (B, b), (CONTROL, a))]
    rounds: list[Round] = []
    try:
        return _rounds_to_verdicts(sides, question, folder, labels, tell, rounds)
    except (SeatrialError, KeyboardInterrupt) as e:
        if not rounds or isinstance(e, UsageError):
            raise
        why = str(e) or "interrupted"
        raise CutShortError(_judged(rounds, question, labels, cut=why), e) from e
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _rounds_to_verdicts(
    sides: Sequence[Side], question: Question, folder: Path, labels: tuple[str, str], tell: Tell, rounds: list[Round]
) -> list[Comparison]:  # fmt: skip
    began = time.monotonic()
    looks = question.looks
    left_s = question.left_s
    # So that the first look's rounds fit into the time with some to spare.
    budget_s = 0.9 * left_s / looks[0]
    blocks = BLOCKS
    comparisons: list[Comparison] = []

    def check_time(round_s: float) -> None:
        if not rounds:
            _check_time(round_s, question)

    for look in looks:
        while len(rounds) < look:
            if rounds and time.monotonic() - began + _next_round_s(rounds[-1], blocks, budget_s) > left_s:
                return _judged(rounds, question, labels, out_of_time=True)
            rounds.append(
                run_round(
                    sides,
                    folder,
                    question.seed * 1000 + len(rounds),
                    blocks=blocks,
                    least_requests=_requests_needed(question),
                    launch=_launch_order(question.seed, len(rounds)),
                    tell=_told(tell, len(rounds), looks[0]),
                    budget_s=budget_s,
                    enough=lambda tables, stages: _well_known(tables, stages, question),
                    check_time=check_time,
                )
            )
            # Of a stage that is not there: after one round, not after eight.
            _stage_and_columns(rounds[0].stages, question)
        comparisons = _judged(rounds, question, labels)
        if all(c.verdict != "INCONCLUSIVE" for c in comparisons):
            break
        blocks = _more_blocks(comparisons, blocks)
    return comparisons


def _next_round_s(last: Round, blocks: int, budget_s: float) -> float:
    """As long as the last one, or longer where it is to have more blocks; none takes much longer than its budget."""
    grown = last.wall_s * blocks / len(last.blocks_ns[A])
    return max(last.wall_s, min(grown, budget_s))


def _launch_order(seed: int, number: int) -> list[str]:
    """Random, and every second round the mirror image of the one before: B is launched behind A as often as before it."""
    order = random.Random(f"{seed} {number // 2}").sample([A, B, CONTROL], 3)
    return order if number % 2 == 0 else order[::-1]


def _check_time(turns_s: float, question: Question) -> None:
    """UsageError where not even the first look could be reached: better said now than after the time is up.

    By the turns of a round alone: how long loading takes differs, the first time most of all.
    """
    least_s = question.looks[0] * turns_s
    if least_s > question.left_s:
        raise UsageError(
            f"{question.time_option}: a round of these takes {format_seconds(turns_s)} and what loading takes, and the first "
            f"verdict {question.looks[0]} of them: expected {math.ceil(1.5 * least_s + question.spent_s)} s or more, got "
            f"{question.max_time_s:g} s{'; p50 takes less' if _requests_needed(question) > 1 else ''}"
        )


def _told(tell: Tell, done: int, first_look: int) -> Callable[[float], None]:
    return lambda share: tell(f"round {done + 1}", min(1.0, (done + share) / first_look))


def _requests_needed(question: Question) -> int:
    """A round's requests a side: enough that its tail percentile has a sample beyond it."""
    tails = [float(m[1:]) / 100 for m in question.metrics if m.startswith("p")]
    return max((samples_needed(q, CONFIDENCE) for q in tails if q > 0.5), default=1)


def _well_known(blocks_ns: Mapping[str, npt.NDArray[np.int64]], stages: list[str], question: Question) -> bool:
    """Whether a round's own error is small beside what launches differ by: from the spread of blocks, not from the effect.

    Of a tail it is not known, so that it gets all the time that a round has.
    """
    if any(m not in BY_BLOCK for m in question.metrics):
        return False
    stage, columns = _stage_and_columns(stages, question)
    at = columns.index(stage)
    logs = [{n: _logs(table[:, :, at] / 1e9, m) for n, table in blocks_ns.items()} for m in question.metrics]
    return all(within_pair_se(own[B] - (own[A] + own[CONTROL]) / 2) <= WITHIN_TARGET for own in logs)


def _more_blocks(comparisons: Sequence[Comparison], blocks: int) -> int:
    """Twice as many where, for a metric that is not settled, the error within rounds is the larger part."""
    for c in comparisons:
        within = [p.within_se for p in c.pairs if p.within_se is not None]
        unsettled = c.verdict == "INCONCLUSIVE" and within and c.pairs_sd is not None
        if unsettled and what_to_add(c.pairs_sd or 0.0, float(np.median(within))) == "blocks":
            return min(MOST_BLOCKS, 2 * blocks)
    return blocks


def _judged(
    rounds: Sequence[Round], question: Question, labels: tuple[str, str], out_of_time: bool = False, cut: str = ""
) -> list[Comparison]:
    """One comparison a metric. cut: why the rounds ended before their time, so that nothing is called."""
    stage, columns = _stage_and_columns(rounds[0].stages, question)
    comparisons = []
    for metric in question.metrics:
        pairs = [_pair(r, metric, columns.index(stage)) for r in rounds]
        comparison = _comparison(metric, stage, pairs, rounds, question, labels)
        if out_of_time and comparison.verdict == "INCONCLUSIVE":
            comparison = _with_reason(
                comparison,
                f"NOT CONVERGED: the time of {question.max_time_s:g} s was up after {_rounds(rounds)}, "
                f"raise {question.time_option}",
            )
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
    judged = []
    for c, p in zip(comparisons, benjamini_hochberg([c.p_value for c in comparisons]), strict=True):
        c = c.model_copy(update={"p_adjusted": p})
        if c.verdict in ("REGRESSION", "IMPROVED") and p > alpha:
            luck = f"among {len(comparisons)} comparisons such a difference is luck too often (adjusted p {p:.2g})"
            c = _with_reason(c, luck, verdict="INCONCLUSIVE")
        judged.append(c)
    return judged


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
        effect=hodges_lehmann(units), control=hodges_lehmann(logs[CONTROL] - logs[A]),
        within_se=within_pair_se(units) if metric in BY_BLOCK and len(units) > 1 else None,
        values={name: _value(s, metric) for name, s in seconds.items()}, launched=tuple(r.launched), burst=r.burst,
        blocks=len(seconds[A]), wall_s=r.wall_s, disturbances=tuple(d.what for d in r.noise.disturbances),
    )  # fmt: skip


def _logs(seconds: F64, metric: str) -> F64:
    """ln of the metric, one a block and its mirror image, whose mean frees it of who ran behind whom.

    A tail is not in a burst: its requests are pooled, and one number comes out.
    """
    if metric not in BY_BLOCK:
        return np.array([np.log(_value(seconds, metric))])
    by_block = np.log(np.median(seconds, axis=1) if metric == "p50" else seconds.mean(axis=1))
    return np.asarray((by_block[0::2] + by_block[1::2]) / 2)


def _value(seconds: F64, metric: str) -> float:
    if metric == "mean":
        return float(seconds.mean())
    return float(np.quantile(seconds, float(metric[1:]) / 100, method="inverted_cdf"))


def _comparison(
    metric: str, stage: str, pairs: list[Pair], rounds: Sequence[Round], question: Question, labels: tuple[str, str]
) -> Comparison:  # fmt: skip
    effect = paired_effect([p.effect for p in pairs], question.confidence)
    control = paired_effect([p.control for p in pairs if p.control is not None], question.confidence)
    # What A against itself was seen to do, from its own spread and from where its middle lies.
    floor = max(control.detectable, abs(control.effect)) if effect.low is not None else None
    verdict, reason = _above_the_floor(*judge(effect, question.margin), effect, floor, question.margin)
    a_value, b_value = _side(pairs, A, question), _side(pairs, B, question)
    return Comparison(
        a=labels[0], b=labels[1], metric=metric, stage=stage, design="lock-step", verdict=verdict, reason=reason,
        margin=question.margin, change=_change(effect), a_value=a_value, b_value=b_value,
        p_value=effect.p_value, p_adjusted=effect.p_value, detectable=_detectable(effect),
        pairs_sd=_known(effect.sd), noise_floor=None if floor is None else float(np.expm1(floor)), noise_sd=_known(control.sd),
        control=_change(control), launched_second=_launched_second(pairs), pairs=tuple(pairs),
        details={n: _details(rounds[-1].details[n]) for n in (A, B)},
        warnings=(*effect.warnings, *_warnings(metric, effect, pairs, rounds, question.margin)),
    )  # fmt: skip


def _above_the_floor(
    verdict: Verdict, reason: str, effect: PairedEffect, floor: float | None, margin: float
) -> tuple[Verdict, str]:
    """Where A differs from itself by more than the margin, only what is surely beyond that is called."""
    if floor is None or floor <= np.log1p(margin) or verdict == "INCONCLUSIVE":
        return verdict, reason
    said = f"the noise floor, from A against itself, is {np.expm1(floor):.1%}"
    if max(effect.low or 0.0, -(effect.high or 0.0)) > floor:
        return verdict, f"{reason}; {said}, and the change is beyond it"
    return "INCONCLUSIVE", (
        f"{reason}; {said}: no margin below it can be judged here, so quiet the machine or raise the margin above it"
    )


def _warnings(
    metric: str, effect: PairedEffect, pairs: list[Pair], rounds: Sequence[Round], margin: float
) -> Iterator[str]:
    for name in (A, B):
        if launch_modal([p.values[name] for p in pairs]):
            yield f"LAUNCH-MODAL: launches of {name.upper()} fall into two groups; more launches would be needed"
    second = _launched_second(pairs)
    if second is not None and abs(second) > margin:
        yield f"the side that is launched second is {abs(second):.1%} {'slower' if second > 0 else 'faster'} on average"
    all_requests = float(np.median([np.log(p.values[B] / np.sqrt(p.values[A] * p.values[CONTROL])) for p in pairs]))
    within = effect.low is None or effect.high is None or effect.low <= all_requests <= effect.high
    if metric == "p50" and not within:
        yield (
            f"between the medians of all requests of a round lie {np.expm1(all_requests):+.1%}, outside the interval of the "
            "change, which is of bursts in turns: latencies have more than one mode; look at the distributions of 'bench'"
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
