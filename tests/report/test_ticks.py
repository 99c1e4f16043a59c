"""Scales: two round ticks or more on every axis, inside it, told apart by their labels, whatever the range."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.report.ticks import in_figures, in_seconds, limits, round_ticks

# From a nanosecond to a day; alike to the last digit, or many orders apart.
seconds = st.floats(1e-9, 1e5)
apart = st.floats(1.0, 1e12)


@given(seconds, apart, st.sampled_from([2, 3, 4]), st.booleans())
def test_every_range_has_ticks_inside_it_that_are_told_apart(low, ratio, least, log):
    ends = limits([low, low * ratio], log)
    ticks = round_ticks(*ends, least, log)
    # Four decades less their ends, as 2, 5, 10 and so on.
    assert least <= len(ticks) <= 11
    assert ticks == sorted(set(ticks))
    slack = 1e-9 * ends[1]
    assert all(ends[0] - slack <= t <= ends[1] + slack for t in ticks)
    for label in (in_seconds, in_figures):
        assert len(set(label(ticks))) == len(ticks)


@given(st.floats(-1e6, 1e6), st.floats(0, 1e6))
def test_a_change_has_a_scale_on_both_sides_of_zero(low, span):
    ends = limits([low, low + span, 0.0])
    labels = in_figures(round_ticks(*ends, 4))
    assert ends[0] < 0 < ends[1]
    assert "0" in labels
    assert len(set(labels)) == len(labels) >= 4


@pytest.mark.parametrize(
    ("low", "high", "least", "labels"),
    [
        (0.0244, 0.0289, 4, "24 ms, 25 ms, 26 ms, 27 ms, 28 ms, 29 ms"),
        (0.424, 0.859, 4, "500 ms, 600 ms, 700 ms, 800 ms"),
        (0.0008, 0.0031, 3, "1 ms, 2 ms, 3 ms"),
        (0.00095, 0.00105, 2, "0.95 ms, 1 ms, 1.05 ms"),
        (0.0007, 0.07, 4, "1 ms, 2 ms, 5 ms, 10 ms, 20 ms, 50 ms"),
        (1e-6, 1.0, 4, "1 µs, 10 µs, 100 µs, 1 ms, 10 ms, 100 ms, 1 s"),
        (1e-9, 10.0, 4, "1 ns, 1 µs, 1 ms, 1 s"),
        (3000.0, 3000.0, 2, "2950 s, 3000 s, 3050 s"),
    ],
)
def test_labels(low, high, least, labels):
    assert ", ".join(in_seconds(round_ticks(*limits([low, high], log=True), least, log=True))) == labels


def test_what_is_not_finite_has_no_part_in_a_scale():
    assert limits([1.0, float("inf"), float("nan"), 2.0]) == limits([1.0, 2.0])
    assert limits([0.0, -1.0, 3.0], log=True) == limits([3.0], log=True)
    assert limits([]) == limits([0.5, 1.0])
