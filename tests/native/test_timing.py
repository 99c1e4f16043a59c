"""The compiled clock and sample table: what they promise, also under sanitizers."""

import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial._native.timing import PythonWork, StageSamples, clock_step_ns, closed_loop, now_ns


def test_clock_is_monotonic_and_agrees_with_pythons():
    before, ours, after = time.monotonic_ns(), now_ns(), time.monotonic_ns()
    assert before <= ours <= after
    readings = [now_ns() for _ in range(1000)]
    assert readings == sorted(readings)


def test_clock_step_is_positive_and_below_a_millisecond():
    assert 0 < clock_step_ns() < 1_000_000


def test_clock_step_refuses_no_tries():
    with pytest.raises(ValueError, match="at least 1, got 0"):
        clock_step_ns(0)


def test_a_row_holds_each_stage_and_the_whole():
    samples = StageSamples(4, 2)
    outside = now_ns()
    assert samples.begin()
    time.sleep(0.01)
    samples.lap()
    time.sleep(0.02)
    samples.lap()
    assert samples.end()
    outside = now_ns() - outside
    start, first, second, whole = samples.to_array()[0]
    assert start > 0
    assert first >= 10_000_000
    assert second >= 20_000_000
    assert first + second <= whole <= outside
    assert (first + second) / whole > 0.98


@pytest.mark.parametrize("laps", [0, 1, 3, 50])
def test_a_row_with_a_stage_missing_or_too_many_is_dropped(laps):
    samples = StageSamples(2, 2)
    samples.begin()
    for _ in range(laps):
        samples.lap()
    assert not samples.end()
    assert len(samples) == 0


def test_a_full_table_takes_no_more():
    samples = StageSamples(3, 1)
    for _ in range(3):
        assert samples.begin()
        samples.lap()
        assert samples.end()
    assert not samples.begin()
    samples.lap()
    assert not samples.end()
    assert len(samples) == samples.capacity == 3
    assert samples.to_array().shape == (3, 3)


def test_laps_outside_a_row_are_harmless():
    samples = StageSamples(2, 1)
    samples.lap()
    assert not samples.end()
    assert len(samples) == 0
    assert samples.to_array().shape == (0, 3)


@pytest.mark.parametrize("shape", [(0, 1), (1, 0), (-1, 4), (4, -1)])
def test_an_empty_table_is_refused(shape):
    with pytest.raises(ValueError, match="at least 1"):
        StageSamples(*shape)


@pytest.mark.parametrize("shape", [(1 << 61, 4), (1 << 61, 6), (1 << 62, 2), (4, (1 << 63) - 1)])
def test_an_impossible_table_is_a_memory_error(shape):
    with pytest.raises(MemoryError):
        StageSamples(*shape)


def test_the_array_is_a_copy():
    samples = StageSamples(2, 1)
    samples.begin(), samples.lap(), samples.end()
    array = samples.to_array()
    array[:] = -1
    assert (samples.to_array() >= 0).all()
    assert array.dtype == np.int64


def test_recording_allocates_nothing():
    samples = StageSamples(10_000, 3)
    begin, lap, end = samples.begin, samples.lap, samples.end
    tracemalloc.start()
    begin(), lap(), lap(), lap(), end()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(5000):
        begin()
        lap()
        lap()
        lap()
        end()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert len(samples) == 5001
    assert grown < 2000


# ---- Stages that another clock measured ----

STAGES = st.lists(st.none() | st.integers(0, (1 << 63) - 1), min_size=1, max_size=24)


def direct(samples, stages):
    """A row by the table's own methods: None is a lap, a number is given. Whether it was kept."""
    assert samples.begin()
    for duration_ns in stages:
        samples.lap() if duration_ns is None else samples.give(duration_ns)
    return samples.end()


def by_work(samples, stages):
    """The same, by a callable in a loop."""

    def once(lap):
        for duration_ns in stages:
            lap() if duration_ns is None else lap.give(duration_ns)

    before = len(samples)
    assert closed_loop(PythonWork(once), samples, deadline_ns=1 << 62, most=1) == "count"
    return len(samples) == before + 1


