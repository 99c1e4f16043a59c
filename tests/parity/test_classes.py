"""Which class is which: by names, by the plan, by order where counts agree; all else is refused with both lists."""

from pathlib import Path

import pytest

from seatrial.errors import DataError
from seatrial.parity.classes import map_classes
from seatrial.parity.coco_classes import COCO80, coco_numbers
from seatrial.parity.label_images import LabelImages
from seatrial.parity.names import pair_names
from seatrial.parity.truth import Truth

PATH = Path("truth.json")


def coco(categories, marked=None, placeholders=()):
    """COCO truth with categories {id: name}, and one annotation of each in `marked`: all, unless said otherwise."""
    marked = [i for i in categories if i not in placeholders] if marked is None else marked
    data = {
        "images": [{"id": 1, "file_name": "1.png"}],
        "annotations": [{"id": n, "image_id": 1, "category_id": i} for n, i in enumerate(marked, 1)],
        "categories": [{"id": i, "name": name} for i, name in sorted(categories.items())],
    }
    return Truth(PATH, coco=data, placeholders=frozenset(placeholders))


def csv(*texts):
    return Truth(PATH, classes={f"{n}.png": text for n, text in enumerate(texts)})


TWO = {3: "buoy", 7: "tug"}
GAPS = {i: f"c{i}" for i in COCO80}
NO = None

# Categories, labels, class_ids of the plan, classes of the head; then ids and how they are known.
MAPPED = [
    # names, in whatever order
    (TWO, ["buoy", "tug"], None, 2, [3, 7], "names"),
    (TWO, ["tug", "buoy"], None, 2, [7, 3], "names"),
    (TWO, ["tug", "whale", "buoy"], None, 3, [7, NO, 3], "names"),
    (TWO, ["tug", "", "buoy"], None, None, [7, NO, 3], "names"),
    (TWO, ["background", "buoy", "tug"], None, 3, [NO, 3, 7], "names"),
    # names folded
    (TWO, ["Buoy", " TUG "], None, 2, [3, 7], "names, folded"),
    ({1: "traffic light", 2: "stop sign"}, ["traffic_light", "Stop-Sign"], None, 2, [1, 2], "names, folded"),
    ({1: "diningtable", 2: "tug"}, ["dining table", "tug"], None, 2, [1, 2], "names, folded"),
    ({1: "Straße"}, ["STRASSE"], None, 1, [1], "names, folded"),
    # an exact name goes before one that only folds alike
    ({1: "cat", 2: "dog"}, ["Cat", "cat", "dog"], None, 3, [NO, 1, 2], "names"),
    # one name twice, where the other side does not have it
    ({1: "cat", 2: "dog"}, ["crane", "crane", "cat", "dog"], None, 4, [NO, NO, 1, 2], "names"),
    # schemes
    (TWO, None, "order", 2, [3, 7], "order"),
    (TWO, None, "order", None, [3, 7], "order"),
    (TWO, ["left", "right"], "order", 2, [3, 7], "order"),
    (TWO, None, None, 2, [3, 7], "order"),
    ({5: "only"}, None, None, 1, [5], "order"),
    (GAPS, None, "coco80", 80, list(COCO80), "coco80"),
    (GAPS, None, "coco80", None, list(COCO80), "coco80"),
    (GAPS, None, "coco91", 91, [i if i in COCO80 else NO for i in range(91)], "coco91"),
    (GAPS, None, "coco91", 90, [i if i in COCO80 else NO for i in range(1, 91)], "coco91"),
    ({18: "dog", 44: "bottle"}, None, "coco91", 91, [i if i in (18, 44) else NO for i in range(91)], "coco91"),
    ({18: "dog", 44: "bottle"}, None, "coco80", 80, [i if i in (18, 44) else NO for i in COCO80], "coco80"),
    # the plan's pairs, by index or label, to name or id
    (TWO, None, {"0": "tug", "1": 3}, 2, [7, 3], "plan"),
    (TWO, None, {"1": "7", "2": "buoy"}, 3, [NO, 7, 3], "plan"),
    (TWO, None, {"0": "tug", "1": "buoy"}, None, [7, 3], "plan"),
    (TWO, ["towboat", "buoy"], {"towboat": "tug"}, 2, [7, 3], "plan"),
    (TWO, ["tug", "buoy"], {"tug": None}, 2, [NO, 3], "plan"),
    ({3: "buoy", 7: "buoy"}, ["small", "large"], {"small": 3, "large": 7}, 2, [3, 7], "plan"),
    ({1: "7", 7: "x"}, None, {"0": "7"}, 2, [1, NO], "plan"),
]


