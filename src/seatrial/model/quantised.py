"""What a file's weights are held in where that is not float32, and whether its arithmetic is of integers.

For: verdicts on a model that may be quantised already. Judged by what is quantised: weights alone are only stored in few
bits, and dequantised before a product of floats; an input alone is only how pictures come.
"""

from __future__ import annotations

import math
import re
from collections import ChainMap, Counter
from collections.abc import Mapping
from typing import Any

from seatrial.model.dtypes import dtype_name, family
from seatrial.model.external_data import all_graphs, all_nodes, all_tensors

# ONNX's own and ONNX Runtime's operators that multiply and add integers.
_OF_INTEGERS = re.compile(
    r"QLinear|Q(Gemm|Attention|Ordered|EmbedLayerNormalization)|ConvInteger|MatMulInteger|DynamicQuantize(MatMul|LSTM)"
)
_DEQUANTISES = re.compile(r"DequantizeLinear|FakeQuant")
_PRODUCTS = ("Conv", "ConvTranspose", "Gemm", "MatMul", "FusedConv", "FusedGemm", "FusedMatMul")
# Between a dequantised tensor and the product that reads it.
_IN_BETWEEN = ("Identity", "Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Cast")
# ONNX Runtime's products whose second input holds packed weights: attributes K and N say how many.
_PACKED = {"MatMulNBits": "bits", "MatMulBnb4": ""}


def arithmetic_of(model: Any) -> str:
    """'int8' where activations and weights are quantised, 'float8' of such a file; '' where the arithmetic is of floats."""
    found: Counter[str] = Counter()
    constants = _constants(model)
    main = {o: node for node in model.graph.node for o in node.output}
    for holder in (*all_graphs(model), *model.functions):
        makers = ChainMap({o: node for node in holder.node for o in node.output}, main)
        for node in holder.node:
            if _OF_INTEGERS.match(node.op_type):
                return "int8"
            if node.op_type in _PRODUCTS and len(node.input) > 1:
                sides = [_quantised_as(name, makers, constants) for name in node.input[:2]]
                found[sides[0]] += all(sides)
    used = [name for name, count in found.most_common() if count]
    return "int8" if "int8" in used else next(iter(used), "")


def weights_of(model: Any) -> str:
    """What more of the weights are held in than in anything else: 'float16', 'bfloat16', 'int8', 'int4'; '' of float32."""
    elements: Counter[str] = Counter()
    for tensor in all_tensors(model):
        name = dtype_name(tensor.data_type)
        if name in ("float32", "float16", "bfloat16"):
            elements[name] += math.prod(tensor.dims)
    constants = _constants(model)
    for node in all_nodes(model):
        if node.op_type == "DequantizeLinear" and node.input and node.input[0] in constants:
            held = constants[node.input[0]]
            elements[family(dtype_name(held.data_type))] += math.prod(held.dims)
    for dtype, count in packed_weights(model).values():
        elements[dtype] += count
    most = max(elements, key=lambda name: (elements[name], name == "float32"), default="float32")
    return "" if most == "float32" else most


def packed_weights(model: Any) -> dict[str, tuple[str, int]]:
    """By a tensor's name, what its bytes hold where they are not its dtype's: 'int4', and how many weights."""
    found = {}
    for node in all_nodes(model):
        if node.op_type in _PACKED and len(node.input) > 1:
            said = {a.name: a.i for a in node.attribute}
            bits = said.get(_PACKED[node.op_type], 4)
            found[node.input[1]] = f"int{bits}", max(0, said.get("K", 0)) * max(0, said.get("N", 0))
    return found


def _constants(model: Any) -> dict[str, Any]:
    """Tensors by the name of the value that they are, in whatever graph."""
    found = {t.name: t for g in all_graphs(model) for t in g.initializer}
    for node in all_nodes(model):
        if node.op_type == "Constant" and node.output:
            found.update((node.output[0], a.t) for a in node.attribute if a.name == "value" and a.HasField("t"))
    return found


def _quantised_as(name: str, makers: Mapping[str, Any], constants: Mapping[str, Any]) -> str:
    """'int8' of a value that comes from a DequantizeLinear of int8 or uint8, or from a FakeQuantize; '' of any other."""
    node = makers.get(name)
    for _ in range(8):
        if node is None or node.op_type not in _IN_BETWEEN or not node.input:
            break
        node = makers.get(node.input[0])
    if node is None or not _DEQUANTISES.search(node.op_type) or not node.input:
        return ""
    if node.op_type != "DequantizeLinear":
        return "int8"
    before = makers.get(node.input[0])
    # The quantised tensor itself, else a zero point, which has its dtype.
    typed = [node.input[0], *node.input[2:3], *(before.input[2:3] if before is not None else ())]
    held = next((constants[n] for n in typed if n in constants), None)
    said = next((a.i for a in before.attribute if a.name == "output_dtype"), 0) if before is not None else 0
    dtype = dtype_name(held.data_type if held is not None else said)
    # Without any of them it is uint8, by the standard.
    return family(dtype) if dtype not in ("undefined", "unknown") else "int8"
