"""Tensors of two graphs paired: by name, through a converter's casts, and by structure."""

import numpy as np
import onnx
import pytest
from float_graphs import model_of
from long_graphs import network
from onnx import helper

from seatrial.localise.graph import graph_of
from seatrial.localise.matching import match
from seatrial.localise.pieces import joined, pieces_of
from seatrial.precision.half import halved
from seatrial.precision.recipe import Recipe


def graph(proto, tmp_path):
    made = onnx.ModelProto()
    made.CopyFrom(proto)
    return graph_of(made, tmp_path)


@pytest.mark.parametrize("recipe", [Recipe(), Recipe(operators=("Softmax", "Conv"))])
@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_a_converted_model_is_matched_through_its_casts(tmp_path, precision, recipe):
    proto = network()
    made = halved(proto, precision, {}, recipe).proto
    assert len(made.graph.node) > len(proto.graph.node)
    found = match(graph(proto, tmp_path), graph(made, tmp_path))
    assert found.pairs == {t: t for t in ("x", *(o for n in proto.graph.node for o in n.output))}
    assert (found.by_structure, found.unmatched_a, found.unmatched_b) == (0, (), ())


def renamed(proto, offset):
    """Names that are A's, of other tensors."""
    made = onnx.ModelProto()
    made.CopyFrom(proto)
    own = [o for n in made.graph.node for o in n.output]
    names = dict(zip(own, own[offset:] + own[:offset], strict=True))
    for n in made.graph.node:
        n.name = ""
        n.input[:] = [names.get(i, i) for i in n.input]
        n.output[:] = [names[o] for o in n.output]
    for output in made.graph.output:
        output.name = names[output.name]
    del made.graph.value_info[:]
    return made, names


@pytest.mark.parametrize("offset", [1, 3, 7])
def test_names_that_stand_for_other_tensors_are_not_trusted(tmp_path, offset):
    proto = network()
    made, names = renamed(proto, offset)
    found = match(graph(proto, tmp_path), graph(made, tmp_path))
    own = {a: b for a, b in found.pairs.items() if a != "x"}
    maps = {"maps", "block11"}
    assert {a: b for a, b in own.items() if a not in maps} == {a: b for a, b in names.items() if a not in maps}


def test_nodes_put_in_between_leave_the_others_matched(tmp_path):
    def chain(*operators):
        nodes, x = [], "x"
        for k, operator in enumerate(operators):
            nodes.append(helper.make_node(operator, [x], [f"{operator}_{k}_{len(operators)}"]))
            x = nodes[-1].output[0]
        return model_of(nodes, {"x": (1, 4)}, {x: (1, 4)})

    one = chain("Relu", "Exp", "Neg", "Abs", "Sqrt", "Sin")
    two = chain("Relu", "Exp", "Tanh", "Neg", "Abs", "Sqrt", "Sin")
    found = match(graph(one, tmp_path), graph(two, tmp_path))
    assert len(found.pairs) == 1 + 6
    assert found.unmatched_a == ()
    assert found.unmatched_b == ("Tanh_2_7",)


def test_a_piece_holds_what_has_no_partner_and_stands_behind_what_has_one(tmp_path):
    nodes = [
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node("Exp", ["a"], ["b"]),
        helper.make_node("Neg", ["b"], ["c"]),
        helper.make_node("Add", ["c", "a"], ["d"]),
        helper.make_node("Mul", ["d", "k"], ["y"]),
    ]
    own = graph(model_of(nodes, {"x": (1, 4)}, {"y": (1, 4)}, {"k": np.float32([2])}), tmp_path)
    pieces = pieces_of(own, {"a", "d", "y"})
    assert [(p.nodes, p.inputs, p.outputs) for p in pieces] == [
        ((0,), ("x",), ("a",)),
        ((1, 2, 3), ("a",), ("d",)),
        ((4,), ("d",), ("y",)),
    ]
    whole = joined(own, pieces)
    assert (whole.nodes, whole.inputs, whole.outputs) == ((0, 1, 2, 3, 4), ("x",), ("y",))
    # What is read behind a stretch is looked at as well.
    assert joined(own, pieces[:2]).outputs == ("d",)
