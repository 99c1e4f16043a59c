"""A search by simulated servers, whose true highest rate is known: how often is it right, and how far off?"""

from bisect import bisect

import numpy as np
import pytest
from workloads import load_task

from seatrial.loads.rate_search import (
    FILLING,
    MAY_BE_ABOVE,
    MAY_BE_ABOVE_AT_LAST,
    SEARCHING,
    SHARE_CONFIRMED,
    SHARE_TRIED,
    bound_holds,
    looks_confirmable,
    requests_needed,
)
from seatrial.loads.results import overload_of
from seatrial.loads.search import ERROR, find_rate
from seatrial.loads.task import Load

SERVICE_S, QUANTILE = 0.01, 0.9


def queue(rng, rate, count, jitter=0.0):
    """One server with Poisson arrivals (Lindley, 1952): latencies and service times of `count` requests from empty."""
    gaps = rng.exponential(1 / rate, count)
    service = SERVICE_S * (1 + jitter * rng.uniform(-1, 1, count))
    waits = np.zeros(count)
    for i in range(1, count):
        waits[i] = max(0.0, waits[i - 1] + service[i - 1] - gaps[i])
    return waits + service, service


def true_rate(bound_s):
    """The rate at which the bound's quantile of the steady state is at the bound, from long queues."""
    rates = np.linspace(20, 98, 40)
    quantiles = [np.quantile(queue(np.random.default_rng(1), r, 60_000, jitter=0.5)[0], QUANTILE) for r in rates]
    return rates[bisect(np.maximum.accumulate(quantiles), bound_s)]


@pytest.fixture(scope="module")
def truth():
    return true_rate(0.025)


def searched(seed, bound_s, guess=100.0, max_time_s=60.0):
    """A search of a minute, as the worker does it, with a simulated queue in place of the requests."""
    rng = np.random.default_rng(seed)
    left_s = max_time_s

    def send(rate, count, share):
        nonlocal left_s
        count = max(count, int(share * max_time_s * rate))
        left_s -= count / rate
        latencies, service = queue(rng, rate, count, jitter=0.5)
        return latencies[int(count * FILLING) :], service[int(count * FILLING) :]

    def try_rate(rate):
        if left_s < (1 - SEARCHING) * max_time_s:
            return None
        sent = send(rate, requests_needed(QUANTILE, ERROR, MAY_BE_ABOVE), SHARE_TRIED)
        holds = bound_holds(*sent, rate, 1, QUANTILE, bound_s, ERROR)
        if holds != "unsure":
            return holds
        of_confirming = SHARE_CONFIRMED * max_time_s * rate
        return "yes" if looks_confirmable(*sent, rate, 1, QUANTILE, bound_s, of_confirming) else "unsure"

    def confirm(rate, error):
        needed = requests_needed(QUANTILE, error, MAY_BE_ABOVE_AT_LAST)
        if left_s < max(needed / rate, SHARE_CONFIRMED * max_time_s):
            return None
        return bound_holds(*send(rate, needed, SHARE_CONFIRMED), rate, 1, QUANTILE, bound_s, error)

    return find_rate(guess, try_rate, confirm)


@pytest.mark.parametrize("guess", [100.0, 30.0])
def test_what_is_found_holds_and_what_is_said_to_break_breaks(truth, guess):
    """Each end of the interval errs in at most 5 % of the searches; a capacity guessed at a third does not change that."""
    runs = [searched(seed, 0.025, guess) for seed in range(60)]
    held = [f.held for f in runs if f.confirmed]
    failed = [f.failed for f in runs if f.failed is not None]
    # 95 % of 60, and three standard deviations of luck; the grid of the truth is 2 apart.
    assert sum(h > truth + 2 for h in held) <= 8
    assert sum(f < truth - 2 for f in failed) <= 8
    # A minute of a 10 ms model is some 2,000 requests, whose latencies go together: what can be shown is not all that is so.
    assert len(held) > 45
    assert np.median(held) > 0.45 * truth


def test_more_time_comes_nearer_to_the_truth(truth):
    minute, long = ([searched(seed, 0.025, max_time_s=s).held or 0.0 for seed in range(20)] for s in (60.0, 600.0))
    assert np.median(long) > np.median(minute)
    assert np.median(long) > 0.8 * truth


def test_a_rate_above_the_capacity_is_never_held_however_wide_the_bound():
    """From an empty queue the first seconds look well; what grows without end is told by how busy the server is."""
    rng = np.random.default_rng(0)
    for rate in (101.0, 110.0, 150.0):
        latencies, service = queue(rng, rate, 400)
        assert bound_holds(latencies, service, rate, 1, QUANTILE, 10.0, ERROR) == "no"
    latencies, service = queue(rng, 99.9, 400, jitter=0.5)
    assert bound_holds(latencies, service, 99.9, 1, QUANTILE, 10.0, ERROR) != "yes"
    latencies, service = queue(rng, 60.0, 400)
    assert bound_holds(latencies, service, 60.0, 1, QUANTILE, 10.0, ERROR) == "yes"


@pytest.fixture
def a_task(workspace):
    return lambda rate: load_task(workspace.folder / "model.fake.json", Load(scenario="server", rate=rate))


@pytest.mark.parametrize(("rate", "busy"), [(95.0, 0.0), (120.0, 1.0)])
def test_a_server_is_called_overloaded_where_it_is_and_not_where_chance_makes_it_look_so(a_task, rate, busy):
    """At 95 % the arrivals of ten seconds are often more than the server does in ten seconds; at 120 % always."""
    rng, called = np.random.default_rng(3), []
    for _ in range(60):
        latencies, service = queue(rng, rate, 1000, jitter=0.3)
        due = np.cumsum(rng.exponential(1 / rate, 1000))
        rows = np.stack([due, latencies - service, service, latencies], axis=1)
        called.append(bool(overload_of(a_task(rate), (rows * 1e9).astype(np.int64))))
    assert np.mean(called) == busy


def test_requests_that_nobody_served_break_the_bound():
    latencies, service = queue(np.random.default_rng(0), 30.0, 400)
    lost = np.concatenate([latencies, np.full(100, np.inf)])
    assert bound_holds(lost, service, 30.0, 1, QUANTILE, 10.0, ERROR) == "no"
    assert bound_holds(np.full(100, np.inf), service[:0], 30.0, 1, QUANTILE, 10.0, ERROR) == "no"
