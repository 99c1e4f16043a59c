"""NVML on a card: what a simulated library cannot show. Each test is skipped, with its reason, where there is none."""

import time

import pytest

from seatrial.loads.energy import Span, energy_of, power_of
from seatrial.machine.gpu_clocks import locked_clocks
from seatrial.machine.nvml import Nvml, NvmlUnavailableError
from seatrial.noise.gpu import GPU_COLUMNS
from seatrial.noise.watch import NoiseWatch

pytestmark = pytest.mark.gpu


@pytest.fixture
def device():
    try:
        nvml = Nvml()
    except NvmlUnavailableError as e:
        pytest.skip(str(e))
    with nvml:
        try:
            yield nvml.used_device()
        except NvmlUnavailableError as e:
            pytest.skip(str(e))


def test_the_facts_are_told_or_refused_with_a_reason(device):
    facts = device.facts()
    print(facts)
    for name in ("name", "uuid", "memory_bytes", "persistence", "ecc", "mig", "power_limit_w", "sm_clock_mhz"):
        assert getattr(facts, name) is not None or facts.missing[name]
    assert facts.name
    assert facts.memory_bytes is None or facts.memory_bytes > 1 << 30


def test_the_watch_reads_the_card(device):
    import os

    with NoiseWatch(os.getpid()) as watch:
        time.sleep(1)
    timeline = watch.report().timeline
    told = {name for name in GPU_COLUMNS if timeline.column(name) is not None}
    print(told, f"{watch.report().own_cost_s / watch.report().watched_s:.2%} of a core")
    assert "gpu_clock_mhz" in told
    # Reading it must not disturb what it watches.
    assert watch.report().own_cost_s < 0.05 * watch.report().watched_s


def test_the_counters_power_agrees_with_the_drivers(device):
    """At rest both are the same, but for the sensor's averaging: within a tenth, or 10 W."""
    import numpy as np

    if device.read().energy_mj is None:
        pytest.skip(f"the energy counter: {device.missing['energy_mj']}")
    times, energy, watts = [], [], []
    end = time.monotonic() + 10
    while time.monotonic() < end:
        r = device.read()
        times.append(time.monotonic_ns())
        energy.append(r.energy_mj)
        watts.append(r.power_mw or np.nan)
        time.sleep(0.005)
    t, c = np.array(times), np.array(energy)
    moves = np.diff(t[np.flatnonzero(np.diff(c)) + 1]) / 1e6
    print(f"the counter moves every {np.median(moves):.0f} ms, by {np.median(np.diff(c)[np.diff(c) > 0]):.0f} mJ")
    power = power_of(t, c, int(t[0]), int(t[-1]))
    assert power is not None
    assert abs(power.watts - np.nanmean(watts) / 1e3) <= max(10.0, 0.1 * power.watts)
    spans = [
        Span(int(a), int(b), 100)
        for a, b in zip(np.linspace(t[0], t[-1], 5)[:-1], np.linspace(t[0], t[-1], 5)[1:], strict=True)
    ]
    print(energy_of(t, c, spans, None))


def test_clocks_are_held_where_it_is_permitted_and_let_go(device):
    highest = device.facts().max_sm_clock_mhz
    if highest is None:
        pytest.skip(f"the highest clock: {device.missing['max_sm_clock_mhz']}")
    with locked_clocks(device, highest) as lock:
        print(lock)
        assert lock.held or lock.why
