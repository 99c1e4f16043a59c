"""Two figures from separate processes: against the normal distribution, and against pairs that were made up."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from seatrial.stats.separate import (
    PROCESS_SPREAD,
    SEPARATE_PROCESS_SD,
    log_half_width,
    separate_effect,
    separate_noise_floor,
)

ABOVE_ZERO = st.floats(1e-6, 1e3)


@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.99])
@pytest.mark.parametrize("ratio", [1.0, 1.02, 1.4, 0.5])
def test_without_intervals_it_is_what_launches_differ_by(confidence, ratio):
    e = separate_effect(2.0, 2.0 * ratio, [None, None], confidence)
    low, high = norm.interval(confidence, math.log(ratio), SEPARATE_PROCESS_SD)
    assert (e.effect, e.low, e.high) == pytest.approx((math.log(ratio), low, high), abs=1e-12)
    assert e.p_value == pytest.approx(2 * norm.sf(abs(math.log(ratio)) / SEPARATE_PROCESS_SD))
    assert (e.pairs, e.sd, e.slowdown) == (1, SEPARATE_PROCESS_SD, pytest.approx(ratio - 1))
    assert separate_noise_floor(confidence) == pytest.approx(math.exp(high - math.log(ratio)) - 1)


@given(ABOVE_ZERO, ABOVE_ZERO, st.floats(0, 0.5), st.floats(0, 0.5))
def test_what_each_run_knew_of_its_own_figure_widens_it_and_sides_swap(a, b, own_a, own_b):
    ends = [(v * math.exp(-own), v * math.exp(own)) for v, own in ((a, own_a), (b, own_b))]
    there, back = separate_effect(a, b, ends, 0.95), separate_effect(b, a, ends[::-1], 0.95)
    z = norm.ppf(0.975)
    assert there.sd == pytest.approx(math.hypot(SEPARATE_PROCESS_SD, own_a / z, own_b / z))
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low), abs=1e-12)
    assert there.p_value == pytest.approx(back.p_value)


def test_the_same_twice_is_called_different_as_often_as_is_said():
    rng = np.random.default_rng(2)
    launches = np.exp(rng.normal(scale=SEPARATE_PROCESS_SD / math.sqrt(2), size=(4000, 2)))
    p = [separate_effect(a, b, [None, None], 0.95).p_value for a, b in launches]
    assert np.mean(np.array(p) <= 0.05) == pytest.approx(0.05, abs=0.012)
    # Each alone lies within the spread of one process.
    assert np.mean(np.abs(np.log(launches)) <= math.log(PROCESS_SPREAD)) == pytest.approx(0.95, abs=0.01)


def test_half_of_an_interval_in_logs():
    assert log_half_width((0.5, 2.0)) == pytest.approx(math.log(2))
    assert log_half_width((3.0, 3.0)) == 0
