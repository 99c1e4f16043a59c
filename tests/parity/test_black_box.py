"""Answers of a black box: whose they are, what classes they name, and every way in which a log may be unsound or short."""

import json
from pathlib import Path

import numpy as np
import pytest

from seatrial.errors import DataError
from seatrial.images.files import ImageFile
from seatrial.kernels.results import (
    Classification,
    Detections,
    Embedding,
    Instances,
    Labels,
    OrientedBoxes,
    Poses,
    Text,
    TextRegions,
)
from seatrial.parity.black_box import Asked, read_answers
from seatrial.taps.folder import TapsFolder
from seatrial.taps.shown import ImageTaps, Shown
from seatrial.taps.writer import TapsWriter

NAMES = ("day/a.jpg", "b.jpg", "000017.jpg")
IMAGES = [ImageFile(Path("/photos") / name, name) for name in NAMES]
SIZES = [(40, 50)] * 3
LABELS = ["cone", "Light Buoy", "spar"]


def answers(tmp_path, content, kind=Detections, empty=False, **asked):
    path = tmp_path / ("answers.csv" if isinstance(content, str) else "answers.json")
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return read_answers(path, Asked(kind, IMAGES, SIZES, **asked), empty)


def row(image, category=0, bbox=(1, 2, 10, 20), score=0.5, **more):
    return {"image_id": image, "category_id": category, "bbox": list(bbox), "score": score, **more}


def codes(found):
    return [w.code for w in found.warnings]


def test_boxes_are_corners_by_descending_score_and_every_image_has_its_own(tmp_path):
    rows = [row("b.jpg", 1, score=0.25), row("day/a.jpg"), row("b.jpg", 0, (0, 0, 5, 5), 0.75), row("000017.jpg")]
    found: Shown = answers(tmp_path, rows)
    assert (found.names, found.stages) == (NAMES, {"results"})
    of_b = found.load("b.jpg").results
    assert of_b.boxes_xyxy.tolist() == [[0, 0, 5, 5], [1, 2, 11, 22]]
    assert (of_b.scores.tolist(), of_b.class_ids.tolist()) == ([0.75, 0.25], [0, 1])
    assert (of_b.boxes_xyxy.dtype, of_b.class_ids.dtype) == (np.float32, np.int64)
    assert codes(found) == ["assumed-classes"]
    with pytest.raises(DataError, match=r"no answer for an image called 'c\.jpg'"):
        found.load("c.jpg")


@pytest.mark.parametrize(
    "called",
    [
        NAMES,
        ("a.jpg", "b.jpg", "000017.jpg"),
        ("a", "b", "17"),
        ("a", "b", 17),
        ("/srv/day/a.jpg", "/srv/b.jpg", "000017"),
    ],
)
def test_images_are_told_by_name_by_stem_and_by_number(tmp_path, called):
    found = answers(tmp_path, [row(name, k) for k, name in enumerate(called)])
    assert [found.load(name).results.class_ids[0] for name in NAMES] == [0, 1, 2]


def test_images_are_told_by_the_annotations_ids_where_these_tell_more(tmp_path):
    rows = [{"id": 5 + k, "file_name": name} for k, name in enumerate(NAMES)]
    (tmp_path / "truth.json").write_text(json.dumps({"images": rows, "annotations": [], "categories": []}))
    for called in ((5, 6, 7), ("5", "6", "7"), (5.0, 6.0, 7.0), NAMES):
        found = answers(
            tmp_path, [row(image, k) for k, image in enumerate(called)], annotations=tmp_path / "truth.json"
        )
        assert [found.load(name).results.class_ids[0] for name in NAMES] == [0, 1, 2]


def test_a_name_that_lies_in_another_folder_or_that_two_images_share_tells_nothing(tmp_path):
    with pytest.raises(
        DataError,
        match=r"no answer for 1 of the plan's 3 images: day/a\.jpg.*and 1 other that the plan does not have: night/a\.jpg",
    ):
        answers(tmp_path, [row("night/a.jpg"), row("b"), row(17)])
    path = tmp_path / "answers.json"
    path.write_text(json.dumps([row("a")]))
    twins = [ImageFile(Path("/p") / name, name) for name in ("x/a.jpg", "y/a.jpg")]
    with pytest.raises(DataError, match="no answer for 2 of the plan's 2 images"):
        read_answers(path, Asked(Detections, twins, SIZES[:2]))


