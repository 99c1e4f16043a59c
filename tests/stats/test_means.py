"""Means and rates with Student's interval: against SciPy, and how often they hold what they say."""

import numpy as np
import pytest
from scipy import stats
from scipy.signal import lfilter

from seatrial.stats.means import independent_block_means, mean_interval, rate_per_s, student_half_width


def stream(kind, n=1003):
    rng = np.random.default_rng(20)
    noise = rng.normal(size=6000)
    spikes = rng.random(6000) < 0.02
    kinds = {"steady": 1 + 0.05 * noise, "spikes": 1 + 0.05 * noise + 9 * spikes, "wild": rng.exponential(size=6000)}
    return (1e6 * kinds[kind]).astype(np.int64)[:n]


@pytest.mark.parametrize("count", [2, 10, 40])
@pytest.mark.parametrize("error", [0.025, 0.05 / 12])
def test_the_half_width_is_scipys(count, error):
    x = np.random.default_rng(1).normal(5, 2, count)
    low, high = stats.t.interval(1 - 2 * error, count - 1, loc=x.mean(), scale=stats.sem(x))
    assert student_half_width(x, error) == pytest.approx((high - low) / 2)


# To the last bit: these stand in records.
@pytest.mark.parametrize(
    ("kind", "interval"),
    [
        ("steady", (0.0009904939620938378, 0.001000780895333879)),
        ("spikes", (0.0010576788743936534, 0.0012207345672813218)),
    ],
)
def test_a_means_interval_is_as_it_was_in_records_before(kind, interval):
    assert mean_interval(stream(kind) / 1e9) == interval


@pytest.mark.parametrize(
    ("kind", "rate", "interval"),
    [
        ("steady", 1004.3413048430069, (999.1478837861142, 1009.5347258998996)),
        ("spikes", 877.7729649817691, (816.4054433820709, 939.1404865814673)),
    ],
)
def test_a_rate_is_as_it_was_in_records_before(kind, rate, interval):
    took_ns = stream(kind)
    starts_ns = np.cumsum(took_ns / 1e9 * 1e9).astype(np.int64)
    assert rate_per_s(int(starts_ns[0]), np.sort(starts_ns + took_ns)) == (rate, interval)


@pytest.mark.parametrize(("count", "known"), [(2, False), (19, False), (20, True)])
def test_two_a_block_are_the_fewest(count, known):
    x = stream("wild", count)
    assert (mean_interval(x) is not None) == known
    rate, interval = rate_per_s(0, np.cumsum(x))
    assert rate == pytest.approx(count / (x.sum() / 1e9))
    assert (interval is not None) == known


def test_a_constant_stream_is_known():
    assert mean_interval(np.full(50, 3.0)) == (3.0, 3.0)
    rate, interval = rate_per_s(0, np.arange(1, 101) * 1_000_000)
    assert (rate, interval) == (pytest.approx(1000), pytest.approx((1000, 1000)))


def test_no_rate_is_below_zero():
    """All but the first two of twenty wait for one stall."""
    rate, interval = rate_per_s(0, np.concatenate([[1, 2], 10**9 + np.arange(18)]))
    assert interval is not None
    assert (interval[0], rate) == (0.0, pytest.approx(20))


@pytest.mark.parametrize("rho", [0.0, 0.6])
def test_a_mean_lies_in_its_interval_as_often_as_it_says(rho):
    rng = np.random.default_rng(3)
    runs, n = 2000, 500
    noise = lfilter([np.sqrt(1 - rho**2)], [1, -rho], rng.normal(size=(runs, n + 50)), axis=1)[:, 50:]
    inside = [low <= 10 <= high for low, high in (mean_interval(10 + x) for x in noise)]
    assert np.mean(inside) >= 0.94


def test_blocks_are_as_long_as_neighbours_are_alike():
    independent = np.random.default_rng(4).normal(size=1000)
    alike = lfilter([1], [1, -0.9], independent)
    assert len(independent_block_means(independent)) == 200
    assert 1 < len(independent_block_means(alike)) < 40
    assert independent_block_means(np.arange(12.0) % 2).tolist() == [0.4, 0.6]
