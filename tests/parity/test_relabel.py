"""One pipeline's class ids read as another's: by names, folded names and index; what can't be said is a problem."""

import numpy as np
import pytest

from seatrial.kernels.results import Classification, Detections, Embedding, SemanticMask
from seatrial.parity.classes import ClassMap
from seatrial.parity.relabel import relabelled, relabelling, through_truth

# Own labels, the other's, classes of the heads; then ids (None: as they are), words of the problem, words of each warning.
TABLE = [
    (["a", "b"], ["a", "b"], 2, 2, None, "", []),
    (["b", "a"], ["a", "b"], 2, 2, [1, 0], "", []),
    (["A ", "b_1"], ["a", "b 1"], 2, 2, [0, 1], "", ["2 classes matched but for capitals"]),
    (["a", "new", "b"], ["a", "b"], 3, 2, [0, 3, 1], "", ["it alone has 1 class, which nothing matches: new"]),
    (["b"], ["a", "b"], 1, 2, [1], "", ["it lacks 1 class, which nothing matches: a"]),
    (["a", "c"], ["a", "d"], 2, 2, [0, 3], "", ["it alone has 1 class, which nothing matches: c", "it lacks 1 class"]),
    (
        ["x", "y"],
        ["a", "b"],
        2,
        2,
        None,
        "no class of the two is called alike: 2 labels: x, y against 2 labels: a, b",
        [],
    ),
    (["crane", "x", "crane"], ["crane", "y", "crane"], 3, 3, [0, 4, 2], "", ["it alone has 1", "it lacks 1"]),
    (["a", "", "b"], ["b", "", "a"], 3, 3, [2, 1, 0], "", []),
    (None, None, 3, 3, None, "", ["neither has labels: class ids are taken to mean the same"]),
    (None, None, None, None, None, "", ["neither has labels"]),
    (None, None, 3, 4, None, "neither has labels, and their heads have 3 and 4 classes", []),
    (["a", "b"], None, 2, 2, None, "", ["one of the two has no labels"]),
    (None, ["a", "b"], 91, None, None, "one of the two has no labels, and their heads have 91 and 2 classes", []),
]


@pytest.mark.parametrize(("own", "other", "n", "m", "ids", "problem", "told"), TABLE, ids=range(len(TABLE)))
def test_ids_follow_the_names(own, other, n, m, ids, problem, told):
    found = relabelling(own, other, n, m)
    assert (None if found.ids is None else found.ids.tolist()) == ids
    assert problem in str(found.problem)
    assert bool(problem) == bool(found.problem)
    assert len(found.warnings) == len(told)
    for line, words in zip(found.warnings, told, strict=True):
        assert words in str(line)


def test_results_are_renumbered_and_nothing_else():
    ids = np.array([1, 0, 5])
    boxes = np.zeros((4, 4), np.float32)
    detections = Detections(boxes, np.ones(4, np.float32), np.array([0, 2, 9, -1]))
    mask = SemanticMask(np.array([[0, 1], [2, 255]], np.uint8))
    best = Classification(np.array([1, 2]), np.ones(2, np.float32))
    other = Embedding(np.ones(3, np.float32))
    moved = relabelled([detections, mask, best, other, None], ids)
    assert [m.class_ids.tolist() for m in moved[:3]] == [[1, 5, 9, -1], [[1, 0], [5, np.iinfo(np.int64).max]], [0, 5]]
    assert moved[1].without_class.tolist() == [[False, False], [False, True]]
    assert moved[3] is other
    assert moved[4] is None
    assert relabelled([detections], None) == [detections]


def test_an_id_beyond_the_others_classes_does_not_wrap_round():
    own, other = [f"own {i}" for i in range(200)], [f"other {i}" for i in range(200)]
    own[0] = other[0]
    found = relabelling(own, other, 200, 200)
    (moved,) = relabelled([SemanticMask(np.arange(200, dtype=np.uint8)[None])], found.ids)
    assert (moved.class_ids[0, 1:] >= 200).all()


def coco_map(*ids, how="plan"):
    return ClassMap(tuple(ids), how=how)


@pytest.mark.parametrize(
    ("own", "other", "ids"),
    [
        (coco_map(3, 2, 1), coco_map(1, 2, 3), [2, 1, 0]),
        (coco_map(1, 2), coco_map(1, 2, how="names"), [0, 1]),
        # What the other does not have, or stands for nothing, matches nothing.
        (coco_map(9, None, 1), coco_map(1, 2), [2, 3, 0]),
        (coco_map(3, 2, 1, how="names"), coco_map(1, 2, 3, how="order"), None),
        (coco_map(), coco_map(1), None),
    ],
)
def test_class_ids_of_the_plan_say_which_class_is_which_between_pipelines_too(own, other, ids):
    found = through_truth(own, other)
    assert (found if ids is None else found.ids.tolist()) == ids
