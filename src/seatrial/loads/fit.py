"""Whether the requests of a rate are those of the queue's model: how many were slow, how long they waited, what service took.

For: one rate that was sent. Not for: what its requests prove (bound.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from seatrial._native.statistics import queue_latencies
from seatrial.loads.bound import LatencyBound
from seatrial.stats.queue import Queue, slow_requests
from seatrial.units import format_seconds

F64 = npt.NDArray[np.float64]
# How much longer those at the bound's percentile may have taken than in the model's queue, as a share of the bound: what a
# thread takes to wake is not in the model.
LONGER = 0.05
# How much mean service times may differ where there are so many requests of both kinds, beside so many standard errors.
UNLIKE_SERVICE, LEAST_OF_BOTH, SURELY = 0.1, 30, 4.0


@dataclass(frozen=True)
class Sent:
    """One rate's requests. due_s: (n,) when each was due; `first`: the first judged; filling_s: service times before it.

    latencies_s: of those judged, in the order of arrival, infinite where nobody served it; service_s: of those served.
    """

    rate: float
    due_s: F64
    first: int
    filling_s: F64
    latencies_s: F64
    service_s: F64


@dataclass(frozen=True)
class Fit:
    """slow: requests that took longer than the bound; expected: between what counts the model has them, None where not asked.
    misfit: what the model does not explain, for people; '' where nothing."""

    slow: int | None = None
    expected: tuple[int, int] | None = None
    misfit: str = ""

    @classmethod
    def of(cls, sent: Sent, bound: LatencyBound) -> Fit:
        """Of a rate that the model is not asked about."""
        return cls(slow=int((sent.latencies_s > bound.limit_s).sum()))


def fit_of(sent: Sent, bound: LatencyBound, queue: Queue, seed: int) -> Fit:
    """queue: of the service times of all rates near the highest."""
    plain = Fit.of(sent, bound)
    slow = plain.slow or 0
    fewest, most = slow_requests(queue, sent.due_s, sent.first, bound.limit_s, seed)
    misfit = _waits(sent, bound) or _busy_service(sent, bound) or _other_service(sent, queue)
    # One of a handful of requests is nobody's misfit.
    if not fewest - 1 <= slow <= most + 1:
        misfit = (
            f"{slow} of {len(sent.latencies_s)} requests took longer than the bound, where a queue of these service times has "
            f"{fewest} to {most}"
        )
    return Fit(slow, (fewest, most), misfit)


def _waits(sent: Sent, bound: LatencyBound) -> str:
    """The very requests with their own service times, in the model's queue: nothing of that is random."""
    service_s = np.concatenate([sent.filling_s, sent.service_s])
    if len(service_s) < len(sent.due_s):  # some were never served
        return ""
    replayed = queue_latencies(sent.due_s, service_s, bound.clients)[sent.first :]
    was, is_ = (float(np.quantile(x, bound.quantile)) for x in (sent.latencies_s, replayed))
    if was - is_ <= LONGER * bound.limit_s:
        return ""
    return (
        f"p{bound.quantile * 100:g} of the requests is {format_seconds(was)}, and {format_seconds(is_)} where they wait for "
        "nothing but each other"
    )


def _busy_service(sent: Sent, bound: LatencyBound) -> str:
    """Service that depends on the queue: of requests that waited, and of those that found a client free."""
    served = sent.latencies_s[np.isfinite(sent.latencies_s)]
    waited = served > sent.service_s + LONGER * bound.limit_s
    ratio = _ratio(sent.service_s[waited], sent.service_s[~waited])
    return f"service takes {ratio:.2f} times as long where a request had waited" if ratio else ""


def _other_service(sent: Sent, queue: Queue) -> str:
    """Service that differs from rate to rate, or that was slower for a while."""
    ratio = _ratio(sent.service_s, queue.service_s)
    return f"service takes {ratio:.2f} times as long as at all rates that are near" if ratio else ""


def _ratio(some: F64, others: F64) -> float | None:
    """Of their means, where they surely differ by more than is to be expected; None where not, or where there are too few."""
    if min(len(some), len(others)) < LEAST_OF_BOTH:
        return None
    means = np.array([some.mean(), others.mean()])
    error = np.hypot(some.std() / np.sqrt(len(some)), others.std() / np.sqrt(len(others))) / means[1]
    ratio = float(means[0] / means[1])
    return ratio if abs(ratio - 1) > max(UNLIKE_SERVICE, SURELY * error) else None
