"""A trial whose answers fail looks into why, and says the mistake's name where it says that they fail."""

import numpy as np
import onnx
import pytest
import records
from onnx import TensorProto, helper, numpy_helper

from seatrial.history.records import Decision
from seatrial.history.records.diagnosis import ParityRecord
from seatrial.report.html import render
from seatrial.trial.explain import _not_looked_into, _with_reason
from seatrial.trial.run import run_trial

# Classes are channels: fed the other way round, red is taken for blue.
COLOURS = [(200, 20, 20), (20, 20, 200), (190, 40, 10), (10, 30, 180), (180, 10, 40), (30, 10, 190)]


@pytest.fixture
def colours(workspace):
    rows = ["image,class"]
    for i, bgr in enumerate(COLOURS):
        workspace.image(f"{i}.png", np.full((12, 16, 3), bgr, np.uint8))
        rows.append(f"{i}.png,{int(np.argmax(bgr[::-1]))}")
    (workspace.folder / "truth.csv").write_text("\n".join(rows) + "\n")
    return workspace


def plan_of(colours, candidate):
    model = "\n  baseline:\n    model: model.fake.json\n    preprocess: {size: [8, 8], mode: stretch}\n"
    post = "    postprocess: {task: classify, top_k: 3, labels: ['0', '1', '2']}\n"
    return colours.load(
        images="{path: images, annotations: truth.csv}",
        pipelines=f"{model}{post}  candidate: {candidate}",
        budgets="[{metric: accuracy, min: 20%}]",
    )


def test_the_mistake_stands_in_the_reason_and_in_the_record(colours):
    outcome = run_trial(plan_of(colours, "{extends: baseline, preprocess: {color: bgr}}"), colours.folder / "results")
    failed = [d for d in outcome.record.decisions if d.verdict == "FAIL"]
    assert [d.check for d in failed] == ["agreement with baseline"]
    assert failed[0].cell.startswith("candidate.")
    assert failed[0].reason.endswith("; known mistake: channel-order, at 'input'")
    (found,) = outcome.record.diagnoses
    assert [d.fault for d in found.diagnosis] == ["channel-order"]
    assert (found.reference, found.candidate) == ("baseline.fake.fp32.b1.t1", "candidate.fake.fp32.b1.t1")


def test_what_no_mistake_explains_is_said_so(colours):
    colours.script("other.fake.json", outputs={"y": {"shape": ["batch", 3], "values": [0.1, 3.0, 0.2]}})
    plan = plan_of(colours, "{extends: baseline, model: other.fake.json}")
    outcome = run_trial(plan, colours.folder / "results")
    (failed,) = [d for d in outcome.record.decisions if d.verdict == "FAIL"]
    assert "no known mistake explains it: the pipelines part at 'outputs'" in failed.reason
    assert "they run two models" in failed.reason


def failing(cell):
    return Decision(check="agreement with p", verdict="FAIL", reason="0.5 below 0.9", cell=cell.id)


def test_a_mistake_of_one_configuration_is_not_written_on_another():
    looked_into = records.cell("p", backend="onnxruntime-cpu", precision="fp16")
    other_batch = records.cell("p", backend="onnxruntime-cpu", precision="fp16", batch=4)
    other_precision = records.cell("p", backend="onnxruntime-cpu", precision="int8")
    other_backend = records.cell("p", backend="openvino-cpu", precision="fp16")
    cells = [looked_into, other_batch, other_precision, other_backend]
    mistake = "known mistake: fp16-overflow, at 'outputs'"
    said = [_with_reason(failing(c), cells, {looked_into.id: mistake}).reason for c in cells]
    assert said == [
        f"0.5 below 0.9; {mistake}",
        f"0.5 below 0.9; as of {looked_into.id}: {mistake}",
        "0.5 below 0.9",
        "0.5 below 0.9",
    ]
    found = [ParityRecord(verdict="DIFFER", reason="", reference="p", candidate=looked_into.id, images=8)]
    (warning,) = _not_looked_into(cells, [failing(c) for c in cells], found)
    assert other_batch.id not in warning.text
    assert f"{other_precision.id}, {other_backend.id} failed" in warning.text
    assert not _not_looked_into(cells, [failing(looked_into), failing(other_batch)], found)


def test_a_trial_that_passes_looks_into_nothing(colours):
    outcome = run_trial(plan_of(colours, "{extends: baseline}"), colours.folder / "results")
    assert not [d for d in outcome.record.decisions if d.verdict == "FAIL"]
    assert outcome.record.diagnoses == ()


def of_two_large_weights(path):
    """Six classes of an image's pixels. Two weights of each take each other back on a picture of one colour, and are so large that
    8 bits leave nothing of the others, which decide."""
    w = np.random.default_rng(3).normal(0, 0.2, (3 * 8 * 8, 6)).astype(np.float32)
    w[:2] = [[1000.0], [-1000.0]]
    constants = {"w": w}
    nodes = [
        helper.make_node("Flatten", ["images"], ["f"], "/flatten"),
        helper.make_node("MatMul", ["f", "w"], ["z"], "/head/MatMul"),
        helper.make_node("Sigmoid", ["z"], ["y"], "/head/Sigmoid"),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 6])],
        [numpy_helper.from_array(np.asarray(v), n) for n, v in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)


def in_two_precisions(colours):
    of_two_large_weights(colours.folder / "model.onnx")
    return colours.load(
        images="images",
        pipelines="{only: {model: model.onnx, preprocess: {size: [8, 8], mode: stretch}, "
        "postprocess: {task: classify, activation: softmax, top_k: 3}}}",
        matrix="{backends: [onnxruntime-cpu], precisions: [fp32, int8], batch_sizes: [1], threads: [1]}",
        parity="{}",
        budgets="[{metric: agreement, min: 90%}]",
    )


@pytest.mark.slow
def test_of_one_model_in_two_precisions_the_node_is_named(colours):
    outcome = run_trial(in_two_precisions(colours), colours.folder / "results")
    (found,) = outcome.record.diagnoses
    assert found.inside is not None
    assert found.inside.jumps[0].node == "/head/MatMul"
    failed = [d for d in outcome.record.decisions if d.verdict == "FAIL"]
    assert failed
    assert all("; inside the model, first at MatMul /head/MatMul" in d.reason for d in failed)
    assert "/head/MatMul" in render(outcome.run)


@pytest.mark.slow
def test_where_no_time_is_left_for_that_it_is_said(colours, monkeypatch):
    monkeypatch.setattr("seatrial.trial.explain.TIME_S", 10.0)
    outcome = run_trial(in_two_precisions(colours), colours.folder / "results")
    (found,) = outcome.record.diagnoses
    assert found.inside is None
    (warning,) = [w for w in outcome.record.warnings if w.code == "inside-not-searched"]
    assert warning.text.startswith(f"{found.candidate}: both models were not searched for the node that differs: ")
    assert "were left, which is too little" in warning.text
