"""What one run of a model costs, in floating-point operations: two for each multiply-add of convolutions and matrix products.

Counted from shapes alone, by the usual convention: what lies in the padding counts, biases, activations, pooling,
normalisation and element-wise work do not (cheap_operators.py). What cannot be counted is listed, so that a sum is never
taken for the whole; what is no part of a run is left out, and listed too.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seatrial.model.cheap_operators import is_cheap
from seatrial.model.contents import MOST_VALUES, STANDARD_DOMAINS
from seatrial.model.inferred import Inferred, Shape, infer
from seatrial.model.nodes import subgraphs

Sizes = tuple[int, ...]
NO_SHAPES = "shapes are not known"
NO_FORMULA = "no formula here"
BY_DATA = "control flow: what runs depends on the data"
CUSTOM = "custom operator"
UNKNOWN = "not an operator that this onnx knows"


@dataclass(frozen=True)
class Uncounted:
    """Nodes of one kind whose cost is not in the sum, and why. inside: nodes in their subgraphs."""

    operator: str
    count: int
    why: str
    inside: int = 0


@dataclass(frozen=True)
class Cost:
    """flops: two for each multiply-add, of one run at input_shapes. by_operator: the same by operator, the most first.

    counted: nodes that the sum is of. A sum with anything uncounted is a lower bound. problem: why shapes ended early, or ''.
    left_out: nodes that would count or be uncounted, and that no run needs.
    """

    flops: int
    by_operator: dict[str, int]
    counted: int
    uncounted: tuple[Uncounted, ...]
    input_shapes: dict[str, Sizes]
    problem: str = ""
    left_out: tuple[Uncounted, ...] = ()

    @property
    def whole(self) -> bool:
        return not self.uncounted


def cost_of(path: Path, input_shapes: Mapping[str, Sizes]) -> Cost:
    """Of a file that inspect_model has read. input_shapes: of every input, without open dimensions."""
    inferred = infer(path, input_shapes)
    flops: Counter[str] = Counter()
    missing: Counter[tuple[str, str]] = Counter()
    inside: Counter[tuple[str, str]] = Counter()
    left_out: Counter[tuple[str, str]] = Counter()
    counted = 0
    for node, idle in zip(inferred.nodes, inferred.idle, strict=True):
        if is_cheap(node):
            continue
        if idle:
            left_out[node.op_type, idle] += 1
            continue
        formula = _FORMULAS.get(node.op_type) if _is_known(node) else None
        multiply_adds = _counted(formula, node, inferred) if formula else None
        if multiply_adds is not None:
            flops[node.op_type] += 2 * multiply_adds
            counted += 1
            continue
        key = _named(node), NO_SHAPES if formula else _why_uncounted(node)
        missing[key] += 1
        inside[key] += sum(map(_nodes_in, subgraphs(node)))
    return Cost(
        flops=flops.total(),
        by_operator=dict(flops.most_common()),
        counted=counted,
        uncounted=tuple(Uncounted(key[0], number, key[1], inside[key]) for key, number in missing.most_common()),
        input_shapes=dict(input_shapes),
        problem=inferred.problem,
        left_out=tuple(Uncounted(key[0], number, key[1]) for key, number in left_out.most_common()),
    )


def _named(node: Any) -> str:
    return node.op_type if node.domain in STANDARD_DOMAINS else f"{node.domain}.{node.op_type}"


def _why_uncounted(node: Any) -> str:
    import onnx

    if subgraphs(node):
        return BY_DATA
    if node.domain not in STANDARD_DOMAINS:
        return CUSTOM
    return NO_FORMULA if onnx.defs.has(node.op_type, "" if node.domain == "ai.onnx" else node.domain) else UNKNOWN


def _is_known(node: Any) -> bool:
    """ONNX Runtime's own domain has the same operators, fused or quantised further."""
    return node.domain in ("", "ai.onnx") or (node.domain == "com.microsoft" and node.op_type in _OF_MICROSOFT)


def _nodes_in(graph: Any) -> int:
    return len(graph.node) + sum(_nodes_in(g) for node in graph.node for g in subgraphs(node))


def _counted(formula: Formula, node: Any, inferred: Inferred) -> int | None:
    try:
        return formula(node, lambda name: _sizes(inferred.shapes[name]))
    except (KeyError, IndexError, _Open):
        return None


class _Open(Exception):
    """A dimension that is not known."""


def _sizes(shape: Shape) -> Sizes:
    sizes = tuple(d for d in shape if d is not None)
    # Nor is one known that no tensor can have: a hostile file's products would grow without end.
    if len(sizes) != len(shape) or math.prod(sizes) > MOST_VALUES:
        raise _Open
    return sizes


ShapeOf = Callable[[str], Sizes]
Formula = Callable[[Any, ShapeOf], int]


def _convolution(weights: int) -> Formula:
    """Each output value adds up (input channels a group) × (kernel) products: all of the weights' shape but the first."""
    return lambda node, shape: math.prod(shape(node.output[0])) * math.prod(shape(node.input[weights])[1:])


def _transposed(node: Any, shape: ShapeOf) -> int:
    """Each input value is multiplied by (output channels a group) × (kernel) weights."""
    return math.prod(shape(node.input[0])) * math.prod(shape(node.input[1])[1:])


def _matrix_product(a: int) -> Formula:
    """Each output value adds up as many products as A's last axis is long."""

    def formula(node: Any, shape: ShapeOf) -> int:
        rows = shape(node.input[a])
        return math.prod(shape(node.output[0])) * rows[-1]

    return formula


def _gemm(a: int) -> Formula:
    def formula(node: Any, shape: ShapeOf) -> int:
        turned = any(t.name == "transA" and t.i for t in node.attribute)
        inner = shape(node.input[a])[0 if turned else 1]
        return math.prod(shape(node.output[0])) * inner

    return formula


_FORMULAS: dict[str, Formula] = {
    "Conv": _convolution(1),
    "ConvInteger": _convolution(1),
    "QLinearConv": _convolution(3),
    "FusedConv": _convolution(1),
    "ConvTranspose": _transposed,
    "Gemm": _gemm(0),
    "QGemm": _gemm(0),
    "FusedGemm": _gemm(0),
    "MatMul": _matrix_product(0),
    "MatMulInteger": _matrix_product(0),
    "QLinearMatMul": _matrix_product(0),
    "MatMulIntegerToFloat": _matrix_product(0),
    "DynamicQuantizeMatMul": _matrix_product(0),
    "MatMulNBits": _matrix_product(0),
}
_OF_MICROSOFT = (
    "QLinearConv",
    "FusedConv",
    "QGemm",
    "FusedGemm",
    "MatMulIntegerToFloat",
    "DynamicQuantizeMatMul",
    "MatMulNBits",
)
