"""Requests that come when they are due: each once, what ends it, and what the watcher beside it may do."""

import gc
import os
import threading

import numpy as np
import pytest
from workloads import load_task

from seatrial._native.timing import PythonWork, SpinWork, StageSamples, now_ns
from seatrial.loads.server import LEAD_NS, beside, due_times, serve
from seatrial.loads.task import Load


@pytest.fixture
def task(workspace):
    def call(**fields):
        return load_task(workspace.folder / "model.fake.json", Load(scenario="server", **fields))

    return call


@pytest.mark.parametrize(
    ("fields", "rate", "due_s"),
    [
        ({"arrivals": "constant"}, 4.0, [0, 0.25, 0.5, 0.75]),
        ({"arrivals": "constant"}, 0.1, [0]),
        ({"arrivals": "trace", "arrivals_s": (5.0, 5.25, 5.5)}, 99.0, [0, 0.25, 0.5, 0.75, 1.0]),
        ({"arrivals": "trace", "arrivals_s": (5.0, 5.0)}, 99.0, [0, 0]),
        ({"arrivals": "trace", "arrivals_s": (0.0, 7.0)}, 99.0, [0]),
    ],
)
def test_when_they_are_due(task, fields, rate, due_s):
    found = due_times(task(**fields), rate, 1.0, 0)
    assert found.dtype == np.int64
    assert (found / 1e9).tolist() == pytest.approx(due_s)


def test_independent_users_come_in_an_order_of_their_seed(task):
    poisson = task(arrivals="poisson")
    found = [due_times(poisson, 1000.0, 1.0, seed).tolist() for seed in (1, 1, 2)]
    assert found[0] == found[1] != found[2]
    assert found[0] == sorted(found[0])
    # Four standard deviations of a Poisson count.
    assert abs(len(found[0]) - 1000) < 4 * 1000**0.5


@pytest.mark.parametrize("servers", [1, 3])
@pytest.mark.parametrize("due_ns", [[0], [0, 0, 0], [0, 1_000_000, 2_000_000, 2_000_000]])
def test_each_request_is_served_once_and_not_before_it_is_due(servers, due_ns):
    tables = [StageSamples(16, 2) for _ in range(servers)]
    ended, first_ns = serve([SpinWork() for _ in tables], tables, np.array(due_ns, np.int64), lambda _: None, set())
    rows = np.concatenate([t.to_array() for t in tables])
    assert sorted((rows[:, 0] - first_ns).tolist()) == due_ns
    assert (rows[:, 1] >= 0).all()
    assert ended == "count"


def test_a_table_that_is_full_ends_it():
    table = StageSamples(2, 2)
    ended, _ = serve([SpinWork()], [table], np.zeros(5, np.int64), lambda _: None, set())
    assert (ended, len(table)) == ("full", 2)


def test_shares_of_the_time_are_told_while_it_goes_on():
    told, heard = [], threading.Event()

    def until_it_is_told(lap):
        assert heard.wait(60)
        lap()

    def tell(share):
        told.append(share)
        heard.set()

    ended, _ = serve([PythonWork(until_it_is_told)], [StageSamples(8, 2)], np.array([0, 1_000_000]), tell, set())
    assert ended == "count"
    assert told
    assert told == sorted(told)
    assert all(0 <= share <= 1 for share in told)


def test_who_watches_is_on_the_spare_cores_and_back_again():
    before = os.sched_getaffinity(0)
    spare, seen, polled = {max(before)}, [], threading.Event()

    def poll():
        seen.append(os.sched_getaffinity(0))
        polled.set()

    assert beside(lambda: f"{threading.current_thread().name} {polled.wait(60)}", poll, spare) == "seatrial-load True"
    assert all(cores == spare for cores in seen)
    assert os.sched_getaffinity(0) == before
    assert not threading.current_thread().name.startswith("seatrial"), "the loop had a thread of its own"


@pytest.mark.parametrize("error", [RuntimeError("it broke"), MemoryError(), KeyboardInterrupt()])
def test_what_the_loop_raises_is_raised_here(error):
    before = os.sched_getaffinity(0)

    def loop():
        raise error

    with pytest.raises(type(error)) as caught:
        beside(loop, lambda: None, {max(before)})
    assert caught.value is error
    assert os.sched_getaffinity(0) == before


def test_no_request_waits_for_the_harness_to_collect_its_garbage():
    """Collection before the load takes longer than the lead; it must be over when the clock is set."""
    ends_ns = []

    def note(phase, _info):
        if phase == "stop":
            ends_ns.append(now_ns())

    gc.callbacks.append(note)
    try:
        _, first_ns = serve([SpinWork()], [StageSamples(8, 2)], np.array([0]), lambda _: None, set())
    finally:
        gc.callbacks.remove(note)
    assert ends_ns
    assert first_ns - LEAD_NS >= ends_ns[0]
