"""What a bench prints: a cell with its latencies and what only its load shows, and a sweep with its knee.

For: the terminal. Not for: the page (html.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from seatrial.errors import flag, printable
from seatrial.history.records import CellRecord, LoadResult, Measured, PythonPath, RatePoint, Record, configuration
from seatrial.report.hanging import hanging, sentence
from seatrial.report.percentiles import bounded, in_a_row, missing, tail_of
from seatrial.stages import END_TO_END, QUEUE, SERVICE
from seatrial.units import format_bytes, format_rate, format_seconds

SPIKES_SHOWN = 3
# What takes longer is not worth a hint.
LONGEST_TOLD_S = 3600
_OF_A_POINT = ("p50", "p90", "p99")
# Of LoadGen's summary; the record and the report have all of it.
_LOADGEN_SHOWN = re.compile(r"Result is|(Completed s|S)amples per second|QPS w/o|(50|90|99)\.00 percentile latency")


def print_bench(out: Console, record: Record) -> None:
    """Each load, what a sweep of them shows, and what disturbed it."""
    from seatrial.report.soak_text import print_soak
    from seatrial.report.tables import print_disturbances, print_warnings

    for number, cell in enumerate(record.cells):
        if number:
            out.print()
        print_cell(out, _name(record, cell), cell)
        if cell.soak:
            print_soak(out, cell.soak, [d for d in record.decisions if d.cell == cell.id])
    print_sweep(out, record.cells)
    print_warnings(out, {w: () for w in record.warnings if w.code != "cut-short"}, len(record.cells))
    print_disturbances(out, record)


def _name(record: Record, cell: CellRecord) -> str:
    """A pipeline's, or that of the file where a model was measured alone."""
    return cell.pipeline if record.plan.path else Path(record.models[cell.pipeline].path).name


def print_cell(out: Console, name: str, cell: CellRecord) -> None:
    """What ran, its latencies with their intervals, and what only this load shows."""
    m, load = cell.measured, cell.load or LoadResult(scenario="single-stream")
    scenario = "" if load.scenario == "single-stream" else f"{configuration(cell.id).split()[-1]} · "
    asked = f"{cell.backend_words} · " if cell.backend_words else ""
    how = f"  {scenario}{asked}{' · '.join(m.backend_details.values())} · batch {cell.batch}"
    sentence(out, Text.assemble((printable(name), "bold"), how))
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("what", "value", "more"):
        table.add_column(name, overflow="fold")
    latency = cell.stages.get(END_TO_END)
    if latency and not load.curve:
        for p in ("p50", "p90", "p99"):
            _add(table, p, getattr(latency, p), _time_needed(cell, p))
        for asked, value in load.percentiles.items():
            _add(table, asked, value)
        for asked, why in load.refused.items():
            table.add_row(asked, "–", Text(why, "yellow"))
        for stage in (QUEUE, SERVICE):
            if stage in cell.stages:
                summary = cell.stages[stage]
                tail = f"median; p99 {tail_of(summary, ['p99'])[0]}"
                table.add_row(stage, format_seconds(summary.p50.value), tail)
        _add_stages(table, cell)
    if m.throughput and not load.curve:
        _add_throughput(table, m.throughput, m.stages[END_TO_END].p50, cell.batch)
    if load.bound:
        _add_search(table, load)
    for s in load.shapes:
        first = (
            f"first run {format_seconds(s.first.value)}; p99 {bounded(s.p99, above=s.p50.value)}; {s.p50.n} requests"
        )
        table.add_row(Text(s.shape), format_seconds(s.p50.value), first)
    if m.cold_start and m.load_time and m.first_inference and m.load_time.value:
        parts = f"load {format_seconds(m.load_time.value)}, first inference {format_seconds(m.first_inference.value)}"
        table.add_row("cold start", format_seconds(m.cold_start.value), parts)
    if m.peak_memory and m.peak_memory.value:
        table.add_row("peak memory", format_bytes(m.peak_memory.value), "of the whole process")
    if load.python_path:
        same = "the same outputs" if load.python_path.same_outputs else "OTHER OUTPUTS"
        beside = f"in turns with {format_seconds(load.python_path.native_p50_s)} by the native loop"
        told = binding_costs(load.python_path)
        said = f"{same}; {beside}" + (f": {told}" if told else "")
        table.add_row("by Python", format_seconds(load.python_path.python_p50_s), said)
    for key, value in load.official.items():
        if _LOADGEN_SHOWN.match(key):
            nanoseconds = key.endswith(" (ns)") and isinstance(value, int)
            table.add_row(
                "LoadGen", format_seconds(value / 1e9) if nanoseconds else Text(str(value)), key.removesuffix(" (ns)")
            )
    out.print(table)
    for point in load.curve:
        _print_point(out, point)
    if load.curve:
        sentence(out, f"rates: ✓ proved to hold {load.bound}, ✗ proved not to, ? neither", "dim")
    for line in missing(_bounded(cell, load)):
        sentence(out, line, "dim")
    cores = ", ".join(map(str, m.affinity)) or "–"
    # Of a process that died nobody can say how it took its inputs.
    kept = [*filter(None, [m.io_policy]), f"warm-up {m.warm_up} runs", f"pinned to core(s) {cores}"]
    sentence(out, "; ".join(kept), "dim")
    _print_spikes(out, cell)
    for warning in cell.warnings:
        sentence(out, str(warning), "yellow")


