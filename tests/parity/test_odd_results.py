"""What no figure says, each once where it is so and nowhere else."""

import json

import cv2
import numpy as np
import pytest

from seatrial.images.files import ImageFile
from seatrial.kernels.results import DenseMap, Detections, Labels, SemanticMask, Text, TextRegions
from seatrial.parity.accuracy import evaluate
from seatrial.parity.classes import ClassMap
from seatrial.parity.evaluation import noted_of, said_beside, value_of
from seatrial.parity.odd_results import alike_but_for, bare_images, judged_pixels, odd_values
from seatrial.parity.truth import load_truth

COUNT, HW = 10, (20, 20)


def images_of(folder):
    return [ImageFile(folder / f"{i}.png", f"{i}.png") for i in range(COUNT)]


def codes(evaluation):
    return [w.code for w in noted_of(evaluation).warnings]


def depth(folder, true, own):
    """Evaluated; each (H, W)."""
    for i in range(COUNT):
        np.save(folder / f"{i}.npy", np.asarray(true, np.float32))
    (folder / "t.csv").write_text("image,map\n" + "".join(f"{i}.png,{i}.npy\n" for i in range(COUNT)))
    truth = load_truth(folder / "t.csv", images_of(folder))
    return evaluate(truth, images_of(folder), [DenseMap(np.asarray(own, np.float32))] * COUNT, ClassMap(how="none"))


def holes(share):
    true = np.full(HW, 4.0)
    true.ravel()[int(share * true.size) :] = np.nan
    return true


@pytest.mark.parametrize(
    ("share", "said", "warned"),
    [(1.0, "", []), (0.5, "judged 50% of the pixels", []), (0.06, "judged 6% of the pixels", ["few-pixels"])],
)
def test_a_depth_says_how_much_of_it_is_judged(tmp_path, share, said, warned):
    found = depth(tmp_path, holes(share), np.full(HW, 4.0))
    assert codes(found) == warned
    assert said_beside(found) == ", ".join(filter(None, ("RMSE 0", said)))


def test_so_do_label_images(tmp_path):
    (tmp_path / "labels").mkdir()
    pixels = np.full(HW, 255, np.uint8)
    pixels[0, :16], pixels[0, 16:] = 1, 0
    for i in range(COUNT):
        cv2.imwrite(str(tmp_path / "labels" / f"{i}.png"), pixels)
    truth = load_truth(tmp_path / "labels", images_of(tmp_path))
    found = evaluate(truth, images_of(tmp_path), [SemanticMask(pixels % 255)] * COUNT, ClassMap((0, 1)))
    assert value_of(found) == 1
    assert said_beside(found) == "judged 5% of the pixels"
    assert "judges 5.0% of the pixels" in str(noted_of(found).warnings[0])
    assert codes(found) == ["few-pixels"]


def test_nothing_judged_at_all_is_another_words(tmp_path):
    assert judged_pixels(0, 100).said == ""
    assert judged_pixels(3, 1000).said == "judged 0.003 of the pixels"


@pytest.mark.parametrize(
    ("factor", "cure"),
    [
        (1000, "make postprocess.scale 0.001 times what it is"),
        (1050, "make postprocess.scale 0.001 times what it is"),
        (0.01, "make postprocess.scale 100 times what it is"),
        (30, "or is it a relative depth"),
        (4, None),
        (0.3, None),
        (1, None),
    ],
)
def test_another_unit_is_named(tmp_path, factor, cure):
    true = np.linspace(2, 8, 400).reshape(HW)
    found = depth(tmp_path, true, factor * true)
    assert codes(found) == (["other-unit"] if cure else [])
    assert all(cure in str(w) for w in noted_of(found).warnings)


def test_a_depth_below_zero_is_said(tmp_path):
    own = np.full(HW, 4.0)
    own[:5] = -1
    found = depth(tmp_path, np.full(HW, 4.0), own)
    (said,) = noted_of(found).warnings
    assert str(said).startswith("25.0% of the judged pixels have a value below 0, where the truth is above 0")
    assert odd_values(np.array([np.nan, 1.0]), 0, 5) == ()


