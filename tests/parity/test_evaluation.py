"""Figures of weighted images: as if the images stood there as often, and equal to pycocotools on images that do."""

import contextlib
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from seatrial._native.statistics import average_precision
from seatrial.images.files import ImageFile
from seatrial.kernels.results import Detections
from seatrial.parity.accuracy import evaluate
from seatrial.parity.classes import ClassMap
from seatrial.parity.evaluation import MeanEvaluation, PixelEvaluation, value_of
from seatrial.parity.truth import Truth

LABELS = ["tug", "buoy", "ferry"]


def scene(rng, images, ties=True):
    """COCO truth and detections of images: found exactly, found loosely, missed, invented, crowds, scores that tie."""
    truth, results = [], []
    for image in range(images):
        count = int(rng.integers(0, 5))
        corners = rng.uniform(0, 60, (count, 2))
        boxes = np.concatenate([corners, corners + rng.uniform(5, 40, (count, 2))], axis=1)
        classes = rng.integers(0, 3, count)
        for box, k in zip(boxes, classes, strict=True):
            x1, y1, x2, y2 = box.tolist()
            crowd = int(rng.random() < 0.1)
            truth.append(
                {"id": len(truth) + 1, "image_id": image, "category_id": int(k) + 1, "bbox": [x1, y1, x2 - x1, y2 - y1],
                 "area": (x2 - x1) * (y2 - y1), "iscrowd": crowd}
            )  # fmt: skip
        kept = rng.random(count) < 0.8
        moved = boxes[kept] + rng.normal(0, 3, (int(kept.sum()), 4))
        invented = np.tile([0.0, 0.0, 9.0, 9.0], (int(rng.integers(0, 3)), 1))
        every = np.concatenate([moved, invented]).astype(np.float32)
        ids = np.concatenate([classes[kept], rng.integers(0, 3, len(invented))]).astype(np.int64)
        scores = rng.integers(1, 6, len(every)) / 5 if ties else rng.random(len(every))
        results.append(Detections(every, scores.astype(np.float32), ids))
    return truth, results


def coco(truth, images):
    return {
        "images": [{"id": i, "file_name": f"{i}.png", "height": 100, "width": 100} for i in range(images)],
        "annotations": truth, "categories": [{"id": k + 1, "name": n} for k, n in enumerate(LABELS)], "info": {},
    }  # fmt: skip


def evaluation_of(tmp_path, truth, results):
    files = [ImageFile(tmp_path / f"{i}.png", f"{i}.png") for i in range(len(results))]
    class_map = ClassMap(tuple(k + 1 for k in range(len(LABELS))))
    return evaluate(Truth(tmp_path / "truth.json", coco=coco(truth, len(results))), files, results, class_map)


