"""How busy a server is: what decides whether its queue has an end. Not for: how long requests wait in it."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from seatrial.stats.sample import effective_count

F64 = npt.NDArray[np.float64]
LEAST = 10


def utilisation(service_s: F64, rate: float, clients: int, confidence: float = 0.975) -> tuple[float, float]:
    """Share of the clients' time that the requests take, as an interval. From 1 on, the queue grows without end.

    λ E[S] / c, the traffic intensity of c servers (Kleinrock, Queueing Systems, 1975, section 2.1), by Student's interval of
    the mean. service_s: (n,) in the order of arrival; rate: requests a second. confidence: of each end, one-sided. Service
    times of neighbours are alike, which the error of their mean takes into account; and no mean is below its smallest part,
    whatever a few slow ones do to that error. Fewer than ten say nothing: 0 and infinity.
    """
    if len(service_s) < LEAST:
        return 0.0, math.inf
    mean, independent = float(service_s.mean()), max(2, effective_count(service_s))
    error = float(stdtrit(independent - 1, confidence)) * float(service_s.std(ddof=1)) / math.sqrt(independent)
    return rate * max(mean - error, float(service_s.min())) / clients, rate * (mean + error) / clients
