"""Figures by class as a table: the worst classes of all cells, a column for cells that agree on all of them.

For: the report. Not for: the figures, which the record has (trial/by_class.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from seatrial.history.records import CellRecord, ClassFigure, configuration
from seatrial.units import format_value

MOST_ROWS = 12


@dataclass(frozen=True)
class ClassTable:
    """heads: of the columns; rows: a class, how many there are of it, and its figure by column. classes: how many there are."""

    metric: str
    heads: list[str]
    rows: list[tuple[str, int, list[str]]]
    classes: int


def class_table(cells: Sequence[CellRecord]) -> ClassTable | None:
    """None where fewer than two classes are told apart. A class that is none of a cell's worst in the record has a dash."""
    columns: dict[tuple[str, tuple[ClassFigure, ...]], list[CellRecord]] = {}
    for c in cells:
        if c.accuracy is not None and c.accuracy.classes > 1:
            columns.setdefault((c.pipeline, c.accuracy.by_class), []).append(c)
    if not columns:
        return None
    first = next(iter(columns.values()))[0].accuracy
    assert first is not None
    worst: dict[str, ClassFigure] = {}
    for figure in sorted((f for _, own in columns for f in own), key=lambda f: (f.value, -f.n)):
        worst.setdefault(figure.name, figure)
    by_column = [{f.name: format_value(f.value, "fraction") for f in own} for _, own in columns]
    rows = [(f.name, f.n, [own.get(f.name, "–") for own in by_column]) for f in list(worst.values())[:MOST_ROWS]]
    metric = "AP" if first.metric.endswith("mAP") else first.metric.replace("mIoU", "IoU")
    return ClassTable(metric, [_head(own) for own in columns.values()], rows, first.classes)


def _head(cells: Sequence[CellRecord]) -> str:
    more = f" and {len(cells) - 1} more" if len(cells) > 1 else ""
    return f"{cells[0].pipeline} · {configuration(cells[0].id)}{more}"
