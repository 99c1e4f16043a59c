"""Plans: what is read, and what each mistake is told."""

import pytest

from seatrial.demo import FAULTS, PLAN
from seatrial.errors import PlanError
from seatrial.plan.load import load_plan

MISTAKES = [
    # (section to replace, its text, what the message must say)
    ("images", "{pth: images}", ["trial.yaml:2: images.pth", "unknown key", "did you mean 'path'"]),
    ("images", "{path: images, limit: 0}", ["images.limit", "greater than 0"]),
    ("pipelines", "{}", ["pipelines", "at least 1 item"]),
    ("pipelines", "\n  a: {preprocess: {size: [8, 8]}}", ["trial.yaml:4: pipelines.a", "model", "required"]),
    ("pipelines", "\n  a: {model: m.onnx}", ["pipelines.a.preprocess", "required"]),
    ("pipelines", "\n  a: {extends: b, model: m}", ["no pipeline is called 'b'"]),
    ("pipelines", "\n  a: {extends: b}\n  b: {extends: a}", ["circle", "a → b → a"]),
    ("pipelines", "\n  a b: {model: m, preprocess: {size: [8, 8]}}", ["letters, digits"]),
    ("pipelines", "\n  a:\n    model: m\n    preprocess:\n      size: [8, 8]\n      interpolation: liner",
     ["trial.yaml:8: pipelines.a.preprocess.interpolation", "expected one of linear, nearest", "did you mean 'linear'"]),
    ("pipelines", "\n  a: {model: m, preprocess: {size: [8]}}", ["pipelines.a.preprocess.size"]),
    ("pipelines", "\n  a: {model: m, preprocess: {size: [8, 8], scale: 1/0}}", ["preprocess.scale", "fraction such as 1/255"]),
    ("pipelines", "\n  a: {model: m, preprocess: {python: 'no colon'}}", ["preprocess.python"]),
    ("pipelines", "\n  a: {model: m, preprocess: {size: [8, 8]}, postprocess: {task: detect}}", ["needs a format", "yolov8"]),
    ("pipelines", "\n  a: {model: m, preprocess: {size: [8, 8]}, postprocess: {task: detcet}}", ["did you mean 'detect'"]),
    ("matrix", "{backends: [onnxruntime]}", ["matrix.backends[0]", "did you mean 'onnxruntime-cpu'"]),
    ("matrix", "{backends: []}", ["matrix.backends", "at least 1"]),
    ("matrix", "{batch_sizes: [1, 1]}", ["matrix.batch_sizes", "given twice"]),
    ("matrix", "{batch_sizes: [0]}", ["matrix.batch_sizes[0]", "greater than 0"]),
    ("budgets", "[{metric: latency, at: p98, max: 1 ms}]", ["budgets[0].at", "p50, p90, p95, p99"]),
    ("budgets", "[{metric: latency, max: 30}]", ["budgets[0].max", "the unit is missing", "30 ms"]),
    ("budgets", "[{metric: latency, max: 30 parsecs}]", ["unit 'parsecs' is unknown"]),
    ("budgets", "[{metric: latency}]", ["needs 'max'"]),
    ("budgets", "[{metric: throughput, max: 3 images/s}]", ["takes 'min', not 'max'"]),
    ("budgets", "[{metric: latency, max: -3 ms}]", ["zero or more"]),
    ("budgets", "[{metric: peak_memory, at: p99, max: 1 GiB}]", ["only metric 'latency' takes 'at'"]),
    ("budgets", "[{metric: latency, where: {batch: 16}, max: 1 ms}]", ["no cell has batch 16; the matrix has 1"]),
    ("budgets", "[{metric: latency, where: {pipeline: candidat}, max: 1 ms}]", ["did you mean 'candidate'"]),
    ("budgets", "[{metric: map_drop, max: 0.5 points}]", ["needs ground truth"]),
    ("parity", "{reference: {pipeline: base}}", ["parity.reference.pipeline", "did you mean 'baseline'"]),
    ("parity", "{reference: {batch: 2}}", ["parity.reference.batch: 2 is not in the matrix"]),
    ("parity", "{tolerance: none}", ["parity.tolerance"]),
    ("parity", "{sqnr: 20 db}", ["parity.sqnr", "expected a quantity such as '20 dB'", "'db' is unknown"]),
    ("parity", "{cosine: 1.5}", ["parity.cosine", "less than or equal to 1"]),
    ("parity", "{tolerance: {rtol: -1}}", ["parity.tolerance.rtol", "greater than or equal to 0"]),
    ("regression", "{against: nobody}", ["no pipeline is called 'nobody'"]),
    ("measure", "{max_time: 0 s}", ["measure.max_time", "above zero"]),
    ("measure", "{max_time: soon}", ["measure.max_time", "30 ms"]),
    ("budgets", "{metric: latency, max: 1 ms}", ["budgets: input should be a valid list, got the keys metric, max"]),
    ("budgets", "[{metric: rmse, max: 1}]", ["trial.yaml:", "budgets[0].metric", "'rmse' does not judge task 'classify'"]),
    ("meassure", "{}", ["meassure: unknown key", "did you mean 'measure'"]),
]  # fmt: skip


