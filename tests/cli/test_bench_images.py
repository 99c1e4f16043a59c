"""`seatrial bench MODEL --images`: the pipeline that init would guess, on real images, without a plan."""

import json
from pathlib import Path

import pytest
from onnx import TensorProto, helper
from onnx_models import ULTRALYTICS, neck, saved

from seatrial.plan.load import plan_in_memory

SHORT = ("--max-time", "0.3s")


@pytest.fixture
def here(workspace, monkeypatch):
    monkeypatch.chdir(workspace.folder)
    neck(Path("m.onnx"))
    neck(Path("bare.onnx"), {})
    return workspace.folder


@pytest.mark.slow
@pytest.mark.parametrize(
    "load", [(), ("--scenario", "server", "--rate", "20"), ("--scenario", "multi-stream", "--clients", "1,2")]
)
def test_a_models_pipeline_is_measured_on_images_under_every_load(bench, here, load):
    done = bench("m.onnx", "--images", "images", *load, "--json", "out.json", *SHORT)
    assert done.code == 0, done.stderr
    record = json.loads(Path("out.json").read_text())
    assert all(c["status"] == "ok" for c in record["cells"])
    assert {"decode", "preprocess", "infer", "postprocess"} <= set(record["cells"][0]["measurement"]["stages"])
    assert record["images"]["names"] == ["0.png", "1.png", "2.png", "3.png"]
    # No file holds it, so the record does, with what was guessed.
    plan = plan_in_memory(record["plan"]["text"], Path("guessed.yaml").absolute())
    assert plan.plan.pipelines["baseline"].preprocess.size == (320, 320)
    assert record["plan"]["path"] == ""
    assert [w["code"] for w in record["warnings"]].count("check-marks") == 1


def test_the_options_of_a_backend_hold_for_the_look_and_for_the_load(bench, here):
    option = "onnxruntime-cpu:graph_optimization=disabled"
    done = bench("m.onnx", "--images", "images", "--backend", option, "--json", "out.json", *SHORT)
    assert done.code == 0, done.stderr
    [cell] = json.loads(Path("out.json").read_text())["cells"]
    assert cell["backend_options"] == {"graph_optimization": "disabled"}


@pytest.mark.slow
def test_guesses_are_said_as_init_says_them(bench, here):
    done = bench("m.onnx", "--images", "images/0.png", *SHORT)
    assert "✓ size 320 × 320: from the model's metadata (imgsz)" in done.stdout
    assert "? an Ultralytics classifier" in done.stdout
    said = "with 1 point to check; 'seatrial init m.onnx --images images/0.png' writes it down to be corrected"
    assert said in " ".join(done.stdout.split())
    assert not Path("trial.yaml").exists()


@pytest.mark.slow
def test_a_size_that_nothing_says_is_given_or_refused(bench, here):
    done = bench("bare.onnx", "--images", "images", *SHORT)
    assert done.code == 4
    assert (
        "bare.onnx: --images: the model takes pictures of any size, and neither it nor its metadata says which; give --shape "
        "images=1x3x640x640, or write a plan with 'seatrial init bare.onnx --images images'" in done.stderr
    )
    done = bench("bare.onnx", "--images", "images", "--shape", "images=1x3x96x96", *SHORT)
    assert done.code == 0, done.stderr
    assert "✓ size 96 × 96: as given" in done.stdout
    done = bench("bare.onnx", "--images", "images", "--shape", "images=1x3x100x100", *SHORT)
    assert done.code == 4
    assert done.stderr.count("this model takes multiples of 32; give --shape images=1x3x96x96") == 1


def two_inputs(path):
    value = helper.make_tensor_value_info
    pair = [value(name, TensorProto.FLOAT, ["n", 3, 8, 8]) for name in "ab"]
    graph = helper.make_graph(
        [helper.make_node("Add", ["a", "b"], ["y"])], "g", pair, [value("y", TensorProto.FLOAT, ["n", 3, 8, 8])]
    )
    return saved(path, graph, {})


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("m.onnx --images none", 4, "--images: expected a folder of images, or one, got 'none', which is not there"),
        ("two.onnx --images images", 4, "--images: nothing tells the preprocessing: two.onnx: the model has 2 inputs"),
        ("trial.yaml --images images", 2, "--images: trial.yaml is a plan, which names its own images; leave it away"),
        ("m.onnx --images images --mix images=1x3x96x96 --mix images=1x3x64x64", 2, "--images and --mix: a pipeline's pictures "
         "all have one size"),
        ("m.onnx --images images --shape x=1x3x96x96", 2, "--shape: the model has no input called 'x'; inputs are images"),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_told(bench, here, workspace, words, code, said):
    two_inputs(Path("two.onnx"))
    workspace.plan()
    done = bench(*words.split(" "), *SHORT)
    assert done.code == code, done.stderr
    assert said in done.stderr
    assert not list(Path("results").glob("*/*"))


@pytest.mark.slow
def test_the_batch_is_the_shapes_or_the_options(bench, here):
    for option in (("--batch", "2"), ("--shape", "images=2x3x96x96")):
        done = bench("m.onnx", "--images", "images", *option, "--json", "out.json", *SHORT)
        assert done.code == 0, done.stderr
        assert json.loads(Path("out.json").read_text())["cells"][0]["batch"] == 2
    neck(Path("four.onnx"), ULTRALYTICS, (4, 3, "h", "w"))
    done = bench("four.onnx", "--images", "images", "--json", "out.json", *SHORT)
    assert json.loads(Path("out.json").read_text())["cells"][0]["batch"] == 4
