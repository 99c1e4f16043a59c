"""Budgets on what no task of the plan's pipelines has."""

import pytest

from seatrial.plan.budget_tasks import impossible_budgets
from seatrial.plan.models import Plan

DETECT, DENSE = {"task": "detect", "format": "yolov8"}, {"task": "dense"}
TEXT = {"task": "text", "format": "ctc", "labels": ["a"]}
MANY = {"task": "classify", "multi_label": True, "activation": "none"}


def plan(budget, *posts):
    named = {
        f"p{i}": {"model": "m.onnx", "preprocess": {"size": [8, 8]}, "postprocess": p} for i, p in enumerate(posts)
    }
    return Plan.model_validate({"version": 1, "images": "photos", "pipelines": named, "budgets": [budget]})


@pytest.mark.parametrize(
    ("metric", "posts", "said"),
    [
        ("accuracy", [DENSE], "task 'dense' has no 'accuracy'; use 'abs_rel' or 'rmse'"),
        ("abs_rel", [DETECT], "task 'detect' has no 'abs_rel'; use 'accuracy' or 'map_drop'"),
        ("top1_drop", [MANY], "task 'classify' has no 'top1_drop'; use 'accuracy' or 'f1_drop'"),
        ("hmean_drop", [TEXT], "use 'accuracy' or 'word_accuracy_drop'"),
        ("accuracy", [{"task": "raw"}], "task 'raw' has no 'accuracy'; it is held against no truth"),
        ("accuracy", [DENSE, DETECT], ""),
        ("accuracy", [DENSE, {"python": "a:b"}], ""),
        ("latency", [{"task": "raw"}], ""),
        ("miou_drop", [{"task": "segment"}], ""),
    ],
)
def test_a_budget_that_no_pipeline_can_have_is_told(metric, posts, said):
    limit = {"accuracy": {"min": "60%"}, "abs_rel": {"max": "1%"}, "latency": {"max": "1 ms"}}
    found = impossible_budgets(plan({"metric": metric, **limit.get(metric, {"max": "1 point"})}, *posts))
    assert bool(found) is bool(said)
    assert all(said in what and at == ("budgets", 0, "metric") for at, what in found)


def test_only_the_pipelines_that_it_is_about_count():
    budget = {"metric": "accuracy", "min": "60%", "where": {"pipeline": "p0"}}
    assert impossible_budgets(plan(budget, DENSE, DETECT))
    assert not impossible_budgets(plan(budget, DETECT, DENSE))
