"""Pictures of a trial: which images as which cells, what is drawn on odd results, and what has nothing to draw."""

import json

import cv2
import numpy as np
import pytest

from seatrial.cells.matrix import expand
from seatrial.cells.preflight import preflight
from seatrial.cells.prepare import bare_record
from seatrial.drawing.results import HEIGHT, PALETTE, WIDTH
from seatrial.history.run_folder import new_run
from seatrial.kernels.oriented import corners_of
from seatrial.kernels.results import (
    Classification,
    Detections,
    Embedding,
    Instances,
    OrientedBoxes,
    Poses,
    SemanticMask,
    Text,
)
from seatrial.parity.accuracy import evaluate
from seatrial.pipeline.results import ResultsWriter
from seatrial.trial.pictures import MOST_NAMED, draw_pictures
from seatrial.trial.telling import EMPTY_PICTURES, PICTURES, WRONG_PICTURES


def boxes(*rows):
    """Of (x0, y0, x1, y1, score, class)."""
    table = np.array(rows, np.float32).reshape(-1, 6)
    return Detections(table[:, :4], table[:, 4], table[:, 5].astype(np.int64))


def oriented(*rows):
    """Of (cx, cy, w, h, angle, score, class)."""
    table = np.array(rows, np.float32).reshape(-1, 7)
    return OrientedBoxes.of_corners(corners_of(table[:, :5]), table[:, 5], table[:, 6], (12, 16))


def kind(k, score=0.9):
    return Classification(np.array([k], np.int64), np.array([score], np.float32))


def mask(value):
    return SemanticMask(np.full((12, 16), value, np.uint8))


ONE = "\n  only:\n    model: model.fake.json\n    preprocess: {size: [8, 8]}\n    postprocess: {task: classify}"
FACE, OTHER, FALSE = (2, 2, 8, 8, 0.9, 0), (9, 2, 15, 9, 0.8, 1), (1, 1, 3, 3, 0.3, 0)


@pytest.fixture
def drawn(workspace, monkeypatch):
    """(pictures, run's folder) of a trial whose cells gave these results, by the end of their id's first part: a pipeline's name,
    and its precision where that is not fp32. With a truth in the plan, evaluated against it."""
    monkeypatch.setattr("seatrial.cells.matrix.why_skipped", lambda *_: "")

    def call(status="ok", plan=None, **results):
        ready = preflight(workspace.load(**(plan or {})), False, lambda _: None)
        cells = expand(ready.plan, ready.models, len(ready.images), 64)
        records = []

        def of(cell):
            return results[cell.pipeline + ("" if cell.precision == "fp32" else f"_{cell.precision}")]

        def evaluation(cell):
            truth = ready.truth
            return truth and evaluate(truth, ready.images, of(cell), ready.class_maps[cell.pipeline])

        with new_run(workspace.folder / "results", "here") as run:
            for cell in cells:
                own = of(cell)
                folder = run.work / cell.id
                folder.mkdir(parents=True)
                with ResultsWriter(folder / "results.npz") as writer:
                    for result in own:
                        writer.add(result)
                    writer.add_specials(np.zeros((len(own), 0, 4), np.int64))
                records.append(bare_record(cell).model_copy(update={"status": status}))
            return draw_pictures(ready, run, records, evaluation), run.path

    return call


def shown(pictures):
    """(image, pipeline and precision) of each, and what it says."""
    return [(p.image[0], ".".join([p.pipeline, p.cell.split(".")[-3]]), p.why, p.note) for p in pictures]


TWO_PRECISIONS = {"matrix": "{backends: [fake], precisions: [fp32, int8]}"}


def test_of_one_pipeline_what_a_precision_breaks_comes_first_and_then_what_was_found(drawn):
    fp32 = [boxes(), boxes(FACE), boxes(), boxes(FACE, OTHER)]
    int8 = [boxes(), boxes(FACE), boxes(FALSE), boxes(FACE, OTHER)]
    pictures, folder = drawn(only=fp32, only_int8=int8, plan=TWO_PRECISIONS | {"pipelines": ONE})
    assert shown(pictures) == [
        ("2", "only.fp32", "differs", "1 box on the right alone"),
        ("2", "only.int8", "differs", "1 box on the right alone"),
        ("3", "only.fp32", "found", "no cell differs here"),
        ("1", "only.fp32", "found", "no cell differs here"),
    ], "most boxes first, each image once, and none on which nobody found anything"
    assert [p.caption for p in pictures] == ["0 detections", "1 detection", "2 detections", "1 detection"]
    assert len({p.file for p in pictures}) == len(list((folder / "pictures").iterdir())) == 4


