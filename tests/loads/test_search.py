"""A search by simulated servers, whose true highest rate is known: how often is it right, and how far off?"""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seatrial._native.statistics import queue_latencies
from seatrial.loads.bound import MOST_LOOKS, LatencyBound
from seatrial.loads.chance import FILLING
from seatrial.loads.fit import Sent
from seatrial.loads.search import MOST_REQUESTS, Found, find_rate
from seatrial.loads.search_results import rate_estimate, said_against
from seatrial.loads.task import Estimate, Point, Search
from seatrial.stats.queue import Queue

SERVICES = {
    "constant": lambda rng, n: np.full(n, 0.01),
    "gamma": lambda rng, n: rng.gamma(4, 0.0025, n),
    "two sizes of image": lambda rng, n: np.where(rng.random(n) < 0.8, 0.0075, 0.02),
}


class Server:
    """Sends rates to a simulated queue, and keeps what was asked of it. slower: of service times where a queue is, which the model
    knows nothing of."""

    def __init__(self, services, clients, seed, slower=0.0, room=math.inf):
        self.services, self.clients, self.slower, self.room = services, clients, slower, room
        self.rng = np.random.default_rng([seed, 1])
        self.asked, self.told = [], []

    def __call__(self, rate, seconds):
        self.asked.append((rate, seconds))
        due = np.cumsum(self.rng.exponential(1 / rate, int(3 * rate * seconds) + 50))
        due = due[: max(1, np.searchsorted(due, seconds))]
        if len(due) > self.room:
            return None
        self.room -= len(due)
        service = self.services(self.rng, len(due))
        latencies = self.serve(due, service)
        latencies += np.where(latencies > 1.01 * service, self.slower, 0)
        first = int(len(due) * FILLING)
        return Sent(rate, due, first, service[:first], latencies[first:], service[first:])

    def serve(self, due, service):
        return queue_latencies(due, service, self.clients)

    def search(self, bound_s, quantile=0.9, time_s=55.0, seed=0):
        """With a second of requests back to back, as the worker has it."""
        alone = self.services(self.rng, 100 * self.clients)
        return find_rate(
            LatencyBound(quantile, bound_s, self.clients), alone, self, time_s, seed, tell=self.told.append
        )


def true_rate(services, clients, bound_s, quantile=0.9):
    rng = np.random.default_rng(99)
    long = Queue(services(rng, 200_000), clients)
    return float(np.median([long.highest_rate(quantile, bound_s, rng, 200_000) for _ in range(8)]))


@pytest.mark.parametrize(
    ("name", "clients", "runs"),
    [
        ("gamma", 1, 2),
        *(pytest.param(name, clients, 8, marks=pytest.mark.slow) for name in SERVICES for clients in (1, 4)),
    ],
)
def test_a_minute_of_a_10_ms_model_finds_its_rate(name, clients, runs):
    """The estimate, what was proved, and what was shown to break, each against the truth."""
    services, bound_s = SERVICES[name], 0.04
    truth = true_rate(services, clients, bound_s)
    found = [Server(services, clients, seed).search(bound_s, seed=seed) for seed in range(runs)]
    estimates = [f.estimate for f in found]
    assert sum(abs(e.value / truth - 1) < 0.1 for e in estimates) >= 0.9 * runs - 1
    # 95 %, and three standard deviations of luck; half a percent is what the truth itself is known to.
    covers = sum(e.low * 0.995 <= truth <= e.high * 1.005 for e in estimates)
    assert covers >= runs * 0.95 - 3 * math.sqrt(runs * 0.05)
    held = [f.held for f in found if f.held]
    assert len(held) >= 0.9 * runs - 1
    assert np.median(held) > 0.5 * truth
    # Each end errs in 5 %; the same allowance.
    assert sum(h > truth * 1.005 for h in held) <= runs * 0.05 + 3 * math.sqrt(runs * 0.05)
    assert sum(f.broke < truth * 0.995 for f in found) <= runs * 0.05 + 3 * math.sqrt(runs * 0.05)
    assert sum(not any(fit.misfit for fit in f.fits) for f in found) >= 0.9 * runs - 1


