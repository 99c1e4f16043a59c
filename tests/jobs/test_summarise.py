"""A cell's samples to the numbers in its record: what the spread comes from, and the time that would do."""

import numpy as np
import pytest

from seatrial.jobs.summarise import measurement_of, not_converged
from seatrial.jobs.workload import Stopping, Timing
from seatrial.stages import PIPELINE_STAGES
from seatrial.stats.share import LONGEST_RUN

STOPPING = Stopping(max_time_s=3.0, longest_run=LONGEST_RUN, precision=0.01)


def measured(columns_ms, **timing):
    """columns_ms: a stage's times each."""
    stages = (np.array(columns_ms, float).T * 1e6).astype(np.int64)
    table = np.concatenate([np.arange(len(stages))[:, None], stages, stages.sum(axis=1, keepdims=True)], axis=1)
    timing = Timing(**{"ended": "deadline", "elapsed_s": 3.0} | timing)
    return measurement_of(PIPELINE_STAGES, table, 1, None, timing, STOPPING), timing


def spread(rng, sizes, n=200):
    return [10 + s * rng.uniform(-1, 1, n) for s in sizes]


@pytest.mark.parametrize(("sizes", "stage"), [((8, 1, 1, 1), "decode"), ((1, 1, 9, 1), "infer"), ((3, 3, 3, 3), "")])
def test_the_spread_is_of_the_stage_that_holds_most_of_it(sizes, stage):
    assert measured(spread(np.random.default_rng(0), sizes))[0].spread_of == stage


def test_one_stall_is_not_what_the_spread_comes_from():
    columns = spread(np.random.default_rng(0), (8, 1, 1, 1))
    columns[2][17] = 5000
    assert measured(columns)[0].spread_of == "decode"


def test_constant_times_and_few_requests_have_no_spread_of_a_stage():
    assert measured([[1.0] * 50] * 4)[0].spread_of == ""
    assert measured(spread(np.random.default_rng(0), (8, 1, 1, 1), 19))[0].spread_of == ""


def test_the_time_that_would_do_goes_with_the_square_of_what_is_missing():
    columns = spread(np.random.default_rng(0), (8, 1, 1, 1))
    m, timing = measured(columns, known_to=0.02)
    assert m.enough_s == pytest.approx(1.2 * 3.0 * 4, rel=0.05)
    warning = not_converged(m, timing, "measure.max_time")
    assert warning.text == "NOT CONVERGED within 3.0 s: the median is known to ±2.0%; the spread is mostly decode's"
    assert warning.cure == "raise measure.max_time to 14.0 s or quiet the machine"


def test_where_no_time_is_known_to_do_none_is_named():
    columns = spread(np.random.default_rng(0), (3, 3, 3, 3))
    for timing in ({"known_to": None}, {"known_to": 0.005}, {"known_to": 0.3}):
        m, told = measured(columns, **timing)
        assert m.enough_s is None
        assert not_converged(m, told, "--max-time").cure == "raise --max-time or quiet the machine"
    assert not_converged(*measured(columns), "--max-time").text == "NOT CONVERGED within 3.0 s"
    m, told = measured(columns, known_to=0.005, converged=True)
    assert (m.enough_s, not_converged(m, told, "--max-time")) == (None, None)


def test_too_few_requests_are_told_with_the_time_that_more_take():
    m, timing = measured(spread(np.random.default_rng(0), (8, 1, 1, 1), 10), elapsed_s=5.0)
    assert m.enough_s == 5.0 * 2 * STOPPING.min_samples / 10
    warning = not_converged(m, timing, "measure.max_time")
    assert warning.text == "NOT CONVERGED within 5.0 s: 10 requests are too few to say how closely the median is known"
    assert warning.cure == "raise measure.max_time to 50.0 s or quiet the machine"
