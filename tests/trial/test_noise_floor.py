"""One cell once more, in a second process, and what that says beside budgets on time."""

import numpy as np
import pytest
import records

from seatrial.cells.watch import Watcher
from seatrial.errors import ExitCode
from seatrial.gate.budgets import judge_budget
from seatrial.history.find import load_record
from seatrial.history.records import Measured, NoiseFloor
from seatrial.plan.budgets import Budget
from seatrial.plan.models import Plan
from seatrial.stages import PIPELINE_STAGES
from seatrial.trial.noise_floor import MOST, floor_of
from seatrial.trial.run import run_trial

ONE = "\n  only:\n    model: model.fake.json\n    preprocess: {size: [8, 8], mode: stretch}\n    postprocess: {task: classify}"
RNG = np.random.default_rng(0)


def table(scale=1.0, n=400, spread=0.0):
    """(n, 1 + stages + 1) int64 ns: 1, 2, 3 and 4 ms times `scale`."""
    stages = np.array([1e6, 2e6, 3e6, 4e6]) * scale * np.exp(spread * RNG.normal(size=(n, 4)))
    return np.column_stack([np.arange(n) * 2e7, stages, stages.sum(axis=1)]).astype(np.int64)


def cell(table_ns):
    return records.cell(measurement=records.measurement(table_ns))


def test_constant_times_differ_by_their_ratio_whichever_is_longer():
    for first, again in ((1.0, 1.1), (1.1, 1.0)):
        floor = floor_of(cell(table(first)), table(again), 20)
        assert not floor.at_least
        assert floor.cell == "only.fake.fp32.b1.t1"
        assert floor.shares == pytest.approx(dict.fromkeys((*PIPELINE_STAGES, "end_to_end"), 0.1))
        assert floor.again.value == pytest.approx(again * 0.01)


def test_what_the_medians_are_not_known_to_is_part_of_it():
    same = table(spread=0.3)
    floor = floor_of(cell(same), same, 20)
    low, high = floor.first.interval
    # The same sample twice: two intervals of ln, added as errors of two independent medians are.
    assert floor.shares["end_to_end"] == pytest.approx(np.expm1(np.log(high / low) / 2 * np.sqrt(2)))
    assert floor.shares["decode"] > floor.shares["end_to_end"]


@pytest.mark.parametrize("few", ["first", "again"])
def test_what_was_seen_counts_also_where_a_median_has_no_interval(few):
    """As of a process that drifts: there the noise is greatest, and the floor must not be dropped."""
    first, again = table(n=20 if few == "first" else 400), table(3.0, n=20 if few == "again" else 400)
    floor = floor_of(cell(first), again, 20)
    assert floor.shares["end_to_end"] == pytest.approx(2.0)
    assert set(floor.at_least) == {*PIPELINE_STAGES, "end_to_end"}


def test_a_stage_that_takes_no_time_on_one_side_has_no_ratio():
    none = table()
    none[:, 1] = 0
    for first, again in ((none, table()), (table(), none)):
        assert floor_of(cell(first), again, 20).shares["decode"] == MOST


def judged(milliseconds, limit, shares, side="max", repeated="another", again=(None, None), **budget):
    """again: the interval of the second median, in seconds."""
    floor = NoiseFloor(
        cell=repeated, first=Measured(value=0.01, unit="s"), again=Measured(value=0.01, unit="s", interval=again), shares=shares
    )  # fmt: skip
    plan = Plan.model_validate(
        {
            "version": 1, "images": {"path": "i"}, "matrix": {"backends": ["fake"]},
            "pipelines": {"only": {"model": "m.onnx", "preprocess": {"size": [8, 8]}, "postprocess": {"task": "raw"}}},
        }
    )  # fmt: skip
    times = table(milliseconds / 10)
    record = cell(times)
    if side == "min":
        rate = 1e3 / milliseconds
        found = Measured(value=rate, unit="images/s", interval=(rate, rate))
        record = records.with_measurement(record, throughput=found)
    (found,) = judge_budget(
        plan, Budget.model_validate({side: limit, **budget}), [record],
        lambda c, stage: times[:, 1 + [*PIPELINE_STAGES, "end_to_end"].index(stage)] / 1e9, lambda c: None, floor,
    )  # fmt: skip
    return found


LATENCY = {"metric": "latency", "at": "p50"}
FLOOR = {"end_to_end": 0.05}


@pytest.mark.parametrize(
    ("milliseconds", "limit", "verdict"),
    [(9, "10 ms", "PASS"), (9.6, "10 ms", "INCONCLUSIVE"), (10.4, "10 ms", "INCONCLUSIVE"), (11, "10 ms", "FAIL")],
)
def test_a_latency_within_the_floor_of_its_limit_decides_nothing(milliseconds, limit, verdict):
    found = judged(milliseconds, limit, FLOOR, **LATENCY)
    assert found.verdict == verdict
    assert "noise floor of the median 5.0%" in found.reason
    assert ("another one may lie on its other side" in found.reason) == (verdict == "INCONCLUSIVE")


@pytest.mark.parametrize(
    ("milliseconds", "verdict"), [(9, "PASS"), (9.6, "INCONCLUSIVE"), (10.4, "INCONCLUSIVE"), (11, "FAIL")]
)
def test_nor_does_a_throughput(milliseconds, verdict):
    assert judged(milliseconds, "100 images/s", FLOOR, side="min", metric="throughput").verdict == verdict


