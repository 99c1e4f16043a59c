"""A against B from a few pairs of fresh processes: effect, interval, exact test, verdict.

For: paired ln ratios, one number a pair of processes. Not for: one sample (sample.py), when to stop (stopping.py), several
looks or tests (multiplicity.py).
Pairs are few and nobody knows the shape of their spread, so ranks decide: the only assumption is that d_k is symmetric
about the true effect, which taking turns in random order provides (Hollander, Wolfe and Chicken, Nonparametric
Statistical Methods, 2013, chapter 3).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

from seatrial.stats.arguments import finite
from seatrial.stats.launches import launch_modal
from seatrial.stats.multiplicity import LOOKS
from seatrial.units import change_words
from seatrial.warning import Warning

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Verdict = Literal["REGRESSION", "IMPROVED", "EQUIVALENT", "INCONCLUSIVE"]

# Above this the normal approximation is off by less than 0.003 in p, and by less than 7 % of p from 0.01 up.
EXACT_UP_TO = 64
# Normal sd over MAD, and standard error of a Hodges-Lehmann estimate over that of a mean, both for a normal sample.
MAD_TO_SD = 1.48
HODGES_LEHMANN_TO_MEAN = 1.0233
# How often a true effect of the `detectable` size is told from zero.
POWER = 0.8


@dataclass(frozen=True)
class PairedEffect:
    """ln(B/A) with its interval. A None side needs more pairs, and a warning says how many.

    detectable: the smallest true effect that as many pairs of this spread would tell from zero 80 % of the time, at this
    confidence: (z_(1 - alpha/2) + 0.84) standard errors, from 1.48 · MAD (2.8 of them at 95 %).
    sd: the spread of the pairs, which holds the error within each pair too. Both are NaN for a lone pair.
    """

    effect: float
    low: float | None
    high: float | None
    confidence: float
    p_value: float
    pairs: int
    detectable: float
    sd: float
    warnings: tuple[Warning, ...] = ()

    @property
    def slowdown(self) -> float:
        """B/A - 1: 0.02 where B takes 2 % more time."""
        return math.expm1(self.effect)


def paired_effect(d: npt.ArrayLike, confidence: float = 0.95) -> PairedEffect:
    """Effect, interval and test of d_k = ln(B/A), one a pair. ValueError for no pairs or a value that is not finite.

    Two launch modes on both sides make three groups of d, which launch_modal does not see: ask it about the medians of
    A's launches, and of B's, as well.
    """
    x = finite(d)
    n = len(x)
    low, high = walsh_interval(x, confidence)
    warnings = []
    if low is None:
        warnings.append(Warning("too-few-pairs", _too_few(n, confidence)))
    if launch_modal(np.exp(x)):
        said = "LAUNCH-MODAL: the pairs fall into two groups"
        warnings.append(Warning("launch-modes", said, "add launches, not iterations"))
    mad = float(np.median(np.abs(x - np.median(x))))
    return PairedEffect(
        effect=hodges_lehmann(x),
        low=low,
        high=high,
        confidence=confidence,
        p_value=signed_rank_p(x),
        pairs=n,
        detectable=float(ndtri((1 + confidence) / 2) + ndtri(POWER)) * MAD_TO_SD * mad / math.sqrt(n)
        if n > 1
        else math.nan,
        sd=float(x.std(ddof=1)) if n > 1 else math.nan,
        warnings=tuple(warnings),
    )


def hodges_lehmann(d: npt.ArrayLike) -> float:
    """Median of the Walsh averages (d_i + d_j) / 2, i <= j: nearly as precise as the mean, and robust."""
    return float(np.median(_walsh_averages(finite(d))))


def walsh_interval(d: npt.ArrayLike, confidence: float) -> tuple[float | None, float | None]:
    """The effects that the signed-rank test does not reject: ordered Walsh averages.

    Each side errs with at most (1 - confidence) / 2. Both are None where even the outermost averages, which miss on one
    side with probability 2^-n, promise less: below 6 pairs for 95 %, 8 for 99 %. Ties among d only widen the interval.
    """
    x = finite(d)
    cut = _largest_rejected(len(x), _error(confidence))
    if cut < 0:
        return None, None
    ordered = np.sort(_walsh_averages(x))
    return float(ordered[cut]), float(ordered[-1 - cut])


def signed_rank_p(d: npt.ArrayLike) -> float:
    """Two-sided p-value of Wilcoxon's signed-rank test that d is symmetric about zero.

    Exact up to 64 pairs: every sign is a fair coin given the sizes |d|. Equal sizes share their mid-rank. Zeros are
    ranked with the rest and then set aside: were they dropped first, moving every pair further from zero could make an
    effect less significant (Pratt, 1959). Above 64 pairs a normal approximation, with the variance of the ranks that
    are there, is off by less than 0.003.
    """
    x = finite(d)
    size, place, count = np.unique(np.abs(x), return_inverse=True, return_counts=True)
    # Twice the mid-rank, so that ties keep whole numbers: the sum of the first and the last rank of a group.
    doubled: I64 = (2 * np.cumsum(count) - count + 1)[place]
    doubled, signs = doubled[size[place] > 0], x[x != 0] > 0
    total = int(doubled.sum())
    smaller = min(int(doubled[signs].sum()), total - int(doubled[signs].sum()))
    if total == 0:
        return 1.0
    if len(x) <= EXACT_UP_TO:
        return min(1.0, 2 * float(_sum_at_most(doubled)[smaller]))
    # 1 is half a rank, the continuity correction, on the doubled scale.
    spread = math.sqrt(float((doubled.astype(np.float64) ** 2).sum()) / 4)
    return min(1.0, 2 * float(ndtr((smaller + 1 - total / 2) / spread)))


def judge(effect: PairedEffect, margin: float) -> tuple[Verdict, str]:
    """Verdict on B against A, where less is better, and the reason in one breath. A change below the margin is nobody's
    business.

    REGRESSION: surely worse, by the margin or more as best known. IMPROVED: likewise better. EQUIVALENT: surely within
    the margin. Else INCONCLUSIVE, with what is missing. The margin is symmetric in the ratio: "2 % faster" means that A
    takes 2 % longer, so that swapping A and B swaps the verdicts.
    """
    if not (math.isfinite(margin) and margin > 0):
        raise ValueError(f"margin: expected a finite share above zero such as 0.02 for 2 %, got {margin}")
    delta = math.log1p(margin)
    theta, low, high = effect.effect, effect.low, effect.high
    if low is None or high is None:
        return "INCONCLUSIVE", f"{as_said(effect)}; {_too_few(effect.pairs, effect.confidence)}"
    words = f"{as_said(effect)}; {margin_words(margin)}"
    if low > 0 and theta >= delta:
        return "REGRESSION", words
    if high < 0 and theta <= -delta:
        return "IMPROVED", words
    if -delta < low and high < delta:
        return "EQUIVALENT", words
    return "INCONCLUSIVE", f"{words}; {_missing(effect.pairs, theta, max(high - theta, theta - low), delta)}"


def as_said(effect: PairedEffect) -> str:
    """'B against A +3.10 % (95 % interval +2.20 % to +4.00 %)': B's time less A's, as a share of A's, as tables have it."""
    words = f"B against A {change_words(math.expm1(effect.effect))}"
    if effect.low is None or effect.high is None:
        return words
    low, high = math.expm1(effect.low), math.expm1(effect.high)
    return f"{words} ({100 * effect.confidence:.3g} % interval {change_words(low)} to {change_words(high)})"


