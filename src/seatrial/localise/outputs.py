"""Two models' answers as wholes, and the verdict on them. For: equal, differ, or not enough to tell. Not for: why (search.py).

A head that pools pixels with probabilities has one spread for both, in which lost scores do not show: rows along the first axis
behind the batch and along the last are judged by their own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.errors import count_of, short_list
from seatrial.localise.matching import Matching
from seatrial.localise.result import Jump, OutputError, Verdict
from seatrial.localise.rule import LEAST_SHARE, LOST, LOST_SHARE, QUIETEST, VARIES, Distance
from seatrial.localise.taps import Side
from seatrial.parity.tolerance import QUIET

Array = npt.NDArray[Any]
F64 = npt.NDArray[np.float64]
Feeds = Mapping[str, Array]
# As parity/tensors.py has it: more rows are no channels, and fewer values have no spread.
MOST_ROWS, LEAST_ROW = 4096, 8


@dataclass
class Rows:
    """Sums of each row along one axis: of squares of the difference, of the reference, of its squares."""

    axis: int
    sums: F64
    values: int = 0
    spread: float = 0.0

    @classmethod
    def along(cls, shape: tuple[int, ...]) -> list[Rows]:
        axes = dict.fromkeys(a for a in (1, len(shape) - 1) if 0 < a < len(shape))
        fit = [a for a in axes if 2 <= shape[a] <= MOST_ROWS and math.prod(shape) // shape[a] >= LEAST_ROW]
        return [cls(a, np.zeros((3, shape[a]))) for a in fit]

    def add(self, reference: Array, other: Array) -> None:
        if reference.ndim <= self.axis or reference.shape[self.axis] != self.sums.shape[1]:
            return
        r, o = (
            np.moveaxis(x.astype(np.float64), self.axis, 0).reshape(self.sums.shape[1], -1) for x in (reference, other)
        )
        with np.errstate(over="ignore", invalid="ignore"):
            self.sums += [np.square(r - o).sum(1), r.sum(1), np.square(r).sum(1)]
        self.values += r.shape[1]
        self.spread = max(self.spread, float(r.std()))

    def errors(self, least_scale: float = 0.0) -> F64:
        """Of each row, over its own spread; none where a row is not finite, which the whole tells."""
        if not self.values or not np.isfinite(self.sums).all():
            return np.zeros(0)
        noise, total, size = self.sums / self.values
        spread = np.sqrt(np.maximum(size - total * total, 0))
        scale = np.maximum(np.maximum(spread, VARIES * np.sqrt(size)), max(QUIETEST * self.spread, least_scale))
        return np.asarray(np.sqrt(noise) / np.where(scale > 0, scale, 1.0))


@dataclass
class OutputDistance:
    """share: whether its values are shares of one."""

    share: bool = False
    whole: Distance = field(default_factory=Distance)
    rows: list[Rows] | None = None
    values: int = 0

    def __post_init__(self) -> None:
        self.whole.least_scale = LEAST_SHARE if self.share else 0.0

    def add(self, reference: Array, other: Array) -> None:
        self.whole.add(reference, other)
        self.values += reference.size
        if reference.shape == other.shape and reference.dtype.kind == "f":
            self.rows = Rows.along(reference.shape) if self.rows is None else self.rows
            for rows in self.rows:
                rows.add(reference, other)

    @property
    def row_errors(self) -> F64:
        """Of the axis of which the largest share is lost, then of which the worst row is."""
        found = [e for r in self.rows or [] if (e := r.errors(self.whole.least_scale)).size]
        return max(found, key=lambda e: (float((e > LOST).mean()), float(e.max())), default=np.zeros(0))


def compare_outputs(a: Side, b: Side, matching: Matching, feeds: Sequence[Feeds]) -> tuple[OutputError, ...]:
    """Of each matched output, nothing else being marked."""
    names = [o for o in a.graph.outputs if o in matching.pairs]
    if not names:
        return ()
    found = {name: OutputDistance(name in a.graph.shares) for name in names}
    others = [renamed(f, matching.pairs) for f in feeds]
    with a.opened(names, feeds[0]) as ours, b.opened([matching.pairs[n] for n in names], others[0]) as theirs:
        for own, other in zip(feeds, others, strict=True):
            for name, x, y in zip(names, ours.run(own).values(), theirs.run(other).values(), strict=True):
                found[name].add(x, y)
    return tuple(_row(a, name, d) for name, d in found.items())


def renamed(feeds: Feeds, pairs: Mapping[str, str]) -> dict[str, Array]:
    return {pairs[name]: array for name, array in feeds.items() if name in pairs}


def _row(a: Side, name: str, d: OutputDistance) -> OutputError:
    rows = d.row_errors
    maker = a.graph.makers.get(name)
    return OutputError(
        tensor=name,
        node="" if maker is None else a.graph.label(maker),
        error=d.whole.error,
        special=d.whole.special,
        shapes=() if d.whole.shapes is None else d.whole.shapes,
        worst_row=float(rows.max(initial=0.0)),
        rows=len(rows),
        lost_rows=int((rows > LOST).sum()),
        quiet=d.share and max(d.whole.greatest, d.whole.other_greatest) < QUIET,
        values=d.values,
        neither=0 if d.whole.shapes else d.values - d.whole.count - d.whole.special,
    )


def verdict_of(
    outputs: Sequence[OutputError],
    limits: tuple[float, float],
    by_row: bool,
    jumps: Sequence[Jump],
    alone: Sequence[str],
    untested: int,
    tried: str,
) -> tuple[Verdict, str]:
    """Equal only where every output was compared and nothing inside differs. by_row: whether the limits hold for every row
    too, as float32 can keep them. alone: A's outputs without a partner. untested: nodes that could not
    be run alone; tried: what else was."""
    if not outputs:
        return "not enough", "no output of A has a partner in B: these are other networks, or other exports of one"
    worst = max(outputs, key=lambda o: _judged(o, by_row))
    error = _judged(worst, by_row)
    if error > limits[1]:
        return "differ", f"output {worst.tensor}: {_said(worst, by_row)}, above {limits[1]:.2g}"
    lost = [o for o in outputs if o.lost_rows > LOST_SHARE * o.rows]
    if lost:
        return (
            "differ",
            f"output {lost[0].tensor}: {lost[0].lost_rows} of {lost[0].rows} rows keep nothing of their variation",
        )
    empty = [o.tensor for o in outputs if o.says_nothing]
    if empty:
        return (
            "not enough",
            f"output {short_list(empty, 3)}: NaN or infinite on both sides throughout, which is no agreement",
        )
    if alone:
        return "not enough", f"outputs without a partner in B: {short_list(list(alone), 3)}; the others agree"
    if error > limits[0]:
        return "not enough", (
            f"output {worst.tensor}: {_said(worst, by_row)}, between {limits[0]:.2g} and {limits[1]:.2g}: the task's metric "
            "says whether it counts"
        )
    if jumps:
        nodes = count_of(len(jumps), "node answers", "nodes answer")
        return (
            "not enough",
            f"outputs agree on these inputs, but {nodes} otherwise on equal ones: other inputs may show it",
        )
    but = f" but {count_of(untested, 'node')} that could not be run alone" if untested else ""
    return "equal", f"every output within {limits[0]:.2g} of its spread, and {tried} on equal inputs{but}"


def _judged(o: OutputError, by_row: bool) -> float:
    return max(o.error, o.worst_row) if by_row else o.error


def _said(o: OutputError, by_row: bool) -> str:
    if o.shapes:
        return f"shape {o.shapes[0]} in A, {o.shapes[1]} in B"
    if o.special:
        return f"{count_of(o.special, 'value')} NaN or infinite on one side alone"
    if by_row and o.worst_row > o.error:
        return f"an error of {o.worst_row:.2g} of its spread in the worst of {o.rows} rows"
    return f"an error of {o.error:.2g} of its spread"
