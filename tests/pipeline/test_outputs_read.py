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


def test_other_formats_and_tasks_read_in_the_plans_order():
    both = tensors(a=(1, 84, 8400), b=FOUR)
    assert outputs_read(Postprocess(task="detect", format="yolov8"), both) == ["a", "b"]
    assert outputs_read(Postprocess(outputs=["b", "a", "not there"]), both) == ["b", "a"]
