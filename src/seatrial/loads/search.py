"""The highest rate that holds a latency bound: raise it until it breaks, halve the bracket, then confirm on new requests.

For: deciding what to try next, and how sure the answer is. Not for: sending requests, or what a percentile's test is
(stats.sample).

Whatever luck the search itself had, its result is tested again, on requests of its own: the k-th rate that is put to that
test may pass wrongly with probability at most ERROR / 2^k, so that all of them together pass wrongly with at most ERROR.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

Holds = Literal["yes", "no", "unsure"]
# Of each end of the interval of what was found.
ERROR = 0.05
# Rates at which the bound may be said to break: each shares ERROR.
MOST_LOOKS = 20
# The bracket is narrow enough: rates nearer than this are one rate on a shared machine.
NARROW = 1.03
FIRST_SHARE, RAISE = 0.6, 1.3
# Lower than this share of the capacity nobody would call serving.
LEAST_SHARE = 1e-3


@dataclass(frozen=True)
class Found:
    """held: the highest rate that held, of those that were sent; failed: the lowest that was shown not to.

    confirmed: it held again, on new requests.

    complete: the time was enough to make the bracket narrow and to confirm.
    """

    held: float | None
    failed: float | None
    confirmed: bool = False
    complete: bool = False


def find_rate(
    capacity_per_s: float,
    try_rate: Callable[[float], Holds | None],
    confirm: Callable[[float, float], Holds | None],
) -> Found:
    """Searches, then confirms.

    capacity_per_s: a first guess of what can be served without idle time; rates beyond it are tried where it was too low.
    try_rate: a rate to its answer, None where its time is up. confirm: likewise a rate and the error that its "yes" may have.
    """
    tried: list[tuple[float, Holds]] = []
    rate = capacity_per_s * FIRST_SHARE
    while narrowing := _next_rate(tried, capacity_per_s) if tried else rate:
        holds = try_rate(narrowing)
        if holds is None:
            break
        tried.append((narrowing, holds))
    complete = narrowing is None
    failed = min((r for r, holds in tried if holds == "no"), default=None)
    candidate = highest_held(tried)
    held = candidate
    for k in range(1, MOST_LOOKS):
        if candidate is None:
            return Found(None, failed, complete=complete)
        holds = confirm(candidate, ERROR / 2**k)
        if holds is None:
            break
        if holds == "yes":
            return Found(candidate, failed, confirmed=True, complete=complete)
        if holds == "no":
            failed = min(failed or math.inf, candidate)
        below = [r for r, h in tried if h == "yes" and r < candidate]
        candidate = max(below, default=candidate / NARROW**2)
        held = candidate if candidate >= capacity_per_s * LEAST_SHARE else None
        candidate = held
    return Found(held if (held, "yes") in tried else None, failed)


def _next_rate(tried: Sequence[tuple[float, Holds]], capacity_per_s: float) -> float | None:
    """Raised while all held; halved while none did; else between the two, until they are near. None: there is no need."""
    held = highest_held(tried)
    broke = min((r for r, holds in tried if holds != "yes"), default=None)
    if len(tried) >= MOST_LOOKS:
        return None
    if held is None:
        rate = min(r for r, _ in tried) / 2
        return rate if rate >= capacity_per_s * LEAST_SHARE else None
    if broke is None:
        return held * RAISE
    return math.sqrt(held * broke) if broke / held > NARROW else None


def highest_held(tried: Sequence[tuple[float, Holds]]) -> float | None:
    """A rate above one that broke is never held, whatever luck it had."""
    broke = min((rate for rate, holds in tried if holds != "yes"), default=math.inf)
    return max((rate for rate, holds in tried if holds == "yes" and rate < broke), default=None)
