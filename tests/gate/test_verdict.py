"""From evidence to verdict: a pure function, one case a line."""

from collections import Counter

import numpy as np
import pytest
import records

from seatrial.errors import ExitCode
from seatrial.gate.verdict import exit_code, judge, overall
from seatrial.history.records import Comparison, Decision, Measured, ParityResult, TensorDifference
from seatrial.jobs.summarise import summarise_stages, throughput
from seatrial.parity.evaluation import MeanEvaluation, PixelEvaluation
from seatrial.plan.models import Plan
from seatrial.report.groups import group_decisions

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
    found = records.measurement(rows, ["decode", "infer"], throughput=throughput(rows, batch))
    return records.cell(name, "onnxruntime-cpu", batch=batch, **({"measurement": found} | fields))


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


@pytest.mark.parametrize(
    ("budget", "verdict"),
    [
        ({"metric": "latency", "max": "20 ms"}, "INCONCLUSIVE"),
        ({"metric": "throughput", "min": "1 images/s"}, "INCONCLUSIVE"),
        ({"metric": "model_size", "max": "1 MiB"}, "PASS"),
    ],
)
def test_times_that_are_in_doubt_pass_no_budget(budget, verdict):
    doubtful = records.with_measurement(
        cell(), doubt="the stages add up to 90 %", model_size=Measured(value=9, unit="B")
    )
    (d,) = judge(plan(names=["new"], budgets=[budget]), [doubtful], latencies)
    assert (d.verdict, "add up" in d.reason) == (verdict, verdict == "INCONCLUSIVE")


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
    dead = cell(status="failed", measurement=None, reason="crashed", exit_code=1)
    decisions = judge(plan(budgets=[{"metric": "latency", "max": "5 ms"}]), [dead], latencies)
    assert [d.verdict for d in decisions] == ["FAIL", "INCONCLUSIVE"]
    assert overall(decisions) == "FAIL"


def of_images(share, images=100, metric="top-1"):
    """So many images right, the same ones first."""
    return MeanEvaluation(metric, (np.arange(images) < round(share * images)).astype(float))


DROP = {"metric": "top1_drop", "max": "0.5 points"}
LEAST = {"metric": "accuracy", "min": "90%"}


@pytest.mark.parametrize(
    ("budget", "old", "new", "verdict", "said"),
    [
        (DROP, of_images(0.6, 1000), of_images(0.6, 1000), "PASS", "top-1 60.0 % → 60.0 % on 1000 images"),
        (DROP, of_images(0.6, 1000), of_images(0.7, 1000), "PASS", "paired over images"),
        (DROP, of_images(0.6, 1000), of_images(0.5, 1000), "FAIL", "drop"),
        # Nothing was lost on 30 images; one in ten may be lost all the same.
        (DROP, of_images(1, 30), of_images(1, 30), "INCONCLUSIVE", "images would decide"),
        (DROP, of_images(0.6, 1000), of_images(0.597, 1000), "INCONCLUSIVE", "spans the limit"),
        (DROP, of_images(0, 1000), of_images(0, 1000), "INCONCLUSIVE", "the reference itself finds nothing right"),
        (DROP, of_images(0.6, 1000), None, "INCONCLUSIVE", "no accuracy"),
        (DROP, None, of_images(0.6, 1000), "INCONCLUSIVE", "the reference cell has no top-1"),
        (DROP, of_images(0.6, metric="mAP"), of_images(0.6, metric="mAP"), "INCONCLUSIVE", "is mAP, not top-1"),
        # 0.05 ^ (1 / 11) = 76 %.
        (LEAST, None, of_images(1, 11), "INCONCLUSIVE", "76.2 to 100.0 % at 95% a side, which spans the limit; about 29"),
        (LEAST, None, of_images(1, 29), "PASS", "top-1 on 29 images"),
        (LEAST, None, of_images(0.5, 40), "FAIL", "top-1 on 40 images"),
        (LEAST, None, PixelEvaluation((0,), np.zeros((3, 1)), np.zeros((3, 1))), "INCONCLUSIVE", "mIoU is undefined"),
        ({"metric": "miou_drop", "max": "1 point"}, PixelEvaluation((0,), np.zeros((3, 1)), np.zeros((3, 1))),
         PixelEvaluation((0,), np.zeros((3, 1)), np.zeros((3, 1))), "INCONCLUSIVE", "mIoU is undefined"),
    ],
)  # fmt: skip
def test_accuracy_is_judged_by_what_so_many_images_can_show(budget, old, new, verdict, said):
    p = plan(images={"path": "i", "annotations": "a.json"}, parity={}, budgets=[budget])
    found = {"old": old, "new": new}
    decisions = judge(p, [cell("old"), cell("new")], latencies, lambda c: found[c.pipeline])
    (d,) = [d for d in decisions if d.check.startswith(budget["metric"])]
    assert (d.verdict, said in d.reason) == (verdict, True), d.reason
    assert d.against == (cell("old").id if budget["metric"].endswith("drop") else "")


