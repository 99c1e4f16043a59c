"""How fast a figure moves over time, with an interval that holds where neighbouring readings are alike.

For: one reading a window of a soak: latency, memory, clocks. Not for: what a slope means (loads/soak), or single requests.

One of three, in this order:

- A line. Least squares, with an error from the long-run variance of what is left beside it, not from the readings' own:
  readings that are alike are worth fewer. That variance is estimated from the readings and from means of 2, 4 and 8
  neighbours, each time by a first-order autoregression (Andrews, Econometrica 59, 1991), and the largest counts: means of
  neighbours show a slow wave under fast noise. Each autocorrelation is raised by what taking the line away has lowered it
  (about (2 + 4 rho) / n: Marriott and Pope, Biometrika 41, 1954) and by one standard error, since too short a memory would
  claim a drift that is none. The interval is Student's, with as many degrees of freedom as there are effectively independent
  readings, less two.
- Steps. A figure that adds up what happens, as a leak does, does not come back to a line: its readings are worth next to
  nothing beside one, its steps from window to window are what is alike. The mean step, with Student's interval.
- A range. Where a few large steps make up all that was seen nobody knows how often they come: once or not at all was seen, so
  that the interval is what Poisson's law allows of steps of that size. It holds zero, and claims nothing. So it is where one
  step leaves no more beside it than the line does.

By simulation (tests/stats/test_slope.py) a drift is claimed in at most 5 % of series without one: independent, heavy tails,
autocorrelated from 0.3 to 0.98, random walks, sawteeth, waves, steps, two modes. The known limits: a wave as slow as the soak
or a random walk, under noise of its own size, which no single soak can tell from a drift, is called one in up to 10 %; and of
steps that come less than four times in the time, or are unlike each other by much, the mean is above the interval in more than
2.5 % (four and a half of a hundred where their sizes are Pareto's of 1.5, none seen at all in a third where one is expected).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import gammaincinv, stdtrit

from seatrial.stats.sample import CONFIDENCE

F64 = npt.NDArray[np.float64]
# Fewer have no neighbours to tell how alike they are.
LEAST_READINGS = 20
# Worth fewer independent ones, the line is two levels, or less: only the range that was seen bounds it.
LEAST_EFFECTIVE = 4.0
# Fewer steps of about one size are luck.
LEAST_STEPS = 8.0
# What goes one way takes back no more than so much of it.
MOST_BACK, STRETCHES = 0.05, 8
# Means of so many neighbours.
SCALES = (1, 2, 4, 8)
LEAST_MEANS = 6
# Upper ends of 97.5 % for how often a thing comes that was seen not at all, or once (Garwood, 1936).
UNSEEN, SEEN_ONCE = 3.689, 5.572


@dataclass(frozen=True)
class Slope:
    """A figure's change in a unit of time, at 95 %. level: its median. low and high are None where nothing can be said.

    by_range: the interval is what steps as large as all that was seen could do. Then it holds zero, and claims no drift.
    """

    value: float
    low: float | None
    high: float | None
    level: float
    n: int
    n_eff: int
    by_range: bool = False

    @property
    def moves(self) -> bool:
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high


def slope_of(times: npt.ArrayLike, values: npt.ArrayLike, resolution: float = 0.0) -> Slope:
    """The slope of readings about evenly spaced in time.

    times, values: (n,) float64, times ascending; the slope is in the values' unit over the times'. resolution: how finely the
    figure can move, or be read: a change below it may hide. ValueError for unlike lengths or for none.
    """
    t, y = np.asarray(times, np.float64), np.asarray(values, np.float64)
    n = len(y)
    if t.shape != y.shape or y.ndim != 1 or not n:
        raise ValueError(f"expected as many times as values, and one or more, got {t.shape} and {y.shape}")
    level = float(np.median(y))
    if n < LEAST_READINGS:
        return Slope(0.0, None, None, level, n, 0)
    span = float(t[-1] - t[0])
    value, rest = _line(t, y)
    moved = float(y.max() - y.min())
    if moved <= resolution:
        # Nothing was seen to move. A step that comes less often than once in the time would not have been.
        half = UNSEEN * max(resolution, moved) / span
        return Slope(value, value - half, value + half, level, n, n, by_range=True)
    own = float(rest @ rest) / (n - 2)
    long_run = _long_run_variance(t, y)
    effective = min(float(n), n * own / long_run) if long_run > 0 else float(n)
    if effective < LEAST_EFFECTIVE:
        return _by_steps(t, y, resolution) or _by_range(value, moved, span, level, n, effective)
    centred = t - t.mean()
    # A line that was fitted to few independent readings lies closer to them than to the truth: hence 1 - 2 / n_eff.
    variance = long_run * (n - 2) / n / (1 - 2 / effective) / float(centred @ centred)
    half = -float(stdtrit(effective - 2, (1 - CONFIDENCE) / 2)) * math.sqrt(variance)
    half = max(half, resolution / span)
    if abs(value) > half and (height := _step_instead(y, rest)):
        return _by_range(value, height, span, level, n, effective)
    low, high = value - half, value + half
    if rise := _late_rise(y):
        high = max(high, rise / span)
    if fall := _late_rise(-y):
        low = min(low, -fall / span)
    return Slope(value, low, high, level, n, int(effective))


def _late_rise(y: F64) -> float:
    """How far the last readings lie above the median of those before them, where all of them lie above all of those; else 0. A
    line hardly feels what begins at its very end."""
    highest_before = np.maximum.accumulate(y)[:-1]
    lowest_behind = np.minimum.accumulate(y[::-1])[::-1][1:]
    apart = np.flatnonzero(lowest_behind > highest_before)
    return max((float(y[at + 1 :].max() - np.median(y[: at + 1])) for at in apart), default=0.0)


def _step_instead(y: F64, rest: F64) -> float:
    """The height of the one step that leaves no more beside it than the line does; 0 where each leaves more."""
    n, centred = len(y), y - y.mean()
    # Not of an outlier at an end, which is no level.
    before = np.arange(n // 10, n - n // 10 + 1)
    sums = np.cumsum(centred)[before - 1]
    # What two means explain: sums of both sides, over their counts.
    explained = sums**2 * n / (before * (n - before))
    best = int(np.argmax(explained))
    if float(centred @ centred) - float(explained[best]) > float(rest @ rest):
        return 0.0
    at = int(before[best])
    return abs(float(y[at:].mean() - y[:at].mean()))


def _by_range(value: float, moved: float, span: float, level: float, n: int, effective: float) -> Slope:
    """A step or two, or a slow wander. Were growth to come in steps as large as all that was seen, there was one of them."""
    half = SEEN_ONCE * moved / span
    return Slope(value, value - half, value + half, level, n, int(effective), by_range=True)


def _by_steps(t: F64, y: F64, resolution: float) -> Slope | None:
    """Of a figure that adds up what happens in each window: the mean step from one to the next, with Student's interval. None
    where a few large steps make up all of it."""
    steps, span = np.diff(y), float(t[-1] - t[0])
    n, squares = len(steps), float(steps @ steps)
    mean = float(steps.mean())
    # As many steps of one size would have this ratio of sum and squares.
    alike = float(np.abs(steps).sum()) ** 2 / squares
    rest = steps - mean
    spread = float(rest @ rest)
    rho = float(rest[1:] @ rest[:-1]) / spread if spread > 0 else 0.0
    raised = min(max(rho + (1 + 3 * rho) / n + math.sqrt(max(0.0, 1 - rho * rho) / n), 0.0), 1 - 1 / n)
    effective = min(alike, n * (1 - raised) / (1 + raised))
    if alike < LEAST_STEPS:
        return None
    if effective < LEAST_EFFECTIVE:
        return _by_stretches(t, y, effective, resolution)
    error = math.sqrt(spread / (n - 1) / effective)
    half = -float(stdtrit(effective - 1, (1 - CONFIDENCE) / 2)) * error * n / span
    half, value = max(half, resolution / span), mean * n / span
    low, high = value - half, value + half
    if value > 0:
        high = max(high, _rare_steps(steps, n / effective) / span)
    elif value < 0:
        low = min(low, -_rare_steps(-steps, n / effective) / span)
    return Slope(value, low, high, float(np.median(y)), len(y), int(effective))


def _by_stretches(t: F64, y: F64, effective: float, resolution: float) -> Slope | None:
    """Of a figure that goes one way all the time, at a speed that changes slowly: from the slowest to the fastest of several
    stretches. None where it turns: then it may come back."""
    steps, span = np.diff(y), float(t[-1] - t[0])
    up, down = float(steps[steps > 0].sum()), -float(steps[steps < 0].sum())
    if min(up, down) > MOST_BACK * max(up, down):
        return None
    speeds = [float(part.mean()) * len(steps) / span for part in np.array_split(steps, STRETCHES)]
    value, least = float(steps.mean()) * len(steps) / span, resolution / span
    low, high = min(*speeds, value - least), max(*speeds, value + least)
    return Slope(value, low, high, float(np.median(y)), len(y), int(effective))


def _rare_steps(steps: F64, alike: float) -> float:
    """Upper end, 97.5 %, of a sum above zero of steps that come by chance, each of a size of its own: the gamma interval of Fay
    and Feuer (Statistics in Medicine 16, 1997), of fewer steps where neighbours are alike (alike: so many are worth one).
    Student's is too narrow where a few large ones are most of the sum."""
    total, largest = float(steps.sum()), float(steps.max())
    squares = float(steps @ steps) * alike + largest**2
    scale = squares / (total + largest)
    return scale * float(gammaincinv((total + largest) / scale, (1 + CONFIDENCE) / 2))


def _line(t: F64, y: F64) -> tuple[float, F64]:
    """Slope of the least-squares line, and what is left beside it."""
    centred = t - t.mean()
    value = float(centred @ y) / float(centred @ centred)
    return value, np.asarray(y - y.mean() - value * centred)


def _long_run_variance(t: F64, y: F64) -> float:
    """n times the variance of a mean of n readings: the largest of the estimates at several scales."""
    largest = 0.0
    for size in SCALES:
        count = len(y) // size
        if count < LEAST_MEANS:
            break
        # The latest ones: what does not fill a mean is left out at the beginning.
        means, at = (x[len(x) - count * size :].reshape(count, size).mean(axis=1) for x in (y, t))
        _, rest = _line(at, means)
        squares = float(rest @ rest)
        if squares <= 0:
            continue
        rho = float(rest[1:] @ rest[:-1]) / squares
        raised = rho + (2 + 4 * rho) / count + math.sqrt(max(0.0, 1 - rho * rho) / count)
        kept = min(max(raised, 0.0), 1 - 1 / count)
        largest = max(largest, squares / (count - 2) * size * (1 + kept) / (1 - kept))
    return largest
