"""How long a trial is said to take: before it starts by the plan, then by the cells that ran, on a clock that is played."""

import pytest
from records import cell as record_of
from records import measured

from seatrial.cells.matrix import expand
from seatrial.cells.preflight import preflight
from seatrial.cells.watch import Watcher
from seatrial.history.records import Measurement, StageSummary
from seatrial.trial.forecast import (
    AFTER_S,
    COMPARISON_S,
    CONCLUDE_S,
    IMAGE_S,
    PREPARE_S,
    RUNS_ON_AT_1_PERCENT,
    START_S,
    WARM_UP_S,
    Forecast,
    ForetellingWatcher,
)
from seatrial.trial.run import run_trial

ONE = "\n  only:\n    model: model.fake.json\n    preprocess: {size: [8, 8]}\n    postprocess: {task: classify}"
# Of each cell, whatever its plan: the workspace has four images. And of a cell's median once more, beside budgets on time: no image
# is looked at for its results.
AGAIN_S = START_S + WARM_UP_S
EACH_S = AGAIN_S + AFTER_S + 4 * IMAGE_S
RUNS_ON = RUNS_ON_AT_1_PERCENT


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


def forecast_of(workspace, cores=2, clock=None, **parts):
    ready = preflight(workspace.load(**parts), False, lambda _: None)
    cells = expand(ready.plan, ready.models, len(ready.images), cores)
    return Forecast(ready, cells, clock or Clock()), cells


@pytest.mark.parametrize(
    ("parts", "cells_s"),
    [
        # A third for the warm-up, at most a second of it; then a part of the time, or all of it for a tail budget.
        ({"measure": "{max_time: 1 s}"}, [EACH_S - WARM_UP_S + 1 / 3 + RUNS_ON]),
        ({"measure": "{max_time: 60 s}"}, [EACH_S + RUNS_ON * 60]),
        # What is to be known less closely is known sooner.
        ({"measure": "{max_time: 60 s, precision: 4%}"}, [EACH_S + RUNS_ON / 2 * 60]),
        ({"measure": "{max_time: 60 s, precision: 0.1%}"}, [EACH_S + 60]),
        ({"measure": "{max_time: 60 s}", "budgets": "[{metric: latency, at: p50, max: 1 s}]"}, [EACH_S + RUNS_ON * 60, AGAIN_S + RUNS_ON * 60]),
        ({"measure": "{max_time: 60 s}", "budgets": "[{metric: latency, at: p99, max: 1 s}]"}, [EACH_S + 60, AGAIN_S + RUNS_ON * 60]),
        ({"measure": "{max_time: 60 s}", "budgets": "[{metric: model_size, max: 1 GiB}]"}, [EACH_S + RUNS_ON * 60]),
        # Only in the cells that the budget concerns, and without those that are skipped.
        (
            {
                "measure": "{max_time: 60 s}", "matrix": "{backends: [fake], batch_sizes: [1, 2], threads: [1, 999]}",
                "budgets": "[{metric: latency, at: p90, where: {batch: 2}, max: 1 s}]",
            },
            [EACH_S + RUNS_ON * 60, EACH_S + 60, AGAIN_S + RUNS_ON * 60],
        ),
    ],
)  # fmt: skip
def test_before_the_first_cell_it_is_the_plans(workspace, parts, cells_s):
    forecast, _ = forecast_of(workspace, pipelines=ONE, parity="", **parts)
    assert forecast.left_s() == pytest.approx(sum(cells_s) + CONCLUDE_S)


@pytest.mark.parametrize(("max_time_s", "each_s"), [(8, 8), (600, COMPARISON_S)])
def test_comparisons_come_behind_the_cells(workspace, max_time_s, each_s):
    asked = {"regression": f"{{against: baseline, max_time: {max_time_s} s}}"}
    (without, _), (with_it, _) = (forecast_of(workspace, **more) for more in ({}, asked))
    assert with_it.left_s() - without.left_s() == pytest.approx(each_s)
    with_it.compared()
    assert with_it.left_s() == without.left_s()


def test_reduced_models_are_made_once(workspace, monkeypatch):
    made = workspace.folder / "made"
    monkeypatch.setattr("seatrial.cells.prepare.variant_path", lambda *_: made)
    monkeypatch.setattr("seatrial.cells.prepare.why_not_whole", lambda path: "" if path.is_file() else None)
    monkeypatch.setattr("seatrial.cells.matrix.why_skipped", lambda *_: "")
    asked = {"matrix": "{backends: [fake], precisions: [fp32, int8], batch_sizes: [1, 2]}"}
    to_make, _ = forecast_of(workspace, **asked)
    made.touch()
    ready_made, _ = forecast_of(workspace, **asked)
    assert to_make.left_s() - ready_made.left_s() == pytest.approx(2 * PREPARE_S), "one a pipeline, for all its cells"
    to_make.prepared()
    assert to_make.left_s() == ready_made.left_s()