@pytest.mark.parametrize(
    ("where", "cells", "expected"),
    [
        ({"batch": [1, 2]}, [cell(), cell(batch=2)], {"PASS": 2}),
        ({"batch": [1, 2]}, [cell(), cell(batch=2, status="skipped", measurement=None, reason="why")], {"PASS": 1, "INCONCLUSIVE": 1}),
        ({"batch": [1, 2]}, [cell(), cell(batch=2, status="failed", measurement=None, reason="why")], {"PASS": 1, "INCONCLUSIVE": 1}),
        ({}, [cell(), cell(batch=2, status="skipped", measurement=None, reason="why")], {"PASS": 1}),
        ({"backend": "onnxruntime-cpu"}, [cell(), cell(batch=2, status="skipped", measurement=None, reason="why")], {"PASS": 1}),
    ],
)  # fmt: skip
def test_a_value_that_a_budget_names_is_not_passed_over(where, cells, expected):
    p = plan(names=["new"], budgets=[{"metric": "latency", "max": "1 s", "where": where}])
    decisions = [d for d in judge(p, cells, latencies) if d.check.startswith("latency")]
    assert Counter(d.verdict for d in decisions) == expected
    assert all("why" in d.reason for d in decisions if d.verdict == "INCONCLUSIVE")


def test_a_value_that_one_of_two_candidates_never_ran_is_not_passed_over():
    p = plan(names=["old", "new", "newer"], budgets=[{"metric": "latency", "max": "1 s", "where": {"batch": [1, 2]}}])
    cells = [cell(n, batch=b) for n in ("old", "new", "newer") for b in (1, 2)]
    cells[-1] = cell("newer", batch=2, status="skipped", measurement=None, reason="why")
    decisions = [d for d in judge(p, cells, latencies) if d.check.startswith("latency")]
    assert Counter(d.verdict for d in decisions) == {"PASS": 3, "INCONCLUSIVE": 1}
    assert "pipeline=newer" in decisions[-1].reason


MATCHED = {
    "agreement": 1.0,
    "agreement_unit": "u",
    "agreement_n": 300,
    "agreement_of": "boxes",
    "agreement_interval": (0.995, 1),
}


@pytest.mark.parametrize(
    ("budgets", "across", "expected"),
    [
        ([], MATCHED, "PASS"),
        # Nobody says whose answers are right.
        ([], MATCHED | {"agreement": 0.7, "agreement_interval": (0.6, 0.8)}, "INCONCLUSIVE"),
        ([], MATCHED | {"agreement_n": 3, "agreement_interval": (0.37, 1)}, "INCONCLUSIVE"),
        ([], MATCHED | {"reference_empty": True}, "INCONCLUSIVE"),
        # A budget that judges this very cell says it; one on another pipeline or precision does not.
        ([{"metric": "accuracy", "min": "90%"}], MATCHED | {"agreement": 0.7}, None),
        (
            [{"metric": "accuracy", "min": "90%", "where": {"precision": "int8"}}],
            MATCHED | {"agreement": 0.7},
            "INCONCLUSIVE",
        ),
        (
            [{"metric": "accuracy", "min": "90%", "where": {"pipeline": "old"}}],
            MATCHED | {"agreement": 0.7},
            "INCONCLUSIVE",
        ),
        ([{"metric": "latency", "max": "1 s"}], MATCHED | {"agreement": 0.7}, "INCONCLUSIVE"),
    ],
)
def test_a_candidate_that_answers_otherwise_needs_somebody_who_says_who_is_right(budgets, across, expected):
    p = plan(parity={}, budgets=budgets)
    judged = cell(across=ParityResult(reference="old.b.fp32.b1.t1", rtol=None, atol=None, **across))
    found = [d.verdict for d in judge(p, [cell("old"), judged], latencies) if d.check.startswith("agreement with")]
    assert found == ([] if expected is None else [expected])


