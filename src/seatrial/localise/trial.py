"""Pieces of a reference graph, run on what the judged side fed to its own, and held against what it made of that.

For: the exact test of rule.py, in batches that fit into memory. Not for: which pieces are tried (search.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt

from seatrial.localise.cut import CutModel
from seatrial.localise.pieces import Piece
from seatrial.localise.rule import LEAST_SHARE, Distance, moved, node_tolerance
from seatrial.localise.taps import Side

Array = npt.NDArray[Any]
Feeds = Mapping[str, Array]
# Of each value: both sides' runs and the piece's, in float32, all at once.
BYTES_A_VALUE = 12
MOST_TEXT = 200


@dataclass
class Tested:
    """own: on equal inputs; noise: what a unit of rounding makes. carried: between both sides' runs, of inputs and outputs.

    refused: the piece ran on none of what the judged side gave; unable: ONNX Runtime cannot load it at all.
    """

    piece: Piece
    own: dict[str, Distance] = field(default_factory=dict)
    noise: dict[str, Distance] = field(default_factory=dict)
    carried: dict[str, Distance] = field(default_factory=dict)
    refused: str = ""
    unable: str = ""

    def worst(self, precision: str, same_runtime: bool) -> tuple[str, float, float]:
        """The output furthest beyond its tolerance, its error on equal inputs, and that tolerance."""
        rows = []
        for name in self.piece.outputs:
            noise = self.noise[name].error if name in self.noise else 0.0
            tolerance = node_tolerance(precision, same_runtime, noise)
            rows.append((name, self.own[name].error if name in self.own else 0.0, tolerance))
        return max(rows, key=lambda row: row[1] / row[2])

    def error_in(self) -> float:
        return max((self.carried[n].error for n in self.piece.inputs if n in self.carried), default=0.0)


@dataclass
class Bench:
    """reference: whose pieces are run, judged: whose tensors they are held against. pairs: the reference's tensors to the
    judged side's. feeds: of each image, by the reference's input names. sizes: values of each of the reference's tensors."""

    reference: Side
    judged: Side
    pairs: Mapping[str, str]
    feeds: Sequence[Feeds]
    precision: str
    sizes: Mapping[str, int]
    budget_bytes: int

    def test(self, pieces: Sequence[Piece], heard: Callable[[int], None]) -> Iterator[Tested]:
        """heard: how many more pieces are done."""
        for batch in self._batches(pieces):
            yield from self._test(batch)
            heard(len(batch))

    def bytes_of(self, tensors: Sequence[str]) -> int:
        return BYTES_A_VALUE * sum(self.sizes.get(t, 0) for t in set(tensors))

    def _batches(self, pieces: Sequence[Piece]) -> Iterator[list[Piece]]:
        batch: list[Piece] = []
        taken: set[str] = set()
        for piece in pieces:
            more = taken | set(piece.tensors)
            if batch and self.bytes_of(list(more)) > self.budget_bytes:
                yield batch
                batch, more = [], set(piece.tensors)
            batch.append(piece)
            taken = more
        if batch:
            yield batch

    def _test(self, pieces: Sequence[Piece]) -> list[Tested]:
        tested = [Tested(p) for p in pieces]
        inputs = self.reference.graph.inputs
        taps = sorted({t for p in pieces for t in p.tensors} - set(inputs))
        cuts = _Cuts(self.reference)
        renamed = [{self.pairs[name]: array for name, array in f.items() if name in self.pairs} for f in self.feeds]
        with (
            self.judged.opened([self.pairs[t] for t in taps], renamed[0]) as theirs,
            self.reference.opened(taps, self.feeds[0]) as ours,
        ):
            for number, feeds in enumerate(self.feeds):
                values = dict(zip(taps, theirs.run(renamed[number]).values(), strict=True))
                own = ours.run(feeds)
                for t in tested:
                    for name in t.piece.tensors:
                        if name in own:
                            self._of(t.carried, name).add(own[name], values[name])
                del own
                self._hold(cuts, tested, {**feeds, **values}, values)
                if number == 0:
                    self._noise(cuts, tested, {**feeds, **values})
        return tested

    def _of(self, found: dict[str, Distance], name: str) -> Distance:
        share = name in self.reference.graph.shares
        return found.setdefault(name, Distance(least_scale=LEAST_SHARE if share else 0.0))

    def _hold(
        self, cuts: _Cuts, tested: list[Tested], inputs: Mapping[str, Array], answers: Mapping[str, Array]
    ) -> None:
        """Adds each piece's distance from what the judged side made of the same inputs."""
        able = [t for t in tested if not t.unable]
        for t, found in zip(able, cuts.answers([t.piece for t in able], inputs), strict=True):
            if isinstance(found, dict):
                for name, array in found.items():
                    self._of(t.own, name).add(array, answers[name])
            elif isinstance(found, _Unable):
                t.unable = found.text
            else:
                t.refused = found.text

    def _noise(self, cuts: _Cuts, tested: list[Tested], values: Mapping[str, Array]) -> None:
        runs = [t for t in tested if t.own]
        still = cuts.answers([t.piece for t in runs], values)
        shaken = cuts.answers(
            [t.piece for t in runs], {name: moved(v, self.precision, i) for i, (name, v) in enumerate(values.items())}
        )
        for t, a, b in zip(runs, still, shaken, strict=True):
            if isinstance(a, dict) and isinstance(b, dict):
                for name, array in a.items():
                    self._of(t.noise, name).add(array, b[name])


class _Cuts:
    """Cut models of one batch, each opened once; where one does not open or run, its pieces by halves until it is found out
    whose fault that is."""

    def __init__(self, side: Side) -> None:
        self._side = side
        self._opened: dict[tuple[Piece, ...], CutModel | str] = {}

    def answers(self, pieces: Sequence[Piece], values: Mapping[str, Array]) -> list[dict[str, Array] | _Refused]:
        if not pieces:
            return []
        key = tuple(pieces)
        problem: _Refused
        if key not in self._opened:
            try:
                self._opened[key] = CutModel(self._side.graph, pieces, self._side.scratch, self._side.threads)
            except Exception as e:  # onnxruntime raises its own types, none with a common public base
                self._opened[key] = str(e).splitlines()[0][:MOST_TEXT]
        opened = self._opened[key]
        if isinstance(opened, str):
            problem = _Unable(opened)
        else:
            try:
                return list(opened.run(values))
            except Exception as e:  # as above
                problem = _Refused(str(e).splitlines()[0][:MOST_TEXT])
        if len(pieces) == 1:
            return [problem]
        half = len(pieces) // 2
        return self.answers(pieces[:half], values) + self.answers(pieces[half:], values)


@dataclass(frozen=True)
class _Refused:
    text: str


class _Unable(_Refused):
    pass
