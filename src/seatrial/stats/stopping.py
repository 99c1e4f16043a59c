"""When there is enough: warm-up windows that agree, a centre known well enough, a tail with enough samples.

For: decisions on the samples so far. Not for: clocks, caps or loops (timing), or what the samples mean (sample.py).
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from seatrial.stats.means import BLOCK_MEMORIES, BLOCKS, independent_block_means, student_half_width
from seatrial.stats.sample import CONFIDENCE, can_be_bounded, percentile_estimate
from seatrial.stats.share import LONGEST_RUN

F64 = npt.NDArray[np.float64]
Samples = npt.NDArray[np.int64] | F64
Centre = Literal["median", "mean"]
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
    """What one look saw. alpha: spent on it; half_width: of the centre's interval at 1 - alpha, infinite where unknown."""

    enough: bool
    alpha: float
    centre: float
    half_width: float

    @property
    def known_to(self) -> float | None:
        """Half of the interval over the centre; None where it has no interval."""
        known = self.centre > 0 and math.isfinite(self.half_width)
        return self.half_width / self.centre if known else None


class StoppingRule:
    """When a stream of requests is enough: `look` whenever `next_look` of them are there, `conclude` once no more come.

    Enough: the centre is known to within `precision` of itself, and each percentile in `tails`, a column of the samples and a
    quantile, has a bound from above, which takes a number of requests that depends on `longest_run` and on how alike
    neighbours are. The centre is of the last column, the whole request:

    - "median": what one client's latency is reported by. It has a bound like a tail's, and its interval is the percentile's.
    - "mean": what the throughput of several clients follows from. Its interval is Student's over ten or more blocks of at
      least five autocorrelation times. A rare spike moves it: with spikes it stops late rather than early.

    Looking again and again would stop on luck, so looks come at geometric counts (50, 75, 113, ...), and the k-th spends
    alpha / (k (k + 1)), which sums to alpha however many there are. A rule serves one stream: it counts its looks.
    `whole_time`: no look before the end, since more requests tell more of a tail.
    """

    def __init__(
        self,
        centre: Centre,
        precision: float = 0.01,
        first_look: int = 50,
        *,
        tails: Sequence[tuple[int, float]] = (),
        longest_run: int = LONGEST_RUN,
        whole_time: bool = False,
        alpha: float = 1 - CONFIDENCE,
    ) -> None:
        """ValueError for a precision, an alpha or a first look that means nothing."""
        if not precision > 0 or not 0 < alpha < 1 or first_look < 1:
            raise ValueError(
                f"expected a precision above 0, an alpha between 0 and 1 and a first look of at least 1, "
                f"got {precision}, {alpha} and {first_look}"
            )
        # Fewer have no ten blocks, however little alike they are.
        self._least = max(first_look, BLOCKS * BLOCK_MEMORIES) if centre == "mean" else first_look
        self._tails = [(-1, 0.5), *tails] if centre == "median" else list(tails)
        self._interval = _INTERVALS[centre]
        self._precision = precision
        self._longest_run = longest_run
        self._alpha = alpha
        self._looks = 0
        self._last = Look(enough=False, alpha=0.0, centre=math.nan, half_width=math.inf)
        self.next_look = sys.maxsize if whole_time else self._least

    def look(self, samples: Samples) -> Look:
        """Is this enough? Before `next_look` samples the last answer stands, and no alpha is spent.

        samples: (n, columns), all so far, in the order in which they were taken; any one unit.
        """
        if len(samples) >= self.next_look:
            while self.next_look <= len(samples):
                self.next_look = math.ceil(self.next_look * LOOK_GROWTH)
            self._last = self.spend(samples)
        return self._last

    def conclude(self, samples: Samples) -> Look:
        """Were they enough, now that no more come? Where no look has said so this is one more, which spends its share."""
        if not self._last.enough and len(samples) >= self._least:
            self._last = self.spend(samples)
        return self._last

    def spend(self, samples: Samples) -> Look:
        self._looks += 1
        alpha = self._alpha / (self._looks * (self._looks + 1))
        centre, half_width = self._interval(samples[:, -1], alpha)
        precise = half_width <= self._precision * centre
        bounds = all(can_be_bounded(samples[:, column], q, self._longest_run) for column, q in self._tails)
        return Look(precise and bounds, alpha, centre, half_width)


def _median(samples: npt.ArrayLike, alpha: float) -> tuple[float, float]:
    """The median, and the wider half of its interval at 1 - alpha; infinite where an end is not known."""
    # A run that is still to come moves a median little: here what was seen is enough.
    e = percentile_estimate(samples, 0.5, 1 - alpha, longest_run=1)
    if e.low is None or e.high is None:
        return e.value, math.inf
    return e.value, max(e.high - e.value, e.value - e.low)


def _mean(samples: npt.ArrayLike, alpha: float) -> tuple[float, float]:
    """The mean, and half its interval at 1 - alpha; infinite below ten blocks."""
    x = np.asarray(samples, np.float64)
    mean, means = float(x.mean()), independent_block_means(x)
    return mean, student_half_width(means, alpha / 2) if len(means) >= BLOCKS and mean > 0 else math.inf


_INTERVALS: dict[Centre, Callable[[npt.ArrayLike, float], tuple[float, float]]] = {"median": _median, "mean": _mean}
