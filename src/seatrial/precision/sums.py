"""What a node adds up on its way, which neither its inputs nor its outputs show: squares of a norm, the sum behind a mean.

For: half.py, since float16 ends at 65,504. Not for: products, whose sums hardware keeps in float32 (docs/precision.md).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

# Squares of what float16 holds well are above its range, or below it: never in 16 bits.
SQUARE = ("ReduceL2", "ReduceSumSquare", "LpNormalization", "GlobalLpPool", "LpPool", "ReduceLogSumExp", "ReduceProd")
_ADD = ("ReduceMean", "ReduceSum", "ReduceL1", "ReduceLogSum")
# Means and variances over all behind batch and channel, and over all from an axis on.
_BEHIND_CHANNELS = ("GlobalAveragePool", "InstanceNormalization", "MeanVarianceNormalization", "GroupNormalization")
_FROM_AXIS = ("LayerNormalization", "RMSNormalization")


def sum_of(node: Any) -> str:
    """Under which name a node's inner sum stands among what was seen."""
    return f"{node.output[0]} (summed)" if node.output else ""


def sum_node(node: Any, rank: int | None, name: str) -> Any:
    """A node that gives that sum, under `name`; None where the operator adds nothing up, or the rank is not known."""
    from onnx import helper

    if node.domain not in ("", "ai.onnx"):
        return None
    if node.op_type in _ADD:
        own = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        return helper.make_node("ReduceL1", list(node.input), [name], **own)
    if not rank:
        return None
    if node.op_type in _BEHIND_CHANNELS:
        operator = "ReduceL1" if node.op_type == "GlobalAveragePool" else "ReduceSumSquare"
        first = 1 if node.op_type == "GroupNormalization" else 2
        return _over(operator, node, range(first, rank), name)
    if node.op_type in _FROM_AXIS:
        axis = next((a.i for a in node.attribute if a.name == "axis"), -1)
        return _over("ReduceSumSquare", node, range(axis % rank, rank), name)
    if node.op_type == "LRN":
        return _over("ReduceSumSquare", node, (1,), name)
    return None


def window(node: Any) -> int:
    """How many values an AveragePool adds up for one."""
    return math.prod(next((list(a.ints) for a in node.attribute if a.name == "kernel_shape"), []))


def axes_of(nodes: Sequence[Any]) -> Mapping[str, tuple[int, ...]]:
    """Constants that `sum_node` reads: one for each set of axes."""
    sets = [n.input[1] for n in nodes if len(n.input) > 1 and n.input[1].startswith(_AXES)]
    return {name: tuple(map(int, name.removeprefix(_AXES).split(","))) for name in sets}


_AXES = "__axes "


def _over(operator: str, node: Any, axes: Sequence[int], name: str) -> Any:
    from onnx import helper

    if not axes:
        return None
    return helper.make_node(operator, [node.input[0], _AXES + ",".join(map(str, axes))], [name])