def test_categories_are_the_models_classes_and_what_is_none_of_them_is_said(tmp_path):
    rows = [row("b.jpg", category, score=0.9 - category / 100) for category in (3, 4, 5)]
    found = answers(tmp_path, [row("day/a.jpg", 3), row(17, 3), *rows], categories=(3, 4, 5))
    assert (found.load("b.jpg").results.class_ids.tolist(), codes(found)) == ([0, 1, 2], [])
    # Off by one stays off by one, below the first class too.
    rows = [row("b.jpg", category, score=0.9 - category / 100) for category in (2, 3, 6)]
    found = answers(tmp_path, [row("day/a.jpg", 3), row(17, 3), *rows], categories=(3, 4, 5))
    assert found.load("b.jpg").results.class_ids.tolist() == [-1, 0, 3]
    assert str(found.warnings[0]) == "answers.json: 2 answers are of a category that no class of the model has: 2, 6"
    # Where ids have gaps, it is a class of its own.
    found = answers(tmp_path, [row("day/a.jpg", 1), row(17, 7), row("b.jpg", 2)], categories=(1, None, 7))
    assert [found.load(n).results.class_ids[0] for n in NAMES] == [0, 4, 2]
    assert codes(found) == ["unknown-classes"]


def test_images_without_a_row_are_an_error_until_somebody_says_that_they_are_empty(tmp_path):
    rows = [row("b.jpg"), row("zebra.png"), row("yak.png")]
    with pytest.raises(DataError) as refused:
        answers(tmp_path, rows)
    assert refused.value.for_command_line() == (
        f"{tmp_path}/answers.json: no answer for 2 of the plan's 3 images: day/a.jpg, 000017.jpg, and 2 others that the plan does not have: "
        "zebra.png, yak.png; name only the answered ones in images.path, or give --rowless-are-empty where an image without a row has no objects"
    )
    found = answers(tmp_path, rows, empty=True)
    assert [len(found.load(n).results) for n in NAMES] == [0, 1, 0]
    assert [w.text for w in found.warnings if w.code != "assumed-classes"] == [
        "answers.json: 2 of 3 images have no row and are taken to have no objects: day/a.jpg, 000017.jpg",
        "answers.json: answers for 2 images that the plan does not have are left out: zebra.png, yak.png",
    ]
    with pytest.raises(DataError, match="no answer for 3 of the plan's 3 images.*name images as the plan does"):
        answers(tmp_path, [row("x.jpg")], empty=True)


MASK = np.zeros((40, 50), np.uint8)
MASK[3:9, 5:20] = 1


def _every(**more):
    return [row(name, **more) for name in NAMES]


def test_masks_come_as_runs_compressed_or_not_or_as_polygons(tmp_path):
    from pycocotools import mask

    packed = mask.encode(np.asfortranarray(MASK))
    counts = np.diff(np.concatenate([[0], np.flatnonzero(np.diff(MASK.T.reshape(-1))) + 1, [MASK.size]])).tolist()
    forms = (
        {"size": [40, 50], "counts": packed["counts"].decode()},
        {"size": [40, 50], "counts": counts},
        [[5, 3, 20, 3, 20, 9, 5, 9]],
    )
    for form in forms:
        found = answers(tmp_path, _every(segmentation=form), Instances).load("b.jpg").results
        assert type(found) is Instances
        assert np.array_equal(found.mask(0), MASK > 0)
    bare = [{k: v for k, v in r.items() if k != "bbox"} for r in _every(segmentation=forms[0])]
    assert answers(tmp_path, bare, Instances).load("b.jpg").results.boxes_xyxy.tolist() == [[5, 3, 20, 9]]


def test_keypoints_and_corners_come_too(tmp_path):
    found = answers(tmp_path, _every(keypoints=[1, 2, 0.5, 3, 4, 1.0]), Poses).load("b.jpg").results
    assert type(found) is Poses
    assert found.keypoints.tolist() == [[[1, 2, 0.5], [3, 4, 1]]]
    for kind, field in ((TextRegions, "polygons"), (OrientedBoxes, "corners_xy")):
        found = answers(tmp_path, _every(segmentation=[[1, 1, 9, 1, 9, 5, 1, 5]]), kind).load("b.jpg").results
        assert type(found) is kind
        assert getattr(found, field).tolist() == [[[1, 1], [9, 1], [9, 5], [1, 5]]]