@pytest.mark.parametrize(("categories", "labels", "class_ids", "head", "ids", "how"), MAPPED, ids=range(len(MAPPED)))
def test_categories_are_mapped(categories, labels, class_ids, head, ids, how):
    found = map_classes(coco(categories), labels, class_ids, head)
    assert (list(found.ids), found.how) == (ids, how)


# As above; then what the refusal says, words in order.
REFUSED = [
    # nothing says it: both lists, both counts, the cure
    (GAPS, None, None, 91, ["no labels and 91 classes", "80 categories: c1 (id 1)", "coco91"]),
    (GAPS, None, None, 80, None),
    ({i: f"c{i}" for i in range(80)}, None, None, 91, ["91 classes", "80 categories"]),
    (TWO, None, None, 3, ["3 classes", "2 categories", "background class"]),
    (TWO, None, None, 1, ["1 class;", "2 categories: buoy (id 3), tug (id 7)", "postprocess.labels"]),
    (TWO, None, None, None, ["leaves open", "2 categories", "class_ids"]),
    (TWO, ["unheard", "of"], None, 2, ["2 labels: unheard, of", "2 categories: buoy (id 3), tug (id 7)", "order"]),
    (TWO, ["a", "b", "c"], None, 3, ["3 labels: a, b, c", "2 categories"]),
    # folding that is not one to one, and names twice
    ({1: "cat", 2: "dog"}, ["Cat", "CAT", "dog"], None, 3, ["Cat, CAT", "several labels or categories", "class_ids"]),
    ({1: "Tug", 2: "TUG"}, ["tug", "x"], None, 2, ["tug", "several"]),
    ({1: "tug", 2: "tug"}, ["tug", "x"], None, 2, ["tug", "several labels or categories", "category id"]),
    ({1: "tug", 2: "x"}, ["tug", "tug"], None, 2, ["tug", "several"]),
    # schemes that do not fit
    (TWO, None, "order", 3, ["class_ids is order", "3 classes", "2 categories"]),
    (TWO, ["a", "b", "c"], "order", None, ["class_ids is order", "3 classes"]),
    (GAPS, None, "coco80", 91, ["coco80", "heads of 80 classes", "91 classes", "coco91"]),
    (GAPS, None, "coco91", 80, ["coco91", "91 classes", "80 classes", "coco80"]),
    ({i: f"c{i}" for i in range(1, 81)}, None, "coco91", 91, ["COCO's numbering has no object class 12, 26", "otherwise"]),
    ({i: f"c{i}" for i in range(80)}, None, "coco80", 80, ["COCO's numbering has no object class 0, 12", "order"]),
    # the plan's pairs name what is not there
    (TWO, None, {"0": "tugg"}, 2, ["names category 'tugg'", "2 categories", "did you mean 'tug'"]),
    (TWO, None, {"0": 4}, 2, ["names category 4", "buoy (id 3)"]),
    (TWO, ["tug", "buoy"], {"tugg": "tug"}, 2, ["names class 'tugg'", "2 labels: tug, buoy", "did you mean 'tug'"]),
    (TWO, None, {"tug": "tug"}, 2, ["names class 'tug'", "no labels"]),
    (TWO, None, {"2": "tug"}, 2, ["names class '2'", "2 classes, counted from 0"]),
    (TWO, None, {"01": "tug"}, 2, ["names class '01'"]),
    (TWO, None, {"0": "tug", "1": 7}, 2, ["category 7", "'0' and to '1'"]),
    (TWO, ["tug", "buoy"], {"tug": 7, "0": 3}, 2, ["class 0 twice", "'tug' and '0'"]),
    (TWO, ["tug", "tug"], {"tug": 7}, 2, ["2 labels are called", "index"]),
    ({3: "buoy", 7: "buoy"}, None, {"0": "buoy"}, 2, ["2 categories are called", "id"]),
]  # fmt: skip


@pytest.mark.parametrize(("categories", "labels", "class_ids", "head", "said"), REFUSED, ids=range(len(REFUSED)))
def test_what_nobody_knows_is_refused_with_both_lists(categories, labels, class_ids, head, said):
    if said is None:  # as many classes as categories: taken in order, and said
        assert "in order of id" in map_classes(coco(categories), labels, class_ids, head).warnings[0].text
        return
    with pytest.raises(DataError) as e:
        map_classes(coco(categories), labels, class_ids, head)
    rest = str(e.value)
    assert rest.startswith(f"{PATH}: ")
    for word in said:
        assert word in rest, rest
        rest = rest[rest.index(word) + len(word) :]


