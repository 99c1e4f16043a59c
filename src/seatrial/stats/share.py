"""What share of all requests lies beyond a limit, where those beyond it come together: one rule for intervals and budgets.

For: how much a sample's flags (True: beyond the limit) say about the share of all requests. Not for: which limit, or what
a latency is (sample.py).

Three things make a sample worth less than its size: a few slow requests that came together, neighbours that are alike,
and a run of slow requests that has not come yet, of which no sample knows anything. The last one needs an assumption,
which is said wherever it decides (LONGEST_RUN). See docs/adr/0010-tail-budgets.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import betainc

F64 = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
# Slow requests are taken to come in runs of at most so many (a collection of garbage, a neighbour's burst, a page-out).
# Where none was seen nobody can tell, and were they taken to come alone, runs of 20 that hold twice the share that a p99
# allows would pass in two of three trials. A plan that knows better says so: `measure.longest_run`.
LONGEST_RUN = 20
# A memory that was measured is known within a factor of two: in a few hundred samples it looks too short.
MEMORY_MARGIN = 2.0
# Correlation is looked for up to this lag; a longer memory is drift, which no single run can average out.
MAX_LAG = 200
# How a tail clusters cannot be seen in fewer samples than these above the quantile.
LEAST_IN_TAIL = 20


def memory(flags: Flags) -> float:
    """1 + 2 Σ ρ_k, ρ the autocorrelation of the flags: how many neighbours count as one; 1 to n.

    The sum ends where a pair of neighbouring autocorrelations stops being positive (Geyer, 1992), and counts for nothing
    where independent samples would often show as much. A memory that is long but weak, such as a slow drift with a tenth
    of the variance, is only partly seen in a few hundred samples.
    """
    n, total = len(flags), int(flags.sum())
    if n < 4 or total in (0, n):
        return 1.0
    most = min(MAX_LAG, n - 2)
    mean = total / n
    first, last = np.cumsum(flags[: most + 1]), np.cumsum(flags[: -most - 2 : -1])

    def covariance(lag: int) -> float:
        """n times it, of the centred flags, from whole counts."""
        both = np.count_nonzero(flags[: n - lag] & flags[lag:])
        ends = 2 * total - (int(first[lag - 1] + last[lag - 1]) if lag else 0)
        return float(both - mean * ends + (n - lag) * mean * mean)

    variance = covariance(0)
    # 1 + 2 Σ ρ = 2 Σ pairs - 1, since the first pair holds lag 0.
    found, lags = -1.0, 0
    for lag in range(0, most, 2):
        pair = (covariance(lag) + covariance(lag + 1)) / variance
        if pair <= 0:
            break
        found += 2 * pair
        lags = lag + 1
    # Independent samples show 1 ± 2 √(lags / n).
    if found <= 1 + 2 * math.sqrt(lags / n):
        return 1.0
    # Taking the sample's own mean away lowered each of those autocorrelations by about found / n, and 2 Σ ρ by this.
    found += 2 * lags * found / n
    return min(max(1.0, found), float(n))


def tail_memory(samples: npt.ArrayLike, quantile: float) -> float:
    """Memory of the flags "above the sample's quantile", which is what the variance of a quantile depends on (Sen, 1972).

    A slow drift of the median need not blur a tail. A quantile with fewer than twenty samples beyond it borrows the
    memory of the nearest that has them, seldom smaller than its own.
    """
    x = np.asarray(samples, np.float64)
    if len(x) < 4:
        return 1.0
    least = min(0.5, LEAST_IN_TAIL / len(x))
    quantile = min(max(quantile, least), 1 - least)
    return memory(x > np.quantile(x, quantile, method="inverted_cdf"))


@dataclass(frozen=True)
class Worth:
    """What requests count for beside others: `memory` of them for one where they were seen, `unseen` where none was."""

    memory: float
    unseen: float

    @classmethod
    def of(cls, memory: float, quantile: float, longest_run: int = LONGEST_RUN) -> Worth:
        """unseen: as many requests as a run that has not come yet may hold back, or as were seen to be alike and a margin.

        Runs of L requests with pauses of random (geometric) length, a share s of all requests in them, have the memory
        L (1 - s), that of an alternating renewal process (Cox, Renewal Theory, 1962). Beside the quantile, s is the rarer
        side's share.
        """
        measured = 1 + MEMORY_MARGIN * (memory - 1)
        return cls(memory, max(longest_run * max(quantile, 1 - quantile), measured))

    def bounds(self, count: float, n: float, own_memory: float, share: float, error: float) -> bool:
        """Whether, with `count` of n flagged, surely at most this share of all requests would be, but for this error.

        Clopper and Pearson's bound (1934) adds one flagged sample to those seen, the one that has not come yet. Here that
        one is a stretch of `unseen` requests, and each flagged request counts for 1 / size, size the mean of the seen
        one's memory and the unseen one's, weighed by how many they are. Independent and unseen = 1: their exact bound.
        None seen: n / unseen separate stretches without one. The largest weight is added likewise by Fay and Feuer's
        gamma interval for weighted counts (1997), and counts are made smaller likewise by Korn and Graubard (1998).
        """
        if count >= n:
            return False
        seen = max(self.memory, own_memory)
        size = (seen * count + self.unseen**2) / (count + self.unseen)
        return float(betainc((count + self.unseen) / size, (n - count) / size, share)) >= 1 - error - 1e-12


def requests_needed(quantile: float, confidence: float, unseen: float | None = None) -> int:
    """Fewest requests that can bound the quantile from above in a two-sided interval: of these, none above the limit.

    At 95 % and runs of at most LONGEST_RUN: 54 for p50, 631 for p90, 1,367 for p95, 7,268 for p99, 73,667 for p99.9.
    """
    unseen = Worth.of(1.0, quantile).unseen if unseen is None else unseen
    return math.ceil(unseen * math.log((1 - confidence) / 2) / math.log(quantile) - 1e-9)
