"""From evidence to verdict: a pure function, one case a line."""

import numpy as np
import pytest

from seatrial.errors import ExitCode
from seatrial.gate.verdict import exit_code, judge, overall
from seatrial.history.records import CellRecord, Comparison, Decision, Measured, ParityResult, TensorDifference
from seatrial.plan.models import Plan
from seatrial.trial.summarise import summarise_stages, throughput

PIPE = {"model": "m.onnx", "preprocess": {"size": [8, 8]}}


def plan(**parts):
    names = parts.pop("names", ["old", "new"])
    base = {"version": 1, "images": "i", "pipelines": dict.fromkeys(names, PIPE), "matrix": {"batch_sizes": [1, 2]}}
    return Plan.model_validate(base | parts)


def table(ms, n=200, stages=2):
    rng = np.random.default_rng(0)
    times = rng.normal(ms / stages, ms / 200, (n, stages)) * 1e6
    whole = times.sum(axis=1, keepdims=True)
    return np.hstack([np.arange(n)[:, None] * 1e9, times, whole]).astype(np.int64)


def cell(name="new", ms=10.0, batch=1, **fields):
    rows = table(ms)
    base = {
        "id": f"{name}.onnxruntime-cpu.fp32.b{batch}.t1", "pipeline": name, "backend": "onnxruntime-cpu", "precision": "fp32",
        "batch": batch, "threads": 1, "status": "ok", "stages": summarise_stages(rows, ["decode", "infer"]),
        "throughput": throughput(rows, batch),
    }  # fmt: skip
    return CellRecord(**(base | fields))


def latencies(c, stage):
    rows = table(c.stages["end_to_end"].mean.value * 1e3)
    return rows[:, 1 + list(c.stages).index(stage)] / 1e9


def verdicts(p, *cells):
    return [d.verdict for d in judge(p, cells, latencies)]


@pytest.mark.parametrize(
    ("budget", "verdict"),
    [
        ({"metric": "latency", "at": "p50", "max": "20 ms"}, "PASS"),
        ({"metric": "latency", "at": "p50", "max": "5 ms"}, "FAIL"),
        ({"metric": "latency", "at": "p50", "max": "10 ms"}, "INCONCLUSIVE"),
        ({"metric": "latency", "at": "p99.9", "max": "20 ms"}, "INCONCLUSIVE"),
        ({"metric": "latency", "at": "p50", "stage": "infer", "max": "6 ms"}, "PASS"),
        ({"metric": "latency", "at": "p50", "stage": "postprocess", "max": "6 ms"}, "INCONCLUSIVE"),
        ({"metric": "throughput", "min": "50 images/s"}, "PASS"),
        ({"metric": "throughput", "min": "100 images/s"}, "INCONCLUSIVE"),
        ({"metric": "throughput", "min": "200 images/s"}, "FAIL"),
        ({"metric": "peak_memory", "max": "1 GiB"}, "INCONCLUSIVE"),  # nothing measured
    ],
)
def test_a_budget_on_one_cell(budget, verdict):
    assert verdicts(plan(names=["new"], budgets=[budget]), cell()) == [verdict]


def test_budgets_judge_candidates_and_a_lone_pipeline_but_not_the_baseline():
    tight = [{"metric": "latency", "max": "5 ms"}]
    slow_old, fast_new = cell("old", 10), cell("new", 2)
    assert verdicts(plan(budgets=tight), slow_old, fast_new) == ["PASS"]
    assert verdicts(plan(names=["old"], budgets=tight), slow_old) == ["FAIL"]
    named = [{"metric": "latency", "where": {"pipeline": "old"}, "max": "5 ms"}]
    assert verdicts(plan(budgets=named), slow_old, fast_new) == ["FAIL"]


def test_where_narrows_the_cells():
    at_two = [{"metric": "latency", "where": {"batch": 2}, "max": "5 ms"}]
    assert verdicts(plan(budgets=at_two), cell(ms=10), cell(ms=2, batch=2)) == ["PASS"]


def test_a_budget_whose_cells_all_failed_is_inconclusive_and_the_failure_fails():
    dead = cell(status="failed", stages={}, throughput=None, reason="crashed", exit_code=1)
    decisions = judge(plan(budgets=[{"metric": "latency", "max": "5 ms"}]), [dead], latencies)
    assert [d.verdict for d in decisions] == ["FAIL", "INCONCLUSIVE"]
    assert overall(decisions) == "FAIL"


@pytest.mark.parametrize(("old", "new", "verdict"), [(0.60, 0.598, "PASS"), (0.60, 0.59, "FAIL"), (0.5, 0.7, "PASS")])
def test_an_accuracy_drop_is_against_the_reference(old, new, verdict):
    p = plan(
        images={"path": "i", "annotations": "a.json"}, parity={}, budgets=[{"metric": "map_drop", "max": "0.5 points"}]
    )
    cells = [
        cell(n, accuracy=Measured(value=v, unit="fraction", n=9), accuracy_name="mAP")
        for n, v in (("old", old), ("new", new))
    ]
    assert verdicts(p, *cells) == [verdict]


