"""A budget that can judge nothing is refused before anything runs, whichever metric and task, and the message names one
that can."""

from itertools import product
from typing import get_args

import pytest

from seatrial.errors import ExitCode, PlanError
from seatrial.gate.budgets import _METRIC_OF_ERROR, METRIC_OF_DROP
from seatrial.plan.budgets import METRICS, Metric
from seatrial.plan.load import plan_in_memory

POSTS = {
    "detect": "task: detect, format: yolov8",
    "instances": "task: instances, format: yolov8",
    "pose": "task: pose, format: yolov8, keypoints: [3, 3]",
    "oriented": "task: oriented, format: yolov8",
    "classify": "task: classify",
    "multi_label": "task: classify, multi_label: true, activation: sigmoid",
    "segment": "task: segment",
    "dense": "task: dense",
    "db": "task: text, format: db",
    "ctc": "task: text, format: ctc",
    "embed": "task: embed",
    "raw": "task: raw",
    "python": 'python: "a:b"',
}
# Written out once more: what each task's figure is, as gate/budgets.py names it.
FIGURE = {
    **dict.fromkeys(("detect", "instances", "pose", "oriented"), "mAP"),
    "classify": "top-1",
    "multi_label": "F1",
    "segment": "mIoU",
    "dense": "AbsRel",
    "db": "hmean",
    "ctc": "word accuracy",
}
PLAN = """version: 1
images: {{path: photos, annotations: t.json}}
pipelines:
  baseline: {{model: m.onnx, preprocess: {{mode: letterbox, size: [64, 64]}}, postprocess: {{{0}}}}}
  candidate: {{model: n.onnx, preprocess: {{mode: letterbox, size: [64, 64]}}, postprocess: {{{1}}}}}
matrix: {{backends: [onnxruntime-cpu]}}
parity: {{reference: {{pipeline: baseline}}}}
budgets: [{{metric: {2}, {3}: {4}{5}}}]
"""
LIMITS = {"s": "1 ms", "images/s": "1 images/s", "B": "1 MiB", "fraction": "50%", "points": "1 points", "": "1"}


def loaded(tmp_path, base, candidate, metric, where=""):
    _, unit, side = METRICS[metric]
    text = PLAN.format(POSTS[base], POSTS[candidate], metric, side, LIMITS[unit], where)
    return plan_in_memory(text, tmp_path / "plan.yaml")


def judges(metric, task):
    """From the names of figures alone."""
    if task == "python" or metric in (
        "latency",
        "throughput",
        "peak_memory",
        "cold_start",
        "model_size",
        "computed_in",
    ):
        return True
    if metric == "agreement":
        return task != "raw"
    if metric in _METRIC_OF_ERROR:
        return task == "dense"
    if metric == "accuracy":
        return task in FIGURE and task != "dense"
    return FIGURE.get(task) == METRIC_OF_DROP[metric]


@pytest.mark.parametrize(("metric", "task"), list(product(get_args(Metric), POSTS)))
def test_each_budget_judges_the_tasks_that_have_its_figure(tmp_path, metric, task):
    if judges(metric, task):
        assert loaded(tmp_path, task, task, metric)
        return
    with pytest.raises(PlanError, match=rf"plan\.yaml:8: budgets\[0\]\.metric: '{metric}' does not judge task") as e:
        loaded(tmp_path, task, task, metric)
    assert e.value.exit_code == ExitCode.BAD_INPUT
    assert ("; use " in str(e.value)) == (task != "raw")


def test_the_error_names_what_does_judge_it(tmp_path):
    with pytest.raises(
        PlanError, match=r"task 'dense' \(pipelines.candidate\); use abs_rel or rmse or agreement, or name"
    ):
        loaded(tmp_path, "dense", "dense", "accuracy")


def test_a_budget_on_other_pipelines_alone_is_fine(tmp_path):
    assert loaded(tmp_path, "detect", "dense", "accuracy", ", where: {pipeline: baseline}")
    with pytest.raises(PlanError, match="does not judge task 'dense'"):
        loaded(tmp_path, "detect", "dense", "accuracy")


@pytest.mark.parametrize(("base", "candidate"), [("detect", "instances"), ("pose", "detect"), ("dense", "detect")])
def test_a_drop_is_one_of_the_same_figure(tmp_path, base, candidate):
    with pytest.raises(PlanError, match="'map_drop' needs the figure of the reference baseline, of task"):
        loaded(tmp_path, base, candidate, "map_drop")
    assert loaded(tmp_path, "python", candidate, "map_drop")
