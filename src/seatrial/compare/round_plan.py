"""How a comparison spends its time: on rounds, on blocks, on bursts. Arithmetic alone: seconds go in, counts come out.

For: lockstep.py, which runs what is planned, and rounds.py, which must know whether enough rounds fit. Not for: measuring
any of those seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# Short turns and many blocks: what disturbs longer than a block hits all sides, and the median over blocks drops the rest.
BLOCKS = 40
# Fewer would leave the median over blocks to chance.
LEAST_BLOCKS = 8
# A burst is as short as hides the hand-over: the first inference after a sleep has cold caches and is not kept.
BURST_S = 0.012
# A request that takes longer than SLOW_S wakes its caches by itself, and is a burst of its own; from SHORT_S up it may be
# one where time is short, since the request that is not kept goes before it.
LEAST_BURST, MOST_BURST, SLOW_S, SHORT_S = 3, 64, 0.1, 0.01
# Where requests vary much, a round goes on, up to so many times its blocks.
MOST_TIMES = 3
# Of the time that is left, what rounds are planned to take: the next ones may be a little slower than the last.
SPARE = 0.95


@dataclass(frozen=True)
class TurnPlan:
    """blocks to begin with, of which at most `most` and never fewer than `least`; burst requests are kept of each turn, and
    block_s seconds go by in a block."""

    blocks: int
    most: int
    least: int
    burst: int
    block_s: float


def plan_turns(
    blocks: int, requests_s: Sequence[float], least_requests: int, left_s: float, hand_over_s: float = 0.0
) -> TurnPlan:
    """How a round spends left_s: bursts as short as hide the hand-over, or as long as a tail's requests ask for.

    blocks: how many there should be. requests_s: what one request of each side takes. least_requests: what each side must
    have answered at the end. hand_over_s: what goes by in a block beside requests. Where the time is short there are fewer
    blocks, and then shorter bursts; where even the shortest round does not fit, that one comes out.
    """
    ideal = _burst(max(requests_s), blocks, least_requests)
    shortest = min(ideal, 1 if max(requests_s) >= SHORT_S else LEAST_BURST)
    longest = max(ideal, -(-least_requests // min(blocks, LEAST_BLOCKS)))

    def block_s(burst: int) -> float:
        # One more than is kept: it wakes the caches.
        return (burst + 1) * sum(requests_s) + hand_over_s

    def least(burst: int) -> int:
        return _even_from(max(min(blocks, LEAST_BLOCKS), -(-least_requests // burst)))

    fitting = (b for b in range(ideal, shortest - 1, -1) if least(b) * block_s(b) <= left_s)
    quickest = min(range(shortest, longest + 1), key=lambda b: least(b) * block_s(b))
    burst = next(fitting, quickest)
    most = MOST_TIMES * blocks
    affordable = most if left_s >= most * block_s(burst) else int(left_s / block_s(burst)) // 2 * 2
    now = min(blocks, max(least(burst), affordable))
    return TurnPlan(now, max(now, affordable), min(now, least(burst)), burst, block_s(burst))


def _burst(request_s: float, blocks: int, least_requests: int) -> int:
    least = LEAST_BURST if request_s < SLOW_S else 1
    burst = int(min(MOST_BURST, max(least, round(BURST_S / request_s))))
    return max(burst, -(-least_requests // blocks))


def _even_from(count: int) -> int:
    """Each block has its mirror image."""
    return -(-count // 2) * 2


def longest_turns(blocks: int, least_requests: int) -> int:
    """Requests of one side that any plan may ask for, those that are not kept included."""
    most_burst = max(MOST_BURST, -(-least_requests // min(blocks, LEAST_BLOCKS)))
    return MOST_TIMES * blocks * (most_burst + 1)


def least_turns_s(blocks: int, requests_s: Sequence[float], least_requests: int = 1, hand_over_s: float = 0.0) -> float:
    """Seconds of the shortest round's turns."""
    plan = plan_turns(blocks, requests_s, least_requests, 0.0, hand_over_s)
    return plan.blocks * plan.block_s


def round_budget_s(left_s: float, rounds: int) -> float:
    """What each of the next rounds may take, loading included, so that all of them fit into the time that is left."""
    return SPARE * left_s / max(1, rounds)


def time_needed_s(rounds: int, ready_s: float, turns_s: float, spent_s: float = 0.0) -> float:
    """In which so many rounds fit, with something to spare. ready_s: of loading and warming up, each time."""
    return spent_s + rounds * (ready_s + turns_s) / SPARE
