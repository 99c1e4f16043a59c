"""A graph's nodes: in an order in which they can run, and which of them are no part of what a run is for.

For: shape inference, which reads them in the file's order, and costs. Not for: shapes (inferred.py) or formulas (cost.py).
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from typing import Any

UNUSED = "no output needs it"
CONSTANT = "of constants alone: worked out once, when the model is opened"
# Standard domains, by either name; and those whose results differ between two runs.
_STANDARD = ("", "ai.onnx")
_RANDOM = ("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial")


def subgraphs(node: Any) -> list[Any]:
    """Branches of an If, the body of a Loop."""
    return [g for a in node.attribute for g in ([a.g] if a.HasField("g") else []) + list(a.graphs)]


def names_read(node: Any) -> set[str]:
    """Values that a node needs, also those that its subgraphs take from outside."""
    return {name for name in node.input if name}.union(*map(_names_outside, subgraphs(node)))


def _names_outside(graph: Any) -> set[str]:
    held = {t.name for t in (*graph.input, *graph.initializer)} | {s.values.name for s in graph.sparse_initializer}
    read = {value.name for value in graph.output}.union(*map(names_read, graph.node))
    return read - held - {o for node in graph.node for o in node.output}


def sort_nodes(holder: Any) -> str:
    """Puts the nodes of a graph or function, and of every subgraph, behind those whose values they read.

    Converters append nodes at the end; runtimes take them in any order, and onnx's inference does not. Nodes that are in order
    stay where they are. Returns '', or what is wrong where they go in a circle: those keep the file's order, at the end.
    """
    problems = [sort_nodes(g) for node in holder.node for g in subgraphs(node)]
    makers = {o: at for at, node in enumerate(holder.node) for o in node.output if o}
    needs = [{makers[name] for name in names_read(node) if name in makers} for node in holder.node]
    if any(max(needed, default=-1) >= at for at, needed in enumerate(needs)):
        order = _in_order(needs)
        stuck = sorted(set(range(len(needs))) - set(order))
        if stuck:
            first = holder.node[stuck[0]]
            problems.append(
                f"{len(stuck)} nodes wait for each other's values, such as {first.op_type} {first.name}".strip()
            )
        replace_items(holder.node, [holder.node[at] for at in (*order, *stuck)])
    return next(filter(None, problems), "")


def _in_order(needs: Sequence[set[int]]) -> list[int]:
    """Each behind all that it needs; of several that could be next, the first of the file. Without those in a circle."""
    readers: list[list[int]] = [[] for _ in needs]
    for at, needed in enumerate(needs):
        for maker in needed:
            readers[maker].append(at)
    waiting = [len(needed) for needed in needs]
    ready = [at for at, count in enumerate(waiting) if not count]
    order = []
    while ready:
        order.append(heapq.heappop(ready))
        for reader in readers[order[-1]]:
            waiting[reader] -= 1
            if not waiting[reader]:
                heapq.heappush(ready, reader)
    return order


def why_idle(nodes: Sequence[Any], outputs: Iterable[str], constants: Iterable[str]) -> list[str]:
    """Of nodes in an order in which they can run: UNUSED or CONSTANT, or '' of what a run needs.

    outputs: names of the graph's. constants: names of values that no caller can change.
    """
    whys = [""] * len(nodes)
    needed, known = set(outputs), set(constants)
    for at in reversed(range(len(nodes))):
        if needed.isdisjoint(filter(None, nodes[at].output)):
            whys[at] = UNUSED
        else:
            needed |= names_read(nodes[at])
    for at, node in enumerate(nodes):
        foldable = node.domain in _STANDARD and node.op_type not in _RANDOM and not subgraphs(node)
        if foldable and known.issuperset(names_read(node)):
            known.update(node.output)
            whys[at] = whys[at] or CONSTANT
    return whys


def replace_items(field: Any, items: Iterable[Any]) -> None:
    """Of a repeated protobuf field, whose items die with it."""
    kept = [type(item).FromString(item.SerializeToString()) for item in items]
    del field[:]
    field.extend(kept)
