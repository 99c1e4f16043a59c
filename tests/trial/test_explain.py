"""A trial whose answers fail looks into why, and says the mistake's name where it says that they fail."""

import numpy as np
import pytest
import records

from seatrial.history.records import Decision
from seatrial.history.records.diagnosis import ParityRecord
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
