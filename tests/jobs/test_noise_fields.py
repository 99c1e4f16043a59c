"""What of a watch goes into a cell's record: of its requests' time alone, and spikes where requests are alike."""

import numpy as np
import pytest

from seatrial.history.records import Noise
from seatrial.jobs.noise_fields import LEAST_FOR_SPIKES, MOST_SPIKES, noise_of
from seatrial.noise.counters import COLUMNS, UNREAD
from seatrial.noise.report import summarise
from seatrial.noise.timeline import Timeline

MS = 1_000_000


def watched(readings=101, step=10 * MS, **columns):
    """Every 10 ms from time zero; counters that are named rise by so much at each reading."""
    table = np.full((readings, len(COLUMNS)), UNREAD, np.int64)
    table[:, 0] = np.arange(readings) * step
    for name, rise in columns.items():
        table[:, COLUMNS.index(name)] = np.arange(readings) * rise
    return summarise(Timeline((0,), table))


def rows(count, at=100 * MS, every=2 * MS, takes=MS, slow=(), wait=0):
    """(n, 1 + 2 stages + 1): start, wait, service, the whole; the numbers in `slow` take fifty times as long."""
    service = np.full(count, takes)
    service[list(slow)] *= 50
    # A median deviation of zero is for another test.
    service += np.arange(count) % 3
    waits = np.full(count, wait)
    return np.column_stack([at + np.arange(count) * every, waits, service, waits + service]).astype(np.int64)


def test_nobody_watched_or_nothing_ran():
    assert noise_of(None, rows(3)) is None
    assert noise_of(watched(), np.zeros((0, 4), np.int64)) is None


@pytest.mark.parametrize("count", [1, 2, 40])
def test_it_is_of_the_time_from_the_first_request_to_the_last(count):
    """With a reading before and one behind."""
    noise = noise_of(watched(minor_faults=5, cpu_ns=MS), rows(count, every=20 * MS))
    intervals = 2 * (count - 1) + 1
    assert noise.watched_s == pytest.approx(intervals * 0.01)
    assert noise.minor_faults == 5 * intervals
    assert noise.cpu_s == pytest.approx(0.001 * intervals)
    assert noise.steal_s is None, "what was never read is not zero"
    assert Noise.model_validate_json(noise.model_dump_json()) == noise


def test_spikes_are_told_from_the_first_request_on():
    noise = noise_of(watched(), rows(60, slow=(10, 30)))
    assert [s.at_s for s in noise.spikes] == pytest.approx([0.02, 0.06])
    assert [s.times_median for s in noise.spikes] == pytest.approx([50, 50], rel=1e-3)
    assert noise_of(watched(), rows(60, slow=(10, 30)), spikes=False).spikes == ()


@pytest.mark.parametrize(("count", "spikes"), [(LEAST_FOR_SPIKES - 1, 0), (LEAST_FOR_SPIKES, 1)])
def test_few_requests_have_no_usual_latency(count, spikes):
    assert len(noise_of(watched(), rows(count, slow=(3,))).spikes) == spikes


def test_no_more_spikes_than_a_record_has_room_for():
    assert len(noise_of(watched(), rows(400, slow=range(0, 50, 2))).spikes) == MOST_SPIKES


def test_a_wait_for_others_is_no_spike_of_ones_own():
    table = rows(60)
    table[20, 1] += 80 * MS
    table[20, -1] += 80 * MS
    assert len(noise_of(watched(), table).spikes) == 1
    assert noise_of(watched(), table, queued=True).spikes == ()
    # And one that served slowly behind a wait is known by when its service began.
    late = rows(60, slow=(30,), wait=5 * MS)
    (spike,) = noise_of(watched(), late, queued=True).spikes
    assert spike.at_s == pytest.approx(0.06)
    assert spike.duration_s == pytest.approx(0.05, rel=1e-3)


def test_requests_in_a_lower_clock_state_of_the_gpu_are_marked_and_stay():
    noise = watched()
    clocks = noise.timeline.table[:, COLUMNS.index("gpu_clock_mhz")]
    clocks[:] = 1980
    clocks[40:60] = 1410
    noise.timeline.table[:, COLUMNS.index("gpu_clock_reasons")] = np.where(clocks < 1980, 4, 0)
    found = noise_of(noise, rows(400), backend="onnxruntime-cuda")
    assert found.gpu_clocks.mhz == (1410, 1980, 1980)
    assert found.gpu_clocks.reasons == ("the power cap",)
    # Readings from 400 to 590 ms; the first request is at 100 ms, and one comes every 2 ms.
    assert found.gpu_clocks.lower_requests == pytest.approx((600 - 390) / 2, abs=2)
    ((begin, end),) = found.gpu_clocks.lower_spans_s
    assert begin == pytest.approx(0.29, abs=0.003)
    assert end == pytest.approx(0.5, abs=0.003)
    (warning,) = [d for d in found.disturbances if d.code == "gpu-clock"]
    assert (
        "of 400 requests ran in a lower clock state of the GPU (1410 to 1980 MHz: the power cap); they are marked"
        in warning.text
    )
    assert Noise.model_validate_json(found.model_dump_json()) == found
    # On a CPU the GPU's clock is nobody's business.
    assert noise_of(noise, rows(400), backend="onnxruntime-cpu").gpu_clocks is None
