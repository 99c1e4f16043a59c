"""A line a cell: the median of each stage, then the whole. For: the terminal. Not for: checks and verdicts (tables.py)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from rich.table import Table

from seatrial.errors import flag
from seatrial.history.records import CellRecord, Measured
from seatrial.report.backend_words import io_policies, named_backends
from seatrial.report.percentiles import median, missing, shown_percentiles, tail_of
from seatrial.stages import END_TO_END, POSTPROCESS, PREPROCESS
from seatrial.units import format_bytes, format_rate, format_seconds

Columns = dict[str, Callable[[CellRecord], str]]

_SHORT = {PREPROCESS: "pre", POSTPROCESS: "post"}


def stage_table(cells: list[CellRecord], width: int, asked: Sequence[str] = ()) -> Table:
    """Milliseconds a batch. A narrow terminal gets fewer columns, not folded ones, and says which are missing.

    asked: percentiles that budgets limit: they have a column too, and keep it longest.
    """
    columns = _columns(cells, shown_percentiles(asked))
    left_out = _too_many(columns, cells, width, asked)
    columns = {name: text for name, text in columns.items() if name not in left_out}
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 1, 0, 0))
    for name in columns:
        table.add_column(name, justify="left" if name == "cell" else "right", no_wrap=True)
    for c in cells:
        table.add_row(*(text(c) for text in columns.values()))
    table.caption = "\n".join(_notes(cells, columns, left_out, width))
    table.caption_justify = "left"
    return table


def _columns(cells: list[CellRecord], percentiles: Sequence[str]) -> Columns:
    """All that there are, by their heads."""
    accuracy = next((c.accuracy.metric for c in cells if c.accuracy and c.accuracy.value), "")
    columns: Columns = {"cell": lambda c: f"{c.pipeline} {c.configuration}"}
    columns |= {_SHORT.get(name, name): partial(_stage_ms, name) for name in cells[0].stages if name != END_TO_END}
    columns["p50"] = lambda c: median(c.stages[END_TO_END].p50, _ms)
    columns |= {p: partial(_percentile_ms, percentiles, p) for p in percentiles}
    columns["n"] = lambda c: str(c.stages[END_TO_END].p50.n)
    columns["images/s"] = lambda c: _or_dash(c.measured.throughput, lambda v: format_rate(v).removesuffix(" images/s"))
    columns["memory"] = lambda c: _or_dash(c.measured.peak_memory, format_bytes)
    columns["cold start"] = lambda c: _or_dash(c.measured.cold_start, format_seconds)
    if accuracy:
        columns[accuracy] = _accuracy_column
    if any(c.across and c.across.agreement is not None for c in cells):
        columns["agrees"] = lambda c: (
            f"{c.across.agreement:.1%}" if c.across and c.across.agreement is not None else "–"
        )
    return columns


def _too_many(columns: Columns, cells: list[CellRecord], width: int, asked: Sequence[str]) -> list[str]:
    """The names of those for which there is no room, as they stand: what takes little time or no budget is about goes first."""
    spent = {_SHORT.get(name, name): s.share for name, s in cells[0].stages.items() if name != END_TO_END}
    unasked = [p for p in shown_percentiles(asked) if p not in asked]
    first = [p for p in unasked if p != "p99" or asked]
    stages = sorted(spent, key=lambda name: spent[name])
    order = ["cold start", "memory", *first, "n", *stages, "images/s", *unasked, *reversed(shown_percentiles(asked))]
    widths = {name: _width_of(name, text, cells) for name, text in columns.items()}
    gone: list[str] = []

    def too_wide(without: Sequence[str]) -> bool:
        # No blank stands behind the last one.
        return sum(w for name, w in widths.items() if name not in without) - 1 > width

    for name in dict.fromkeys(order):
        if too_wide(gone):
            gone.append(name)
    # A wide one that went last may leave room for a narrow one before it.
    for name in reversed(gone.copy()):
        if not too_wide(rest := [n for n in gone if n != name]):
            gone = rest
    return [name for name in columns if name in gone]


def _notes(cells: list[CellRecord], columns: Columns, left_out: list[str], width: int) -> Iterator[str]:
    shown = [p for p in columns if p[0] == "p" and p[1:].isdigit()]
    heads = ["stages: median"] if any(_SHORT.get(s, s) in columns for s in cells[0].stages) else []
    heads.append(f"{' to '.join(dict.fromkeys((shown[0], shown[-1])))}: end to end; milliseconds a batch")
    line = "; ".join(heads) + (", n batches" if "n" in columns else "")
    yield line + ("; agrees: results like the reference pipeline's" if "agrees" in columns else "")
    if left_out:
        yield f"{width} columns: {', '.join(left_out)} left out; wider, or {flag('json')}"
    yield from named_backends(cells)
    yield f"I/O: {'; '.join(io_policies(cells))}"
    yield from missing((p, getattr(c.stages[END_TO_END], p), columns[p](c)) for p in shown for c in cells)


def _or_dash(m: Measured | None, text: Callable[[float], str]) -> str:
    return "–" if m is None else text(m.value)


def _accuracy_column(cell: CellRecord) -> str:
    if cell.accuracy and cell.accuracy.value:
        return f"{cell.accuracy.value.value:.3f}"
    return "undefined" if cell.accuracy_note else "–"


def _width_of(name: str, text: Callable[[CellRecord], str], cells: list[CellRecord]) -> int:
    return max(len(name), *(len(text(c)) for c in cells)) + 1


def _percentile_ms(names: Sequence[str], name: str, cell: CellRecord) -> str:
    return tail_of(cell.stages[END_TO_END], names, _ms)[names.index(name)]


def _stage_ms(stage: str, cell: CellRecord) -> str:
    return _ms(cell.stages[stage].p50.value)


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:#.3g}".rstrip(".")
