"""A contest's rounds to the lines of a table. For: the same numbers in the command and in bench/. Not for: printing."""

from __future__ import annotations

from dataclasses import dataclass

from seatrial.contests.contest import Contest
from seatrial.stats.sample import Estimate
from seatrial.timing.race import Race, race

OURS, FLOOR = "seatrial", "memory floor"


@dataclass(frozen=True)
class Line:
    """ratio: how many times longer the peer takes; for a floor, how many times longer than it we take."""

    work: str
    group: str
    peer: str
    ours_s: float
    theirs_s: float
    ratio: float
    interval: tuple[float | None, float | None]
    n: int
    is_floor: bool = False


def run_contest(contest: Contest, max_time_s: float) -> list[Line]:
    """One line a group, against the fastest of its contenders, and one for the floor. Each is a race of its own: a
    contender that touches much memory would empty the caches for those of another group."""
    lines = []
    for group, members in contest.groups.items():
        result = race({OURS: contest.ours, **members}, max_time_s)
        peer = min(members, key=result.median_s)
        lines.append(_line(contest.name, group, peer, result, result.ratio(peer, OURS)))
    if contest.floor:
        result = race({OURS: contest.ours, FLOOR: contest.floor}, max_time_s)
        lines.append(_line(contest.name, FLOOR, FLOOR, result, result.ratio(OURS, FLOOR)))
    return lines


def _line(work: str, group: str, peer: str, result: Race, ratio: Estimate) -> Line:
    times_s = result.median_s(OURS), result.median_s(peer)
    return Line(work, group, peer, *times_s, ratio.value, (ratio.low, ratio.high), ratio.n, is_floor=group == FLOOR)
