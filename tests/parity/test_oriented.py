"""Oriented boxes against truth: values counted by hand, truth in each form that is read, and what is no oriented box."""

import json

import numpy as np
import pytest

from seatrial.errors import DataError
from seatrial.images.files import ImageFile
from seatrial.kernels.oriented import corners_of
from seatrial.kernels.results import Detections, OrientedBoxes
from seatrial.parity.accuracy import evaluate
from seatrial.parity.classes import map_classes
from seatrial.parity.evaluation import value_of
from seatrial.parity.oriented import annotated_corners
from seatrial.parity.results import agreement
from seatrial.parity.truth import check_truth, load_truth

SIZE = (200, 300)
LABELS = ["buoy", "tug"]
# cx, cy, w, h, angle in radians from x towards y. Unlike sides and an odd angle: a mirrored one is another box.
A, B, FAR = (60, 50, 40, 10, 0.5), (150, 120, 12, 50, -0.2), (250, 170, 30, 20, 1.0)


def polygon(box, category=1, image=1, **more):
    corners = corners_of([box])[0].ravel().tolist()
    return {"image_id": image, "category_id": category, "segmentation": [corners], **more}


def found(*boxes, classes=None, scores=None):
    corners = corners_of(np.array(boxes, float).reshape(-1, 5))
    count = len(boxes)
    return OrientedBoxes.of_corners(
        corners, scores or np.linspace(0.9, 0.5, count), classes if classes is not None else np.zeros(count), SIZE
    )


@pytest.fixture
def truth(tmp_path):
    def load(*annotations, count=1):
        images = [ImageFile(tmp_path / f"{k}.png", f"{k}.png") for k in range(1, count + 1)]
        rows = [{"id": k, "file_name": f"{k}.png", "height": SIZE[0], "width": SIZE[1]} for k in range(1, count + 1)]
        categories = [{"id": k, "name": name} for k, name in enumerate(LABELS, start=1)]
        path = tmp_path / "truth.json"
        path.write_text(json.dumps({"images": rows, "annotations": annotations, "categories": categories}))
        return load_truth(path, images), images

    return load


def judged(truth_and_images, *results, labels=LABELS):
    loaded, images = truth_and_images
    evaluation = evaluate(loaded, images, results, map_classes(loaded, labels, None, len(labels)))
    assert evaluation.metric == "oriented mAP"
    return value_of(evaluation)


def moved(box, along):
    """Along its own width."""
    return (box[0] + along * np.cos(box[4]), box[1] + along * np.sin(box[4]), *box[2:])


@pytest.mark.parametrize(
    ("annotations", "result", "value"),
    [
        ([polygon(A), polygon(B, 2)], found(A, B, classes=[0, 1]), 1.0),
        ([polygon(A), polygon(B, 2)], found(A, B, classes=[1, 0]), 0.0),
        ([polygon(A), polygon(B, 2)], found(A), 0.5),
        # Half of the objects: precision 1 at the recalls 0.00 to 0.50, 51 of COCO's 101.
        ([polygon(A), polygon(B)], found(A), 51 / 101),
        ([polygon(A)], found((*A[:4], -A[4])), 0.0),
        ([polygon(A)], found((*A[:2], A[3], A[2], A[4])), 0.0),
        ([polygon(A)], found((*A[:2], A[3], A[2], A[4] + np.pi / 2)), 1.0),
        # IoU 34 / 46 = 0.739 of a box of 40 moved by 6: it passes the thresholds 0.50 to 0.70, five of ten.
        ([polygon(A)], found(moved(A, 6)), 0.5),
        # A false alarm halves the precision where its score is higher.
        ([polygon(A)], found(FAR, A), 0.5),
        # What lies in a crowd is no false alarm, however little of the crowd it is: all of it lies in it.
        ([polygon((150, 100, 200, 150, 0.1), iscrowd=1), polygon(A, 2)], found(FAR, A, classes=[0, 1]), 1.0),
        ([], found(A), None),
    ],
)
def test_the_metric_is_as_counted_by_hand(truth, annotations, result, value):
    assert judged(truth(*annotations), result) == (value if value is None else pytest.approx(value))


