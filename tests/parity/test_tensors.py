"""Tensor differences against NumPy's isclose, SciPy's cosine and the formula of SQNR."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial.distance import cosine

from seatrial.parity.tensors import compare_tensors
from seatrial.parity.tolerance import Closeness

NAN, INF = np.nan, np.inf
FLOATS = st.floats(-1e6, 1e6, width=32) | st.sampled_from([0.0, 1.0, NAN, INF, -INF])
PAIR = hnp.array_shapes(max_dims=3, max_side=5).flatmap(
    lambda shape: st.tuples(*[hnp.arrays(np.float32, shape, elements=FLOATS)] * 2)
)


def compare(reference, candidate, tolerance=None):
    closeness = Closeness(*tolerance) if tolerance else None
    return compare_tensors(["y"], [[np.asarray(reference)]], [[np.asarray(candidate)]], closeness)[0]


def noisy(seed=0, scale=1e-2):
    rng = np.random.default_rng(seed)
    reference = rng.normal(size=(3, 40)).astype(np.float32)
    return reference, (reference + rng.normal(scale=scale, size=reference.shape)).astype(np.float32)


@pytest.mark.parametrize("scale", [1e-4, 1e-2, 1, 100])
def test_sizes_follow_their_formulas(scale):
    reference, candidate = noisy(scale=scale)
    r, c = reference.astype(float).ravel(), candidate.astype(float).ravel()
    found = compare(reference, candidate)
    assert found.max_abs == max(abs(a - b) for a, b in zip(r, c, strict=True))
    assert found.mean_abs == pytest.approx(sum(abs(a - b) for a, b in zip(r, c, strict=True)) / len(r))
    assert found.sqnr_db == pytest.approx(10 * np.log10((r**2).sum() / ((r - c) ** 2).sum()))
    assert found.cosine == pytest.approx(1 - cosine(r, c))


@pytest.mark.parametrize(("factor", "sqnr_db"), [(1.1, 20), (1.01, 40), (2, 0), (11, -20), (0.9, 20), (0, 0)])
def test_sqnr_of_a_gain_error(factor, sqnr_db):
    reference = np.random.default_rng(0).normal(size=1000)
    assert compare(reference, reference * factor).sqnr_db == pytest.approx(sqnr_db)


def test_identical_tensors_differ_in_nothing():
    reference, _ = noisy()
    found = compare(reference, reference.copy(), (0, 0))
    assert (found.max_abs, found.mean_abs, found.share_outside, found.nan_mismatch) == (0, 0, 0, False)
    assert found.sqnr_db is None
    assert found.cosine == pytest.approx(1)


@pytest.mark.parametrize(
    ("reference", "candidate", "max_abs", "share"),
    [([0, 0], [0, 0], 0, 0), ([0, 0], [0, 3], 3, 0.5), ([0, 3], [0, 0], 3, 0.5), ([], [], 0, 0), ([0.0], [-0.0], 0, 0)],
)
def test_zero_tensors_have_no_direction(reference, candidate, max_abs, share):
    found = compare(np.array(reference, np.float32), np.array(candidate, np.float32), (0, 0))
    assert (found.cosine, found.max_abs, found.share_outside, found.nan_mismatch) == (None, max_abs, share, False)
    assert (found.sqnr_db is None) == (max_abs == 0 or not any(reference))


@pytest.mark.parametrize(
    ("reference", "candidate", "mismatch", "share"),
    [
        ([1, NAN], [1, 1], True, 0.5),
        ([1, 1], [1, NAN], True, 0.5),
        ([1, NAN], [1, NAN], False, 0),
        ([NAN, 1], [1, NAN], True, 1),
        ([1, INF], [1, INF], False, 0),
        ([1, INF], [1, -INF], True, 0.5),
        ([1, INF], [1, NAN], True, 0.5),
        ([1, INF], [1, 3e38], True, 0.5),
        ([NAN, NAN, NAN, INF], [NAN, NAN, NAN, -INF], True, 0.25),
        ([NAN, INF], [NAN, INF], False, 0),
    ],
)
def test_nan_or_infinity_on_one_side_is_a_mismatch(reference, candidate, mismatch, share):
    found = compare(np.array(reference, np.float32), np.array(candidate, np.float32), (1e-3, 1e-3))
    assert (found.nan_mismatch, found.share_outside, found.max_abs) == (mismatch, share, 0)
    assert compare(reference, candidate).share_outside is None


@given(PAIR, st.sampled_from([(0, 0), (1e-3, 1e-3), (0.5, 0), (0, 1.0)]))
def test_the_share_outside_is_numpys_isclose(pair, tolerance):
    reference, candidate = (a.astype(np.float64) for a in pair)
    close = np.isclose(candidate, reference, rtol=tolerance[0], atol=tolerance[1], equal_nan=True)
    assert compare(*pair, tolerance).share_outside == pytest.approx((~close).mean())


@given(PAIR)
def test_a_record_is_always_plain_json(pair):
    found = compare(*pair, (1e-3, 1e-3))
    assert json.loads(json.dumps(found.model_dump(), allow_nan=False))["name"] == "y"
    assert found.cosine is None or abs(found.cosine) <= 1 + 1e-9


@given(PAIR)
def test_the_comparison_is_symmetric_but_for_its_yardstick(pair):
    there, back = compare(*pair, (0, 1e-3)), compare(*pair[::-1], (0, 1e-3))
    for name in ("max_abs", "mean_abs", "nan_mismatch", "share_outside"):
        assert getattr(there, name) == getattr(back, name)


def test_the_tolerance_grows_with_the_reference():
    assert compare([100.0, 1.0], [101.0, 2.0], (0.01, 0)).share_outside == 0.5
    assert compare([100.0], [101.0], (0.01, 0)).share_outside == 0
    assert compare([101.0], [100.0], (0.00995, 0)).share_outside == 0
    assert compare([100.0], [101.0], (0.00995, 0)).share_outside == 1


def test_images_are_pooled_and_outputs_kept_apart():
    parts = [noisy(seed) for seed in range(3)]
    reference, candidate = ([[pair[k], pair[k][:1] * 0] for pair in parts] for k in (0, 1))
    first, second = compare_tensors(["a", "b"], reference, candidate, Closeness(1e-3, 1e-3))
    whole = compare(*(np.concatenate([pair[k] for pair in parts]) for k in (0, 1)), (1e-3, 1e-3))
    assert first == whole.model_copy(update={"name": "a"})
    assert (second.name, second.max_abs) == ("b", 0)


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.int8, np.uint8, np.int64, bool])
def test_every_dtype_is_compared_as_numbers(dtype):
    found = compare(np.array([0, 1, 1], dtype), np.array([1, 0, 1], dtype), (0, 0))
    assert (found.max_abs, found.share_outside) == (1, pytest.approx(2 / 3))


@pytest.mark.parametrize(("first", "second"), [((1, 3), (3, 1)), ((3,), (4,)), ((), (1,)), ((0, 3), (0, 4))])
def test_other_shapes_are_refused(first, second):
    with pytest.raises(ValueError) as e:
        compare(np.zeros(first), np.zeros(second))
    assert str(e.value) == f"output y: expected shape {first} as the reference gives, got {second}"


def test_other_image_counts_are_refused():
    with pytest.raises(ValueError, match="shorter"):
        compare_tensors(["y"], [[np.zeros(1)]] * 2, [[np.zeros(1)]], None)


@pytest.mark.parametrize(
    ("offset", "noise", "sqnr_db", "variation_db"),
    [(0, 0.1, 20, 20), (10, 0.1, 40, 20), (10, 1.0, 20, 0), (100, 1.0, 40, 0)],
)
def test_a_large_mean_lifts_the_sqnr_and_not_what_is_left_of_the_variation(offset, noise, sqnr_db, variation_db):
    rng = np.random.default_rng(0)
    reference = rng.normal(size=100_000) + offset
    found = compare(reference, reference + rng.normal(scale=noise, size=reference.shape))
    assert found.sqnr_db == pytest.approx(sqnr_db, abs=0.1)
    assert found.variation_db == pytest.approx(variation_db, abs=0.1)


@pytest.mark.parametrize("values", [[5.0, 5.0, 5.0], [0.0, 0.0], [1e6, 1e6 + 1]])
def test_what_does_not_vary_has_no_variation(values):
    assert compare(values, [v + 1 for v in values]).variation_db is None


@pytest.mark.parametrize(
    ("reference", "candidate", "expected"),
    [
        ([1.0, 3.0], [1.0, 3.4], 0.1),
        ([0.0, 0.0], [0.0, 0.0], None),
        ([0.0], [1.0], None),
        ([-2.0, 2.0], [-2.0, 2.0], 0),
    ],
)
def test_the_mean_error_against_the_mean_size(reference, candidate, expected):
    found = compare(reference, candidate)
    assert found.mean_relative == (expected if expected is None else pytest.approx(expected))


def rows_gone(count, of=9, length=50):
    reference = np.random.default_rng(0).random((of, length))
    candidate = reference.copy()
    candidate[:count] = 0.25
    return reference, candidate


@pytest.mark.parametrize(
    ("count", "of", "flattened"), [(0, 9, 0), (5, 9, 5), (8, 9, 8), (1, 9, 1), (1, 20, 0), (2, 20, 2)]
)
@pytest.mark.parametrize("turned", [False, True])
def test_rows_that_went_constant_are_counted(count, of, flattened, turned):
    sides = [s.T if turned else s for s in rows_gone(count, of)]
    found = compare(*sides)
    assert (found.flattened, found.lost_rows) == (flattened, flattened)
    assert compare(*sides, (1, 1)).flattened == 0  # elementwise, every element is seen


@pytest.mark.parametrize("shape", [(), (9,), (7, 4), (0, 9), (3, 0)])
def test_too_little_to_say_that_a_row_is_constant(shape):
    rng = np.random.default_rng(0)
    found = compare(rng.random(shape), np.zeros(shape))
    assert (found.flattened, found.lost_rows) == (0, 0)


@pytest.mark.parametrize(("noise", "lost"), [(0.1, 0), (0.6, 0), (0.8, 5), (3, 5)])
def test_rows_that_lost_their_variation_are_counted(noise, lost):
    rng = np.random.default_rng(0)
    reference = np.concatenate([rng.uniform(0, 640, (4, 5000)), rng.normal(0.5, 0.01, (5, 5000))])
    candidate = reference.copy()
    candidate[4:] += rng.normal(scale=0.01 * noise, size=(5, 5000))
    found = compare(reference, candidate)
    assert found.sqnr_db > 60
    assert (found.flattened, found.lost_rows) == (0, lost)


def test_rows_that_are_constant_in_the_reference_too_are_not_counted():
    reference, candidate = rows_gone(5)
    reference[:5] = 0.5
    assert compare(reference, candidate).flattened == 0


@given(PAIR)
def test_elements_are_those_that_are_finite_on_both_sides(pair):
    assert compare(*pair).elements == int((np.isfinite(pair[0]) & np.isfinite(pair[1])).sum())