def test_no_category_with_annotations_that_the_model_knows_is_refused():
    with pytest.raises(DataError, match=r"no category that is annotated .*whale \(id 3\).*2 labels: buoy, tug"):
        map_classes(coco({1: "buoy", 2: "tug", 3: "whale"}, marked=[3]), ["buoy", "tug"], None, 2)


# Truth, labels, class_ids, head; then what each warning says, in order. An empty list: nothing is to be said.
TOLD = [
    (coco(TWO), ["buoy", "tug"], None, 2, []),
    (coco(TWO), ["background", "buoy", "tug"], None, 3, []),
    (coco(TWO), None, "order", 2, []),
    (coco(GAPS), None, "coco91", 91, []),
    (coco(GAPS), None, "coco91", 90, []),
    (coco(GAPS), None, "coco80", 80, []),
    (coco(TWO), None, None, 2, ["its 2 classes are taken for the categories in order of id (0 = buoy, 1 = tug)"]),
    (coco(TWO), None, "order", None, ["leaves its number of classes open"]),
    (coco(TWO), ["Buoy", "tug"], None, 2, ["1 class matched but for capitals, spaces, '_' or '-': 'Buoy' = 'buoy'"]),
    (coco(TWO), ["buoy", "tug", "whale", ""], None, 4, ["1 of the model's 4 classes are no category of the truth: whale"]),
    (coco(TWO), ["buoy", "tugboat"], None, 2, [
        "1 of the truth's 2 categories are no class of the model: tug (1 annotation) (did you mean 'tugboat'?)",
        "1 of the model's 2 classes",
    ]),
    (coco(TWO, marked=[3]), ["buoy"], None, 1, ["1 category without annotations here and without a class: tug"]),
    (coco({18: "dog"}), None, "coco91", 91, ["79 of the model's 91 classes are no category"]),
    (coco(TWO), ["tug", "buoy"], "order", 2, ["class_ids goes against 2 names that agree: tug is judged as buoy, buoy is judged"]),
    (coco(TWO), ["tug", "buoy"], {"tug": "tug"}, 2, []),
    # Roboflow's category 0, which groups the others
    (coco({0: "boats", 1: "tug"}, placeholders=[0]), ["tug"], None, 1, ["category boats (id 0) has no annotation"]),
    (coco({0: "tug", 1: "tug"}, placeholders=[0]), ["tug"], None, 1, ["category tug (id 0) has no annotation"]),
    (coco({0: "none", 1: "tug"}, placeholders=[0]), None, "order", 1, ["category none (id 0)"]),
    (coco({0: "none", 1: "tug"}, placeholders=[0]), None, "order", 2, []),
]  # fmt: skip


@pytest.mark.parametrize(("truth", "labels", "class_ids", "head", "said"), TOLD, ids=range(len(TOLD)))
def test_nothing_is_left_out_in_silence(truth, labels, class_ids, head, said):
    told = map_classes(truth, labels, class_ids, head).warnings
    assert len(told) == len(said), told
    for line, words in zip(told, said, strict=True):
        assert words in str(line)


def test_the_background_is_known_by_its_label():
    assert map_classes(coco(TWO), ["Background", "buoy", "tug"], None, 3).background == 0
    assert map_classes(coco(TWO), ["buoy", "tug", "__background__"], None, 3).background == 2
    assert map_classes(coco(TWO), ["buoy", "tug"], None, 2).background is None


# Class texts of a CSV, labels, class_ids, classes of the head; then the index of each text and how it is known.
TEXTS = [
    (["dog", "cat"], ["cat", "dog"], None, 2, {"dog": 1, "cat": 0}, "names"),
    (["Dog", "cat "], ["cat", "dog"], None, 2, {"Dog": 1, "cat ": 0}, "names, folded"),
    (["1", "0"], None, None, 3, {"1": 1, "0": 0}, "index"),
    (["1", "0"], None, None, None, {"1": 1, "0": 0}, "index"),
    (["1", "0"], ["cat", "dog"], None, None, {"1": 1, "0": 0}, "index"),
    (["90", "80"], ["90", "80"], None, 2, {"90": 0, "80": 1}, "names"),
    (["1"], ["crane", "crane"], None, 2, {"1": 1}, "index"),
    (["dog"], None, {"1": "dog"}, 3, {"dog": 1}, "plan"),
    (["dog", "cat"], ["cat", "hound"], {"hound": "dog"}, 2, {"dog": 1, "cat": 0}, "plan"),
    (["5", "6"], None, {"0": 5, "1": 6}, 2, {"5": 0, "6": 1}, "plan"),
]


