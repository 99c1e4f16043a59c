"""Truth files as people have them: ids of unlike kinds, rows twice, nulls, nothing that matches, and odd boxes."""

import json

import pytest

from seatrial.errors import DataError
from seatrial.images.files import ImageFile
from seatrial.parity.empty_truth import nothing_to_find
from seatrial.parity.tags import read_tags
from seatrial.parity.truth import check_truth, load_truth
from seatrial.warning import Warning

CATEGORIES = [{"id": 1, "name": "buoy"}, {"id": 2, "name": "tug"}]


def rows(*ids, **fields):
    return [{"id": i, "file_name": f"{n}.png", **fields} for n, i in enumerate(ids, 1)]


def boxes(*image_ids, **fields):
    return [
        {"id": n, "image_id": i, "category_id": 1, "bbox": [1 + n, 1, 5, 5], **fields} for n, i in enumerate(image_ids)
    ]


def images_of(folder, count):
    return [ImageFile(folder / f"{n}.png", f"{n}.png") for n in range(1, count + 1)]


@pytest.fixture
def read(tmp_path):
    """Truth from rows of `images`, annotations and categories, for the first `count` images."""

    def load(images, annotations, categories=CATEGORIES, count=2, **more):
        path = tmp_path / "truth.json"
        content = {"images": images, "annotations": annotations, "categories": categories, **more}
        path.write_text(json.dumps(content), "utf-8-sig")
        return load_truth(path, images_of(tmp_path, count))

    return load


# Rows of images, ids of annotations, how many images the trial has; then which image each annotation is of.
SOUND = [
    (rows(1, 2), [1, 1, 2], 2, [1, 1, 2]),
    (rows(0, 7), [7, 0], 2, [2, 1]),
    (rows(1, 2), [1.0, 2.0], 2, [1, 2]),
    (rows(1.0, 2.0), [1, 2], 2, [1, 2]),
    (rows("a", "b"), ["b", "a"], 2, [2, 1]),
    (rows("1", "2"), ["2", "1"], 2, [2, 1]),
    (rows(10**17, 10**17 + 1), [10**17 + 1], 2, [2]),
    # other images' annotations are no business of the trial
    (rows(5, 6, 7), [7, 5, 6, 7], 2, [1, 2]),
    ([*rows(1, 2), {"id": 9, "file_name": "not-here.png"}], [1, 9], 2, [1]),
]


@pytest.mark.parametrize(("images", "of", "count", "expected"), SOUND, ids=range(len(SOUND)))
def test_annotations_go_to_their_images(read, images, of, count, expected):
    truth = read(images, boxes(*of), count=count)
    assert [a["image_id"] for a in truth.coco["annotations"]] == expected
    assert [a["id"] for a in truth.coco["annotations"]] == list(range(1, len(expected) + 1))
    assert truth.warnings == ()


def test_one_object_twice_is_counted_once_and_told(read):
    twice = [*boxes(1, 1, 2), {**boxes(1)[0], "id": 77}]
    truth = read(rows(1, 2), twice)
    assert [a["bbox"][0] for a in truth.coco["annotations"]] == [1, 2, 3]
    assert [a["id"] for a in truth.coco["annotations"]] == [1, 2, 3]
    assert "1 annotation stand twice" in str(truth.warnings[0])


@pytest.mark.parametrize("area", [-2400, 1e12])
def test_an_impossible_area_hides_no_object(read, area):
    truth = read(rows(1, 2), boxes(1, 2, area=area))
    assert [a["area"] for a in truth.coco["annotations"]] == [25, 25]
    said = "2 annotations have an impossible area: the box's own is taken"
    assert truth.warnings == (Warning("impossible-areas", said),)


LOST = [
    (
        rows(1, 2),
        ["1", "2", "1"],
        ["3 of 3 annotations", "'1', '2', where 'images' has 1, 2;", "write both sides alike"],
    ),
    (rows("1", "2"), [1, 2, 1], ["3 of 3 annotations", "1, 2, where 'images' has '1', '2';", "text and numbers"]),
    (rows(1, 2), [1, "2"], ["1 of 2 annotations", "'2', where 'images' has 1, 2;", "text and numbers"]),
    (rows(1, 2, 3), ["3"], ["1 of 1 annotation ", "'3', where 'images' has 1, 2, …;"]),
    (
        rows(1, 2),
        ["img_1", "img_2", "img_3"],
        ["no annotation belongs", "3 of 3", "'img_1', 'img_2', …, where", "1, 2;"],
    ),
    (rows(1, 2), [101, 102], ["no annotation belongs", "2 of 2", "101, 102, where 'images' has 1, 2; use the ids"]),
    (rows("a", "b"), ["A"], ["1 of 1 annotation ", "'A', where 'images' has 'a', 'b'"]),
]


