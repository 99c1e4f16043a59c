"""The measuring loop on a scripted iteration: when it stops, what it keeps."""

import gc

import numpy as np
import pytest

from seatrial._native.timing import PythonWork, SpinWork, StageSamples, now_ns
from seatrial.machine.environment import disturbances, environment, fingerprint, peak_memory_bytes
from seatrial.stats.sample import percentile_estimate
from seatrial.stats.share import requests_needed
from seatrial.stats.stopping import Look, StoppingRule
from seatrial.timing.measure import STEADY_NS, _Level, image_order, measure, warm_up


def spin(microseconds):
    deadline = now_ns() + int(microseconds * 1000)
    while now_ns() < deadline:
        pass


def quiet(share):
    assert share >= 0


def median_known(first_look, precision, **more):
    return StoppingRule("median", precision, first_look, **more)


def measure_python(iterate, stages, max_time_ns, rule, tell):
    return measure(PythonWork(iterate), stages, max_time_ns, rule, tell)


def test_it_stops_once_the_median_is_known():
    result = measure_python(lambda lap: (spin(200), lap()), 1, 20_000_000_000, median_known(30, 0.5), quiet)
    assert result.converged
    assert 30 <= len(result.table_ns) < 2000
    assert result.warm_up >= 40
    assert np.median(result.table_ns[:, 1]) >= 200_000


def test_it_stops_at_its_time_and_says_so():
    state = np.random.default_rng(0)
    result = measure_python(
        lambda lap: (spin(state.choice([50, 5000])), lap()), 1, 150_000_000, median_known(10, 1e-6), quiet
    )
    assert not result.converged
    assert result.elapsed_ns >= 150_000_000
    assert len(result.table_ns) >= 1


def test_a_percentile_that_was_asked_for_keeps_it_going_until_it_has_a_bound():
    rule = median_known(10, 0.9, tails=[(2, 0.95)], longest_run=4)
    table = measure_python(lambda lap: (spin(100), lap()), 1, 20_000_000_000, rule, quiet).table_ns
    assert len(table) >= requests_needed(0.95, 0.95, unseen=0.95 * 4) == 274
    assert percentile_estimate(table[:, 2], 0.95, longest_run=4).high is not None


@pytest.mark.slow
def test_a_tail_budget_has_its_whole_time_however_well_the_median_is_known(monkeypatch):
    monkeypatch.setattr(StoppingRule, "spend", lambda *_: Look(enough=True, alpha=0.025, centre=20_000, half_width=0))
    result = measure(SpinWork(20_000), 1, 100_000_000, median_known(1, 0.9, whole_time=True), quiet)
    assert (result.ended, result.converged) == ("deadline", True)
    assert result.elapsed_ns >= 100_000_000
    assert measure(SpinWork(20_000), 1, 100_000_000, median_known(1, 0.9), quiet).ended == "converged"


def test_a_gap_separates_each_request_from_the_next_and_is_not_its_time(monkeypatch):
    # Words of progress come more often than gaps end: they must not cut one short.
    monkeypatch.setattr("seatrial.timing.measure.WORD_NS", 1_000_000)
    gap_ns, service_ns = 3_000_000, 200_000
    table = measure(SpinWork(service_ns), 1, 150_000_000, median_known(12, 1e-9), quiet, gap_ns=gap_ns).table_ns
    ends, starts = table[:-1, 0] + table[:-1, -1], table[1:, 0]
    assert (starts - ends >= gap_ns).all()
    assert len(table) <= 150_000_000 / (gap_ns + service_ns) + 1
    # On any machine some request is not disturbed: its time has no gap in it.
    assert table[:, -1].min() < gap_ns


def test_a_gap_longer_than_the_time_ends_with_it():
    result = measure(SpinWork(1000), 1, 60_000_000, median_known(5, 1e-9), quiet, gap_ns=3_600_000_000_000)
    assert (result.ended, len(result.table_ns)) == ("deadline", 1)
    assert warm_up(SpinWork(1000), 1, 20_000_000, 3_600_000_000_000).count == 1


def stepping(step_s, factor):
    """Requests of 20 ms, until so long after the first; then of that factor of it."""
    began_ns = []

    def iterate(lap):
        began_ns.append(began_ns[0] if began_ns else now_ns())
        spin(20_000 * (factor if now_ns() - began_ns[0] >= step_s * 1e9 else 1))
        lap()

    return PythonWork(iterate)


