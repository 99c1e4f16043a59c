"""Several independent builds of a side's engine, made one after another before the rounds, which then take them in turn.

Two builds of one model differ in speed: a builder chooses kernels by times that are noisy themselves. What one build of each
side says is of those two, and not of the models. For: how many there are, and which one a round runs. Not for: what they differ
by (stats/builds.py), or building.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from seatrial.compare.question import Question, TooLittleTimeError
from seatrial.compare.turner import LOAD_TIMEOUT_S, Side, Turner, open_turner
from seatrial.runtimes.engine_builds import LEAST_BUILDS, Engines, engines_of
from seatrial.stats.sample import round_up
from seatrial.units import format_seconds

# Of the question's time, what builds beyond the fewest may take; and what is left to rounds where even these are too many.
MORE_SHARE, ROUNDS_SHARE = 0.25, 0.5


@dataclass(frozen=True)
class Builds:
    """engines: of each side that runs an engine, where that comes from. count: independent ones of each side whose engines are
    numbered; a round runs the next, and behind the last the first again."""

    engines: Mapping[str, Engines] = field(default_factory=dict)
    count: int = 0

    def number(self, round_number: int) -> int:
        """Of the build that a round runs, from 1; rounds are counted from 0. Of the round itself where each opening builds, or
        there is no engine."""
        return 1 + (round_number % self.count if self.count else round_number)

    def of_rounds(self, rounds: int) -> dict[str, int]:
        """How many independent builds of its engine each side ran in so many rounds; of sides without engines nothing."""
        numbered = min(rounds, self.count)
        ran: dict[Engines, int] = {"given": min(rounds, 1), "each time": rounds, "numbered": numbered}
        return {name: ran[kind] for name, kind in self.engines.items()}

    def why_too_few(self, rounds: int) -> str:
        """Why nothing is called of so many rounds; '' where there are builds enough."""
        ran = {name: count for name, count in self.of_rounds(rounds).items() if count < LEAST_BUILDS}
        if not ran:
            return ""
        said = ", ".join(f"{name.upper()} ran {count}" for name, count in ran.items())
        given = [name.upper() for name, kind in self.engines.items() if kind == "given"]
        cure = (
            f"leave the option engine of {' and '.join(given)} out, which names the only one"
            if given
            else "it takes more time, for more rounds"
        )
        return f"builds of one engine differ, so that it takes {LEAST_BUILDS} independent ones of each: {said}; {cure}"

    def sides_of(self, sides: Sequence[Side], round_number: int) -> list[Side]:
        """With the build that the round runs; A again has A's own."""
        if not self.count:
            return list(sides)
        return [with_build(side, self.number(round_number)) if is_numbered(side) else side for side in sides]


def with_build(side: Side, number: int) -> Side:
    return replace(side, work=replace(side.work, build_number=number))


def is_numbered(side: Side) -> bool:
    return engines_of(side.choice) == "numbered"


def make_builds(
    a: Side, b: Side, question: Question, folder: Path, tell: Callable[[str, float], None] = lambda _step, _share: None
) -> Builds:
    """Builds LEAST_BUILDS engines of each side that keeps them, and more while that costs little, up to one a round of the
    first look. What was built before is found in the cache.

    One at a time: two that build side by side would disturb each other's times of kernels.

    Raises:
        TooLittleTimeError: the fewest do not fit into the time; what was built is kept.
        SeatrialError: a side could not build or load.
    """
    engines = {side.name: kind for side in (a, b) if (kind := engines_of(side.choice))}
    numbered = [side for side in (a, b) if is_numbered(side)]
    if not numbered:
        return Builds(engines)
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        turners: list[Turner] = []
        for number in range(1, question.looks[0] + 1):
            round_began = time.monotonic()
            for position, side in enumerate(numbered):
                tell(f"building or finding engine {number} of {side.name.upper()}", 0.0)
                build_began = time.monotonic()
                if number == 1:
                    turners.append(stack.enter_context(open_turner(with_build(side, 1), folder, capacity=1)))
                    turners[position].await_reply(LOAD_TIMEOUT_S)
                else:
                    turners[position].command(b"b", number)
                to_come = (LEAST_BUILDS - number) * len(numbered) + len(numbered) - 1 - position
                _check_time(question, began, time.monotonic() - build_began, to_come)
            spent_s, last_s = time.monotonic() - began, time.monotonic() - round_began
            if number >= LEAST_BUILDS and spent_s + last_s > MORE_SHARE * question.max_time_s:
                break
        for turner in turners:
            turner.quit()
    return Builds(engines, number)


def _check_time(question: Question, began: float, last_s: float, to_come: int) -> None:
    """By what the last one took. Nothing of it where only more than the fewest are to come."""
    spent_s = time.monotonic() - began
    if to_come < 0 or spent_s + to_come * last_s <= question.left_s:
        return
    needed_s = round_up((question.spent_s + spent_s + to_come * last_s) / ROUNDS_SHARE)
    raise TooLittleTimeError(
        needed_s,
        f"builds of one engine differ, so that a comparison takes {LEAST_BUILDS} of each side, and one took "
        f"{format_seconds(last_s)}: expected {needed_s} s or more, got {question.max_time_s:g} s; what was built is kept, so "
        "that the next time is shorter",
        key=question.time_key,
        option="" if question.time_key else "max_time",
    )
