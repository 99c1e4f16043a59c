"""Share of the clients' time that requests take, and how well it is known."""

import numpy as np
import pytest
from scipy.stats import t

from seatrial.stats.utilisation import utilisation


@pytest.mark.parametrize(
    ("service_s", "rate", "clients", "expected"),
    [
        ([], 10.0, 1, (0.0, np.inf)),
        ([0.05] * 9, 10.0, 1, (0.0, np.inf)),
        ([0.05] * 10, 10.0, 1, (0.5, 0.5)),
        ([0.05] * 50, 10.0, 2, (0.25, 0.25)),
        ([0.05] * 50, 40.0, 2, (1.0, 1.0)),
    ],
)
def test_it_is_the_rate_times_what_a_request_takes_over_the_clients(service_s, rate, clients, expected):
    assert utilisation(np.array(service_s), rate, clients) == pytest.approx(expected)


def test_its_ends_are_the_means_own():
    service_s = np.random.default_rng(1).normal(0.05, 0.005, 400)
    half = t.ppf(0.99, 399) * service_s.std(ddof=1) / 20
    low, high = utilisation(service_s, 10.0, 1, 0.99)
    assert (low, high) == pytest.approx((10 * (service_s.mean() - half), 10 * (service_s.mean() + half)))


def test_no_mean_is_below_its_smallest_part():
    service_s = np.array([0.05] * 9 + [5.0])
    assert utilisation(service_s, 10.0, 1)[0] == pytest.approx(0.5)


def test_neighbours_that_are_alike_tell_less():
    rng = np.random.default_rng(2)
    alike = np.repeat(rng.normal(0.05, 0.005, 40), 10)
    (low, high), (other_low, other_high) = (utilisation(x, 10.0, 1) for x in (alike, rng.permutation(alike)))
    assert high - low > 2 * (other_high - other_low)


def test_a_few_requests_break_no_server():
    """Samples of ten to thirty: a lower end above the mean is as rare as it should be."""
    rng = np.random.default_rng(3)
    for count in (10, 14, 30):
        wrong = sum(utilisation(rng.gamma(4, 0.25, count), 1.0, 1, 0.99)[0] > 1 for _ in range(1000))
        assert wrong <= 10 + 3 * 10**0.5
