"""Whether a stream of latencies went from one level to another, and where.

For: kernels that are exchanged while they run. Not for: slow drifts (slope.py), outliers, or several steps,
of which the largest is found.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from seatrial.stats.arguments import finite

# Fewer on one side, or a smaller share, are a few slow requests.
LEAST_SIDE, LEAST_SHARE = 20, 0.02
LEAST_SAMPLES = 2 * LEAST_SIDE
# What counts: by so much of itself, and so that nine times in ten a sample from one side lies beyond one from the other.
LEAST_STEP, APART = 0.03, 0.9


@dataclass(frozen=True)
class LevelShift:
    """at: how many samples came before it. before, after: the medians of both sides."""

    at: int
    before: float
    after: float


def level_shift(samples: npt.ArrayLike) -> LevelShift | None:
    """The split of which the sides lie furthest apart, by the share of pairs in which the later sample is the larger one (Mann
    and Whitney, Annals of Mathematical Statistics 18, 1947); None where no side is surely above the other, or by less than 3 %.

    samples: (n,) above zero in the order in which they were taken; of fewer than 40 nothing is said.
    """
    x = finite(samples)
    n = len(x)
    if n < LEAST_SAMPLES:
        return None
    least = max(LEAST_SIDE, round(LEAST_SHARE * n))
    edges = np.arange(least, n - least + 1)
    ranks_before = np.cumsum(rankdata(x))[edges - 1]
    # Of pairs of one sample from each side, those in which the earlier is the larger.
    larger = (ranks_before - edges * (edges + 1) / 2) / (edges * (n - edges))
    at = int(edges[int(np.argmax(np.abs(larger - 0.5)))])
    before, after = float(np.median(x[:at])), float(np.median(x[at:]))
    share = float(np.abs(larger - 0.5).max()) + 0.5
    if share < APART or abs(after - before) < LEAST_STEP * min(before, after):
        return None
    return LevelShift(at, before, after)
