"""How right a cell's answers are, as one number a cell: the task's metric, or where there is no truth what parity has.

For: the plot of accuracy against latency. Not for: verdicts (gate/).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from seatrial.history.records import CellRecord, ParityResult
from seatrial.report.choice import ERRORS, metric_of


@dataclass(frozen=True)
class Rightness:
    """label: what the numbers are. values: by the cell's id. exact: the value that stands for no difference at all, above all
    others; None where the numbers say that by themselves. less_is_better: of the task's own errors. most: what none can be more
    than; None where there is no such number."""

    label: str
    values: Mapping[str, float]
    exact: float | None = None
    less_is_better: bool = False
    most: float | None = None

    def goodness(self, cell: CellRecord) -> float:
        value = self.values[cell.id]
        return -value if self.less_is_better else value


def rightness_of(cells: Sequence[CellRecord]) -> Rightness | None:
    """The metric; without one the share of results that are the reference cell's, or where all of them are the noise of the
    outputs. None where fewer than two cells have a figure of one kind, or none differs from the reference."""
    return _by_metric(cells) or _by_agreement(cells) or _by_noise(cells)


def _by_metric(cells: Sequence[CellRecord]) -> Rightness | None:
    found = {c.id: v for c in cells if (v := metric_of(c)) is not None}
    metrics = {c.accuracy.metric for c in cells if c.id in found and c.accuracy is not None}
    if len(found) < 2 or len(metrics) != 1:
        return None
    (metric,) = metrics
    return Rightness(metric, found, less_is_better=metric in ERRORS, most=None if metric in ERRORS else 1.0)


def _by_agreement(cells: Sequence[CellRecord]) -> Rightness | None:
    found = {c.id: p.agreement for c in cells if (p := c.parity) and p.agreement is not None}
    if min(found.values(), default=1.0) == 1.0:
        return None
    found |= dict.fromkeys(_references(cells, found), 1.0)
    return Rightness("share of results that are the reference's", found, most=1.0) if len(found) > 1 else None


def _by_noise(cells: Sequence[CellRecord]) -> Rightness | None:
    noise = {c.id: _least_db(p) for c in cells if (p := c.parity) and p.tensors}
    differing = {i: v for i, v in noise.items() if isinstance(v, float)}
    if not differing:
        return None
    low, high = min(differing.values()), max(differing.values())
    exact = high + max(10.0, (high - low) * 0.15)
    same = [i for i, v in noise.items() if v == "none"]
    found = differing | dict.fromkeys([*same, *_references(cells, noise)], exact)
    label = "signal to noise of the outputs, dB"
    return Rightness(label, found, exact) if len(found) > 1 else None


def _least_db(parity: ParityResult) -> float | str:
    """Of the worst output; 'none' where no output differs, '' where it cannot be said."""
    if any(t.nan_mismatch or (t.sqnr_db is None and t.max_abs > 0) for t in parity.tensors):
        return ""
    return min((t.sqnr_db for t in parity.tensors if t.sqnr_db is not None), default="none")


def _references(cells: Sequence[CellRecord], compared: Mapping[str, object]) -> list[str]:
    """Cells that these were compared with."""
    references = {c.parity.reference for c in cells if c.parity and c.id in compared}
    return [c.id for c in cells if c.id in references and c.id not in compared]
