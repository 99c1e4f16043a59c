"""A device's events, and what the host's clock says to them."""

import time

import numpy as np
import pytest
from simulated_cuda import PTX

from seatrial import cuda

MS = 1_000_000


@pytest.fixture
def timed(simulated):
    """A function that runs kernels of the given milliseconds, each between two marks, and gives the timer."""

    def run(*milliseconds, script=""):
        context = cuda.Context()
        stream = cuda.Stream(context)
        kernel = cuda.Module(context, PTX).function("nothing")
        timer = cuda.EventTimer(stream, len(milliseconds))
        simulated.script(script)
        timer.start()
        for each in milliseconds:
            simulated.kernel("nothing", duration_ns=round(each * MS))
            kernel.launch(stream, 1, 1, [])
            timer.mark()
        return timer

    return run


def test_intervals_are_what_the_device_took(timed):
    timer = timed(0.5, 0.25, 1)
    found = timer.intervals_ns()
    assert found.dtype == np.float64
    # The first kernel may start behind its mark: the host was that late.
    assert found[0] >= 0.5 * MS * (1 - 1e-6)
    assert found[1:] == pytest.approx([0.25 * MS, MS], rel=1e-6)
    device, least, most = timer.clocks_ns
    assert device == pytest.approx(found.sum())
    assert least <= device <= most


def test_a_timer_begins_anew(timed):
    timer = timed(0.5, 0.25)
    assert len(timer.intervals_ns()) == 2
    timer.start()
    timer.mark()
    assert len(timer.intervals_ns()) == 1
    timer.mark()
    with pytest.raises(ValueError, match="expected at most 2 intervals, got one more; make the timer with as many"):
        timer.mark()


def test_a_device_whose_clock_is_fast_is_an_error_with_both_times(timed):
    # However late the host is, it is not that late.
    timer = timed(1, script="clock_scale 1e6")
    with pytest.raises(
        cuda.ClockDisagreementError, match=r"^the device's events say 1\d{6}\.\d+ ms for 1 intervals, but"
    ) as e:
        timer.intervals_ns()
    assert "one of the two clocks is wrong, or an event was not recorded; time on the host" in str(e.value)


def test_a_device_whose_clock_is_slow_is_an_error_too(timed):
    timer = timed(1, 0, script="clock_scale 0.1")
    timer.start()
    timer.mark()
    # The host knows of these that they have passed when it asks for the last event.
    time.sleep(0.02)
    timer.mark()
    with pytest.raises(
        cuda.ClockDisagreementError, match=r"say [\d.]+ ms for 2 intervals, but by the host's clock it was [\d.]+ ms to"
    ):
        timer.intervals_ns()


@pytest.mark.parametrize(("number", "event"), [(0, 1), (1, 2), (2, 3)])
def test_an_event_that_was_never_recorded_is_named(timed, number, event):
    timer = timed(0.1, 0.1, script=f"unrecorded {number}")
    with pytest.raises(
        cuda.CudaError, match=rf"^cuEventElapsedTime: .*\(400\).*; event {event} of 3 was never recorded;"
    ):
        timer.intervals_ns()


def test_an_event_that_was_not_recorded_again_is_found(timed, simulated):
    timer = timed(0.1, 0.1)
    timer.intervals_ns()
    simulated.script("unrecorded 1")
    timer.start()
    timer.mark()
    timer.mark()
    with pytest.raises(
        cuda.ClockDisagreementError, match=r"^event 2 of 3 is [\d.]+ ms before the one that it followed: it was not"
    ):
        timer.intervals_ns()


def test_what_is_asked_for_in_the_wrong_order(simulated):
    timer = cuda.EventTimer(cuda.Stream(cuda.Context()), 1)
    with pytest.raises(ValueError, match=r"expected start\(\) before mark\(\)"):
        timer.mark()
    with pytest.raises(ValueError, match=r"expected start\(\) and at least one mark\(\)"):
        timer.intervals_ns()
    with pytest.raises(ValueError, match="intervals: expected at least 1, got 0"):
        cuda.EventTimer(timer.stream, 0)


def test_an_hour_of_intervals_is_summed_in_doubles(timed):
    # As one float of milliseconds since the start, an hour is known to a quarter of a millisecond.
    assert np.spacing(np.float32(3_600_000)) == 0.25
    timer = timed(*[0.01] * 300)
    assert timer.clocks_ns[0] == 0
    found = timer.intervals_ns()
    assert timer.clocks_ns[0] == sum(map(float, found))