def test_two_versions_that_differ_everywhere_do_not_hide_what_a_precision_breaks(drawn):
    pictures, _ = drawn(
        plan=TWO_PRECISIONS,
        baseline=[boxes(FACE)] * 4,
        baseline_int8=[boxes(FACE)] * 3 + [boxes(FACE, FALSE)],
        candidate=[boxes(), boxes(FACE), boxes(OTHER, FALSE), boxes()],
        candidate_int8=[boxes(), boxes(FACE), boxes(OTHER, FALSE), boxes()],
    )
    assert shown(pictures) == [
        ("2", "baseline.fp32", "differs", "1 box on the left alone, 2 boxes on the right alone"),
        ("2", "candidate.fp32", "differs", "1 box on the left alone, 2 boxes on the right alone"),
        ("3", "baseline.fp32", "differs", "1 box on the right alone"),
        ("3", "baseline.int8", "differs", "1 box on the right alone"),
        ("0", "baseline.fp32", "differs", "1 box on the left alone"),
        ("0", "candidate.fp32", "differs", "1 box on the left alone"),
        ("1", "baseline.fp32", "found", "no cell differs here"),
    ]


def test_a_box_without_a_match_is_drawn_thicker(drawn):
    def pixels_of(candidate):
        pictures, folder = drawn(baseline=[boxes(FACE)] * 4, candidate=[candidate] + [boxes(FACE)] * 3)
        own = next(p for p in pictures if p.image == "0.png" and (p.pipeline == "candidate" or p.why == "found"))
        plain = next(p for p in pictures if p.image == "0.png" and p.pipeline == "baseline")
        return [cv2.imread(str(folder / p.file)).astype(int) for p in (plain, own)]

    plain, _ = pixels_of(boxes(FACE))
    alone, _ = pixels_of(boxes())
    # The blue image hardly has any red; a box of the first class does.
    assert (alone[..., 2] > 120).sum() > 1.5 * (plain[..., 2] > 120).sum()


def test_an_oriented_box_is_drawn_as_it_lies(drawn, workspace):
    """From the left end of its axis to the right one, and nowhere near the corners of the upright box around it."""
    workspace.image("0.png", np.zeros((256, 256, 3), np.uint8))
    turned = OrientedBoxes.of_corners(corners_of([(128, 128, 200, 20, np.pi / 4)]), [0.9], [0], (256, 256))
    pictures, folder = drawn(plan={"pipelines": ONE}, only=[turned] * 4)
    own = next(p for p in pictures if p.image == "0.png")
    drawn_there = cv2.imread(str(folder / own.file)).max(axis=2) > 100
    assert drawn_there[54:64, 54:64].any()
    assert drawn_there[192:202, 192:202].any()
    assert not drawn_there[185:205, 55:75].any(), "a mirrored angle would end here"
    assert not drawn_there[125:132, 125:132].any(), "it is an outline"


def test_many_images_that_differ_fill_the_page_and_no_more(drawn, workspace):
    for i in range(4, 12):
        workspace.image(f"{i}.png", np.full((12, 16, 3), i, np.uint8))
    pictures, _ = drawn(baseline=[boxes(FACE)] * 12, candidate=[boxes()] * 12)
    assert len({p.image for p in pictures}) == PICTURES
    assert len(pictures) == 2 * PICTURES


@pytest.mark.parametrize("other", [[boxes()] * 4, [boxes(), None, boxes(), None]])
def test_where_nobody_finds_anything_two_pictures_say_so(drawn, other):
    pictures, _ = drawn(baseline=[boxes()] * 4, candidate=other)
    assert [(p.why, p.caption) for p in pictures] == [("nothing", "0 detections")] * EMPTY_PICTURES


