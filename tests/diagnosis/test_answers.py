"""A black box's answers in a comparison: whose classes they are of, and that the diagnosis reads them as any candidate."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from seatrial.cells.preflight import preflight
from seatrial.demo import PLAN
from seatrial.diagnosis.answers import _categories, answers_as_taps, kind_of
from seatrial.diagnosis.run import Candidate, run_parity
from seatrial.errors import DataError
from seatrial.history.run_folder import new_run
from seatrial.kernels.results import Classification, Detections, Labels, SemanticMask, Text, TextRegions
from seatrial.plan.load import load_plan
from seatrial.plan.pipelines import Pipeline
from seatrial.taps.folder import TapsFolder

TRUTH = PLAN.parent / "images" / "annotations.json"


@pytest.mark.parametrize(
    ("post", "kind"),
    [
        ({"task": "classify"}, Classification),
        ({"task": "classify", "multi_label": True, "activation": "none"}, Labels),
        ({"task": "detect", "format": "yolov8"}, Detections),
        ({"task": "segment"}, SemanticMask),
        ({"task": "text", "format": "db"}, TextRegions),
        ({"task": "text", "format": "ctc"}, Text),
        ({"task": "raw"}, None),
        ({"python": "own:post"}, None),
    ],
)
def test_a_task_gives_its_kind(post, kind):
    spec = {"model": "m.onnx", "preprocess": {"size": [8, 8], "mode": "stretch"}, "postprocess": post}
    assert kind_of(Pipeline.model_validate(spec)) is kind


def test_ids_and_categories_are_the_annotations(tmp_path):
    truth = json.loads(TRUTH.read_text())
    first, second = truth["images"][:2]
    categories = sorted(c["id"] for c in truth["categories"])
    rows = [
        {"image_id": image["id"], "category_id": category, "bbox": [1, 2, 3, 4], "score": 0.5}
        for image, category in ((first, categories[0]), (second, categories[-1]))
    ]
    (tmp_path / "answers.json").write_text(json.dumps(rows))
    ready = preflight(load_plan(PLAN), False, lambda _what: None)
    out = tmp_path / "taps"
    with pytest.raises(DataError, match="no answer for 30 of the plan's 32 images"):
        answers_as_taps(tmp_path / "answers.json", ready, "baseline", out)
    assert not out.exists()
    told = answers_as_taps(tmp_path / "answers.json", ready, "baseline", out, rowless_are_empty=True)
    assert [w.code for w in told] == ["rowless-answers"]
    taps = TapsFolder.open(out)
    assert len(taps.names) == 32
    ids = ready.class_maps["baseline"].ids
    for image, category in ((first, categories[0]), (second, categories[-1])):
        assert taps.load(image["file_name"]).results.class_ids.tolist() == [ids.index(category)]
    assert len(taps.load(truth["images"][2]["file_name"]).results) == 0


BEST = (2, 1, 0, 0)  # the brightest channel, as RGB, of the workspace's images


@pytest.mark.parametrize(("change", "verdict"), [(0, "EQUAL"), (1, "DIFFER")])
def test_a_log_of_classes_is_compared_as_any_candidate(workspace, tmp_path, change, verdict):
    lines = [f"{n}.png,{int(best) + change}" for n, best in enumerate(BEST)]
    (tmp_path / "answers.csv").write_text("\n".join(["image,class", *lines]) + "\n")
    plan = workspace.load(
        pipelines="\n  baseline:\n    model: model.fake.json\n    preprocess: {size: [8, 8], mode: stretch}\n    postprocess: {task: classify, top_k: 1}",
    )
    with new_run(tmp_path / "runs", "test") as run:
        record = run_parity(plan, run, None, Candidate("answers.csv", answers=tmp_path / "answers.csv"), time_s=60.0)
    assert record.verdict == verdict
    assert "scores-unknown" in [w.code for w in record.warnings]
    assert np.array_equal([s.stage for s in record.stages], ["results"])


@pytest.mark.parametrize(("classes", "person"), [(90, 0), (91, 1)])
def test_without_a_truth_cocos_numbers_are_those_that_the_head_has(classes, person):
    post = {"task": "detect", "format": "ssd", "class_ids": "coco91"}
    spec = Pipeline.model_validate({"model": "m.onnx", "preprocess": {"size": [8, 8]}, "postprocess": post})
    names = [f"class {k}" for k in range(classes)]
    plan = SimpleNamespace(plan=SimpleNamespace(pipelines={"p": spec}))
    ready = SimpleNamespace(class_maps={}, labels={"p": names}, models={"p": SimpleNamespace(outputs=[])}, plan=plan)
    assert _categories(ready, "p").index(1) == person
