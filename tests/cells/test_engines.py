"""engine: native or reference, from the plan to the record and the report."""

import json

import numpy as np
import pytest
from onnx import TensorProto, helper

from seatrial.errors import PlanError
from seatrial.kernels.geometry import fit
from seatrial.kernels.preprocess import Preprocess
from seatrial.model.file import inspect_model
from seatrial.report.html import render
from seatrial.trial.run import run_trial


def trial(workspace, **parts):
    return run_trial(workspace.load(**parts), workspace.folder / "results", allow_code=parts.pop("allow_code", False))


def both(workspace, task="{task: classify}", **parts):
    text = (
        f"\n  native:\n    model: model.fake.json\n    preprocess: {{size: [8, 8], mode: stretch}}\n    postprocess: {task}"
        "\n  reference: {extends: native, engine: reference}"
    )
    return trial(workspace, pipelines=text, **parts)


@pytest.mark.slow
def test_the_record_says_which_kernels_ran_and_what_the_others_cost(workspace):
    outcome = both(workspace)
    native, reference = outcome.record.cells
    assert (native.engine, reference.engine) == ("native", "reference")
    for cell in (native, reference):
        assert list(cell.measured.engines) == ["preprocess", "postprocess"]
        for e in cell.measured.engines.values():
            assert e.same
            assert e.native.value > 0 < e.reference.value
            assert e.native.n >= 5
        assert cell.measured.engines["preprocess"].difference == 0
    assert native.across is None
    assert reference.across.agreement == 1
    page = render(outcome.run)
    assert "Native against reference kernels" in page
    assert page.count("identical") == 5, "of each cell and stage, and once for all"


@pytest.mark.slow
def test_a_difference_is_said_wherever_it_is(workspace):
    outcome = both(workspace, matrix="{backends: [fake], batch_sizes: [1], threads: [1]}")
    path = outcome.run.path / "record.json"
    record = json.loads(path.read_text())
    record["cells"][1]["measurement"]["engines"]["preprocess"] |= {"same": False, "difference": 0.25}
    record["cells"][1]["pipeline"] = record["cells"][0]["pipeline"]
    # As of before the rules had a name: no evidence binds it.
    del record["rules"]
    for decision in record["decisions"]:
        decision["evidence"] = ""
    path.write_text(json.dumps(record))
    page = render(outcome.run)
    assert "differ in 1 of 2</b>, by up to 0.25" in page
    assert record["cells"][1]["id"] in page
    assert "identical in 2 cells" in page


def test_failed_and_skipped_cells_name_their_engine(workspace):
    workspace.script("broken.fake.json", fail={"at": 0, "how": "raise"})
    text = (
        "\n  only:\n    model: broken.fake.json\n    engine: reference\n    preprocess: {size: [8, 8]}"
        "\n    postprocess: {task: classify}"
    )
    outcome = trial(
        workspace, pipelines=text, parity="", matrix="{backends: [fake], batch_sizes: [1], threads: [1, 999]}"
    )
    assert {c.status for c in outcome.record.cells} >= {"skipped"}
    assert {c.engine for c in outcome.record.cells} == {"reference"}


def test_cubic_differs_by_at_most_a_level(workspace):
    pixels = np.random.default_rng(0).integers(0, 256, (99, 101, 3), dtype=np.uint8)
    for i in range(4):
        workspace.image(f"{i}.png", pixels)
    text = (
        "\n  only:\n    model: model.fake.json\n    preprocess: {size: [8, 8], mode: stretch, interpolation: cubic}"
        "\n    postprocess: {task: classify}"
    )
    outcome = trial(workspace, pipelines=text, parity="")
    e = outcome.record.cells[0].measured.engines["preprocess"]
    assert e.difference <= 1.01 / 255
    assert e.same == (e.difference == 0)


@pytest.mark.slow
def test_a_stage_that_is_the_same_in_both_is_left_out(workspace):
    outcome = both(workspace, "{task: embed}")
    assert [list(c.measured.engines) for c in outcome.record.cells] == [["preprocess"], ["preprocess"]]


def test_an_engine_that_does_not_exist(workspace):
    with pytest.raises(PlanError, match=r"engine.*native.*reference"):
        workspace.load(pipelines="\n  a:\n    model: model.fake.json\n    engine: fast\n    preprocess: {size: [8, 8]}")


