"""Every node of two models that answers otherwise on equal inputs. For: the search, and what follows from it.

Where a few batches of tensors that fit into the memory that was given hold all, each node is tried by itself. Else stretches of
the graph are, and those that differ by halves; what is between two stretches alone is then held. Not for: when a node is to
blame (rule.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy.typing as npt

from seatrial.errors import ModelError, count_of, short_list
from seatrial.localise.differences import PRODUCTS, among, file_difference
from seatrial.localise.matching import Matching, match
from seatrial.localise.outputs import compare_outputs, renamed, verdict_of
from seatrial.localise.pieces import chunks, halves, pieces_of
from seatrial.localise.result import InsideModel, Jump, OutputError, TensorError, Verdict
from seatrial.localise.rule import LEAST_RATIO, coarser, node_tolerance, output_limits
from seatrial.localise.taps import ORT_CPU, Side
from seatrial.localise.trial import Bench, Tested
from seatrial.parity.tolerance import QUIET

Array = npt.NDArray[Any]
Feeds = Mapping[str, Array]
Says = Callable[[str, float], None]
BUDGET_BYTES = 512 << 20
# Both models run once for each.
MOST_BATCHES = 8
# A fault is in a node or two; training moves every weight.
RETRAINED_SHARE, LEAST_RETRAINED = 0.5, 4
FUSED = "marking tensors as outputs keeps a runtime from fusing across them: a fault of a fused kernel may hide"
ROUNDED = (
    "float16 tensors were rounded between nodes, as a device does that computes in it; ONNX Runtime's CPU provider alone "
    "would not"
)


@dataclass(frozen=True)
class _Direction:
    """Whose nodes are run on whose tensors. judged: the other side's letter."""

    reference: Side
    judged: Side
    pairs: Mapping[str, str]
    letter: Literal["A", "B"]


def search(
    a: Side,
    b: Side,
    feeds: Sequence[Feeds],
    precisions: tuple[str, str] = ("fp32", "fp32"),
    budget_bytes: int = BUDGET_BYTES,
    says: Says = lambda _step, _share: None,
) -> InsideModel:
    """feeds: of each image, by A's input names. precisions: what the two files compute in.

    Raises:
        ModelError: B has an input that A lacks.
        SeatrialError: a side cannot be run at all.
    """
    matching = match(a.graph, b.graph)
    unfed = [name for name in b.graph.inputs if name not in matching.pairs.values()]
    if unfed:
        raise ModelError(
            f"B's inputs {short_list(unfed, 3)} have no partner among A's ({short_list(list(a.graph.inputs), 3)}); compare "
            "models that take the same inputs"
        )
    precision = coarser(*precisions)
    says("comparing outputs", 0.0)
    outputs = compare_outputs(a, b, matching, feeds)
    jumps: list[Jump] = []
    errors: dict[str, TensorError] = {}
    untested: list[str] = []
    whole = True
    for way in _directions(a, b, matching):
        own = feeds if way.letter == "B" else [renamed(f, matching.pairs) for f in feeds]
        judged = _Search(way, own, precision, budget_bytes, says)
        judged.run()
        jumps += judged.jumps(a, b)
        untested += judged.untested(a)
        whole = whole and judged.whole
        errors = judged.errors(a) | errors
    # Found from both sides, where neither runs on ONNX Runtime, it is a fault of the files: told once.
    once = {j.node: j for j in reversed(jumps)}.values()
    return _summary(
        a,
        b,
        matching,
        outputs,
        tuple(sorted(once, key=lambda j: j.position)),
        tuple(sorted(errors.values(), key=lambda e: e.position)),
        tuple(dict.fromkeys(untested)),
        "every node" if whole else "every stretch of nodes",
        len(feeds),
        precision,
    )


def _directions(a: Side, b: Side, matching: Matching) -> list[_Direction]:
    """Pieces are run by ONNX Runtime on the CPU: what another backend computes is judged by it, never the judge."""
    ways = []
    if a.backend.backend == ORT_CPU or b.backend.backend != ORT_CPU:
        ways.append(_Direction(a, b, matching.pairs, "B"))
    if a.backend.backend != ORT_CPU:
        ways.append(_Direction(b, a, {y: x for x, y in matching.pairs.items()}, "A"))
    return ways


