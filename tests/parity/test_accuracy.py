"""Accuracy against ground truth: values counted by hand, and annotation files that are not what they should be."""

import json

import numpy as np
import pytest

from seatrial.errors import DataError
from seatrial.images.files import ImageFile
from seatrial.kernels.results import Classification, Detections, SemanticMask
from seatrial.parity.accuracy import evaluate
from seatrial.parity.classes import map_classes
from seatrial.parity.evaluation import value_of
from seatrial.parity.tags import read_tags
from seatrial.parity.truth import load_truth

# pycocotools' own mask decoder on NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

SIDE = 10


def accuracy(truth, images, results, labels):
    """(value, metric), or None where they do not go together; by labels, or by the order of ids where there are none."""
    class_map = map_classes(truth, labels, None if labels or truth.classes else "order", None)
    found = evaluate(truth, images, results, class_map)
    return found and (value_of(found), found.metric)


FULL, TOP, LEFT = (0, 0, 10, 10), (0, 0, 10, 5), (0, 0, 5, 10)
FAR = (80, 80, 90, 90)
CATEGORIES = [{"id": 7, "name": "tug"}, {"id": 3, "name": "buoy"}]


def box(xyxy, category=3, image=1, **fields):
    x1, y1, x2, y2 = xyxy
    return {"image_id": image, "category_id": category, "bbox": [x1, y1, x2 - x1, y2 - y1], **fields}


def polygon(xyxy, category=3, image=1):
    x1, y1, x2, y2 = xyxy
    return box(xyxy, category, image, segmentation=[[x1, y1, x2, y1, x2, y2, x1, y2]])


def run_lengths(mask):
    """COCO's uncompressed RLE: lengths of runs down the columns, zeros first."""
    counts, value = [], 0
    for pixel in mask.T.ravel():
        if pixel != value:
            counts, value = counts or [0], pixel
            counts.append(0)
        counts = counts or [0]
        counts[-1] += 1
    return {"counts": counts, "size": list(mask.shape)}


def coco(*annotations, count=1, **fields):
    rows = [{"id": i, "file_name": f"{i}.png", "height": SIDE, "width": SIDE} for i in range(1, count + 1)]
    return {"images": rows, "annotations": list(annotations), "categories": CATEGORIES} | fields


@pytest.fixture
def truth(tmp_path):
    """Writes annotations (COCO as a dict, anything else as text) and loads them for `count` images."""

    def load(content, count=1, name=None):
        path = tmp_path / (name or ("truth.json" if isinstance(content, dict) else "truth.csv"))
        path.write_text(json.dumps(content) if isinstance(content, dict) else content, "utf-8")
        images = [ImageFile(tmp_path / f"{i}.png", f"{i}.png") for i in range(1, count + 1)]
        return load_truth(path, images), images

    return load


def found(*rows):
    """Rows are (xyxy, score, class index)."""
    return Detections(
        np.array([r[0] for r in rows], np.float32).reshape(-1, 4),
        np.array([r[1] for r in rows], np.float32),
        np.array([r[2] for r in rows], np.int64),
    )


BUOY, TUG = 0, 1  # class indices in order of category id
LABELS = ["buoy", "tug"]
TWO = (box(FULL), box(FAR, 7))


