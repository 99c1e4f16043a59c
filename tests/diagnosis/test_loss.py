"""A loss against the truth that is sure makes two pipelines differ; one that is not makes them nothing."""

import numpy as np
import pytest
from parity_records import RECORDS

from seatrial.diagnosis.loss import loss_of, with_loss
from seatrial.diagnosis.sides import Side
from seatrial.parity.dense import ErrorEvaluation
from seatrial.parity.evaluation import MeanEvaluation
from seatrial.plan.models import Plan

UNSURE = RECORDS["equal"].model_copy(update={"verdict": "INCONCLUSIVE", "reason": "nothing differs, but who knows"})
INT8 = Side("p", "onnxruntime-cpu", "int8", 1, 1)


def plan(*budgets):
    pipelines = {"p": {"model": "m.onnx", "preprocess": {"size": [8, 8]}}}
    return Plan.model_validate(
        {
            "version": 1,
            "images": "images",
            "pipelines": pipelines,
            "parity": {"reference": {"pipeline": "p"}},
            "budgets": [*budgets],
        }
    )


def top1(right, images=100, metric="top-1"):
    return MeanEvaluation(metric, (np.arange(images) < right).astype(np.float64))


def found(after, *budgets, record=UNSURE, side=INT8, before=90, **more):
    return with_loss(record, loss_of(top1(before, **more), top1(after, **more)), plan(*budgets), side)


@pytest.mark.parametrize("record", [UNSURE, RECORDS["equal"]])
def test_a_loss_that_is_sure_makes_them_differ(record):
    said = found(71, record=record)
    assert said.verdict == "DIFFER"
    assert said.reason.startswith("the candidate loses 0.19 top-1, 95% a side 0.1")
    assert "paired over 100 images, where no budget of the plan allows more than rounding's 0.001; " in said.reason
    assert said.reason.endswith(record.reason)


@pytest.mark.parametrize("after", [90, 89, 95])
def test_one_that_is_not_changes_no_verdict(after):
    for record in (UNSURE, RECORDS["equal"]):
        assert found(after, record=record) == record


def test_what_a_budget_allows_is_no_difference_and_the_least_of_them_counts():
    wide, narrow = ({"metric": "top1_drop", "max": f"{n} points"} for n in (30, 5))
    assert found(71, wide) == UNSURE
    assert "where the plan's budget top1_drop allows 0.05; " in found(71, wide, narrow).reason
    # Of another precision alone, of another metric, and of cells where the candidate is none.
    fp16 = {**wide, "where": {"precision": ["fp16"]}}
    for budgets in ([fp16], [{"metric": "map_drop", "max": "30 points"}]):
        assert "rounding's 0.001" in found(71, *budgets).reason
    assert "rounding's 0.001" in found(71, fp16, side=None).reason
    assert found(71, wide, side=None) == UNSURE


def test_the_map_of_masks_is_judged_by_the_budget_of_map():
    assert found(71, {"metric": "map_drop", "max": "30 points"}, metric="mask mAP") == UNSURE


def test_a_verdict_of_differ_stays_as_it_is():
    record = RECORDS["fault"]
    assert found(10, record=record) == record


def test_of_an_error_less_is_better():
    def errors(values):
        return ErrorEvaluation("AbsRel", np.asarray(values, np.float64), np.ones(len(values)))

    small, large = errors(np.linspace(0.1, 0.2, 60)), errors(np.linspace(0.3, 0.5, 60))
    worse = with_loss(UNSURE, loss_of(small, large), plan(), INT8)
    assert worse.verdict == "DIFFER"
    assert "loses 0.25 AbsRel" in worse.reason
    assert with_loss(UNSURE, loss_of(large, small), plan(), INT8) == UNSURE
    assert with_loss(UNSURE, loss_of(small, small), plan(), INT8) == UNSURE


def test_of_an_undefined_figure_nothing_is_said():
    assert with_loss(UNSURE, loss_of(top1(0, 0), top1(0, 0)), plan(), INT8) == UNSURE
