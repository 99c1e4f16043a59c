"""How much is wrong on each image, against counts by hand, and figures by class, against pycocotools and plain means."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from seatrial.images.files import ImageFile
from seatrial.kernels.results import Classification, Detections
from seatrial.parity.accuracy import evaluate
from seatrial.parity.classes import ClassMap
from seatrial.parity.dense import ErrorEvaluation
from seatrial.parity.evaluation import BoxEvaluation, MeanEvaluation, PixelEvaluation, value_of
from seatrial.parity.label_sets import LabelEvaluation
from seatrial.parity.regions import RegionEvaluation
from seatrial.parity.texts import WordEvaluation
from seatrial.parity.truth import Truth
from seatrial.trial.by_class import by_class
from seatrial.trial.wrong import wrong

IMAGES = [ImageFile(Path(f"{k}.png"), f"{k}.png") for k in range(3)]
CATEGORIES = [{"id": 7, "name": "cat"}, {"id": 3, "name": "dog"}]


def coco(*annotations):
    """Truth of three images of (image, category, x, y, width, height)."""
    rows = [
        {"id": k, "image_id": i + 1, "category_id": c, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
        for k, (i, c, *box) in enumerate(annotations, 1)
    ]
    images = [{"id": k + 1, "file_name": i.name, "height": 100, "width": 100} for k, i in enumerate(IMAGES)]
    return Truth(Path("t.json"), coco={"images": images, "annotations": rows, "categories": CATEGORIES, "info": {}})


def boxes(*rows):
    """Of (x0, y0, x1, y1, score, class)."""
    table = np.array(rows, np.float32).reshape(-1, 6)
    return Detections(table[:, :4], table[:, 4], table[:, 5].astype(np.int64))


CATS = coco((0, 7, 10, 10, 20, 20), (1, 7, 10, 10, 20, 20), (1, 3, 50, 50, 20, 20), (2, 3, 50, 50, 20, 20))
FOUND = [
    boxes((10, 10, 30, 30, 0.9, 0)),
    # The dog is missed, and half a cat is made up.
    boxes((10, 10, 30, 30, 0.9, 0), (70, 10, 90, 30, 0.5, 0)),
    # IoU 0.6: found at 0.5, 0.55 and 0.6 of COCO's ten thresholds.
    boxes((50, 50, 70, 62, 0.8, 1)),
]


def test_of_boxes_what_is_missed_counts_and_what_is_made_up_by_its_score():
    evaluation = evaluate(CATS, IMAGES, FOUND, ClassMap((7, 3)))
    found = wrong(evaluation)
    # At seven thresholds the third dog is missed, and what was found there is made up.
    np.testing.assert_allclose(found.by_image, [0, 1.5, 0.7 + 0.7 * 0.8], rtol=1e-6)
    assert [found.said(k) for k in range(3)] == [
        "1 of 1 object found at IoU 0.5, 0 false", "1 of 2 objects found at IoU 0.5, 1 false",
        "1 of 1 object found at IoU 0.5, 0 false; 0 at IoU 0.75",
    ]  # fmt: skip
    assert "at OKS 0.5" in wrong(replace(evaluation, metric="keypoint mAP")).said(0)


def test_what_is_ignored_is_neither_missed_nor_made_up():
    crowd = coco((0, 7, 10, 10, 20, 20), (1, 7, 0, 0, 90, 90))
    crowd.coco["annotations"][1]["iscrowd"] = 1
    results = [FOUND[0], boxes((10, 10, 30, 30, 0.9, 0)), boxes()]
    assert wrong(evaluate(crowd, IMAGES, results, ClassMap((7, 3)))).by_image.tolist() == [0, 0, 0]


A, B, NAN = np.array([2.0, 3]), np.array([1.0, 3]), np.array([np.nan, 0.5])


@pytest.mark.parametrize(
    ("evaluation", "by_image", "said"),
    [
        (MeanEvaluation("top-1", np.array([0.0, 1])), [1, 0], ""),
        (WordEvaluation("word accuracy", np.array([0.0, 1]), np.array([2.0, 0]), A), [2, 0], "2 edits away"),
        # No result, where the truth has no character.
        (WordEvaluation("word accuracy", np.array([0.0, 1]), np.zeros(2), A), [1, 0], "0 edits away"),
        (RegionEvaluation(B, A, np.array([4.0, 3])), [4, 0], "1 of 4 regions found, 1 false"),
        (LabelEvaluation(B, A, np.array([1.0, 3])), [1, 0], "1 of 1 label found, 1 false"),
        (ErrorEvaluation("AbsRel", NAN[::-1], np.ones(2)), [0.5, 0], "AbsRel 50.0 % here"),
        (ErrorEvaluation("RMSE", np.array([3.25, 0]), np.ones(2)), [3.25, 0], "RMSE 3.25 here"),
        # Of the first image one class is half right, another wrong; nothing is judged on the second.
        (PixelEvaluation((0, 1, 2), np.array([[1.0, 0, 0], [0, 0, 0]]), np.array([[2.0, 4, 0], [0, 0, 0]])), [0.75, 0],
         "mIoU 25.0 % here"),
    ],
)  # fmt: skip
def test_each_metric_counts_in_its_own_terms(evaluation, by_image, said):
    found = wrong(evaluation)
    assert found.by_image.tolist() == by_image
    assert found.said(0) == said


def test_an_evaluation_of_another_kind_is_refused():
    with pytest.raises(TypeError, match="expected one of seatrial's evaluations, got str"):
        wrong("mAP")


def figures(found):
    return [(f.name, round(f.value, 6), f.n) for f in found]


def test_each_class_of_objects_has_its_own_average_precision_and_the_mean_of_them_is_the_figure():
    evaluation = evaluate(CATS, IMAGES, FOUND, ClassMap((7, 3)))
    found = by_class(evaluation, CATS, IMAGES, ClassMap((7, 3)), None)
    assert [(f.name, f.n) for f in found] == [("dog", 2), ("cat", 2)], "the worst first"
    assert np.mean([f.value for f in found]) == pytest.approx(value_of(evaluation))
    # Of two dogs one is found, at three of ten thresholds: precision 1 up to recall 0.5, which 51 of 101 levels are.
    assert found[0].value == pytest.approx(0.3 * 51 / 101)
    assert found[1].value == pytest.approx(1)


def test_a_class_without_an_object_has_no_figure():
    truth = coco((0, 7, 10, 10, 20, 20))
    found = by_class(evaluate(truth, IMAGES, FOUND, ClassMap((7, 3))), truth, IMAGES, ClassMap((7, 3)), None)
    assert [f.name for f in found] == ["cat"]
    assert by_class(BoxEvaluation((), 3), truth, IMAGES, ClassMap((7, 3)), None) == []


def test_each_class_of_pixels_has_its_iou_by_the_models_name_else_the_truths():
    evaluation = PixelEvaluation((0, 1, 9), np.array([[3.0, 1, 0], [1, 0, 0]]), np.array([[4.0, 4, 2], [4, 0, 0]]))
    truth = Truth(Path("masks"))
    assert figures(by_class(evaluation, truth, IMAGES[:2], ClassMap((0, 1)), ["sky", "road"])) == [
        ("number 9", 0, 1), ("road", 0.25, 1), ("sky", 0.5, 2),
    ]  # fmt: skip
    assert {f.name for f in by_class(evaluation, truth, IMAGES[:2], ClassMap((0, 1)), None)} >= {"class 0", "class 1"}


def test_each_class_of_images_has_the_share_that_is_right():
    truth = Truth(Path("t.csv"), classes={"0.png": "cat", "1.png": "dog", "2.png": "cat"})
    kinds = [Classification(np.array([k]), np.array([0.9], np.float32)) for k in (0, 1, 1)]
    class_map = ClassMap(index={"cat": 0, "dog": 1})
    found = by_class(evaluate(truth, IMAGES, kinds, class_map), truth, IMAGES, class_map, None)
    assert figures(found) == [("cat", 0.5, 2), ("dog", 1, 1)]


def test_what_knows_no_classes_has_no_figures_by_class():
    words = WordEvaluation("word accuracy", np.ones(1), np.zeros(1), np.ones(1))
    assert by_class(words, Truth(Path("t.csv"), texts={"0.png": "a"}), IMAGES[:1], None, None) == []
