"""A contest of kernels for a terminal. Not for: running one (contests/)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from rich.console import Console
from rich.table import Table
from rich.text import Text

from seatrial.report.hanging import hanging, sentence
from seatrial.units import format_seconds


class ContestLine(Protocol):
    """One comparison of a contest, as contests/table.py makes it: seconds of both, their ratio and its interval."""

    @property
    def work(self) -> str: ...
    @property
    def group(self) -> str: ...
    @property
    def peer(self) -> str: ...
    @property
    def is_floor(self) -> bool: ...
    @property
    def ours_s(self) -> float: ...
    @property
    def theirs_s(self) -> float: ...
    @property
    def ratio(self) -> float: ...
    @property
    def interval(self) -> tuple[float | None, float | None]: ...


def print_contests(out: Console, simd: str, facts: Mapping[str, Any], lines: Sequence[ContestLine]) -> None:
    """facts: as machine.environment gives them. simd: the level that ran."""
    table = Table(title=f"kernels: {simd} on {facts['cpu']}", title_justify="left", box=None, pad_edge=False)
    for column, right in (("work", 0), ("seatrial", 1), ("against", 0), ("theirs", 1), ("ratio", 1), ("95 %", 1)):
        table.add_column(column, justify="right" if right else "left", no_wrap=bool(right), overflow="fold")
    for n, line in enumerate(lines):
        low, high = ("?" if v is None else f"{v:.2f}" for v in line.interval)
        first = n == 0 or lines[n - 1].work != line.work
        against = line.peer if line.is_floor else f"{line.peer} ({line.group})"
        floor = Text(f"{line.ratio:.2f} × it", "dim")
        ratio = floor if line.is_floor else Text(f"{line.ratio:.1f} × faster", "bold")
        table.add_row(
            line.work if first else "",
            format_seconds(line.ours_s),
            against,
            format_seconds(line.theirs_s),
            ratio,
            f"{low} – {high}",
        )
    out.print(table)
    said = (
        "Ratios compare within one run; the times are this machine's, today. 'memory floor': each needed cache line read "
        "once and the output written once; nothing can be faster."
    )
    sentence(out, said, "dim")
    for d in facts["disturbances"]:
        hanging(out, ("note: ", "yellow"), f"{d['text']}; {d['cure']}", "yellow")
