"""When there is enough: warm-up windows that agree, a centre known well enough, a tail with enough samples.

For: decisions on the samples so far. Not for: clocks, caps or loops (timing), or what the samples mean (sample.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import bdtr, stdtrit

from seatrial.stats.sample import BLOCKS, effective_count, samples_needed

F64 = npt.NDArray[np.float64]
# Blocks of as many autocorrelation times have means that are nearly independent.
BLOCK_MEMORIES = 5
# Each look at half as many samples again: looking often would stop on luck, seldom would waste time.
LOOK_GROWTH = 1.5


def windows_agree(first: npt.ArrayLike, second: npt.ArrayLike) -> bool:
    """Two windows of latencies in a row look alike: the warm-up is over.

    The first value is no outlier of the second window (at most Q3 + 1.5 IQR: still falling), and against the second
    window the first one's mean lies within -50 % / +10 %, its quartiles and median within 5 %, and its MAD within 10 %
    of the median. The MAD is held against the median since its own ratio is luck: at 20 samples it swings by a third.
    Each tolerance is at least one step of the clock, and the IQR at least 1 % of the median, so that constant or coarse
    readings agree.
    """
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if not len(a) or not len(b):
        raise ValueError("expected two windows of one sample or more")
    steps = np.diff(np.unique(np.concatenate([a, b])))
    step = float(steps.min()) if len(steps) else 0.0
    quarters_a, quarters_b = np.quantile(a, [0.25, 0.5, 0.75]), np.quantile(b, [0.25, 0.5, 0.75])
    middle = float(quarters_b[1])
    iqr = max(float(quarters_b[2] - quarters_b[0]), 0.01 * middle, step)
    starts_calm = a[0] <= quarters_b[2] + 1.5 * iqr
    rise = float(a.mean() - b.mean())
    mean_alike = -0.5 * b.mean() <= rise <= max(0.1 * float(b.mean()), step)
    quarters_alike = np.abs(quarters_a - quarters_b) <= np.maximum(0.05 * quarters_b, step)
    spread_alike = abs(_mad(a) - _mad(b)) <= max(0.1 * middle, step)
    return bool(starts_calm and mean_alike and quarters_alike.all() and spread_alike)


def _mad(x: F64) -> float:
    return float(np.median(np.abs(x - np.median(x))))


@dataclass(frozen=True)
class Look:
    """relative_half_width: of the mean's interval at this look's share of alpha; infinite below ten blocks."""

    enough: bool
    relative_half_width: float
    blocks: int


class CentreRule:
    """Stop where the centre is known to within `target` of itself; ask `look` whenever `next_look` samples are there.

    The interval is Student's over the means of blocks of at least five autocorrelation times, ten blocks or more. Looking
    again and again would stop on luck, so looks come at geometric counts (50, 75, 113, ...), and the k-th spends
    alpha / (k (k + 1)), which sums to alpha however many there are. One rule serves one stream: it counts its looks.
    It is about the mean, which a rare spike moves and the median ignores: with spikes it stops late rather than early.
    """

    def __init__(self, target: float = 0.01, alpha: float = 0.05, first_look: int = 50) -> None:
        if not target > 0 or not 0 < alpha < 1 or first_look < 1:
            raise ValueError(
                f"expected a target above 0, an alpha between 0 and 1 and a first look of at least 1, "
                f"got {target}, {alpha} and {first_look}"
            )
        self.next_look = first_look
        self._target = target
        self._alpha = alpha
        self._looks = 0
        self._last = Look(enough=False, relative_half_width=math.inf, blocks=0)

    def look(self, samples: npt.ArrayLike) -> Look:
        """Is this enough? Before `next_look` samples the last answer stands, and no alpha is spent."""
        x = np.asarray(samples, np.float64)
        n = len(x)
        if n < self.next_look:
            return self._last
        self._looks += 1
        while self.next_look <= n:
            self.next_look = math.ceil(self.next_look * LOOK_GROWTH)
        size = math.ceil(BLOCK_MEMORIES * n / effective_count(x))
        blocks = n // size
        half_width = math.inf
        mean = float(x.mean())
        if blocks >= BLOCKS and mean > 0:
            means = x[: blocks * size].reshape(blocks, size).mean(axis=1)
            error = self._alpha / (self._looks * (self._looks + 1)) / 2
            half_width = -float(stdtrit(blocks - 1, error)) * float(means.std(ddof=1)) / math.sqrt(blocks) / mean
        self._last = Look(half_width <= self._target, half_width, blocks)
        return self._last


def tail_samples_needed(quantile: float, confidence: float, above: int = 0) -> int:
    """Fewest independent samples of which `above` may lie above a limit, and the quantile is still below it.

    With h below and t above: I_p(h, t + 1) = P(Binomial(h + t, 1 - p) <= t) <= 1 - confidence. At 99 % and t = 0: 44
    for p90, 90 for p95, 459 for p99, 4603 for p99.9.
    """
    if not 0 < quantile < 1 or not 0 < confidence < 1 or above < 0:
        raise ValueError(
            f"expected a quantile and a confidence between 0 and 1 and a count above of at least 0, "
            f"got {quantile}, {confidence} and {above}"
        )
    if above == 0:
        return samples_needed(quantile, confidence)

    def bounds(n: int) -> bool:
        return float(bdtr(float(above), n, 1 - quantile)) <= 1 - confidence

    few, enough = above, 2 * (above + 1)
    while not bounds(enough):
        few, enough = enough, 2 * enough
    while enough - few > 1:
        middle = (few + enough) // 2
        few, enough = (few, middle) if bounds(middle) else (middle, enough)
    return enough
