"""Which samples are spikes: against SciPy's median absolute deviation, and where over half of them are the same."""

import numpy as np
import pytest
from scipy.stats import median_abs_deviation

from seatrial.noise.counters import COLUMNS
from seatrial.noise.spikes import MODIFIED_Z, attribute_spikes, outliers
from seatrial.noise.timeline import Timeline

NOWHERE = Timeline((0,), np.zeros((0, len(COLUMNS)), np.int64))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("tail", [1.5, 3.0])
def test_they_are_far_above_the_median_in_median_deviations(seed, tail):
    sample = (1e6 * (1 + np.random.default_rng(seed).pareto(tail, 1000))).astype(np.int64)
    far = (sample - np.median(sample)) / median_abs_deviation(sample) > MODIFIED_Z
    assert far.any()
    assert outliers(sample).tolist() == far.tolist()


@pytest.mark.parametrize(
    ("sample", "spikes"),
    [
        ([], []),
        ([5], [False]),
        ([5, 5_000_000], [False, False]),
        ([7] * 40, [False] * 40),
        # Far below is no spike.
        ([100, 101, 102, 103, 1], [False] * 5),
        # Over half are the same, so that no deviation has a middle: one of a hundred stands out, one of three does not.
        ([10] * 99 + [11], [False] * 99 + [True]),
        ([10, 10, 11], [False] * 3),
        ([10] * 6 + [1000] * 4, [False] * 10),
        ([0] * 99 + [1], [False] * 99 + [True]),
        ([1 << 60] * 99 + [(1 << 60) + (1 << 50)], [False] * 99 + [True]),
    ],
)
def test_samples_that_are_few_or_alike(sample, spikes):
    assert outliers(np.array(sample, np.int64)).tolist() == spikes


def test_the_longest_first_and_of_alike_ones_the_earlier():
    duration = 1000 + np.arange(100, dtype=np.int64) % 7
    duration[[20, 40, 60]] = 90_000, 99_000, 90_000
    start = np.arange(100, dtype=np.int64) * 1_000_000
    found = attribute_spikes(start, duration, NOWHERE)
    assert [s.start_ns // 1_000_000 for s in found] == [40, 20, 60]
    assert [s.causes for s in found] == [("not watched",)] * 3
    assert [s.start_ns // 1_000_000 for s in attribute_spikes(start, duration, NOWHERE, most=2)] == [40, 20]
    assert attribute_spikes(start, duration, NOWHERE, most=0) == []


def test_a_median_of_nothing_has_no_multiple():
    duration = np.array([0] * 99 + [5], np.int64)
    (spike,) = attribute_spikes(np.arange(100), duration, NOWHERE)
    assert spike.times_median == float("inf")


@pytest.mark.parametrize("shapes", [((3,), (2,)), ((0,), (1,)), ((2, 2), (2, 2))])
def test_each_duration_has_its_start(shapes):
    with pytest.raises(ValueError, match="expected a start for each duration"):
        attribute_spikes(*(np.ones(s, np.int64) for s in shapes), NOWHERE)
