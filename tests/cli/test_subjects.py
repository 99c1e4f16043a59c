"""Words for what is measured: a model, a plan, a pipeline of a plan, the demo."""

import pytest

from seatrial.cli.subjects import is_plan, pipeline_name, plan_of
from seatrial.errors import PlanError


@pytest.mark.parametrize(
    ("text", "plan"),
    [
        ("trial.yaml", True), ("trial.yml", True), ("trial.yaml:a", True), ("demo", True), ("demo:v2", True),
        ("a/demo:x", False), ("m.onnx", False), ("", False), (":", False), ("demo.onnx", False), ("trial.yaml.onnx", False),
        ("trial.YAML", False), ("latest", False), ("2026-01-02-030405", False), ("C:/x/trial.yaml:p:q", False), ("a:b.yaml", True),
        ("/d/2026:01/t.yaml", True), ("/d/2026:01/t.yaml:a", True),
    ],
)  # fmt: skip
def test_what_is_a_plan(text, plan):
    assert is_plan(text) == plan


@pytest.mark.parametrize(
    ("behind", "position", "name"),
    [("", 0, "baseline"), ("", 1, "candidate"), (":candidate", 0, "candidate"), (":nobody", 1, "nobody"), (":", 1, "candidate")],
)  # fmt: skip
def test_the_pipeline_behind_the_colon(workspace, behind, position, name):
    text = f"{workspace.plan()}{behind}"
    assert pipeline_name(text, plan_of(text), position) == name


def test_a_plan_whose_name_has_a_colon(workspace):
    text = str(workspace.plan(name="a:b.yaml"))
    assert plan_of(text).path.name == "a:b.yaml"
    assert pipeline_name(f"{text}:candidate", plan_of(f"{text}:candidate"), 0) == "candidate"


def test_a_plan_of_one_pipeline_is_compared_with_itself(workspace):
    text = str(workspace.plan(pipelines="\n  only:\n    model: model.fake.json\n    preprocess: {size: [8, 8], mode: stretch}\n    postprocess: {task: raw}"))  # fmt: skip
    assert [pipeline_name(text, plan_of(text), k) for k in (0, 1)] == ["only", "only"]


def test_a_plan_that_is_not_there(tmp_path):
    with pytest.raises(PlanError, match="no such plan"):
        plan_of(f"{tmp_path}/none.yaml:a")
    assert plan_of("demo").plan == plan_of("demo:v2").plan
