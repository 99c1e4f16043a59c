"""Texts beside each other, and truths about text as label files have them."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.errors import DataError
from seatrial.gate.accuracy import accuracy_interval, judge_accuracy
from seatrial.images.files import ImageFile
from seatrial.kernels.results import Text
from seatrial.parity.evaluation import said_beside, value_of
from seatrial.parity.results import agreement
from seatrial.parity.seen import nothing_found, seen
from seatrial.parity.texts import check_texts, edit_distance, evaluate_texts
from seatrial.parity.truth import load_truth

SHORT = st.text("aböe漢", max_size=9)


def naive(a, b):
    """Rows of the whole table, cell by cell."""
    table = [[i + j for j in range(len(b) + 1)] for i in range(len(a) + 1)]
    for i, x in enumerate(a, 1):
        for j, y in enumerate(b, 1):
            table[i][j] = min(table[i - 1][j] + 1, table[i][j - 1] + 1, table[i - 1][j - 1] + (x != y))
    return table[-1][-1]


@given(SHORT, SHORT)
def test_edits_are_counted_as_cell_by_cell(a, b):
    assert edit_distance(a, b) == naive(a, b)


def texts(*strings):
    return [None if s is None else Text.of(s, 0.9) for s in strings]


def images_of(folder, count):
    return [ImageFile(folder / f"{n}.png", f"{n}.png") for n in range(count)]


def test_words_are_right_as_a_whole_and_characters_are_pooled(tmp_path):
    truth = {"0.png": "Exit 24", "1.png": "Harbour", "2.png": "café", "3.png": "x"}
    e = evaluate_texts(truth, images_of(tmp_path, 4), texts("Exit 24", "harbour", "cafe\u0301", None))
    assert e.metric == "word accuracy"
    assert e.values.tolist() == [1, 0, 1, 0]
    assert value_of(e) == 0.5
    assert said_beside(e) == "character accuracy 0.895 (1 - 2 edits / 19 characters)"
    assert e.columns(["a", "b", "c", "d"])["edits"].tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize("read", ["Exit", "EXIT 24", "Exit24", "Exit  24", "Ｅxit 24", "Exit 24 "])
def test_capitals_spaces_and_widths_are_differences(tmp_path, read):
    e = evaluate_texts({"0.png": "Exit 24"}, images_of(tmp_path, 1), texts(read))
    assert value_of(e) == 0
    assert agreement(texts("Exit 24"), texts(read)).value == 0


def test_more_wrong_than_there_is_goes_below_nought_and_is_said(tmp_path):
    e = evaluate_texts({"0.png": "a"}, images_of(tmp_path, 1), texts("bcd"))
    assert said_beside(e) == "character accuracy -2.000 (1 - 3 edits / 1 character)"
    assert said_beside(evaluate_texts({"0.png": ""}, images_of(tmp_path, 1), texts(""))).startswith(
        "character accuracy undefined"
    )


def test_word_accuracy_is_judged_as_a_share_of_images(tmp_path):
    e = evaluate_texts({f"{n}.png": "a" for n in range(40)}, images_of(tmp_path, 40), texts(*["a"] * 39, "b"))
    low, high = accuracy_interval(e, 0)
    assert 0.85 < low < 39 / 40 < high < 1
    assert judge_accuracy(e, 0.8, 0).verdict == "PASS"
    assert judge_accuracy(e, 0.99, 0).verdict == "INCONCLUSIVE"
    assert value_of(e.with_copy(0, found=False)) == pytest.approx(39 / 41)
    assert value_of(e.with_perfect(39)) == pytest.approx(40 / 41)


def test_pipelines_agree_on_a_text_or_not_and_characters_are_said():
    same = agreement(texts("Exit", "24", ""), texts("Exit", "42", ""))
    assert same.value == pytest.approx(1 / 2)
    assert same.unit == "same text, to the character"
    assert (
        same.said(["a", "b", "c"])
        == "1 of 2 images alike in full; 1 image empty on both sides; 2 of 6 characters differ"
    )
    assert not same.reference_empty
    assert agreement(texts("", ""), texts("", "")).reference_empty
    assert agreement(texts("a", "a"), texts("a", "a")).reference_empty  # the same answer whatever it sees
    assert agreement(texts("a", None), texts("a", "b")).value == 0.5


def test_what_was_read_is_seen_in_words():
    assert seen(texts("Exit\n24", "", None), None) == (
        '2 texts, 1 of them empty, 7.0 characters on average, median score 0.90, the first "Exit\\n24", 1 without a result'
    )
    assert seen(texts("", ""), None) == "2 texts, 2 of them empty"
    assert nothing_found(texts("", "")).code == "nothing-found"
    assert nothing_found(texts("", "a")) is None


def written(folder, name, text, count=2):
    path = folder / name
    path.write_text(text, "utf-8", newline="")
    return load_truth(path, images_of(folder, count))


def test_a_csv_has_each_text_as_it_stands(tmp_path):
    truth = written(tmp_path, "t.csv", 'image,text\r\n0.png," a, b "\r\n1.png,\r\n2.png,c\r\n')
    assert truth.texts == {"0.png": " a, b ", "1.png": ""}
    assert [w.code for w in truth.warnings] == ["unknown-images"]
    check_texts(truth)


def test_a_label_file_has_a_text_a_line(tmp_path):
    truth = written(tmp_path, "rec.txt", "train/0.png\tab c\nsub/1.png\t[1]\u2028x \n")
    assert truth.texts == {"0.png": "ab c", "1.png": "[1]\u2028x "}
    assert truth.regions is None


def test_a_label_file_has_regions_a_line(tmp_path):
    square = [[0, 0], [9, 0], [9, 5], [0, 5]]
    regions = [{"transcription": "x", "points": square}, {"transcription": "###", "points": square}]
    truth = written(tmp_path, "det.txt", f"0.png\t{json.dumps(regions)}\n1.png\t[]\n")
    assert [r.judged for r in truth.regions["0.png"]] == [True, False]
    assert truth.regions["0.png"][0].points.tolist() == square
    assert truth.regions["1.png"] == ()
    with pytest.raises(DataError, match="is judged by texts: a CSV with columns image,text"):
        check_texts(truth)


CROSSED = json.dumps([{"transcription": "x", "points": [[0, 0], [9, 9], [9, 0], [0, 9]]}])


def test_a_crossed_region_of_a_label_file_is_said(tmp_path):
    truth = written(tmp_path, "det.txt", f"0.png\t{CROSSED}\n1.png\t[]\n")
    assert [w.code for w in truth.warnings] == ["crossed-regions"]
    assert not truth.regions["0.png"][0].judged


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("t.csv", "image,text\n0.png,a\n", "no row for 1 of 2 images: 1.png"),
        ("t.csv", "image,text\n0.png,a\n0.png,b\n1.png,c\n", "0.png stands twice, and the two rows differ"),
        ("t.csv", "image,text\n0.png\n1.png,c\n", "0.png has no column text"),
        ("t.txt", "", "got an empty file"),
        ("t.txt", "0.png a\n", "t.txt:1: expected a line an image: its name, a tab"),
        ("t.txt", "0.png\ta\n", "no row for 1 of 2 images: 1.png"),
        (
            "t.txt",
            f"0.png\t{CROSSED}\n1.png\tabc\n",
            "t.txt:2: expected a list of regions, as on other lines, got 'abc'",
        ),
        ("t.txt", '0.png\t[{"points": [[0, 0], [1, 1]]}]\n1.png\t[]\n', "t.txt:1: expected three points"),
        ("t.txt", '0.png\t[{"points": "abc"}]\n1.png\t[]\n', "t.txt:1: expected three points"),
        ("t.txt", "0.png\ta\n0.png\tb\n1.png\tc\n", "0.png stands twice"),
    ],
)
def test_what_is_wrong_with_a_truth_is_said(tmp_path, name, text, said):
    with pytest.raises(DataError) as caught:
        written(tmp_path, name, text)
    assert said in str(caught.value)


def test_a_base_name_that_two_images_have_is_none(tmp_path):
    images = [ImageFile(tmp_path / d / "0.png", f"{d}/0.png") for d in ("a", "b")]
    path = tmp_path / "t.txt"
    path.write_text("a/0.png\tx\nb/0.png\ty\n")
    assert load_truth(path, images).texts == {"a/0.png": "x", "b/0.png": "y"}
    path.write_text("0.png\tx\n")
    with pytest.raises(DataError, match="no row for 2 of 2 images"):
        load_truth(path, images)


@given(st.lists(SHORT, min_size=1, max_size=5))
def test_a_text_agrees_with_itself(strings):
    assert agreement(texts(*strings), texts(*strings)).value == (1 if any(strings) else None)
    assert np.isfinite(agreement(texts(*strings), texts(*strings)).by_image).all()
