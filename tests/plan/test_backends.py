"""Backends with a name and options in a plan."""

import pytest

from seatrial.cells.matrix import Cell, expand
from seatrial.errors import PlanError
from seatrial.model.file import inspect_model
from seatrial.runtimes.choice import BackendChoice

NAMED = "{name: quick, backend: openvino-cpu, options: {hint: latency, streams: 2}}"


def test_a_name_an_entry_and_their_cells(workspace):
    plan = workspace.load(matrix=f"{{backends: [fake, {{backend: onnxruntime-cpu}}, {NAMED}]}}")
    m = plan.plan.matrix
    assert m.backend_names == ["fake", "onnxruntime-cpu", "quick"]
    assert m.choices[2] == BackendChoice("openvino-cpu", "quick", {"hint": "latency", "streams": 2})
    cells = expand(plan, {n: inspect_model(plan.resolve(p.model)) for n, p in plan.plan.pipelines.items()}, 4, 2)
    assert [c.id for c in cells if c.pipeline == "baseline"] == [
        "baseline.fake.fp32.b1.t1", "baseline.onnxruntime-cpu.fp32.b1.t1", "baseline.quick.fp32.b1.t1",
    ]  # fmt: skip
    # What is skipped goes by the backend, not by what it is called.
    assert cells[-1].choice.backend == "openvino-cpu"
    assert cells[-1].skip == "a fake script runs only on backend fake"


def test_one_entry_may_stand_for_a_list(workspace):
    assert workspace.load(matrix=f"{{backends: {NAMED}}}").plan.matrix.backend_names == ["quick"]


def test_the_same_backend_twice_is_two_where_it_has_two_names(workspace):
    twice = "{backends: [fake, {name: again, backend: fake}]}"
    plan = workspace.load(matrix=twice, budgets="[{metric: latency, where: {backend: again}, max: 1 s}]").plan
    assert plan.budgets[0].where.backend == ["again"]


@pytest.mark.parametrize(
    ("matrix", "said"),
    [
        ("{backends: [fake, {name: fake, backend: onnxruntime-cpu}]}", ["matrix.backends", "another backend's", "fake"]),
        ("{backends: [fake, {name: fake, backend: fake}]}", ["matrix.backends", "given twice", "fake"]),
        ("{backends: [{backend: openvino}]}", ["matrix.backends[0].backend", "did you mean 'openvino-cpu'"]),
        ("{backends: [{name: x}]}", ["matrix.backends[0].backend", "required"]),
        ("{backends: [{name: a.b, backend: fake}]}", ["matrix.backends[0].name", "letters, digits", "'a.b'"]),
        ("{backends: [{name: openvino-cpu, backend: fake}]}", ["matrix.backends[0].name", "another backend's", "'openvino-cpu'"]),
        ("{backends: [{backend: fake, option: {}}]}", ["matrix.backends[0].option", "did you mean 'options'"]),
        ("{backends: [{backend: fake, options: {x: 1}}]}", ["matrix.backends[0].options.x", "fake has no option 'x'; it takes none"]),
        ("{backends: [{backend: openvino-cpu, options: {hnt: latency}}]}", ["options.hnt", "did you mean 'hint'"]),
        ("{backends: [{backend: openvino-cpu, options: {streams: 0}}]}", ["options.streams", "from 1 on or auto, got 0"]),
        ("{backends: [{backend: openvino-cpu, options: {streams: [1]}}]}", ["matrix.backends[0].options.streams"]),
        ("{backends: [3]}", ["matrix.backends[0]: expected keys and their values, got 3"]),
        ("{backends: [[fake]]}", ["matrix.backends[0]: expected keys and their values, got ['fake']"]),
    ],
)  # fmt: skip
def test_mistakes_say_where_they_stand(workspace, matrix, said):
    with pytest.raises(PlanError) as e:
        workspace.load(matrix=matrix)
    for words in said:
        assert words in str(e.value), str(e.value)


@pytest.mark.parametrize(
    "entries",
    [
        ", ".join(["fake"] * 5_000),
        f"{{backend: openvino-cpu, options: {{hint: {'x' * 50_000}}}}}",
        f"{{backend: fake, name: {'x' * 50_000}}}",
        ", ".join(f"{{backend: fake, name: a{i}}}" for i in range(500)),
    ],
    ids=["twice", "option", "name", "many"],
)
def test_a_message_stays_short_whatever_was_given(workspace, entries):
    with pytest.raises(PlanError) as e:
        workspace.load(
            matrix=f"{{backends: [{entries}]}}", budgets="[{metric: latency, where: {backend: b}, max: 1 s}]"
        )
    assert max(map(len, str(e.value).splitlines())) < 900


@pytest.mark.parametrize("section", ["budgets", "parity"])
def test_a_cell_is_named_by_what_the_plan_calls_its_backend(workspace, section):
    text = {
        "budgets": "[{metric: latency, where: {backend: fake}, max: 1 s}]",
        "parity": "{reference: {backend: fake}}",
    }
    with pytest.raises(PlanError, match="(the matrix|which) has mine") as e:
        workspace.load(matrix="{backends: {name: mine, backend: fake}}", **{section: text[section]})
    assert "backend" in str(e.value)


def test_a_cell_without_a_choice_is_its_backends_own():
    assert Cell("p", "fake", "fp32", 1, 1).choice == BackendChoice("fake")
