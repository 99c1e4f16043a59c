"""Contenders for the same work, timed in interleaved rounds: what one process on a shared machine can compare fairly.

For: ratios of Python callables from microseconds to seconds. Not for: absolute latencies, which drift with the machine.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from seatrial._native.timing import now_ns
from seatrial.stats.sample import CONFIDENCE, Estimate, percentile_estimate

LEAST_ROUNDS = 11


@dataclass(frozen=True)
class Race:
    """durations_s: the samples of each contender, round by round, in the order in which they were given."""

    durations_s: dict[str, list[float]]

    def median_s(self, name: str) -> float:
        return float(np.median(self.durations_s[name]))

    def ratio(self, name: str, to: str) -> Estimate:
        """Median over rounds of how many times longer `name` took than `to`, with its 95 % interval."""
        pairs = np.array(self.durations_s[name]) / np.array(self.durations_s[to])
        # Rounds in random order, not a stream of requests.
        return percentile_estimate(pairs, 0.5, CONFIDENCE, longest_run=1)


def race(
    contenders: Mapping[str, Callable[[], object]],
    max_time_s: float,
    most_rounds: int = 101,
    seed: int = 0,
    *,
    least_rounds: int = LEAST_ROUNDS,
    least_rounds_time_s: float = math.inf,
) -> Race:
    """Every contender once a round, in random order, so that none always runs behind the same one's cache and clock.

    The first round is not counted. least_rounds are run, eleven unless said otherwise, also where max_time_s is over, but for
    no more than least_rounds_time_s; one is run however long it takes.
    """
    durations: dict[str, list[float]] = {name: [] for name in contenders}
    order = list(contenders)
    shuffle = random.Random(seed).shuffle
    for name in order:
        contenders[name]()
    start = now_ns()
    for turn in range(most_rounds):
        spent_s = (now_ns() - start) / 1e9
        if turn and spent_s > (max_time_s if turn >= least_rounds else least_rounds_time_s):
            break
        shuffle(order)
        for name in order:
            work = contenders[name]
            began = now_ns()
            work()
            durations[name].append((now_ns() - began) / 1e9)
    return Race(durations)
