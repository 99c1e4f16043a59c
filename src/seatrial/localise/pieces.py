"""A graph in pieces, each from matched tensors to the next ones; and several of them as one.

For: what is run alone on the other side's tensors. Not for: running it (cut.py).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from seatrial.localise.graph import Graph


@dataclass(frozen=True)
class Piece:
    """nodes: by number, in order; the last is the one it is called by. inputs, outputs: matched tensors."""

    nodes: tuple[int, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    parts: tuple[Piece, ...] = ()

    @property
    def root(self) -> int:
        return self.nodes[-1]

    @property
    def tensors(self) -> tuple[str, ...]:
        return (*self.inputs, *self.outputs)


def pieces_of(graph: Graph, matched: Collection[str]) -> list[Piece]:
    """One for each node that makes matched tensors, with the unmatched nodes that it stands on; a node that several stand on
    is in each."""
    found = []
    for index, node in enumerate(graph.nodes):
        outputs = tuple(o for o in node.output if o in matched)
        if outputs:
            nodes, inputs = _standing_on(graph, index, matched)
            found.append(Piece(nodes, inputs, outputs))
    return found


def _standing_on(graph: Graph, root: int, matched: Collection[str]) -> tuple[tuple[int, ...], tuple[str, ...]]:
    nodes, inputs, waiting = {root}, set(), [root]
    while waiting:
        for name in graph.reads[waiting.pop()]:
            if name in matched or name in graph.inputs:
                inputs.add(name)
            elif name in graph.makers and (maker := graph.makers[name]) not in nodes:
                nodes.add(maker)
                waiting.append(maker)
    return tuple(sorted(nodes)), tuple(sorted(inputs))


def joined(graph: Graph, pieces: Sequence[Piece]) -> Piece:
    """Neighbours as one: its outputs are those that somebody outside reads."""
    if len(pieces) == 1:
        return pieces[0]
    nodes = {n for p in pieces for n in p.nodes}
    made = {o for p in pieces for o in p.outputs}
    outside = {name for i, read in enumerate(graph.reads) if i not in nodes for name in read} | set(graph.outputs)
    # Unmatched nodes of a later piece may stand in this one's set too: what they read is made outside all the same.
    outputs = tuple(o for p in pieces for o in p.outputs if o in outside)
    inputs = tuple(sorted({i for p in pieces for i in p.inputs} - made))
    return Piece(tuple(sorted(nodes)), inputs, outputs or pieces[-1].outputs, tuple(pieces))


def halves(graph: Graph, piece: Piece) -> list[Piece]:
    half = len(piece.parts) // 2
    return [joined(graph, piece.parts[:half]), joined(graph, piece.parts[half:])]


def chunks(graph: Graph, pieces: Sequence[Piece], size: int) -> list[Piece]:
    return [joined(graph, pieces[i : i + size]) for i in range(0, len(pieces), size)]
