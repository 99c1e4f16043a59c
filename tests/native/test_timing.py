"""The compiled clock and sample table: what they promise, also under sanitizers."""

import time
import tracemalloc

import numpy as np
import pytest

from seatrial._native.timing import StageSamples, clock_step_ns, now_ns


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
