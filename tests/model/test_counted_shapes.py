"""At which shapes a cost is counted: fixed, given, or from the metadata; else the message names the option."""

from pathlib import Path

import pytest

from seatrial.errors import ModelError, UsageError
from seatrial.model.counted_shapes import counted_shapes
from seatrial.model.file import ModelInfo, TensorInfo
from seatrial.model.image_size import stated_size, unread_size


def info(*inputs, **metadata):
    tensors = tuple(TensorInfo(name, shape, "float32") for name, shape in inputs)
    return ModelInfo(Path("m.onnx"), tensors, (), metadata, 17, 0, "")


@pytest.mark.parametrize(
    ("imgsz", "size"),
    [
        ("[320, 416]", (320, 416)), ("640", (640, 640)), ("(8, 9)", (8, 9)),
        ("", None), ("[0, 5]", None), ("-1", None), ("[640]", (640, 640)), ("[3, 320, 320]", None), ("True", None), ("[320.5, 320]", None), ("99999", None), ("1e400", None), ("__import__('os')", None),
        ("[" * 9999, None), ("'ab'", None),
    ],
)  # fmt: skip
def test_sizes_in_metadata(imgsz, size):
    found = info(imgsz=imgsz)
    assert stated_size(found) == size
    assert bool(unread_size(found)) == (size is None and imgsz != "")


def test_a_size_that_the_models_own_stride_rules_out_is_none():
    assert stated_size(info(imgsz="[100, 96]", stride="32")) is None
    assert "'[100, 96]' in the metadata is no height and width, in multiples of its stride of 32" in unread_size(
        info(imgsz="[100, 96]", stride="32")
    )


def test_fixed_shapes_need_nothing():
    assert counted_shapes(info(("x", (4, 3, 8, 8))), {}) == {"x": (4, 3, 8, 8)}


def test_an_open_batch_is_one_image():
    assert counted_shapes(info(("x", ("n", 3, 8, 8))), {}) == {"x": (1, 3, 8, 8)}


def test_open_sides_come_from_the_metadata():
    assert counted_shapes(info(("x", ("n", 3, "h", "w")), imgsz="[320, 416]"), {}) == {"x": (1, 3, 320, 416)}
    assert counted_shapes(info(("x", (2, "h", "w", 3)), imgsz="[320, 416]"), {}) == {"x": (2, 320, 416, 3)}


def test_what_is_given_goes_before_the_metadata():
    assert counted_shapes(info(("x", ("n", 3, "h", "w")), imgsz="320"), {"x": (2, 3, 64, 64)}) == {"x": (2, 3, 64, 64)}


def test_fixed_sides_go_before_the_metadata():
    assert counted_shapes(info(("x", (1, 3, 224, "w")), imgsz="320"), {}) == {"x": (1, 3, 224, 320)}


def test_without_either_the_message_names_the_option():
    with pytest.raises(ModelError) as e:
        counted_shapes(info(("x", ("n", 3, "h", "w"))), {})
    assert (
        "dimensions that are not fixed, and no metadata gives a size; give --shape x=1x3x640x640"
        in e.value.for_command_line()
    )


def test_an_input_of_unknown_rank_takes_a_shape_and_asks_for_one():
    unknown = ModelInfo(Path("m.onnx"), (TensorInfo("x", (), "float32", ranked=False),), (), {}, 17, 0, "")
    with pytest.raises(ModelError, match=r"x float32\[unknown rank\] has no shape in the file; give .*x=1x3x640x640"):
        counted_shapes(unknown, {})
    assert counted_shapes(unknown, {"x": (2, 5)}) == {"x": (2, 5)}
    assert counted_shapes(info(("x", ())), {}) == {"x": ()}


@pytest.mark.parametrize("given", [{"y": (1, 3, 8, 8)}, {"x": (1, 4, 8, 8)}, {"x": (1, 3, 8)}])
def test_a_shape_that_does_not_fit_is_a_usage_error(given):
    with pytest.raises(UsageError):
        counted_shapes(info(("x", ("n", 3, "h", "w"))), given)
