"""What is converted answers as the file does: old operators keep their meaning, and whatever loses it is refused."""

import numpy as np
import onnx
import pytest
from float_graphs import model_of
from onnx import TensorProto, helper

from seatrial.errors import ModelError
from seatrial.model.file import inspect_model
from seatrial.precision import older_operators, prepare
from seatrial.precision.closeness import by_onnx_runtime, sqnr_db
from seatrial.precision.prepare import prepared
from seatrial.precision.same import check_same, decided_by

RNG = np.random.default_rng(0)
X = {"x": RNG.normal(size=(1, 4, 9, 9)).astype(np.float32)}


def saved(nodes, constants, opset, path, outputs=None):
    proto = model_of(nodes, {"x": (1, 4, 9, 9)}, outputs or {"y": None}, constants, opset=opset, ir=6)
    onnx.save(proto, str(path))
    return inspect_model(path)


def scales(*values):
    return {"s": np.array([1, 1, *values], np.float32)}


@pytest.mark.parametrize(
    ("opset", "nodes", "constants"),
    [
        (9, [helper.make_node("Upsample", ["x", "s"], ["y"], mode="linear")], scales(2, 2)),
        (9, [helper.make_node("Upsample", ["x", "s"], ["y"], mode="nearest")], scales(2.5, 2.5)),
        (7, [helper.make_node("Upsample", ["x"], ["y"], mode="linear", scales=[1.0, 1.0, 2.0, 2.0])], {}),
        (10, [helper.make_node("Resize", ["x", "s"], ["y"], mode="linear")], scales(2, 2)),
        (10, [helper.make_node("Resize", ["x", "s"], ["y"], mode="nearest")], scales(1.7, 1.7)),
        (10, [helper.make_node("Resize", ["x", "s"], ["y"], mode="nearest")], scales(0.6, 0.6)),
        (11, [helper.make_node("Hardmax", ["x"], ["y"])], {}),
        (11, [helper.make_node("Hardmax", ["x"], ["y"], axis=2)], {}),
    ],
    ids=["linear 9", "nearest 9", "linear 7", "linear 10", "fraction 10", "smaller 10", "hardmax", "hardmax 2"],
)
@pytest.mark.parametrize("least_opset", [19, 22])
def test_an_older_operator_means_what_it_did(tmp_path, opset, nodes, constants, least_opset):
    info = saved(nodes, constants, opset, tmp_path / "m.onnx")
    made = by_onnx_runtime(prepared(info, least_opset).SerializeToString(), X)["y"]
    own = by_onnx_runtime(str(info.path), X)["y"]
    assert own.shape == made.shape
    assert sqnr_db(own, made) > 100


def detector(path, decide="TopK"):
    """A linear Resize of opset 10, whose scores then go into a node that decides by a bit."""
    nodes = [
        helper.make_node("Resize", ["x", "s"], ["big"], mode="linear"), helper.make_node("Reshape", ["big", "row"], ["scores"]),
        helper.make_node("TopK", ["scores", "k"], ["y", "place"]),
    ]  # fmt: skip
    return saved(nodes, scales(2, 2) | {"row": np.array([-1]), "k": np.array([5])}, 10, path)


def test_behind_a_node_that_decides_by_a_bit_what_goes_into_it_is_compared(tmp_path, monkeypatch):
    info = detector(tmp_path / "m.onnx")
    check_same(info, prepared(info), X)
    monkeypatch.setattr(prepare, "restore_older", lambda _proto, _older: None)
    with pytest.raises(
        ModelError, match="brought to a newer opset it gives another scores, [0-9]+ dB above the difference"
    ):
        check_same(info, prepared(info), X)


def test_what_a_node_decides_is_compared_where_it_was_given_the_same(tmp_path):
    info = detector(tmp_path / "m.onnx")
    proto = prepared(info)
    top = next(n for n in proto.graph.node if n.op_type == "TopK")
    top.attribute.append(helper.make_attribute("largest", 0))
    with pytest.raises(ModelError, match="it gives another y"):
        check_same(info, proto, X)


def test_decided_values_are_those_behind_and_within_graphs():
    branch = [
        helper.make_graph([helper.make_node("NonZero", ["x"], [n])], n, [], [helper.make_tensor_value_info(n, 7, None)])
        for n in ("a", "b")
    ]
    nodes = [
        helper.make_node("Relu", ["x"], ["before"]), helper.make_node("TopK", ["before", "k"], ["top", "at"]),
        helper.make_node("Neg", ["top"], ["behind"]), helper.make_node("Relu", ["before"], ["beside"]),
        helper.make_node("If", ["yes"], ["found"], then_branch=branch[0], else_branch=branch[1]),
    ]  # fmt: skip
    proto = model_of(nodes, {"x": (4,)}, {"behind": None}, {"k": np.array([2]), "yes": np.array(True)})
    assert decided_by(proto) == {"top": "TopK", "at": "TopK", "behind": "TopK", "found": "NonZero"}


def test_a_few_whole_numbers_may_fall_to_the_other_side_and_many_may_not(tmp_path):
    nodes = [helper.make_node("Relu", ["x"], ["r"]), helper.make_node("Greater", ["r", "half"], ["mask"]),
             helper.make_node("Cast", ["mask"], ["y"], to=TensorProto.FLOAT)]  # fmt: skip
    info = saved(nodes, {"half": np.array(0.5, np.float32)}, 17, tmp_path / "m.onnx")
    proto = prepared(info)
    next(t for t in proto.graph.initializer if t.name == "half").CopyFrom(
        onnx.numpy_helper.from_array(np.array(0.9, np.float32), "half")
    )
    with pytest.raises(ModelError, match="it gives another y"):
        check_same(info, proto, X)


def test_answers_that_are_nan_throughout_are_refused(tmp_path):
    nodes = [helper.make_node("Neg", ["x"], ["n"]), helper.make_node("Mul", ["n", "x"], ["m"]),
             helper.make_node("Sqrt", ["m"], ["y"])]  # fmt: skip
    info = saved(nodes, {}, 17, tmp_path / "m.onnx")
    with pytest.raises(ModelError, match=r"its own answers to the first picture are NaN throughout \(y\)"):
        check_same(info, prepared(info), X)


def test_notes_are_of_old_opsets_alone():
    proto = model_of(
        [helper.make_node("Resize", ["x", "", "s"], ["y"])], {"x": (1, 1, 2, 2)}, {"y": None}, scales(2, 2)
    )
    assert older_operators.note_older(proto, 10).resized == {"y"}
    assert older_operators.note_older(proto, 11).resized == frozenset()
