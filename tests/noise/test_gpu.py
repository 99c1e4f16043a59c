"""Which requests ran in a lower clock state of a GPU: marked, never dropped, also where all of them are."""

import numpy as np
import pytest

from seatrial.noise.gpu import lower_clocks

MS = 1_000_000
TIME = np.arange(100) * 50 * MS
STARTS = np.arange(49) * 100 * MS
DURATIONS = np.full(49, 10 * MS)
HIGH = np.full(100, 1980)


def test_nothing_is_marked_at_the_best_clock():
    found = lower_clocks(TIME, HIGH, np.zeros(100, np.int64), STARTS, DURATIONS)
    assert not found.requests.any()
    assert (found.share, found.clock_mhz, found.reasons) == (0.0, (1980, 1980, 1980), ())


def test_requests_around_a_lower_reading_are_marked_with_the_reason():
    clock, reasons = HIGH.copy(), np.zeros(100, np.int64)
    clock[40:44] = 1410
    reasons[40:44] = 0x4
    found = lower_clocks(TIME, clock, reasons, STARTS, DURATIONS)
    # Readings from 2.00 to 2.15 s: requests that began from 1.95 s on, whose next reading is the first of them, to 2.15 s.
    assert np.flatnonzero(found.requests).tolist() == [20, 21]
    assert found.reasons == ("the power cap",)
    assert found.clock_mhz[0] == 1410


def test_a_long_request_is_marked_by_a_reading_in_its_middle():
    clock = HIGH.copy()
    clock[50] = 1200
    found = lower_clocks(TIME, clock, None, np.array([0, 1000 * MS]), np.array([500 * MS, 3000 * MS]))
    assert found.requests.tolist() == [False, True]


def test_a_slowing_reason_marks_at_a_steady_clock_and_all_may_be_marked():
    found = lower_clocks(TIME, HIGH, np.full(100, 0x40), STARTS, DURATIONS)
    assert found.requests.all()
    assert found.share == 1.0


@pytest.mark.parametrize("bits", [0x1, 0x2, 0x400])
def test_reasons_that_slow_no_load_mark_nothing(bits):
    assert not lower_clocks(TIME, HIGH, np.full(100, bits), STARTS, DURATIONS).requests.any()


def test_steps_of_the_gpus_own_are_no_lower_state():
    clock = HIGH - 15 * (np.arange(100) % 3)
    assert not lower_clocks(TIME, clock, None, STARTS, DURATIONS).requests.any()


def test_without_a_clock_nothing_is_said():
    assert lower_clocks(TIME, None, None, STARTS, DURATIONS) is None
