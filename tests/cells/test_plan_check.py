"""A plan against the files that it names, without a run."""

import json

import pytest

from seatrial.cells.plan_check import check_files
from seatrial.errors import DataError, ModelError

HEAD = {
    "inputs": {"x": {"shape": ["batch", 3, 8, 8]}},
    "outputs": {"y": {"shape": ["batch", 7, 84], "values": "channel_mean"}},
    "latency_ms": [0.2],
}
TRUTH = {
    "images": [{"id": i, "file_name": f"{i - 1}.png", "height": 12, "width": 16} for i in range(1, 5)],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 5, 5]}],
    "categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}, {"id": 3, "name": "c"}],
}


@pytest.fixture
def check(workspace):
    def of(labels="[a, b, c]", truth=json.dumps(TRUTH), images="images", **parts):
        (workspace.folder / "d.fake.json").write_text(json.dumps(HEAD))
        (workspace.folder / "t.json").write_text(truth)
        post = f"{{task: detect, format: yolov8, labels: {labels}}}"
        pipelines = f"{{baseline: {{model: d.fake.json, preprocess: {{size: [8, 8]}}, postprocess: {post}}}}}"
        given = {"pipelines": pipelines, "images": f"{{path: {images}, annotations: t.json}}", "parity": ""}
        return check_files(workspace.load(**(given | parts)))

    return of


ONLY = "what only a run shows: answers, time and accuracy"


def test_a_sound_plan_leaves_only_what_a_run_shows(check):
    assert check().unchecked == (ONLY,)
    assert not check().warnings


def test_labels_one_short_are_no_valid_plan_with_or_without_images(check):
    for images in ("images", "nowhere"):
        with pytest.raises(ModelError, match="3 classes from the head, but there are 2 labels"):
            check("[a, b]", images=images)


def test_an_empty_truth_is_no_valid_plan(check):
    with pytest.raises(DataError, match="the file is empty"):
        check(truth="")


def test_what_is_odd_is_said(check):
    other = TRUTH | {"categories": [*TRUTH["categories"], {"id": 4, "name": "d"}]}
    assert [w.code for w in check(truth=json.dumps(other)).warnings] == ["unused-categories"]


def test_what_is_missing_is_told_as_not_checked(check):
    found = check(images="nowhere").unchecked
    assert found == ("nowhere is not there", "images and truth, without these", ONLY)


def test_a_backend_of_another_machine_is_no_fault_of_the_plan(check):
    found = check(matrix="{backends: [fake, openvino-gpu]}").unchecked
    assert found == ("openvino-gpu: not on this machine", ONLY)


def test_code_is_not_run(check, workspace):
    (workspace.folder / "mine.py").write_text("raise SystemExit('it ran')\n\ndef f(outputs, sizes):\n    return []\n")
    code = "{baseline: {model: d.fake.json, preprocess: {size: [8, 8]}, postprocess: {python: 'mine:f'}}}"
    assert "the Python stages of baseline: nothing was run" in check(pipelines=code).unchecked
