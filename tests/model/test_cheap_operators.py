"""No operator of the standard is dropped without a word: each has a formula, is known to be cheap, or is listed."""

import onnx
import pytest
from onnx import TensorProto, helper

from seatrial.model.cheap_operators import CHEAP
from seatrial.model.cost import _FORMULAS, cost_of

SCHEMAS = {(s.domain, s.name): s for s in onnx.defs.get_all_schemas()}
FORMULAS = {("", name) for name in _FORMULAS}
CHEAP_ONES = {(domain, name) for domain, names in CHEAP.items() for name in names if domain != "ai.onnx"}
OTHERS = sorted(SCHEMAS.keys() - CHEAP_ONES - FORMULAS)


def test_no_operator_is_cheap_and_has_a_formula():
    assert not CHEAP_ONES & FORMULAS
    assert CHEAP["ai.onnx"] == CHEAP[""]


@pytest.mark.skipif(int(onnx.__version__.split(".")[1]) < 23, reason="an older ONNX has fewer operators")
def test_every_cheap_operator_exists():
    assert sorted(CHEAP_ONES - SCHEMAS.keys()) == []


@pytest.mark.parametrize(("domain", "name"), OTHERS, ids=[f"{d}.{n}" for d, n in OTHERS])
def test_whatever_is_neither_cheap_nor_has_a_formula_is_listed(tmp_path, domain, name):
    graph = helper.make_graph(
        [helper.make_node(name, ["x", "x", "x"], ["y"], domain=domain)],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, 3, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    opsets = [helper.make_opsetid(d, SCHEMAS["", "Relu"].since_version if not d else 1) for d in {"", domain}]
    onnx.save(helper.make_model(graph, opset_imports=opsets), tmp_path / "m.onnx")
    found = cost_of(tmp_path / "m.onnx", {"x": (1, 2, 3, 4)})
    assert [(u.operator, u.count, u.why) for u in found.uncounted] == [(name, 1, "no formula here")]
    assert not found.whole


def bodies(schema):
    """The operators that a standard function is made of, where it is one."""
    if schema.has_context_dependent_function:
        inputs = ["x"] * max(1, schema.min_input)
        node = helper.make_node(schema.name, inputs, ["y"] * schema.min_output, domain=schema.domain)
        dtype = helper.make_tensor_type_proto(TensorProto.FLOAT, [1, 4, 4, 4]).SerializeToString()
        body = schema.get_context_dependent_function(node.SerializeToString(), [dtype] * len(inputs))
        return onnx.FunctionProto.FromString(body).node
    return schema.function_body.node if schema.has_function else []


def test_no_function_is_cheap_whose_body_is_not():
    made_of = {key: {n.op_type for n in bodies(SCHEMAS[key])} for key in CHEAP_ONES & SCHEMAS.keys()}
    assert sum(map(bool, made_of.values())) > 10
    # Range counts in a loop.
    assert {key: ops - CHEAP[""] for key, ops in made_of.items() if ops - CHEAP[""]} == {("", "Range"): {"Loop"}}
