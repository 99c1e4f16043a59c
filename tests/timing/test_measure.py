"""The measuring loop on a scripted iteration: when it stops, what it keeps."""

import gc

import numpy as np
import pytest

from seatrial._native.timing import PythonWork, StageSamples, now_ns
from seatrial.timing.environment import disturbances, environment, fingerprint, peak_memory_bytes
from seatrial.timing.measure import StopRule, image_order, measure


def spin(microseconds):
    deadline = now_ns() + int(microseconds * 1000)
    while now_ns() < deadline:
        pass


def quiet(share):
    assert share >= 0


def measure_python(iterate, stages, rule, tell):
    return measure(PythonWork(iterate), stages, rule, tell)


def test_it_stops_once_the_median_is_known():
    result = measure_python(lambda lap: (spin(200), lap()), 1, StopRule(20_000_000_000, 30, 0.5), quiet)
    assert result.converged
    assert 30 <= len(result.table_ns) < 2000
    assert result.warm_up >= 40
    assert np.median(result.table_ns[:, 1]) >= 200_000


def test_it_stops_at_its_time_and_says_so():
    state = np.random.default_rng(0)
    result = measure_python(lambda lap: (spin(state.choice([50, 5000])), lap()), 1, StopRule(150_000_000, 10, 1e-6), quiet)
    assert not result.converged
    assert result.elapsed_ns >= 150_000_000
    assert len(result.table_ns) >= 10


def test_tail_budgets_keep_it_going():
    rule = StopRule(20_000_000_000, 10, 0.9, ((2, 0.95, 59),))
    assert len(measure_python(lambda lap: (spin(100), lap()), 1, rule, quiet).table_ns) >= 59


def test_the_collector_is_paused_and_comes_back():
    seen = []
    measure_python(lambda lap: (seen.append(gc.isenabled()), spin(50), lap()), 1, StopRule(20_000_000, 5, 0.9), quiet)
    assert seen[-1] is False
    assert gc.isenabled()
    with pytest.raises(ZeroDivisionError):
        measure_python(lambda lap: 1 / 0, 1, StopRule(20_000_000, 5, 0.9), quiet)
    assert gc.isenabled()


def test_every_image_comes_once_a_round_in_changing_order():
    order = image_order(5, seed=3)
    rounds = [[next(order) for _ in range(5)] for _ in range(6)]
    assert all(sorted(r) == list(range(5)) for r in rounds)
    assert len({tuple(r) for r in rounds}) > 1
    again = image_order(5, seed=3)
    assert [next(again) for _ in range(5)] == rounds[0]


@pytest.mark.parametrize(
    ("first", "second", "agree"),
    [
        (np.full(20, 10.0), np.full(20, 10.0), True),
        (np.linspace(30, 10, 20), np.full(20, 10.0), False),  # still falling
        (np.full(20, 12.0), np.full(20, 10.0), False),
        (np.full(20, 10.2), np.full(20, 10.0), False),  # first value outside a window without any spread
        (np.linspace(9.9, 10.1, 20), np.linspace(10.1, 9.9, 20), True),
    ],
)
def test_warm_up_ends_when_two_windows_agree(first, second, agree):
    assert windows_agree(first, second) == agree


def test_the_environment_names_the_machine_and_its_disturbances():
    facts = environment()
    assert facts["cores"] >= 1
    assert facts["fingerprint"] == fingerprint()
    assert facts["packages"]["numpy"]
    assert peak_memory_bytes() > 10 << 20
    calm = facts | {
        "load_1min": 0.0,
        "governor": "performance",
        "smt": "off",
        "virtual": False,
        "cores": 8,
        "cgroup_cpu_limit": None,
    }
    assert disturbances(calm) == []
    for change, words in [
        ({"load_1min": 7.9}, "other work"),
        ({"governor": "powersave"}, "governor"),
        ({"smt": "on"}, "hyper-threading"),
        ({"virtual": True}, "virtual machine"),
        ({"cores": 1}, "one core"),
        ({"cgroup_cpu_limit": 1.5}, "container limit"),
    ]:
        found = disturbances(calm | change)
        assert words in found[0].what
        assert found[0].cure
