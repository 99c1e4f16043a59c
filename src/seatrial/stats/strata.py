"""Values of unlike kinds, each known to be of which: what they vary by within a kind.

For: requests on images of unlike sizes, whose latencies differ far more than anything drifts. Not for: images that stand for
others that were not measured.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
# Fewer values a kind do not tell its middle from their own luck.
LEAST_A_KIND = 4


def without_kinds(values: npt.ArrayLike, kinds: I64) -> F64:
    """The values as they would be, were all of one kind: each over its kind's median, times the median of all.

    values: (n,) above 0; kinds: (n,) int64, 0 or more. As they are where there are fewer than four values a kind, on average.
    A median of k values follows its own, so that what is left is spread by √(k / (k - 1)) again.
    """
    x = np.asarray(values, np.float64)
    _, kind, counts = np.unique(kinds, return_inverse=True, return_counts=True)
    if len(counts) < 2 or len(x) < LEAST_A_KIND * len(counts) or not bool((x > 0).all()):
        return x
    order = np.lexsort((x, kind))
    ends = np.cumsum(counts)
    begins = ends - counts
    medians = (x[order][begins + (counts - 1) // 2] + x[order][begins + counts // 2]) / 2
    share = np.log(x / medians[kind]) * math.sqrt(len(x) / (len(x) - len(counts)))
    return np.asarray(float(np.median(x)) * np.exp(share))
