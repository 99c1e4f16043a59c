"""Masks and poses against the truth: the figures of pycocotools itself, and what a truth must have."""

import contextlib
import io
import json

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from seatrial.errors import DataError
from seatrial.images.files import ImageFile
from seatrial.kernels.masks import coco_rle
from seatrial.kernels.poses import COCO_SIGMAS
from seatrial.kernels.results import Detections, Instances, Poses
from seatrial.parity.classes import map_classes
from seatrial.parity.evaluation import value_of
from seatrial.parity.objects import evaluate_objects
from seatrial.parity.truth import check_truth, load_truth

HW, NAMES = (40, 60), ["a", "b"]


def truth_of(tmp_path, annotations, images=3, sizes=True):
    size = {"height": HW[0], "width": HW[1]} if sizes else {}
    data = {
        "images": [{"id": k, "file_name": f"{k}.png", **size} for k in range(images)],
        "annotations": [{"id": k + 1, **a} for k, a in enumerate(annotations)],
        "categories": [{"id": k + 1, "name": n} for k, n in enumerate(NAMES)],
    }
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(data))
    files = [ImageFile(tmp_path / f"{k}.png", f"{k}.png") for k in range(images)]
    return load_truth(path, files), files, data


def judged(data, found, by):
    """pycocotools' own AP, all settings its own but the sizes."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = json.loads(json.dumps(data))
        truth.createIndex()
        judge = COCOeval(truth, truth.loadRes(found), by)
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return judge.stats[0]


def blob(rng):
    y, x = rng.uniform(8, 32), rng.uniform(8, 52)
    yy, xx = np.mgrid[0 : HW[0], 0 : HW[1]]
    return ((yy - y) / rng.uniform(3, 8)) ** 2 + ((xx - x) / rng.uniform(3, 8)) ** 2 < 1


def test_mask_map_is_that_of_pycocotools(tmp_path):
    from seatrial.kernels.masks import runs_of

    rng = np.random.default_rng(0)
    annotations, found, results = [], [], []
    for image in range(3):
        masks, classes = [blob(rng) for _ in range(4)], rng.integers(0, 2, 4)
        for mask, k in zip(masks, classes, strict=True):
            rle = {"counts": runs_of(mask, (0, 0), HW).tolist(), "size": list(HW)}
            annotations.append({"image_id": image, "category_id": int(k) + 1, "segmentation": rle, "area": int(mask.sum()), "iscrowd": 0, "bbox": [0, 0, 9, 9]})  # fmt: skip
        # Each moved by some pixels, so that the thresholds part them; and one of nothing.
        guesses = [np.roll(m, rng.integers(-2, 3, 2), (0, 1)) for m in masks] + [blob(rng)]
        scores = rng.uniform(0.1, 1, 5).astype(np.float32)
        ids = np.append(classes, 0).astype(np.int64)
        results.append(Instances.of_masks(Detections(np.zeros((5, 4), np.float32), scores, ids), guesses, HW))
        found += [{"image_id": image, "category_id": int(k) + 1, "segmentation": coco_rle(runs_of(m, (0, 0), HW), HW), "score": float(s)} for m, k, s in zip(guesses, ids, scores, strict=True)]  # fmt: skip
    truth, files, data = truth_of(tmp_path, annotations)
    evaluation = evaluate_objects(truth, files, results, map_classes(truth, NAMES, None, 2))
    assert evaluation.metric == "mask mAP"
    assert value_of(evaluation) == pytest.approx(judged(data, found, "segm"), abs=1e-12)
    assert 0.1 < value_of(evaluation) < 0.9
    # The truth is as it was: the next cell is judged by it too.
    again = evaluate_objects(truth, files, results, map_classes(truth, NAMES, None, 2))
    assert value_of(again) == value_of(evaluation)


def person(rng, image, seen=2):
    points = np.column_stack([rng.uniform(5, 35, 17), rng.uniform(5, 35, 17), np.full(17, seen)])
    box = [5.0, 5.0, 30.0, 30.0]
    return {"image_id": image, "category_id": 1, "keypoints": points.ravel().tolist(), "num_keypoints": 17 if seen else 0, "bbox": box, "area": 500.0, "iscrowd": 0}  # fmt: skip


def posed(truths, by, scores, sigmas=COCO_SIGMAS):
    points = np.array([t["keypoints"] for t in truths], float).reshape(-1, 17, 3) + by
    n = len(truths)
    boxes = np.tile(np.array([5, 5, 35, 35], np.float32), (n, 1))
    return Poses(
        boxes,
        np.array(scores, np.float32),
        np.zeros(n, np.int64),
        points.astype(np.float32),
        np.array(sigmas, np.float32),
    )


def test_keypoint_map_is_that_of_pycocotools(tmp_path):
    rng = np.random.default_rng(1)
    annotations = [person(rng, image) for image in (0, 0, 1, 1, 2)] + [person(rng, 2, seen=0)]
    results, found = [], []
    for image in range(3):
        own = [a for a in annotations if a["image_id"] == image]
        moves = rng.normal(0, 2.5, (len(own), 17, 3)) * [1, 1, 0]
        results.append(posed(own, moves, rng.uniform(0.1, 1, len(own))))
        rows = zip(results[-1].keypoints, results[-1].scores, strict=True)
        found += [
            {"image_id": image, "category_id": 1, "keypoints": p.ravel().tolist(), "score": float(s)} for p, s in rows
        ]
    truth, files, data = truth_of(tmp_path, annotations)
    evaluation = evaluate_objects(truth, files, results, map_classes(truth, NAMES, None, 1))
    assert evaluation.metric == "keypoint mAP"
    assert value_of(evaluation) == pytest.approx(judged(data, found, "keypoints"), abs=1e-12)
    assert 0.05 < value_of(evaluation) < 0.95


def test_sigmas_of_the_pipeline_judge_its_poses(tmp_path):
    rng = np.random.default_rng(2)
    annotations = [person(rng, image) for image in range(3)]
    truth, files, _ = truth_of(tmp_path, annotations)
    values = []
    for sigma in (0.01, 0.05, 0.5):
        results = [posed([a], np.array([3.0, 0, 0]), [0.9], [sigma] * 17) for a in annotations]
        values.append(value_of(evaluate_objects(truth, files, results, map_classes(truth, NAMES, None, 1))))
    # OKS is exp(-9 / (2 · 500 · 4 σ²)): 0 at σ 0.01, 0.41 at 0.05, 0.99 at 0.5.
    assert values == [0.0, 0.0, pytest.approx(1)]


def test_points_that_nobody_marked_are_not_there_to_be_found(tmp_path):
    rng = np.random.default_rng(3)
    annotations = [person(rng, 0), person(rng, 1, seen=0)]
    for a in annotations:
        del a["num_keypoints"]
    truth, files, _ = truth_of(tmp_path, annotations)
    results = [posed(annotations[:1], 0, [0.9]), None, None]
    assert value_of(evaluate_objects(truth, files, results, map_classes(truth, NAMES, None, 1))) == pytest.approx(1)
    alone, files, _ = truth_of(tmp_path, annotations[1:])
    assert (
        value_of(evaluate_objects(alone, files, [posed([], 0, []), None, None], map_classes(alone, NAMES, None, 1)))
        is None
    )


def test_a_truth_of_another_number_of_points_is_named(tmp_path):
    rng = np.random.default_rng(3)
    annotation = person(rng, 0) | {"keypoints": [1, 2, 2] * 5}
    truth, files, _ = truth_of(tmp_path, [annotation])
    with pytest.raises(
        DataError, match=r"expected 3 numbers for each of the pipeline's 17 keypoints, got an annotation with 15"
    ):
        evaluate_objects(truth, files, [posed([], 0, []), None, None], map_classes(truth, NAMES, None, 1))


def test_masks_of_another_size_than_the_picture_are_named(tmp_path):
    rle = {"counts": [0, HW[0] * HW[1]], "size": list(HW)}
    truth, files, _ = truth_of(tmp_path, [{"image_id": 0, "category_id": 1, "segmentation": rle, "area": 9}])
    turned = Instances.of_masks(
        Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64)), [], HW[::-1]
    )
    with pytest.raises(DataError, match=r"0.png is annotated at 40 × 60 \(height × width\), but decodes to 60 × 40"):
        evaluate_objects(truth, files, [turned, None, None], map_classes(truth, NAMES, None, 2))


def test_images_without_a_size_in_the_truth_have_that_of_the_picture(tmp_path):
    polygon = [[10, 10, 30, 10, 30, 30, 10, 30]]
    truth, files, _ = truth_of(
        tmp_path, [{"image_id": 0, "category_id": 1, "segmentation": polygon, "area": 400}], sizes=False
    )
    mask = np.zeros(HW, bool)
    mask[10:30, 10:30] = True
    one = Detections(np.array([[10, 10, 30, 30]], np.float32), np.ones(1, np.float32), np.zeros(1, np.int64))
    found = evaluate_objects(
        truth, files, [Instances.of_masks(one, [mask], HW), None, None], map_classes(truth, NAMES, None, 2)
    )
    assert value_of(found) == pytest.approx(1)


BOX = {"image_id": 0, "category_id": 1, "bbox": [1, 1, 5, 5], "area": 25}


@pytest.mark.parametrize(
    ("task", "annotation", "said"),
    [
        ("instances", BOX, "no sound 'segmentation', which task 'instances' needs"),
        ("instances", BOX | {"segmentation": []}, "no sound 'segmentation'"),
        ("pose", BOX, "no sound 'keypoints', which task 'pose' needs"),
        (
            "pose",
            BOX | {"keypoints": [1, 2]},
            "x, y and visibility of as many keypoints in each annotation, got lists of 2 numbers",
        ),
        ("pose", BOX | {"keypoints": [1, 2, 7]}, "visibility of 0, 1 or 2 each"),
        ("pose", BOX | {"keypoints": [1, float("inf"), 2]}, "expected finite keypoints"),
    ],
)
def test_what_a_task_is_judged_by_must_be_there(tmp_path, task, annotation, said):
    truth, files, _ = truth_of(tmp_path, [annotation])
    with pytest.raises(DataError, match=said):
        check_truth(truth, files, [HW] * 3, task)


def test_annotations_of_unlike_numbers_of_points_are_named(tmp_path):
    annotations = [BOX | {"keypoints": [1, 2, 2] * n} for n in (2, 3)]
    truth, files, _ = truth_of(tmp_path, annotations)
    with pytest.raises(DataError, match="got lists of 6 and 9 numbers"):
        check_truth(truth, files, [HW] * 3, "pose")


def test_as_many_keypoints_as_the_pipeline_gives_are_wanted_before_anything_runs(tmp_path):
    truth, files, _ = truth_of(tmp_path, [BOX | {"keypoints": [1, 2, 2] * 5}])
    assert check_truth(truth, files, [HW] * 3, "pose", keypoints=5) == []
    with pytest.raises(
        DataError, match="each of the pipeline's 17 keypoints, got 15 numbers in each .*are 5 keypoints"
    ):
        check_truth(truth, files, [HW] * 3, "pose", keypoints=17)


@pytest.mark.parametrize(
    ("task", "shape", "fractions"),
    [
        ("instances", {"segmentation": [[0.1, 0.1, 0.9, 0.1, 0.5, 1.0]]}, True),
        ("segment", {"segmentation": [[0.1, 0.1, 0.9, 0.1, 0.5, 1.0]]}, True),
        ("instances", {"segmentation": [[0.1, 0.1, 0.9, 0.1, 0.5, 1.5]]}, False),
        ("instances", {"segmentation": {"counts": [0, 1, HW[0] * HW[1] - 1], "size": list(HW)}}, False),
        ("pose", {"keypoints": [0.2, 0.3, 2, 0, 0, 0, 0.9, 1.0, 1]}, True),
        ("pose", {"keypoints": [0.2, 0.3, 2, 0, 0, 0, 0.9, 1.1, 1]}, False),
        # Nobody has seen any of it: it says nothing of the unit.
        ("pose", {"keypoints": [0, 0, 0] * 3}, False),
    ],
)
def test_shapes_in_fractions_are_told_with_the_cure(tmp_path, task, shape, fractions):
    every = [BOX | {"image_id": k} | shape for k in (0, 1, 2)]
    truth, files, _ = truth_of(tmp_path, every)
    told = [w for w in check_truth(truth, files, [HW] * 3, task) if w.code == "tiny-shapes"]
    assert len(told) == fractions
    if fractions:
        assert "3 of 3 " in told[0].text
        assert "have no coordinate above 1: expected pixels, not fractions" in told[0].text
        assert told[0].cure == "multiply each x by its image's width and each y by its height"
    # Of an image of a few pixels they may be meant.
    small, files, _ = truth_of(tmp_path, every)
    for row in small.coco["images"]:
        row.update(height=None, width=None)
    if "counts" not in str(shape):
        assert not [w for w in check_truth(small, files, [(4, 4)] * 3, task) if w.code == "tiny-shapes"]