@pytest.mark.parametrize(
    ("annotations", "detections", "value"),
    [
        (TWO, [(FULL, 0.9, BUOY), (FAR, 0.8, TUG)], 1.0),
        (TWO, [(FULL, 0.9, TUG), (FAR, 0.8, BUOY)], 0.0),
        (TWO, [(FULL, 0.9, BUOY)], 0.5),
        (TWO, [], 0.0),
        ((), [(FULL, 0.9, BUOY)], None),
        # A false alarm halves the precision where its score is higher, and costs nothing where it is lower.
        ((box(FULL),), [(FAR, 0.95, BUOY), (FULL, 0.9, BUOY)], 0.5),
        ((box(FULL),), [(FULL, 0.95, BUOY), (FAR, 0.9, BUOY)], 1.0),
        # IoU 0.72 passes the thresholds 0.50 to 0.70: five of ten.
        ((box((0, 0, 100, 100)),), [((0, 0, 100, 72), 0.9, BUOY)], 0.5),
        ((box((0, 0, 100, 100)),), [((0, 0, 100, 49), 0.9, BUOY)], 0.0),
        # Half of the objects: precision 1 at the recalls 0.00 to 0.50, 51 of COCO's 101.
        ((box(FULL), box(FAR)), [(FULL, 0.9, BUOY)], 51 / 101),
        # Class indices that stand for no category.
        ((box(FULL),), [(FULL, 0.9, -1), (FULL, 0.9, 99), (FULL, 0.1, BUOY)], 1.0),
        ((box(FULL),), [(FULL, 0.9, -2)], 0.0),
        ((box(FULL, iscrowd=1), box(FAR)), [(FAR, 0.5, BUOY), (FULL, 0.9, BUOY)], 1.0),
        ((box(FULL, category=99), box(FAR)), [(FAR, 0.5, BUOY)], 1.0),
    ],
)
@pytest.mark.parametrize("labels", [LABELS, None, ["Buoy", " TUG"]])
def test_map_is_as_counted_by_hand(truth, annotations, detections, value, labels):
    loaded, images = truth(coco(*annotations))
    assert accuracy(loaded, images, [found(*detections)], labels) == (
        value if value is None else pytest.approx(value),
        "mAP",
    )


def test_labels_decide_over_the_order_of_ids(truth):
    loaded, images = truth(coco(*TWO))
    detections = [found((FULL, 0.9, 2), (FAR, 0.8, 0), (FAR, 0.99, 1))]
    assert accuracy(loaded, images, detections, ["tug", "whale", "buoy"]) == (pytest.approx(1), "mAP")


def test_map_counts_only_the_trials_images(truth):
    content = coco(box(FULL), box(FAR, image=2), box(FAR, image=3), count=3)
    loaded, images = truth(content, count=2)
    assert accuracy(loaded, images, [found((FULL, 0.9, BUOY)), found((FAR, 0.9, BUOY))], LABELS)[0] == pytest.approx(1)
    assert accuracy(loaded, images[1:], [found((FAR, 0.9, BUOY))], LABELS)[0] == pytest.approx(1)


def painted(*parts, fill=0, shape=(SIDE, SIDE)):
    mask = np.full(shape, fill, np.uint8)
    for (x1, y1, x2, y2), value in parts:
        mask[y1:y2, x1:x2] = value
    return mask


NAMED = ["background", "buoy", "tug"]


@pytest.mark.parametrize(
    ("annotations", "mask", "labels", "value"),
    [
        ([polygon(LEFT)], painted((LEFT, 1)), NAMED, 1),
        # Background 50 of 75 pixels, buoy 25 of 50.
        ([polygon(LEFT)], painted(((0, 0, 5, 5), 1)), NAMED, (50 / 75 + 25 / 50) / 2),
        ([polygon(LEFT)], painted((LEFT, 2)), NAMED, (50 / 50 + 0 + 0) / 3),
        # Without a background class only annotated pixels are judged.
        ([polygon(LEFT)], painted(fill=0), LABELS, 1),
        ([polygon(LEFT)], painted(((0, 0, 5, 5), 1)), LABELS, (25 / 50 + 0) / 2),
        ([polygon(LEFT), polygon((5, 0, 10, 10), 7)], painted((LEFT, 0), fill=1), LABELS, 1),
        # The later annotation lies on top.
        ([polygon(FULL), polygon(LEFT, 7)], painted((LEFT, 1)), LABELS, 1),
        ([polygon(LEFT, 7), polygon(FULL)], painted((LEFT, 1)), LABELS, (50 / 100 + 0) / 2),
        # What a crop cut away was not found.
        ([polygon(FULL)], painted((LEFT, 255)), LABELS, 0.5),
        # Of a category that the model lacks nothing is found: 25 of its pixels are taken for buoy.
        ([polygon(LEFT, category=99), polygon(TOP)], painted(fill=0), LABELS, (50 / 75 + 0) / 2),
        ([box(FULL, segmentation=run_lengths(painted((LEFT, 1))))], painted((LEFT, 1)), NAMED, 1),
        ([], painted(fill=0), LABELS, None),
    ],
)
def test_miou_is_as_counted_by_hand(truth, annotations, mask, labels, value):
    loaded, images = truth(coco(*annotations))
    assert accuracy(loaded, images, [SemanticMask(mask)], labels) == (
        value if value is None else pytest.approx(value),
        "mIoU",
    )