class _Search:
    def __init__(self, way: _Direction, feeds: Sequence[Feeds], precision: str, budget_bytes: int, says: Says) -> None:
        self.way, self.precision, self.says = way, precision, says
        self.same_runtime = way.judged.backend.backend == ORT_CPU
        graph = way.reference.graph
        self.pieces = pieces_of(graph, {t for t in way.pairs if t in graph.makers})
        tensors = sorted({t for p in self.pieces for t in p.tensors} - set(graph.inputs))
        says("sizing tensors", 0.0)
        sizes: dict[str, int] = {}
        if tensors:
            with way.reference.opened(tensors, feeds[0], sizes=True) as opened:
                sizes = {name: int(array) for name, array in opened.run(feeds[0]).items()}
        self.bench = Bench(way.reference, way.judged, way.pairs, feeds, precision, sizes, budget_bytes)
        self.whole = self.bench.bytes_of(tensors) <= MOST_BATCHES * budget_bytes
        self.found: list[Tested] = []

    def run(self) -> None:
        graph = self.way.reference.graph
        size = 1 if self.whole else max(1, math.isqrt(len(self.pieces)))
        waiting, done = chunks(graph, self.pieces, size), 0

        def heard(count: int) -> None:
            nonlocal done
            done += count
            self.says("running nodes on the other side's tensors", min(1.0, done / max(1, len(self.pieces))))

        while waiting:
            tested, waiting = list(self.bench.test(waiting, heard)), []
            self.found += [t for t in tested if len(t.piece.parts) < 2]
            for t in tested:
                if len(t.piece.parts) > 1 and self._may_differ(t):
                    waiting += halves(graph, t.piece)

    def _may_differ(self, t: Tested) -> bool:
        """Of a stretch; one that cannot be run whole may be in parts. What noise makes of so many nodes excuses nothing."""
        limit = node_tolerance(self.precision, self.same_runtime, 0.0)
        return bool(t.refused or t.unable) or any(d.error > limit for d in t.own.values())

    def jumps(self, a: Side, b: Side) -> list[Jump]:
        return [j for t in self.found if (j := self._jump(t, a, b))]

    def errors(self, a: Side) -> dict[str, TensorError]:
        """By A's tensors."""
        rows = {}
        for t in self.found:
            for name in t.piece.outputs:
                own = self._of_a(name)
                at = a.graph.makers.get(own)
                if at is not None and name in t.carried:
                    rows[own] = TensorError(
                        tensor=own,
                        node=a.graph.label(at),
                        operator=a.graph.nodes[at].op_type,
                        position=at,
                        error=t.carried[name].error,
                        own_error=t.own[name].error if name in t.own else None,
                    )
        return rows

    def untested(self, a: Side) -> list[str]:
        """Nodes of A that could not be run alone."""
        makers = [a.graph.makers.get(a.graph.origin(self._of_a(t.piece.outputs[0]))) for t in self.found if t.unable]
        return [a.graph.label(at) for at in makers if at is not None]

    def _of_a(self, name: str) -> str:
        """What A calls a tensor of the reference."""
        return name if self.way.letter == "B" else self.way.pairs[name]

    def _jump(self, t: Tested, a: Side, b: Side) -> Jump | None:
        name, own, tolerance = t.worst(self.precision, self.same_runtime)
        carried = {n: d.error for n, d in t.carried.items()}
        confirmed = not (t.refused or t.unable)
        if not confirmed:
            name = max(t.piece.outputs, key=lambda n: carried.get(n, 0.0))
            own = carried.get(name, 0.0)
            if own <= max(tolerance, LEAST_RATIO * t.error_in()):
                return None
        elif own <= tolerance:
            return None
        graph, judged = self.way.reference.graph, self.way.judged.graph
        ours, theirs = t.piece.root, judged.makers[judged.origin(self.way.pairs[name])]
        node, other = (ours, theirs) if self.way.letter == "B" else (theirs, ours)
        how = file_difference(a.graph, node, b.graph, other)
        if t.refused:
            how = "; ".join(filter(None, [how, f"it does not take the other side's inputs: {t.refused}"]))
        return Jump(
            node=a.graph.label(node),
            operator=a.graph.nodes[node].op_type,
            other_node=b.graph.label(other),
            other_operator=b.graph.nodes[other].op_type,
            tensor=self._of_a(name),
            position=node,
            error_in=t.error_in(),
            error_out=carried.get(name, 0.0),
            own_error=own,
            tolerance=tolerance,
            judged=self.way.letter,
            among=among(graph, t.piece.nodes),
            confirmed=confirmed,
            how=how,
        )


