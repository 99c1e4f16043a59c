"""What values of unlike kinds vary by within a kind, and when there is enough of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.stats.stopping import StoppingRule
from seatrial.stats.strata import LEAST_A_KIND, without_kinds


def images(rng, rounds, costs):
    """Every image once a round in a new order, as the loop sends them; and each request's image."""
    kinds = np.concatenate([rng.permutation(len(costs)) for _ in range(rounds)])
    return costs[kinds] * np.exp(0.02 * rng.standard_normal(len(kinds))), kinds


@given(st.integers(0, 1 << 30), st.integers(2, 20), st.integers(LEAST_A_KIND, 12))
def test_kinds_that_differ_leave_what_each_varies_by(seed, count, rounds):
    rng = np.random.default_rng(seed)
    x, kinds = images(rng, rounds, rng.uniform(1, 50, count))
    left = without_kinds(x, kinds)
    assert np.median(left) == pytest.approx(np.median(x), rel=0.05)
    assert np.std(np.log(left)) == pytest.approx(0.02, rel=0.8)
    # Only which values are of one kind counts, not what the kind is called.
    np.testing.assert_allclose(without_kinds(x, 1000 - kinds), left)


def test_the_spread_within_kinds_is_not_made_smaller():
    """A median of four values follows them: what is left of them looks too narrow by a seventh."""
    rng = np.random.default_rng(0)
    spreads = [np.std(np.log(without_kinds(*images(rng, 4, rng.uniform(1, 50, 16))))) for _ in range(200)]
    assert np.mean(spreads) >= 0.0195


@pytest.mark.parametrize(
    ("x", "kinds"),
    [
        ([1.0, 2.0, 3.0], [0, 0, 0]),  # one kind
        ([1.0, 2.0, 3.0, 4.0], [0, 1, 0, 1]),  # too few of each
        ([0.0] * 8, [0, 1] * 4),  # no ratio
        ([], []),
    ],
)
def test_what_cannot_be_told_apart_stays_as_it_is(x, kinds):
    np.testing.assert_array_equal(without_kinds(x, np.array(kinds, np.int64)), x)


def test_images_of_unlike_sizes_converge_by_what_each_varies_by():
    rng = np.random.default_rng(1)
    x, kinds = images(rng, 20, np.linspace(5, 60, 16))
    samples = np.stack([np.zeros(len(x)), x], axis=1)
    plain, stratified = StoppingRule("median", longest_run=1), StoppingRule("median", longest_run=1)
    assert not plain.look(samples).enough
    look = stratified.look(samples, kinds)
    assert look.enough
    assert look.known_to < 0.01
    assert look.centre == pytest.approx(np.median(x), rel=1e-3)


@pytest.mark.slow
def test_the_stratified_interval_covers_the_median_of_these_images():
    costs = np.linspace(5, 60, 15)
    inside = 0
    for seed in range(400):
        x, kinds = images(np.random.default_rng(seed), 8, costs)
        look = StoppingRule("median", longest_run=1, alpha=0.1).look(np.stack([x, x], axis=1), kinds)
        inside += abs(look.centre - costs[7]) <= look.half_width
    # The first look spends half of its 10 %; three standard deviations of luck.
    assert inside >= 400 * 0.95 - 3 * (400 * 0.05 * 0.95) ** 0.5
