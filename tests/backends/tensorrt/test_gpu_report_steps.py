"""The report's steps for backends (bench/gpu_backend_steps.py), on a small model: the libraries are simulated, or the CPU's stands in."""

import json
from pathlib import Path

import onnx
import pytest
from float_graphs import model_of
from onnx import helper
from simulated_tensorrt import VERSIONS

import seatrial.demo
from seatrial import backends

pytestmark = pytest.mark.slow


@pytest.fixture
def steps(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(Path(__file__).parents[3] / "bench")
    import gpu_backend_steps
    import numpy as np

    weights = np.random.default_rng(0).standard_normal((4, 3, 3, 3)).astype(np.float32) / 5
    proto = model_of(
        [helper.make_node("Conv", ["images", "w"], ["c"], "conv1", pads=[1, 1, 1, 1]), helper.make_node("Relu", ["c"], ["y"])],
        {"images": ["n", 3, 8, 8]}, {"y": ["n", 4, 8, 8]}, {"w": weights}, opset=19,
    )  # fmt: skip
    onnx.save(proto, tmp_path / "small.onnx")
    monkeypatch.setattr(seatrial.demo, "MODEL", tmp_path / "small.onnx")
    monkeypatch.setattr(gpu_backend_steps, "INPUT", (1, 3, 8, 8))
    monkeypatch.setenv("SEATRIAL_CACHE", str(tmp_path / "cache"))
    return gpu_backend_steps


def rows_of(steps, tmp_path, step) -> list[dict]:
    step(steps.Say(tmp_path / "rows.jsonl", 1, 4))
    return [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]


def layers(kind):
    layer = {"Name": "conv1", "LayerType": "CaskConvolution", "Metadata": "[ONNX Layer: conv1]",
             "Inputs": [{"Name": "x", "Format": "LINEAR", "Datatype": kind}], "Outputs": [{"Name": "r", "Datatype": kind}]}  # fmt: skip
    return json.dumps({"Layers": [layer], "I/O Tensors": []})


def test_every_precision_is_built_timed_and_held_against_the_cpu(bench, steps, tmp_path):
    """The library says of each that it computes in fp16: only there does that hold."""
    bench.install(VERSIONS[1], inspector=layers("FP16"))
    rows = rows_of(steps, tmp_path, lambda say: steps.tensorrt(say, "tensorrt"))
    found = {r["shows"]: r for r in rows}
    assert [found[f"demo in {p}"]["verdict"] for p in ("fp32", "fp16", "int8")] == ["off", "ok", "off"], rows
    for row in rows[2:]:
        assert "on the device" in row["figure"]
        assert "one CUDA graph" in row["figure"]


def test_a_library_that_fails_on_a_card_is_a_failure(bench, steps, tmp_path):
    bench.install(VERSIONS[1], loads=False)
    rows = rows_of(steps, tmp_path, lambda say: steps.tensorrt(say, "tensorrt"))
    assert {r["verdict"] for r in rows[2:]} == {"failed"}
    assert "does not load the engine" in rows[2]["figure"]


@pytest.mark.parametrize("wrong", ["", "answers", "nodes"])
def test_a_provider_is_held_against_the_cpu(bench, steps, tmp_path, monkeypatch, wrong):
    """bench: for its driver."""
    real = backends.open_backend

    def opened(name, model, options):
        backend = real("onnxruntime-cpu", model, backends.OpenOptions(1, 1, options.input_shapes, options.named_sizes))
        if name == "onnxruntime-cuda":
            where = "CPUExecutionProvider" if wrong == "nodes" else "CUDAExecutionProvider"
            backend.details = lambda: {"nodes": f"2 nodes on {where}"}
        if wrong == "answers" and options.settings:
            run = backend.run
            backend.run = lambda feeds: [a + 1 for a in run(feeds)]
        return backend

    monkeypatch.setattr(backends, "open_backend", opened)
    monkeypatch.setattr(backends, "availability", lambda name: backends.Availability(name, True, "1.31"))
    rows = rows_of(steps, tmp_path, lambda say: steps.onnxruntime(say, "onnxruntime-cuda", 2))
    verdicts = [(r["shows"], r["verdict"]) for r in rows]
    each = "off" if wrong else "ok"
    assert verdicts[2:] == [
        ("demo, inputs copied each run", each), ("demo, device_io: bound once", each), ("CUDA libraries that it runs with", "ok"),
    ], rows  # fmt: skip


def test_an_engine_by_the_library_alone_answers_whether_it_runs_here(bench, steps, tmp_path, monkeypatch):
    bench.install(VERSIONS[2], inspector=layers("FP32"))
    monkeypatch.setattr(steps, "package", lambda name, cure="": bench.trt)
    rows = rows_of(steps, tmp_path, steps.tensorrt_rtx)
    ran = [r for r in rows if "by the library alone" in r["shows"]]
    assert [(r["verdict"], r["question"]) for r in ran] == [("ok", 1)] * 2, rows
    assert "built in" in ran[0]["figure"]
    (tmp_path / "rows.jsonl").unlink()
    bench.install(VERSIONS[2], loads=False)
    rows = rows_of(steps, tmp_path, steps.tensorrt_rtx)
    ran = [r for r in rows if "by the library alone" in r["shows"]]
    assert {r["verdict"] for r in ran} == {"not possible here"}
    assert "deserialising: no reason given" in ran[0]["figure"]
