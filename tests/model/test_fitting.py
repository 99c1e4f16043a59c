"""Which sizes a graph takes, by its metadata and by inference alone: a neck of five halvings takes multiples of 32."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_models import ULTRALYTICS, neck, saved

from seatrial.errors import ModelError
from seatrial.model.file import inspect_model
from seatrial.model.fitting import example_shape, why_refused
from seatrial.model.image_size import stated_size, stated_stride
from seatrial.model.shapes import fixed_shapes, taken_shapes

NAMED, UNNAMED = ("batch", 3, "height", "width"), (None, 3, None, None)


def images(height, width):
    return {"images": (1, 3, height, width)}


@pytest.mark.parametrize(
    ("metadata", "shape", "given", "said"),
    [
        (ULTRALYTICS, NAMED, (100, 100), ("this model takes multiples of 32; its metadata says 320", (320, 320))),
        (ULTRALYTICS, NAMED, (96, 96), ("", None)),
        ({}, NAMED, (100, 200), ("this model takes multiples of 32", (96, 192))),
        ({}, UNNAMED, (100, 100), ("this model takes multiples of 32", (96, 96))),
        ({}, ("n", "c", "h", "w"), (10, 10), ("this model takes multiples of 32", (32, 32))),
        ({"imgsz": "[320, 640]"}, NAMED, (320, 100), ("this model takes multiples of 32; its metadata says 320 × 640", (320, 640))),
        ({"stride": "48"}, NAMED, (96, 100), ("this model takes multiples of 48", (96, 96))),
        # The model fixes it: no size was chosen.
        (ULTRALYTICS, (1, 3, 320, 320), (100, 100), ("", None)),
    ],
)  # fmt: skip
def test_a_size_that_is_no_multiple_is_told_with_the_one_to_take(tmp_path, metadata, shape, given, said):
    assert why_refused(inspect_model(neck(tmp_path / "m.onnx", metadata, shape)), images(*given)) == said


def dense(path, side):
    """Flattened into a matrix product: one size alone goes in."""

    weights = numpy_helper.from_array(np.zeros((3 * side * side, 2), "float32"), "w")
    nodes = [helper.make_node("Flatten", ["x"], ["flat"]), helper.make_node("MatMul", ["flat", "w"], ["y"])]
    value = helper.make_tensor_value_info
    x, y = value("x", TensorProto.FLOAT, ["n", 3, "h", "w"]), value("y", TensorProto.FLOAT, ["n", 2])
    return saved(path, helper.make_graph(nodes, "g", [x], [y], [weights]), {})


def test_a_model_of_one_size_names_it(tmp_path):
    info = inspect_model(dense(tmp_path / "m.onnx", 28))
    assert why_refused(info, {"x": (1, 3, 32, 32)}) == ("this model takes 28", (28, 28))
    assert example_shape(info, info.inputs[0], 4, {}) == (4, 3, 28, 28)
    with pytest.raises(
        ModelError,
        match=r"x float32\[n, 3, h, w\] has .* not fixed, and no metadata gives a size; give shape x=2x3x28x28$",
    ):
        fixed_shapes(info, 2, {})


def test_an_open_dimension_that_another_input_names_is_taken_from_there(tmp_path):
    value = helper.make_tensor_value_info
    pair = [value("a", TensorProto.FLOAT, ["n", "w"]), value("b", TensorProto.FLOAT, ["n", "w"])]
    graph = helper.make_graph(
        [helper.make_node("Add", ["a", "b"], ["y"])], "g", pair, [value("y", TensorProto.FLOAT, ["n", "w"])]
    )
    info = inspect_model(saved(tmp_path / "m.onnx", graph, {}))
    with pytest.raises(ModelError, match="give shape b=1x5$"):
        fixed_shapes(info, 1, {"a": (1, 5)})
    with pytest.raises(ModelError, match="give shape a=1x16$"):
        fixed_shapes(info, 1, {})


def test_the_size_of_made_up_pictures_is_the_metadatas(tmp_path):
    info = inspect_model(neck(tmp_path / "m.onnx"))
    shapes = fixed_shapes(info, 2, {})
    assert shapes == {"images": (2, 3, 320, 320)}
    assert taken_shapes(info, {}, shapes) == "images 2x3x320x320: the size is from the model's metadata (imgsz)"
    given = {"images": (1, 3, 96, 96)}
    assert fixed_shapes(info, 1, given) == given
    assert taken_shapes(info, given, given) == ""


@pytest.mark.parametrize(
    ("metadata", "size", "stride"),
    [
        ({"imgsz": "320", "stride": "32.0"}, (320, 320), 32),
        ({"imgsz": "(320, 640)", "stride": "1"}, (320, 640), None),
        ({"imgsz": "[0, 1]", "stride": "nan"}, None, None),
        ({"imgsz": "[99999, 1]", "stride": "inf"}, None, None),
        ({"imgsz": "__import__('os')", "stride": "-32"}, None, None),
        ({"imgsz": "[" * 10_000, "stride": "x"}, None, None),
        ({}, None, None),
    ],
)
def test_metadata_that_is_no_size_is_none(tmp_path, metadata, size, stride):
    info = inspect_model(neck(tmp_path / "m.onnx", metadata))
    assert (stated_size(info), stated_stride(info)) == (size, stride)


def test_a_graph_that_cannot_be_asked_says_nothing(tmp_path):
    path = neck(tmp_path / "m.onnx", {})
    model = onnx.load(path)
    model.graph.node[0].domain, model.graph.node[0].op_type = "my.own", "Mystery"
    onnx.save(model, path)
    info = inspect_model(path)
    assert why_refused(info, images(96, 96)) == ("", None)
    assert example_shape(info, info.inputs[0], 1, {}) == (1, 3, 640, 640)