def ended(cell, measuring_s=1.0, request_s=0.01, status="ok"):
    """The record of a cell that measured for so long."""
    n = round(measuring_s / request_s)
    time = measured(request_s, n=n)
    whole = StageSummary(mean=time, p50=time, p90=time, p95=time, p99=time, share=1.0)
    fields = {"measurement": Measurement(stages={"end_to_end": whole})} if status == "ok" else {}
    return record_of(cell.pipeline, cell.backend, cell.precision, cell.batch, cell.threads, status=status, **fields)


def test_then_what_is_around_a_measurement_is_as_in_the_cells_like_it(workspace):
    """Where every cell measures for the whole of its time, all else is what they differ in."""
    parts = {"matrix": "{backends: [fake], batch_sizes: [1, 2], threads: [1, 2]}", "measure": "{max_time: 60 s}"}
    forecast, cells = forecast_of(workspace, budgets="[{metric: latency, at: p99, max: 1 s, where: {pipeline: [baseline, candidate]}}]", **parts)  # fmt: skip
    forecast.repeated()
    by_id = {c.id.removeprefix("baseline.fake.fp32."): c for c in cells if c.pipeline == "baseline"}

    def left_after(name, seconds):
        forecast.ran(by_id[name], ended(by_id[name], 60), 60 + seconds)
        return forecast.left_s() - 60 * (8 - len(forecast._ran)) - CONCLUDE_S

    assert left_after("b1.t1", 1.0) == pytest.approx(7 * 1.0), "the only one that is known"
    # Of batch 1 three are left, of batch 2 as many.
    assert left_after("b2.t1", 10.0) == pytest.approx(3 * 1.0 + 3 * 10.0)
    # Those of batch 2 that are left are the other pipeline's: with one thread, and with two.
    assert left_after("b2.t2", 20.0) == pytest.approx(3 * 1.0 + 10.0 + 20.0)


def test_how_many_measurements_run_on_is_taken_from_all_cells(workspace):
    """Of ten cells that are alike, four ended with the fewest requests: that the last one ran on says little of the next."""
    parts = {"matrix": "{backends: [fake], threads: [1, 2, 3, 4, 5]}", "measure": "{max_time: 10 s, min_samples: 100}"}
    forecast, cells = forecast_of(workspace, cores=8, **parts)
    for cell, measuring_s in zip(cells[:5], (1, 10, 1, 1, 10), strict=True):
        forecast.ran(cell, ended(cell, measuring_s), measuring_s + 2)
    ran_on = (3 * RUNS_ON + 2) / (3 + 5)
    assert forecast.left_s() == pytest.approx(5 * (2 + 1 + ran_on * 9) + CONCLUDE_S)


def test_the_fewest_requests_of_a_larger_batch_take_longer(workspace):
    parts = {"matrix": "{backends: [fake], batch_sizes: [1, 4]}", "measure": "{max_time: 10 s, min_samples: 100}"}
    forecast, (first, second, *rest) = forecast_of(workspace, pipelines=ONE, **parts)
    assert not rest
    forecast.ran(first, ended(first, 1.0), 3.0)
    ran_on = 3 * RUNS_ON / 4
    assert forecast.left_s() == pytest.approx(2 + 4 + ran_on * 6 + CONCLUDE_S)
    assert second.batch == 4


def test_cells_like_those_that_failed_are_taken_to_fail(workspace):
    forecast, cells = forecast_of(workspace, matrix="{backends: [fake], threads: [1, 2]}")
    forecast.ran(cells[0], ended(cells[0], status="failed"), 0.5)
    assert forecast.left_s() == pytest.approx(3 * 0.5 + CONCLUDE_S)


def test_while_a_cell_runs_it_is_known_better(workspace):
    clock = Clock()
    forecast, (cell,) = forecast_of(workspace, clock=clock, pipelines=ONE, measure="{max_time: 10 s}")
    told = []
    watcher = Watcher()
    watcher.expects = told.append
    foretelling = ForetellingWatcher(watcher, forecast)
    behind = AFTER_S + 4 * IMAGE_S + CONCLUDE_S

    def tell(seconds, step, share):
        clock.now += seconds
        foretelling.step(cell, step, share)
        return told[-1]

    forecast.began(cell)
    assert tell(0.5, "loading", 0.0) == pytest.approx(START_S - 0.5 + WARM_UP_S + RUNS_ON * 10 + behind)
    # A load that takes longer than any before costs what it takes.
    assert tell(30, "loading", 0.0) == pytest.approx(RUNS_ON * 10 + behind)
    assert tell(2, "measuring", 0.2) == pytest.approx(RUNS_ON * 10 - 2 + behind)
    assert tell(7.5, "measuring", 0.95) == pytest.approx(0.5 + behind), "it runs on"
    assert tell(0, "collecting results", 1.0) == pytest.approx(behind)
    assert tell(0.5, "collecting results", 1.0) == pytest.approx(behind - 0.5)
    # What comes behind the cell is told in steps of its own, of which nobody knows how far they are.
    assert len(told) == 6
    forecast.ran(cell, ended(cell, 9.5), 42.0)
    foretelling.step(cell, "measuring again, for the noise floor", 0.5)
    assert len(told) == 6


