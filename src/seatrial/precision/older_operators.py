"""Operators whose meaning onnx's version_converter loses on the way to a current opset: what they meant is written down.

For: prepare.py, before and after the converter. Not for: operators that it converts rightly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from seatrial.model.external_data import all_graphs

# The first opset of Resize with a coordinate mode, and of Hardmax over one axis alone.
COORDINATES_OPSET, ONE_AXIS_OPSET = 11, 13


@dataclass(frozen=True)
class OlderOperators:
    """resized: outputs of Resize and Upsample nodes of before they had a coordinate mode."""

    resized: frozenset[str] = frozenset()


def note_older(proto: Any, opset: int) -> OlderOperators:
    """Before the converter. Rewrites what has to be said in the older words."""
    if opset < ONE_AXIS_OPSET:
        for graph in all_graphs(proto):
            _flatten_hardmax(graph)
    resized = [n.output[0] for g in all_graphs(proto) for n in g.node if n.op_type in ("Resize", "Upsample")]
    return OlderOperators(frozenset(resized) if opset < COORDINATES_OPSET else frozenset())


def restore_older(proto: Any, older: OlderOperators) -> None:
    """After the converter: corners at corners, and the pixel at or before; where all shrinks, the one at or behind.

    The converter leaves Resize's defaults, which lie half a pixel off.
    """
    constants = {t.name: t for g in all_graphs(proto) for t in g.initializer}
    for graph in all_graphs(proto):
        held = constants | {n.output[0]: a.t for n in graph.node for a in n.attribute if a.name == "value"}
        for node in graph.node:
            if node.op_type == "Resize" and node.output[0] in older.resized:
                _as_before(node, held)


def _as_before(node: Any, constants: Mapping[str, Any]) -> None:
    from onnx import helper, numpy_helper

    kept = [a for a in node.attribute if a.name not in ("coordinate_transformation_mode", "nearest_mode")]
    del node.attribute[:]
    node.attribute.extend(kept)
    node.attribute.append(helper.make_attribute("coordinate_transformation_mode", "asymmetric"))
    scales = constants.get(node.input[2]) if len(node.input) > 2 else None
    shrinks = scales is not None and bool((numpy_helper.to_array(scales) <= 1).all())
    # ONNX says nothing of it before opset 11: this is what ONNX Runtime does.
    node.attribute.append(helper.make_attribute("nearest_mode", "ceil" if shrinks else "floor"))


def _flatten_hardmax(graph: Any) -> None:
    """Over all axes from one on, as it was: flattened, and shaped back."""
    from onnx import helper

    from seatrial.precision.names import fresh_name, names_in

    if not any(n.op_type == "Hardmax" for n in graph.node):
        return
    taken, nodes = names_in(graph), []
    for node in graph.node:
        if node.op_type != "Hardmax" or node.domain not in ("", "ai.onnx"):
            nodes.append(node)
            continue
        axis = next((a.i for a in node.attribute if a.name == "axis"), 1)
        source, target = node.input[0], node.output[0]
        shape, flat, chosen = (fresh_name(f"{target}_{part}", taken) for part in ("shape", "flat", "chosen"))
        nodes += [
            helper.make_node("Shape", [source], [shape]),
            helper.make_node("Flatten", [source], [flat], axis=axis),
            helper.make_node("Hardmax", [flat], [chosen], name=node.name, axis=1),
            helper.make_node("Reshape", [chosen, shape], [target]),
        ]
    kept = [type(n).FromString(n.SerializeToString()) for n in nodes]
    del graph.node[:]
    graph.node.extend(kept)