def margin_words(margin: float) -> str:
    """'the margin is 2 % (-1.96 % to +2.00 %)': as the change is said, of which either side may be A."""
    return f"the margin is {100 * margin:.3g} % ({change_words(1 / (1 + margin) - 1)} to {change_words(margin)})"


def _missing(pairs: int, theta: float, half_width: float, delta: float) -> str:
    """What would settle it: the interval has to clear zero, where the effect is past the margin, else the margin."""
    room = delta - abs(theta) if abs(theta) < delta else abs(theta)
    # The half-width shrinks with the root of the pairs. Compared as roots, since the room may be next to nothing.
    most = LOOKS[-1]
    if pairs >= most or half_width > math.sqrt(most / pairs) * room:
        return f"more than {max(most, pairs)} pairs would be needed: raise the margin or quiet the machine"
    needed = max(pairs + 1, math.ceil(pairs * (half_width / room) ** 2))
    return f"about {needed} pairs would settle it, {needed - pairs} more than these {pairs}"


def least_pairs(confidence: float) -> int:
    """Fewest pairs that have an interval at this confidence: 6 for 95 %, 8 for 99 %."""
    least = 1
    while _largest_rejected(least, _error(confidence)) < 0:
        least += 1
    return least


def _too_few(pairs: int, confidence: float) -> str:
    least = least_pairs(confidence)
    noun = "pair" if least - pairs == 1 else "pairs"
    return f"an interval at {100 * confidence:.3g} % takes {least} pairs: needs {least - pairs} more {noun}"


def what_to_add(between_pairs_sd: float, within_pair_se: float) -> Literal["blocks", "pairs"]:
    """What shrinks the interval faster: more blocks in each pair, or more pairs of fresh processes.

    The sd between pairs, as PairedEffect has it, holds the error within a pair too: sd² = launches² + within². Blocks
    where the within part is the larger.
    """
    return "blocks" if 2 * within_pair_se**2 > between_pairs_sd**2 else "pairs"


def within_pair_se(block_effects: npt.ArrayLike) -> float:
    """Standard error of a pair's d, the Hodges-Lehmann estimate of its blocks' ln(B/A), taken as independent."""
    x = finite(block_effects)
    return HODGES_LEHMANN_TO_MEAN * MAD_TO_SD * float(np.median(np.abs(x - np.median(x)))) / math.sqrt(len(x))


def _walsh_averages(x: F64) -> F64:
    i, j = np.triu_indices(len(x))
    return (x[i] + x[j]) / 2


def _error(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence: expected a number between 0 and 1, got {confidence}")
    return (1 - confidence) / 2


@lru_cache(maxsize=256)
def _largest_rejected(n: int, error: float) -> int:
    """Largest w with P(W <= w) <= error for the rank sum W of n pairs without ties; -1 for none."""
    if n > EXACT_UP_TO:
        spread = math.sqrt(n * (n + 1) * (2 * n + 1) / 24)
        return math.floor(n * (n + 1) / 4 - 0.5 + float(ndtri(error)) * spread)
    return int(np.searchsorted(_sum_at_most(np.arange(1, n + 1)), error, side="right")) - 1


def _sum_at_most(ranks: I64) -> F64:
    """P(sum of those ranks whose coin shows heads <= w) for w = 0, 1, ...: one rank at a time."""
    share = np.zeros(int(ranks.sum()) + 1)
    share[0] = 1.0
    for rank in ranks:
        tails = share / 2
        tails[rank:] += share[: len(share) - rank] / 2
        share = tails
    return np.asarray(np.cumsum(share))
