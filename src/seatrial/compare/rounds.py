"""B against A in lock-step rounds, looked at after 8, 12 and 16 of them, with A against itself in every round.

For: the order of things, and the time they take. Not for: processes (lockstep.py), what rounds mean (verdicts.py), or what A
and B are (sides.py).
"""

from __future__ import annotations

import math
import random
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from seatrial.compare.builds import Builds, make_builds
from seatrial.compare.lockstep import Round, RoundHooks, RoundSize, run_round
from seatrial.compare.pairs import CONTROL, A, B, stage_and_columns, well_known
from seatrial.compare.question import Question, TooLittleTimeError
from seatrial.compare.round_plan import BLOCKS, least_turns_s, round_budget_s, time_needed_s
from seatrial.compare.turner import Side
from seatrial.compare.verdicts import judge_rounds
from seatrial.errors import CellError, ExitCode, SeatrialError, UsageError, flag
from seatrial.history.records import Comparison
from seatrial.stats.compare import what_to_add
from seatrial.stats.sample import round_up
from seatrial.units import format_seconds

MOST_BLOCKS = 4 * BLOCKS
# The last round may have been a slow one: the next are given up only where they would have to be so much quicker.
HOPE = 1.25


Tell = Callable[[str, float], None]


class CutShortError(CellError):
    """A side broke, or someone stopped it, after rounds that are worth keeping: `comparisons` are of those."""

    def __init__(self, comparisons: list[Comparison], cause: BaseException) -> None:
        self.interrupted = isinstance(cause, KeyboardInterrupt)
        super().__init__(cause.raw if isinstance(cause, SeatrialError) else "interrupted")
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
    sides = [Side(n, s.work, s.python, s.environment, called[n]) for n, s in ((A, a), (B, b), (CONTROL, a))]
    rounds: list[Round] = []
    builds = Builds()
    try:
        began = time.monotonic()
        builds = make_builds(sides[0], sides[1], question, folder, tell)
        question = replace(question, spent_s=question.spent_s + time.monotonic() - began)
        return _rounds_to_verdicts(sides, builds, question, folder, labels, tell, rounds)
    except (SeatrialError, KeyboardInterrupt) as e:
        if not rounds or isinstance(e, UsageError):
            raise
        why = e.for_command_line() if isinstance(e, SeatrialError) else "interrupted"
        raise CutShortError(judge_rounds(rounds, question, labels, builds, cut=why), e) from e
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _rounds_to_verdicts(
    sides: Sequence[Side],
    builds: Builds,
    question: Question,
    folder: Path,
    labels: tuple[str, str],
    tell: Tell,
    rounds: list[Round],
) -> list[Comparison]:
    began = time.monotonic()
    looks = question.looks
    blocks = BLOCKS
    comparisons: list[Comparison] = []

    def left_s() -> float:
        return question.left_s - (time.monotonic() - began)

    def check_time(ready_s: float, turns_s: float) -> None:
        if not rounds:
            check_time_left(ready_s, turns_s, question)

    for look in looks:
        while len(rounds) < look:
            if rounds and (late := _too_late(rounds, question, left_s())):
                return judge_rounds(rounds, question, labels, builds, late=late)
            rounds.append(
                run_round(
                    builds.sides_of(sides, len(rounds)),
                    folder,
                    question.seed * 1000 + len(rounds),
                    RoundSize(
                        blocks=blocks,
                        least_requests=question.least_requests,
                        # Planned anew each time, from what the rounds before really took.
                        budget_s=round_budget_s(left_s(), look - len(rounds)),
                        requests_s=rounds[-1].requests_s if rounds else {},
                    ),
                    launch=launch_order(question.seed, len(rounds)),
                    hooks=RoundHooks(
                        tell=_tell_share(tell, len(rounds), looks[0]),
                        enough=lambda tables, stages: well_known(tables, stages, question),
                        check_time=check_time,
                    ),
                )
            )
            # Of a stage that is not there: after one round, not after eight.
            stage_and_columns(rounds[0].stages, question)
        comparisons = judge_rounds(rounds, question, labels, builds)
        if all(c.verdict != "INCONCLUSIVE" for c in comparisons):
            break
        blocks = _more_blocks(comparisons, blocks)
    return comparisons


def _too_late(rounds: Sequence[Round], question: Question, left_s: float) -> str:
    """Why no further round is started; '' where one is. Images may be larger than those of the warm-up, by which the question
    was let through: where the fewest rounds will clearly not be reached, the rest of the time is not spent on it."""
    round_s = _least_round_s(rounds[-1], question.least_requests)
    more_time = question.time_key or flag("max_time")
    done = f"{len(rounds)} round{'s' if len(rounds) > 1 else ''}"
    if round_s > left_s:
        return f"the time of {question.max_time_s:g} s was up after {done}, raise {more_time}"
    if len(rounds) + HOPE * left_s / max(round_s, 1e-9) < question.least_rounds:
        needed_s = time_needed_s(question.least_rounds, round_s, 0.0, question.spent_s)
        return (
            f"ended after {done}: a verdict takes {question.least_rounds} of these, of {format_seconds(round_s)} or more each: "
            f"raise {more_time} to {math.ceil(needed_s)} s or more"
        )
    return ""


def _least_round_s(last: Round, least_requests: int) -> float:
    """Of the next round, as short as it may be: what the last one took beside its turns, and the fewest turns."""
    shortest_s = last.other_s + least_turns_s(BLOCKS, list(last.requests_s.values()), least_requests)
    return min(last.wall_s, shortest_s)


def launch_order(seed: int, number: int) -> list[str]:
    """Random, and every second round the mirror image of the one before: B is launched behind A as often as before it."""
    order = random.Random(f"{seed} {number // 2}").sample([A, B, CONTROL], 3)
    return order if number % 2 == 0 else order[::-1]


def check_time_left(ready_s: float, turns_s: float, question: Question) -> None:
    """TooLittleTimeError where not even the fewest rounds fit: better said now than after the time is up.

    ready_s: what loading and warming up took this time; turns_s: the shortest round's turns.
    """
    rounds = question.least_rounds
    needed_s = time_needed_s(rounds, ready_s, turns_s, question.spent_s)
    if needed_s <= question.max_time_s:
        return
    tail = question.least_requests > 1
    # What was loaded before is in the system's cache, and an engine is built once.
    sooner = rounds * turns_s <= 0.8 * question.left_s
    raise TooLittleTimeError(
        round_up(needed_s),
        f"a round of these takes {format_seconds(ready_s + turns_s)} or more, "
        f"{format_seconds(ready_s)} of it for loading and warming up, and a verdict {rounds} of them: expected "
        f"{math.ceil(needed_s)} s or more, got {question.max_time_s:g} s"
        f"{'; p50 takes less' if tail else ''}{'; loading may be quicker the second time' if sooner else ''}",
        key=question.time_key,
        option="" if question.time_key else "max_time",
    )


def _tell_share(tell: Tell, done: int, first_look: int) -> Callable[[float], None]:
    return lambda share: tell(f"round {done + 1}", min(1.0, (done + share) / first_look))


def _more_blocks(comparisons: Sequence[Comparison], blocks: int) -> int:
    """Twice as many where, for a metric that is not settled, the error within rounds is the larger part."""
    for c in comparisons:
        within = [p.within_se for p in c.pairs if p.within_se is not None]
        unsettled = c.verdict == "INCONCLUSIVE" and within and c.pairs_sd is not None
        if unsettled and what_to_add(c.pairs_sd or 0.0, float(np.median(within))) == "blocks":
            return min(MOST_BLOCKS, 2 * blocks)
    return blocks
