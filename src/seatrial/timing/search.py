"""The highest rate that holds a latency bound: bracket it, then halve the bracket, with a test of the tail as the judge.

For: deciding what to try next. Not for: sending requests, or what a percentile's test is (stats.sample).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

Holds = Literal["yes", "no", "unsure"]
# The bracket is narrow enough: rates nearer than this are one rate on a shared machine.
NARROW = 1.03
# An edge is measured this many times before it counts as not held.
REPEATS = 3


@dataclass(frozen=True)
class Found:
    """held: the highest rate that held the bound; failed: the lowest that did not, or could not be shown to."""

    held: float | None
    failed: float | None


def rates_to_try(capacity_per_s: float) -> Iterator[tuple[float, Callable[[Holds], None]]]:
    """Yields a rate and how to answer for it, until the bracket is narrow. `bracket` tells what is known.

    capacity_per_s: requests a second with no idle time, which no rate above can hold for long.
    """
    held: float | None = None
    failed: float | None = capacity_per_s * 1.05
    rate = capacity_per_s * 0.6
    while True:
        answers: list[Holds] = []
        yield rate, answers.append
        if answers and answers[-1] == "yes":
            held = rate
        else:
            failed = rate
        if held is None:
            rate = rate / 2
            if rate < capacity_per_s / 1000:
                return
        elif failed is not None and failed / held <= NARROW:
            return
        else:
            rate = math.sqrt(held * (failed or held * 2))


def bracket(tried: list[tuple[float, Holds]]) -> Found:
    """What a list of tried rates says: a rate above one that failed is never held, whatever luck it had."""
    failed = min((rate for rate, holds in tried if holds != "yes"), default=None)
    held = max((r for r, holds in tried if holds == "yes" and (failed is None or r < failed)), default=None)
    return Found(held, failed)


def knee(counts: Sequence[int], rates: Sequence[float]) -> int:
    """The smallest number of clients that reaches 95 % of the best throughput: more of them only wait."""
    best = max(rates)
    return next(c for c, r in sorted(zip(counts, rates, strict=True)) if r >= 0.95 * best)
