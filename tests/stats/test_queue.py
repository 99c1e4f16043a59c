"""Queues against formulas of queueing theory, against a queue written as people would, and estimates against known truths."""

import heapq
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from seatrial._native.statistics import highest_rate, queue_latencies
from seatrial.stats.queue import Queue, estimate_rate, quick_rate, slow_requests

times = st.floats(0, 1e3, allow_subnormal=False)


def by_heap(due, service, clients):
    """First come, first served, by a heap of when each client is free."""
    free = [-math.inf] * clients
    out = []
    for at, takes in zip(due, service, strict=True):
        end = max(at, heapq.heappop(free)) + takes
        heapq.heappush(free, end)
        out.append(end - at)
    return out


@given(
    st.integers(0, 60).flatmap(lambda n: st.tuples(arrays(float, n, elements=times), arrays(float, n, elements=times))),
    st.integers(1, 9),
)
def test_latencies_are_those_of_a_queue_by_hand(given_, clients):
    due, service = np.sort(given_[0]), given_[1]
    np.testing.assert_allclose(
        queue_latencies(due, service, clients), by_heap(due, service, clients), rtol=1e-9, atol=1e-9
    )


def test_clients_are_free_at_the_first_arrival_whatever_clock_it_is_of():
    due, service = np.array([0.0, 1.0, 1.0]), np.full(3, 2.0)
    for clock in (-1e6, 0.0, 1e6):
        assert queue_latencies(due + clock, service, 1).tolist() == [2.0, 3.0, 5.0]


@pytest.mark.parametrize(("due", "service", "servers"), [(3, 2, 1), (2, 2, 0), (2, 2, 1025)])
def test_what_does_not_fit_is_refused(due, service, servers):
    with pytest.raises(ValueError, match="expected a service time an arrival"):
        queue_latencies(np.zeros(due), np.zeros(service), servers)
    with pytest.raises(ValueError, match="expected a service time an arrival"):
        highest_rate(np.zeros(due), np.zeros(service), servers, 1.0, 0, 1.0, 2.0)


@pytest.mark.parametrize(("lowest", "highest"), [(0.0, 1.0), (2.0, 1.0), (1.0, math.inf), (math.nan, 1.0)])
def test_rates_that_mean_nothing_are_refused(lowest, highest):
    with pytest.raises(ValueError, match="expected rates above 0"):
        highest_rate(np.ones(2), np.ones(2), 1, 1.0, 0, lowest, highest)


@given(st.integers(0, 1 << 30), st.integers(1, 4), st.floats(0.0, 0.2))
def test_the_highest_rate_holds_and_the_next_does_not(seed, clients, may_be):
    rng = np.random.default_rng(seed)
    gaps, service = rng.exponential(1.0, 300), rng.gamma(3, 1 / 3, 300)
    allowed = int(may_be * 300)

    def slow(rate):
        return int((queue_latencies(np.cumsum(gaps / rate), service, clients) > 3.0).sum())

    found = highest_rate(gaps, service, clients, 3.0, allowed, 0.01, float(clients))
    if found == 0:
        assert slow(0.01) > allowed
    else:
        assert slow(found) <= allowed
        assert found == clients or slow(found * 1.001) > allowed


def exponential(rng, count):
    return rng.exponential(0.01, count)


@pytest.mark.parametrize(("quantile", "bound_s"), [(0.9, 0.05), (0.99, 0.1)])
def test_random_arrivals_and_services_give_the_rate_of_the_formula(quantile, bound_s):
    """M/M/1: a request's whole time is exponential with μ - λ (Kleinrock, Queueing Systems, 1975, section 5.2)."""
    truth = 100 + math.log(1 - quantile) / bound_s
    queue = Queue(exponential(np.random.default_rng(1), 400_000), 1)
    assert quick_rate(queue, quantile, bound_s, 0) == pytest.approx(truth, rel=0.03)


def test_constant_services_wait_half_as_long_as_random_ones():
    """Pollaczek and Khinchine: the mean wait of M/D/1 is ρ / (2 μ (1 - ρ))."""
    latencies, service = Queue(np.full(10, 0.01), 1).serve(70.0, 400_000, np.random.default_rng(0))
    assert latencies.mean() - 0.01 == pytest.approx(0.7 / (2 * 100 * 0.3), rel=0.03)
    assert set(service) == {0.01}


