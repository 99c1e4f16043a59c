"""What is in a truth and is not judged, or beyond COCO's limit, is told: a model that gives it up loses nothing by it."""

import contextlib
import io
import json

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from seatrial.images.files import ImageFile
from seatrial.kernels.results import Detections, Poses
from seatrial.parity.classes import ClassMap
from seatrial.parity.empty_truth import nothing_to_find
from seatrial.parity.evaluation import said_beside, value_of
from seatrial.parity.objects import evaluate_objects
from seatrial.parity.oriented_labels import read_labels
from seatrial.parity.truth import Truth, check_truth, load_truth

HW, ONE = (200, 200), ClassMap(ids=(1,))


def box(k):
    """The k-th of a grid of boxes that do not touch: x, y, width, height."""
    return [10.0 * (k % 20), 10.0 * (k // 20), 8.0, 8.0]


def annotation(k, image=0, **more):
    return {"image_id": image, "category_id": 1, "bbox": box(k), "area": 64.0, "iscrowd": 0} | more


def person(k, seen=2, **more):
    x, y, width, height = box(k)
    return annotation(k, keypoints=[x, y, seen, x + width, y + height, seen], **more)


def loaded(folder, annotations, images=1):
    data = {
        "images": [{"id": k, "file_name": f"{k}.png", "height": HW[0], "width": HW[1]} for k in range(images)],
        "annotations": [{"id": k + 1, **a} for k, a in enumerate(annotations)],
        "categories": [{"id": 1, "name": "boat"}],
    }
    (folder / "t.json").write_text(json.dumps(data))
    files = [ImageFile(folder / f"{k}.png", f"{k}.png") for k in range(images)]
    return load_truth(folder / "t.json", files), files, data


def boxes(which, scores=None):
    corners = np.array([[x, y, x + w, y + h] for x, y, w, h in map(box, which)], np.float32).reshape(-1, 4)
    given = np.linspace(0.9, 0.5, len(which)) if scores is None else scores
    return Detections(corners, np.asarray(given, np.float32), np.zeros(len(which), np.int64))


def poses(which):
    found = boxes(which)
    points = np.ones((len(which), 2, 3), np.float32)
    points[:, :, :2] = found.boxes_xyxy.reshape(-1, 2, 2)
    return Poses(*vars(found).values(), points, np.array([0.1, 0.1], np.float32))


@pytest.mark.parametrize(("person_of", "results", "most"), [(annotation, boxes, 100), (person, poses, 20)])
def test_where_the_truth_has_more_than_cocos_limit_it_is_lifted_and_that_is_said(tmp_path, person_of, results, most):
    count = 3 * most
    truth, files, _ = loaded(tmp_path, [person_of(k) for k in range(count)])
    whole = evaluate_objects(truth, files, [results(range(count))], ONE)
    part = evaluate_objects(truth, files, [results(range(most))], ONE)
    assert value_of(whole) == 1.0
    # As far as a third of the objects reaches: 34 of the 101 levels of recall.
    assert value_of(part) == pytest.approx(34 / 101)
    said = f"COCO's limit of {most} of a class lifted on 1 image with more objects"
    assert said in said_beside(whole)
    assert said in said_beside(part)


def test_where_the_truth_has_not_the_figure_is_pycocotools_own_to_the_bit(tmp_path):
    rng = np.random.default_rng(0)
    truth, files, data = loaded(tmp_path, [annotation(k, image) for k in range(0, 300, 3) for image in range(2)], 2)
    # Ties at the limit, right ones beyond it.
    results = [boxes(rng.permutation(300), np.sort(rng.integers(1, 40, 300) / 40)[::-1]) for _ in range(2)]
    found = [
        {"image_id": k, "category_id": 1, "bbox": [x0, y0, x1 - x0, y1 - y0], "score": score}
        for k, r in enumerate(results)
        for (x0, y0, x1, y1), score in zip(r.boxes_xyxy.tolist(), r.scores.tolist(), strict=True)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        own = COCO()
        own.dataset = data
        own.createIndex()
        judge = COCOeval(own, own.loadRes(found), "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    evaluation = evaluate_objects(truth, files, results, ONE)
    assert value_of(evaluation) == pytest.approx(judge.stats[0], abs=1e-12)
    assert 0 < judge.stats[0] < 0.9
    (matches,) = evaluation.classes
    assert len(matches.score) == 200
    assert said_beside(evaluation) == "the best 100 of a class judged on 2 images, as COCO has it"


def test_within_the_limit_nothing_is_said_of_it(tmp_path):
    truth, files, _ = loaded(tmp_path, [annotation(k) for k in range(100)])
    assert said_beside(evaluate_objects(truth, files, [boxes(range(100))], ONE)) == ""


def test_what_is_to_be_ignored_is_neither_missed_nor_wrong(tmp_path):
    annotations = [annotation(0), annotation(1), annotation(2, ignore=1)]
    truth, files, _ = loaded(tmp_path, annotations)
    missed = evaluate_objects(truth, files, [boxes([0, 1])], ONE)
    # The ignored one first: were it wrong, precision would suffer.
    found = evaluate_objects(truth, files, [boxes([2, 0, 1])], ONE)
    assert value_of(missed) == value_of(found) == 1.0
    assert said_beside(missed) == "1 of 3 annotations not judged (ignore)"
    assert [str(w) for w in check_truth(truth, files, [HW], "detect")] == [
        "1 of 3 annotations not judged (ignore): a model that misses it loses nothing"
    ]
    plain, files, _ = loaded(tmp_path, [a | {"ignore": 0} for a in annotations])
    assert value_of(evaluate_objects(plain, files, [boxes([0, 1])], ONE)) < 0.7


def test_crowds_are_told_where_there_are_many(tmp_path):
    def said(crowds, of, **more):
        rows = [annotation(k, iscrowd=int(k < crowds), area=99.0 if k < crowds else 64.0) | more for k in range(of)]
        truth, files, _ = loaded(tmp_path, rows)
        found = evaluate_objects(truth, files, [boxes(range(crowds, of))], ONE)
        assert value_of(found) == 1.0
        return said_beside(found), [str(w) for w in check_truth(truth, files, [HW], "detect")]

    assert said(0, 20) == ("", [])
    assert said(1, 20) == ("1 of 20 annotations not judged (iscrowd)", [])
    beside, (warned,) = said(4, 20)
    assert beside == "4 of 20 annotations not judged (iscrowd)"
    assert warned == (f"{beside}: a model that misses them loses nothing; write iscrowd: 0 where it is a single object")


def test_crowds_smaller_than_the_objects_are_told_even_if_they_are_few(tmp_path):
    rows = [annotation(k, iscrowd=int(k == 0), area=9.0 if k == 0 else 64.0) for k in range(30)]
    truth, files, _ = loaded(tmp_path, rows)
    (warned,) = check_truth(truth, files, [HW], "detect")
    assert "1 of 30 annotations not judged (iscrowd)" in str(warned)
    assert "1 of 1 crowd are smaller than the median object" in str(warned)


def test_visible_keypoints_count_whatever_num_keypoints_says(tmp_path):
    rows = [person(k, num_keypoints=0 if k % 2 else 2) for k in range(8)]
    truth, files, _ = loaded(tmp_path, rows)
    found = evaluate_objects(truth, files, [poses(range(0, 8, 2))], ONE)
    assert value_of(found) == pytest.approx(51 / 101)
    assert [str(w) for w in check_truth(truth, files, [HW], "pose", keypoints=2)] == [
        "4 of 8 annotations say another num_keypoints than they have visible keypoints: the visible ones count"
    ]
    # And the other way round: nobody can find what is not there.
    rows = [person(k, seen=0 if k % 2 else 2, num_keypoints=2) for k in range(8)]
    truth, files, _ = loaded(tmp_path, rows)
    found = evaluate_objects(truth, files, [poses(range(0, 8, 2))], ONE)
    assert value_of(found) == 1.0
    assert "4 of 8 annotations not judged (no visible keypoint)" in said_beside(found)


@pytest.mark.parametrize(
    ("task", "why", "more"),
    [
        ("detect", "iscrowd", {"iscrowd": 1}),
        ("instances", "ignore", {"ignore": 1}),
        ("pose", "no visible keypoint", {"keypoints": [0, 0, 0]}),
    ],
)
def test_a_truth_of_nothing_that_is_judged_says_why(tmp_path, task, why, more):
    truth, _, _ = loaded(tmp_path, [annotation(k, **more) for k in range(3)])
    (warned,) = nothing_to_find(truth, task)
    assert f"in the truth: no accuracy, 3 of 3 annotations not judged ({why}); " in str(warned)


def test_pixels_of_a_crowd_are_judged_in_a_segmentation(tmp_path):
    polygon = [[0, 0, 9, 0, 9, 9]]
    truth, files, _ = loaded(tmp_path, [annotation(0, iscrowd=1, segmentation=polygon)])
    assert nothing_to_find(truth, "segment") == []
    assert check_truth(truth, files, [HW], "segment") == []


def test_difficult_oriented_boxes_are_told(tmp_path):
    (tmp_path / "labels").mkdir()
    lines = [f"{x} 0 {x + 8} 0 {x + 8} 8 {x} 8 boat {int(x == 0)}" for x in (0, 10, 20)]
    (tmp_path / "labels" / "0.txt").write_text("\n".join(lines))
    files = [ImageFile(tmp_path / "0.png", "0.png")]
    data, _ = read_labels(tmp_path / "labels", files, [HW])
    assert sum(a["iscrowd"] for a in data["annotations"]) == 1
    truth = load_truth(tmp_path / "labels", files, [HW])
    assert isinstance(truth, Truth)
    (warned,) = check_truth(truth, files, [HW], "oriented")
    assert str(warned) == "1 of 3 annotations not judged (difficult): a model that misses it loses nothing"


def moved(which, by):
    found = poses(which)
    found.keypoints[:, :, :2] += by
    return found


@pytest.mark.parametrize("boxed", [True, False])
def test_an_area_beyond_its_box_forgives_nothing(tmp_path, boxed):
    rows = [person(k) for k in range(8)]
    for row in rows if not boxed else ():
        del row["bbox"]
    told = "8 poses of the truth have a larger area than their box, by which OKS would forgive any miss: 0.53 of the box's own"
    values = []
    for area in (34.0, 200.0 * 200.0, 1e8):
        truth, files, _ = loaded(tmp_path, [row | {"area": area} for row in rows])
        values.append(value_of(evaluate_objects(truth, files, [moved(range(8), 1.0)], ONE)))
        assert [str(w) for w in truth.warnings] == [f"{told} is taken"] * (area > 34)
    # FILLED of the box of 8 × 8 is 33.92.
    assert values[1] == values[2] == values[0] < 1
