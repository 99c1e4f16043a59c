"""How busy a server is: what decides whether its queue has an end. Not for: how long requests wait in it."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from seatrial.stats.sample import effective_count

F64 = npt.NDArray[np.float64]


def utilisation(service_s: F64, rate: float, clients: int, confidence: float = 0.975) -> tuple[float, float]:
    """Share of the clients' time that the requests take, as an interval. From 1 on, the queue grows without end.

    λ E[S] / c, the traffic intensity of c servers (Kleinrock, Queueing Systems, 1975, section 2.1), by the normal interval of
    the mean. service_s: (n,) in the order of arrival; rate: requests a second. confidence: of each end, one-sided. Service
    times of neighbours are alike, which the error of their mean takes into account; and no mean is below its smallest part,
    whatever a few slow ones do to that error.
    """
    if not len(service_s):
        return 1.0, 1.0
    mean, error = float(service_s.mean()), 0.0
    if len(service_s) > 1:
        error = float(ndtri(confidence)) * float(service_s.std()) / math.sqrt(effective_count(service_s))
    return rate * max(mean - error, float(service_s.min())) / clients, rate * (mean + error) / clients
