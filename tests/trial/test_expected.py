"""The truth of one image as a result of the pipeline's kind: the same classes, corners, masks, points and values."""

from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from seatrial.images.files import ImageFile
from seatrial.kernels.masks import coco_rle, runs_of
from seatrial.kernels.results import (
    Classification,
    DenseMap,
    Detections,
    Instances,
    OrientedBoxes,
    Poses,
    SemanticMask,
    TextRegions,
)
from seatrial.parity.classes import ClassMap
from seatrial.parity.text_truth import Region
from seatrial.parity.truth import Truth, load_truth
from seatrial.parity.value_maps import ValueMap
from seatrial.trial.expected import NOT_JUDGED, expected, expected_words

# pycocotools' own mask decoder on NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

IMAGES = [ImageFile(Path("a.png"), "a.png"), ImageFile(Path("b.png"), "b.png")]
SQUARE = [2, 1, 8, 1, 8, 5, 2, 5]


def ready(truth, class_map, labels=None):
    return SimpleNamespace(
        truth=truth, images=IMAGES, sizes_hw=[(10, 12)] * 2, class_maps={"p": class_map}, labels={"p": labels}
    )


def coco(*annotations):
    own = [{"id": k, "image_id": 2, "iscrowd": 0, "bbox": [2, 1, 6, 4]} | a for k, a in enumerate(annotations, 1)]
    rows = [{"id": k, "file_name": i.name, "height": 10, "width": 12} for k, i in enumerate(IMAGES, 1)]
    categories = [{"id": 7, "name": "cat"}, {"id": 3, "name": "dog"}, {"id": 5, "name": "cow"}]
    return Truth(Path("t.json"), coco={"images": rows, "annotations": own, "categories": categories})


def like(kind):
    empty = np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64)
    plain = Detections(*empty)
    return {
        Detections: plain,
        Instances: Instances.of_masks(plain, [], (10, 12)),
        Poses: Poses(*empty, np.zeros((0, 2, 3), np.float32), np.array([0.1, 0.2], np.float32)),
        OrientedBoxes: OrientedBoxes(*empty, np.zeros((0, 4, 2), np.float32)),
        TextRegions: TextRegions(*empty, np.zeros((0, 4, 2), np.float32)),
    }[kind]


EACH = {"category_id": 3, "segmentation": [SQUARE], "keypoints": [3, 2, 2, 0, 0, 0]}


@pytest.mark.parametrize("kind", [Detections, Instances, Poses, OrientedBoxes])
def test_objects_have_the_models_classes_and_names_and_no_score(kind):
    found = expected(ready(coco(EACH), ClassMap((5, 3)), ["cow", "Dog"]), "p", 1, like(kind))
    assert type(found.result) is kind
    assert found.result.class_ids.tolist() == [1]
    assert found.names == ["cow", "Dog", "cat", NOT_JUDGED]
    assert np.isnan(found.result.scores).all()
    nowhere = expected(ready(coco(EACH), ClassMap((5, 3)), ["cow", "Dog"]), "p", 0, like(kind))
    assert (type(nowhere.result), len(nowhere.result)) == (kind, 0), "of an image without an object"


def test_what_the_model_does_not_have_and_what_is_not_judged_has_a_name_of_its_own():
    truth = coco({"category_id": 7}, {"category_id": 3, "iscrowd": 1})
    found = expected(ready(truth, ClassMap((5, 3))), "p", 1, like(Detections))
    assert [found.names[k] for k in found.result.class_ids] == ["cat", NOT_JUDGED]
    np.testing.assert_array_equal(found.result.boxes_xyxy, [[2, 1, 8, 5]] * 2)


def test_points_that_are_marked_are_seen_and_a_pose_without_a_box_has_one_around_them():
    truth = coco({"category_id": 3, "keypoints": [3, 2, 2, 7, 4, 1], "bbox": None}, EACH)
    found = expected(ready(truth, ClassMap((3,))), "p", 1, like(Poses)).result
    np.testing.assert_array_equal(found.keypoints, [[[3, 2, 1], [7, 4, 1]], [[3, 2, 1], [0, 0, 0]]])
    np.testing.assert_array_equal(found.boxes_xyxy, [[3, 2, 7, 4], [2, 1, 8, 5]])
    np.testing.assert_array_equal(found.sigmas, np.array([0.1, 0.2], np.float32))