def test_two_clients_wait_as_erlang_says():
    """M/M/2 at ρ = 0.75: a request waits with Erlang's C = 9 / 14, and then 1 / (2 μ - λ) on average."""
    rng = np.random.default_rng(2)
    latencies = queue_latencies(np.cumsum(rng.exponential(1 / 150, 400_000)), exponential(rng, 400_000), 2)
    assert latencies.mean() - 0.01 == pytest.approx((9 / 14) / (200 - 150), rel=0.05)


def test_requests_that_come_evenly_need_no_idle_time():
    assert quick_rate(Queue(np.full(10, 0.01), 1, constant=True), 0.99, 0.011, 0) == pytest.approx(100, rel=0.001)


def test_a_bound_below_the_service_time_is_held_at_no_rate():
    queue = Queue(np.full(50, 0.02), 1)
    assert quick_rate(queue, 0.9, 0.019, 0) == 0
    estimate = estimate_rate(queue, 0.9, 0.019, 0)
    assert (estimate.value, estimate.low, estimate.high, estimate.n) == (0, 0, 0, 50)


def test_one_service_time_is_enough_for_an_estimate():
    estimate = estimate_rate(Queue(np.array([0.01]), 2), 0.9, 0.05, 0)
    assert 150 < estimate.low <= estimate.value <= estimate.high < 200


@pytest.mark.slow
@pytest.mark.parametrize("runs", [pytest.param(2, id="few"), pytest.param(20, id="many")])
def test_the_interval_covers_the_true_rate(runs):
    """2,000 service times of a gamma distribution, one and two clients; the truth from 400,000."""
    for clients in (1, 2):
        rng = np.random.default_rng(99)
        truth = np.median(
            [Queue(rng.gamma(4, 0.0025, 400_000), clients).highest_rate(0.99, 0.06, rng, 400_000) for _ in range(6)]
        )
        found = [
            estimate_rate(Queue(np.random.default_rng([clients, k]).gamma(4, 0.0025, 2000), clients), 0.99, 0.06, k)
            for k in range(runs)
        ]
        covers = sum(e.low <= truth <= e.high for e in found)
        # 95 %, and three standard deviations of luck.
        assert covers >= runs * 0.95 - 3 * math.sqrt(runs * 0.95 * 0.05), (clients, covers)
        assert np.median([e.high / e.low for e in found]) < 1.2


@pytest.mark.slow
def test_service_times_that_go_together_are_known_less_well():
    """Half of them slow, each minute another half: as many values say less."""
    rng = np.random.default_rng(3)
    mixed = np.where(rng.random(2000) < 0.5, 0.008, 0.012)
    together = np.where(np.repeat(rng.random(20) < 0.5, 100), 0.008, 0.012)
    apart, alike = (estimate_rate(Queue(x, 1), 0.9, 0.04, 0) for x in (mixed, together))
    assert math.log(alike.high / alike.low) > 2 * math.log(apart.high / apart.low)


def test_images_that_come_in_turn_stay_in_turn():
    """A slow image behind each fast one queues less than slow ones at random."""
    turns = np.tile([0.005, 0.015], 500)
    drawn = Queue(turns, 1).services(10_000, np.random.default_rng(0))
    assert (drawn[1:] != drawn[:-1]).mean() > 0.9


@pytest.mark.slow
def test_slow_requests_are_expected_where_the_queue_has_them():
    rng = np.random.default_rng(5)
    queue = Queue(rng.gamma(4, 0.0025, 1000), 1)
    due = np.cumsum(rng.exponential(1 / 60, 2000))
    inside = 0
    for _ in range(40):
        slow = int((queue_latencies(due, rng.gamma(4, 0.0025, 2000), 1)[200:] > 0.04).sum())
        fewest, most = slow_requests(queue, due, 200, 0.04, 1)
        inside += fewest <= slow <= most
    assert inside >= 38
    # Had each waited for another job as well, they would be seen.
    stalled = queue_latencies(due, rng.gamma(4, 0.0025, 2000) + 0.003, 1)
    assert (stalled[200:] > 0.04).sum() > most
