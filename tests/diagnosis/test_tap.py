"""A plan's pipeline tapped: each stage is what the pipeline really has, in batches too; and what user code does to it is said."""

from pathlib import Path

import numpy as np
import pytest

from seatrial.cells.preflight import preflight
from seatrial.demo import PLAN
from seatrial.diagnosis.opened import open_way
from seatrial.diagnosis.runner import Runner
from seatrial.diagnosis.sides import side_of
from seatrial.diagnosis.tap import tap_side, workload_of_side
from seatrial.errors import ModelError
from seatrial.history.run_folder import new_run
from seatrial.plan.load import load_plan
from seatrial.taps.check import check_taps, images_in
from seatrial.taps.folder import TapsFolder

DEMO_IMAGES = PLAN.parent / "images"


def tapped(plan, tmp_path, side, allow_code=False):
    """The answer, and the folder."""
    with new_run(tmp_path / "runs", "test") as run:
        ready = preflight(plan, allow_code, lambda _what: None)
        answer = tap_side(ready, run, side_of(plan, side), tmp_path / "taps", 300.0, lambda _step, _share: None)
    return answer, TapsFolder.open(tmp_path / "taps")


def test_each_stage_is_the_pipelines_own_to_the_bit(tmp_path):
    # Of three sizes and both ways up.
    names = sorted(images_in(DEMO_IMAGES))[:5]
    changes = {
        "images": {"path": [f"images/{name}" for name in names], "annotations": None, "tags": None},
        "budgets": [],
    }
    plan = load_plan(PLAN, changes)
    answer, folder = tapped(plan, tmp_path, "baseline.b4")
    assert answer.stages == ("decoded", "resized", "input", "outputs", "candidates", "results")
    assert (answer.images, answer.changed, folder.manifest.batch) == (5, (), 4)
    assert folder.manifest.color == {"decoded": "bgr", "resized": "bgr"}
    assert folder.manifest.producer == "seatrial: baseline.onnxruntime-cpu.fp32.b4.t1 of trial.yaml"
    assert folder.names == tuple(f"images/{name}" for name in names)
    images = {
        f"images/{name}": path for name, path in images_in(DEMO_IMAGES).items() if f"images/{name}" in folder.names
    }
    check = check_taps(folder, images)
    assert (check.problems, check.notes, check.sound) == ((), (), 5)
    # The steps that the diagnosis takes one by one are the pipeline's own.
    with new_run(tmp_path / "runs", "test") as run:
        workload = workload_of_side(preflight(plan, False, lambda _what: None), run, side_of(plan, "baseline.b1"))
    with open_way(workload) as opened:
        runner = Runner(lambda i: opened.data[i])
        for i, name in enumerate(folder.names):
            taps = folder.load(name)
            for stage in ("decoded", "resized", "input"):
                assert np.array_equal(getattr(taps, stage), runner.at(opened.way, i, stage).value), stage
            (output,) = taps.outputs.values()
            # What NMS chose is among what it was given.
            given = {
                tuple(row) for row in np.column_stack([taps.candidates.boxes_xyxy, taps.candidates.scores]).tolist()
            }
            kept = np.column_stack([taps.results.boxes_xyxy, taps.results.scores]).tolist()
            assert 0 < len(kept) < len(given)
            assert all(tuple(row) in given for row in kept)
            np.testing.assert_allclose(output, runner.at(opened.way, i, "outputs").value[0], rtol=1e-3, atol=1e-3)
            assert len(taps.results) == len(runner.at(opened.way, i, "results").value)


def test_outputs_stand_with_their_image_however_many_a_batch_has(workspace, tmp_path):
    plan = workspace.load(matrix="{backends: [fake], batch_sizes: [1, 3]}")
    _, folder = tapped(plan, tmp_path, "baseline.b3")
    assert folder.names == ("0.png", "1.png", "2.png", "3.png")
    for number, blue_green_red in enumerate([(200, 20, 20), (20, 200, 20), (20, 20, 200), (10, 90, 180)]):
        taps = folder.load(f"{number}.png")
        assert taps.decoded[0, 0].tolist() == list(blue_green_red)
        (output,) = taps.outputs.values()
        assert output.shape == (1, 3)
        assert output[0] == pytest.approx(np.array(blue_green_red[::-1]) / 255, abs=1e-3)
        assert taps.results.class_ids[0] == int(np.argmax(blue_green_red[::-1]))


def _with_code(workspace, body):
    (workspace.folder / "own.py").write_text(f"import numpy as np\nimport seatrial\n\n{body}")
    return workspace.load(
        pipelines="\n  baseline:\n    model: model.fake.json\n    preprocess: {python: 'own:preprocess'}\n"
        "    postprocess: {python: 'own:postprocess'}",
        parity="",
    )


CODE = """
def preprocess(image):
    tensor = np.ascontiguousarray(image[:8, :8].transpose(2, 0, 1)[None] / np.float32(255))
    {inside}
    return tensor

def postprocess(outputs, sizes):
    return [seatrial.Classification(np.array([0]), np.array([0.5], np.float32)) if row[0] > 0.5 else None for row in outputs["y"]]
"""


def test_stages_of_the_users_own_are_tapped_and_answers_may_be_none(workspace, tmp_path):
    answer, folder = tapped(_with_code(workspace, CODE.format(inside="")), tmp_path, "baseline", allow_code=True)
    assert answer.stages == ("decoded", "input", "outputs", "results")
    assert answer.changed == ()
    results = [folder.load(name).results for name in folder.names]
    assert [r is None for r in results] == [False, True, True, True]


def test_a_stage_that_changes_its_input_in_place_is_said_and_what_was_before_is_kept(workspace, tmp_path):
    answer, folder = tapped(
        _with_code(workspace, CODE.format(inside="image[:] = 0")), tmp_path, "baseline", allow_code=True
    )
    assert answer.changed == ("decoded",)
    assert folder.load("0.png").decoded[0, 0].tolist() == [200, 20, 20]


def test_code_that_raises_names_its_image_and_its_line_and_loses_nothing(workspace, tmp_path):
    inside = "if image[0, 0, 2] == 200: raise KeyError('no such lens')"
    with pytest.raises(ModelError) as refused:
        tapped(_with_code(workspace, CODE.format(inside=inside)), tmp_path, "baseline", allow_code=True)
    assert str(refused.value) == (
        "baseline.fake.fp32.b1.t1: pipelines.baseline: raised KeyError on 2.png: 'no such lens'; its traceback ends in "
        "own.py:7, in preprocess"
    )
    folder = TapsFolder.open(tmp_path / "taps")
    assert folder.names == ("0.png", "1.png")
    assert folder.manifest.note.startswith("broken off after 2 images of 4: ")


def test_a_pipeline_without_answers_has_none(workspace, tmp_path):
    pipelines = "\n  baseline:\n    model: model.fake.json\n    preprocess: {size: [8, 8], mode: stretch}\n    postprocess: {task: raw}"
    answer, folder = tapped(workspace.load(pipelines=pipelines, parity=""), tmp_path, "baseline")
    assert answer.stages == ("decoded", "resized", "input", "outputs")
    assert folder.stages == {"decoded", "resized", "input", "outputs"}


def test_a_folder_that_is_taken_stays_as_it_is(workspace, tmp_path):
    (tmp_path / "taps").mkdir()
    (tmp_path / "taps" / "mine.txt").write_text("mine")
    with pytest.raises(Exception, match=r"taps: has mine\.txt in it; expected an empty folder"):
        tapped(workspace.load(), tmp_path, "baseline")
    assert [p.name for p in Path(tmp_path / "taps").iterdir()] == ["mine.txt"]