def detected(score):
    return Detections(np.array([[5, 5, 15, 15]], np.float32), np.array([score], np.float32), np.zeros(1, np.int64))


def boxes(folder, annotated, result):
    data = {
        "images": [{"id": i, "file_name": f"{i}.png"} for i in range(COUNT)],
        "annotations": [{"image_id": i, "category_id": 1, "bbox": [5, 5, 10, 10]} for i in range(annotated)],
        "categories": [{"id": 1, "name": "boat"}],
    }
    (folder / "t.json").write_text(json.dumps(data))
    truth = load_truth(folder / "t.json", images_of(folder))
    return evaluate(truth, images_of(folder), result, ClassMap((1,)))


def test_images_that_nobody_annotated_are_counted(tmp_path):
    found = boxes(tmp_path, 5, [detected(0.9)] * COUNT)
    assert said_beside(found) == "5 of 10 images without an annotation"
    (said,) = noted_of(found).warnings
    assert "but the model finds about as many boxes there as on the others: each counts as wrong" in str(said)


@pytest.mark.parametrize(("annotated", "elsewhere"), [(10, 0.9), (5, 0.05)])
def test_images_that_may_well_be_empty_are_not_doubted(tmp_path, annotated, elsewhere):
    results = [detected(0.9 if i < annotated else elsewhere) for i in range(COUNT)]
    assert codes(boxes(tmp_path, annotated, results)) == []


def test_labels_and_regions_too(tmp_path):
    (tmp_path / "l.csv").write_text("image,class\n" + "".join(f"{i}.png,{'a' * (i < 5)}\n" for i in range(COUNT)))
    truth = load_truth(tmp_path / "l.csv", images_of(tmp_path), multi_label=True)
    told = Labels(np.zeros(1, np.int64), np.ones(1, np.float32))
    found = evaluate(truth, images_of(tmp_path), [told] * COUNT, ClassMap(index={"a": 0}))
    assert codes(found) == ["bare-images"]
    region = {"transcription": "a", "points": [[5, 5], [15, 5], [15, 15], [5, 15]]}
    (tmp_path / "t.txt").write_text("".join(f"{i}.png\t{json.dumps([region] * (i < 5))}\n" for i in range(COUNT)))
    truth = load_truth(tmp_path / "t.txt", images_of(tmp_path))
    corners = np.array([region["points"]], np.float32)
    result = TextRegions(*vars(detected(0.9)).values(), corners)
    found = evaluate(truth, images_of(tmp_path), [result] * COUNT, ClassMap(how="text"))
    assert codes(found) == ["bare-images"]
    assert bare_images([False] * 3, np.ones(3), "boxes").said == "", "a truth of nothing is another matter"


@pytest.mark.parametrize(
    ("pairs", "what"),
    [
        ([("ADD", "add"), ("SUB", "sub"), ("X", "y")], "2 of 3 wrong texts are right but for capitals, such as 'add'"),
        ([("a b", "ab")], "but for spaces"),
        ([("\uff21\uff11", "A1")], "but for full-width and other forms"),
        ([("\uff21 b", "ab"), ("A B", "ab")], "but for capitals, spaces and full-width forms"),
        ([("ADD", "add"), ("a", "b"), ("c", "d")], None),
        ([], None),
    ],
)
def test_texts_that_differ_in_form_alone_are_said(pairs, what):
    found = alike_but_for(pairs)
    assert len(found) == (what is not None)
    assert all(what in str(w) for w in found)


def test_an_evaluation_of_texts_says_so(tmp_path):
    (tmp_path / "t.csv").write_text("image,text\n" + "".join(f"{i}.png,ADD\n" for i in range(COUNT)))
    truth = load_truth(tmp_path / "t.csv", images_of(tmp_path))
    for read, said in (("add", ["folded-texts"]), ("ADD", []), ("", []), ("x", [])):
        found = evaluate(truth, images_of(tmp_path), [Text.of(read, 0.9)] * COUNT, ClassMap(how="text"))
        assert codes(found) == said
