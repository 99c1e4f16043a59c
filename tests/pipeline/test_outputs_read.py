"""One rule for which outputs a decoder reads, and which of a pair holds the boxes."""

import pytest

from seatrial.model.file import TensorInfo
from seatrial.pipeline.outputs_read import is_alike, outputs_read, untold
from seatrial.plan.pipelines import Postprocess

FOUR, SIX, OPEN = (1, 100, 4), (1, 100, 6), (1, 100, "w")


def tensors(**shapes):
    return [TensorInfo(name, shape, "float32") for name, shape in shapes.items()]


def pair(outputs=None, form="rtdetr"):
    return Postprocess(task="detect", format=form, outputs=outputs)


@pytest.mark.parametrize(
    ("outputs", "asked", "read"),
    [
        ({"a": FOUR, "b": SIX}, None, ["a", "b"]),
        ({"a": SIX, "b": FOUR}, None, ["b", "a"]),
        # The decoder takes the one of width 4, whatever a plan says.
        ({"a": SIX, "b": FOUR}, ["a", "b"], ["b", "a"]),
        ({"pred_logits": FOUR, "pred_boxes": FOUR}, None, ["pred_boxes", "pred_logits"]),
        ({"pred_logits": FOUR, "pred_boxes": FOUR}, ["pred_logits", "pred_boxes"], ["pred_logits", "pred_boxes"]),
        ({"a": FOUR, "b": FOUR}, ["b", "a"], ["b", "a"]),
        # A width that the file leaves open may be four too.
        ({"scores": FOUR, "boxes": OPEN}, None, ["boxes", "scores"]),
        ({"scores": OPEN, "boxes": OPEN}, None, ["boxes", "scores"]),
        ({"a": OPEN, "b": FOUR}, None, ["b", "a"]),
        ({"a": OPEN, "b": FOUR}, ["a", "b"], ["a", "b"]),
        ({"a": SIX, "b": OPEN}, None, ["b", "a"]),
        ({"a": SIX, "b": OPEN}, ["a", "b"], ["b", "a"]),
        ({"a": OPEN, "b": OPEN}, None, ["a", "b"]),
        ({"mask": (1, 8, 9, 9), "a": SIX, "b": FOUR}, None, ["b", "a"]),
        ({"mask": FOUR, "a": SIX, "b": FOUR}, ["a", "b"], ["b", "a"]),
    ],
)
def test_of_a_pair_the_boxes_come_first(outputs, asked, read):
    assert outputs_read(pair(asked), tensors(**outputs)) == read
    assert not is_alike(pair(asked), tensors(**outputs))


def test_nothing_tells_two_of_four_columns_apart():
    assert is_alike(pair(), tensors(a=FOUR, b=FOUR))
    assert not is_alike(pair(form="yolov8"), tensors(a=FOUR, b=FOUR))
    # By a file that leaves widths open only a run can tell whether both are four wide.
    assert not is_alike(pair(), tensors(a=OPEN, b=FOUR))
    assert untold(pair(), tensors(a=OPEN, b=FOUR))
    assert not untold(pair(["a", "b"]), tensors(a=OPEN, b=FOUR))
    assert not untold(pair(), tensors(boxes=OPEN, b=FOUR))


def typed(**kinds):
    """name: (shape, dtype)."""
    return [TensorInfo(name, shape, dtype) for name, (shape, dtype) in kinds.items()]


LIST, BOXES, ONE = (1, 100), (1, 100, 4), (1, 1)


@pytest.mark.parametrize(
    ("outputs", "read"),
    [
        (typed(num_dets=(ONE, "int32"), det_boxes=(BOXES, "f"), det_scores=(LIST, "f"), det_classes=(LIST, "int32")),
         ["det_boxes", "det_scores", "det_classes", "num_dets"]),
        (typed(labels=(LIST, "int64"), boxes=(BOXES, "f"), scores=(LIST, "f")), ["boxes", "scores", "labels"]),
        # torchvision's have numbers for names: types tell.
        (typed(a=(("n", 4), "float32"), b=(("n",), "int64"), c=(("n",), "float32")), ["a", "c", "b"]),
        (typed(box_classes=(LIST, "float32"), x=(BOXES, "float32"), y=(LIST, "float32")), ["x", "y", "box_classes"]),
        (typed(a=(LIST, "float32"), b=(LIST, "int64")), ["a", "b"]),
    ],
)  # fmt: skip
def test_boxes_scores_and_classes_are_told_by_names_and_types(outputs, read):
    post = Postprocess(task="detect", format="nms_tensors")
    assert outputs_read(post, outputs) == read
    assert not is_alike(post, outputs)
    named = Postprocess(task="detect", format="nms_tensors", outputs=[o.name for o in outputs])
    assert outputs_read(named, outputs) == [o.name for o in outputs], "the plan's order is the decoder's"


def test_nothing_tells_scores_from_class_numbers():
    alike = typed(a=(BOXES, "float32"), b=(LIST, "float32"), c=(LIST, "float32"))
    assert is_alike(Postprocess(task="detect", format="nms_tensors"), alike)
    assert not is_alike(Postprocess(task="detect", format="nms_tensors", outputs=["a", "b", "c"]), alike)


def levels(order):
    sizes = {"s": 4, "d": 32}
    cells = (1600, 400, 100, 25)
    return [TensorInfo(f"{k}{i}", (1, cells[i], sizes[k]), "float32") for k, i in order]


@pytest.mark.parametrize("order", [
    [(k, i) for k in "sd" for i in range(4)], [(k, i) for i in range(4) for k in "sd"], [(k, i) for k in "sd" for i in (2, 0, 3, 1)],
])  # fmt: skip
def test_levels_are_scores_first_and_the_most_cells_first(order):
    found = outputs_read(Postprocess(task="detect", format="picodet"), levels(order))
    assert found == ["s0", "s1", "s2", "s3", "d0", "d1", "d2", "d3"]


def test_other_formats_and_tasks_read_in_the_plans_order():
    both = tensors(a=(1, 84, 8400), b=FOUR)
    assert outputs_read(Postprocess(task="detect", format="yolov8"), both) == ["a", "b"]
    assert outputs_read(Postprocess(outputs=["b", "a", "not there"]), both) == ["b", "a"]
