"""Models measured on values that nobody gave: what zeros as integers may break, and what cannot be made up."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from seatrial.backends import OpenOptions, open_backend
from seatrial.errors import CellError, ModelError
from seatrial.model.file import inspect_model
from seatrial.model.made_up import first_run, made_up
from seatrial.model.shapes import check_inputs

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def save(folder, nodes, inputs, output):
    path = folder / "m.onnx"
    graph = helper.make_graph(nodes, "g", inputs, [output])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def tensor(name, kind, shape):
    return helper.make_tensor_value_info(name, kind, shape)


CASES = {
    "a count of zero": (helper.make_node("TopK", ["d", "k"], ["y", "i"]), [1], ["a", "b"], r"all outputs are empty; the values of 'k'"),
    "a shape of zeros": (helper.make_node("Expand", ["d", "k"], ["y"]), [2], ["a", "b"], r"all outputs are empty|failed in a run"),
    "a shape that does not fit": (helper.make_node("Reshape", ["d", "k"], ["y"], allowzero=1), [2], ["a", "b"],
                                  r"failed in a run: .*; the values of 'k' were made up as zeros.*PLAN:PIPELINE allow_code"),
    "an index": (helper.make_node("Gather", ["d", "k"], ["y"]), [2], [2, 3], ""),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_zeros_made_up_for_integers_are_named_where_they_break_the_run(tmp_path, name):
    node, shape, out, said = CASES[name]
    path = save(tmp_path, [node], [tensor("d", FLOAT, [1, 3]), tensor("k", INT64, shape)], tensor("y", FLOAT, out))
    with open_backend("onnxruntime-cpu", path, OpenOptions()) as backend:
        feeds = {s.name: made_up(s.shape, s.dtype, 0) for s in backend.inputs()}
        if not said:
            first_run(backend, feeds)
            return
        with pytest.raises(CellError, match=said):
            first_run(backend, feeds)


def test_a_run_that_breaks_on_numbers_alone_is_not_blamed_on_zeros(tmp_path):
    node = helper.make_node("Reshape", ["d", "k"], ["y"])
    shape = helper.make_node("Constant", [], ["k"], value_ints=[7, 7])
    path = save(tmp_path, [shape, node], [tensor("d", FLOAT, ["n", 3])], tensor("y", FLOAT, ["a", "b"]))
    with open_backend("onnxruntime-cpu", path, OpenOptions()) as backend, pytest.raises(CellError) as e:
        first_run(backend, {"d": np.zeros((1, 3), np.float32)})
    assert "made up" not in str(e.value)


@pytest.mark.parametrize(
    ("given", "taken", "said"),
    [
        (tensor("d", TensorProto.STRING, [1]), None, "takes strings, and only numbers can be made up"),
        (tensor("d", TensorProto.BFLOAT16, [1, 3]), None, "input d bfloat16.*NumPy does not have"),
        (tensor("d", FLOAT, [1, 3]), tensor("y", TensorProto.BFLOAT16, [1, 3]), "output y bfloat16.*NumPy does not have"),
        (tensor("d", FLOAT, [1, 3]), helper.make_tensor_sequence_value_info("y", FLOAT, None), "'y' holds a value of type sequence"),
    ],
)  # fmt: skip
def test_what_cannot_be_made_up_or_read_is_told_before_a_process_starts(tmp_path, given, taken, said):
    path = save(tmp_path, [helper.make_node("Identity", ["d"], ["y"])], [given], taken or tensor("y", FLOAT, [1, 3]))
    with pytest.raises(ModelError, match=said):
        check_inputs(inspect_model(path))
