"""Which tensor of one graph is which of another: by names where they can be trusted, by the graphs' shape elsewhere.

For: two files of one network, one of which may be converted, renamed, or have a node replaced. Not for: whether the tensors
agree, which data says. What has no partner is counted, never passed over.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from seatrial.localise.graph import CARRIERS, Graph
from seatrial.localise.words import Key, Words, kind_of, words_of

# Exporters number tensors: two other networks share '123', but seldom its operator. Of one network with a few nodes
# replaced nearly all agree.
LEAST_TRUSTED = 0.6
# Shorter runs of equal operators stand anywhere in a network.
LEAST_RUN = 3


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
        self._exact: list[Words] = []

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
        """By what nodes are made of: exactly, then without weights; then by their neighbours; then by runs of operators."""
        while self._alike(exact=True) or self._alike(exact=False) or self._replaced() or self._aligned():
            pass

    def _alike(self, exact: bool) -> bool:
        """Nodes that compute the same of what is matched, by operators and shapes alone where not `exact`.

        Several of one kind are twins, which give the same where they are exactly alike; else they go by the files' order, one
        kind at a time and only where no node is alone of its kind.
        """
        words = self._words(exact)
        kinds = [self._by_kind(g, m, w) for g, m, w in zip(self._graphs, self._matched, words, strict=True)]
        shared = [(own, kinds[1][key]) for key, own in kinds[0].items() if len(own) == len(kinds[1].get(key, ()))]
        single = [(own, other) for own, other in shared if len(own) == 1]
        paired = [self._rows(own, other) for own, other in (shared if exact else single)]
        return any(paired) or (not exact and any(self._rows(own, other) for own, other in shared))

    def _rows(self, own: list[int], other: list[int]) -> bool:
        # All of them, also behind one that gave something new.
        return sum(self._nodes(self.a.nodes[i], self.b.nodes[j]) for i, j in zip(own, other, strict=True)) > 0

    @property
    def _graphs(self) -> tuple[Graph, Graph]:
        return self.a, self.b

    @property
    def _matched(self) -> tuple[dict[str, str], dict[str, str]]:
        return self.of_a, self.of_b

    def _by_kind(self, graph: Graph, matched: dict[str, str], words: Words) -> dict[int, list[int]]:
        found: dict[int, list[int]] = defaultdict(list)
        for index in self._left(graph, matched):
            found[words.nodes[index]].append(index)
        return found

    def _words(self, exact: bool) -> tuple[Words, Words]:
        """What each node computes of matched tensors, as a number that means the same in both graphs."""
        known: dict[Key, int] = {}
        if not self._exact:
            inputs = {y: x for x, y in self.of_a.items() if x in self.a.inputs}
            self._exact.append(words_of(self.a, {x: (x,) for x in inputs.values()}, True, known))
            self._exact.append(words_of(self.b, {y: (x,) for y, x in inputs.items()}, True, known))
        mine, its = self._exact
        # A matched tensor is what it is made of, where that is the same: of twins either may stand for the other.
        start: dict[str, Key] = {
            x: word if (word := mine.tensors.get(x, ())) == its.tensors.get(y) else ("pair", x)
            for x, y in self.of_a.items()
        }
        others = {y: start[x] for x, y in self.of_a.items()}
        return words_of(self.a, start, exact, known), words_of(self.b, others, exact, known)

    def _replaced(self) -> bool:
        """A node of another kind in the same place: the only one left that reads these tensors, read by the same operators."""
        places = [self._by_place(g, m) for g, m in zip(self._graphs, self._matched, strict=True)]
        found = [
            (own[0], other[0])
            for key, own in places[0].items()
            if len(own) == len(other := places[1].get(key, [])) == 1
        ]
        return sum(self._nodes(self.a.nodes[i], self.b.nodes[j]) for i, j in found) > 0

    def _by_place(self, graph: Graph, matched: dict[str, str]) -> dict[tuple[str, ...], list[int]]:
        names = {x: x for x in self.of_a} if graph is self.a else self.of_b
        found: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for index in self._left(graph, matched):
            read = [names.get(graph.origin(n), names.get(n, "")) for n in graph.nodes[index].input if graph.moves(n)]
            if read and all(read):
                found[(*sorted(read), "read by", *graph.readers(index))].append(index)
        return found

    def _aligned(self) -> bool:
        """What is left, as two sequences of operators: equal runs, and between two of them as many nodes of other kinds."""
        rows = [self._left(self.a, self.of_a), self._left(self.b, self.of_b)]
        words = [[kind_of(g, i) for i in row] for g, row in zip((self.a, self.b), rows, strict=True)]
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
