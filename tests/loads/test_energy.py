"""Energy a request from a counter that moves every tenth of a second, over a virtual clock: the known joules lie in the interval."""

import numpy as np
import pytest

from seatrial.loads.energy import LEAST_SPANS, Span, energy_of, power_of

S = 1_000_000_000


def counter(watts, *, seconds, every_s=0.05, period_s=0.1, phase_s=0.013, base_mj=5000):
    """Readings of a counter: times and millijoules. watts: at a time, as a function of seconds."""
    t = np.arange(0, seconds, every_s) + phase_s
    moves = np.arange(0, seconds + period_s, period_s)
    energy = np.concatenate([[0], np.cumsum([watts(m) * period_s * 1e3 for m in moves[:-1]])])
    seen = energy[np.searchsorted(moves, t, side="right") - 1]
    return (t * S).astype(np.int64), (base_mj + np.floor(seen)).astype(np.int64)


def load(idle_w=60.0, busy_w=250.0, idle_s=10, load_s=60):
    return lambda t: idle_w if t < idle_s else busy_w


def spans(begin_s, end_s, window_s, per_s):
    edges = np.arange(begin_s, end_s, window_s)
    return [Span(int(a * S), int((a + window_s) * S), round(per_s * window_s)) for a in edges]


@pytest.mark.parametrize("period_s", [0.02, 0.1])
@pytest.mark.parametrize("every_s", [0.005, 0.05, 0.073])
def test_the_known_joules_lie_in_the_interval(period_s, every_s):
    t, c = counter(load(), seconds=71, every_s=every_s, period_s=period_s)
    found = energy_of(t, c, spans(10.5, 70, 0.5, per_s=100), (int(0.3 * S), int(9.8 * S)))
    low, high = found.gross_interval_j
    assert low <= 2.5 <= high
    assert found.gross_j == pytest.approx(2.5, rel=0.03)
    low, high = found.net_interval_j
    assert low <= 1.9 <= high
    assert found.idle_watts == pytest.approx(60, rel=0.03)
    assert found.missing == ""
    # Not so wide that it would say nothing.
    assert found.gross_interval_j[1] - found.gross_interval_j[0] < 0.3


def test_noisy_power_is_covered():
    """Of 200 noisy loads nineteen of twenty intervals and more hold the energy that was asked for."""
    rng = np.random.default_rng(3)
    missed = 0
    for _ in range(200):
        watts = 250 + 40 * rng.normal(size=800)
        t, c = counter(lambda s, w=watts: w[int(s * 10)], seconds=40, every_s=0.05)
        found = energy_of(t, c, spans(0, 39, 3, per_s=100), None)
        low, high = found.gross_interval_j
        missed += not low <= 2.5 <= high
    assert missed <= 10


def test_the_bounds_of_a_span_hold_the_true_power_whatever_the_phase():
    for phase in np.linspace(0.001, 0.099, 15):
        t, c = counter(lambda _: 123.4, seconds=10, every_s=0.061, phase_s=phase)
        p = power_of(t, c, 1 * S, 6 * S)
        assert p.low <= 123.4 <= p.high


def test_a_counter_that_fell_is_left_out_and_said():
    t, c = counter(load(), seconds=71)
    c[t > 40 * S] -= c[t > 40 * S].min()
    found = energy_of(t, c, spans(10.5, 70, 3, per_s=100), None)
    assert found.gross_j == pytest.approx(2.5, rel=0.05)
    assert "1 window left out: the counter fell or hardly moved" in found.missing
    assert "net of idle is not told" in found.missing
    assert found.net_j is None


@pytest.mark.parametrize(
    ("period_s", "load_s"),
    [
        (3.0, 60),  # too slow a counter for windows of three seconds
        (0.1, 8),  # too short a load
    ],
)
def test_too_little_gives_no_figure_and_says_why(period_s, load_s):
    t, c = counter(load(), seconds=71, period_s=period_s)
    found = energy_of(t, c, spans(11, 11 + load_s, 3, per_s=100), None)
    assert found.gross_j is None
    assert f"{LEAST_SPANS} are needed" in found.missing


def test_a_counter_that_stands_still_gives_none():
    t, c = counter(lambda _: 0.0, seconds=60)
    assert energy_of(t, c, spans(1, 59, 3, per_s=10), None).gross_j is None