def _bounded(cell: CellRecord, load: LoadResult) -> Iterator[tuple[str, Measured, str]]:
    """Percentiles that stand without their interval: the name, the value, and how it is shown."""
    for point in load.curve:
        values = (point.p50, point.p90, point.p99)
        yield from zip(_OF_A_POINT, values, in_a_row(point.p50, values[1:]), strict=True)
    yield from (("p99", s.p99, bounded(s.p99, above=s.p50.value)) for s in load.shapes)
    waits = [cell.stages[s] for s in (QUEUE, SERVICE) if s in cell.stages and not load.curve]
    yield from (("p99", summary.p99, tail_of(summary, ["p99"])[0]) for summary in waits)


def _print_point(out: Console, point: RatePoint) -> None:
    mark, style = {"yes": ("  ✓ ", "green"), "no": ("  ✗ ", "red"), "unsure": ("  ? ", "yellow")}[point.holds]
    shown = in_a_row(point.p50, [point.p90, point.p99])
    times = "  ".join(f"{p} {text:>9}" for p, text in zip(_OF_A_POINT, shown, strict=True))
    said = f"{point.n + point.unserved:,} requests"
    if point.slow is not None:
        said += f", {point.slow:,} too slow"
    if point.expected_slow:
        said += f" (expected: {point.expected_slow[0]:,} to {point.expected_slow[1]:,})"
    unserved = f", {point.unserved:,} unserved" if point.unserved else ""
    hanging(out, (mark, style), f"{point.offered_per_s:8.4g}/s  {times}  {said}{unserved}")


def _add(table: Table, name: str, value: Measured, enough: str = "") -> None:
    """enough: what would give it an upper end, where there is none."""
    low, high = ("?" if v is None else format_seconds(v, value.value) for v in value.interval or (None, None))
    span = "no 95 % interval" if low == high == "?" else f"95 % interval {low} to {high}"
    codes = {w.code for w in value.warnings}
    # What the upper end takes gives a lower one too.
    why = [str(w) for w in value.warnings if w.code != "no-lower-bound" or "no-upper-bound" not in codes]
    enough = enough if "no-upper-bound" in codes else ""
    table.add_row(name, format_seconds(value.value), "; ".join(filter(None, [span, *why, enough])))


def _time_needed(cell: CellRecord, percentile: str) -> str:
    """The option that would give the percentile an upper end, of a load whose requests follow each other."""
    from seatrial.stats.sample import round_up

    whole = cell.stages[END_TO_END]
    needed = getattr(whole, percentile).needed
    if needed is None or cell.soak or (cell.load is not None and cell.load.scenario != "single-stream"):
        return ""
    # Between two requests the loop takes a little time of its own.
    time_s = round_up(1.02 * needed * whole.mean.value)
    return f"about {flag('max_time')} {time_s}s would do" if time_s <= LONGEST_TOLD_S else ""


def _add_stages(table: Table, cell: CellRecord) -> None:
    names = [s for s in cell.stages if s not in (END_TO_END, QUEUE, SERVICE)]
    if len(names) > 1:
        medians = [f"{s} {format_seconds(cell.stages[s].p50.value)}" for s in names]
        table.add_row("stages", "", "; ".join(medians))


def _add_throughput(table: Table, throughput: Measured, latency: Measured, batch: int) -> None:
    """And how many requests that is of: the same count, by the same word, as beside a percentile without a bound."""
    low, high = throughput.interval or (None, None)
    span = f"95 % interval {format_rate(low).split()[0]} to {format_rate(high)}" if low and high else ""
    table.add_row("throughput", format_rate(throughput.value), span)
    each = f"of {batch} images each; " if batch > 1 else ""
    alike = f"worth {latency.n_eff:,} independent ones, since neighbours are alike"
    table.add_row(
        "requests", f"{latency.n:,}", each + (alike if latency.n_eff < latency.n else "as good as independent")
    )


def binding_costs(path: PythonPath) -> str:
    """What the binding adds to a request, where the turns tell it; '' in older records, which do not know."""
    d = path.difference
    if d is None:
        return ""
    low, high = d.interval or (None, None)
    if low is None or high is None:
        return "too few turns to tell a difference"
    widest = max(abs(low), abs(high))
    interval = f"(95 % interval {format_seconds(low, widest)} to {format_seconds(high, widest)})"
    if low <= 0 <= high:
        return f"no difference told {interval}"
    more = "more" if d.value > 0 else "less"
    return f"{format_seconds(abs(d.value), widest)} {more} a request {interval}"