@pytest.mark.parametrize(("texts", "labels", "class_ids", "head", "index", "how"), TEXTS, ids=range(len(TEXTS)))
def test_class_texts_are_mapped(texts, labels, class_ids, head, index, how):
    found = map_classes(csv(*texts), labels, class_ids, head)
    assert (found.index, found.how) == (index, how)
    assert bool(found.warnings) == (how == "names, folded")


REFUSED_TEXTS = [
    (["dog"], None, None, 3, ["by name ('dog')", "the model has no labels", "nothing says which class is which", "labels"]),
    (["dog", "cow"], ["cat", "dog"], None, 2, ["1.png is of class 'cow', which is no label", "1 of the file's 2", "2 labels"]),
    (["3"], None, None, 3, ["class '3' is beyond the model's 3 classes (0 to 2); do", "count from 1"]),
    (["0", "3"], None, None, 3, ["class '3' is beyond the model's 3 classes (0 to 2); correct"]),
    (["2"], ["cat", "dog"], None, None, ["beyond the model's 2 classes"]),
    (["1.0"], None, None, 3, ["whole numbers counted from 0, got '1.0'", "write '1' for '1.0'"]),
    (["01"], None, None, 3, ["got '01'", "write '1' for '01'"]),
    (["-1"], None, None, 3, ["got '-1'"]),
    (["0.5"], None, None, 3, ["got '0.5'", "a label"]),
    (["dog", "0"], ["cat", "dog"], None, 2, ["1.png is of class '0'", "labels or indices, not both"]),
    (["1"], ["90", "80"], None, 2, ["'1' may be an index, but the labels are numbers too"]),
    (["90", "1"], ["90", "80"], None, 2, ["class '1', which is no label", "not both"]),
    (["crane"], ["crane", "crane"], None, 2, ["crane stand(s) for several labels"]),
    (["dog"], ["cat", "dog"], "order", 2, ["class_ids is order, which reads category ids, and a CSV has none"]),
    (["dog"], None, {"0": "dog", "1": "dog"}, 2, ["the text 'dog' to two classes"]),
    (["dog"], None, {"7": "dog"}, 2, ["names class '7'", "2 classes"]),
]  # fmt: skip


@pytest.mark.parametrize(("texts", "labels", "class_ids", "head", "said"), REFUSED_TEXTS, ids=range(len(REFUSED_TEXTS)))
def test_class_texts_that_say_nothing_are_refused(texts, labels, class_ids, head, said):
    with pytest.raises(DataError) as e:
        map_classes(csv(*texts), labels, class_ids, head)
    assert str(e.value).startswith(f"{PATH}: ")
    for words in said:
        assert words in str(e.value)


def test_pairs_do_not_depend_on_the_side():
    left, right = ["a", "B", "c d", "x", "x", ""], ["C_D", "a", "b", "x", "", "z"]
    forth, back = pair_names(left, right), pair_names(right, left)
    assert forth.by_first == {0: 1, 1: 2, 2: 0}
    assert back.by_first == {v: k for k, v in forth.by_first.items()}
    assert forth.unclear == back.unclear == ("x",)


def test_numbers_of_label_images_are_said_to_be_the_labels_order():
    masks = LabelImages({}, {}, {0: 3, 2: 1, 255: 3})
    truth = Truth(Path("labels"), masks=masks)
    names = ["sky", "sea", "ship"]
    (said,) = map_classes(truth, names, None, 3).warnings
    assert str(said).startswith(
        "the label images' numbers are taken for the labels in their order (0 = sky, 2 = ship): no"
    )
    confirmed = map_classes(truth, names, "order", 3)
    assert (confirmed.ids, confirmed.warnings) == ((0, 1, 2), ())
    assert map_classes(truth, None, None, 3).warnings == ()
    assert map_classes(truth, names, {"sky": 0, "ship": 2}, 3).warnings == ()


@pytest.mark.parametrize(("count", "person"), [(90, 0), (91, 1), (None, 1)])
def test_cocos_numbers_begin_where_the_heads_do(count, person):
    assert coco_numbers("coco91", count).index(1) == person
    assert coco_numbers("coco80", 80).index(90) == 79