@pytest.mark.parametrize("kind", [Instances, Poses, OrientedBoxes, TextRegions])
def test_boxes_alone_are_said(tmp_path, kind):
    found = answers(tmp_path, _every(), kind, categories=(0,))
    assert type(found.load("b.jpg").results) is Detections
    assert codes(found) == ["boxes-alone"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "has no row, so that nothing is known of any image"),
        ({"images": [], "annotations": []}, "expected COCO's results, which are a list of {image_id, category_id, bbox, score}, got an object: it has annotations"),
        ([1], "row 1: expected an object, got a int"),
        ([row("b"), {"category_id": 1}], "row 2: image_id: expected a number or a text as id, got None"),
        ([row("b", None)], "row 1: category_id: expected a number or a text as id, got None"),
        ([row("b", "cone")], "row 1: category_id: expected a number, got 'cone'"),
        ([row("b", 1.5)], "row 1: category_id: expected a whole number as id, got 1.5"),
        ([row("b", score=None)], "row 1: score: expected a finite number, got None; without scores write a CSV"),
        ([row("b", score=float("nan"))], "row 1: score: expected a finite number, got nan"),
        (_every(bbox=[1, 2, 3]), "row 1: bbox: expected [x, y, width, height] as finite numbers, got [1, 2, 3]"),
        (_every(bbox=[1, 2, 3, float("inf")]), "row 1: bbox: expected"),
    ],
)  # fmt: skip
def test_unsound_rows_are_refused_by_their_number(tmp_path, content, message):
    with pytest.raises(DataError) as refused:
        answers(tmp_path, content)
    assert str(refused.value).startswith(f"{tmp_path}/answers.json: {message}")


@pytest.mark.parametrize(
    ("kind", "more", "message"),
    [
        (Instances, {"segmentation": {"size": [50, 40], "counts": [2000]}}, "row 1: segmentation: its size is 50 × 40"),
        (Instances, {"segmentation": {"size": [40, 50], "counts": [7]}}, "row 1: segmentation: its counts add up to 7"),
        (Instances, {"segmentation": "x"}, "row 1: segmentation: expected polygons"),
        (Poses, {"keypoints": [1, 2]}, "row 1: keypoints: expected times x, y and v as finite numbers, got [1, 2]"),
        (TextRegions, {"segmentation": [[0, 0, 9, 9, 9, 0, 0, 9]]}, "row 1: its image's answers are TextRegions of"),
    ],
)
def test_unsound_shapes_are_refused(tmp_path, kind, more, message):
    with pytest.raises(DataError) as refused:
        answers(tmp_path, _every(**more), kind)
    assert message in str(refused.value)


@pytest.mark.parametrize("text", ["[", "{"])
def test_what_is_cut_short_is_no_json(tmp_path, text):
    (tmp_path / "answers.json").write_text(text)
    with pytest.raises(DataError, match=r"answers\.json: expected COCO results JSON, but it cannot be parsed"):
        read_answers(tmp_path / "answers.json", Asked(Detections, IMAGES, SIZES))


def test_a_file_that_is_not_there_or_no_text_says_what_was_expected(tmp_path):
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    for name in ("no.json", "bytes"):
        with pytest.raises(DataError, match="cannot be read.*expected COCO results JSON, or a CSV with a header"):
            read_answers(tmp_path / name, Asked(Detections, IMAGES, SIZES))


def csv(*lines, header="image,class,score"):
    return "\n".join([header, *lines]) + "\n"


def test_rows_of_one_image_are_its_ranked_classes(tmp_path):
    text = csv("day/a.jpg,spar,0.25", "day/a.jpg,cone,0.5", "b,light_buoy,1", "17, cone ,0.5", "17,cone,0.25")
    found = answers(tmp_path, text, Classification, labels=LABELS)
    assert [found.load(n).results.class_ids.tolist() for n in NAMES] == [[0, 2], [1], [0]]
    assert found.load("day/a.jpg").results.scores.tolist() == [0.5, 0.25]
    assert codes(found) == ["folded-names", "repeated-rows"]


def test_without_scores_the_order_is_the_rank_and_scores_are_unknown(tmp_path):
    text = csv("a,2", "a,0", "a,1", "b,-1", "000017,3", header="image,class")
    found = answers(tmp_path, text, Classification, labels=LABELS)
    assert [found.load(n).results.class_ids.tolist() for n in NAMES] == [[2, 0, 1], [-1], [3]]
    assert np.isnan(found.load("day/a.jpg").results.scores).all()
    assert codes(found) == ["scores-unknown", "unknown-classes"]
    assert "'-1', '3' are none of the model's 3" in found.warnings[1].text


def test_a_name_that_the_model_does_not_have_is_a_class_of_its_own_and_said(tmp_path):
    found = answers(tmp_path, csv("a,cone,1", "b,whale,1", "17,5,1"), Classification, labels=LABELS)
    assert [found.load(n).results.class_ids[0] for n in NAMES] == [0, 3, 5]
    assert str(found.warnings[0]) == "answers.csv: 2 answers are of a class that the model does not have: whale, 5"


def test_labels_may_be_none(tmp_path):
    found = answers(tmp_path, csv("a,cone,0.5", "a,spar,0.75", "b,,", "17,cone,1"), Labels, labels=LABELS)
    assert [found.load(n).results.class_ids.tolist() for n in NAMES] == [[2, 0], [], [0]]
    assert type(found.load("b.jpg").results) is Labels