def tensor(**fields):
    base = {
        "name": "y",
        "max_abs": 0.1,
        "mean_abs": 0.0,
        "cosine": 1.0,
        "sqnr_db": 60.0,
        "share_outside": 0.0,
        "nan_mismatch": False,
    }
    return TensorDifference(**(base | fields))


@pytest.mark.parametrize(
    ("parity", "expected"),
    [
        ({"rtol": 1e-3, "atol": 1e-3, "tensors": (tensor(),)}, ["PASS"]),
        ({"rtol": 1e-3, "atol": 1e-3, "tensors": (tensor(share_outside=0.01),)}, ["FAIL"]),
        # A check that was asked for and cannot be made is not passed.
        ({"rtol": None, "atol": None, "tensors": (tensor(share_outside=None),)}, ["INCONCLUSIVE"]),
        ({"rtol": None, "atol": None}, ["INCONCLUSIVE"]),
        ({"rtol": 1e-3, "atol": 1e-3, "tensors": (tensor(elements=0),)}, ["INCONCLUSIVE"]),
        ({"rtol": None, "atol": None, "tensors_note": "other shapes"}, ["INCONCLUSIVE"]),
        ({"rtol": None, "atol": None, "tensors_note": "n", "agreement": 0.95, "least_agreement": 0.9}, ["PASS"]),
        ({"rtol": 1e-3, "atol": 1e-3, "tensors": (tensor(),), "special_images": 1}, ["FAIL"]),
        (
            {"rtol": 1e-3, "atol": 1e-3, "tensors": (tensor(share_outside=1),), "note": "kinds"},
            ["FAIL", "INCONCLUSIVE"],
        ),
        ({"rtol": None, "atol": None, "tensors": (tensor(share_outside=None, nan_mismatch=True),)}, ["FAIL"]),
        ({"rtol": None, "atol": None, "agreement": 0.95, "least_agreement": 0.9}, ["PASS"]),
        ({"rtol": None, "atol": None, "agreement": 0.85, "least_agreement": 0.9}, ["FAIL"]),
        ({"rtol": None, "atol": None, "note": "no reference"}, ["INCONCLUSIVE"]),
    ],
)
def test_parity(parity, expected):
    judged = cell(batch=2, parity=ParityResult(reference="r", **parity))
    assert verdicts(plan(names=["new"], parity={}), judged) == expected


@pytest.mark.parametrize(
    ("called", "verdict"),
    [("REGRESSION", "FAIL"), ("IMPROVED", "PASS"), ("EQUIVALENT", "PASS"), ("INCONCLUSIVE", "INCONCLUSIVE")],
)
def test_a_regression_is_judged_from_its_comparison_not_from_the_cells(called, verdict):
    p = plan(regression={"against": "old", "margin": "2%"})
    # The cells alone would say otherwise: twice as slow, in separate processes.
    found = judge(p, [cell("old", 10), cell("new", 20)], latencies, [comparison(called)])
    assert [d.verdict for d in found] == [verdict]
    assert found[0].check == "regression new against old"
    assert found[0].reason == "because"
    assert found[0].limit == 0.02
    assert found[0].cell == "new.onnxruntime-cpu.fp32.b1.t1"


def test_a_regression_without_its_comparison_is_inconclusive():
    p = plan(regression={"against": "old", "margin": "2%"})
    (found,) = judge(p, [cell("old", 10), cell("new", 10)], latencies)
    assert found.verdict == "INCONCLUSIVE"
    assert "no comparison was made" in found.reason


def comparison(verdict):
    return Comparison(
        a="old", b="new", metric="p50", stage="end_to_end", design="lock-step", verdict=verdict, reason="because", margin=0.02,
        change=Measured(value=0.05, unit="fraction"), a_value=Measured(value=0.01, unit="s"),
        b_value=Measured(value=0.0105, unit="s"), p_value=0.01, p_adjusted=0.01,
    )  # fmt: skip


def decision(verdict):
    return Decision(check="c", verdict=verdict, reason="r")


@pytest.mark.parametrize(
    ("decisions", "failed_with", "code"),
    [
        (["PASS"], [], ExitCode.PASS),
        (["PASS", "INCONCLUSIVE"], [], ExitCode.INCONCLUSIVE),
        (["INCONCLUSIVE", "FAIL"], [], ExitCode.FAIL),
        (["FAIL"], [1, 4], ExitCode.BAD_INPUT),
        (["FAIL"], [5, 4, 1], ExitCode.ENVIRONMENT),
    ],
)
def test_the_worst_of_several_decides_the_exit_code(decisions, failed_with, code):
    cells = [cell(status="failed", exit_code=c) for c in failed_with]
    assert exit_code(overall([decision(v) for v in decisions]), cells) == code