def pycocotools_map(truth, results):
    found = [
        {"image_id": i, "category_id": int(k) + 1, "bbox": [b[0], b[1], b[2] - b[0], b[3] - b[1]], "score": float(s)}
        for i, r in enumerate(results)
        for b, s, k in zip(r.boxes_xyxy.tolist(), r.scores, r.class_ids, strict=True)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        index = COCO()
        index.dataset = coco(truth, len(results))
        index.createIndex()
        judge = COCOeval(index, index.loadRes(found), "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return float(judge.stats[0])


@pytest.mark.slow
@given(seed=st.integers(0, 10_000), images=st.integers(2, 8))
def test_map_is_that_of_pycocotools(tmp_path_factory, seed, images):
    truth, results = scene(np.random.default_rng(seed), images)
    if not any(len(r) for r in results):
        return
    expected = pycocotools_map(truth, results)
    value = value_of(evaluation_of(tmp_path_factory.getbasetemp(), truth, results))
    assert (-1 if value is None else value) == pytest.approx(expected, abs=1e-12)


@given(seed=st.integers(0, 10_000), images=st.integers(2, 6))
def test_a_weight_is_as_many_copies_of_the_image(tmp_path_factory, seed, images):
    rng = np.random.default_rng(seed)
    # Among equal scores, which detection of an image comes first depends on where its copies stand.
    truth, results = scene(rng, images, ties=False)
    times = rng.integers(0, 4, images)
    chosen = np.repeat(np.arange(images), times)
    if not len(chosen) or not any(len(results[i]) for i in chosen):
        return
    folder = tmp_path_factory.getbasetemp()
    copies = [{**a, "image_id": n} for n, i in enumerate(chosen) for a in truth if a["image_id"] == i]
    copies = [{**a, "id": n + 1} for n, a in enumerate(copies)]
    expected = pycocotools_map(copies, [results[i] for i in chosen])
    weighted = evaluation_of(folder, truth, results).weighted(times[None].astype(float))[0]
    assert (-1 if np.isnan(weighted) else weighted) == pytest.approx(expected, abs=1e-9)


@given(seed=st.integers(0, 10_000))
def test_a_copy_of_an_image_counts_like_the_image_twice_and_a_lost_one_like_its_objects_missed(tmp_path_factory, seed):
    rng = np.random.default_rng(seed)
    truth, results = scene(rng, 4)
    own = evaluation_of(tmp_path_factory.getbasetemp(), truth, results)
    twice = value_of(own.with_copy(2, found=True))
    assert (twice is None and np.isnan(own.weighted(np.array([[1.0, 1, 2, 1]]))[0])) or twice == pytest.approx(
        own.weighted(np.array([[1.0, 1, 2, 1]]))[0]
    )
    nothing = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))
    more = [*truth, *({**a, "id": 100 + n, "image_id": 4} for n, a in enumerate(truth) if a["image_id"] == 2)]
    missed = evaluation_of(tmp_path_factory.getbasetemp(), more, [*results, nothing])
    lost = own.with_copy(2, found=False)
    assert value_of(lost) == (value_of(missed) if value_of(missed) is None else pytest.approx(value_of(missed)))


NOTHING = MeanEvaluation("top-1", np.array([1.0, 0.0, 1.0]))
PIXELS = PixelEvaluation((0, 1), np.array([[5.0, 0], [0, 2]]), np.array([[10.0, 0], [0, 4]]))


@pytest.mark.parametrize(
    ("evaluation", "weights", "value"),
    [
        (NOTHING, [1, 1, 1], 2 / 3),
        (NOTHING, [0, 3, 1], 1 / 4),
        (NOTHING, [0, 0, 0], np.nan),
        (NOTHING.with_copy(0, found=False), [1, 1, 1, 1], 1 / 2),
        (NOTHING.with_copy(0, found=True), [1, 1, 1, 1], 3 / 4),
        (PIXELS, [1, 1], 0.5),
        (PIXELS, [1, 0], 0.5),
        (PIXELS, [0, 0], np.nan),
        (PIXELS.with_copy(0, found=False), [1, 1, 1], (5 / 20 + 2 / 4) / 2),
    ],
)
def test_means_and_pixels_by_hand(evaluation, weights, value):
    assert evaluation.weighted(np.array([weights], float))[0] == pytest.approx(value, nan_ok=True)


def test_no_object_is_no_value_and_not_zero(tmp_path):
    invented = Detections(np.array([[0, 0, 9, 9]], np.float32), np.ones(1, np.float32), np.zeros(1, np.int64))
    assert value_of(evaluation_of(tmp_path, [], [invented])) is None


def test_objects_that_are_all_missed_are_zero(tmp_path):
    nothing = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))
    truth = [{"id": 1, "image_id": 0, "category_id": 1, "bbox": [0, 0, 9, 9], "area": 81, "iscrowd": 0}]
    assert value_of(evaluation_of(tmp_path, truth, [nothing])) == 0.0


I32, U32 = np.int32, np.uint32


@pytest.mark.parametrize(
    ("image", "matched", "objects", "weights", "thresholds"),
    [([0, 1], [1], [1.0], [[1.0]], 1), ([1], [1], [1.0], [[1.0]], 1), ([-1], [1], [1.0], [[1.0]], 1),
     ([0], [1], [1.0, 2.0], [[1.0]], 1), ([0], [1], [1.0], [[1.0]], 33), ([0], [1], [1.0], [[1.0]], 0)],
)  # fmt: skip
def test_what_the_kernel_cannot_read_is_refused(image, matched, objects, weights, thresholds):
    with pytest.raises(ValueError, match="expected"):
        average_precision(
            np.array(image, I32), np.array(matched, U32), np.array(matched, U32), np.array(objects), np.array(weights),
            thresholds, np.linspace(0, 1, 101),
        )  # fmt: skip
