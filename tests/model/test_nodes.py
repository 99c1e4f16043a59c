"""An order in which nodes can run, whatever the file's is; and which of them no run needs."""

import random

from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from seatrial.model.nodes import CONSTANT, UNUSED, names_read, sort_nodes, why_idle


def graph(nodes, outputs=()):
    values = [helper.make_tensor_value_info(o, TensorProto.FLOAT, None) for o in outputs]
    return helper.make_graph(nodes, "g", [], values)


def node(output, *inputs, op="Sum", **more):
    return helper.make_node(op, list(inputs), [output], **more)


def names(g):
    return [n.output[0] for n in g.node]


@given(st.lists(st.sets(st.integers(0, 30), max_size=4), max_size=30), st.randoms())
def test_each_node_stands_behind_what_it_reads(reads, rng: random.Random):
    """Node k reads some of the nodes below k, and something from outside; the file has them in any order."""
    nodes = [node(f"v{k}", "x", *(f"v{i}" for i in sorted(r) if i < k)) for k, r in enumerate(reads)]
    shuffled = rng.sample(nodes, len(nodes))
    g = graph(shuffled)
    assert sort_nodes(g) == ""
    assert sorted(names(g)) == sorted(n.output[0] for n in nodes)
    seen = {"x"}
    for n in g.node:
        assert seen.issuperset(n.input)
        seen.update(n.output)
    order = names(g)
    sort_nodes(g)
    assert names(g) == order


def test_what_is_in_order_keeps_it():
    g = graph([node("b", "x"), node("a", "x"), node("c", "a", "b")])
    sort_nodes(g)
    assert names(g) == ["b", "a", "c"]
    g = graph([node("c", "a"), node("b", "x"), node("a", "x")])
    sort_nodes(g)
    assert names(g) == ["b", "a", "c"]


def test_a_branch_reads_from_outside_and_is_sorted_too():
    inner = graph([node("q", "p"), node("p", "outer")], ["q"])
    g = graph([node("y", "yes", op="If", then_branch=inner, else_branch=inner), node("outer", "x")])
    assert names_read(g.node[0]) == {"yes", "outer"}
    assert sort_nodes(g) == ""
    assert names(g) == ["outer", "y"]
    assert names(g.node[1].attribute[0].g) == ["p", "q"]


def test_a_branch_whose_value_is_called_like_its_ifs_is_no_circle():
    inner = graph([node("y", "x")], ["y"])
    g = graph([node("z", "late"), node("y", "yes", op="If", then_branch=inner), node("late", "y")])
    assert sort_nodes(g) == ""
    assert names(g) == ["y", "late", "z"]


def test_a_circle_is_told_and_nothing_is_lost():
    g = graph([node("a", "b"), node("b", "a", name="second"), node("d", "c"), node("c", "x")])
    assert sort_nodes(g) == "2 nodes wait for each other's values, such as Sum"
    assert names(g) == ["c", "d", "a", "b"]


def test_what_no_run_needs():
    branch = graph([node("q", "for_branch")], ["q"])
    nodes = [
        node("k", "w"),
        node("dead", "x"),
        node("deader", "dead", "k"),
        node("noise", op="RandomNormal"),
        node("for_branch", "x"),
        node("chosen", "w", op="If", then_branch=branch),
        node("custom", "w", domain="com.example"),
        node("y", "x", "k", "noise", "chosen", "custom"),
    ]
    whys = why_idle(nodes, ["y"], ["w"])
    assert {n.output[0]: why for n, why in zip(nodes, whys, strict=True) if why} == {
        "k": CONSTANT,
        "dead": UNUSED,
        "deader": UNUSED,
    }
