"""Trials whose postprocess or plan cannot be trusted: they say so, and do not PASS."""

import json

import numpy as np
import pytest

from seatrial.cells.matrix import expand
from seatrial.cells.preflight import preflight
from seatrial.errors import ExitCode
from seatrial.history.records import CellRecord
from seatrial.model.file import ModelInfo, TensorInfo
from seatrial.trial.run import run_trial

DETECT = "\n  only:\n    model: model.fake.json\n    preprocess: {size: [8, 8], mode: stretch}\n    postprocess: "


def trial(workspace, postprocess):
    return run_trial(
        workspace.load(pipelines=DETECT + postprocess, parity="", measure="{max_time: 100 ms, min_samples: 5}"),
        workspace.folder / "results",
    )


def test_logits_read_as_probabilities_fail_the_cell_as_bad_input(workspace):
    head = np.full((6, 84), -3.0)
    head[:4] = 4  # YOLOv8's layout, two classes
    workspace.script("model.fake.json", outputs={"y": {"shape": ["n", 6, 84], "values": head.tolist()}})
    outcome = trial(workspace, "{task: detect, format: yolov8}")
    (cell,) = outcome.record.cells
    assert outcome.exit_code == ExitCode.BAD_INPUT
    assert outcome.record.verdict == "FAIL"
    assert (cell.status, cell.exit_code) == ("failed", 4)
    assert "expects probabilities, but its scores go from -3 to -3 over 4 images" in cell.reason
    assert "with logits in place of probabilities" in cell.reason


def test_a_softmax_of_probabilities_is_a_warning_of_the_cell(workspace):
    workspace.script("model.fake.json", outputs={"y": {"shape": ["batch", 3], "values": [0.7, 0.2, 0.1]}})
    outcome = trial(workspace, "{task: classify}")
    assert outcome.exit_code == ExitCode.PASS
    assert any(w.code == "double-activation" for w in outcome.record.cells[0].warnings)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (
            "# CHECK color and mean: nobody knows\n",
            "1 line of trial.yaml is still marked CHECK: color and mean: nobody knows",
        ),
        ("# CHECK a\n#CHECK b\n   # CHECK c\n", "3 lines of trial.yaml are still marked CHECK: a; b; c. Confirm each"),
        ("# checked by me\n# a CHECK in the middle\n# CHECKED\n", ""),
    ],
)
def test_what_init_was_not_sure_of_is_said_while_it_stands(workspace, lines, said):
    plan = workspace.plan()
    plan.write_text(lines + plan.read_text())
    from seatrial.plan.load import load_plan

    warnings = [w for w in preflight(load_plan(plan), False, lambda _: None).warnings if w.code == "check-marks"]
    assert len(warnings) == bool(said)
    assert all(w.text.startswith(said) for w in warnings)


def model(workspace, weights, dtype="float32"):
    image = TensorInfo("x", ("n", 3, 8, 8), dtype)
    return ModelInfo(
        workspace.folder / "m.onnx",
        (image,),
        (),
        {},
        17,
        1,
        "",
        weights=weights,
        arithmetic="int8" * (weights == "int8"),
    )


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ("int8", "the model is quantised already, and int8"),
        ("float16", "the model holds float16 weights, and int8"),
        ("int4", "the model holds int4 weights, and int8"),
        ("", ""),
    ],
)
def test_what_is_quantised_already_is_not_quantised_again(workspace, weights, said):
    plan = workspace.load(
        matrix="{backends: [onnxruntime-cpu], precisions: [fp32, int8]}", pipelines="{only: {model: m.onnx, preprocess: {size: [8, 8]}}}",
        parity="",
    )  # fmt: skip
    fp32, int8 = expand(plan, {"only": model(workspace, weights)}, 4, 4)
    assert fp32.skip == ""
    assert int8.skip.startswith(said)
    assert bool(int8.skip) is bool(said)


@pytest.mark.parametrize(
    ("weights", "shown"),
    [("int8", "onnxruntime-cpu fp32 (int8 in the file) b1 t1"), ("", "onnxruntime-cpu fp32 b1 t1")],
)
def test_a_row_says_what_its_file_holds(weights, shown):
    cell = CellRecord(
        id="a.b.onnxruntime-cpu.fp32.b1.t1", pipeline="a.b", backend="onnxruntime-cpu", precision="fp32", weights=weights,
        batch=1, threads=1, status="ok",
    )  # fmt: skip
    assert cell.configuration == shown
    old = json.loads(cell.model_dump_json())
    del old["weights"]
    assert CellRecord.model_validate(old).weights == ""
