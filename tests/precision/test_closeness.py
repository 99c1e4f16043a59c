"""What is said of how near answers come, and what is refused instead."""

import numpy as np
import onnx
import pytest
from float_graphs import model_of
from onnx import helper

from seatrial.errors import ModelError
from seatrial.precision.closeness import closeness

X = {"x": np.linspace(-1, 1, 8, dtype=np.float32).reshape(2, 4)}


def saved(path, nodes, outputs, **constants):
    onnx.save(model_of(nodes, {"x": (2, 4)}, outputs, constants, opset=17), str(path))
    return path


def test_the_worst_of_all_pictures_counts(tmp_path):
    own = saved(tmp_path / "a.onnx", [helper.make_node("Identity", ["x"], ["y"])], {"y": None})
    made = saved(tmp_path / "b.onnx", [helper.make_node("Clip", ["x", "", "k"], ["y"])], {"y": None}, k=np.float32(2))
    found = closeness(own, made, "fp16", [X, {"x": 10 * X["x"]}], {})
    assert (found.run_by, found.unknown) == ("onnxruntime", {})
    assert 0 < found.sqnr_db["y"] < 10


@pytest.mark.parametrize(
    ("nodes", "said"),
    [
        (
            [helper.make_node("Slice", ["x", "k", "n", "k"], ["y"])],
            r"gives y of shape \(1, 4\), and the model itself \(2, 4\)",
        ),
        ([helper.make_node("Identity", ["x"], ["z"])], "has no output y"),
        ([helper.make_node("Log", ["x"], ["y"])], "NaN or infinity in y where the model's own answers are numbers"),
        ([helper.make_node("Reshape", ["x", "n"], ["y"])], "onnxruntime does not run it"),
    ],
)
def test_what_is_no_answer_is_refused(tmp_path, nodes, said):
    own = saved(tmp_path / "a.onnx", [helper.make_node("Identity", ["x"], ["y"])], {"y": None})
    wide = {nodes[0].output[0]: ("a", "b")}
    proto = model_of(nodes, {"x": ("p", "q")}, wide, {"k": np.array([0]), "n": np.array([1])}, opset=17)
    if nodes[0].op_type == "Reshape":
        proto.graph.initializer[1].CopyFrom(onnx.numpy_helper.from_array(np.array([3, 3]), "n"))
        del proto.graph.value_info[:]
    onnx.save(proto, str(tmp_path / "b.onnx"))
    with pytest.raises(ModelError, match=said):
        closeness(own, tmp_path / "b.onnx", "fp16", [X], {})


def test_another_number_of_rows_is_told_where_a_score_decides_it(tmp_path):
    rows = {"row": np.array([True, True])}, {"row": np.array([True, False])}
    own, made = (
        saved(tmp_path / f"{n}.onnx", [helper.make_node("Compress", ["x", "row"], ["y"], axis=0)], {"y": None}, **r)
        for n, r in zip("ab", rows, strict=True)
    )
    found = closeness(own, made, "fp16", [X], {"y": "Compress"})
    assert (found.sqnr_db, found.unknown) == ({}, {"y": "Compress leaves another number of rows"})
    with pytest.raises(ModelError, match="of shape"):
        closeness(own, made, "fp16", [X], {})
