"""Whether requests at a rate would probably prove something of it, by the queue's model. For: choosing what to send. Not for:
what requests that were sent do prove (bound.py)."""

from __future__ import annotations

import math

import numpy as np

from seatrial.loads.bound import Holds, LatencyBound, bound_holds
from seatrial.stats.queue import Queue

# After a change of rate the queue takes a while to reach its usual length: this share of a rate's requests is not judged.
FILLING = 0.1
TRIALS = 40


def probably(
    answer: Holds, bound: LatencyBound, queue: Queue, rate: float, requests: int, error: float, chance: float, seed: int
) -> bool:
    """Whether so many requests from an empty queue on would give that answer with this chance, as simulated trials go."""
    # Apart from the arrivals that are sent.
    rng = np.random.default_rng([seed, 1])
    first, may_fail = int(requests * FILLING), TRIALS - math.ceil(chance * TRIALS)
    if not requests:
        return False
    failed = 0
    for _ in range(TRIALS):
        latencies_s, service_s = (x[first:] for x in queue.serve(rate, requests, rng))
        failed += bound_holds(bound, latencies_s, service_s, rate, error) != answer
        if failed > may_fail:
            return False
    return True