@pytest.mark.parametrize(
    ("milliseconds", "again", "verdict"),
    [
        (10.4, (10.1, 13), "FAIL"),  # both lie beyond it
        (10.4, (9.9, 13), "INCONCLUSIVE"),
        (10.4, (None, 13), "INCONCLUSIVE"),
        (9.6, (7, 8), "INCONCLUSIVE"),  # both lie within it, but a third may not: nothing passes so
    ],
)
def test_a_cell_that_breaks_its_limit_in_both_processes_fails(milliseconds, again, verdict):
    own = {"repeated": "only.fake.fp32.b1.t1", "again": tuple(v and v / 1e3 for v in again)}
    found = judged(milliseconds, "10 ms", {"end_to_end": 0.5}, **own, **LATENCY)
    assert found.verdict == verdict
    assert ("the second process lies beyond the limit too" in found.reason) == (verdict == "FAIL")
    # Nothing of that is known of another cell, of a tail, or of throughput.
    for other in (LATENCY, own | {"metric": "latency", "at": "p90"}):
        assert judged(milliseconds, "10 ms", {"end_to_end": 0.5}, **other).verdict == "INCONCLUSIVE"
    rate = {"side": "min", "metric": "throughput"}
    assert judged(milliseconds, "100 images/s", {"end_to_end": 0.5}, **own, **rate).verdict == "INCONCLUSIVE"


def test_what_too_few_requests_leave_open_more_time_would_not_decide():
    found = judged(10, "10.1 ms", {"end_to_end": 0.5}, metric="latency", at="p99")
    assert found.verdict == "INCONCLUSIVE"
    assert "however long it is measured" in found.reason


def test_a_stages_budget_is_held_against_the_stages_own_floor():
    budget = LATENCY | {"stage": "infer"}
    assert judged(10, "3.3 ms", {"end_to_end": 0.01, "infer": 0.2}, **budget).verdict == "INCONCLUSIVE"
    assert judged(10, "3.3 ms", {"end_to_end": 0.2, "infer": 0.01}, **budget).verdict == "PASS"
    assert "noise" not in judged(10, "3.3 ms", {"end_to_end": 0.2}, **budget).reason, "another stage's says nothing"


def test_a_limit_of_zero_is_no_division():
    assert judged(10, "0 ms", FLOOR, **LATENCY).verdict == "FAIL"


class Steps(Watcher):
    def __init__(self):
        self.steps, self.ended = [], []

    def step(self, cell, step, share):
        self.steps.append(step)

    def cell_ends(self, record):
        self.ended.append(record.id)


@pytest.mark.slow
def test_a_trial_with_a_budget_on_time_has_a_floor_bound_to_its_verdicts(workspace):
    steps = Steps()
    outcome = run_trial(
        workspace.load(
            pipelines=ONE, parity="", budgets="[{metric: latency, at: p50, max: 60 s}]",
            measure="{max_time: 10 s, min_samples: 60, precision: 50%}",
        ), workspace.folder / "results", watcher=steps,
    )  # fmt: skip
    floor = outcome.record.noise_floor
    assert floor.cell == outcome.record.cells[0].id
    assert floor.again.n >= 60
    assert set(floor.shares) >= {"end_to_end"}
    assert "loading again, for the noise floor" in steps.steps
    assert "collecting results again, for the noise floor" not in steps.steps
    assert steps.ended == [floor.cell], "it is no cell of its own"
    (decision,) = outcome.record.decisions
    assert decision.verdict == "PASS", decision.reason
    assert "noise floor" in decision.reason
    assert load_record(outcome.run).noise_floor == floor


def test_without_a_budget_on_time_there_is_no_second_process(workspace):
    steps = Steps()
    outcome = run_trial(
        workspace.load(pipelines=ONE, parity="", budgets="[{metric: model_size, max: 1 GiB}]"),
        workspace.folder / "results", watcher=steps,
    )  # fmt: skip
    assert outcome.record.noise_floor is None
    assert not any("again" in s for s in steps.steps)


@pytest.mark.slow
def test_a_cell_that_breaks_in_its_second_process_does_not_pass(workspace):
    (workspace.folder / "once.py").write_text(
        "import os, numpy as np\nfrom pathlib import Path\nfrom seatrial import Classification\n"
        "HERE = Path(__file__).parent\n"
        "def post(outputs, sizes):\n"
        "    if (HERE / 'done').exists():\n        print('no such engine', flush=True); os._exit(9)\n"
        "    return [Classification(np.zeros(1, int), np.ones(1, np.float32)) for y in outputs['y']]\n"
    )
    steps = Steps()
    steps.cell_ends = lambda record: (workspace.folder / "done").touch()
    outcome = run_trial(
        workspace.load(
            pipelines=ONE.replace("{task: classify}", "{python: 'once:post'}"), parity="",
            budgets="[{metric: latency, at: p50, max: 60 s}]",
        ), workspace.folder / "results", watcher=steps, allow_code=True,
    )  # fmt: skip
    assert outcome.exit_code == ExitCode.INCONCLUSIVE
    (decision,) = (d for d in outcome.record.decisions if d.check == "cell runs again")
    assert decision.verdict == "INCONCLUSIVE"
    assert decision.cell == outcome.record.cells[0].id
    assert "exit status 9" in decision.reason
    assert "no such engine" in decision.reason
    load_record(outcome.run)


def test_where_files_changed_meanwhile_the_run_says_that_the_floor_is_not_known(workspace):
    steps = Steps()
    model = workspace.folder / "model.fake.json"

    def another_model(record):
        model.write_text(model.read_text() + "\n")

    steps.cell_ends = another_model
    outcome = run_trial(
        workspace.load(pipelines=ONE, parity="", budgets="[{metric: latency, at: p50, max: 60 s}]"),
        workspace.folder / "results", watcher=steps,
    )  # fmt: skip
    assert outcome.exit_code == ExitCode.PASS
    assert outcome.record.noise_floor is None
    (warning,) = (w for w in outcome.record.warnings if w.code == "noise-floor")
    assert "is not known" in warning.text
    assert "model.fake.json" in warning.text