@pytest.mark.slow
def test_all_the_time_is_used():
    for bound_s, quantile in ((0.05, 0.9), (0.03, 0.99)):
        server = Server(SERVICES["gamma"], 1, 0)
        server.search(bound_s, quantile)
        assert sum(seconds for _, seconds in server.asked) == pytest.approx(55.0, rel=0.06)


@pytest.mark.slow
def test_more_time_proves_more():
    truth = true_rate(SERVICES["gamma"], 1, 0.05)
    minute, ten = (Server(SERVICES["gamma"], 1, 1).search(0.05, time_s=s).held for s in (55.0, 600.0))
    assert minute < ten < truth
    assert ten > 0.85 * truth


@pytest.mark.slow
def test_too_little_time_proves_nothing_and_says_how_much_would_do():
    """p99 takes hundreds of requests: 5 s of 100 a second are too few, and the estimate is there all the same."""
    server = Server(SERVICES["gamma"], 1, 0)
    found = server.search(0.1, 0.99, time_s=5.0)
    assert found.held is None
    assert found.estimate.low <= true_rate(SERVICES["gamma"], 1, 0.1, 0.99) <= found.estimate.high
    assert 5.0 < found.enough_s < 320.0
    assert any(Server(SERVICES["gamma"], 1, s).search(0.1, 0.99, time_s=found.enough_s, seed=s).held for s in range(3))


@pytest.mark.slow
def test_a_bound_that_no_rate_holds():
    """Every request takes longer than the bound: nothing is proved, and no time would do."""
    server = Server(SERVICES["constant"], 1, 0)
    found = server.search(0.009)
    assert (found.held, found.estimate.value, found.estimate.high, found.enough_s) == (None, 0, 0, None)
    assert found.broke == min(rate for rate, _ in server.asked), "the lowest rate that was sent breaks it surely"


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_requests_that_wait_for_more_than_each_other_are_no_queue_of_the_model(seed):
    """Whoever finds the server busy waits 3 ms more, as for a lock: the estimate would be too high."""
    found = Server(SERVICES["gamma"], 1, seed, slower=0.003).search(0.04, seed=seed)
    assert any("where they wait for nothing but each other" in fit.misfit for fit in found.fits)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_service_that_depends_on_the_queue_is_no_service_of_the_model(seed):
    class Busy(Server):
        def serve(self, due, service):
            free, latencies = 0.0, np.empty(len(due))
            for i, at in enumerate(due):
                service[i] *= 1.3 if free > at else 1.0
                free = max(at, free) + service[i]
                latencies[i] = free - at
            return latencies

    found = Busy(SERVICES["gamma"], 1, seed).search(0.04, seed=seed)
    assert any("times as long where a request had waited" in fit.misfit for fit in found.fits)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_a_server_that_slows_down_has_no_estimate(seed):
    """Twice as slow from half of the time on: what was proved before and what is estimated behind contradict each other."""

    class Tired(Server):
        def __call__(self, rate, seconds):
            self.late = self.late or sum(s for _, s in self.asked) > 25
            return super().__call__(rate, seconds)

        late = False

    tired = Tired(lambda rng, n: rng.gamma(4, 0.0025 * (2 if tired.late else 1), n), 1, seed)
    found = tired.search(0.1, seed=seed)
    search = Search(
        points=tuple(
            Point(
                offered_per_s=rate,
                first_row_ns=0,
                last_row_ns=0,
                arrivals=9,
                holds=h,
                expected_slow=f.expected,
                misfit=f.misfit,
            )
            for (rate, _), h, f in zip(tired.asked, found.holds, found.fits, strict=True)
        ),
        held=found.held,
        broke=found.broke,
        estimate=Estimate(
            per_s=found.estimate.value, low=found.estimate.low, high=found.estimate.high, service_times=found.estimate.n
        ),
    )
    assert list(said_against(search, 0.9))
    assert rate_estimate(search, 0.9) is None


