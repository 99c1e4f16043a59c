"""Records as terminal tables. For: what a person reads after a command. Not for: files."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from rich.console import Console
from rich.table import Table
from rich.text import Text

from seatrial.history.records import CellRecord, Record, configuration
from seatrial.report.groups import group_decisions
from seatrial.units import format_bytes, format_rate, format_seconds

STYLES = {"PASS": "bold green", "FAIL": "bold red", "INCONCLUSIVE": "bold yellow"}


def print_record(out: Console, record: Record) -> None:
    """Stages of every cell, then the checks, then the verdict: what matters most stands last, above the prompt."""
    ok = [c for c in record.cells if c.status == "ok"]
    if ok:
        out.print(stage_table(ok, out.width))
    for cell in record.cells:
        if cell.status == "failed":
            out.print(Text(f"✗ {cell.pipeline} · {configuration(cell.id)}: {cell.reason}", "red"))
            for line in cell.last_output.splitlines()[-4:]:
                out.print(Text(f"    {line}", "dim"))
    if record.comparisons:
        from seatrial.cli.compare import print_comparison

        for c in record.comparisons:
            print_comparison(out, c)
    if record.kind == "trial":
        out.print(verdict_table(record))
        print_reasons(out, record)
    unsettled = sum(not c.converged for c in ok)
    if unsettled:
        what = f"{unsettled} of {len(ok)} cells" if len(ok) > 1 else "the measurement"
        out.print(
            f"NOT CONVERGED: {what} ran into the time limit before the median was known closely enough", style="yellow"
        )
    for d in record.environment.get("disturbances", [])[:3]:
        out.print(f"note: {d['what']}; {d['cure']}", style="dim")


_SHORT = {"preprocess": "pre", "postprocess": "post"}


def stage_table(cells: list[CellRecord], width: int) -> Table:
    """Median of each stage, then the whole: milliseconds a batch. A narrow terminal gets fewer columns, not folded ones."""
    names = [s for s in cells[0].stages if s != "end_to_end"]
    accuracy = next((c.accuracy_name for c in cells if c.accuracy), "")
    columns: dict[str, Callable[[CellRecord], str]] = {"cell": lambda c: f"{c.pipeline} {c.configuration}"}
    columns |= {_SHORT.get(name, name): partial(_stage_ms, name) for name in names}
    columns["p50"] = lambda c: _ms(c.stages["end_to_end"].p50.value)
    columns["p90"] = lambda c: _ms(c.stages["end_to_end"].p90.value)
    columns["p99"] = lambda c: _ms(c.stages["end_to_end"].p99.value) + _star(c)
    columns["n"] = lambda c: str(c.stages["end_to_end"].p50.n)
    columns["images/s"] = lambda c: format_rate(c.throughput.value).removesuffix(" images/s") if c.throughput else "–"
    columns["memory"] = lambda c: format_bytes(c.peak_memory.value) if c.peak_memory else "–"
    columns["cold start"] = lambda c: format_seconds(c.cold_start.value) if c.cold_start else "–"
    if accuracy:
        columns[accuracy] = lambda c: f"{c.accuracy.value:.3f}" if c.accuracy else "–"
    if any(c.across and c.across.agreement is not None for c in cells):
        columns["agrees"] = lambda c: (
            f"{c.across.agreement:.1%}" if c.across and c.across.agreement is not None else "–"
        )
    for dispensable in ("cold start", "memory", "p90", "n", *(_SHORT.get(n, n) for n in names)):
        if _width_of(columns, cells) > width:
            del columns[dispensable]
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 1, 0, 0))
    for name in columns:
        table.add_column(name, justify="left" if name == "cell" else "right", no_wrap=True)
    for c in cells:
        table.add_row(*(text(c) for text in columns.values()))
    star = "; * too few independent samples to bound p99 from above" if any(map(_star, cells)) else ""
    agrees = "; agrees: results like the reference pipeline's" if "agrees" in columns else ""
    policies = "; ".join(dict.fromkeys(c.io_policy for c in cells))
    table.caption = (
        f"stages: median; p50 to p99: end to end; milliseconds a batch, n batches{agrees}{star}\nI/O: {policies}"
    )
    table.caption_justify = "left"
    return table


def _width_of(columns: dict[str, Callable[[CellRecord], str]], cells: list[CellRecord]) -> int:
    return sum(max(len(name), *(len(text(c)) for c in cells)) + 1 for name, text in columns.items())


def _star(cell: CellRecord) -> str:
    return "*" if cell.stages["end_to_end"].p99.warnings else ""


def _stage_ms(stage: str, cell: CellRecord) -> str:
    return _ms(cell.stages[stage].p50.value)


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:#.3g}".rstrip(".")


def verdict_table(record: Record) -> Table:
    """One line a check and pipeline: the value of its worst cell, and how many cells it stands for."""
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("", "check", "pipeline", "value", "limit", "cells"):
        right = name in ("value", "limit", "cells")
        table.add_column(name, justify="right" if right else "left", no_wrap=name != "check", overflow="fold")
    for row in group_decisions(record.decisions, record.cells):
        verdict = Text(row.worst.verdict, STYLES[row.worst.verdict])
        count = f"{row.bad}/{row.cells}" if row.bad else str(row.cells)
        table.add_row(verdict, row.worst.check, row.pipeline, row.value, row.limit, count)
    return table


def print_reasons(out: Console, record: Record) -> None:
    """Why each check that did not pass did not."""
    for row in group_decisions(record.decisions, record.cells):
        if row.bad:
            where = f"{row.bad} of {row.cells} cells; worst {row.where}" if row.cells > 1 else row.where
            text = Text.assemble((row.worst.verdict, STYLES[row.worst.verdict]), f" {row.worst.check}")
            text.append(f" · {row.pipeline}" if row.pipeline else "")
            text.append(f": {row.worst.reason}" + (f" ({where})" if where else ""))
            out.print(text)


def verdict_line(record: Record) -> Text:
    counts = {v: sum(d.verdict == v for d in record.decisions) for v in STYLES}
    said = ", ".join(f"{n} {v.lower()}" for v, n in counts.items() if n)
    return Text.assemble(
        (record.verdict, STYLES[record.verdict]),
        f"  {len(record.decisions)} checks: {said}; {format_seconds(record.wall_s)}",
    )
