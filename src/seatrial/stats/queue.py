"""A queue whose service times were measured: what its latencies would be, and the highest rate that holds a bound.

For: requests that are served first come, first served, by some clients alike (G/G/c), by simulation with the measured service
times: no formula gives a percentile for more than one client or for service times that are not exponential. Not for: which
rates are sent (loads/search.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from seatrial._native.statistics import highest_rate, queue_latencies
from seatrial.stats.sample import CONFIDENCE, effective_count

F64 = npt.NDArray[np.float64]
# Requests of one simulation, and simulations of the sample as it is and of samples like it.
REQUESTS, SIMULATIONS = 50_000, 60
QUICK_SIMULATIONS = 6
# A count of slow requests outside all of these is seen in one of 200 rates that the model describes.
CHECKS = 400
# Service times are drawn in runs of neighbours: images that come in turn stay in order, and a slow minute stays together.
SHORTEST_RUN, MEMORIES_A_RUN, FEWEST_RUNS = 20, 5, 10
# What a simulation of so many requests, from an empty queue on, may be off by: a third of a percent.
OF_SIMULATION = 0.003
# Beyond this percentile a simulation has too few slow requests to place a rate by: 50 of REQUESTS.
HIGHEST_QUANTILE = 0.999
# A queue's tail hangs on service times that are much rarer than itself, since many wait behind one slow request. So many times
# 1 / (1 - quantile) of them: what is a third as frequent as the tail is then missed in one sample of 28.
TIMES_A_TAIL = 10
# Rates below this share of the capacity: nobody would call that serving.
LEAST_SHARE = 1e-3


@dataclass(frozen=True)
class RateEstimate:
    """The highest rate that holds a bound, by the model, and its 95 % interval, in requests a second; 0: not even one that
    comes alone. n: service times that it rests on."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Queue:
    """service_s: (n,) float64, one or more, in the order of arrival. constant: arrivals come evenly, else at random.
    run: how many neighbours are drawn at once."""

    service_s: F64
    clients: int
    constant: bool = False
    run: int = 0

    def __post_init__(self) -> None:
        if not self.run:
            n = len(self.service_s)
            memories = MEMORIES_A_RUN * n / effective_count(self.service_s)
            object.__setattr__(self, "run", max(1, min(math.ceil(max(SHORTEST_RUN, memories)), n // FEWEST_RUNS)))

    @property
    def capacity(self) -> float:
        """Requests a second without idle time."""
        return self.clients / float(self.service_s.mean())

    def gaps(self, count: int, rng: np.random.Generator) -> F64:
        """(count,) between arrivals, at one a second."""
        return np.ones(count) if self.constant else rng.exponential(1.0, count)

    def services(self, count: int, rng: np.random.Generator) -> F64:
        """(count,) service times like those measured: runs of neighbours, around the end too (Politis and Romano's circular
        block bootstrap, 1992)."""
        n = len(self.service_s)
        starts = rng.integers(0, n, math.ceil(count / self.run))
        drawn: F64 = self.service_s[((starts[:, None] + np.arange(self.run)) % n).reshape(-1)[:count]]
        return drawn

    def like_it(self, rng: np.random.Generator) -> Queue:
        """With another sample of service times, of the same size."""
        return replace(self, service_s=self.services(len(self.service_s), rng))

    def serve(self, rate: float, count: int, rng: np.random.Generator) -> tuple[F64, F64]:
        """Latencies and service times, (count,) seconds each, of requests from an empty queue on."""
        arrivals, service = np.cumsum(self.gaps(count, rng)) / rate, self.services(count, rng)
        return queue_latencies(arrivals, service, self.clients), service

    def highest_rate(
        self, quantile: float, bound_s: float, rng: np.random.Generator, requests: int = REQUESTS
    ) -> float:
        """At which this share of the simulated requests holds the bound; 0 where at none."""
        gaps, service = self.gaps(requests, rng), self.services(requests, rng)
        allowed = math.floor((1 - quantile) * requests)
        capacity = self.capacity
        return highest_rate(gaps, service, self.clients, bound_s, allowed, LEAST_SHARE * capacity, capacity)


def estimate_rate(queue: Queue, quantile: float, bound_s: float, seed: int) -> RateEstimate:
    """The highest rate that holds the bound, were service times as measured.

    The interval is of the sample's luck: its bootstrap, each sample like it simulated with the arrivals of one simulation of
    the sample as it is, so that the arrivals' luck cancels. Its lower end is that of a sample with one request more, as slow as
    the slowest: the one that has not come yet.
    """
    rng = np.random.default_rng(seed)
    seeds = rng.integers(0, 1 << 62, SIMULATIONS)
    slower = replace(queue, service_s=np.append(queue.service_s, queue.service_s.max()))
    own, like, lost = (np.empty(SIMULATIONS) for _ in range(3))
    for i, s in enumerate(seeds):
        own[i], lost[i] = (q.highest_rate(quantile, bound_s, np.random.default_rng(s)) for q in (queue, slower))
        like[i] = queue.like_it(rng).highest_rate(quantile, bound_s, np.random.default_rng(s))
    n = len(queue.service_s)
    if not (own.all() and like.all() and lost.all()):
        value = float(np.median(own))
        low, high = np.quantile(like, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
        return RateEstimate(value, min(value, float(low)), max(value, float(high)), n)
    value, ratios = math.exp(float(np.log(own).mean())), np.log(like) - np.log(own)
    error = math.sqrt(float(ratios.var(ddof=1)) + float(np.log(own).var(ddof=1)) / SIMULATIONS + OF_SIMULATION**2)
    half = -float(stdtrit(SIMULATIONS - 1, (1 - CONFIDENCE) / 2)) * error
    slowed = min(0.0, float((np.log(lost) - np.log(own)).mean()))
    return RateEstimate(value, value * math.exp(slowed - half), value * math.exp(half), n)


def enough_service_times(quantile: float) -> int:
    """How many an estimate rests on at least."""
    return math.ceil(TIMES_A_TAIL / (1 - quantile))


def quick_rate(queue: Queue, quantile: float, bound_s: float, seed: int) -> float:
    """About the same, in a tenth of the time: for what to send next."""
    rng = np.random.default_rng([seed, 1])
    return float(np.median([queue.highest_rate(quantile, bound_s, rng) for _ in range(QUICK_SIMULATIONS)]))


def slow_requests(queue: Queue, due_s: F64, first: int, bound_s: float, seed: int) -> tuple[int, int]:
    """Fewest and most of the requests from `first` on that take longer than the bound, in CHECKS simulations of these very
    arrivals, each with service times like those measured.

    due_s: (n,) ascending, the queue empty before them.
    """
    rng = np.random.default_rng(seed)
    counts = []
    for _ in range(CHECKS):
        service = queue.like_it(rng).services(len(due_s), rng)
        latencies_s = queue_latencies(due_s, service, queue.clients)
        counts.append(int((latencies_s[first:] > bound_s).sum()))
    return min(counts), max(counts)
