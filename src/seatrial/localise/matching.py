"""Which tensor of one graph is which of another: by names where they can be trusted, by the graphs' shape elsewhere.

For: two files of one network, one of which may be converted, renamed, or have a node replaced. Not for: whether the tensors
agree, which data says. What has no partner is counted, never passed over.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from seatrial.localise.graph import CARRIERS, Graph

# Exporters number tensors: two other networks share '123', but seldom its operator. Of one network with a few nodes
# replaced nearly all agree.
LEAST_TRUSTED = 0.6
# Shorter runs of equal operators stand anywhere in a network.
LEAST_RUN = 3
Known = Callable[[str], str]


@dataclass(frozen=True)
class Matching:
    """pairs: a tensor of A to one of B, graph inputs among them. by_structure: how many of them names did not give.

    unmatched_a, unmatched_b: tensors without a partner that a node makes which computes.
    """

    pairs: dict[str, str]
    by_structure: int
    unmatched_a: tuple[str, ...]
    unmatched_b: tuple[str, ...]


def match(a: Graph, b: Graph) -> Matching:
    found = _Pairs(a, b)
    found.inputs()
    found.by_name()
    named = len(found.of_a)
    found.by_structure()
    found.outputs_in_order()
    return Matching(
        dict(found.of_a),
        len(found.of_a) - named,
        tuple(t for t in _computed(a) if t not in found.of_a),
        tuple(t for t in _computed(b) if t not in found.of_b and not _carried_on(b, t, found.of_b)),
    )


def _computed(graph: Graph) -> list[str]:
    return [t for t in graph.variable if graph.nodes[graph.makers[t]].op_type not in CARRIERS]


def _carried_on(graph: Graph, tensor: str, matched: dict[str, str]) -> bool:
    """Whether a copy of it is matched: of `y_fp16`, cast to `y`, it is `y` that has a partner."""
    return any(graph.origin(t) == tensor for t in matched)


class _Pairs:
    def __init__(self, a: Graph, b: Graph) -> None:
        self.a, self.b = a, b
        self.of_a: dict[str, str] = {}
        self.of_b: dict[str, str] = {}

    def add(self, x: str, y: str) -> bool:
        if x in self.of_a or y in self.of_b:
            return False
        self.of_a[x], self.of_b[y] = y, x
        return True

    def inputs(self) -> None:
        same = set(self.a.inputs) & set(self.b.inputs)
        for name in same:
            self.add(name, name)
        rest = [[n for n in g.inputs if n not in same] for g in (self.a, self.b)]
        if len(rest[0]) == len(rest[1]):
            for x, y in zip(*rest, strict=True):
                self.add(x, y)

    def by_name(self) -> None:
        """All of them or none: a name that stands for another tensor would be called a fault."""
        others = set(self.b.variable)
        shared = [t for t in self.a.variable if t in others]
        alike = sum(self.a.origin_operator(t) == self.b.origin_operator(t) for t in shared)
        if alike < LEAST_TRUSTED * len(shared):
            return
        for name in shared:
            self.add(name, name)
        nodes = {(n.name, n.op_type): n for n in self.b.nodes if n.name}
        for node in self.a.nodes:
            other = nodes.get((node.name, node.op_type))
            if other is not None and len(other.output) == len(node.output):
                self._nodes(node, other)

    def _nodes(self, node: Any, other: Any) -> bool:
        """Their outputs, those that depend on inputs in both."""
        made = [self.add(x, y) for x, y in zip(node.output, other.output, strict=False) if self._both_move(x, y)]
        return any(made)

    def _both_move(self, x: str, y: str) -> bool:
        return x in self.a.moving and y in self.b.moving

    def by_structure(self) -> None:
        self._from_inputs()
        if self._aligned():
            self._from_inputs()

    def _from_inputs(self) -> None:
        """Twins that read the same tensor, such as two heads, are told by their weights; what is left by shapes alone."""
        while self._forward(exact=True) or self._forward(exact=False):
            pass

    def _forward(self, exact: bool) -> bool:
        """Nodes of one operator whose inputs are matched: where as many of A as of B read the same, in the files' order."""
        sides = [self._by_inputs(self.a, self._known_a, exact), self._by_inputs(self.b, self._known_b, exact)]
        paired = False
        for key, own in sides[0].items():
            other = sides[1].get(key, [])
            if len(own) == len(other):
                for i, j in zip(own, other, strict=True):
                    paired |= self._nodes(self.a.nodes[i], self.b.nodes[j])
        return paired

    def _known_a(self, tensor: str) -> str:
        return tensor if tensor in self.of_a else ""

    def _known_b(self, tensor: str) -> str:
        return self.of_b.get(tensor, "")

    def _by_inputs(self, graph: Graph, known: Known, exact: bool) -> dict[tuple[Any, ...], list[int]]:
        found: dict[tuple[Any, ...], list[int]] = defaultdict(list)
        matched = self.of_a if graph is self.a else self.of_b
        for index, node in enumerate(graph.nodes):
            moves = any(o in graph.moving and o not in matched for o in node.output)
            if not moves or node.op_type in CARRIERS:
                continue
            read = [_value(graph, name, known, exact) for name in node.input]
            if None not in read:
                given = sorted(x.SerializeToString() for x in node.attribute) if exact else ()
                found[(node.op_type, node.domain, len(node.output), *given, *read)].append(index)
        return found

    def _aligned(self) -> bool:
        """What is left, as two sequences of operators: equal runs, and between two of them as many nodes of other kinds."""
        rows = [self._left(self.a, self.of_a), self._left(self.b, self.of_b)]
        words = [[_word(g, i) for i in row] for g, row in zip((self.a, self.b), rows, strict=True)]
        paired = False
        for tag, i1, i2, j1, j2 in SequenceMatcher(None, words[0], words[1], autojunk=False).get_opcodes():
            run = tag == "equal" and (i2 - i1 >= LEAST_RUN or i2 - i1 == len(rows[0]))
            if run or (tag == "replace" and i2 - i1 == j2 - j1):
                for i, j in zip(rows[0][i1:i2], rows[1][j1:j2], strict=True):
                    # Behind a node that only one side has an equal run goes on.
                    if run or self._fit(i, j):
                        paired |= self._nodes(self.a.nodes[i], self.b.nodes[j])
        return paired

    def _left(self, graph: Graph, matched: dict[str, str]) -> list[int]:
        return [
            i
            for i, n in enumerate(graph.nodes)
            if n.op_type not in CARRIERS and any(o in graph.moving and o not in matched for o in n.output)
        ]

    def _fit(self, i: int, j: int) -> bool:
        """No matched input of the one is another's than of the other."""
        read = [self.a.origin(n) for n in self.a.nodes[i].input]
        others = [self.b.origin(n) for n in self.b.nodes[j].input]
        return not any(x in self.of_a and self.b.origin(self.of_a[x]) not in others for x in read)

    def outputs_in_order(self) -> None:
        """Where names and structure say nothing of some: runtimes and callers go by order too."""
        rest = [t for t in self.a.outputs if t not in self.of_a], [t for t in self.b.outputs if t not in self.of_b]
        if len(rest[0]) == len(rest[1]):
            for x, y in zip(*rest, strict=True):
                if self._both_move(x, y):
                    self.add(x, y)


def _value(graph: Graph, name: str, known: Known, exact: bool) -> str | None:
    """What a node reads, in words that two graphs share: a matched tensor, or a constant by its shape, or exactly. None: not
    matched yet."""
    if not name:
        return "-"
    if name not in graph.moving and graph.origin(name) not in graph.moving:
        return f"constant {_dims(graph, name)} {graph.checksum(graph.origin(name)) if exact else ''}"
    return known(name) or known(graph.origin(name)) or None


def _word(graph: Graph, index: int) -> tuple[Any, ...]:
    node = graph.nodes[index]
    return (node.op_type, *(_dims(graph, n) for n in node.input if n and graph.origin(n) not in graph.moving))


def _dims(graph: Graph, name: str) -> str:
    """Of a constant, where it stands in the file as such."""
    tensor = graph.constant(graph.origin(name))
    return "" if tensor is None else "x".join(map(str, tensor.dims))
