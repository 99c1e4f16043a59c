"""A against B from a few pairs of fresh processes: effect, interval, exact test, verdict.

For: paired ln ratios, one number a pair of processes. Not for: one sample (sample.py), when to stop (stopping.py).
Pairs are few and nobody knows the shape of their spread, so ranks decide: the only assumption is that d_k is symmetric
about the true effect, which taking turns in random order provides (Hollander, Wolfe and Chicken, Nonparametric
Statistical Methods, 2013, chapter 3).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import bdtr, ndtr, ndtri

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Verdict = Literal["REGRESSION", "IMPROVED", "EQUIVALENT", "INCONCLUSIVE"]

# Numbers of pairs after which a sequential comparison may stop.
LOOKS = (8, 12, 16)
# Above this the normal approximation is off by less than 0.003 in p, and by less than 7 % of p from 0.01 up.
EXACT_UP_TO = 64
# Normal sd over MAD, and standard error of a Hodges-Lehmann estimate over that of a mean, both for a normal sample.
MAD_TO_SD = 1.48
HODGES_LEHMANN_TO_MEAN = 1.0233
# How often a true effect of the `detectable` size is told from zero.
POWER = 0.8
LEAST_LAUNCHES = 6
LEAST_IN_A_MODE = 2
LEAST_OF_A_MODE = 5
LEAST_MODE_GAP = 0.01


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
    warnings: tuple[str, ...] = ()

    @property
    def slowdown(self) -> float:
        """B/A - 1: 0.02 where B takes 2 % more time."""
        return math.expm1(self.effect)


def paired_effect(d: npt.ArrayLike, confidence: float = 0.95) -> PairedEffect:
    """Effect, interval and test of d_k = ln(B/A), one a pair. ValueError for no pairs or a value that is not finite.

    Two launch modes on both sides make three groups of d, which launch_modal does not see: ask it about the medians of
    A's launches, and of B's, as well.
    """
    x = _finite(d)
    n = len(x)
    low, high = walsh_interval(x, confidence)
    warnings: list[str] = []
    if low is None:
        warnings.append(_too_few(n, confidence))
    if launch_modal(np.exp(x)):
        warnings.append("LAUNCH-MODAL: the pairs fall into two groups; add launches, not iterations")
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
    return float(np.median(_walsh_averages(_finite(d))))


def walsh_interval(d: npt.ArrayLike, confidence: float) -> tuple[float | None, float | None]:
    """The effects that the signed-rank test does not reject: ordered Walsh averages.

    Each side errs with at most (1 - confidence) / 2. Both are None where even the outermost averages, which miss on one
    side with probability 2^-n, promise less: below 6 pairs for 95 %, 8 for 99 %. Ties among d only widen the interval.
    """
    x = _finite(d)
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
    x = _finite(d)
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
    said = f"{as_said(effect)}; the margin is {100 * margin:.3g} %"
    if low > 0 and theta >= delta:
        return "REGRESSION", said
    if high < 0 and theta <= -delta:
        return "IMPROVED", said
    if -delta < low and high < delta:
        return "EQUIVALENT", said
    return "INCONCLUSIVE", f"{said}; {_missing(effect.pairs, theta, max(high - theta, theta - low), delta)}"


def as_said(effect: PairedEffect) -> str:
    """'B is 3.1 % slower (95 % interval 2.2 % to 4.0 %)'."""
    word = "slower" if effect.effect > 0 else "faster"
    # Seen from B's side, so that "faster" has a positive number and its interval the same sign.
    side = 1.0 if effect.effect >= 0 else -1.0
    said = f"B is {_percent(math.expm1(abs(effect.effect)))} {word}" if effect.effect else "B is as fast as A"
    if effect.low is None or effect.high is None:
        return said
    low, high = sorted((math.expm1(side * effect.low), math.expm1(side * effect.high)))
    return f"{said} ({100 * effect.confidence:.3g} % interval {_percent(low)} to {_percent(high)})"


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


def _percent(share: float) -> str:
    """A decimal from 1 % up, two digits below: as much as an interval of a few pairs is worth."""
    value = 100 * share + 0.0
    return f"{value:.1f} %" if abs(value) >= 0.95 else f"{value:.2g} %"


def what_to_add(between_pairs_sd: float, within_pair_se: float) -> Literal["blocks", "pairs"]:
    """What shrinks the interval faster: more blocks in each pair, or more pairs of fresh processes.

    The sd between pairs, as PairedEffect has it, holds the error within a pair too: sd² = launches² + within². Blocks
    where the within part is the larger.
    """
    return "blocks" if 2 * within_pair_se**2 > between_pairs_sd**2 else "pairs"


def within_pair_se(block_effects: npt.ArrayLike) -> float:
    """Standard error of a pair's d, the Hodges-Lehmann estimate of its blocks' ln(B/A), taken as independent."""
    x = _finite(block_effects)
    return HODGES_LEHMANN_TO_MEAN * MAD_TO_SD * float(np.median(np.abs(x - np.median(x)))) / math.sqrt(len(x))


@lru_cache(maxsize=64)
def nominal_alpha(looks: int = len(LOOKS), alpha: float = 0.05) -> float:
    """The level of each of several looks at growing data, for a total of alpha (Pocock, Biometrika 64, 1977).

    0.0221 for three looks at 0.05. For looks at equal steps of information from the first; LOOKS start at half of it,
    overlap more, and so stay under alpha.
    """
    if looks < 1 or not 0 < alpha < 1:
        raise ValueError(f"expected one look or more and an alpha between 0 and 1, got {looks} and {alpha}")
    # Bonferroni's level is too strict, a single look's too lax.
    strict, lax = alpha / looks, alpha
    for _ in range(40):
        middle = (strict + lax) / 2
        if _total_alpha(looks, middle) > alpha:
            lax = middle
        else:
            strict = middle
    return strict


def _total_alpha(looks: int, nominal: float) -> float:
    """P(a standard normal walk leaves ±bound·√k at any look k): recursive integration (Armitage et al., 1969)."""
    nodes, weights = np.polynomial.legendre.leggauss(64)
    bound = -float(ndtri(nominal / 2))
    left = nominal
    at = nodes * bound
    # What each node carries of the walks that are still inside.
    mass = weights * bound * np.exp(-(at**2) / 2) / math.sqrt(2 * math.pi)
    for k in range(2, looks + 1):
        edge = bound * math.sqrt(k)
        left += float(mass @ (np.asarray(ndtr(at - edge)) + np.asarray(ndtr(-at - edge))))
        onward = nodes * edge
        step = np.exp(-((onward[:, None] - at) ** 2) / 2) / math.sqrt(2 * math.pi)
        at, mass = onward, weights * edge * (step @ mass)
    return left


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values, in the order given: those at or below q are discoveries of which a share q may be false.

    Benjamini and Hochberg, 1995. ValueError for anything outside 0 to 1: a NaN would sort as the largest.
    """
    p = np.asarray(p_values, np.float64)
    if not bool(((p >= 0) & (p <= 1)).all()):
        raise ValueError(f"expected p-values from 0 to 1, got {list(p_values)}")
    order = np.argsort(-p)
    rank_from_top = np.arange(len(p), 0, -1)
    adjusted = np.empty(len(p))
    # Running minimum from the largest down keeps the order of the p-values.
    adjusted[order] = np.minimum.accumulate(np.minimum(1.0, p[order] * len(p) / rank_from_top))
    return [float(a) for a in adjusted]