def _add_search(table: Table, load: LoadResult) -> None:
    """What is likely, what was proved and what cannot be, each a line."""
    proved, likely = load.found_rate, load.rate_estimate
    if likely:
        low, high = likely.interval or (0.0, likely.value)
        checks = sum(p.expected_slow is not None for p in load.curve)
        said = (
            f"95 % interval {low:.4g} to {high:.4g}/s; estimated for {load.bound} by a queue of {likely.n:,} measured service "
            f"times, which {checks or 'none'} of {len(load.curve)} rates sent do not contradict; what is rarer than 1 in "
            f"{likely.n // 3:,} requests may be missing from them"
        )
        table.add_row("highest rate", f"{likely.value:.4g}/s" if likely.value else "none", said)
    if proved:
        said = f"held {load.bound} in {proved.n:,} requests; those in a queue are alike, so that less can be proved than is so"
        table.add_row("proved", f"{proved.value:.4g}/s", "; ".join([said, *map(str, proved.warnings)]))
    elif load.curve:
        table.add_row("proved", "none", f"no rate that was sent was proved to hold {load.bound}")
    else:
        table.add_row("proved", "none", "it ended before a first rate was measured")
    if load.lowest_broken:
        said = "was sent, and did not hold" if load.broke_when_sent else "is more than the clients can serve"
        table.add_row("impossible", f"{load.lowest_broken:.4g}/s", said)


def _print_spikes(out: Console, cell: CellRecord) -> None:
    from seatrial.report.highlights import worth_telling

    spikes = worth_telling(cell.spikes)
    for s in spikes[:SPIKES_SHOWN]:
        causes = "; ".join(s.causes)
        sentence(out, f"spike of {format_seconds(s.duration_s)} at {s.at_s:.2f} s: {causes}", "dim")
    if len(spikes) > SPIKES_SHOWN:
        sentence(out, f"and {len(spikes) - SPIKES_SHOWN} spikes more, in the record", "dim")


def print_sweep(out: Console, cells: Sequence[CellRecord]) -> None:
    """The knee of a sweep over clients, or over threads, that send as fast as they can."""
    swept = [c for c in cells if c.load and c.load.requests_per_s and c.status == "ok"]
    clients = [c.load.clients for c in swept if c.load]
    threads = [c.threads for c in swept]
    scenarios = {c.load.scenario for c in swept if c.load}
    if len(swept) < 2 or len(scenarios) > 1:
        return
    if _each_once(clients) and len(set(threads)) == 1 and scenarios <= {"multi-stream", "offline"}:
        _print_client_knee(out, swept)
    elif _each_once(threads) and len(set(clients)) == 1 and scenarios <= {"single-stream", "multi-stream", "offline"}:
        _print_thread_knee(out, swept)


def _each_once(counts: Sequence[int]) -> bool:
    return len(set(counts)) == len(counts)


def _print_client_knee(out: Console, cells: Sequence[CellRecord]) -> None:
    from seatrial.report.highlights import throughput_knee

    loads = [c.load for c in cells if c.load]
    _print_rates(out, "client", [load.clients for load in loads], loads)
    fewest, surely = throughput_knee(loads)
    between = str(fewest) if fewest == surely else f"{fewest} to {surely}"
    hanging(out, ("knee: ", ""), f"{between} client(s) give 95 % of the best throughput; more only wait")


def _print_thread_knee(out: Console, cells: Sequence[CellRecord]) -> None:
    from seatrial.report.highlights import thread_knee
    from seatrial.stats.separate import PROCESS_SPREAD

    counts = [c.threads for c in cells]
    _print_rates(out, "thread", counts, [c.load for c in cells if c.load])
    fewest, surely = thread_knee(cells)
    noise = f"±{PROCESS_SPREAD - 1:.0%}, which separate processes differ by without any change"
    if (fewest, surely) == (min(counts), max(counts)):
        hanging(out, ("knee: ", ""), f"not told: {fewest} to {surely} thread(s) lie within {noise}")
        return
    between = str(fewest) if fewest == surely else f"{fewest} to {surely}"
    hanging(out, ("knee: ", ""), f"{between} thread(s) give 95 % of the best throughput, with {noise}")


def _print_rates(out: Console, what: str, counts: Sequence[int], loads: Sequence[LoadResult]) -> None:
    rates = [load.requests_per_s.value for load in loads if load.requests_per_s]
    base = rates[counts.index(min(counts))] / min(counts)
    out.print()
    for count, value in zip(counts, rates, strict=True):
        share = f"{value / base / count:.0%} of {count} × one {what}'s"
        sentence(out, f"{count} {what}(s): {value:.4g} requests/s, {share}")