def _summary(
    a: Side,
    b: Side,
    matching: Matching,
    outputs: tuple[OutputError, ...],
    jumps: tuple[Jump, ...],
    errors: tuple[TensorError, ...],
    untested: tuple[str, ...],
    tried: str,
    images: int,
    precision: str,
) -> InsideModel:
    limits = output_limits(precision)
    alone = [o for o in a.graph.outputs if o not in {x.tensor for x in outputs}]
    verdict, reason = verdict_of(outputs, limits, precision == "fp32", jumps, alone, len(untested), tried)
    return InsideModel(
        verdict=verdict,
        reason=reason,
        outputs=outputs,
        limits=limits,
        first=next(iter(jumps), None),
        jumps=jumps,
        errors=errors,
        matched=len(matching.pairs),
        unmatched_a=len(matching.unmatched_a),
        unmatched_b=len(matching.unmatched_b),
        nodes=len(a.graph.nodes),
        images=images,
        untested=untested,
        notes=(*_quiet(outputs), *_neither(outputs), *_notes(a, b, matching, untested, verdict, jumps)),
    )


def _quiet(outputs: Sequence[OutputError]) -> list[str]:
    names = [o.tensor for o in outputs if o.quiet]
    said = (
        f"{short_list(names, 3)}: no value reaches {QUIET} on either side: these inputs show little of it, give others"
    )
    return [said] if names else []


def _neither(outputs: Sequence[OutputError]) -> list[str]:
    return [
        f"{o.tensor}: {o.neither} of {count_of(o.values, 'value')} NaN or infinite on both sides, and not compared"
        for o in outputs
        if o.neither
    ]


def _notes(
    a: Side, b: Side, matching: Matching, untested: Sequence[str], verdict: Verdict, jumps: Sequence[Jump]
) -> list[str]:
    notes = [FUSED]
    if not (a.rounds_itself and b.rounds_itself):
        notes.append(ROUNDED)
    if matching.by_structure:
        notes.append(f"{matching.by_structure} tensors were matched by the graphs' structure, since their names differ")
    for letter, alone in (("A", matching.unmatched_a), ("B", matching.unmatched_b)):
        if alone:
            count = count_of(len(alone), "tensor", "tensors")
            notes.append(f"{count} of {letter} without a partner, such as {short_list(list(alone), 2)}")
    if a.graph.holding_graphs:
        notes.append(
            f"{short_list(a.graph.holding_graphs, 3)}: a graph of its own, which was looked at from outside alone"
        )
    if untested:
        notes.append(
            f"{count_of(len(untested), 'node')} could not be run alone by ONNX Runtime ({short_list(list(untested), 2)}): "
            "judged by the errors before and behind alone"
        )
    products = sum(n.op_type in PRODUCTS for n in a.graph.nodes)
    other = sum(j.operator in PRODUCTS and "weights" in j.how for j in jumps)
    if other >= max(LEAST_RETRAINED, products * RETRAINED_SHARE):
        notes.append(
            f"{other} of {products} convolutions and matrix products have other weights: another training of the network, "
            "rather than a fault"
        )
    if verdict == "differ" and not jumps:
        notes.append(
            "no node differs on equal inputs: the difference is in what has no partner, in what a runtime fuses, or in small "
            "differences of many nodes, which the errors show"
        )
    return notes