def test_the_first_cell_tells_how_long_others_take_to_begin(workspace):
    clock = Clock()
    forecast, (cell, _) = forecast_of(workspace, clock=clock, measure="{max_time: 10 s}")
    forecast.began(cell)
    clock.now += 9
    forecast.step(cell, "measuring", 0.2)
    after_s = AFTER_S + 4 * IMAGE_S
    assert forecast.left_s() == pytest.approx(2 * RUNS_ON * 10 - 2 + 7 + 2 * after_s + CONCLUDE_S)


class Machine:
    """A trial played on a clock: sixteen cells, whose measurements end at their least or run on as a coin falls."""

    def __init__(self, forecast, cells, clock, ran_on):
        self.forecast, self.cells, self.clock, self.ran_on = forecast, cells, clock, ran_on
        self.said = []

    def wait(self, seconds):
        self.clock.now += seconds
        self.said.append((self.clock.now, self.forecast.left_s()))

    def play(self, max_time_s, min_samples):
        self.said = [(self.clock.now, self.forecast.left_s())]
        for cell, on in zip(self.cells, self.ran_on, strict=True):
            request_s = 0.012 * cell.batch
            measuring_s = max_time_s if on else min(max_time_s, min_samples * request_s)
            began = self.clock.now
            self.forecast.began(cell)
            self.wait(1.9)
            for k in range(1, 11):
                share = measuring_s / max_time_s * k / 10
                self.forecast.step(cell, "measuring", share)
                self.wait(measuring_s / 10)
            self.forecast.step(cell, "collecting results", 1.0)
            self.wait(1.1)
            self.forecast.ran(cell, ended(cell, measuring_s, request_s), self.clock.now - began)
        self.wait(1.9 + 1.0)
        self.forecast.repeated()
        self.wait(CONCLUDE_S)
        return self.said

    def error_at(self, part):
        """How far what was said was from what was left, at this part of the way."""
        (begin, _), (end, _) = self.said[0], self.said[-1]
        at = begin + part * (end - begin)
        when, left_s = [s for s in self.said if s[0] <= at][-1]
        return (left_s - (at - when)) / (end - at) - 1


COINS = {
    "a quiet machine": [0] * 16,
    "a busy one": [1] * 16,
    "as it was seen": [0, 1, 1, 1, 0, 1, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0],
    "and with the first half noisier": [1, 0, 1, 1, 1, 0, 1, 1, 0, 1, 0, 0, 0, 1, 0, 0],
}


@pytest.mark.parametrize("coins", COINS.values(), ids=COINS)
@pytest.mark.parametrize("part", [0.25, 0.5, 0.75])
def test_from_a_quarter_on_it_is_right_to_a_fifth(workspace, coins, part):
    clock = Clock()
    parts = {"matrix": "{backends: [fake], batch_sizes: [1, 4], threads: [1, 2, 3, 4]}", "measure": "{max_time: 3 s, min_samples: 40, precision: 5%}"}  # fmt: skip
    forecast, cells = forecast_of(
        workspace, cores=4, clock=clock, budgets="[{metric: latency, at: p50, max: 1 s}]", **parts
    )
    machine = Machine(forecast, cells, clock, coins)
    machine.play(3, 40)
    assert abs(machine.error_at(part)) < 0.2, machine.said


def test_a_resumed_trial_goes_by_the_cells_of_before(workspace):
    forecast, cells = forecast_of(workspace, matrix="{backends: [fake], threads: [1, 2]}", measure="{max_time: 10 s}")
    resumed = carried_on(forecast, cells, 2)
    ran_on = (3 * RUNS_ON + 2) / 5
    least = 50 * 0.01
    assert resumed.left_s() == pytest.approx(2 * (5 + least + ran_on * (10 - least)) + CONCLUDE_S)


def carried_on(forecast, cells, count):
    """After so many of the cells."""
    resumed = Forecast(forecast.ready, cells, Clock(), {c.id for c in cells[:count]})
    for cell in cells[:count]:
        resumed.ran(cell, ended(cell, 10), 15.0)
    return resumed


def test_a_resumed_trial_measures_a_cell_of_before_again(workspace):
    """The noise floor is of the first cell that a budget is about, whenever that ran."""
    parts = {"matrix": "{backends: [fake], batch_sizes: [1, 2]}", "measure": "{max_time: 10 s}"}
    with_floor, cells = forecast_of(
        workspace, budgets="[{metric: latency, at: p50, where: {batch: 1}, max: 1 s}]", **parts
    )
    without, _ = forecast_of(workspace, **parts)
    more = carried_on(with_floor, cells, 1).left_s() - carried_on(without, cells, 1).left_s()
    assert more > 5


@pytest.mark.slow
def test_a_trial_says_what_is_left_and_in_the_end_nothing(workspace):
    watcher, told = Watcher(), []
    watcher.begins = lambda cells, done, images, expected_s: told.append(expected_s)
    watcher.expects = told.append
    run_trial(
        workspace.load(matrix="{backends: [fake], threads: [1, 4096]}"), workspace.folder / "results", watcher=watcher
    )
    assert len(told) > 1 + 1 + 4 + 2
    assert told[0] > told[-1] == CONCLUDE_S
