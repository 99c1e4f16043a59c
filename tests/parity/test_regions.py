"""Regions of text against a truth: counted by hand, as ICDAR's contests count, and as the bootstrap draws them."""

import json

import numpy as np
import pytest

from seatrial.errors import DataError
from seatrial.images.files import ImageFile
from seatrial.kernels.results import Detections, TextRegions
from seatrial.parity.accuracy import evaluate
from seatrial.parity.classes import ClassMap
from seatrial.parity.evaluation import said_beside, value_of
from seatrial.parity.regions import check_regions, evaluate_regions
from seatrial.parity.results import agreement
from seatrial.parity.text_truth import Region, is_simple
from seatrial.parity.truth import Truth, load_truth

A, B, C = (0, 0, 40, 10), (0, 20, 40, 30), (50, 0, 90, 10)
SHIFTED_A = (0, 0, 40, 7)  # IoU 0.7
HALF_A = (0, 0, 40, 5)  # IoU 0.5, which is not above it
OVER_A = (0, 0, 81, 10)  # IoU 40 / 81
CURVED = np.array([[0, 0], [20, 10], [40, 0], [40, 10], [20, 20], [0, 10]], float)
CROSSED = np.array([[0, 0], [40, 10], [40, 0], [0, 10]], float)


def polygon(box):
    x0, y0, x1, y1 = box
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], float)


def found(*boxes, scores=None):
    polygons = np.array([polygon(b) if len(b) == 4 and np.ndim(b) == 1 else b for b in boxes], np.float32).reshape(
        -1, 4, 2
    )
    around = np.concatenate([polygons.min(axis=1), polygons.max(axis=1)], axis=1)
    return TextRegions(
        around, np.array(scores or [0.9] * len(boxes), np.float32), np.zeros(len(boxes), np.int64), polygons
    )


def region(shape, judged=True):
    return Region(polygon(shape) if np.ndim(shape) == 1 else shape, judged)


def evaluated(truth, results, tmp_path):
    """truth: regions by image."""
    images = [ImageFile(tmp_path / f"{k}.png", f"{k}.png") for k in range(len(truth))]
    regions = {i.name: tuple(own) for i, own in zip(images, truth, strict=True)}
    return evaluate_regions(Truth(tmp_path / "t.txt", regions=regions), images, results)


@pytest.mark.parametrize(
    ("true", "detected", "counts"),
    [
        ([A, B], [A, B], (2, 2, 2)),
        ([A, B], [B], (1, 1, 2)),
        ([A], [A, C], (1, 2, 1)),
        ([A], [SHIFTED_A], (1, 1, 1)),
        ([A], [HALF_A], (0, 1, 1)),
        ([A], [OVER_A], (0, 1, 1)),
        ([A], [A, SHIFTED_A], (1, 2, 1)),  # one to one
        ([A, A], [A], (1, 1, 2)),
        ([], [A], (0, 1, 0)),
        ([A], [], (0, 0, 1)),
        ([CURVED], [(0, 0, 40, 20)], (0, 1, 1)),  # 400 of 800 of the box: not above a half
        ([CURVED], [(0, 3, 40, 17)], (1, 1, 1)),
    ],
)
def test_regions_are_matched_one_to_one_above_a_half(tmp_path, true, detected, counts):
    e = evaluated([[region(t) for t in true]], [found(*detected)], tmp_path)
    assert (e.matched[0], e.detections[0], e.regions[0]) == counts


@pytest.mark.parametrize(
    ("detected", "counts"),
    [
        ([A, C], (1, 1, 1)),  # C lies in what nobody can read
        ([A, (50, 0, 128, 10)], (1, 1, 1)),  # 40 of 78 of it
        ([A, (50, 0, 130, 10)], (1, 2, 1)),  # 40 of 80: not more than a half
        ([C], (0, 0, 1)),
        ([], (0, 0, 1)),
    ],
)
def test_what_nobody_can_read_counts_for_nothing(tmp_path, detected, counts):
    e = evaluated([[region(A), region(C, judged=False)]], [found(*detected)], tmp_path)
    assert (e.matched[0], e.detections[0], e.regions[0]) == counts


def test_the_figure_is_the_harmonic_mean_of_precision_and_recall_over_all_images(tmp_path):
    truth = [[region(A), region(B)], [region(A), region(B), region(C)], []]
    e = evaluated(truth, [found(A), found(A, B, (90, 90, 99, 99)), None], tmp_path)
    precision, recall = 3 / 4, 3 / 5
    assert value_of(e) == pytest.approx(2 * precision * recall / (precision + recall))
    assert e.metric == "hmean"
    assert said_beside(e) == "precision 0.750, recall 0.600, 1 of 3 images without an annotation"
    assert value_of(e, [0]) == pytest.approx(2 * 1 * 0.5 / 1.5)
    assert value_of(e, [2]) is None
    draws = np.array([[1, 1, 1], [2, 0, 1], [0, 0, 5]], float)
    np.testing.assert_allclose(e.weighted(draws), [6 / 9, 2 * 2 / (2 + 4), np.nan])


def test_one_image_more_is_found_lost_or_perfect(tmp_path):
    e = evaluated([[region(A), region(B)], [region(A)]], [found(A, C), found(A)], tmp_path)
    assert value_of(e) == pytest.approx(4 / 6)
    assert value_of(e.with_copy(0, found=True)) == pytest.approx(6 / 10)
    assert value_of(e.with_copy(0, found=False)) == pytest.approx(4 / 10)
    assert value_of(e.with_perfect(0)) == pytest.approx(8 / 10)
    assert e.with_perfect(0).images == 3
    assert e.columns(["a", "b"])["matched"].tolist() == [1, 1]


