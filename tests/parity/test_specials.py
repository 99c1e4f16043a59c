"""NaN and infinity of all images, as signatures."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.parity.specials import as_array, signature, unlike

NAN, INF = np.nan, np.inf


@pytest.mark.parametrize(
    ("values", "counts"),
    [([], (0, 0, 0)), ([0, 1], (0, 0, 0)), ([NAN, 1], (1, 0, 0)), ([INF, -INF, -INF, NAN], (1, 1, 2))],
)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_what_is_not_finite_is_counted(values, counts, dtype):
    assert signature(np.array(values, dtype))[:3] == counts


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, bool, object, "U3"])
def test_what_cannot_be_infinite_has_no_signature(dtype):
    assert signature(np.zeros(3, dtype)) == (0, 0, 0, 0)


values = st.lists(st.sampled_from([0.0, 1.0, NAN, INF, -INF]), max_size=20)


@given(values, values)
def test_signatures_are_the_same_exactly_where_nan_and_infinity_are(a, b):
    b = (b + [0.0] * len(a))[: len(a)]
    kind = [[(np.isnan(v), v == INF, v == -INF) for v in side] for side in (a, b)]
    differ, _ = unlike(*(as_array([[signature(np.array(side))]]) for side in (a, b)))
    assert bool(differ) == (kind[0] != kind[1])


def test_images_and_outputs_that_differ_are_named():
    clean, nan = signature(np.zeros(2)), signature(np.array([NAN, 0]))
    rows = [[clean, clean], [clean, nan], [clean, clean], [clean, nan]]
    assert unlike(as_array([[clean, clean]] * 4), as_array(rows)) == ([1, 3], [1])
    with pytest.raises(ValueError, match="expected \\(4, 2\\) images and outputs"):
        unlike(as_array(rows), as_array(rows[:3]))
    assert as_array([]).shape == (0, 0, 4)