def test_a_warm_up_lasts_until_kernels_that_may_change_have_kept_their_level():
    began = now_ns()
    found = warm_up(stepping(0.9, 0.02), 1, 60_000_000_000, level_of=1)
    assert found.steady
    assert now_ns() - began >= 900_000_000 + 0.5 * STEADY_NS


def test_a_warm_up_without_the_time_for_a_level_says_so():
    assert not warm_up(SpinWork(1000), 1, STEADY_NS // 3, level_of=1).steady
    assert warm_up(SpinWork(1000), 1, STEADY_NS // 3).steady, "where nothing can change it, nobody asks"
    assert not measure(SpinWork(1000), 1, STEADY_NS // 3, median_known(1, 0.9), quiet, level_of=1).steady


@pytest.mark.parametrize(
    ("took_ns", "kept"),
    [
        ([1_000_000] * 1100, True),
        ([1_000_000] * 900, False),
        ([2_000_000] * 100 + [1_000_000] * 900, False),
        ([2_000_000] * 100 + [1_000_000] * 1100, True),
        # Longer than a second, in fewer than 80 requests.
        ([100_000_000] * 70, False),
        ([100_000_000] * 90, True),
    ],
)
def test_a_level_is_kept_for_a_second_and_eighty_requests(took_ns, kept):
    starts = np.cumsum(took_ns) - took_ns[0]
    assert _Level(0).is_kept(np.stack([starts, took_ns], axis=1)) == kept


def test_the_level_is_of_the_stage_that_was_named():
    """Images grow, and the model's time does not."""

    def iterate(lap, runs=[0]):  # noqa: B006
        runs[0] += 1
        spin(100 * 1.002 ** runs[0])
        lap()
        spin(1000)
        lap()

    assert warm_up(PythonWork(iterate), 2, 30_000_000_000, level_of=2).steady


def test_samples_go_to_the_table_that_was_given_and_others_can_read_it():
    capacity = 1 << 12
    memory = bytearray(8 * StageSamples.words(capacity, 1))
    shared = StageSamples(capacity, 1, memory)
    seen = []
    result = measure(
        SpinWork(100_000), 1, 500_000_000, median_known(30, 1e-9),
        lambda share: seen.append(len(StageSamples.read(memory, 1))), samples=shared,
    )  # fmt: skip
    assert len(result.table_ns) == len(shared)
    assert np.array_equal(StageSamples.read(memory, 1), result.table_ns)
    assert seen == sorted(seen), "rows are there while it runs, not only at the end"
    assert seen[0] > 0


def test_a_full_table_ends_it_and_keeps_every_row():
    result = measure(SpinWork(20_000), 1, 20_000_000_000, median_known(10, 1e-9), quiet, samples=StageSamples(64, 1))
    assert (result.ended, result.converged, len(result.table_ns)) == ("full", False, 64)
    assert result.elapsed_ns < 20_000_000_000
    assert (np.diff(result.table_ns[:, 0]) > 0).all()


def test_a_request_that_fails_leaves_the_rows_before_it_in_the_shared_table():
    shared = StageSamples(1 << 10, 1)

    def fails_late(lap):
        if len(shared) == 10:
            raise ZeroDivisionError
        lap()

    with pytest.raises(ZeroDivisionError):
        measure(PythonWork(fails_late), 1, 5_000_000_000, median_known(200, 1e-9), quiet, samples=shared)
    assert len(shared) == 10


def test_the_collector_is_paused_and_comes_back():
    seen = []
    measure_python(
        lambda lap: (seen.append(gc.isenabled()), spin(50), lap()), 1, 20_000_000, median_known(5, 0.9), quiet
    )
    assert seen[-1] is False
    assert gc.isenabled()
    with pytest.raises(ZeroDivisionError):
        measure_python(lambda lap: 1 / 0, 1, 20_000_000, median_known(5, 0.9), quiet)
    assert gc.isenabled()


def test_every_image_comes_once_a_round_in_changing_order():
    order = image_order(5, seed=3)
    rounds = [[next(order) for _ in range(5)] for _ in range(6)]
    assert all(sorted(r) == list(range(5)) for r in rounds)
    assert len({tuple(r) for r in rounds}) > 1
    again = image_order(5, seed=3)
    assert [next(again) for _ in range(5)] == rounds[0]


def test_the_environment_names_the_machine_and_its_disturbances():
    facts = environment()
    assert facts["cores"] >= 1
    assert facts["fingerprint"] == fingerprint()
    assert facts["packages"]["numpy"]
    assert peak_memory_bytes() > 10 << 20
    calm = facts | {
        "load_1min": 0.0,
        "busy_cores": None,
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
        assert words in found[0].text
        assert found[0].cure
