"""Percentiles of a latency sample with distribution-free intervals, honest about correlation and small counts.

For: one sample. Not for: comparing two. The intervals are order statistics: the number of samples below the true
p-quantile is Binomial(n, p) whatever the distribution (David and Nagaraja, Order Statistics, 2003, section 7.1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import bdtr, bdtrc

from seatrial.units import format_value

F64 = npt.NDArray[np.float64]
# Two-sided intervals and one-sided decisions alike.
CONFIDENCE = 0.95
# Block means carry the slow drift that single samples hide; ten are the fewest that give a usable spread.
BLOCKS = 10
# Correlation is looked for up to this lag; a longer memory is drift, which no single run can average out.
MAX_LAG = 200
# How a tail clusters cannot be seen in fewer samples than these above the quantile.
LEAST_IN_TAIL = 20


@dataclass(frozen=True)
class Estimate:
    """A value with its interval. A side that the sample cannot support is None, and a warning says how many more."""

    value: float
    low: float | None
    high: float | None
    confidence: float
    n: int
    n_eff: int
    warnings: tuple[str, ...] = ()


def samples_needed(quantile: float, confidence: float) -> int:
    """Fewest independent samples whose maximum is above the quantile with this confidence: p^n <= 1 - c."""
    return math.ceil(math.log(1 - confidence) / math.log(quantile) - 1e-9)


def effective_count(samples: npt.ArrayLike, quantile: float = 0.5) -> int:
    """n / (1 + 2 Σ ρ_k): how many independent samples say as much about this quantile; between 1 and n.

    ρ is the autocorrelation of the indicator "above the quantile", which is what the variance of a sample quantile
    depends on (Sen, 1972): a slow drift of the median need not blur a tail. A quantile with fewer than twenty samples
    beyond it borrows the ρ of the nearest that has them, seldom smaller than its own. The sum ends where a pair of
    neighbouring autocorrelations stops being positive (Geyer, 1992), and counts for nothing where independent samples
    would often show as much. A memory that is long but weak, such as a slow drift with a tenth of the variance, is only
    partly seen in a few hundred samples.
    """
    x = np.asarray(samples, np.float64)
    n = len(x)
    if n < 4:
        return n
    least = min(0.5, LEAST_IN_TAIL / n)
    quantile = min(max(quantile, least), 1 - least)
    above = (x > np.quantile(x, quantile, method="inverted_cdf")).astype(np.float64)
    above -= above.mean()
    variance = float(above @ above)
    if variance == 0:
        return n
    # 1 + 2 Σ ρ = 2 Σ pairs - 1, since the first pair holds lag 0.
    memory, lags = -1.0, 0
    for lag in range(0, min(MAX_LAG, n - 2), 2):
        pair = float(above[: n - lag] @ above[lag:] + above[: n - lag - 1] @ above[lag + 1 :]) / variance
        if pair <= 0:
            break
        memory += 2 * pair
        lags = lag + 1
    # Independent samples show 1 ± 2 √(lags / n).
    if memory <= 1 + 2 * math.sqrt(lags / n):
        return n
    # Taking the sample's own mean away lowered each of those autocorrelations by about memory / n, and 2 Σ ρ by this.
    memory += 2 * lags * memory / n
    return max(1, int(n / memory + 1e-9))


def percentile_estimate(
    samples: npt.ArrayLike, quantile: float, confidence: float = 0.95, n_eff: int | None = None
) -> Estimate:
    """The sample quantile (smallest value with at least quantile·n at or below it) and its two-sided interval.

    Each side has error at most (1 - confidence) / 2. With correlated samples the binomial is taken at n_eff.
    ValueError for an empty sample or a quantile outside 0 to 1.
    """
    x = np.sort(np.asarray(samples, np.float64))
    n = len(x)
    if n == 0:
        raise ValueError("expected at least one sample, got none")
    if not 0 < quantile < 1:
        raise ValueError(f"quantile: expected a number between 0 and 1, got {quantile}")
    independent = n_eff if n_eff is not None else effective_count(samples, quantile)
    value = float(x[min(n - 1, max(0, math.ceil(quantile * n - 1e-9) - 1))])
    low_share, high_share = _interval_shares(independent, quantile, (1 - confidence) / 2)
    low = None if low_share is None else float(x[math.floor(low_share * n + 1e-9)])
    high = None if high_share is None else float(x[min(n - 1, math.ceil(high_share * n - 1e-9) - 1)])
    warnings: list[str] = []
    if low is None:
        needed = samples_needed(1 - quantile, 1 - (1 - confidence) / 2)
        warnings.append(
            f"p{quantile * 100:g} has no lower bound at {confidence:.0%}: it needs {needed} independent samples, "
            f"{needed - independent} more than these {independent}"
        )
    if high is None:
        needed = samples_needed(quantile, 1 - (1 - confidence) / 2)
        warnings.append(
            f"p{quantile * 100:g} has no upper bound at {confidence:.0%}: it needs {needed} independent samples, "
            f"{needed - independent} more than these {independent}"
        )
    return Estimate(value, low, high, confidence, n, independent, tuple(warnings))


def _interval_shares(n: int, quantile: float, error: float) -> tuple[float | None, float | None]:
    """Shares of the samples below the low end, and up to the high end; None where no rank has an error as small.

    Of more samples than n, the low end is the next one above its share: with r - 1 of n below, counting the r-th itself
    as below would move the end towards the middle by up to a whole rank of n.
    """
    # P(X_(r) > q) = P(at most r - 1 samples below q); P(X_(s) < q) = 1 - P(at most s - 1 below q).
    at_most = np.asarray(bdtr(np.arange(n + 1, dtype=np.float64), n, quantile))
    low_rank = int(np.searchsorted(at_most, error, side="right"))
    high_rank = int(np.searchsorted(at_most, 1 - error, side="left")) + 1
    return ((low_rank - 1) / n if low_rank >= 1 else None), (high_rank / n if high_rank <= n else None)


@dataclass(frozen=True)
class Bound:
    """Whether a quantile is at or below a limit: 'yes', 'no' or 'unsure', and why."""

    answer: str
    reason: str


def quantile_below(samples: npt.ArrayLike, quantile: float, limit: float, confidence: float, unit: str = "s") -> Bound:
    """Is the p-quantile at most `limit`? One-sided exact binomial test on the share of samples above it.

    yes: were the quantile above the limit, so few samples above it would be seen with probability at most
    1 - confidence. no: likewise with so many. Correlation shrinks both counts to n_eff.
    """
    x = np.asarray(samples, np.float64)
    n, n_eff = len(x), effective_count(x, quantile)
    above = int((x > limit).sum())
    # Rounded against the claim that is made, so that shrinking never turns one sample above into none.
    share = n_eff / n
    p_few = float(bdtr(math.ceil(above * share), n_eff, 1 - quantile))
    floor_above = math.floor(above * share)
    p_many = float(bdtrc(floor_above - 1, n_eff, 1 - quantile)) if floor_above >= 1 else 1.0
    said = f"{above} of {n} samples above {format_value(limit, unit)}"
    correlated = f", worth {n_eff} independent ones" if n_eff < n else ""
    if p_few <= 1 - confidence:
        return Bound("yes", f"{said}{correlated}")
    if p_many <= 1 - confidence:
        return Bound("no", f"{said}{correlated}; at most {(1 - quantile) * 100:g} % may be")
    needed = samples_needed(quantile, confidence)
    more = f"; needs at least {needed} independent samples" if n_eff < needed else "; too close to call"
    return Bound("unsure", f"{said}{correlated}{more}")