def test_corners_are_those_of_the_polygon():
    found = expected(ready(coco(EACH), ClassMap((3,))), "p", 1, like(OrientedBoxes)).result
    np.testing.assert_array_equal(found.corners_xy[0], np.reshape(SQUARE, (4, 2)))


def test_masks_are_those_of_polygons_and_of_either_kind_of_runs():
    """OpenCV draws its outline too, which COCO's polygons leave out on the right and below."""
    own = np.zeros((10, 12), np.uint8)
    cv2.fillPoly(own, [np.reshape(SQUARE, (4, 2)) - [[0, 0], [1, 0], [1, 1], [0, 1]]], 1)
    runs = runs_of(own.astype(bool), (0, 0), (10, 12))
    packed = coco_rle(runs, (10, 12))
    bare = {"size": [10, 12], "counts": [int(n) for n in runs]}
    truth = coco(*({"category_id": 3, "segmentation": s} for s in ([SQUARE], packed, bare)))
    found = expected(ready(truth, ClassMap((3,))), "p", 1, like(Instances)).result
    for k in range(3):
        np.testing.assert_array_equal(found.mask(k), own > 0)


def test_pixels_have_the_models_classes_and_none_where_nothing_is_judged(tmp_path):
    for name, numbers in (("a", [[4, 255]]), ("b", [[9, 4]])):
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.array(numbers, np.uint8))
    truth = load_truth(tmp_path, IMAGES)
    own = SimpleNamespace(**vars(ready(truth, ClassMap((2, 4)), ["sky", "road"])) | {"sizes_hw": [(1, 2)] * 2})
    mask = SemanticMask(np.zeros((1, 2), np.uint8))
    left, right = (expected(own, "p", k, mask) for k in range(2))
    assert left.result.class_ids[0, 0] == 1
    assert left.result.without_class.tolist() == [[False, True]]
    assert [right.names[k] for k in right.result.class_ids[0]] == ["9", "road"]


def test_regions_of_text_keep_their_points_and_say_which_are_not_judged():
    five = np.array([[0, 0], [4, 0], [5, 2], [4, 4], [0, 4]], float)
    four = np.reshape(SQUARE, (4, 2)).astype(float)
    truth = Truth(Path("t.txt"), regions={"a.png": (Region(five), Region(four, judged=False)), "b.png": ()})
    found = expected(ready(truth, ClassMap()), "p", 0, like(TextRegions))
    assert found.result.polygons.shape == (2, 5, 2)
    np.testing.assert_array_equal(found.result.polygons[0], five)
    assert [found.names[k] for k in found.result.class_ids] == ["", NOT_JUDGED]
    assert len(expected(ready(truth, ClassMap()), "p", 1, like(TextRegions)).result) == 0


def test_values_are_those_of_the_file_in_the_pipelines_unit(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[2.0, 0.0]]))
    truth = Truth(Path("t.csv"), maps={"a.png": ValueMap(tmp_path / "a.npy", 0.5, (1, 2))})
    found = expected(ready(truth, ClassMap()), "p", 0, DenseMap(np.zeros((1, 2), np.float32)))
    np.testing.assert_array_equal(found.result.values, [[1, np.nan]])


@pytest.mark.parametrize(
    ("truth", "said"),
    [
        ({"texts": {"a.png": "Día\n"}}, "expected “Día\\n”"),
        ({"classes": {"a.png": "cat"}}, "expected cat"),
        ({"label_sets": {"a.png": ("cat", "dog")}}, "expected cat, dog"),
        ({"label_sets": {"a.png": ()}}, "expected no label"),
        ({"maps": {}}, ""),
    ],
)
def test_what_cannot_be_drawn_is_said(truth, said):
    own = Truth(Path("t.csv"), **truth)
    assert expected_words(own, "a.png") == said
    kind = Classification(np.zeros(1, np.int64), np.ones(1, np.float32))
    assert expected(ready(own, ClassMap()), "p", 0, kind) is None
