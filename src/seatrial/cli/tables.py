"""Records as terminal tables. For: what a person reads after a command. Not for: files."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from seatrial.history.records import CellRecord, Record
from seatrial.report.groups import configuration, group_decisions
from seatrial.units import format_bytes, format_rate, format_seconds

STYLES = {"PASS": "bold green", "FAIL": "bold red", "INCONCLUSIVE": "bold yellow"}


def print_record(out: Console, record: Record) -> None:
    """Stages of every cell, then the checks, then the verdict: what matters most stands last, above the prompt."""
    ok = [c for c in record.cells if c.status == "ok"]
    if ok:
        out.print(stage_table(ok))
    for cell in record.cells:
        if cell.status == "failed":
            out.print(Text(f"✗ {cell.pipeline} · {configuration(cell.id)}: {cell.reason}", "red"))
            for line in cell.last_output.splitlines()[-4:]:
                out.print(Text(f"    {line}", "dim"))
    if record.kind == "trial":
        out.print(verdict_table(record))
    unsettled = sum(not c.converged for c in ok)
    if unsettled:
        what = f"{unsettled} of {len(ok)} cells" if len(ok) > 1 else "the measurement"
        out.print(
            f"NOT CONVERGED: {what} ran into the time limit before the median was known closely enough", style="yellow"
        )
    for d in record.environment.get("disturbances", [])[:3]:
        out.print(f"note: {d['what']}; {d['cure']}", style="dim")


_SHORT = {"preprocess": "pre", "postprocess": "post"}


def stage_table(cells: list[CellRecord]) -> Table:
    """Median of each stage, then the whole: milliseconds a batch."""
    names = [s for s in cells[0].stages if s != "end_to_end"]
    accuracy = next((c.accuracy_name for c in cells if c.accuracy), "")
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("cell", no_wrap=True)
    for name in (*(_SHORT.get(n, n) for n in names), "p50", "p90", "p99", "n", "images/s", "memory", "cold start"):
        table.add_column(name, justify="right", no_wrap=True)
    if accuracy:
        table.add_column(accuracy, justify="right", no_wrap=True)
    for c in cells:
        end = c.stages["end_to_end"]
        assert c.throughput
        assert c.peak_memory
        assert c.cold_start
        row = [f"{c.pipeline} {configuration(c.id)}"]
        row += [_ms(c.stages[n].p50.value) for n in names]
        row += [_ms(end.p50.value), _ms(end.p90.value), _ms(end.p99.value) + ("*" if end.p99.warnings else "")]
        row += [str(end.p50.n), format_rate(c.throughput.value).removesuffix(" images/s")]
        row += [format_bytes(c.peak_memory.value), format_seconds(c.cold_start.value)]
        if accuracy:
            row.append(f"{c.accuracy.value:.3f}" if c.accuracy else "–")
        table.add_row(*row)
    star = (
        "; * too few independent samples to bound p99 from above"
        if any(c.stages["end_to_end"].p99.warnings for c in cells)
        else ""
    )
    table.caption = f"stages: median, p50 to p99: end to end, all in milliseconds a batch; n batches{star}"
    table.caption_justify = "left"
    return table


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:#.3g}".rstrip(".")


def verdict_table(record: Record) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    for name, justify in (
        ("", "left"),
        ("check", "left"),
        ("pipeline", "left"),
        ("value", "right"),
        ("limit", "right"),
        ("why", "left"),
    ):
        table.add_column(name, justify=justify, overflow="fold", no_wrap=name in ("", "check", "value", "limit"))  # type: ignore[arg-type]
    for row in group_decisions(record.decisions, record.cells):
        why = row.worst.reason
        if row.cells > 1:
            count = f"{row.bad} of {row.cells} cells do not pass; worst" if row.bad else f"worst of {row.cells} cells"
            why += f" ({count}: {row.where})"
        elif row.where:
            why += f" ({row.where})"
        verdict = Text(row.worst.verdict, STYLES[row.worst.verdict])
        table.add_row(
            verdict, row.worst.check, row.pipeline, row.value, row.limit, Text(why, "dim" if row.bad == 0 else "")
        )
    return table


def verdict_line(record: Record) -> Text:
    counts = {v: sum(d.verdict == v for d in record.decisions) for v in STYLES}
    said = ", ".join(f"{n} {v.lower()}" for v, n in counts.items() if n)
    return Text.assemble(
        (record.verdict, STYLES[record.verdict]),
        f"  {len(record.decisions)} checks: {said}; {format_seconds(record.wall_s)}",
    )
