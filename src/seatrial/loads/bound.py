"""Whether a rate holds a latency bound, by the requests that were sent at it. For: one rate. Not for: which rate to send next
(search.py)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from seatrial.stats.sample import quantile_below
from seatrial.stats.share import Worth
from seatrial.stats.utilisation import utilisation

F64 = npt.NDArray[np.float64]
Holds = Literal["yes", "no", "unsure"]
# Of each end of the interval of a search: what is said to hold, and what is said not to.
ERROR = 0.05
# Rates that a search sends at most: each may be said to break, and shares ERROR.
MOST_LOOKS = 10
# Three ways to break, below, at each of them, and one for the search as a whole (no rate above the clients' capacity holds).
ERROR_OF_NO = ERROR / (3 * MOST_LOOKS + 1)
ONE_BY_ONE = Worth(memory=1.0, unseen=1.0)


@dataclass(frozen=True)
class LatencyBound:
    """`quantile` of the requests take at most `limit_s`, from when they were due."""

    quantile: float
    limit_s: float
    clients: int


def bound_holds(bound: LatencyBound, latencies_s: F64, service_s: F64, rate: float, error: float) -> Holds:
    """What one rate's requests say. latencies_s: (n,) in the order of arrival, infinite where nobody served it; service_s: of
    those served. error: how often a "yes" may be wrong; a "no" is wrong with ERROR in a whole search."""
    if _answer(bound, latencies_s, ERROR_OF_NO) == "no":
        return "no"
    # Requests that were given up long after they were due stood in a queue. That they came together is the queue's doing, so
    # that each counts in full.
    served = int(np.isfinite(latencies_s).sum())
    if ONE_BY_ONE.bounds(served, len(latencies_s), 1.0, bound.quantile, ERROR_OF_NO):
        return "no"
    if utilisation(service_s, rate, bound.clients, 1 - ERROR_OF_NO)[0] >= 1:
        return "no"
    # Where the queue may still be growing, latencies so far do not say what they will be.
    if utilisation(service_s, rate, bound.clients)[1] >= 1:
        return "unsure"
    return "yes" if _answer(bound, latencies_s, error) == "yes" else "unsure"


def _answer(bound: LatencyBound, latencies_s: F64, error: float) -> str:
    """By the rule of budgets, but with this error, and not assuming that slow requests may come in runs not seen yet.

    With that, a rate would take twenty times the requests, and a search many rates. Here a queue makes the runs, at each
    rate, and they are seen; what else may come in runs is not in a search's verdict.
    """
    return quantile_below(latencies_s, bound.quantile, bound.limit_s, 1 - 2 * error, longest_run=1).answer
