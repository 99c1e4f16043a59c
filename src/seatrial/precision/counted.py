"""How many products of a file with Q/DQ pairs read quantised numbers: counted in what was made, not in what was asked for.

For: int8 and fp8. Not for: which type a runtime computes in then (Measurement.computed_in).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seatrial.precision.conversion import Conversion, Kept
from seatrial.precision.quantise import PRODUCTS
from seatrial.precision.recipe import Recipe


def counted(made: Any, proto: Any, precision: str, recipe: Recipe, left: Mapping[str, str]) -> Conversion:
    """proto: what `made` was made of. left: why products were left by their maker, by name."""
    back = {o for n in made.graph.node if n.op_type == "DequantizeLinear" for o in n.output}
    quantised = {n.name for n in made.graph.node if n.op_type in PRODUCTS and back.issuperset(n.input[:2])}
    floats = _floats(proto)
    kept = []
    for node in proto.graph.node:
        if node.op_type not in PRODUCTS or node.name in quantised:
            continue
        if recipe.keeps(node):
            why = "the recipe says so"
        elif not floats.issuperset(node.input[:2]):
            why = "what it multiplies is not float32"
        else:
            why = left.get(node.name, "the quantizer left it as it is")
        kept.append(Kept(node.name, node.op_type, why))
    return Conversion(precision, len(quantised), tuple(kept))


def _floats(proto: Any) -> set[str]:
    import onnx

    graph = proto.graph
    found = {t.name for t in graph.initializer if t.data_type == onnx.TensorProto.FLOAT}
    values = (*graph.input, *graph.output, *graph.value_info)
    return found | {v.name for v in values if v.type.tensor_type.elem_type == onnx.TensorProto.FLOAT}