@dataclass(frozen=True)
class LaunchModes:
    """Two groups of launches: how many are in each, and by what ln ratio they lie apart."""

    smaller: int
    larger: int
    apart: float

    @property
    def mix_known(self) -> bool:
        """Whether the launches say how the groups mix: enough of both, or the smaller one is surely the rarer.

        Surely: had it half of all launches, as few would come up in 2.5 % of cases: 3 of 16, 2 of 12, none of 8.
        """
        return self.smaller >= LEAST_OF_A_MODE or float(bdtr(self.smaller, self.smaller + self.larger, 0.5)) <= 0.025


def launch_modes(medians: npt.ArrayLike, beside: npt.ArrayLike | None = None) -> LaunchModes | None:
    """The two groups that launches, one positive number each, fall into; None where they don't.

    The widest gap between neighbours that leaves two launches or more on either side has to be 1 + 36/n times the pooled
    sd inside the two sides, and 1 % of the median. Cutting a normal sample at its widest gap makes the sides look tight,
    the more so the fewer there are; that factor keeps false alarms under 1 % from 8 launches up. Below 6 the answer is
    no. Two groups ten sds apart are found in 88 % of cases with 8 launches, over 97 % with 12. Three groups are not seen.

    beside: ln of each launch against the other sides of its own round. A slow minute moves a whole round, and pairs are
    free of it: groups that these do not follow, by a third of the gap or more, are the machine's and not the launches'.
    """
    x = _finite(medians)
    order = np.argsort(x, kind="stable")
    ordered = x[order]
    n = len(x)
    if n < LEAST_LAUNCHES:
        return None
    gaps = np.diff(ordered)[LEAST_IN_A_MODE - 1 : n - LEAST_IN_A_MODE]
    split = int(np.argmax(gaps)) + LEAST_IN_A_MODE
    left, right = ordered[:split], ordered[split:]
    inside = math.sqrt((float(left.var()) * len(left) + float(right.var()) * len(right)) / (n - 2))
    gap = float(gaps.max())
    if gap < LEAST_MODE_GAP * abs(float(np.median(x))) or gap <= (1 + 36 / n) * inside:
        return None
    apart = math.log(float(np.median(right)) / float(np.median(left)))
    if beside is not None:
        own = _finite(beside)[order]
        if float(own[split:].mean() - own[:split].mean()) < apart / 3:
            return None
    return LaunchModes(min(split, n - split), max(split, n - split), apart)


def launch_modal(medians: npt.ArrayLike) -> bool:
    """Do launches fall into two groups far apart against the spread inside them? As launch_modes tells them."""
    return launch_modes(medians) is not None


def _finite(values: npt.ArrayLike) -> F64:
    x = np.asarray(values, np.float64)
    if x.ndim != 1 or len(x) == 0 or not bool(np.isfinite(x).all()):
        raise ValueError(f"expected one finite number or more, got {values!r}")
    return x


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
