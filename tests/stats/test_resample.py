"""Bounds of figures made from images: how often they are wrong, by simulation, and exact bounds of shares."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from seatrial.stats.resample import Resampled, images_to_decide, resampled, share_high, share_low, trials_to_decide

CONFIDENCE = 0.95
SETS = 400


def rare(rng, shape, limit):
    return (rng.random(shape) < limit).astype(float)


def flips(each):
    """Top-1: so many images each way, and the limit's more that are lost."""

    def draw(rng, shape, limit):
        u = rng.random(shape)
        return np.where(u < each, -1.0, np.where(u < 2 * each + limit, 1.0, 0.0))

    return draw


def diffuse(sd):
    return lambda rng, shape, limit: rng.normal(limit, sd, shape)


def gains_with_rare_losses(gain):
    """Better on nearly every image, and lost altogether on as many as bring the mean to the limit."""

    def draw(rng, shape, limit):
        lost = rng.random(shape) < (limit + gain) / (1 + gain)
        return np.where(lost, 1.0, rng.normal(-gain, gain / 2, shape))

    return draw


def bounds(rows, seed):
    """A Resampled of each set; rows (images, sets). All sets are drawn alike."""
    tables = []

    def every_set(weights):
        tables.append(weights @ rows / weights.sum(axis=1, keepdims=True))
        return tables[-1][:, 0]

    together = resampled(every_set, len(rows), seed)
    values = np.concatenate(tables)
    samples, left_out = np.split(values[:-1], [len(together.samples)])
    return [Resampled(float(v), s, o) for v, s, o in zip(values[-1], samples.T, left_out.T, strict=True)]


def highs(losses, seed=0):
    """What a verdict passes on: the upper bound with one image more, lost altogether."""
    lost = np.vstack([losses, np.ones((1, losses.shape[1]))])
    every = zip(bounds(losses, seed), bounds(lost, seed), strict=True)
    return np.array([own.high(CONFIDENCE, with_extreme=extended) for own, extended in every])


POPULATIONS = {
    "rare": rare, "flips of 1 %": flips(0.01), "flips of 5 %": flips(0.05), "diffuse": diffuse(0.2),
    "gains": gains_with_rare_losses(0.15), "small gains": gains_with_rare_losses(0.05),
}  # fmt: skip


@pytest.mark.parametrize("limit", [pytest.param(0.005, marks=pytest.mark.slow), 0.02, 0.1])
@pytest.mark.parametrize(
    "name", [n if n in ("rare", "diffuse") else pytest.param(n, marks=pytest.mark.slow) for n in POPULATIONS]
)
def test_a_drop_at_the_limit_passes_one_time_in_twenty_at_most(name, limit):
    for images in (8, 32, 128, 300, 800):
        losses = POPULATIONS[name](np.random.default_rng([images, len(name)]), (images, SETS), limit)
        passed = int((highs(losses) <= limit).sum())
        # 5 % of 400, and what so few sets may be off by.
        assert passed <= 0.05 * SETS + 3 * math.sqrt(0.05 * 0.95 * SETS), (images, passed / SETS)


def test_without_the_lost_image_rare_losses_would_pass():
    """Why the image is there: where most sets hold no loss at all, their own bound is zero."""
    losses = rare(np.random.default_rng(1), (64, SETS), 0.01)
    assert sum(b.high(CONFIDENCE) <= 0.01 for b in bounds(losses, 0)) > 0.4 * SETS


@pytest.mark.parametrize(("gain", "images"), [(0.15, 32), (0.02, 1200)])
def test_a_clear_case_passes(gain, images):
    losses = np.random.default_rng(2).normal(-gain, 0.1, (images, 50))
    assert (highs(losses) <= 0.005).mean() >= 0.9


@pytest.mark.parametrize("limit", [0.005, 0.02, 0.1])
def test_a_set_without_a_loss_passes_from_three_over_its_size(limit):
    enough = math.ceil(3 / limit)
    assert highs(np.zeros((enough, 1)))[0] <= limit < highs(np.zeros((int(0.8 * enough), 1)))[0]


def test_a_drop_beyond_the_limit_is_seen():
    losses = flips(0.05)(np.random.default_rng(3), (200, 100), 0.15)
    assert sum(b.low(CONFIDENCE) > 0.005 for b in bounds(losses, 0)) >= 99


