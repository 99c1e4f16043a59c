"""The model's class of each text of a CSV: by the plan, by index, by name; and what is refused, in words."""

from pathlib import Path

import pytest

from seatrial.errors import DataError
from seatrial.parity.csv_classes import map_texts
from seatrial.parity.truth import Truth

LABELS = ["cat", "Great Dane", "tench"]


def mapped(texts, labels=LABELS, class_ids=None, head=None):
    classes = {f"{k}.png": text for k, text in enumerate(texts)}
    return map_texts(Truth(Path("t.csv"), classes=classes), labels, class_ids, head)


@pytest.mark.parametrize(
    ("texts", "more", "index", "how"),
    [
        (["tench", "cat", "cat"], {}, {"tench": 2, "cat": 0}, "names"),
        (["great_dane", "cat"], {}, {"great_dane": 1, "cat": 0}, "names, folded"),
        (["GREAT-DANE", "Cat"], {}, {"GREAT-DANE": 1, "Cat": 0}, "names, folded"),
        (["2", "0"], {}, {"2": 2, "0": 0}, "index"),
        (["2", "0"], {"labels": None}, {"2": 2, "0": 0}, "index"),
        (["999"], {"labels": None, "head": 1000}, {"999": 999}, "index"),
        # Labels that are numbers are names.
        (["7", "3"], {"labels": ["3", "7"]}, {"7": 1, "3": 0}, "names"),
        (["wolf"], {"class_ids": {"cat": "wolf"}}, {"wolf": 0}, "plan"),
        (["wolf", "tench"], {"class_ids": {"cat": "wolf"}}, {"wolf": 0, "tench": 2}, "plan"),
        (["5", "9"], {"class_ids": {"0": 5, "1": 9}, "labels": None}, {"5": 0, "9": 1}, "plan"),
        # The plan's word is stronger than a name's.
        (["cat"], {"class_ids": {"tench": "cat"}}, {"cat": 2}, "plan"),
        (["cat"], {"class_ids": {"tench": None}}, {"cat": 0}, "plan"),
        (["cat"], {"class_ids": {}}, {"cat": 0}, "plan"),
        ([], {}, {}, "names"),
    ],
)
def test_classes(texts, more, index, how):
    if not texts:
        how = "plan"  # of no class there is nothing to find out
    found, said, warnings = mapped(texts, **more)
    assert (found, said) == (index, how)
    assert list(found) == list(dict.fromkeys(texts)), "in the file's order"
    assert bool(warnings) == ("folded" in how)


def test_what_only_folding_makes_alike_is_said():
    *_, (warning,) = mapped(["great dane", "cat"])
    assert warning.code == "folded-names"
    assert str(warning) == (
        "1 class matched but for capitals, spaces, '_' or '-': 'Great Dane' = 'great dane' (label = name in the truth)"
    )


@pytest.mark.parametrize(
    ("texts", "more", "said"),
    [
        (["cat"], {"class_ids": "coco"}, "class_ids is coco, which reads category ids, and a CSV has none"),
        (["cat"], {"class_ids": {"cat": "x", "tench": "x"}}, "gives the text 'x' to two classes"),
        (["cat"], {"class_ids": {"dog": "x"}}, "names class 'dog', but the model has 3 labels"),
        (["cat"], {"class_ids": {"3": "x"}}, "names class '3', but the model has 3 classes, counted from 0"),
        (["cat"], {"class_ids": {"x": "y"}, "labels": ["x", "x"]}, "which 2 labels are called"),
        (["3", "1"], {}, "class '3' is beyond the model's 3 classes (0 to 2); do they count from 1? they count from 0"),
        (["3", "0"], {}, "class '3' is beyond the model's 3 classes (0 to 2); correct the file"),
        (["9", "1"], {}, "class '9' is beyond the model's 3 classes (0 to 2); correct the file"),
        (["9", "1"], {"labels": None, "head": 4}, "or say with postprocess.class_ids which class it means; names such as these need postprocess.labels"),
        (["1", "1.0"], {}, "got '1.0'; write '1' for '1.0'"),
        (["1.5"], {}, "got '1.5'; write 'a label' for '1.5'"),
        (["-1"], {}, "expected classes as labels or as whole numbers counted from 0, got '-1'; write 'a label' for '-1'"),
        (["07"], {"head": 10}, "got '07'; write '7' for '07'"),
        (["2"], {"labels": ["10", "11", "12"]}, "may be an index, but the labels are numbers too"),
        (["cat"], {"labels": None}, "classes are given by name ('cat'), but the model has no labels"),
        (["cat"], {"labels": []}, "but the model has no labels"),
        (["cta"], {}, "0.png is of class 'cta', which is no label (did you mean 'cat'?); 1 of the file's 1 classes are none"),
        (["cat", "2"], {}, "1.png is of class '2', which is no label: a file has labels or indices, not both"),
        (["a_b"], {"labels": ["a b", "a-b"]}, "stand(s) for several labels"),
        ([""], {}, "0.png is of class '', which is no label"),
        (["cat"], {"labels": ["cat", "cat"]}, "cat stand(s) for several labels"),
    ],
)  # fmt: skip
def test_refused(texts, more, said):
    with pytest.raises(DataError) as caught:
        mapped(texts, **more)
    assert said in str(caught.value)
    assert str(caught.value).startswith("t.csv: ")