@pytest.mark.parametrize(
    ("header", "box"),
    [("image,class,score,x1,y1,x2,y2", "1,2,11,22"), ("image,xmin,ymin,xmax,ymax,score,class", ""), ("image,class,score,x,y,w,h", "1,2,10,20")],
)  # fmt: skip
def test_boxes_in_a_csv_are_what_their_columns_say(tmp_path, header, box):
    lines = [f"{n},cone,0.5,{box}" if box else f"{n},1,2,11,22,0.5,cone" for n in ("a", "a", "17")]
    empty = f"b{',' * header.count(',')}"
    found = answers(tmp_path, csv(*lines, empty, header=header), labels=LABELS)
    assert [len(found.load(n).results) for n in NAMES] == [2, 0, 1]
    assert found.load("day/a.jpg").results.boxes_xyxy.tolist() == [[1, 2, 11, 22]] * 2


def test_texts_are_read(tmp_path):
    found = answers(tmp_path, csv("a,Grüße,0.5", "b,,0.25", "17,x,1", header="image,text,score"), Text)
    assert [found.load(n).results.text for n in NAMES] == ["Grüße", "", "x"]


def test_scores_of_texts_that_nobody_logged_are_unknown_in_a_folder_of_taps_too(tmp_path):
    found = answers(tmp_path, csv("a,Grüße", "b,", "17,x", header="image,text"), Text)
    assert "scores-unknown" in [w.code for w in found.warnings]
    with TapsWriter(tmp_path / "taps", "a log", ["results"]) as writer:
        for name in NAMES:
            writer.add(name, ImageTaps(results=found.load(name).results))
    read = TapsFolder.open(tmp_path / "taps")
    own = [read.load(name).results for name in NAMES]
    assert [r.text for r in own] == ["Grüße", "", "x"]
    assert all(np.isnan(r.score) for r in own)


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        (csv("a,cone,1"), Detections, "answers.csv: has the columns image, class, score, and the reference gives Detections: expected the columns image,class,score,x1,y1,x2,y2"),
        (csv("a,cone,1"), Text, "expected the columns image,text"),
        (csv("a,cone,1"), Embedding, "the reference gives Embedding: write a folder of taps with its results"),
        (csv("a,x,1", header="image,text,score"), Classification, "expected the columns image,class,score"),
        ("no,header\n1,2\n", Classification, "expected a header line with columns image,class, got no, header"),
        (csv(), Classification, "has no row below its header"),
        (csv(",cone,1"), Classification, "line 2: no image; name one in each row"),
        (csv("a,cone,1", "b,cone,x"), Classification, "line 3: expected score as a finite number, got 'x'; leave the whole column out"),
        (csv("a,,1", "b,cone,1", "17,cone,1"), Classification, "line 2: no class; name one for each image"),
        (csv("a,whale,1", "b,cones,1"), Classification, "no class is one of the model's: 'whale', 'cones', where it has 3 labels: cone, Light Buoy, spar"),
        (csv("a,cone,1"), Classification, "no answer for 2 of the plan's 3 images: b.jpg, 000017.jpg; name only the answered ones in images.path"),
        (csv("a,cone,1,1,2,x,4", header="image,class,score,x1,y1,x2,y2"), Detections, "line 2: expected x1,y1,x2,y2 as finite numbers, or all empty"),
        (csv("a,,1,1,2,3,4", header="image,class,score,x1,y1,x2,y2"), Detections, "line 2: no class; name one for each box"),
        (csv("a,x", "a,y", header="image,text"), Text, "line 3: another text of an image that has one"),
    ],
)  # fmt: skip
def test_an_unsound_csv_is_refused(tmp_path, text, kind, message):
    with pytest.raises(DataError) as refused:
        answers(tmp_path, text, kind, labels=LABELS)
    assert message in str(refused.value)


def test_names_need_labels(tmp_path):
    with pytest.raises(
        DataError, match=r"classes are given by name \('cone'\), but the model has no labels: set postprocess\.labels"
    ):
        answers(tmp_path, csv("a,cone,1", "b,cone,1", "17,cone,1"), Classification)


@pytest.mark.parametrize(
    ("kind", "cure"),
    [
        (Classification, "a CSV with the columns image,class"),
        (Text, "a CSV with the columns image,text"),
        (Embedding, "write a folder of taps"),
    ],
)
def test_objects_where_the_reference_gives_none_are_refused(tmp_path, kind, cure):
    with pytest.raises(DataError, match=f"has objects, and the reference gives a {kind.__name__}: .*{cure}"):
        answers(tmp_path, _every(), kind)
