"""Two figures from separate processes: what they tell beyond what launches of the same thing differ by.

For: stored figures with their intervals. Not for: pairs in lock-step (compare.py), which tell far more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from scipy.special import ndtr, ndtri

from seatrial.stats.compare import PairedEffect

Interval = tuple[float, float]
# Standard deviation of ln(B / A) between two medians from separate processes, as seen on a shared two-core machine:
# see docs/adr/0003.
SEPARATE_PROCESS_SD = 0.105
# 95 % of processes lie within this ratio of the usual one: the deviation above is of the ratio of two.
PROCESS_SPREAD = math.exp(1.96 * SEPARATE_PROCESS_SD / math.sqrt(2))


def log_half_width(interval: Interval) -> float:
    """Half of ln(high / low), of an interval above zero."""
    return math.log(interval[1] / interval[0]) / 2


def separate_effect(a: float, b: float, intervals: Sequence[Interval | None], confidence: float) -> PairedEffect:
    """ln(b / a), both above zero, and its normal interval and test: a lone pair with a spread that is known beforehand.

    Independent errors add up in squares: what launches differ by, and what each run knew of its own figure. intervals: of
    each, at `confidence`, both ends above zero; None adds nothing.
    """
    z = _z(confidence)
    effect = math.log(b / a)
    own = [log_half_width(interval) / z if interval else 0.0 for interval in intervals]
    sd = math.sqrt(SEPARATE_PROCESS_SD**2 + sum(e**2 for e in own))
    half = z * sd
    return PairedEffect(
        effect=effect,
        low=effect - half,
        high=effect + half,
        confidence=confidence,
        p_value=float(2 * ndtr(-abs(effect) / sd)),
        pairs=1,
        detectable=half,
        sd=sd,
    )


def separate_noise_floor(confidence: float) -> float:
    """By what share two processes of the same differ at most, this often."""
    return math.expm1(_z(confidence) * SEPARATE_PROCESS_SD)


def _z(confidence: float) -> float:
    return float(ndtri(0.5 + confidence / 2))
