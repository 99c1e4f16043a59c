"""What one rate's requests say of a bound, and whether a server keeps up, on simulated queues."""

import numpy as np
import pytest
from workloads import load_task

from seatrial._native.statistics import queue_latencies
from seatrial.loads.bound import ERROR, LatencyBound, bound_holds
from seatrial.loads.results import overload_of
from seatrial.loads.task import Load

SERVICE_S, QUANTILE = 0.01, 0.9
TEN_SECONDS = LatencyBound(QUANTILE, 10.0, 1)


def queue(rng, rate, count, jitter=0.0):
    """One server with Poisson arrivals: latencies and service times of `count` requests from empty."""
    service = SERVICE_S * (1 + jitter * rng.uniform(-1, 1, count))
    return queue_latencies(np.cumsum(rng.exponential(1 / rate, count)), service, 1), service


def test_a_rate_above_the_capacity_is_never_held_however_wide_the_bound():
    """From an empty queue the first seconds look well; what grows without end is told by how busy the server is."""
    rng = np.random.default_rng(0)
    for rate in (101.0, 110.0, 150.0):
        latencies, service = queue(rng, rate, 400)
        assert bound_holds(TEN_SECONDS, latencies, service, rate, ERROR) == "no"
    latencies, service = queue(rng, 99.9, 400, jitter=0.5)
    assert bound_holds(TEN_SECONDS, latencies, service, 99.9, ERROR) != "yes"
    latencies, service = queue(rng, 60.0, 4000)
    assert bound_holds(TEN_SECONDS, latencies, service, 60.0, ERROR) == "yes"


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
    assert bound_holds(TEN_SECONDS, lost, service, 30.0, ERROR) == "no"
    assert bound_holds(TEN_SECONDS, np.full(100, np.inf), service[:0], 30.0, ERROR) == "no"
