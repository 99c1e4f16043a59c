"""engine: native or reference, from the plan to the record and the report."""

import json

import numpy as np
import pytest
from onnx import TensorProto, helper

from seatrial.errors import PlanError
from seatrial.report.html import render
from seatrial.trial import run_trial


def trial(workspace, **parts):
    return run_trial(workspace.load(**parts), workspace.folder / "results", allow_code=parts.pop("allow_code", False))


def both(workspace, task="{task: classify}", **parts):
    text = (
        f"\n  native:\n    model: model.fake.json\n    preprocess: {{size: [8, 8], mode: stretch}}\n    postprocess: {task}"
        "\n  reference: {extends: native, engine: reference}"
    )
    return trial(workspace, pipelines=text, **parts)


def test_the_record_says_which_kernels_ran_and_what_the_others_cost(workspace):
    outcome = both(workspace)
    native, reference = outcome.record.cells
    assert (native.engine, reference.engine) == ("native", "reference")
    for cell in (native, reference):
        assert list(cell.engines) == ["preprocess", "postprocess"]
        for e in cell.engines.values():
            assert e.same
            assert e.native.value > 0 < e.reference.value
            assert e.native.n >= 5
        assert cell.engines["preprocess"].difference == 0
    assert native.across is None
    assert reference.across.agreement == 1
    page = render(outcome.run)
    assert "Native against reference kernels" in page
    assert page.count("identical") == 4


def test_a_difference_is_said(workspace):
    pixels = np.random.default_rng(0).integers(0, 256, (99, 101, 3), dtype=np.uint8)
    for i in range(4):
        workspace.image(f"{i}.png", pixels)
    text = (
        "\n  only:\n    model: model.fake.json\n    preprocess: {size: [8, 8], mode: stretch, interpolation: cubic}"
        "\n    postprocess: {task: classify}"
    )
    outcome = trial(workspace, pipelines=text, parity="")
    e = outcome.record.cells[0].engines["preprocess"]
    assert e.difference <= 1.01 / 255
    assert e.same == (e.difference == 0)


def test_a_stage_that_is_the_same_in_both_is_left_out(workspace):
    outcome = both(workspace, "{task: embed}")
    assert [list(c.engines) for c in outcome.record.cells] == [["preprocess"], ["preprocess"]]


def test_an_engine_that_does_not_exist(workspace):
    with pytest.raises(PlanError, match=r"engine.*native.*reference"):
        workspace.load(pipelines="\n  a:\n    model: model.fake.json\n    engine: fast\n    preprocess: {size: [8, 8]}")


@pytest.mark.parametrize(("zero_point", "level"), [(-128, 127), (0, 127), (-28, 127)])
def test_an_int8_model_gets_its_levels(workspace, zero_point, level):
    graph = helper.make_graph(
        [helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT), helper.make_node("Flatten", ["f"], ["y"])],
        "int8", [helper.make_tensor_value_info("x", TensorProto.INT8, ["b", 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["b", 192])],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    (workspace.folder / "int8.onnx").write_bytes(model.SerializeToString())
    for i in range(4):
        workspace.image(f"{i}.png", np.full((8, 8, 3), 255, np.uint8))
    text = (
        "\n  only:\n    model: int8.onnx\n    preprocess: {size: [8, 8], dtype: int8, quant_scale: 1/255, zero_point: "
        f"{zero_point}}}\n    postprocess: {{task: classify, activation: none, top_k: 1}}"
    )
    outcome = trial(workspace, pipelines=text, matrix="{backends: onnxruntime-cpu}", parity="")
    cell = outcome.record.cells[0]
    assert cell.status == "ok", cell.reason
    assert cell.engines["preprocess"].same


def test_an_unknown_simd_level_is_the_environment(workspace, seatrial_cli):
    ended = seatrial_cli("run", workspace.plan(), env={"SEATRIAL_SIMD": "avx9"})
    assert ended.returncode == 5
    assert "SEATRIAL_SIMD: expected one of scalar" in ended.stderr
    assert "got 'avx9'; unset it" in ended.stderr


def test_a_forced_level_gives_the_same_answers_and_a_note(workspace, seatrial_cli):
    plan = workspace.plan()
    ended = seatrial_cli("run", plan, "--json", "a.json", env={"SEATRIAL_SIMD": "scalar"})
    assert ended.returncode == 0, ended.stderr
    record = json.loads((workspace.folder / "a.json").read_text())
    assert record["environment"]["simd"] == "scalar"
    assert all(e["same"] for c in record["cells"] for e in c["engines"].values())