@pytest.mark.parametrize(
    ("result", "caption"),
    [
        (boxes((2, 2, 8, 8, 0.5, 1)), "1 detection"),
        # Beyond the image on all sides, and of a class without a label.
        (boxes((-90, -90, 900, 900, 1, 0), (3, 3, 5, 5, 0.2, 999)), "2 detections"),
        (oriented((8, 6, 8, 3, 0.7, 0.5, 1)), "1 oriented box"),
        (oriented((8, 6, 9e5, 3, 0.7, 0.5, 1), (-50, 6, 3, 3, 0.7, 0.5, 1)), "2 oriented boxes"),
        (kind(2), "class 2 (90%)"),
        (kind(0, 1.0), "class 0 (100%)"),
        (mask(0), ""),
        (mask(255), ""),
    ],
)
def test_each_kind_of_result_is_a_picture_and_shown_once_where_all_agree(drawn, result, caption):
    pictures, folder = drawn(baseline=[result] * 4, candidate=[result] * 4)
    assert [(p.image, p.pipeline) for p in pictures] == [(f"{k}.png", "baseline") for k in range(4)]
    assert {p.caption for p in pictures} == {caption}
    for p in pictures:
        pixels = cv2.imread(str(folder / p.file))
        assert pixels.shape == (WIDTH * 12 // 16, WIDTH, 3)
    assert sorted(p.file for p in pictures) == sorted(f"pictures/{f.name}" for f in (folder / "pictures").iterdir())


def test_boxes_turned_round_or_without_size_are_drawn_too(drawn):
    """They match nothing, not even themselves."""
    odd = boxes((8, 8, 2, 2, 0.1, 2), (3, 3, 3, 3, 0.2, 1))
    pictures, _ = drawn(baseline=[odd] * 4, candidate=[odd] * 4)
    assert {p.note for p in pictures} == {"2 boxes on the left alone, 2 boxes on the right alone"}


def test_classes_that_differ_come_first_and_then_those_that_are_least_sure(drawn):
    own = [kind(0, 0.9), kind(0, 0.99), kind(0, 0.5), kind(0, 0.7)]
    pictures, _ = drawn(baseline=own, candidate=[kind(0), kind(1), kind(0), kind(0)])
    assert [(p.image[0], p.note) for p in pictures] == [
        *[("1", "another class")] * 2, ("2", "no cell differs here"), ("3", "no cell differs here"), ("0", "no cell differs here"),
    ]  # fmt: skip


def test_masks_that_differ_by_more_than_an_eye_sees_come_first(drawn):
    other = np.zeros((12, 16), np.uint8)
    other[:6] = 3
    pictures, _ = drawn(baseline=[mask(0)] * 4, candidate=[mask(0), mask(0), SemanticMask(other), mask(0)])
    assert [p.image[0] for p in pictures] == ["2", "2", "0", "1", "3"]
    assert pictures[0].note == "another class in 50.0% of the pixels"


def test_an_image_without_a_result_has_no_picture_and_the_other_side_says_so(drawn):
    pictures, _ = drawn(baseline=[kind(0)] * 4, candidate=[None, kind(0), None, kind(0)])
    assert [(p.image[0], p.pipeline, p.note) for p in pictures] == [
        ("0", "baseline", "no result on the right"), ("2", "baseline", "no result on the right"),
        ("1", "baseline", "no cell differs here"), ("3", "baseline", "no cell differs here"),
    ]  # fmt: skip


def test_a_tall_image_is_no_taller_than_a_wide_one_is_wide(drawn, workspace):
    workspace.image("0.png", np.zeros((400, 4, 3), np.uint8))
    pictures, folder = drawn(baseline=[kind(0)] * 4, candidate=[kind(0)] * 4)
    assert cv2.imread(str(folder / pictures[0].file)).shape == (HEIGHT, 3, 3)


@pytest.mark.parametrize(
    ("results", "status"),
    [([Embedding(np.ones(3, np.float32))] * 4, "ok"), ([None] * 4, "ok"), ([kind(0)] * 4, "failed")],
)
def test_nothing_to_draw_makes_no_folder(drawn, results, status):
    pictures, folder = drawn(status, baseline=results, candidate=results)
    assert pictures == []
    assert not (folder / "pictures").exists()


def labelled(labels):
    return {"pipelines": ONE.replace("task: classify", f"task: classify, labels: {labels}")}


def halves(top, below):
    own = np.full((12, 16), below, np.uint8)
    own[:6] = top
    return SemanticMask(own)


def keys(picture):
    return [(k.name, k.colour) for k in picture.legend]


def hex_of(k):
    return "#{2:02x}{1:02x}{0:02x}".format(*PALETTE[k])


@pytest.mark.parametrize(
    ("labels", "name", "colour"),
    [
        ("[background, cat, dog]", "background", ""),
        ("[_Background_, cat, dog]", "_Background_", ""),
        ("[sky, cat, dog]", "sky", hex_of(0)),
        ("null", "class 0", hex_of(0)),
    ],
)
def test_a_mask_says_which_colour_is_which_class_and_leaves_the_background_as_it_is(drawn, labels, name, colour):
    bare, folder = drawn(plan=labelled(labels), only=[mask(255)] * 4)
    assert {p.legend for p in bare} == {()}, "what a crop cut away is no class"
    plain = cv2.imread(str(folder / bare[0].file)).astype(int)
    pictures, folder = drawn(plan=labelled(labels), only=[halves(0, 2)] * 4)
    assert keys(pictures[0]) == [(name, colour), ("dog" if labels != "null" else "class 2", hex_of(2))]
    differ = np.abs(cv2.imread(str(folder / pictures[0].file)).astype(int) - plain).max(2)
    # A little beside the edge, over which JPEG's blocks go.
    half = differ.shape[0] // 2
    assert (differ[: half - 16].mean() > 20) == bool(colour)
    assert differ[half + 16 :].mean() > 20


def test_of_many_classes_the_largest_are_named_and_said_how_many_there_are(drawn):
    own = np.zeros((12, 16), np.uint8)
    own[0], own[1] = np.arange(16), 40
    pictures, _ = drawn(plan={"pipelines": ONE}, only=[SemanticMask(own)] * 4)
    names = [k.name for k in pictures[0].legend]
    assert names == [f"class {k}" for k in (*range(MOST_NAMED - 1), 40)], "in the order of the classes"
    assert pictures[0].caption == f"17 classes, the largest {MOST_NAMED}"


def test_boxes_have_a_legend_too(drawn):
    pictures, _ = drawn(plan=labelled("[face, hand, foot]"), only=[boxes(FACE, OTHER, FALSE)] * 4)
    assert keys(pictures[0]) == [("face", hex_of(0)), ("hand", hex_of(1))]


def test_classes_of_one_image_have_colours_of_their_own_the_same_on_both_sides(drawn):
    far = len(PALETTE)
    pictures, _ = drawn(baseline=[halves(0, far)] * 4, candidate=[halves(far, 1)] * 4)
    left, right = (dict(keys(p)) for p in pictures[:2])
    assert left["class 0"] == hex_of(0)
    assert right["class 1"] == hex_of(1) or right["class 1"] not in left.values()
    assert left[f"class {far}"] == right[f"class {far}"]
    assert len({*left.values(), *right.values()}) == 3


def test_masks_are_tinted_within_and_poses_have_their_points(drawn):
    """Beside the box, which a plain detection has too: what differs lies where the mask or the points are."""

    def canvas(result, caption):
        pictures, folder = drawn(baseline=[result] * 4, candidate=[result] * 4)
        assert {p.caption for p in pictures} == {caption}
        return cv2.imread(str(folder / pictures[0].file)).astype(int)

    whole = np.zeros((12, 16), bool)
    whole[2:8, 2:5] = True
    seen = np.array([[[4, 4, 0.9], [12, 9, 0.9], [14, 2, 0.1]]], np.float32)
    plain = canvas(boxes(FACE), "1 detection")
    masked = canvas(Instances.of_masks(boxes(FACE), [whole], (12, 16)), "1 mask")
    posed = canvas(Poses(*vars(boxes(FACE)).values(), seen, np.full(3, 0.3, np.float32)), "1 pose")
    scale = plain.shape[0] / 12
    for drawing, inside, outside in ((masked, (6, 3), (6, 12)), (posed, (8.5, 11.5), (1.5, 13.5))):
        apart = [
            np.abs(drawing - plain)[round((y + 0.5) * scale), round((x + 0.5) * scale)].max()
            for y, x in (inside, outside)
        ]
        assert apart[0] > 40 > 15 > apart[1], (inside, apart)


# ---- against a truth


@pytest.fixture
def classes(workspace):
    """The truth of every image is class 0."""
    (workspace.folder / "truth.csv").write_text("image,class\n" + "".join(f"{k}.png,cat\n" for k in range(4)))
    return {"images": "{path: images, annotations: truth.csv}"} | labelled("[cat, dog, cow]")


def test_pictures_begin_with_what_is_wrong_and_what_was_expected_there(drawn, classes):
    pictures, _ = drawn(plan=classes, only=[kind(0, 0.5), kind(0), kind(1), kind(0)])
    assert [(p.image[0], p.why, p.note, p.caption) for p in pictures] == [
        ("2", "wrong", "expected cat", "dog (90%)"), ("0", "found", "", "cat (50%)"), ("1", "found", "", "cat (90%)"),
        ("3", "found", "", "cat (90%)"),
    ]  # fmt: skip
    assert {p.shows for p in pictures} == {"result"}, "a class is said, and not drawn"


def test_where_nothing_is_wrong_nothing_is_said_to_be(drawn, classes):
    pictures, _ = drawn(plan=classes, only=[kind(0)] * 4)
    assert {p.why for p in pictures} == {"found"}


def test_what_is_wrong_leaves_room_for_what_differs(drawn, classes, workspace):
    names = [f"{k}.png" for k in range(4)] + [f"a{k}.png" for k in range(6)]
    for name in names[4:]:
        workspace.image(name, np.full((12, 16, 3), len(name), np.uint8))
    (workspace.folder / "truth.csv").write_text("image,class\n" + "".join(f"{n},cat\n" for n in names))
    pictures, _ = drawn(plan=classes | TWO_PRECISIONS, only=[kind(0)] * 10, only_int8=[kind(1)] * 10)
    assert [p.why for p in pictures] == ["wrong"] * WRONG_PICTURES + ["differs"] * 2 * (PICTURES - WRONG_PICTURES)
    assert {p.cell.split(".")[-3] for p in pictures if p.why == "wrong"} == {"int8"}, "the cell that is wrong there"
    assert len({p.image for p in pictures}) == PICTURES


def test_pipelines_take_turns_at_what_is_wrong_the_worst_first(drawn, classes):
    both = classes["pipelines"] + "\n  other: {extends: only}"
    other = [kind(1), kind(0), kind(0), kind(0)]
    pictures, _ = drawn(plan=classes | {"pipelines": both}, only=[kind(1)] * 4, other=other)
    wrong = [(p.image[0], p.pipeline) for p in pictures if p.why == "wrong"]
    # The image that both have wrong is shown once.
    assert wrong == [("0", "only"), ("1", "only"), ("2", "only")]
    own = [kind(0), kind(1), kind(1), kind(1)]
    pictures, _ = drawn(plan=classes | {"pipelines": both}, only=own, other=other)
    wrong = [(p.image[0], p.pipeline) for p in pictures if p.why == "wrong"]
    assert wrong == [("1", "only"), ("0", "other"), ("2", "only")]


def test_an_image_without_a_result_is_shown_as_it_is_with_what_was_expected(drawn, classes):
    pictures, folder = drawn(plan=classes, only=[kind(0), None, kind(0), kind(0)])
    assert (pictures[0].image, pictures[0].shows, pictures[0].note) == ("1.png", "image", "no result, expected cat")
    assert (folder / pictures[0].file).is_file()


def test_the_truth_of_boxes_is_drawn_beside_them_in_the_same_colours(drawn, workspace):
    own = [{"id": k, "image_id": k, "category_id": 9, "bbox": [2, 2, 6, 6], "area": 36, "iscrowd": 0} for k in range(4)]
    own.append({"id": 9, "image_id": 2, "category_id": 4, "bbox": [9, 2, 6, 7], "area": 42, "iscrowd": 0})
    images = [{"id": k, "file_name": f"{k}.png", "width": 16, "height": 12} for k in range(4)]
    truth = {"images": images, "annotations": own, "categories": [{"id": 9, "name": "face"}, {"id": 4, "name": "hand"}]}
    (workspace.folder / "truth.json").write_text(json.dumps(truth))
    parts = {"images": "{path: images, annotations: truth.json}"} | labelled("[hand, face]")
    parts["pipelines"] = parts["pipelines"].replace(
        "task: classify", "task: detect, format: yolov8, confidence: 0.3, iou: 0.5"
    )
    face = (2, 2, 8, 8, 0.9, 1)
    workspace.script("model.fake.json", outputs={"y": {"shape": ["batch", 6, 21], "values": "zeros"}})
    pictures, folder = drawn(plan=parts, only=[boxes(face)] * 4)
    result, truth = (p for p in pictures if p.image == "2.png")
    assert (result.shows, truth.shows, truth.why, truth.caption) == ("result", "truth", "wrong", "2 boxes")
    assert result.note == "1 of 2 objects found at IoU 0.5, 0 false"
    assert keys(result) == [("face", hex_of(1))]
    assert keys(truth) == [("hand", hex_of(0)), ("face", hex_of(1))]
    left, right = (cv2.imread(str(folder / p.file)).astype(int) for p in (result, truth))
    missed = np.abs(left - right).max(axis=2)[40:140, 150:250]
    assert missed.max() > 60, "the hand that was not found is there"
    assert len({p.file for p in pictures}) == len(pictures)


# ---- what tells classes and points apart


def test_a_class_has_one_colour_in_all_pictures_of_a_run(drawn):
    """Where it is the largest and where it is the smallest."""
    few, many = halves(0, 2), SemanticMask(np.repeat(np.array([[2, 9, 0, 2]], np.uint8), 12, 0).repeat(4, 1))
    pictures, _ = drawn(plan={"pipelines": ONE}, only=[few, many, few, many])
    colours = {}
    for p in pictures:
        assert [k.name for k in p.legend] == sorted((k.name for k in p.legend), key=lambda n: int(n.split()[1]))
        for key in p.legend:
            assert colours.setdefault(key.name, key.colour) == key.colour
    assert len(set(colours.values())) == len(colours) == 3, "class 9 has class 2's own colour elsewhere"


def test_a_mask_has_edges_in_the_very_colour_of_its_legend_and_its_name_within(drawn):
    own = np.zeros((12, 16), np.uint8)
    own[2:11, 4:13] = 1
    named, folder = drawn(plan=labelled("[background, cat, dog]"), only=[SemanticMask(own)] * 4)
    pixels = cv2.imread(str(folder / named[0].file)).astype(int)
    edge = np.abs(pixels - np.array(PALETTE[1])).max(axis=2) < 40
    # Sixteen pixels a pixel: the region's left edge stands at 64, its middle is at 136 and 104.
    assert edge[60:140, 62:67].any(axis=1).mean() > 0.9
    assert (pixels[94:116, 110:160].max(axis=2) < 90).any(), "black letters"
    other, folder = drawn(plan=labelled("[background, a longer name, dog]"), only=[SemanticMask(own)] * 4)
    assert (cv2.imread(str(folder / other[0].file)).astype(int) != pixels).any(axis=2)[94:116, 80:190].any()


def pose(points, sigmas):
    return Poses(*vars(boxes(FACE)).values(), np.array([points], np.float32), np.full(len(points), sigmas, np.float32))


def test_points_that_change_places_are_seen_to(drawn):
    left, right = ([4, 6, 0.9], [12, 6, 0.9])
    seen = []
    for points in ([left, right], [right, left]):
        pictures, folder = drawn(plan={"pipelines": ONE}, only=[pose(points, 0.3)] * 4)
        assert keys(pictures[0]) == [("class 0", hex_of(0)), ("point 0", hex_of(0)), ("point 1", hex_of(1))]
        seen.append(cv2.imread(str(folder / pictures[0].file)).astype(int))
    assert np.abs(seen[0] - seen[1]).max(axis=2)[96 - 2 : 96 + 3, 64 - 2 : 64 + 3].max() > 60


def test_of_a_persons_points_the_sides_are_told_apart(drawn):
    pictures, _ = drawn(plan={"pipelines": ONE}, only=[pose([[k, 6, 0.9] for k in range(17)], 0.05)] * 4)
    names = [name for name, _ in keys(pictures[0])]
    assert names == ["class 0", "nose", "left", "right"]


def test_a_text_that_is_wrong_stands_beside_what_was_expected(drawn, workspace):
    (workspace.folder / "truth.csv").write_text("image,text\n" + "".join(f"{k}.png,AB\n" for k in range(4)))
    (workspace.folder / "dict.txt").write_text("A\nB\n")
    workspace.script("model.fake.json", outputs={"y": {"shape": ["batch", 5, 3], "values": "zeros"}})
    pipeline = ONE.replace("task: classify", "task: text, format: ctc, labels: dict.txt")
    plan = {"images": "{path: images, annotations: truth.csv}", "pipelines": pipeline}
    pictures, _ = drawn(plan=plan, only=[Text.of(t, 0.9) for t in ("AB", "A", "BA", "AB")])
    assert [(p.image[0], p.note, p.caption) for p in pictures if p.why == "wrong"] == [
        ("2", "expected “AB”, 2 edits away", "“BA” (90%)"), ("1", "expected “AB”, 1 edit away", "“A” (90%)"),
    ]  # fmt: skip