def test_a_budget_on_agreement_judges_every_cell_but_the_reference_itself():
    """A plan of one pipeline on two backends could not pass otherwise: the reference has nothing to agree with."""
    p = plan(names=["old"], parity={}, budgets=[{"metric": "agreement", "min": "90%"}])
    reference, other = cell("old"), cell("old", batch=2)
    other = other.model_copy(update={"parity": ParityResult(reference=reference.id, rtol=None, atol=None, **MATCHED)})
    found = [(d.cell, d.verdict) for d in judge(p, [reference, other], latencies) if d.check == "agreement"]
    assert found == [(other.id, "PASS")]
    [alone] = [d for d in judge(p, [reference], latencies) if d.check == "agreement"]
    assert alone.verdict == "INCONCLUSIVE"


def test_results_that_agree_where_raw_outputs_cannot_be_compared_say_so():
    note = "output y: expected shape (4, 9) as the reference gives, got (4, 8)"
    parity = ParityResult(
        reference="old.b.fp32.b1.t1", rtol=None, atol=None, tensors_note=note, **MATCHED, least_agreement=0.9
    )
    [found] = [d for d in judge(plan(), [cell(parity=parity)], latencies) if d.check == "parity results"]
    assert (found.verdict, note in found.reason) == ("PASS", True)


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
        ({"rtol": None, "atol": None, "tensors_note": "n", **MATCHED, "least_agreement": 0.9}, ["PASS"]),
        (
            {"rtol": None, "atol": None, "tensors_note": "n", "other_shapes": True, **MATCHED, "least_agreement": 0.9},
            ["FAIL", "PASS"],
        ),
        ({"rtol": 1e-3, "atol": 1e-3, "tensors": (tensor(),), "special_images": 1}, ["FAIL"]),
        (
            {"rtol": 1e-3, "atol": 1e-3, "tensors": (tensor(share_outside=1),), "note": "kinds"},
            ["FAIL", "INCONCLUSIVE"],
        ),
        ({"rtol": None, "atol": None, "tensors": (tensor(share_outside=None, nan_mismatch=True),)}, ["FAIL"]),
        ({"rtol": None, "atol": None, **MATCHED, "least_agreement": 0.99}, ["PASS"]),
        ({"rtol": None, "atol": None, **MATCHED, "agreement_interval": None, "least_agreement": 0.9}, ["INCONCLUSIVE"]),
        (
            {"rtol": None, "atol": None, **MATCHED, "agreement_interval": (0.8, 1), "least_agreement": 0.9},
            ["INCONCLUSIVE"],
        ),
        (
            {"rtol": None, "atol": None, "agreement": 0.8, "agreement_interval": (0.7, 0.89), "least_agreement": 0.9},
            ["FAIL"],
        ),
        (
            {"rtol": None, "atol": None, "agreement": 0.8, "agreement_interval": (0.7, 0.95), "least_agreement": 0.9},
            ["INCONCLUSIVE"],
        ),
        ({"rtol": None, "atol": None, **MATCHED, "reference_empty": True, "least_agreement": 0.9}, ["INCONCLUSIVE"]),
        # The same numbers give the same results, however few.
        (
            {
                "rtol": 1e-3,
                "atol": 1e-3,
                "tensors": (tensor(),),
                **MATCHED,
                "agreement_interval": (0.4, 1),
                "least_agreement": 0.9,
            },
            ["PASS", "PASS"],
        ),
        (
            {
                "rtol": 1e-3,
                "atol": 1e-3,
                "tensors": (tensor(share_outside=0.1),),
                **MATCHED,
                "agreement_interval": (0.4, 1),
                "least_agreement": 0.9,
            },
            ["FAIL", "INCONCLUSIVE"],
        ),
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
    found = judge(p, [cell("old", 10), cell("new", 20)], latencies, comparisons=[comparison(called)])
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


def one_budget(at, limit, rows, longest_run=20):
    """The decision on one latency budget of a cell with these samples."""
    p = plan(
        names=["new"], budgets=[{"metric": "latency", "at": at, "max": limit}], measure={"longest_run": longest_run}
    )
    c = records.with_measurement(cell(), stages=summarise_stages(rows, ["decode", "infer"], longest_run))
    (found,) = judge(p, [c], lambda _, stage: rows[:, 1 + list(c.stages).index(stage)] / 1e9)
    return found, c.stages["end_to_end"]


