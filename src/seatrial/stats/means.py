"""Means and rates of a stream of requests, with Student's interval over the means of blocks.

For: how well a mean is known. Not for: percentiles (sample.py). Neighbours are alike and machines drift: the means of blocks
carry both, where single samples hide them (batch means: Law, Simulation Modeling and Analysis, 2015, section 9.5).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from seatrial.stats.sample import CONFIDENCE, effective_count

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
# The fewest blocks that give a usable spread.
BLOCKS = 10
# Blocks of as many autocorrelation times have means that are nearly independent.
BLOCK_MEMORIES = 5
# Of each end of a two-sided interval.
END_ERROR = (1 - CONFIDENCE) / 2


def student_half_width(means: npt.ArrayLike, error: float = END_ERROR) -> float:
    """t_(m-1) · s / √m: half the interval about the mean of m independent values (Student, Biometrika 6, 1908).

    means: (m,) float64, two or more. error: of each end. In the values' unit.
    """
    x = np.asarray(means, np.float64)
    return -float(stdtrit(len(x) - 1, error)) * float(x.std(ddof=1)) / math.sqrt(len(x))


def mean_interval(samples: npt.ArrayLike) -> tuple[float, float] | None:
    """The mean's 95 % interval, from ten blocks of neighbours; None below two samples a block.

    samples: (n,) in the order in which they were taken. In their unit.
    """
    x = np.asarray(samples, np.float64)
    if len(x) < 2 * BLOCKS:
        return None
    mean, half = float(x.mean()), student_half_width([float(b.mean()) for b in np.array_split(x, BLOCKS)])
    return mean - half, mean + half


def independent_block_means(samples: npt.ArrayLike) -> F64:
    """(m,) float64: means of blocks of at least five autocorrelation times; what is left over at the end is not in them."""
    x = np.asarray(samples, np.float64)
    size = math.ceil(BLOCK_MEMORIES * len(x) / effective_count(x))
    blocks = len(x) // size
    return np.asarray(x[: blocks * size].reshape(blocks, size).mean(axis=1))


def rate_per_s(first_ns: int, ends_ns: I64) -> tuple[float, tuple[float, float] | None]:
    """Requests a second from the first start to the last end, and the 95 % interval; None below two in each of ten blocks.

    ends_ns: (n,) int64, ascending, the last one after `first_ns`.
    """
    n = len(ends_ns)
    rate = n / ((int(ends_ns[-1]) - first_ns) / 1e9)
    if n < 2 * BLOCKS:
        return rate, None
    # Equal counts, not equal times: the time that a tenth of the requests took has no jitter of one request.
    edges = np.linspace(0, n, BLOCKS + 1).astype(int)
    marks_ns = np.concatenate([[first_ns], ends_ns[edges[1:] - 1]])
    half = student_half_width(np.diff(edges) / (np.diff(marks_ns) / 1e9))
    return rate, (max(0.0, rate - half), rate + half)