@pytest.mark.parametrize("name", ["flips of 5 %", "diffuse"])
def test_no_drop_fails_one_time_in_twenty_at_most(name):
    for images in (64, 256):
        losses = POPULATIONS[name](np.random.default_rng(images), (images, SETS), 0.0)
        failed = sum(b.low(CONFIDENCE) > 0 for b in bounds(losses, 0))
        assert failed <= 0.05 * SETS + 3 * math.sqrt(0.05 * 0.95 * SETS)


@pytest.mark.parametrize("power", [1.0, 0.25])
def test_bounds_cover_a_mean_of_skew_values(power):
    values = np.random.default_rng(4).random((150, SETS)) ** (1 / power)
    truth = float((np.random.default_rng(5).random(2_000_000) ** (1 / power)).mean())
    every = bounds(values, 0)
    low = sum(b.low(CONFIDENCE) <= truth for b in every) / SETS
    high = sum(b.high(CONFIDENCE) >= truth for b in every) / SETS
    assert min(low, high) > 0.95 - 3 * math.sqrt(0.05 * 0.95 / SETS) - 0.01


def mean_of(values):
    return lambda weights: weights @ values / weights.sum(axis=1)


def test_the_same_seed_draws_the_same_sets():
    values = np.random.default_rng(0).random(20)
    a, b = (resampled(mean_of(values), 20, 7) for _ in range(2))
    assert np.array_equal(a.samples, b.samples)
    assert not np.array_equal(a.samples, resampled(mean_of(values), 20, 8).samples)
    assert a.minus(b).low(CONFIDENCE) == a.minus(b).high(CONFIDENCE) == 0


@pytest.mark.parametrize("images", [1, 2, 199, 200, 201, 1000])
def test_each_image_is_left_out_once(images):
    left_out = resampled(lambda w: w.sum(axis=1), images, 0, samples=1).left_out
    assert len(left_out) == min(images, 200)
    assert sum(images - n for n in left_out) == images


def test_a_figure_that_most_sets_do_not_have_has_no_bounds():
    one_in_many = np.array([1.0] + [0.0] * 9)

    def only_with_the_first(weights):
        return np.where(weights[:, 0] > 0, weights @ one_in_many, np.nan)

    r = resampled(only_with_the_first, 10, 0)
    assert r.low(CONFIDENCE) is None
    assert r.high(CONFIDENCE) is None
    assert Resampled(math.nan, np.ones(10), np.ones(3)).high(CONFIDENCE) is None


def test_a_bias_beyond_the_spread_is_mirrored():
    samples = np.linspace(1.1, 1.2, 101)
    assert Resampled(1.0, samples, np.ones(3)).high(CONFIDENCE) < 1.0


def test_no_image_is_no_sample():
    with pytest.raises(ValueError, match="one image"):
        resampled(mean_of(np.ones(0)), 0, 0)


@given(trials=st.integers(1, 400), data=st.data())
def test_shares_have_the_exact_bounds(trials, data):
    successes = data.draw(st.integers(0, trials))
    theirs = binomtest(successes, trials).proportion_ci(0.9, "exact")
    assert share_low(successes, trials, CONFIDENCE) == pytest.approx(theirs.low, abs=1e-9)
    assert share_high(successes, trials, CONFIDENCE) == pytest.approx(theirs.high, abs=1e-9)


@pytest.mark.parametrize(
    ("share", "limit", "trials"), [(1.0, 0.9, 29), (1.0, 0.99, 299), (0.95, 0.9, 101), (0.9, 0.9, None), (0.0, 0.5, 5)]
)
def test_trials_to_decide(share, limit, trials):
    found = trials_to_decide(share, limit, CONFIDENCE)
    assert found == (trials if trials is None else pytest.approx(trials, rel=0.1))


@pytest.mark.parametrize(
    ("images", "value", "limit", "edge", "extra", "needed"),
    [
        (100, 0.0, 0.01, 0.02, 0.0, 400),
        (10, 0.0, 0.1, 0.0, 0.4, 40),
        (10, 0.1, 0.1, 0.2, 0.0, None),
        (10, 0, 1, None, 0, None),
    ],
)
def test_images_to_decide(images, value, limit, edge, extra, needed):
    found = images_to_decide(images, value, limit, edge, extra)
    assert found == (needed if needed is None else pytest.approx(needed, rel=0.12))


@pytest.mark.parametrize(("successes", "trials"), [(-1, 5), (6, 5), (0, 0)])
def test_what_is_no_share_is_refused(successes, trials):
    with pytest.raises(ValueError, match="successes"):
        share_low(successes, trials, CONFIDENCE)
