"""Pictures of a trial: which images as which cells, what is drawn on odd results, and what has nothing to draw."""

import cv2
import numpy as np
import pytest

from seatrial.cells.matrix import expand
from seatrial.cells.preflight import preflight
from seatrial.cells.prepare import bare_record
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
)
from seatrial.pipeline.results import ResultsWriter
from seatrial.trial.drawing import HEIGHT, PALETTE, WIDTH
from seatrial.trial.pictures import MOST_NAMED, draw_pictures
from seatrial.trial.telling import EMPTY_PICTURES, PICTURES


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
    and its precision where that is not fp32."""
    monkeypatch.setattr("seatrial.cells.matrix.why_skipped", lambda *_: "")

    def call(status="ok", plan=None, **results):
        ready = preflight(workspace.load(**(plan or {})), False, lambda _: None)
        cells = expand(ready.plan, ready.models, len(ready.images), 64)
        records = []
        with new_run(workspace.folder / "results", "here") as run:
            for cell in cells:
                own = results[cell.pipeline + ("" if cell.precision == "fp32" else f"_{cell.precision}")]
                folder = run.work / cell.id
                folder.mkdir(parents=True)
                with ResultsWriter(folder / "results.npz") as writer:
                    for result in own:
                        writer.add(result)
                    writer.add_specials(np.zeros((len(own), 0, 4), np.int64))
                records.append(bare_record(cell).model_copy(update={"status": status}))
            return draw_pictures(ready, run, records), run.path

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
