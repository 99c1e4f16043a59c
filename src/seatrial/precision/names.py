"""Names of our own in a graph, which no other value may have. Not for: names that people read (recipe.py)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from seatrial.model.nodes import subgraphs


def names_in(graph: Any) -> set[str]:
    """Of every value in a graph and in those inside it."""
    found = {v.name for v in (*graph.input, *graph.output, *graph.initializer, *graph.value_info)}
    for node in graph.node:
        found |= {*node.input, *node.output}
        for inner in subgraphs(node):
            found |= names_in(inner)
    return found


def fresh_name(wanted: str, taken: set[str]) -> str:
    """The name, or with as many '_' behind it as it takes; from now on taken."""
    while wanted in taken:
        wanted += "_"
    taken.add(wanted)
    return wanted


def without_clashes(proto: Any, suffixes: Sequence[str]) -> Any:
    """The ModelProto, or a copy in which no inner value is called as another one with a suffix behind it."""
    taken = names_in(proto.graph)
    fixed = {v.name for v in (*proto.graph.input, *proto.graph.output)}
    clashing = {n for n in taken - fixed if any(n.endswith(s) and n.removesuffix(s) in taken for s in suffixes)}
    if not clashing:
        return proto
    made = type(proto)()
    made.CopyFrom(proto)
    # A name with an underscore at its end has none of them.
    _rename(made.graph, {name: fresh_name(f"{name}_", taken) for name in sorted(clashing)})
    return made


def _rename(graph: Any, names: Mapping[str, str]) -> None:
    for value in (*graph.initializer, *graph.value_info, *graph.input, *graph.output):
        value.name = names.get(value.name, value.name)
    for node in graph.node:
        for side in (node.input, node.output):
            side[:] = [names.get(n, n) for n in side]
        for inner in subgraphs(node):
            _rename(inner, names)


def untyped_in(graph: Any) -> set[str]:
    """Values that nodes of the graph itself read or give, whose type nothing states."""
    values = (*graph.input, *graph.output, *graph.value_info)
    # Sequences and the like have a type too, only none of a tensor.
    known = {t.name for t in graph.initializer} | {v.name for v in values if _has_type(v)}
    return {n for node in graph.node for n in (*node.input, *node.output) if n} - known


def _has_type(value: Any) -> bool:
    return bool(value.type.WhichOneof("value") not in (None, "tensor_type") or value.type.tensor_type.elem_type)