def test_more_than_a_hundred_of_a_class_can_all_be_found(truth):
    """COCO's own limit of 100 would call an aerial picture's cars misses."""
    boxes = [(10 + 14 * (k % 20), 10 + 14 * (k // 20), 10, 5, 0.3) for k in range(160)]
    assert judged(truth(*map(polygon, boxes)), found(*boxes)) == pytest.approx(1)


def test_a_box_of_five_numbers_turns_counter_clockwise_to_the_eye_in_degrees(truth):
    """As detectron2's RotatedBoxes has it."""
    five = [*A[:4], -float(np.degrees(A[4]))]
    row = {"image_id": 1, "category_id": 1, "bbox": five}
    np.testing.assert_allclose(annotated_corners(row), corners_of([A])[0], atol=1e-9)
    up = annotated_corners({"bbox": [50, 50, 40, 10, 30]})
    assert up[1, 1] < up[0, 1], "the right end of its upper side lies higher"
    assert judged(truth(row), found(A)) == pytest.approx(1)
    assert judged(truth({**row, "bbox": [*A[:4], -five[4]]}), found(A)) == 0


SQUARE = [0, 0, 9, 0, 9, 9, 0, 9]


@pytest.mark.parametrize(
    "row",
    [
        {"bbox": [1, 1, 5, 5]},
        {"bbox": [1, 1, 5, 5], "segmentation": []},
        {"segmentation": [SQUARE, SQUARE]},
        {"segmentation": [[0, 0, 9, 0, 9, 9]]},
        {"segmentation": [[*SQUARE, 0, 0]]},
        {"segmentation": [[0, 0, 9, 9, 9, 0, 0, 9]]},
        {"segmentation": [[0, 0, 9, 0, 1, 1, 0, 9]]},
        {"segmentation": [[0, 0, 9, 0, 5, 0, 1, 0]]},
        {"segmentation": [[*SQUARE[:7], float("nan")]]},
        {"segmentation": {"counts": [4, 5], "size": [3, 3]}},
        {"segmentation": ["abcdefgh"]},
        {"bbox": [1, 1, 0, 5, 10]},
        {"bbox": [1, 1, 5, 5, float("inf")]},
        {"bbox": [1, 1, 5, 5, None]},
    ],
)
def test_what_is_no_oriented_box_is_refused_by_name(truth, row):
    assert annotated_corners(row) is None
    if row.get("bbox", [0])[-1] is None:
        return
    loaded, images = truth({"image_id": 1, "category_id": 1, **row})
    with pytest.raises(
        DataError, match=r"truth\.json: an annotation of image 1\.png has no oriented box.*upright box alone"
    ):
        check_truth(loaded, images, [SIZE], "oriented")
    with pytest.raises(DataError, match=r"1 annotation without four corners: .*which oriented mAP is judged by"):
        judged((loaded, images), found(A))


def test_upright_boxes_are_not_judged_by_oriented_ones(truth):
    """The box around a turned one is another thing: nobody asked for it."""
    five = {"image_id": 1, "category_id": 1, "bbox": [*A[:4], 30]}
    for row, said in ((five, "no sound 'bbox'"), (polygon(A), "no sound 'bbox'")):
        loaded, images = truth(row)
        with pytest.raises(DataError, match=said):
            check_truth(loaded, images, [SIZE], "detect")
    loaded, images = truth(five)
    boxes = Detections(np.array([[0, 0, 9, 9]], np.float32), np.array([0.5], np.float32), np.array([0]))
    with pytest.raises(DataError, match="1 annotation without 'bbox', which mAP is judged by"):
        evaluate(loaded, images, [boxes], map_classes(loaded, LABELS, None, 2))


def test_sound_truth_says_nothing_and_odd_truth_is_told(truth):
    loaded, images = truth(polygon(A), polygon(B, 2))
    assert check_truth(loaded, images, [SIZE], "oriented") == []
    told = check_truth(*truth(polygon((0.5, 0.5, 0.4, 0.1, 0.3))), [SIZE], "oriented")
    assert ["at most one pixel large" in w.text for w in told] == [True]
    told = check_truth(*truth(polygon((900, 900, 40, 10, 0.3))), [SIZE], "oriented")
    assert ["reach outside their image" in w.text for w in told] == [True]


def five(degrees, **more):
    return {"image_id": 1, "category_id": 1, "bbox": [*A[:4], degrees], **more}


@pytest.mark.parametrize(
    ("angles", "doubted"),
    [
        ((0.5, -1.57), True),
        ((3.14159, 0.0), True),
        # Degrees: beyond half a circle of radians, whole ones, none at all.
        ((0.5, 3.2), False),
        ((2.0, -3.0), False),
        ((0.0, 0.0), False),
    ],
)
def test_angles_that_look_like_radians_are_told(truth, angles, doubted):
    told = check_truth(*truth(*map(five, angles)), [SIZE], "oriented")
    assert [w.code for w in told] == ["small-angles"] * doubted
    if doubted:
        assert "looks like radians: expected degrees" in told[0].text
        assert told[0].cure == "if they are radians, write each angle × 180 / π"
    # Corners have no angle to be wrong.
    assert check_truth(*truth(polygon(A), polygon(B)), [SIZE], "oriented") == []


# --- Folders with a text file an image.


@pytest.fixture
def folder(tmp_path):
    """Truth from texts by image, of images 1.png, 2.png and so on."""

    def load(*texts, **more):
        labels = tmp_path / "labelTxt"
        for k, text in enumerate(texts, start=1):
            (labels / f"{k}.txt").parent.mkdir(exist_ok=True)
            (labels / f"{k}.txt").write_text(text)
        for name, text in more.items():
            (labels / f"{name}.txt").write_text(text)
        images = [ImageFile(tmp_path / f"{k}.png", f"{k}.png") for k in range(1, len(texts) + 1)]
        return load_truth(labels, images, [SIZE] * len(images)), images

    return load


def dota(box, name="tug", difficult="0"):
    return " ".join(f"{v:.2f}" for v in corners_of([box])[0].ravel()) + f" {name} {difficult}".rstrip() + "\n"


def numbered(box, number):
    corners = corners_of([box])[0] / SIZE[::-1]
    return f"{number} " + " ".join(f"{v:.6f}" for v in corners.ravel()) + "\n"


HEADER = "imagesource:GoogleEarth\ngsd:0.146\n"


def test_dotas_labels_are_read(folder):
    loaded = folder(
        HEADER + dota(A) + dota(B, "buoy"), HEADER, other="nonsense of an image that the trial does not have"
    )
    assert [c["name"] for c in loaded[0].coco["categories"]] == ["buoy", "tug"]
    assert check_truth(*loaded, [SIZE] * 2, "oriented") == []
    assert judged(loaded, found(A, B, classes=[1, 0]), found()) == pytest.approx(1)
    with pytest.raises(DataError, match="no sound 'bbox'"):
        check_truth(*loaded, [SIZE] * 2, "detect")


def test_what_dota_calls_difficult_is_not_judged(folder):
    """Neither a miss where it is not found, nor a false alarm where it is; what only lies in it is one."""
    loaded = folder(dota(A) + dota(B, difficult="1"))
    assert judged(loaded, found(A, classes=[1])) == pytest.approx(1)
    assert judged(loaded, found(B, A, classes=[1, 1])) == pytest.approx(1)
    inside = (*B[:2], 4, 4, 0.0)
    assert judged(loaded, found(inside, A, classes=[1, 1])) == pytest.approx(0.5)
    assert judged(folder(dota(A, difficult="")), found(A, classes=[0]), labels=["tug"]) == pytest.approx(1)


def test_a_box_whose_best_match_is_difficult_is_neither_right_nor_wrong_at_any_threshold(folder):
    """DOTA's devkit, voc_eval: the object that a box overlaps most decides, from an IoU of 0.5."""
    alone = folder(dota(A, "tug") + dota(B, "tug", "1"))
    # IoU 81 / 159 and 79 / 161 of a width of 12 moved by 3.9 and 4.1.
    assert judged(alone, found(moved(B, 3.9), A), labels=["tug"]) == pytest.approx(1)
    assert judged(alone, found(moved(B, 4.1), A), labels=["tug"]) == pytest.approx(0.5)
    # It overlaps the plain one too, but less: it does not find it.
    near = folder(dota(A) + dota(FAR) + dota(moved(A, 8), "tug", "1"))
    assert judged(near, found(moved(A, 5)), labels=["tug"]) == 0
    assert judged(near, found(moved(A, 5), A, FAR), labels=["tug"]) == pytest.approx(1)
    # It overlaps the plain one more, which is found already: a false alarm, before the last half is found.
    twice = found(A, moved(A, 3), FAR)
    assert judged(near, twice, labels=["tug"]) == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_ultralytics_labels_number_classes_as_the_model_does(folder):
    loaded = folder(numbered(A, 1) + numbered(B, 0))
    assert loaded[0].numbered
    assert check_truth(*loaded, [SIZE], "oriented") == []
    result = found(A, B, classes=[1, 0])
    assert judged(loaded, result) == pytest.approx(1)
    assert judged(loaded, result, labels=["whale", "gull", "third"]) == pytest.approx(1)
    named = map_classes(loaded[0], ["whale", "gull"], {"gull": 0, "whale": 1}, 2)
    assert value_of(evaluate(*loaded, [result], named)) == 0
    with pytest.raises(DataError, match="the labels name class 1, but the model has 1 class"):
        judged(loaded, result, labels=["whale"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1 2 3\n", r"1\.txt:1: expected DOTA's .*got '1 2 3'"),
        (HEADER + "\n" + dota(A) + "1 2 3 4 5 6 7 tug 0\n", r"1\.txt:5: expected DOTA's"),
        (dota(A, difficult="7"), "expected DOTA's"),
        (dota(A).replace("0", "nan", 1), "expected DOTA's"),
        ("3 10 10 20 10 20 20 10 20\n", "expected DOTA's .*from 0 to 1, got '3 10"),
        ("0 0 20 20 20 0 0 20 tug 0\n", r"1\.txt:1: expected four corners that turn one way"),
        (dota(A) + numbered(B, 0), r"got two: .*1\.txt:1 is DOTA's.*1\.txt:2 is Ultralytics'"),
    ],
)
def test_labels_that_cannot_be_right_are_refused_by_line(folder, text, said):
    with pytest.raises(DataError, match=said):
        folder(text)


def test_an_image_without_a_file_is_named(folder, tmp_path):
    images = folder(dota(A), "")[1]
    missing = [*images, ImageFile(tmp_path / "3.png", "3.png")]
    with pytest.raises(DataError, match=r"no \.txt file for 1 of 3 images: 3\.png.*needs an empty one"):
        load_truth(tmp_path / "labelTxt", missing, [SIZE] * 3)
    (tmp_path / "none").mkdir()
    with pytest.raises(
        DataError, match=r"none: the annotations cannot be read \(a folder without a \.png or \.txt file"
    ):
        load_truth(tmp_path / "none", images, [SIZE] * 2)


def test_images_of_one_name_in_two_folders_have_their_own_labels(tmp_path):
    images = [ImageFile(tmp_path / "i" / d / "1.png", f"{d}/1.png") for d in "ab"]
    for d, box in zip("ab", (A, B), strict=True):
        (tmp_path / "labels" / d).mkdir(parents=True)
        (tmp_path / "labels" / d / "1.txt").write_text(dota(box))
    loaded = load_truth(tmp_path / "labels", images, [SIZE] * 2)
    assert judged((loaded, images), found(A, classes=[1]), found(B, classes=[1])) == pytest.approx(1)
    (tmp_path / "labels" / "b" / "1.txt").rename(tmp_path / "labels" / "b" / "2.txt")
    with pytest.raises(DataError, match=r"no \.txt file for 1 of 2 images: b/1\.png"):
        load_truth(tmp_path / "labels", images, [SIZE] * 2)


# --- Against another pipeline.


@pytest.mark.parametrize(
    ("reference", "candidate", "value"),
    [
        (found(A, B), found(B, A), 1),
        (found(A), found((*A[:4], -A[4])), 0),
        (found(A), found(moved(A, 12)), 1),
        (found(A), found(moved(A, 14)), 0),
        (found(A), found(A, classes=[1]), 0),
        (found(A, B), found(A), 2 / 3),
    ],
)
def test_agreement_is_by_the_boxes_themselves(reference, candidate, value):
    """28 of 52, and 26 of 54 of two boxes that share so much."""
    seen = agreement([reference], [candidate])
    assert seen.value == pytest.approx(value)
    assert seen.unit == "oriented boxes matched (F1 over all oriented boxes at IoU 0.5, same class)"