@pytest.mark.parametrize(("images", "of", "said"), LOST, ids=range(len(LOST)))
def test_annotations_that_match_nothing_are_no_truth(read, images, of, said):
    with pytest.raises(DataError) as e:
        read(images, boxes(*of))
    for words in said:
        assert words in str(e.value), str(e.value)


def test_a_few_strays_are_counted_and_left_out(read):
    truth = read(rows(1, 2), boxes(1, 2, 77, 78, 79))
    assert [a["image_id"] for a in truth.coco["annotations"]] == [1, 2]
    (said,) = truth.warnings
    assert str(said) == (
        "3 of 5 annotations name an image_id that no row of 'images' has: 77, 78, …, where 'images' has 1, 2: they are left out"
    )


@pytest.mark.parametrize("annotations", [[], boxes(3, 3)])
def test_images_without_any_object_are_said(read, annotations):
    said = "none of the trial's 2 images has an object in the truth: no accuracy"
    (found,) = nothing_to_find(read(rows(1, 2, 3), annotations))
    assert str(found).startswith(said)


TWICE = [
    (rows(7, 7), CATEGORIES, "'images' gives id 7 to '1.png' and to '2.png'"),
    (rows(7, 7.0), CATEGORIES, "'images' gives id 7.0 to '1.png' and to '2.png'"),
    (rows(7, "7"), CATEGORIES, "'images' gives id '7' to '1.png' and to '2.png'"),
    ([*rows(1, 2), {"id": 99, "file_name": "1.png"}], CATEGORIES, "'images' lists '1.png' twice (ids 1 and 99)"),
    ([*rows(1, 2), {"id": 0, "file_name": "1.png"}], CATEGORIES, "'images' lists '1.png' twice (ids 1 and 0)"),
    (rows(1, 2), [{"id": 1, "name": "a"}, {"id": "1", "name": "b"}], "'categories' gives id 1 to 'a' and to 'b'"),
]


@pytest.mark.parametrize(("images", "categories", "said"), TWICE, ids=range(len(TWICE)))
def test_what_stands_twice_is_refused_by_name(read, images, categories, said):
    with pytest.raises(DataError) as e:
        read(images, [], categories)
    assert said in str(e.value)


def test_nulls_are_what_a_field_is_without_a_value(read, tmp_path):
    fields = {"area": None, "iscrowd": None, "segmentation": None}
    (found,) = read(rows(1, 2, width=None, height=None), boxes(1, **fields)).coco["annotations"]
    assert (found["area"], found["iscrowd"], "segmentation" in found) == (25.0, 0, False)


@pytest.mark.parametrize("value", [None, True, [1], 1.5, {"id": 1}])
@pytest.mark.parametrize("where", ["image", "annotation", "category"])
def test_what_is_no_id_is_refused(read, value, where):
    with pytest.raises(DataError, match=r"the COCO JSON is malformed \((Type|Value)Error"):
        read(
            rows(value if where == "image" else 1, 2),
            [{"image_id": value if where == "annotation" else 1, "category_id": value if where == "category" else 1}],
        )


# Categories and those with annotations; then which are taken for a heading over the others.
HEADINGS = [
    ([(0, "boats", "none"), (1, "tug", "boats"), (2, "buoy", "boats")], [1, 2], {0}),
    ([(0, "tug", "none"), (1, "tug", "tug")], [1], {0}),
    ([(0, "Objects", None), (1, "tug", None)], [1], {0}),
    ([(0, "none", None), (1, "tug", None)], [], {0}),
    ([(0, "boats", "none"), (1, "tug", "boats")], [0, 1], set()),
    ([(0, "person", "person"), (1, "bicycle", "vehicle")], [1], set()),
    ([(1, "objects", None), (2, "tug", None)], [2], set()),
    ([(0, "objects", None)], [], set()),
]


@pytest.mark.parametrize(("categories", "marked", "expected"), HEADINGS, ids=range(len(HEADINGS)))
def test_a_category_that_groups_the_others_is_known(read, categories, marked, expected):
    listed = [{"id": i, "name": n, "supercategory": s} for i, n, s in categories]
    truth = read(rows(1, 2), [a for i in marked for a in boxes(1, category_id=i)], listed)
    assert truth.placeholders == expected


