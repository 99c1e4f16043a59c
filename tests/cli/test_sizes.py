"""A picture's size on the command line: taken from the metadata, and where a runtime refuses it, told once, with what to give."""

import json
from pathlib import Path

import pytest
from onnx_models import ULTRALYTICS, neck

SHORT = ("--max-time", "0.2s")
RAW = ("Concat", "Inferred", "inconsistent")


@pytest.fixture(scope="module")
def folder(shared_workspace):
    path = shared_workspace.folder
    neck(path / "m.onnx")
    neck(path / "bare.onnx", {})
    neck(path / "unnamed.onnx", {}, (None, 3, None, None))
    return path


@pytest.mark.slow
def test_made_up_pictures_have_the_size_that_the_metadata_says(bench, folder, monkeypatch):
    monkeypatch.chdir(folder)
    done = bench("m.onnx", *SHORT)
    assert done.stdout.splitlines()[0] == "images 1x3x320x320: the size is from the model's metadata (imgsz)"
    # Another than the metadata's is the user's own.
    done = bench("m.onnx", "--shape", "images=1x3x96x96", *SHORT)
    assert (done.code, "metadata" in done.stdout) == (0, False)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("m.onnx --shape images=1x3x100x100", "m.onnx: no 1x3x100x100 goes into images float32[batch, 3, height, width]: this "
         "model takes multiples of 32; its metadata says 320; give --shape images=1x3x320x320"),
        ("m.onnx --shape images=2x3x100x100 --backend openvino-cpu", "this model takes multiples of 32; its metadata says 320; "
         "give --shape images=2x3x320x320"),
        ("unnamed.onnx --shape images=1x3x100x100", "this model takes multiples of 32; give --shape images=1x3x96x96"),
        ("bare.onnx --mix images=1x3x96x96 --mix images=1x3x100x100", "--mix images=1x3x100x100: the model does not run on this "
         "shape: this model takes multiples of 32; leave it away"),
    ],
)  # fmt: skip
def test_a_refused_size_is_told_once_by_bench(bench, folder, monkeypatch, words, said):
    monkeypatch.chdir(folder)
    done = bench(*words.split(" "), *SHORT)
    assert done.stderr.count(said) == 1, done.stderr
    assert done.stderr.count("error:") == 1
    assert not any(word in done.stdout + done.stderr for word in RAW)


@pytest.mark.parametrize("model", ["m.onnx", "unnamed.onnx"])
def test_a_refused_size_is_told_once_by_compare(seatrial_cli, folder, model):
    done = seatrial_cli("compare", model, "--shape", "images=1x3x100x100", cwd=folder)
    assert done.returncode == 4, done.stderr
    assert done.stderr.count("this model takes multiples of 32") == 1
    assert "give --shape images=1x3x" in done.stderr
    assert not any(word in done.stdout + done.stderr for word in RAW)


def test_a_trial_says_it_once_for_all_its_cells_and_keeps_the_runtimes_words(seatrial_cli, folder):
    (folder / "trial.yaml").write_text(
        "version: 1\nimages: images\npipelines:\n  a: {model: m.onnx, preprocess: {size: [100, 100], mode: stretch}, "
        "postprocess: {task: classify}}\nmatrix: {backends: [onnxruntime-cpu], batch_sizes: [1, 2, 3]}\n"
        "measure: {max_time: 0.2 s}\n"
    )
    done = seatrial_cli("run", "trial.yaml", "--json", "out.json", cwd=folder)
    said = (
        "pipelines.a.preprocess.size: no 100 × 100 picture goes into images float32[batch, 3, height, width]: this model takes "
        "multiples of 32; its metadata says 320; set it to [320, 320]"
    )
    assert " ".join(done.stdout.split()).count(said) == 1
    assert not any(word in done.stdout for word in RAW)
    cells = json.loads((folder / "out.json").read_text())["cells"]
    assert [(c["reason"], c["exit_code"]) for c in cells] == [(said, 4)] * 3
    assert all("Concat" in c["last_output"] for c in cells)


def test_a_size_in_the_metadata_that_the_model_would_refuse_is_not_used(bench, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    neck(Path("odd.onnx"), ULTRALYTICS | {"imgsz": "[100, 100]"})
    done = bench("odd.onnx", *SHORT)
    assert done.code == 4
    said = "imgsz '[100, 100]' in the metadata is no height and width, in multiples of its stride of 32: it is not used"
    assert f"{said}; give --shape images=1x3x640x640" in done.stderr


@pytest.mark.slow
def test_compare_says_of_each_side_which_size_it_took(seatrial_cli, folder):
    neck(folder / "larger.onnx", ULTRALYTICS | {"imgsz": "[352, 352]"})
    done = seatrial_cli("compare", "m.onnx", "larger.onnx", "--max-time", "60 s", cwd=folder)
    assert done.stdout.splitlines()[:2] == [
        "A: images 1x3x320x320: the size is from the model's metadata (imgsz)",
        "B: images 1x3x352x352: the size is from the model's metadata (imgsz)",
    ], done.stdout + done.stderr
