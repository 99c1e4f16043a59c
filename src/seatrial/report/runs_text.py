"""The list of the runs that are kept, for a terminal. Not for: finding them (history/find.py)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from seatrial.report.comparison_text import STYLES as COMPARISON_STYLES
from seatrial.report.tables import STYLES
from seatrial.units import format_seconds


def print_runs(out: Console, rows: Sequence[Mapping[str, object]], results: Path) -> None:
    """rows: run, machine and verdict each, with kind, cells, wall_s and plan where they are known, or why they are not."""
    if not rows:
        out.print(f"no runs in {results}; 'seatrial demo' makes the first one", markup=False)
        return
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("run", "machine", "verdict", "cells", "took", "plan"):
        table.add_column(name)
    for row in rows:
        verdict = str(row["verdict"])
        took = format_seconds(float(str(row["wall_s"]))) if "wall_s" in row else "–"
        style = (STYLES | COMPARISON_STYLES).get(verdict, "")
        cells = [Text(str(row["run"])), Text(str(row["machine"])), Text(verdict, style)]
        ran = "–" if row.get("kind") == "compare" else str(row.get("cells", "–"))
        table.add_row(*cells, ran, took, Text(str(row.get("plan", row.get("why", "")))))
    out.print(table)
