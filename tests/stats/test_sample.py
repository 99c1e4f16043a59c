"""Intervals keep their promise: coverage on streams whose quantiles are known, correlated ones too."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.signal import lfilter
from scipy.special import ndtr, ndtri
from scipy.stats import binom

from seatrial.stats.sample import effective_count, percentile_estimate, quantile_of, samples_needed

RUNS = 800


def iid(rng, n):
    return rng.exponential(size=n)


def heavy(rng, n):
    return rng.pareto(1.5, size=n) + 1


def bimodal(rng, n):
    return np.where(rng.random(n) < 0.7, rng.normal(1, 0.1, n), rng.normal(3, 0.2, n))


def ar1(rng, n, rho=0.6):
    noise = rng.normal(size=n) * np.sqrt(1 - rho**2)
    noise[0] /= np.sqrt(1 - rho**2)
    return lfilter([1], [1, -rho], noise)


# Each stream and its true quantile.
STREAMS = {
    "iid": (iid, lambda q: -np.log(1 - q)),
    "heavy": (heavy, lambda q: (1 - q) ** (-1 / 1.5)),
    "bimodal": (bimodal, lambda q: brentq(lambda x: 0.7 * ndtr((x - 1) / 0.1) + 0.3 * ndtr((x - 3) / 0.2) - q, -1, 6)),
} | {f"ar{rho}": (partial(ar1, rho=rho), ndtri) for rho in (0.3, 0.6, 0.8, 0.9)}


# A stream with memory and one without by default, the others where there is time.
@pytest.mark.parametrize("n", [400, pytest.param(2000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("quantile", [0.5, 0.9, 0.99])
@pytest.mark.parametrize(
    "name", [n if n in ("heavy", "ar0.6") else pytest.param(n, marks=pytest.mark.slow) for n in STREAMS]
)
def test_the_interval_covers_the_true_quantile_as_often_as_it_says(name, quantile, n):
    stream, true_quantile = STREAMS[name]
    truth = true_quantile(quantile)
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(RUNS):
        e = percentile_estimate(stream(rng, n), quantile)
        # A side that the sample cannot support promises nothing, and so cannot miss.
        covered += (e.low is None or e.low <= truth) and (e.high is None or truth <= e.high)
    assert covered / RUNS >= 0.95 - 3 * (0.05 * 0.95 / RUNS) ** 0.5


def spread_out(n):
    """1 to n in van der Corput's order, in which neighbours are never alike."""
    return 1.0 + np.argsort([int(f"{i:012b}"[::-1], 2) for i in range(n)])


@pytest.mark.parametrize("longest_run", [1, 5, 20, 60])
def test_fewer_separate_samples_move_both_ends_alike(longest_run):
    e = percentile_estimate(spread_out(399), 0.5, longest_run=longest_run)
    assert e.n_eff == 399
    assert e.low + e.high == 400


def test_of_independent_samples_the_ends_are_those_of_order_statistics():
    """The number of samples below the true quantile is binomial (David and Nagaraja, 2003, section 7.1)."""
    x = spread_out(400)
    for quantile in (0.3, 0.5, 0.9, 0.95):
        e = percentile_estimate(x, quantile, longest_run=1)
        below = binom(400, quantile)
        assert below.cdf(e.low - 1) <= 0.025 < below.cdf(e.low), quantile
        assert below.sf(e.high - 1) <= 0.025 < below.sf(e.high - 2), quantile


@pytest.mark.parametrize(
    ("quantile", "confidence", "n"),
    [(0.9, 0.99, 44), (0.95, 0.99, 90), (0.99, 0.99, 459), (0.999, 0.99, 4603), (0.99, 0.95, 299)],
)
def test_the_fewest_samples_for_a_tail(quantile, confidence, n):
    assert samples_needed(quantile, confidence) == n
    assert 1 - quantile**n >= confidence > 1 - quantile ** (n - 1)


@pytest.mark.parametrize(
    ("quantile", "longest_run", "needed"),
    [(0.99, 1, 368), (0.99, 20, 7268), (0.9, 20, 631), (0.5, 20, 54), (0.5, 1, 6)],
)
def test_too_few_samples_have_no_upper_bound_and_say_how_many_are_missing(quantile, longest_run, needed):
    x = np.random.default_rng(3).random(needed)
    assert percentile_estimate(x, quantile, longest_run=longest_run).high == x.max()
    e = percentile_estimate(x[:-1], quantile, longest_run=longest_run)
    assert e.high is None
    name = f"p{quantile * 100:g}"
    assert e.needed == needed
    assert e.warnings[-1].code == "no-upper-bound"
    assert str(e.warnings[-1]) == f"{name} {e.unbounded}"
    assert str(e.warnings[-1]) == (
        f"{name} has no upper bound at 95 %: it needs {needed:,} requests, 1 more than these {needed - 1:,}"
    )


@pytest.mark.parametrize("rho", [0.3, 0.6, 0.9])
def test_correlated_samples_count_for_less(rho):
    rng = np.random.default_rng(3)
    # The indicator of a Gaussian AR(1) at its median has correlation (2 / pi) asin(rho^k).
    expected = 1 / (1 + 2 * sum(2 / np.pi * np.arcsin(rho**k) for k in range(1, 400)))
    shares = [effective_count(ar1(rng, 2000, rho)) / 2000 for _ in range(20)]
    assert np.mean(shares) == pytest.approx(expected, rel=0.25)


def test_independent_constant_and_tiny_samples_count_in_full():
    rng = np.random.default_rng(4)
    for quantile in (0.5, 0.9, 0.99):
        assert np.mean([effective_count(rng.random(1000), quantile) for _ in range(100)]) > 900
    assert effective_count(np.ones(50)) == 50
    assert effective_count([1.0, 2.0]) == 2


def test_a_tail_too_short_to_show_its_clusters_borrows_from_a_longer_one():
    rng = np.random.default_rng(7)
    # Four samples above p99 would nearly always look independent; the true share is 0.17.
    assert np.mean([effective_count(ar1(rng, 400, 0.9), 0.99) for _ in range(50)]) / 400 < 0.26
    # Nothing is borrowed where twenty are above.
    slow = np.repeat(rng.normal(size=100), 40) + 5 * (rng.random(4000) < 0.02)
    assert effective_count(slow, 0.5) < 400
    assert effective_count(slow, 0.99) > 10 * effective_count(slow, 0.5)


@given(st.lists(st.floats(1e-9, 1e3), min_size=1, max_size=200), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_the_estimate_is_a_sample_inside_its_interval(values, quantile):
    e = percentile_estimate(values, quantile)
    assert e.value in values
    assert e.low is None or e.low <= e.value
    assert e.high is None or e.high >= e.value
    assert sum(v <= e.value for v in values) >= quantile * len(values) - 1e-6


@pytest.mark.parametrize("bad", [0, 1, -0.1, 2])
def test_quantiles_outside_the_open_unit_interval_are_refused(bad):
    with pytest.raises(ValueError, match="between 0 and 1"):
        percentile_estimate([1.0], bad)


def test_an_empty_sample_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        percentile_estimate([], 0.5)


@pytest.mark.parametrize(
    ("name", "quantile"), [("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p99.9", 0.999)]
)
def test_a_percentiles_name_is_its_quantile(name, quantile):
    assert quantile_of(name) == pytest.approx(quantile, abs=1e-15)
