"""Heads of oriented boxes rebuilt (tools/heads): 1.000 where all is found, and the value written out where some are lost."""

import json
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import seatrial
from seatrial.cells.preflight import preflight
from seatrial.images.files import ImageFile
from seatrial.kernels.geometry import fit
from seatrial.kernels.oriented import OrientedDecoder
from seatrial.parity.accuracy import evaluate
from seatrial.parity.classes import map_classes
from seatrial.parity.evaluation import value_of
from seatrial.parity.truth import load_truth
from seatrial.plan.load import load_plan

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
import heads.oriented  # noqa: F401 (adds its layouts)
from heads.encode import HEADS, SIDE, build
from heads.scene import CLASSES, scenes, way, write_truth

LAYOUTS = [name for name in HEADS if name.startswith("oriented")]


def expected(found, lost):
    """Precision 1 up to the recall that is reached, of COCO's 101 levels: a mean over classes."""
    all_of = Counter(t.class_id for s in found for t in s.things)
    known_of = Counter(t.class_id for t in [t for s in found for t in s.things][lost:])
    return np.mean([(100 * known_of[k] // all_of[k] + 1) / 101 if known_of[k] else 0 for k in all_of])


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("engine", ["native", "reference"])
@pytest.mark.parametrize("lost", [0, 5])
def test_a_perfect_head_is_found_perfect_and_a_lesser_one_as_much_less(tmp_path, name, engine, lost):
    found, rng = scenes(), np.random.default_rng(7)
    write_truth(tmp_path / "truth.json", found, "oriented")
    post, left, results = HEADS[name].post, lost, []
    decoder = OrientedDecoder(post["format"], nms=post.get("nms", "probiou"), engine=engine)
    for scene in found:
        known = scene.things[min(left, len(scene.things)) :]
        left -= len(scene.things) - len(known)
        outputs = HEADS[name].outputs(known, way(scene.hw, SIDE, "letterbox"), rng)
        results += decoder([outputs["output0"][None]], [fit(scene.hw, (SIDE, SIDE), "letterbox")])
    images = [ImageFile(tmp_path / s.name, s.name) for s in found]
    truth = load_truth(tmp_path / "truth.json", images)
    value = value_of(evaluate(truth, images, results, map_classes(truth, list(CLASSES), None, None)))
    assert value == pytest.approx(expected(found, lost), abs=1e-9)
    assert (value == pytest.approx(1)) is (lost == 0)


@pytest.mark.slow
def test_a_whole_trial_of_a_perfect_head_gives_1(tmp_path):
    plan = build("oriented-yolov8", tmp_path)
    record = seatrial.run(plan, results=tmp_path / "results")
    assert record.verdict == "PASS"
    assert {(c.accuracy.metric, round(c.accuracy.value.value, 6)) for c in record.cells} == {("oriented mAP", 1.0)}
    assert all("oriented boxes" in c.seen for c in record.cells)


@pytest.mark.slow
def test_labels_as_dota_has_them_are_a_trials_truth_and_are_hashed(tmp_path):
    plan = build("oriented-yolov8", tmp_path)
    labels = tmp_path / "pictures" / "labelTxt"
    labels.mkdir()
    for scene in scenes():
        lines = [
            " ".join(f"{v:.3f}" for v in t.corners().ravel()) + f" {CLASSES[t.class_id]} 0\n" for t in scene.things
        ]
        (labels / scene.name).with_suffix(".txt").write_text("imagesource:x\ngsd:1\n" + "".join(lines))
    text = json.loads(plan.read_text()) | {"images": {"path": "pictures", "annotations": "pictures/labelTxt"}}
    plan.write_text(json.dumps(text))
    record = seatrial.run(plan, results=tmp_path / "results")
    assert [round(c.accuracy.value.value, 6) for c in record.cells] == [1.0, 1.0]
    assert not any("left out" in w.text for w in record.warnings)
    before, changed = preflight(load_plan(plan), False, print).truth_digest, labels / "00.txt"
    changed.write_text(changed.read_text().replace(" 0\n", " 1\n"))
    assert preflight(load_plan(plan), False, print).truth_digest != before, "another truth is another trial"