def test_regions_agree_by_their_polygons(tmp_path):
    turned = np.array([[0, 30], [30, 0], [34, 4], [4, 34]], float)
    beside = turned + 6
    same = agreement([found(turned, A)], [found(turned[::-1], A)])
    assert same.value == 1
    assert same.unit == "text regions matched (F1 over all text regions at IoU 0.5, same class)"
    # The boxes around them overlap by far, the regions do not.
    apart = agreement([found(turned)], [found(beside)])
    assert apart.value == 0
    assert apart.said(["a.png"]) == "0 of 1 text regions matched, 1 extra in a.png, 1 missing in a.png"


def coco(*rows, categories=("text",)):
    return {
        "images": [{"id": 1, "file_name": "0.png", "height": 100, "width": 100}],
        "annotations": [{"id": k, "image_id": 1, "category_id": 1, **row} for k, row in enumerate(rows, 1)],
        "categories": [{"id": k, "name": name} for k, name in enumerate(categories, 1)],
    }


def loaded(tmp_path, data):
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(data))
    images = [ImageFile(tmp_path / "0.png", "0.png")]
    return load_truth(path, images), images


def flat(box):
    return [polygon(box).ravel().tolist()]


def test_coco_polygons_and_boxes_are_a_truth(tmp_path):
    data = coco(
        {"segmentation": flat(A)},
        {"bbox": [0, 20, 40, 10]},
        {"segmentation": flat(C), "iscrowd": 1},
        {"segmentation": flat((0, 50, 40, 60)), "category_id": 2},
        categories=("Text", "figure"),
    )
    truth, images = loaded(tmp_path, data)
    warnings = check_regions(truth, images, [(100, 100)])
    assert [str(w) for w in warnings] == [
        "1 annotation of other categories than text are left out",
        "1 of 3 regions not judged (iscrowd or ignore): a model that misses it loses nothing",
    ]
    result = [found(A, B, C)]
    for e in (evaluate_regions(truth, images, result), evaluate(truth, images, result, ClassMap(how="text"))):
        assert (e.matched[0], e.detections[0], e.regions[0]) == (2, 2, 2)


def test_a_region_that_crosses_itself_is_not_judged_and_that_is_said(tmp_path):
    assert not is_simple(CROSSED)
    assert not is_simple(np.array([[0, 0], [4, 4], [8, 8]], float))
    assert is_simple(CURVED)
    assert is_simple(np.repeat(polygon(A), 2, axis=0))
    truth, images = loaded(tmp_path, coco({"segmentation": [CROSSED.ravel().tolist()]}, {"segmentation": flat(B)}))
    said = [str(w) for w in check_regions(truth, images, [(100, 100)])]
    assert said == [
        "1 region of text with crossing sides or no area, first in 0.png: not judged; write their points in order around them"
    ]
    assert evaluate_regions(truth, images, [found(B)]).regions[0] == 1


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (coco({"segmentation": {"counts": [1], "size": [1, 1]}}), "expected one polygon"),
        (coco({"segmentation": [*flat(A), *flat(B)]}), "expected one polygon"),
        (coco({"segmentation": [[0, 0, 1, 1]]}), "expected three points"),
        (coco({"segmentation": flat(A)}, categories=("ship", "buoy")), "expected one category of regions of text"),
    ],
)
def test_a_truth_without_regions_is_refused(tmp_path, data, said):
    truth, images = loaded(tmp_path, data)
    with pytest.raises(DataError, match=said):
        check_regions(truth, images, [(100, 100)])


def test_regions_outside_their_images_are_noticed(tmp_path):
    truth, images = loaded(tmp_path, coco({"segmentation": flat((0, 0, 300, 10))}, {"segmentation": flat(B)}))
    said = [str(w) for w in check_regions(truth, images, [(100, 100)])]
    assert said[0].startswith("1 of 2 regions of text in the truth reach outside their image")


def test_images_of_another_size_than_annotated_are_noticed(tmp_path):
    truth, images = loaded(tmp_path, coco({"segmentation": flat(A)}))
    assert [w.code for w in check_regions(truth, images, [(100, 200)])] == ["image-sizes"]


def test_boxes_alone_are_no_regions(tmp_path):
    truth = Truth(tmp_path / "t.txt", regions={"0.png": (region(A),)})
    images = [ImageFile(tmp_path / "0.png", "0.png")]
    boxes = Detections(np.array([A], np.float32), np.ones(1, np.float32), np.zeros(1, np.int64))
    assert evaluate(truth, images, [boxes], ClassMap(how="text")) is None


def test_regions_in_fractions_are_told(tmp_path):
    truth, images = loaded(
        tmp_path, coco({"segmentation": flat((0, 0, 0.9, 0.5))}, {"segmentation": flat((0, 0, 1, 1))})
    )
    assert [w.code for w in check_regions(truth, images, [(100, 100)])] == ["tiny-shapes"]
    regions = {images[0].name: (region((0, 0, 0.9, 0.5)), region(B), region(C))}
    assert check_regions(Truth(tmp_path / "t.txt", regions=regions), images, [(100, 100)]) == []
