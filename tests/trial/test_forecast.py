"""How long a trial is said to take: before it starts by the plan, then by the cells that ran."""

import pytest

from seatrial.cells.matrix import expand
from seatrial.cells.preflight import preflight
from seatrial.cells.watch import Watcher
from seatrial.trial.forecast import COMPARISON_S, EARLY, IMAGE_S, PREPARE_S, START_S, WARM_UP_S, Forecast
from seatrial.trial.run import run_trial

ONE = "\n  only:\n    model: model.fake.json\n    preprocess: {size: [8, 8]}\n    postprocess: {task: classify}"
# Of each cell, whatever its plan: the workspace has four images.
EACH_S = START_S + 4 * IMAGE_S
# A cell's median once more, beside budgets on time: no image is looked at for its results.
AGAIN_S = START_S + WARM_UP_S + EARLY * 60


def forecast_of(workspace, cores=2, **parts):
    ready = preflight(workspace.load(**parts), False, lambda _: None)
    cells = expand(ready.plan, ready.models, len(ready.images), cores)
    return Forecast(ready, cells), cells


@pytest.mark.parametrize(
    ("parts", "cells_s"),
    [
        # A third for the warm-up, at most a second of it; then a part of the time, or all of it for a tail budget.
        ({"measure": "{max_time: 1 s}"}, [EACH_S + 1 / 3 + EARLY]),
        ({"measure": "{max_time: 60 s}"}, [EACH_S + WARM_UP_S + EARLY * 60]),
        ({"measure": "{max_time: 60 s}", "budgets": "[{metric: latency, at: p50, max: 1 s}]"}, [EACH_S + WARM_UP_S + EARLY * 60, AGAIN_S]),
        ({"measure": "{max_time: 60 s}", "budgets": "[{metric: latency, at: p99, max: 1 s}]"}, [EACH_S + WARM_UP_S + 60, AGAIN_S]),
        ({"measure": "{max_time: 60 s}", "budgets": "[{metric: model_size, max: 1 GiB}]"}, [EACH_S + WARM_UP_S + EARLY * 60]),
        # Only in the cells that the budget concerns, and without those that are skipped.
        (
            {
                "measure": "{max_time: 60 s}", "matrix": "{backends: [fake], batch_sizes: [1, 2], threads: [1, 999]}",
                "budgets": "[{metric: latency, at: p90, where: {batch: 2}, max: 1 s}]",
            },
            [EACH_S + WARM_UP_S + EARLY * 60, EACH_S + WARM_UP_S + 60, AGAIN_S],
        ),
    ],
)  # fmt: skip
def test_before_the_first_cell_it_is_the_plans(workspace, parts, cells_s):
    forecast, _ = forecast_of(workspace, pipelines=ONE, parity="", **parts)
    assert forecast.left_s() == pytest.approx(sum(cells_s))


@pytest.mark.parametrize(("max_time_s", "each_s"), [(8, 8), (600, COMPARISON_S)])
def test_comparisons_come_behind_the_cells(workspace, max_time_s, each_s):
    asked = {"regression": f"{{against: baseline, max_time: {max_time_s} s}}"}
    without, with_it = (forecast_of(workspace, **more)[0].left_s() for more in ({}, asked))
    assert with_it - without == pytest.approx(each_s)


def test_reduced_models_are_made_once(workspace, monkeypatch):
    made = workspace.folder / "made"
    monkeypatch.setattr("seatrial.cells.prepare.variant_path", lambda *_: made)
    monkeypatch.setattr("seatrial.cells.matrix.why_skipped", lambda *_: "")
    asked = {"matrix": "{backends: [fake], precisions: [fp32, int8], batch_sizes: [1, 2]}"}
    to_make, _ = forecast_of(workspace, **asked)
    made.touch()
    ready_made, _ = forecast_of(workspace, **asked)
    assert to_make.left_s() - ready_made.left_s() == pytest.approx(2 * PREPARE_S), "one a pipeline, for all its cells"
    to_make.prepared()
    assert to_make.left_s() == ready_made.left_s()


def test_then_a_cell_takes_as_long_as_those_like_it(workspace):
    matrix = "{backends: [fake], batch_sizes: [1, 2], threads: [1, 2]}"
    forecast, cells = forecast_of(workspace, matrix=matrix)
    by_id = {c.id.removeprefix("baseline.fake.fp32."): c for c in cells if c.pipeline == "baseline"}
    forecast.ran(by_id["b1.t1"], 1.0)
    assert forecast.left_s() == pytest.approx(7 * 1.0), "the only one that is known"
    forecast.ran(by_id["b2.t1"], 10.0)
    # Of batch 1 three are left, of batch 2 as many.
    assert forecast.left_s() == pytest.approx(3 * 1.0 + 3 * 10.0)
    forecast.ran(by_id["b2.t2"], 20.0)
    # Those of batch 2 that are left are the other pipeline's: with one thread, and with two.
    assert forecast.left_s() == pytest.approx(3 * 1.0 + 10.0 + 20.0)


def test_a_trial_says_what_is_left_and_in_the_end_nothing(workspace):
    watcher, told = Watcher(), []
    watcher.begins = lambda cells, done, images, expected_s: told.append(expected_s)
    watcher.expects = told.append
    run_trial(
        workspace.load(matrix="{backends: [fake], threads: [1, 4096]}"), workspace.folder / "results", watcher=watcher
    )
    assert len(told) == 1 + 1 + 4
    assert told[0] > told[-1] == 0