@pytest.mark.slow
def test_an_estimate_of_few_service_times_is_none():
    """Of 50 requests one in a hundred is mostly missing, and five wait behind it."""
    found = Server(SERVICES["gamma"], 1, 0).search(0.1, 0.95, time_s=1.0)
    e = found.estimate
    point = {"first_row_ns": 0, "last_row_ns": 0, "arrivals": 9, "holds": "unsure", "expected_slow": (0, 0)}
    search = Search(
        points=(Point(offered_per_s=50.0, **point),),
        held=None,
        broke=None,
        estimate=Estimate(per_s=e.value, low=e.low, high=e.high, service_times=e.n),
    )
    assert list(said_against(search, 0.95)) == [f"p95 takes 200 service times, and {e.n} were measured"]
    assert rate_estimate(search, 0.95) is None
    assert rate_estimate(search, 0.5) is not None


@pytest.mark.slow
def test_requests_that_nobody_served_are_slow():
    def send(rate, seconds):
        due = np.arange(1, int(rate * seconds) + 1) / rate
        latencies = np.where(np.arange(len(due)) < len(due) // 2, 0.01, np.inf)
        return Sent(rate, due, 0, np.empty(0), latencies, np.full(len(due) // 2, 0.01))

    found = find_rate(LatencyBound(0.9, 0.05, 1), np.full(50, 0.01), send, 30.0, 0)
    assert found.held is None
    assert set(found.holds) == {"no"}


@pytest.mark.slow
def test_what_was_found_so_far_is_told_after_each_rate():
    server = Server(SERVICES["gamma"], 1, 0)
    found = server.search(0.05)
    assert [len(f.holds) for f in server.told] == list(range(1, len(server.asked) + 1))
    assert server.told[-1].holds == found.holds
    assert (server.told[-1].held, server.told[-1].broke) == (found.held, found.broke)


@pytest.mark.slow
def test_where_there_is_no_room_for_requests_it_ends():
    server = Server(SERVICES["gamma"], 1, 0, room=400)
    found = server.search(0.05)
    assert len(found.holds) == len(server.asked) - 1
    assert found.estimate.value > 0
    assert Server(SERVICES["gamma"], 1, 0, room=0).search(0.05).holds == ()


@pytest.mark.slow
def test_a_model_of_microseconds_sends_no_more_than_the_table_holds():
    server = Server(lambda rng, n: rng.gamma(4, 2.5e-6, n), 1, 0)
    found = server.search(5e-5)
    assert all(rate * seconds <= MOST_REQUESTS * 1.0001 for rate, seconds in server.asked)
    assert len(server.asked) <= MOST_LOOKS
    assert found.held is not None


@pytest.mark.slow
@settings(max_examples=3)
@given(st.lists(st.booleans(), min_size=MOST_LOOKS, max_size=MOST_LOOKS), st.floats(1e-3, 10.0), st.floats(0.5, 0.999))
def test_it_ends_whatever_the_answers(slow, service_s, quantile):
    """Also where answers contradict the model and each other. No rate at or above one that broke is held."""
    answers, asked = iter(slow), []

    def send(rate, seconds):
        assert 0 < rate < math.inf
        assert 0 < seconds <= 30.0
        asked.append(rate)
        count = max(1, int(rate * seconds))
        latency = 100 * service_s if next(answers) else service_s
        return Sent(rate, np.arange(count) / rate, 0, np.empty(0), np.full(count, latency), np.full(count, service_s))

    found = find_rate(LatencyBound(quantile, 3 * service_s, 1), np.full(20, service_s), send, 30.0, 0)
    assert isinstance(found, Found)
    assert len(found.holds) == len(asked) <= MOST_LOOKS
    broke = [rate for rate, holds in zip(asked, found.holds, strict=True) if holds == "no"]
    assert found.held is None or all(found.held < rate for rate in broke)
