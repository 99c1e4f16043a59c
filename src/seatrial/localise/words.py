"""What a node computes, as a number: of which operators, constants and tensors, down to those that are known.

For: nodes of two graphs that are the same whatever they are called, and in whatever order they stand. Not for: whether what
they give is the same, which data says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from seatrial.localise.graph import CARRIERS, Graph

Key = tuple[Any, ...]


@dataclass(frozen=True)
class Words:
    """Of nodes by number, of tensors by name."""

    nodes: dict[int, int]
    tensors: dict[str, Key]


def words_of(graph: Graph, start: Mapping[str, Key], exact: bool, known: dict[Key, int]) -> Words:
    """start: words of tensors that are known. exact: constants by their values and nodes by their attributes too, else
    constants by their shapes. known: numbers that were given so far, in both graphs."""
    tensors = dict(start)
    nodes: dict[int, int] = {}

    def word(name: str) -> Key:
        if name in tensors:
            return tensors[name]
        constant = graph.origin(name)
        return ("constant", dimensions(graph, constant), graph.checksum(constant) if exact else 0) if name else ()

    for index, node in enumerate(graph.nodes):
        if not any(o in graph.moving for o in node.output):
            continue
        if node.op_type in CARRIERS:
            tensors.setdefault(node.output[0], word(node.input[0]))
            continue
        given = tuple(sorted(x.SerializeToString() for x in node.attribute)) if exact else ()
        key = (node.op_type, node.domain, len(node.output), given, *map(word, node.input))
        nodes[index] = known.setdefault(key, len(known))
        for place, output in enumerate(node.output):
            tensors.setdefault(output, (nodes[index], place))
    return Words(nodes, tensors)


def kind_of(graph: Graph, index: int) -> Key:
    """Its operator, and the shapes of its constants."""
    node = graph.nodes[index]
    return (node.op_type, *(dimensions(graph, graph.origin(n)) for n in node.input if n and not graph.moves(n)))


def dimensions(graph: Graph, name: str) -> str:
    """Of a constant, where it stands in the file as such."""
    tensor = graph.constant(name)
    return "" if tensor is None else "x".join(map(str, tensor.dims))
