"""Sides of a comparison by name: pipelines and cells of a plan, and what the plan declares differently of two."""

import re

import pytest

from seatrial.diagnosis.of_the_plan import with_fix
from seatrial.diagnosis.run import Candidate, candidate_of
from seatrial.diagnosis.sides import Side, reference_side, side_of
from seatrial.errors import PlanError, UsageError
from seatrial.faults.lines import LINES, line_of
from seatrial.faults.names import NAMES
from seatrial.history.records.diagnosis import Diagnosis


@pytest.fixture
def plan(workspace):
    # A name with a dot in it, as versions have them.
    pipelines = "\n  v1:\n    model: model.fake.json\n    preprocess: {size: [8, 8]}\n  v1.1: {extends: v1}"
    return workspace.load(
        pipelines=pipelines,
        matrix="{backends: [fake, onnxruntime-cpu], precisions: [fp32, int8-u8], batch_sizes: [2, 1], threads: [1]}",
        parity="{reference: {pipeline: v1, batch: 1}}",
    )


@pytest.mark.parametrize(
    ("text", "side"),
    [
        ("v1", Side("v1", "fake", "fp32", 1, 1)),
        ("v1.1", Side("v1.1", "fake", "fp32", 1, 1)),
        ("v1.1.b4", Side("v1.1", "fake", "fp32", 4, 1)),
        ("v1.onnxruntime-cpu.int8-u8.b2.t3", Side("v1", "onnxruntime-cpu", "int8-u8", 2, 3)),
        ("v1.t2.int8-u8", Side("v1", "fake", "int8-u8", 1, 2)),
    ],
)
def test_any_part_of_a_cells_name_may_be_left_out(plan, text, side):
    assert side_of(plan, text) == side
    assert side_of(plan, side.id) == side


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("v2", "no pipeline is called 'v2' (did you mean 'v1'?)"),
        ("v1.fp23", "'fp23' is no backend of the plan's matrix and no precision (did you mean 'fp32'?)"),
        ("v1.b0", "'b0' is no backend"),
        ("v1.openvino-cpu", "'openvino-cpu' is no backend of the plan's matrix"),
    ],
)
def test_a_part_that_names_nothing_is_told(plan, text, said):
    with pytest.raises(PlanError) as e:
        side_of(plan, text)
    assert said in str(e.value)


def test_what_was_not_said_is_the_plans_reference_and_its_other_pipeline(plan, workspace):
    reference = reference_side(plan)
    assert reference == Side("v1", "fake", "fp32", 1, 1)
    assert candidate_of(plan, reference, None, None, None).side == Side("v1.1", "fake", "fp32", 1, 1)
    assert candidate_of(plan, reference, "code:predict", None, None) == Candidate(
        "code:predict", function="code:predict"
    )
    single = workspace.load(pipelines="{only: {model: model.fake.json, preprocess: {size: [8, 8]}}}")
    with pytest.raises(UsageError) as e:
        candidate_of(single, reference_side(single), None, None, None)
    assert "has one pipeline, only; say what it is held against" in str(e.value)


def diagnosis(at):
    return Diagnosis(
        fault="channel-order", what="feeds BGR", stage="input", explained=1.0, exact=True, confirmed=8, at=at
    )


def test_what_to_change_is_the_candidates_line_of_the_plan_or_what_it_must_do(workspace):
    plan = workspace.load(
        pipelines="\n  a:\n    model: model.fake.json\n    preprocess: {size: [8, 8], color: rgb}\n  b: {extends: a, preprocess: {color: bgr}}"
    )
    swapped = with_fix(diagnosis("preprocess.color"), plan, "a", "b")
    assert swapped.at.endswith("pipelines.a.preprocess.color: rgb")
    assert re.search(r"\.yaml:\d+: pipelines\.b\.preprocess\.color: rgb, not bgr$", swapped.fix)
    turned = with_fix(diagnosis("preprocess.color"), plan, "b", "a")
    assert turned.fix.endswith("pipelines.a.preprocess.color: bgr, not rgb")
    said = with_fix(diagnosis("preprocess.color"), plan, "a", "a").fix
    assert said == "the candidate must do what preprocess.color: rgb says; it feeds BGR"


def test_of_code_of_ones_own_and_of_its_logs_the_usual_line_is_said_too(workspace):
    plan = workspace.load(
        pipelines="\n  a:\n    model: model.fake.json\n    preprocess: {size: [8, 8], color: rgb}\n  b: {extends: a, preprocess: {color: bgr}}"
    )
    own = "cv2.cvtColor(image, cv2.COLOR_BGR2RGB)"
    said = with_fix(diagnosis("preprocess.color"), plan, "a", "").fix
    assert said.startswith(f"the candidate must do what preprocess.color: rgb says; it feeds BGR; in code: {own} once")
    # The other way round the same line would be the mistake.
    assert "in code: no cv2.cvtColor" in with_fix(diagnosis("preprocess.color"), plan, "b", "").fix
    scale = diagnosis("preprocess.scale").model_copy(update={"fault": "scale-missing"})
    assert with_fix(scale, plan, "a", "").fix.endswith("; in code: image.astype(np.float32) / 255")


@pytest.mark.parametrize("fault", NAMES)
def test_every_fault_has_a_line_without_a_plans_key(fault):
    for value in (*LINES.get(fault, {}), "other"):
        said = line_of(fault, value, 0.25)
        assert said
        assert "in a plan" not in said.lower()
        assert "{" not in said
    assert line_of("scale-wrong", "0.25", 0.25).endswith("/ 4")
    assert line_of("scale-wrong", "0.007", 0.007).endswith("* 0.007")


def test_of_what_no_key_is_about_no_line_is_named(workspace):
    plan = workspace.load(pipelines="{a: {model: model.fake.json, preprocess: {size: [8, 8]}}}")
    found = with_fix(diagnosis(""), plan, "a", "")
    assert (found.at, found.fix) == ("", "")
