"""Percentiles of a latency sample with distribution-free intervals, honest about correlation and small counts.

For: one sample. Not for: comparing two. An end of an interval, and a budget's verdict, is a bound on the share of requests
beyond a limit (share.py): the lowest limit that surely no more than 1 - p of all requests exceed bounds the p-quantile.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from seatrial.stats.share import LONGEST_RUN, Flags, Worth, memory, requests_needed, tail_memory
from seatrial.units import format_value
from seatrial.warning import Warning

F64 = npt.NDArray[np.float64]
# Of two-sided intervals.
CONFIDENCE = 0.95
# What would take so many times these requests, or the fewest that can decide, is too close to call.
MOST_MORE = 100


@dataclass(frozen=True)
class Estimate:
    """A value with its interval. A side that the sample cannot support is None, and a warning says how many more.

    needed: how many requests an upper end would take, where there is none.
    """

    value: float
    low: float | None
    high: float | None
    confidence: float
    n: int
    n_eff: int
    warnings: tuple[Warning, ...] = ()
    needed: int | None = None

    @property
    def unbounded(self) -> str:
        """Why there is no upper end, behind the percentile's name; '' where there is one."""
        return "" if self.needed is None else _unbounded("upper", self.confidence, self.n, self.needed)


def quantile_of(name: str) -> float:
    """0.999 of 'p99.9'."""
    return float(name[1:]) / 100


def samples_needed(quantile: float, confidence: float) -> int:
    """Fewest independent samples whose maximum is above the quantile with this confidence: p^n <= 1 - c."""
    return math.ceil(math.log(1 - confidence) / math.log(quantile) - 1e-9)


def effective_count(samples: npt.ArrayLike, quantile: float = 0.5) -> int:
    """n / memory: how many independent samples say as much about this quantile; between 1 and n."""
    return _independent(len(np.asarray(samples)), tail_memory(samples, quantile))


def _independent(n: int, memory: float) -> int:
    return max(1, int(n / memory + 1e-9)) if n else 0


def percentile_estimate(
    samples: npt.ArrayLike, quantile: float, confidence: float = CONFIDENCE, longest_run: int = LONGEST_RUN
) -> Estimate:
    """The sample quantile (smallest value with at least quantile·n at or below it) and its two-sided interval.

    samples: in the order in which they were taken. Each end has error at most (1 - confidence) / 2. longest_run: slow
    requests come in runs of at most so many; 1 for values that are no stream of requests, such as rounds in random order.
    ValueError for an empty sample or a quantile outside 0 to 1.
    """
    x = np.asarray(samples, np.float64)
    n = len(x)
    if n == 0:
        raise ValueError("expected at least one sample, got none")
    if not 0 < quantile < 1:
        raise ValueError(f"quantile: expected a number between 0 and 1, got {quantile}")
    ordered = np.sort(x)
    rank = min(n - 1, max(0, math.ceil(quantile * n - 1e-9) - 1))
    worth = Worth.of(tail_memory(x, quantile), quantile, longest_run)
    error = (1 - confidence) / 2
    high = _nearest_limit(x, ordered[rank:], worth, 1 - quantile, error)
    # The low end of a percentile is the high one of the mirror image's.
    low = _nearest_limit(-x, -ordered[rank::-1], worth, quantile, error)
    name, warnings, needed = f"p{quantile * 100:g}", [], None
    if low is None:
        fewest = requests_needed(1 - quantile, confidence, worth.unseen)
        warnings.append(Warning("no-lower-bound", f"{name} {_unbounded('lower', confidence, n, fewest)}"))
    if high is None:
        needed = requests_needed(quantile, confidence, worth.unseen)
        warnings.append(Warning("no-upper-bound", f"{name} {_unbounded('upper', confidence, n, needed)}"))
    return Estimate(
        value=float(ordered[rank]),
        low=None if low is None else -low,
        high=high,
        confidence=confidence,
        n=n,
        n_eff=_independent(n, worth.memory),
        warnings=tuple(warnings),
        needed=needed,
    )