@pytest.mark.parametrize(("section", "text", "said"), MISTAKES, ids=[f"{m[0]}-{i}" for i, m in enumerate(MISTAKES)])
def test_a_mistake_is_told_with_its_place_and_cure(workspace, section, text, said):
    path = workspace.plan(**{section: text})
    with pytest.raises(PlanError) as caught:
        load_plan(path)
    message = str(caught.value)
    assert str(path) in message
    for words in said:
        assert words in message, message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the plan is empty"),
        ("# only a comment\n", "the plan is empty"),
        ("- 1\n", "got list"),
        ("version: 1\nversion: 1\n", "trial.yaml:2: version: duplicate key, first given on line 1"),
        ("version: 1\nimages:\n  path: a\n  limit: 1\n  path: b\n", "trial.yaml:5: images.path: duplicate key"),
        ("version: [1\n", "not valid YAML"),
        ("version: 1\n\timages: a\n", "trial.yaml:2: not valid YAML"),
        ("version: !!python/object/apply:os.system [x]\n", "the tag"),
        ("version: 2\nimages: a\npipelines: {a: {model: m, preprocess: {size: [8, 8]}}}\n", "version"),
        ("a: &a [1, 1]\n" + "".join(f"b{i}: &b{i} [{', '.join(['*' + ('a' if i == 0 else f'b{i - 1}')] * 9)}]\n" for i in range(9)),
         "aliases expand to too many values"),
        ("a: &a\n  b: *a\n", "aliases"),
        ("? [x]\n: 1\n", "plain word as key"),
    ],
)  # fmt: skip
def test_a_broken_file_is_told_with_its_line(workspace, text, said):
    path = workspace.folder / "trial.yaml"
    path.write_text(text)
    with pytest.raises(PlanError, match="trial.yaml") as caught:
        load_plan(path)
    assert said in str(caught.value)


def test_every_mistake_is_listed_at_once(workspace):
    path = workspace.plan(matrix="{backends: [fak], batch_sizes: [-1]}", measure="{max_time: x}")
    with pytest.raises(PlanError) as caught:
        load_plan(path)
    assert len(str(caught.value).splitlines()) == 3


def test_missing_binary_and_folder_plans(workspace):
    with pytest.raises(PlanError, match="no such plan; write one with 'seatrial init"):
        load_plan(workspace.folder / "nothing.yaml")
    with pytest.raises(PlanError, match="got a folder"):
        load_plan(workspace.folder)
    binary = workspace.folder / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PlanError, match="expected UTF-8"):
        load_plan(binary)


def test_extends_merges_group_by_group(workspace):
    plan = workspace.load(
        pipelines="\n  a:\n    model: m.onnx\n    preprocess: {size: [8, 8], color: bgr, pad_value: 0}\n"
        "  b: {extends: a, preprocess: {color: rgb}}\n  c: {extends: b, model: n.onnx}\n"
        "  d: {extends: a, preprocess: {python: 'mine:pre'}}"
    ).plan
    assert plan.pipelines["b"].preprocess.color == "rgb"
    assert plan.pipelines["b"].preprocess.pad_value == 0
    assert plan.pipelines["c"].model == "n.onnx"
    assert plan.pipelines["c"].preprocess.color == "rgb"
    assert plan.pipelines["a"].preprocess.color == "bgr"
    assert plan.pipelines["d"].preprocess.python == "mine:pre"


def test_an_error_in_an_inherited_key_names_the_line_where_it_stands(workspace):
    with pytest.raises(PlanError, match=r"trial.yaml:6: pipelines.b.preprocess.size"):
        load_plan(workspace.plan(
            pipelines="\n  a:\n    model: m\n    preprocess: {size: [0, 8]}\n  b: {extends: a}",
        ))  # fmt: skip


def test_quantities_read_as_people_write_them(workspace):
    plan = workspace.load(
        budgets="[{metric: latency, at: p99, max: 30 ms}, {metric: throughput, min: 60 images/s},"
        " {metric: peak_memory, max: 1 GiB}, {metric: cold_start, max: 2.5s}]",
        measure="{max_time: 1.5 min, timeout: 1 h}",
    ).plan
    assert [b.limit for b in plan.budgets] == [pytest.approx(0.03), 60, 2**30, 2.5]
    assert plan.measure.max_time == 90
    assert plan.measure.timeout == 3600


def test_the_digest_ignores_layout_and_comments_but_not_meaning(workspace):
    plain = workspace.load().digest
    commented = workspace.plan()
    commented.write_text("# a note\n" + commented.read_text().replace("{path: images}", "\n  path:   images"))
    assert load_plan(commented).digest == plain
    assert workspace.load(images="{path: images, limit: 3}").digest != plain


def test_changes_are_laid_over_the_file(workspace):
    laid_over = {"pipelines.candidate.preprocess.color": "bgr", "budgets.0.max": "1 ms"}
    plan = load_plan(workspace.plan(budgets="[{metric: latency, max: 30 ms}]"), laid_over).plan
    assert plan.budgets[0].limit == 0.001
    assert plan.pipelines["candidate"].preprocess.color == "bgr"
    assert plan.pipelines["baseline"].preprocess.color == "rgb"


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_of_the_demo_changes_a_valid_plan(fault):
    broken, sound = load_plan(PLAN, FAULTS[fault].changes), load_plan(PLAN)
    assert broken.digest != sound.digest
    assert broken.changes


def test_a_plans_stages_are_those_that_are_measured():
    """A Literal, for the schema's sake; the names are those of every table."""
    from typing import get_args

    from seatrial.plan.budgets import Stage
    from seatrial.stages import END_TO_END, PIPELINE_STAGES

    assert get_args(Stage) == (*PIPELINE_STAGES, END_TO_END)
