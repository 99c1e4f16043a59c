"""Quantiles from bins: beside the exact ones by no more than half a bin, however many there are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.stats.log_histogram import BIN_WIDTH, LogHistogram


@given(st.lists(st.integers(0, 2**44 - 1), min_size=1, max_size=60), st.floats(0.01, 1.0))
def test_a_quantile_lies_within_half_a_bin(durations, quantile):
    histogram = LogHistogram()
    for part in np.array_split(np.array(durations), 3):
        histogram.add(part)
    exact = np.quantile(durations, quantile, method="inverted_cdf")
    assert abs(histogram.quantile_ns(quantile) - exact) <= BIN_WIDTH / 2 * exact
    assert len(histogram) == len(durations)


def test_small_values_are_exact():
    histogram = LogHistogram()
    histogram.add(np.arange(1000))
    assert histogram.quantile_ns(0.5) == 499


def test_what_is_longer_than_the_last_bin_is_counted_in_it():
    histogram = LogHistogram()
    histogram.add(np.array([2**60]))
    assert histogram.quantile_ns(0.5) == pytest.approx(2**44, rel=BIN_WIDTH)


def test_an_empty_one_has_no_quantile():
    histogram = LogHistogram()
    histogram.add(np.array([5]))
    histogram.clear()
    with pytest.raises(ValueError, match="at least one"):
        histogram.quantile_ns(0.5)
