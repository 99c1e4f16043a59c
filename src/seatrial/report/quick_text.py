"""A first trial on one screen: a line a backend, what was not checked. Not for: plans' trials (tables.py)."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from seatrial.history.records import CellRecord, Decision, Record
from seatrial.report.groups import group_warnings
from seatrial.report.hanging import hanging, sentence
from seatrial.report.percentiles import median, missing, tail_of
from seatrial.report.tables import STYLES, print_reasons
from seatrial.stages import END_TO_END
from seatrial.units import format_bytes, format_rate, format_seconds
from seatrial.warning import Warning

# Said in words of this page's own, or of pictures that are not the user's.
_SAID_HERE = ("check-marks", "not-converged", "other-files", "reduced-weights")
MOST_WARNINGS = 3


def print_quick(
    out: Console, record: Record, refused: Sequence[tuple[str, str]], unchecked: Sequence[str], pictures: str
) -> None:
    """refused: backends that are here and do not run the model, with why. unchecked: what this cannot say. pictures: that
    were run, and of how many."""
    if any(c.status == "ok" for c in record.cells):
        out.print(quick_table(record))
        _print_footnotes(out, record, pictures)
    for cell in record.cells:
        if cell.status == "failed":
            hanging(out, ("✗ ", "bold red"), f"{cell.backend}: {cell.reason}", "red")
    for name, why in refused:
        hanging(out, ("✗ ", "bold red"), f"{name} does not run it: {why}")
    for seen in dict.fromkeys(c.seen for c in record.cells if c.seen):
        hanging(out, ("saw: ", "dim"), seen, "dim")
    _print_warnings(out, [w for w in group_warnings(record) if w.code not in _SAID_HERE])
    print_reasons(out, record)
    word, said, style = verdict_words(record)
    hanging(out, (f"{word}  ", style), said)
    for line in unchecked:
        hanging(out, ("not checked: ", "yellow"), line)


def quick_table(record: Record) -> Table:
    """Latency end to end in milliseconds a batch, throughput, peak memory, and whether the results are the reference's."""
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("backend", "p50 ms", "p90 ms", "images/s", "memory", "results"):
        table.add_column(name, justify="left" if name in ("backend", "results") else "right", no_wrap=name != "results")
    for cell in record.cells:
        if cell.status != "ok":
            continue
        end, measured = cell.stages[END_TO_END], cell.measured
        rate = format_rate(measured.throughput.value).removesuffix(" images/s") if measured.throughput else "–"
        memory = format_bytes(measured.peak_memory.value) if measured.peak_memory else "–"
        said, style = agreement_words(cell, [d for d in record.decisions if d.cell == cell.id])
        table.add_row(
            cell.backend, median(end.p50, _ms), tail_of(end, ["p90"], _ms)[0], rate, memory, Text(said, style)
        )
    return table


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:#.3g}".rstrip(".")


def agreement_words(cell: CellRecord, decisions: Sequence[Decision]) -> tuple[str, str]:
    """Against the reference, and a style. Nothing that was not compared is said to agree."""
    verdicts = {d.verdict for d in decisions if d.check != "cells run"}
    if "FAIL" in verdicts:
        return "DIFFER" if cell.parity else "broken", STYLES["FAIL"]
    if cell.parity is None:
        return "the reference", ""
    if verdicts != {"PASS"}:
        return "not known", STYLES["INCONCLUSIVE"]
    parity = cell.parity
    if parity.agreement is None:
        return "agree (raw outputs)", "green"
    return f"agree ({parity.agreement:.1%} of {parity.agreement_of or 'results'})", "green"


def verdict_words(record: Record) -> tuple[str, str, str]:
    """The record's verdict as a word, what it means and no more, and a style. 'PASS' is said only of what was compared."""
    ran = [c for c in record.cells if c.status == "ok"]
    names = " and ".join(c.backend for c in ran)
    if record.verdict != "PASS":
        said = {
            "FAIL": "see the reasons above",
            "INCONCLUSIVE": f"{names} ran; whether the results agree is not known, for the reasons above",
        }[record.verdict]
        return record.verdict, said, STYLES[record.verdict]
    if not any(c.parity for c in ran):
        return "RUNS", f"on {names}; there was nothing to compare it with, so nothing is judged", "bold"
    said = f"{names} give the same results, within tolerance; that they are right, nobody checked"
    return "PASS", said, STYLES["PASS"]


def _print_footnotes(out: Console, record: Record, pictures: str) -> None:
    ok = [c for c in record.cells if c.status == "ok"]
    n = ", ".join(str(c.stages[END_TO_END].p50.n) for c in ok)
    took = f"end to end, batch {ok[0].batch}, 1 thread; {n} runs on {pictures}"
    sentence(out, f"{took}; {format_seconds(record.wall_s)}", "dim")
    ends = [c.stages[END_TO_END] for c in ok]
    shown = [("p50", end.p50, median(end.p50)) for end in ends]
    shown += [("p90", end.p90, tail_of(end, ["p90"])[0]) for end in ends]
    for line in missing(shown):
        sentence(out, line, "dim")
    unsettled = [c.backend for c in ok if not c.measured.converged]
    if unsettled:
        asked = (record.plan.resolved or {}).get("measure", {}).get("precision", 0.01)
        said = f"NOT CONVERGED: the time was up before the median of {' and '.join(unsettled)} was known to {asked:.0%}"
        sentence(out, said, "yellow")


def _print_warnings(out: Console, warnings: Sequence[Warning]) -> None:
    """One of each kind, the first few kinds."""
    kinds: dict[str, list[Warning]] = {}
    for warning in warnings:
        kinds.setdefault(warning.code, []).append(warning)
    for alike in list(kinds.values())[:MOST_WARNINGS]:
        others = f" (and {len(alike) - 1} more like it)" if len(alike) > 1 else ""
        hanging(out, ("warning: ", "bold yellow"), f"{alike[0].text}{others}", "yellow")
    if len(kinds) > MOST_WARNINGS:
        hanging(out, ("warning: ", "bold yellow"), f"{len(kinds) - MOST_WARNINGS} more kinds, in the report", "yellow")