@pytest.mark.parametrize(
    ("box", "sizes", "said"),
    [
        ([1, 1, 5, 5], [(20, 30)], []),
        ([1, 1, 5, 5], [(30, 20)], ["1 of 1 image have another size", "(30 × 20, annotated 20 × 30", "EXIF"]),
        ([1, 1, 5, 5], [(40, 60)], ["another size than the annotations say, first 1.png", "use the files"]),
        ([1, 1, 0, 5], [(20, 30)], ["1 of 1 box in the truth have no area"]),
        ([1, 1, -2, 5], [(20, 30)], ["no area"]),
        ([0.2, 0.2, 0.5, 0.5], [(20, 30)], ["at most one pixel large"]),
        ([20, 10, 28, 18], [(20, 30)], ["reach outside their image", "not two corners"]),
    ],
)
def test_boxes_and_sizes_that_look_wrong_are_said(read, tmp_path, box, sizes, said):
    truth = read(rows(1, height=20, width=30), [{"image_id": 1, "category_id": 1, "bbox": box}], count=1)
    told = "\n".join(map(str, check_truth(truth, images_of(tmp_path, 1), sizes, "detect")))
    for words in said:
        assert words in told
    assert bool(told) == bool(said)


def test_a_size_that_is_not_given_is_not_compared(read, tmp_path):
    truth = read(rows(1, 2, height=0, width=0), boxes(1))
    assert check_truth(truth, images_of(tmp_path, 2), [(9, 9), (9, 9)], "detect") == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1.png,tug\n1.png,buoy\n2.png,tug\n", "1.png is of class 'tug' in one row and of 'buoy' in another"),
        ("1.png,tug\n2.png,\n", "no class for 1 of 2 images: 2.png"),
    ],
)
def test_rows_of_a_csv_that_contradict_each_other_are_refused(tmp_path, text, said):
    (tmp_path / "truth.csv").write_text("image,class\n" + text)
    with pytest.raises(DataError) as e:
        load_truth(tmp_path / "truth.csv", images_of(tmp_path, 2))
    assert said in str(e.value)


def test_a_file_that_annotates_a_part_of_the_images_names_the_others_and_the_cure(tmp_path, read):
    cure = "name only the annotated ones: images.path as a list, or as a folder of those"
    (tmp_path / "truth.csv").write_text("image,class\n1.png,tug\n")
    with pytest.raises(DataError) as e:
        load_truth(tmp_path / "truth.csv", images_of(tmp_path, 8))
    named = "2.png, 3.png, 4.png, 5.png, 6.png, …"
    assert f"no class for 7 of 8 images: {named}; add a row for each, or {cure}" in str(e.value)
    with pytest.raises(DataError) as e:
        read(rows(1, 2), [], count=8)
    assert "no row in 'images' for 6 of 8 images: 3.png, 4.png, 5.png, 6.png, 7.png, …" in str(e.value)
    assert f"an image without objects needs a row too: add one for each, or {cure}" in str(e.value)


def test_rows_that_say_the_same_twice_are_counted(tmp_path):
    (tmp_path / "truth.csv").write_text("image,class\n1.png,tug\n2.png,tug\n1.png,tug\n9.png,x\n9.png,x\n")
    truth = load_truth(tmp_path / "truth.csv", images_of(tmp_path, 2))
    assert truth.classes == {"1.png": "tug", "2.png": "tug"}
    assert str(truth.warnings[0]) == "truth.csv: 2 rows say what another row says already"


def test_tags_that_tag_nothing_are_said(tmp_path):
    path = tmp_path / "tags.csv"
    path.write_text("image,tag\n1.png,day\n1.png,day\n2.png,\nx.png,day\ny.png,day\n")
    tags, told = read_tags(path, images_of(tmp_path, 2))
    assert tags == {"1.png": ["day"]}
    assert [*map(str, told)] == [
        "tags.csv: tags 2 images that the trial does not have: x.png, y.png",
        "tags.csv: 1 row without a tag are left out",
        "tags.csv: 1 row say what another row says already",
    ]
    path.write_text("image,tag\nx.png,day\n")
    assert str(read_tags(path, images_of(tmp_path, 2))[1][-1]) == "tags.csv: no image of the trial has a tag"


def test_classes_of_images_that_the_trial_does_not_have_are_said(tmp_path):
    (tmp_path / "truth.csv").write_text("image,class\n1.png,a\n2.png,b\n3.png,a\n4.png,a\n")
    (said,) = load_truth(tmp_path / "truth.csv", images_of(tmp_path, 2)).warnings
    assert str(said) == "truth.csv: classes of 2 images that the trial does not have are left out: 3.png, 4.png"


def test_images_without_a_mask_are_counted(read, tmp_path):
    square = [[1, 1, 5, 1, 5, 5, 1, 5]]
    truth = read(rows(1, 2, 3), boxes(1, segmentation=square), count=3)
    (warning,) = check_truth(truth, images_of(tmp_path, 3), [(9, 9)] * 3, "segment")
    assert "2 of 3 images have no mask in the truth, first 2.png" in warning.text
    every = read(rows(1, 2, 3), boxes(1, 2, 3, segmentation=square), count=3)
    assert check_truth(every, images_of(tmp_path, 3), [(9, 9)] * 3, "segment") == []
