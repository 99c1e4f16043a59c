"""Slopes of readings that are alike: no drift is claimed where there is none, and a known one lies in its interval."""

import numpy as np
import pytest
from scipy.signal import lfilter

from seatrial.stats.slope import LEAST_READINGS, UNSEEN, slope_of

N = 108
T = np.arange(N) / N


def autoregressive(rng, rho, n=N):
    return lfilter([1], [1, -rho], rng.normal(size=n + 200))[200:]


def two_modes(rng):
    return (rng.integers(2) + np.cumsum(rng.uniform(size=N) < 0.05)) % 2 + 0.1 * rng.normal(size=N)


DRIFTLESS = {
    "independent": lambda rng: rng.normal(size=N),
    **{
        f"autocorrelated {rho}": lambda rng, rho=rho: autoregressive(rng, rho)
        for rho in (0.3, 0.6, 0.8, 0.9, 0.95, 0.98)
    },
    "random walk": lambda rng: rng.normal(size=N).cumsum(),
    "sawtooth": lambda rng: (np.arange(N) / rng.uniform(5, N / 4) + rng.uniform()) % 1 + 0.01 * rng.normal(size=N),
    "one step": lambda rng: (rng.uniform() < T) + 0.001 * rng.normal(size=N),
    "one step in noise of its size": lambda rng: (rng.uniform() < T) + rng.normal(size=N),
    "one step half-way in noise of its size": lambda rng: (T > 0.5) + rng.normal(size=N),
    "heavy tails": lambda rng: rng.standard_t(2, size=N),
    "three waves": lambda rng: np.sin(2 * np.pi * (3 * T + rng.uniform())) + 0.3 * rng.normal(size=N),
    "two modes": two_modes,
    "spikes": lambda rng: (rng.uniform(size=N) < 0.03) * 10 + rng.normal(size=N),
}
# One hour from the first reading to about the last: the slope is 1.
DRIFTING = {
    "line in noise": lambda rng: T + 0.1 * autoregressive(rng, 0.6),
    "leak a request": lambda rng: rng.gamma(4, 1 / 4, size=N).cumsum() / N,
    "leak in small steps": lambda rng: rng.poisson(0.3, size=N).cumsum() / (0.3 * N),
    "leak in a few steps": lambda rng: rng.poisson(0.05, size=N).cumsum() / (0.05 * N),
    "leak in unlike steps": lambda rng: (rng.poisson(0.5, size=N) * rng.exponential(size=N)).cumsum() / (0.5 * N),
    "leak that begins half-way": lambda rng: np.maximum(0, 2 * T - 1) + 0.01 * rng.normal(size=N),
}


def missed(make, truth, tries):
    """The share of series whose interval does not hold the truth."""
    rng = np.random.default_rng(20261130)
    slopes = [slope_of(T, make(rng)) for _ in range(tries)]
    return np.mean([not s.low <= truth <= s.high for s in slopes])


@pytest.mark.parametrize("name", DRIFTLESS)
def test_no_drift_is_claimed_where_there_is_none(name):
    # 150 tries of 5 %: 7.5 expected, 13 or more in 4 % of the seeds; this one is fixed.
    assert missed(DRIFTLESS[name], 0.0, 150) <= 0.08


@pytest.mark.slow
@pytest.mark.parametrize("name", DRIFTLESS)
def test_no_drift_is_claimed_in_95_of_100_series_without_one(name):
    # Three standard errors of 5 % in 1,500.
    assert missed(DRIFTLESS[name], 0.0, 1500) <= 0.05 + 0.017


@pytest.mark.slow
@pytest.mark.parametrize("name", DRIFTING)
def test_a_known_slope_lies_in_its_interval(name):
    assert missed(DRIFTING[name], 1.0, 1000) <= 0.05 + 0.021


@pytest.mark.slow
def test_the_known_limit_is_no_worse_than_said():
    """A slow wave of the size of the noise: nobody can tell it from a drift."""
    for share, rho in ((0.3, 0.95), (0.2, 0.98), (0.3, 0.99)):
        make = lambda rng, share=share, rho=rho: share * autoregressive(rng, rho) + rng.normal(size=N)  # noqa: E731
        assert missed(make, 0.0, 1000) <= 0.1
    assert missed(lambda rng: 0.3 * rng.normal(size=N).cumsum() + rng.normal(size=N), 0.0, 1000) <= 0.12


@pytest.mark.parametrize("name", ["line in noise", "leak a request", "leak in small steps"])
def test_a_drift_is_found(name):
    rng = np.random.default_rng(4)
    slopes = [slope_of(T, DRIFTING[name](rng)) for _ in range(40)]
    assert np.mean([s.moves for s in slopes]) > 0.7


def test_what_never_moved_is_known_to_what_could_have_hidden():
    still = slope_of(T, np.full(N, 5.0), resolution=0.1)
    assert (still.by_range, still.moves) == (True, False)
    assert still.value == pytest.approx(0, abs=1e-9)
    assert still.high == pytest.approx(UNSEEN * 0.1 / T[-1])
    # Less than the figure's own step is no movement either.
    assert slope_of(T, 5.0 + 0.05 * T, resolution=0.1).by_range


def test_one_step_is_no_drift_and_bounds_one():
    stepped = slope_of(T, (T > 0.4) * 2.0)
    assert stepped.by_range
    assert not stepped.moves
    assert stepped.high > 5 * 2.0


def test_a_leak_at_a_speed_that_changes_is_one_all_the_same():
    """Memory that grew in every window, at twice the speed in the later third: no line, and no range that holds zero."""
    rng = np.random.default_rng(3)
    grown = (np.where(T > 0.66, 2.0, 1.0) * (1 + 0.05 * rng.normal(size=N))).cumsum() / N
    slope = slope_of(T, grown)
    assert slope.moves
    assert 0.9 < slope.low < 1.1
    assert 1.9 < slope.high < 2.3


def test_what_began_in_the_last_readings_lies_in_the_interval():
    rng = np.random.default_rng(3)
    late = slope_of(T, np.where(T > 0.97, 5.0, 0.0) + 0.1 * rng.normal(size=N))
    assert late.high > 4.8


def test_too_few_readings_have_no_interval():
    short = slope_of(T[: LEAST_READINGS - 1], T[: LEAST_READINGS - 1])
    assert (short.low, short.high, short.moves) == (None, None, False)


def test_an_interval_is_never_narrower_than_the_resolution():
    line = slope_of(T, 3 * T, resolution=0.2)
    assert line.high - line.low >= 2 * 0.2 / T[-1] - 1e-9
    assert line.low <= 3 <= line.high
    assert line.moves


@pytest.mark.parametrize(("times", "values"), [([], []), ([1.0], [1.0, 2.0]), ([[1.0]], [[1.0]])])
def test_what_is_no_series_is_refused(times, values):
    with pytest.raises(ValueError, match="as many times as values"):
        slope_of(times, values)