def test_miou_pools_pixels_over_images(truth):
    loaded, images = truth(coco(polygon(FULL), polygon((0, 0, 2, 5), image=2), count=2), count=2)
    masks = [SemanticMask(painted(fill=0)), SemanticMask(painted(fill=9))]
    assert accuracy(loaded, images, masks, LABELS)[0] == pytest.approx(100 / 110)


@pytest.mark.parametrize(
    ("annotation", "fields", "message"),
    [
        (box(FULL), {}, "an annotation of 1.png gives no mask: expected polygons, or runs"),
        (box(FULL, segmentation=[]), {}, "gives no mask"),
        (box(FULL, segmentation=[[0, 0]]), {}, "gives no mask"),
        (box(FULL, segmentation="x"), {}, "gives no mask"),
        (polygon(FULL), {"images": [{"id": 1, "file_name": "1.png"}]}, "the image's 'height' and 'width'"),
        (
            polygon(FULL),
            {"images": [{"id": 1, "file_name": "1.png", "height": 20, "width": 10}]},
            "1.png is annotated at 20 × 10 (height × width), but decodes to 10 × 10",
        ),
    ],
)
def test_an_annotation_without_a_mask_is_named(truth, annotation, fields, message):
    loaded, images = truth(coco(annotation, **fields))
    with pytest.raises(DataError) as e:
        accuracy(loaded, images, [SemanticMask(painted())], LABELS)
    assert str(e.value).startswith(f"{loaded.path}: ")
    assert message in str(e.value)


def test_an_annotation_without_a_box_is_named(truth):
    annotation = polygon(FULL)
    del annotation["bbox"]
    loaded, images = truth(coco(annotation))
    assert accuracy(loaded, images, [SemanticMask(painted())], LABELS)[0] == 1
    with pytest.raises(DataError, match=r"truth\.json: 1 annotation without 'bbox'"):
        accuracy(loaded, images, [found((FULL, 0.9, BUOY))], LABELS)


def best(*class_ids):
    return Classification(np.array(class_ids, np.int64), np.full(len(class_ids), 0.5, np.float32))


@pytest.mark.parametrize(
    ("rows", "results", "labels", "value"),
    [
        ("1.png,tug\n2.png,buoy", [best(1, 0), best(0, 1)], LABELS, 1),
        ("1.png,tug\n2.png,buoy", [best(1, 0), best(1, 0)], LABELS, 0.5),
        ("1.png,1\n2.png,0", [best(1), best(0)], None, 1),
        ("1.png,1\n2.png,0", [best(1), best(0)], LABELS, 1),
        ("1.png,90\n2.png,80", [best(0), best(1)], ["90", "80"], 1),
        ("1.png,buoy\n2.png,tug", [best(1), best(9)], LABELS, 0),
        ("2.png, tug \n1.png,buoy\n3.png,tug", [best(0), best(1)], LABELS, 1),
    ],
)
def test_top_1_is_as_counted_by_hand(truth, rows, results, labels, value):
    loaded, images = truth(f"\ufeffimage,class\n{rows}\n", count=2)
    assert accuracy(loaded, images, results, labels) == (value, "top-1")


def test_truth_of_another_task_is_no_accuracy(truth):
    (boxes, images), (classes, _) = truth(coco(*TWO)), truth("image,class\n1.png,tug\n")
    assert accuracy(boxes, images, [best(0)], LABELS) is None
    assert accuracy(classes, images, [found((FULL, 0.9, BUOY))], LABELS) is None
    assert accuracy(boxes, images, [None], LABELS) is None