def _nearest_limit(x: F64, limits: F64, worth: Worth, share: float, error: float) -> float | None:
    """The lowest of the limits, ascending, that surely at most this share of all requests exceed; None: not even the last.

    How alike neighbours beyond a limit are differs from limit to limit, and takes a while to count. So each step takes the
    memory at the last limit for that of the next, which never skips one that would do with no more memory than that.
    """
    counts = len(x) - np.searchsorted(np.sort(x), limits, side="right")
    own, at = 1.0, 0
    while True:
        at = bisect_left(
            range(len(limits)), True, lo=at, key=lambda i: worth.bounds(int(counts[i]), len(x), own, share, error)
        )
        if at == len(limits):
            return None
        own = memory(x > limits[at])
        if worth.bounds(int(counts[at]), len(x), own, share, error):
            return float(limits[at])


def can_be_bounded(samples: npt.ArrayLike, quantile: float, longest_run: int = LONGEST_RUN) -> bool:
    """Whether there are enough requests for an upper end of the quantile's 95 % interval."""
    worth = Worth.of(tail_memory(samples, quantile), quantile, longest_run)
    return len(np.asarray(samples)) >= requests_needed(quantile, CONFIDENCE, worth.unseen)


def _unbounded(side: str, confidence: float, n: int, needed: int) -> str:
    return f"has no {side} bound at {confidence * 100:g} %: it needs {needed:,} requests, {needed - n:,} more than these {n:,}"


@dataclass(frozen=True)
class Bound:
    """Whether a quantile is at or below a limit: 'yes', 'no' or 'unsure', and why.

    needed: where unsure, about how many requests would decide; None where it is too close to call.
    """

    answer: str
    reason: str
    needed: int | None = None


def quantile_below(
    samples: npt.ArrayLike,
    quantile: float,
    limit: float,
    confidence: float,
    unit: str = "s",
    longest_run: int = LONGEST_RUN,
) -> Bound:
    """Is the p-quantile at most `limit`? yes: its two-sided interval ends at or below it; no: it begins above it.

    So an interval and a verdict from the same samples never contradict each other. Either answer is wrong with at most
    (1 - confidence) / 2 where slow requests come in runs of at most `longest_run`, which the reason says.
    """
    x = np.asarray(samples, np.float64)
    e = percentile_estimate(x, quantile, confidence, longest_run)
    above = x > limit
    n, count = len(x), int(above.sum())
    alike = f", worth {e.n_eff:,} independent ones" if e.n_eff < n else ""
    parts = [f"{count:,} of {n:,} requests above {format_value(limit, unit)}{alike}"]
    assumed = [f"slow ones taken to come in runs of at most {longest_run}"] if longest_run > 1 else []
    if e.high is not None and e.high <= limit:
        return Bound("yes", "; ".join(parts + assumed))
    if e.low is not None and e.low > limit:
        return Bound("no", "; ".join([*parts, f"at most {(1 - quantile) * 100:g} % may be", *assumed]))
    needed = _requests_that_decide(above, quantile, confidence, longest_run, tail_memory(x, quantile))
    if needed is None:
        missing = "too close to call"
    elif count in (0, n):
        missing = f"p{quantile * 100:g} needs {needed:,} requests, {needed - n:,} more"
    else:
        needed = round_up(needed)
        missing = f"p{quantile * 100:g} needs about {needed:,} requests, {needed - n:,} more"
    return Bound("unsure", "; ".join([*parts, missing, *assumed]), needed)


def round_up(count: float) -> int:
    """To two digits: what is only known roughly should not look exact."""
    step = 10 ** max(0, math.floor(math.log10(max(1.0, count))) - 1)
    return int(math.ceil(count / step) * step)


def _requests_that_decide(
    above: Flags, quantile: float, confidence: float, longest_run: int, tail: float
) -> int | None:
    """About how many requests like these would tell on which side of the limit the quantile is; None: far too many."""
    n = len(above)
    if above.mean() <= 1 - quantile:
        flags, allowed = above, 1 - quantile
    else:
        flags, allowed = ~above, quantile
    worth, own = Worth.of(tail, quantile, longest_run), memory(flags)
    share, error = float(flags.mean()), (1 - confidence) / 2
    least = requests_needed(1 - allowed, confidence, worth.unseen)
    counts = range(n + 1, MOST_MORE * max(n, least))
    at = bisect_left(counts, True, key=lambda m: worth.bounds(share * m, m, own, allowed, error))
    return counts[at] if at < len(counts) else None