@pytest.mark.parametrize(
    ("at", "limit", "n", "longest_run", "verdict", "said"),
    [
        ("p90", "20 ms", 700, 20, "PASS", "slow ones taken to come in runs of at most 20"),
        ("p90", "20 ms", 100, 1, "PASS", "0 of 100 requests above 20.0 ms"),
        ("p90", "20 ms", 100, 20, "INCONCLUSIVE",
         "0 of 100 requests above 20.0 ms; p90 needs 631 requests, 531 more; slow ones taken to come in runs of at most 20; at "
         "this rate a measure.max_time of about 7 s would do"),
        ("p99", "20 ms", 300, 20, "INCONCLUSIVE", "a measure.max_time of about 75 s would do"),
        ("p50", "20 ms", 20, 20, "INCONCLUSIVE", "p50 needs 54 requests, 34 more"),
        ("p99.9", "20 ms", 300, 100, "INCONCLUSIVE", "; of a cell 131,072 are kept: ask for a lower percentile"),
        ("p99", "5 ms", 20, 20, "FAIL", "20 of 20 requests above 5.00 ms; at most 1 % may be"),
        ("p50", "10 ms", 60, 20, "INCONCLUSIVE", "requests above 10.0 ms"),
    ],
)  # fmt: skip
def test_a_latency_decision_says_what_it_saw_what_it_takes_and_what_it_assumes(
    at, limit, n, longest_run, verdict, said
):
    found, _ = one_budget(at, limit, table(10, n), longest_run)
    assert found.verdict == verdict
    assert said in found.reason
    assert ("max_time" in found.reason) <= (verdict == "INCONCLUSIVE")


@pytest.mark.parametrize("n", [20, 299, 367, 700])
@pytest.mark.parametrize("at", ["p50", "p90", "p99"])
def test_a_percentile_and_the_budget_on_it_say_the_same(at, n):
    """Without an upper bound no PASS; with one below the limit no want of samples."""
    for limit in ("8 ms", "9.99 ms", "10.1 ms", "20 ms"):
        found, summary = one_budget(at, limit, table(10, n))
        low, high = getattr(summary, at).interval
        expected = "PASS" if high is not None and high <= found.limit else (
            "FAIL" if low is not None and low > found.limit else "INCONCLUSIVE"
        )  # fmt: skip
        assert found.verdict == expected


def test_where_nothing_was_decided_nothing_passes():
    assert overall([]) == "INCONCLUSIVE"


def test_each_limit_has_a_row_of_its_own():
    """Two limits on one figure are two checks, not two cells of one."""
    limits = [{"metric": "latency", "at": "p50", "max": m} for m in ("20 ms", "5 ms", "4 ms")]
    cells = [cell()]
    rows = group_decisions(judge(plan(names=["new"], budgets=limits), cells, latencies), cells)
    assert [(r.worst.verdict, r.limit, r.cells) for r in rows] == [
        ("FAIL", "≤ 5.00 ms", 1), ("FAIL", "≤ 4.00 ms", 1), ("PASS", "≤ 20.0 ms", 1)
    ]  # fmt: skip


def test_a_default_limit_that_judged_nothing_is_shown_as_none():
    """Between pipelines nothing says who is right, where no plan sets a limit."""
    between = {"check": "agreement with old", "value": 0.885, "limit": 0.99, "unit": "fraction", "reason": "r"}
    raw = {**between, "value": 33.8, "limit": 40.0, "unit": "dB"}

    def limits(verdict, parity):
        rows = [group_decisions([Decision(verdict=verdict, **d)], [], parity)[0] for d in (between, raw)]
        return [r.limit for r in rows]

    assert limits("INCONCLUSIVE", {"agreement": None, "sqnr": None}) == ["none set", "none set"]
    assert limits("INCONCLUSIVE", {"agreement": 0.99, "sqnr": 40.0}) == ["≥ 99.0 %", "≥ 40.0 dB"]
    assert limits("PASS", {"agreement": None, "sqnr": None}) == ["≥ 99.0 %", "≥ 40.0 dB"]


def test_a_row_counts_the_cells_that_have_its_verdict():
    made = [
        Decision(check="c", verdict=v, reason="r", cell=str(n)) for n, v in enumerate(("FAIL", "INCONCLUSIVE", "PASS"))
    ]
    (row,) = group_decisions(made, [])
    assert (row.count, row.bad, row.worst.verdict) == ("1/3", 2, "FAIL")