MALFORMED = [
    ("", "expected COCO JSON, but it cannot be parsed"),
    ("{", "cannot be parsed"),
    ("[" * 100_000, "cannot be parsed"),
    ("[]", "with the lists images, annotations and categories"),
    ('{"images": [], "annotations": {}, "categories": []}', "with the lists images, annotations and categories"),
    (
        coco(count=0),
        "no row in 'images' for 1 of 1 image: 1.png; an image without objects needs a row too: add one for each, or name only",
    ),
    (
        coco(images=[{"id": 1, "file_name": "i.png"}]),
        "no row in 'images' for 1 of 1 image: 1.png (did you mean 'i.png'?); an image",
    ),
    (coco(images=[1]), "malformed (TypeError"),
    (coco(images=[{"file_name": "1.png"}]), "malformed (KeyError: 'id')"),
    (coco(images=[{"id": [1], "file_name": "1.png"}]), "malformed (TypeError"),
    (coco(categories=[]), "expected at least one category, got none"),
    (coco(categories=[{"id": 1}]), "malformed (KeyError: 'name')"),
    (coco(categories=[{"id": "a", "name": "x"}]), "malformed (ValueError"),
    (coco(3), "malformed (TypeError"),
    (coco({"image_id": 1, "bbox": [0, 0, 1, 1]}), "malformed (KeyError: 'category_id')"),
    (coco({"category_id": 1}), "malformed (KeyError: 'image_id')"),
    (coco(box(FULL) | {"bbox": [0, 0, 1]}), "malformed (ValueError"),
    (coco(box(FULL) | {"bbox": [0, 0, 1, 1, 1, 1]}), "malformed (ValueError"),
    (coco(box(FULL) | {"bbox": None}), "malformed (TypeError"),
    (coco(box(FULL) | {"bbox": "abcd"}), "malformed (ValueError"),
]
MALFORMED_CSV = [
    ("", "expected a header line with columns image,class, got an empty file"),
    ("img,cls\n1.png,tug\n", "got img, cls"),
    ("image;class\n1.png;tug\n", "got image;class"),
    (
        "image,class\n",
        "no class for 1 of 1 image: 1.png; add a row for each, or name only the annotated ones: images.path as a list",
    ),
    ("image,class\n1.jpg,tug\n", "1 of 1 image: 1.png (did you mean '1.jpg'?); add a row"),
    ('image,class\n"1.png,tug\n' + "z" * 140_000, "but it is malformed (field larger"),
]


@pytest.mark.parametrize(("content", "message"), MALFORMED, ids=range(len(MALFORMED)))
def test_malformed_coco_is_refused(truth, content, message, tmp_path):
    with pytest.raises(DataError) as e:
        truth(content, name="truth.json")
    assert str(e.value).startswith(f"{tmp_path / 'truth.json'}: ")
    assert message in str(e.value)


@pytest.mark.parametrize(("content", "message"), MALFORMED_CSV, ids=range(len(MALFORMED_CSV)))
def test_a_malformed_csv_is_refused(truth, content, message, tmp_path):
    with pytest.raises(DataError) as e:
        truth(content)
    assert str(e.value).startswith(f"{tmp_path / 'truth.csv'}: ")
    assert message in str(e.value)


@pytest.mark.parametrize("name", ["no.json", "no.csv", "."])
@pytest.mark.parametrize("read", [load_truth, read_tags])
def test_a_missing_file_is_named(read, name, tmp_path):
    with pytest.raises(DataError) as e:
        read(tmp_path / name, [])
    assert str(e.value).startswith(f"{tmp_path / name}: ")
    assert "cannot be read" in str(e.value)


def test_bytes_that_are_no_text_are_named(tmp_path):
    (tmp_path / "truth.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"truth\.json: the annotations cannot be read \('utf-8' codec"):
        load_truth(tmp_path / "truth.json", [])


def test_tags_are_read_for_known_images(truth, tmp_path):
    _, images = truth(coco(*TWO))
    (tmp_path / "tags.csv").write_text(
        "\ufeffimage,tag,by\r\n1.png,night,me\r\n1.png, fog \r\n9.png,night\r\n", "utf-8"
    )
    tags, told = read_tags(tmp_path / "tags.csv", images)
    assert tags == {"1.png": ["night", "fog"]}
    assert [*map(str, told)] == ["tags.csv: tags 1 image that the trial does not have: 9.png"]
    (tmp_path / "tags.csv").write_text("image,class\n1.png,night\n")
    with pytest.raises(DataError, match=r"tags\.csv: expected a header line with columns image,tag, got image, class"):
        read_tags(tmp_path / "tags.csv", images)
