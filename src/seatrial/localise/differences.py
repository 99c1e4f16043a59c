"""In what two nodes' entries in their files differ: operator, attributes, number of inputs, constants.

For: the words beside a node that data has shown to differ. Not for: finding one, since files may differ where answers do not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.localise.graph import Graph

MOST_TEXT = 40
PRODUCTS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
_PARTS = {(operator, place): name for operator in PRODUCTS for place, name in ((1, "weights"), (2, "bias"))}


def file_difference(a: Graph, i: int, b: Graph, j: int) -> str:
    """'' where they are the same."""
    return "; ".join(_differences(a, i, b, j))


def _differences(a: Graph, i: int, b: Graph, j: int) -> Iterator[str]:
    node, other = a.nodes[i], b.nodes[j]
    if node.op_type != other.op_type:
        # Of another operator the attributes are others too.
        yield f"{node.op_type} in A, {other.op_type} in B"
        return
    own, its = ({x.name: _shown(x) for x in n.attribute} for n in (node, other))
    for name in sorted(own.keys() | its.keys()):
        if own.get(name) != its.get(name):
            yield f"{name} {own.get(name, 'not given')} in A, {its.get(name, 'not given')} in B"
    if len(node.input) != len(other.input):
        yield f"{len(node.input)} inputs in A, {len(other.input)} in B"
    for place, (x, y) in enumerate(zip(node.input, other.input, strict=False)):
        first, second = a.values(a.origin(x)), b.values(b.origin(y))
        if first is None or second is None or first.dtype.kind != second.dtype.kind:
            continue
        what = _PARTS.get((node.op_type, place), f"constant {x}")
        if first.shape != second.shape:
            yield f"{what} {_by(first)} in A, {_by(second)} in B"
        elif said := _unlike(first, second):
            yield f"{what} {said}"


def _shown(attribute: Any) -> str:
    import onnx

    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    text = str(list(value)) if hasattr(value, "__iter__") and not isinstance(value, str) else str(value)
    return text if len(text) <= MOST_TEXT else f"{text[:MOST_TEXT]}…"


def _unlike(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> str:
    if first.dtype.kind not in "fiub" or second.dtype.kind not in "fiub":
        return "" if np.array_equal(first, second) else "not the same"
    with np.errstate(over="ignore", invalid="ignore"):
        x, y = first.astype(np.float64), second.astype(np.float64)
        if np.array_equal(x, y, equal_nan=True):
            return ""
        return f"up to {np.abs(x - y).max():.2g} apart, of {np.abs(x).max():.2g}"


def _by(array: npt.NDArray[Any]) -> str:
    return " x ".join(map(str, array.shape)) or "a single value"


def among(graph: Graph, nodes: tuple[int, ...]) -> tuple[str, ...]:
    """Labels of all but the last, without what computes constants."""
    return tuple(graph.label(i) for i in nodes[:-1] if any(o in graph.moving for o in graph.nodes[i].output))
