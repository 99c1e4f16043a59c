"""Which nodes of a file multiply: convolutions, matrix products, and what is made of them, such as an LSTM or an attention.

For: holding a runtime's own account of its products against the file. Not for: what they cost (cost.py), or any runtime.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from seatrial.model.nodes import sort_nodes, subgraphs, why_idle

# Operators of ONNX, of ONNX Runtime (QLinearConv, FusedMatMul) and layers of OpenVINO (Deconvolution, RNNSeq), in any case.
_PRODUCT = re.compile(
    r"conv(?!ert)|gemm|matmul|fullyconnected|lstm|gru|rnn|attention|attn|einsum|qkvprojection|mlp", re.IGNORECASE
)


def is_product(operator: str) -> bool:
    """Fused, quantised or by another layout too; not what only converts."""
    return _PRODUCT.search(operator) is not None


def count_products(path: Path) -> int:
    """Of an ONNX file, those of every body of an If, a Loop and a function at each call. Neither what is worked out once, of
    constants alone, nor what no output needs."""
    import onnx

    model = onnx.load(path, load_external_data=False)
    for holder in (model.graph, *model.functions):
        sort_nodes(holder)
    functions = {(f.domain, f.name): f for f in model.functions}
    graph = model.graph
    outputs = [o.name for o in graph.output]
    return _in_nodes(graph.node, outputs, _held(graph) - {i.name for i in graph.input}, functions)


def _in_nodes(
    nodes: Iterable[Any], outputs: list[str], constants: set[str], functions: Mapping[tuple[str, str], Any]
) -> int:
    ordered = list(nodes)
    found = 0
    for node, idle in zip(ordered, why_idle(ordered, outputs, constants), strict=True):
        if idle:
            continue
        if function := functions.get((node.domain, node.op_type)):
            found += _in_nodes(function.node, list(function.output), set(), functions)
            continue
        bodies = subgraphs(node)
        found += sum(_in_nodes(b.node, [o.name for o in b.output], _held(b), functions) for b in bodies)
        found += not bodies and is_product(node.op_type)
    return found


def _held(graph: Any) -> set[str]:
    return {t.name for t in graph.initializer} | {s.values.name for s in graph.sparse_initializer}