@pytest.mark.parametrize("engine", ["native", "reference"])
@pytest.mark.parametrize(("zero_point", "level"), [(-128, -28), (0, 100), (27, 127), (28, 127)])
def test_an_int8_model_gets_its_levels(workspace, zero_point, level, engine):
    graph = helper.make_graph(
        [helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT), helper.make_node("Flatten", ["f"], ["y"])],
        "int8", [helper.make_tensor_value_info("x", TensorProto.INT8, ["b", 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["b", 192])],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    (workspace.folder / "int8.onnx").write_bytes(model.SerializeToString())
    for i in range(4):
        workspace.image(f"{i}.png", np.full((8, 8, 3), 100, np.uint8))
    text = (
        f"\n  only:\n    model: int8.onnx\n    engine: {engine}\n    preprocess: {{size: [8, 8], dtype: int8, "
        f"quant_scale: 1/255, zero_point: {zero_point}}}\n    postprocess: {{task: classify, activation: none, top_k: 1}}"
    )
    outcome = trial(workspace, pipelines=text, matrix="{backends: onnxruntime-cpu}", parity="")
    cell = outcome.record.cells[0]
    assert (cell.status, cell.engine) == ("ok", engine), cell.reason
    assert cell.measured.engines["preprocess"].same
    levels = Preprocess(size=(8, 8), dtype="int8", quant_scale=1 / 255, zero_point=zero_point, engine=engine)(
        np.full((8, 8, 3), 100, np.uint8)
    )
    assert set(levels.ravel().tolist()) == {level}


def test_the_plan_decides_which_kernels_run(workspace, monkeypatch):
    """Each engine is built with the other one broken."""
    from seatrial.kernels import native_postprocess, native_preprocess, reference
    from seatrial.pipeline.build import build_pipeline

    def broken(*_, **__):
        raise AssertionError("the other engine ran")

    outputs = {
        "classify": [np.ones((1, 3), np.float32)], "segment": [np.ones((1, 3, 8, 8), np.float32)],
        "detect, format: yolov8": [np.ones((1, 6, 8), np.float32)],
    }  # fmt: skip
    owned = {
        "native": [(native_preprocess, "preprocess"), *((native_postprocess, n) for n in ("detect", "classify", "argmax_mask"))],
        "reference": [(reference, n) for n in ("place", "softmax", "nms", "argmax_mask")],
    }  # fmt: skip
    image = np.full((8, 8, 3), 7, np.uint8)
    for engine, other in (("native", "reference"), ("reference", "native")):
        for task, given in outputs.items():
            text = (
                f"\n  only:\n    model: model.fake.json\n    engine: {engine}\n    preprocess: {{size: [8, 8]}}"
                f"\n    postprocess: {{task: {task}}}"
            )
            shape = ["batch", *given[0].shape[1:]]
            workspace.script("model.fake.json", outputs={"y": {"shape": shape, "values": 1}})
            plan = workspace.load(pipelines=text, parity="")
            info = inspect_model(workspace.folder / "model.fake.json")
            pipeline = build_pipeline("only", plan.plan.pipelines["only"], info, plan.folder)
            feeds = pipeline.allocate(1)
            with monkeypatch.context() as broken_other:
                for module, name in owned[other]:
                    broken_other.setattr(module, name, broken)
                pipeline.postprocess(given, pipeline.preprocess([image], feeds))
            with monkeypatch.context() as broken_own:
                for module, name in owned[engine]:
                    broken_own.setattr(module, name, broken)
                with pytest.raises(AssertionError, match="the other engine ran"):
                    pipeline.preprocess([image], feeds)
                with pytest.raises(AssertionError, match="the other engine ran"):
                    pipeline.postprocess(given, [fit((8, 8), (8, 8), "stretch")])


@pytest.mark.slow
def test_an_unknown_simd_level_is_the_environment(workspace, seatrial_cli):
    ended = seatrial_cli("run", workspace.plan(), env={"SEATRIAL_SIMD": "avx9"})
    assert ended.returncode == 5
    assert "SEATRIAL_SIMD: expected one of scalar" in ended.stderr
    assert "got 'avx9'" in ended.stderr
    assert "unset it" in ended.stderr


@pytest.mark.slow
def test_a_forced_level_gives_the_same_answers_and_a_note(workspace, seatrial_cli):
    plan = workspace.plan()
    ended = seatrial_cli("run", plan, "--json", "a.json", env={"SEATRIAL_SIMD": "scalar"})
    assert ended.returncode == 0, ended.stderr
    record = json.loads((workspace.folder / "a.json").read_text())
    assert record["environment"]["simd"] == "scalar"
    assert all(e["same"] for c in record["cells"] for e in c["measurement"]["engines"].values())
