"""The list of the runs that are kept, for a terminal. Not for: finding them (history/find.py)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from seatrial.errors import printable
from seatrial.report.comparison_text import STYLES as COMPARISON_STYLES
from seatrial.report.parity_text import STYLES as PARITY_STYLES
from seatrial.report.tables import STYLES
from seatrial.units import format_seconds

# With less room for a path the machine's name goes, where it is everywhere the same.
LEAST_FOR_PATHS = 20
# Kinds whose subject is two things held against each other, and which have no cells of their own.
SENTENCES = ("compare", "parity")
# Behind the name of a first trial, which no plan's file stands for (trial/quick.py).
IN_MEMORY = " (plan in memory)"


def print_runs(out: Console, rows: Sequence[Mapping[str, object]], results: Path) -> None:
    """rows: run, machine and verdict each, with kind, cells, wall_s and plan where they are known, or why they are not."""
    if not rows:
        out.print(f"no runs in {results}; 'seatrial demo' makes the first one", markup=False)
        return
    lines = [_line(row) for row in rows]
    heads = ["run", "machine", "verdict", "cells", "took", "plan"]
    # The last one takes what is left: of a path its end tells more than its beginning.
    left = out.width - sum(2 + max(len(line[n]) for line in [heads, *lines]) for n in range(len(heads) - 1))
    if left < LEAST_FOR_PATHS and len({row["machine"] for row in rows}) == 1:
        left += 2 + max(len(line[1]) for line in [heads, *lines])
        heads, lines = [heads[0], *heads[2:]], [[line[0], *line[2:]] for line in lines]
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    for name in heads:
        # What 'report' takes is never cut.
        table.add_column(name, no_wrap=name != "plan", overflow="fold")
    for row, (*facts, subject) in zip(rows, lines, strict=True):
        cells = [
            Text(word, _style(word) if head == "verdict" else "") for head, word in zip(heads, facts, strict=False)
        ]
        table.add_row(*cells, Text(subject if _is_sentence(row) else cut(subject, max(LEAST_FOR_PATHS, left))))
    out.print(table)


def _line(row: Mapping[str, object]) -> list[str]:
    took = format_seconds(float(str(row["wall_s"]))) if "wall_s" in row else "–"
    ran = "–" if row.get("kind") in SENTENCES else str(row.get("cells", "–"))
    subject = str(row["why"]) if "why" in row else _subject(str(row.get("plan", "")))
    return [str(row["run"]), str(row["machine"]), str(row["verdict"]), ran, took, printable(subject)]


def _is_sentence(row: Mapping[str, object]) -> bool:
    """What breaks between words; a path has none."""
    return "why" in row or row.get("kind") in SENTENCES


def _style(verdict: str) -> str:
    return (STYLES | COMPARISON_STYLES | PARITY_STYLES).get(verdict, "")


def _subject(told: str) -> str:
    """As a user here would type it."""
    path = Path(told.removesuffix(IN_MEMORY))
    here = Path.cwd()
    own = str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
    return f"{own} (tried)" if told.endswith(IN_MEMORY) else told if path.name == told else own


def cut(path: str, width: int) -> str:
    """In its middle, where it is too long: the first few letters and as much of the end as there is room for."""
    if len(path) <= width:
        return path
    begin = width // 5
    return f"{path[:begin]}…{path[len(path) - (width - begin - 1) :]}"