ROWS = pytest.mark.parametrize("row", [direct, by_work])


@ROWS
@given(stages=STAGES)
def test_any_mix_of_given_and_lapped_stages_is_a_row(row, stages):
    samples = StageSamples(3, len(stages))
    before = now_ns()
    assert row(samples, stages)
    after = now_ns()
    start, *kept, whole = map(int, samples.to_array()[0])
    assert before <= start <= start + whole <= after
    assert [k for k, s in zip(kept, stages, strict=True) if s is not None] == [s for s in stages if s is not None]
    # The host's own stages follow one another as if nothing had been given between them.
    lapped = [k for k, s in zip(kept, stages, strict=True) if s is None]
    assert all(ns >= 0 for ns in lapped)
    assert sum(lapped) <= whole


@ROWS
@given(stages=STAGES, more=st.integers(-24, 24).filter(bool))
def test_a_row_with_too_many_or_too_few_stages_is_dropped_whoever_filled_them(row, stages, more):
    room = max(1, len(stages) + more)
    samples = StageSamples(3, room)
    assert row(samples, stages) == (room == len(stages))
    # And hurts no row beside it.
    assert direct(samples, [7] * room)
    assert samples.to_array()[-1, 1:-1].tolist() == [7] * room


def test_what_is_given_leaves_the_hosts_stage_running():
    samples = StageSamples(1, 3)
    samples.begin()
    time.sleep(0.005)
    samples.give(10**12)
    time.sleep(0.005)
    samples.lap()
    samples.give(0)
    assert samples.end()
    _, device, host, nothing, whole = samples.to_array()[0]
    assert (device, nothing) == (10**12, 0)
    assert 10_000_000 <= host <= whole < 10**12


@pytest.mark.parametrize("duration_ns", [-1, -(1 << 63)])
def test_a_negative_duration_is_refused_and_nothing_is_filled(duration_ns):
    samples = StageSamples(1, 1)
    samples.begin()
    with pytest.raises(ValueError, match=f"duration_ns: expected 0 or more, got {duration_ns}"):
        samples.give(duration_ns)
    samples.give(3)
    assert samples.end()
    work = PythonWork(lambda lap: lap.give(duration_ns))
    with pytest.raises(ValueError, match="duration_ns: expected 0 or more"):
        closed_loop(work, StageSamples(1, 1), deadline_ns=1 << 62)


def test_a_lap_that_was_kept_does_nothing_outside_of_a_request():
    kept, samples = [], StageSamples(2, 1)

    def once(lap):
        kept.append(lap)
        lap.give(1)

    assert closed_loop(PythonWork(once), samples, deadline_ns=1 << 62) == "full"
    kept[0](), kept[0].give(5)
    assert samples.to_array()[:, 1].tolist() == [1, 1]


def test_giving_in_a_full_table_or_outside_a_row_is_harmless():
    samples = StageSamples(1, 1)
    samples.give(4)
    assert not samples.end()
    assert direct(samples, [5])
    assert not samples.begin()
    samples.give(6)
    assert not samples.end()
    assert samples.to_array()[:, 1].tolist() == [5]


def test_giving_allocates_nothing():
    samples = StageSamples(10_000, 2)
    begin, lap, give, end = samples.begin, samples.lap, samples.give, samples.end
    tracemalloc.start()
    begin(), lap(), give(1 << 40), end()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(5000):
        begin()
        lap()
        give(1 << 40)
        end()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert len(samples) == 5001
    assert grown < 2000


def test_what_follows_a_request_that_is_over_is_no_part_of_it():
    samples = StageSamples(2, 2)
    over = []
    for finishes in (True, False):
        samples.begin()
        samples.lap()
        if finishes:
            samples.finish()
        over.append(now_ns())
        samples.give(5)
        assert samples.end()
    table = samples.to_array()
    assert (table[:, 2] == 5).all()
    ends = table[:, 0] + table[:, 3]
    assert ends[0] <= over[0]
    assert ends[1] >= over[1]
