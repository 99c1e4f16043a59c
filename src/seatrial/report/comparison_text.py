"""A comparison in the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from seatrial.errors import printable
from seatrial.history.records import Comparison, Measured, Record
from seatrial.report.hanging import hanging, sentence
from seatrial.units import change_words, format_seconds

STYLES = {"REGRESSION": "bold red", "IMPROVED": "bold green", "EQUIVALENT": "bold green", "INCONCLUSIVE": "bold yellow"}


def print_comparison(out: Console, c: Comparison) -> None:
    """Both sides, the change with its interval, and A against itself beside it."""
    print_sides(out, c.a, c.b)
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("what", "value", "more"):
        table.add_column(name, overflow="fold")
    table.add_row(
        f"{c.metric} {c.stage}", f"A {format_seconds(c.a_value.value)}", f"B {format_seconds(c.b_value.value)}"
    )
    table.add_row("B against A", change_words(c.change.value), _span(c.change))
    if c.control:
        table.add_row("A against A", change_words(c.control.value), _span(c.control))
    if c.noise_floor is not None:
        spread = (
            f"pairs' sd {100 * c.pairs_sd:.2f} %, A against A {100 * c.noise_sd:.2f} %"
            if c.pairs_sd is not None and c.noise_sd is not None
            else ""
        )
        table.add_row("noise floor", f"{100 * c.noise_floor:.2f} %", spread)
    if c.detectable is not None:
        count = f"{len(c.pairs)} rounds of {c.pairs[0].blocks} turns of {c.pairs[0].burst}" if c.pairs else ""
        table.add_row("detectable", f"{100 * c.detectable:.2f} %", count)
    if c.builds:
        ran = [f"{name.upper()} {count}" for name, count in c.builds.items()]
        table.add_row("builds", ", ".join(ran), "independent ones of the engine, which differ in speed")
    out.print(table)
    if c.pairs and c.asked and c.change.confidence and c.change.confidence > c.asked.confidence:
        total = f"all of which together are right in {100 * c.asked.confidence:.3g} %"
        sentence(out, f"{100 * c.change.confidence:.3g} %: of each of several looks at the rounds, {total}", "dim")
    for warning in c.warnings:
        sentence(out, str(warning), "yellow")


def print_sides(out: Console, a: str, b: str) -> None:
    """Side by side where there is room, and below each other where not."""
    both = Text.assemble(("A ", "bold"), printable(a), ("   B ", "bold"), printable(b))
    if both.cell_len <= out.width:
        out.print(both)
        return
    hanging(out, ("A ", "bold"), a)
    hanging(out, ("B ", "bold"), b)


def _span(m: Measured) -> str:
    if not m.interval or m.interval[0] is None or m.interval[1] is None:
        return "; ".join(map(str, m.warnings))
    return (
        f"{100 * (m.confidence or 0.95):.3g} % interval {change_words(m.interval[0])} to {change_words(m.interval[1])}"
    )


def print_verdict(out: Console, record: Record) -> None:
    for c in record.comparisons:
        what = f"{c.metric}: " if len(record.comparisons) > 1 else ""
        hanging(out, (f"{c.verdict}  ", STYLES[c.verdict]), f"{what}{c.reason}")
    style = {"PASS": "bold green", "FAIL": "bold red"}.get(record.verdict, "bold yellow")
    out.print(Text.assemble((record.verdict, style), f"  {format_seconds(record.wall_s)}"))
