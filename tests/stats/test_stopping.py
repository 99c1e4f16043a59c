"""Rules that say "enough": warm-up windows, the centre's sequential looks, the tail's order-statistic bound."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import betainc, stdtrit

from seatrial.stats.stopping import CentreRule, tail_samples_needed, windows_agree


def steady(rng, n=40, cv=0.02):
    return 10 * np.exp(cv * rng.normal(size=n))


def ar1(rng, n, rho):
    x = np.empty(n)
    x[0] = rng.normal()
    noise = rng.normal(size=n) * np.sqrt(1 - rho**2)
    for i in range(1, n):
        x[i] = rho * x[i - 1] + noise[i]
    return x


def agrees(x):
    return windows_agree(x[:20], x[20:])


@pytest.mark.parametrize(("cv", "share"), [(0.0, 1.0), (0.02, 0.95), (0.05, 0.9)])
def test_steady_windows_agree(cv, share):
    rng = np.random.default_rng(1)
    assert np.mean([agrees(steady(rng, cv=cv)) for _ in range(500)]) >= share


@pytest.mark.parametrize("fall", [5, 10, 20])
def test_a_falling_latency_is_still_warming_up(fall):
    rng = np.random.default_rng(2)
    trend = 1 + np.exp(-np.arange(40) / fall)
    assert not any(agrees(steady(rng) * trend) for _ in range(200))


@given(st.integers(0, 50), st.integers(1, 1000), st.randoms(use_true_random=False))
def test_a_coarse_clock_does_not_keep_the_warm_up_going(ticks, tick, random):
    """Readings of two neighbouring ticks, each half the time: quartiles jump by a tick, and so by up to 100 %."""
    x = np.array([(ticks + 5 + random.choice([0, 1])) * tick for _ in range(40)], float)
    assert agrees(x)


CALM = 10 + np.linspace(-0.1, 0.1, 20)
SKEWED = np.repeat([6.0, 10.0, 10.1], [6, 8, 6])


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param([11.1, *CALM[1:]], CALM, id="the first value"),
        pytest.param([*CALM[:-1], 40], CALM, id="the mean"),
        pytest.param([*CALM[:13], *CALM[13:] * 0.92], CALM, id="the first quartile"),
        pytest.param([*CALM[:13], *CALM[13:] * 1.08], CALM, id="the third quartile"),
        pytest.param(np.repeat([9.5, 10.5, 10.6], [9, 2, 9]), np.repeat([9.5, 9.6, 10.6], [9, 2, 9]), id="the median"),
        pytest.param(np.repeat([6.0, 8.5, 10.0, 10.1, 14.0], [6, 3, 2, 5, 4]), SKEWED, id="the MAD"),
    ],
)
def test_one_thing_unlike_the_next_window_is_enough_to_go_on(first, second):
    assert windows_agree(second, second)
    assert not windows_agree(first, second)


def test_windows_hold_something():
    with pytest.raises(ValueError, match="two windows"):
        windows_agree([], [1.0])


def run(rule, stream):
    """The sample count and the answer at which the rule stops, or where the stream ends."""
    look = None
    while rule.next_look <= len(stream):
        n = rule.next_look
        look = rule.look(stream[:n])
        assert rule.next_look > n
        if look.enough:
            return n, look
    return len(stream), look


@pytest.mark.parametrize("rho", [0.0, 0.6, 0.9])
def test_where_it_stops_the_centre_is_known_to_the_target(rho):
    rng = np.random.default_rng(4)
    wrong, counts = 0, []
    runs = 60
    for _ in range(runs):
        stream = 10 + 0.5 * ar1(rng, 20_000, rho)
        n, look = run(CentreRule(), stream)
        assert look.enough
        assert look.relative_half_width <= 0.01
        assert look.blocks >= 10
        wrong += abs(stream[:n].mean() / 10 - 1) > look.relative_half_width
        counts.append(n)
    assert wrong / runs <= 0.05
    # Samples that repeat each other are waited for: (1 + rho) / (1 - rho) times as many, here within a factor of two.
    needed = (1.96 * 0.05 / 0.01) ** 2 * (1 + rho) / (1 - rho)
    assert needed < np.mean(counts) < 8 * needed


def test_a_constant_stream_is_enough_at_the_first_look():
    n, look = run(CentreRule(), np.full(500, 3.0))
    assert (n, look.relative_half_width, look.blocks) == (50, 0, 10)


def test_looks_come_at_geometric_counts_and_others_are_not_counted():
    rng = np.random.default_rng(5)
    stream = rng.exponential(size=2000)
    rule, asked = CentreRule(target=1e-6), CentreRule(target=1e-6)
    counts = []
    for n in range(1, 600):
        if n == rule.next_look:
            counts.append(n)
            expected = rule.look(stream[:n])
        given_ = asked.look(stream[:n])
        if counts:
            assert given_ == expected
    assert counts == [50, 75, 113, 170, 255, 383, 575]


def test_each_look_spends_its_share_of_alpha():
    x = 10 + np.random.default_rng(6).normal(size=500)
    once, again = CentreRule(first_look=500), CentreRule(first_look=100)
    again.look(x[:100])
    first, second = once.look(x), again.look(x)
    at = [-stdtrit(first.blocks - 1, 0.05 / 2 / share) for share in (2, 6)]
    assert second.blocks == first.blocks
    assert second.relative_half_width / first.relative_half_width == pytest.approx(at[1] / at[0])


def test_memory_longer_than_the_sample_is_never_enough():
    look = CentreRule().look(np.linspace(10, 10.1, 60))
    assert (look.enough, look.relative_half_width, look.blocks) == (False, math.inf, 0)


@pytest.mark.parametrize("bad", [{"target": 0}, {"target": math.nan}, {"alpha": 1}, {"first_look": 0}])
def test_a_rule_that_means_nothing_is_refused(bad):
    with pytest.raises(ValueError, match="expected a target above 0"):
        CentreRule(**bad)


@pytest.mark.parametrize(("quantile", "n"), [(0.9, 44), (0.95, 90), (0.99, 459), (0.999, 4603)])
def test_the_fewest_samples_for_a_tail(quantile, n):
    assert tail_samples_needed(quantile, 0.99) == n


@given(st.sampled_from([0.5, 0.9, 0.95, 0.99]), st.sampled_from([0.9, 0.95, 0.99]), st.integers(0, 40))
def test_the_bound_is_the_incomplete_beta_function(quantile, confidence, above):
    n = tail_samples_needed(quantile, confidence, above)
    assert betainc(n - above, above + 1, quantile) <= 1 - confidence + 1e-12
    if n - 1 > above:
        assert betainc(n - 1 - above, above + 1, quantile) > 1 - confidence


@pytest.mark.parametrize("above", [0, 3])
def test_the_bound_holds_as_often_as_it_says(above):
    rng = np.random.default_rng(7)
    n = tail_samples_needed(0.95, 0.9, above)
    # The (above + 1)-th largest of n uniform numbers is above 0.95 nine times in ten, and hardly more often.
    bound = np.sort(rng.random((20_000, n)), axis=1)[:, n - 1 - above]
    assert np.mean(bound >= 0.95) == pytest.approx(0.9, abs=0.02)


@pytest.mark.parametrize("bad", [(1, 0.95, 0), (0.9, 1, 0), (0.9, 0.95, -1)])
def test_a_tail_that_means_nothing_is_refused(bad):
    with pytest.raises(ValueError, match="between 0 and 1"):
        tail_samples_needed(*bad)
