"""BatchNorms into the products before them, and constants to where converters look for them. Own code, and little of it.

For: graphs whose answers stay what they were, but for rounding. A BatchNorm's variance may be far below what float16 holds, and
a product quantised apart from its BatchNorm has scales that nobody runs. Not for: simplifying; of the simplifiers at hand one
drops a reshape behind a Gemm.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.model.external_data import all_graphs
from seatrial.precision.names import fresh_name, names_in

F64 = npt.NDArray[np.float64]
_PRODUCTS = ("Conv", "ConvTranspose", "Gemm")


def constants_as_initialisers(proto: Any) -> None:
    """Of every graph: tensors of Constant nodes, which some exporters write for each number."""
    import onnx
    from onnx import numpy_helper

    kinds = {"value_float": np.float32, "value_floats": np.float32, "value_int": np.int64, "value_ints": np.int64}
    for graph in all_graphs(proto):
        kept = []
        for node in graph.node:
            given = {a.name: a for a in node.attribute}
            if node.op_type != "Constant" or node.domain not in ("", "ai.onnx") or len(given) != 1:
                kept.append(node)
                continue
            ((key, attribute),) = given.items()
            if key == "value":
                tensor = onnx.TensorProto()
                tensor.CopyFrom(attribute.t)
                tensor.name = node.output[0]
                graph.initializer.append(tensor)
            elif key in kinds:
                values = np.array(onnx.helper.get_attribute_value(attribute), kinds[key])
                graph.initializer.append(numpy_helper.from_array(values, node.output[0]))
            else:
                kept.append(node)
        if len(kept) < len(graph.node):
            del graph.node[:]
            graph.node.extend(kept)


def fold_batch_norms(proto: Any) -> int:
    """Into the Conv, ConvTranspose or Gemm before them, where nothing else reads in between; how many were.

    y = scale · (x - mean) / √(variance + epsilon) + bias, in float64, and rounded once.
    """
    from onnx import numpy_helper

    graph = proto.graph
    constants = {t.name: t for t in graph.initializer}
    makers = {o: node for node in graph.node for o in node.output}
    reads = Counter(name for node in graph.node for name in node.input)
    reads.update(o.name for o in graph.output)
    for inner in all_graphs(proto):
        if inner is not graph:
            reads.update(name for node in inner.node for name in node.input)
            reads.update(o.name for o in inner.output)
    folded = []
    taken = names_in(graph)
    for norm in graph.node:
        product = makers.get(norm.input[0]) if norm.op_type == "BatchNormalization" else None
        if product is None or not _is_fixed(norm, constants) or not _takes(product, constants, reads):
            continue
        scale, bias, mean, variance = (numpy_helper.to_array(constants[n]).astype(np.float64) for n in norm.input[1:5])
        epsilon = next((a.f for a in norm.attribute if a.name == "epsilon"), 1e-5)
        factor = scale / np.sqrt(variance + np.float64(epsilon))
        weights = numpy_helper.to_array(constants[product.input[1]])
        before = (
            numpy_helper.to_array(constants[product.input[2]]).astype(np.float64) if len(product.input) > 2 else 0.0
        )
        beta = _number(product, "beta", 1.0) if product.op_type == "Gemm" else 1.0
        own = _scaled(product, weights.astype(np.float64), factor).astype(weights.dtype)
        shift = ((before * beta - mean) * factor + bias).astype(weights.dtype)
        for attribute in product.attribute:
            if attribute.name == "beta":
                attribute.f = 1.0
        # Other products may share the constants: these have names of their own.
        named = [fresh_name(f"{norm.output[0]}_{part}", taken) for part in ("weight", "bias")]
        graph.initializer.extend(numpy_helper.from_array(v, n) for v, n in zip((own, shift), named, strict=True))
        del product.input[1:]
        product.input.extend(named)
        product.output[0] = norm.output[0]
        makers[norm.output[0]] = product
        folded.append(norm)
    for norm in folded:
        graph.node.remove(norm)
    if folded:
        drop_unread(graph, proto)
    return len(folded)


def _is_fixed(norm: Any, constants: dict[str, Any]) -> bool:
    """Made for inference: one output, all four of its tensors constants."""
    training = _number(norm, "training_mode", 0.0)
    return not training and len(norm.output) == 1 and all(n in constants for n in norm.input[1:5])


def _takes(product: Any, constants: dict[str, Any], reads: Counter[str]) -> bool:
    """Constant float weights, and nobody else who reads what it gives."""
    import onnx

    if product.op_type not in _PRODUCTS or product.domain not in ("", "ai.onnx"):
        return False
    weights, bias = product.input[1:2], [n for n in product.input[2:3] if n]
    if len(bias) != len(product.input[2:3]) or any(n not in constants for n in (*weights, *bias)):
        return False
    return (
        reads[product.output[0]] == 1
        and constants[weights[0]].data_type == onnx.TensorProto.FLOAT
        and all(len(constants[n].dims) == 1 for n in bias)
    )


def _scaled(product: Any, weights: F64, factor: F64) -> F64:
    """Each output channel's weights times its factor."""
    if product.op_type == "Gemm":
        return weights * (factor[:, None] if _number(product, "transB", 0.0) else factor)
    if product.op_type == "Conv":
        return weights * factor.reshape(-1, *[1] * (weights.ndim - 1))
    groups = int(_number(product, "group", 1.0))
    by_group = weights.reshape(groups, weights.shape[0] // groups, *weights.shape[1:])
    scaled: F64 = by_group * factor.reshape(groups, 1, -1, *[1] * (weights.ndim - 2))
    return scaled.reshape(weights.shape)


def _number(node: Any, name: str, default: float) -> float:
    return next((float(a.f or a.i) for a in node.attribute if a.name == name), default)


def drop_unread(graph: Any, proto: Any) -> None:
    """Constants that no node of any graph reads."""
    read = {name for g in all_graphs(proto) for node in g.node for name in node.input}
    read |= {o.name for g in all_graphs(proto) for o in g.output}
    kept = [t for t in graph.initializer if t.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)
