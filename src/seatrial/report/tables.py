"""Records as terminal tables. For: what a person reads after a command. Not for: files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from seatrial.errors import ExitCode, count_of
from seatrial.history.records import CellRecord, Measured, NoiseFloor, Record, configuration
from seatrial.report.choice import choice_said
from seatrial.report.groups import alike_warnings, group_warnings, rows_of
from seatrial.report.hanging import hanging, sentence
from seatrial.report.parity_text import print_mistakes
from seatrial.report.percentiles import asked_of
from seatrial.report.stage_table import stage_table
from seatrial.stages import END_TO_END
from seatrial.units import format_seconds
from seatrial.warning import Warning

STYLES = {"PASS": "bold green", "FAIL": "bold red", "INCONCLUSIVE": "bold yellow"}


def print_record(out: Console, record: Record) -> None:
    """Stages of every cell, then the checks, then the verdict: what matters most stands last, above the prompt."""
    ok = [c for c in record.cells if c.status == "ok"]
    if ok:
        out.print(stage_table(ok, out.width, asked_of(record)))
    print_failed(out, record.cells)
    if record.comparisons:
        from seatrial.report.comparison_text import print_comparison

        for c in record.comparisons:
            print_comparison(out, c)
    print_warnings(out, group_warnings(record), len(record.cells))
    if record.kind == "trial":
        print_seen(out, record)
    # Of a run that was stopped, what was not measured yet is no finding.
    if record.kind == "trial" and record.status == "complete":
        out.print(verdict_table(record))
        print_noise_floor(out, record.noise_floor)
        print_reasons(out, record)
        print_mistakes(out, record.diagnoses)
        if said := choice_said(record):
            hanging(out, ("→ ", "bold"), said)
    _print_unsettled(out, record, ok)
    print_disturbances(out, record)


def _print_unsettled(out: Console, record: Record, ok: Sequence[CellRecord]) -> None:
    """How many cells' medians are not known closely enough, what spreads them, and the time that would do."""
    unsettled = [c.measured for c in ok if not c.measured.converged]
    if not unsettled:
        return
    what = f"{len(unsettled)} of {len(ok)} cells" if len(ok) > 1 else "the measurement"
    said = f"NOT CONVERGED: {what} ran into the time limit before the median was known closely enough"
    known = [m.known_to for m in unsettled if m.known_to is not None]
    if known:
        said += f" (to ±{max(known):.1%} at worst)"
    few = sum(m.known_to is None and m.enough_s is not None for m in unsettled)
    if few:
        said += "; its requests are too few to say" if len(ok) == 1 else f"; too few requests to say in {few} of them"
    spread = Counter(m.spread_of for m in unsettled if m.spread_of).most_common(1)
    if spread:
        stage, cells = spread[0]
        said += f"; the spread is mostly {stage}'s" + (f" in {cells} of them" if cells < len(unsettled) else "")
    enough = [m.enough_s for m in unsettled if m.enough_s is not None]
    if enough and record.kind == "trial":
        said += f"; measure.max_time: {format_seconds(max(enough))} would probably do"
        said += f" in {len(enough)} of them" if len(enough) < len(unsettled) else ""
    said += "; stop other work on this machine" if len(enough) < len(unsettled) else ""
    sentence(out, said, "yellow")


def print_failed(out: Console, cells: Sequence[CellRecord]) -> None:
    """Why cells failed: a reason that several of a pipeline share is said once, and what they printed is the first one's."""
    alike: dict[tuple[str, str], list[CellRecord]] = {}
    for cell in cells:
        if cell.status == "failed":
            alike.setdefault((cell.pipeline, cell.reason), []).append(cell)
    for (pipeline, reason), failed in alike.items():
        more = f" and {len(failed) - 1} more" if len(failed) > 1 else ""
        hanging(out, ("✗ ", "red"), f"{pipeline} · {configuration(failed[0].id)}{more}: {reason}", "red")
        # An input that does not fit is told in full; beside it stands no runtime's wording of the same.
        shown = [] if failed[0].exit_code == ExitCode.BAD_INPUT else failed[0].last_output.splitlines()[-4:]
        for line in shown:
            hanging(out, ("    ", ""), line, "dim")


def print_disturbances(out: Console, record: Record) -> None:
    """What of this machine makes times less certain: the first few."""
    for d in record.environment.disturbances[:3]:
        hanging(out, ("note: ", "dim"), str(d), "dim")


def print_noise_floor(out: Console, floor: NoiseFloor | None) -> None:
    """Beside the verdicts on time: what a second process of the same differed by."""
    if floor is not None:
        at_least = "at least " if END_TO_END in floor.at_least else ""
        medians = f"{_spread(floor.first)}, then {_spread(floor.again)}"
        said = (
            f"noise floor of the median {at_least}{floor.shares[END_TO_END]:.1%}: {floor.cell} in a second process "
            f"({medians}); a latency or throughput that lies no further from its limit is INCONCLUSIVE"
        )
        sentence(out, said, "dim")


def _spread(m: Measured) -> str:
    ends = ["?" if v is None else format_seconds(v, m.value) for v in m.interval or (None, None)]
    return f"{format_seconds(m.value)} [{ends[0]}, {ends[1]}]"


def print_seen(out: Console, record: Record) -> None:
    """What each pipeline found, and how right that is, once where its cells agree: a broken pipeline shows here first."""
    seen: dict[tuple[str, str], list[CellRecord]] = {}
    for c in record.cells:
        if c.status == "ok" and (c.seen or c.accuracy_note):
            seen.setdefault((c.pipeline, c.seen), []).append(c)
    for (pipeline, what), cells in seen.items():
        kinds = sum(p == pipeline for p, _ in seen)
        more = f" and {len(cells) - 1} more" if len(cells) > 1 else ""
        where = "" if kinds == 1 else f" ({configuration(cells[0].id)}{more})"
        said = "; ".join(filter(None, (what, _accuracy_said(cells[0]))))
        hanging(out, ("saw: ", "dim"), f"{pipeline}{where}: {said}", "dim")
    for note in dict.fromkeys(c.accuracy_note for c in record.cells if c.accuracy_note):
        hanging(out, ("no accuracy: ", "yellow"), note, "yellow")


def _accuracy_said(cell: CellRecord) -> str:
    if cell.accuracy is None or cell.accuracy.value is None:
        return ""
    value = cell.accuracy.value
    low, high = value.interval or (None, None)
    between = "" if low is None or high is None else f" ({low:.2f} to {high:.2f} on {value.n} images)"
    return f"{cell.accuracy.metric} {value.value:.3f}{between}"


def print_warnings(out: Console, cells_of: Mapping[Warning, Sequence[str]], cells: int) -> None:
    """Each warning with the number of cells that it concerns. Cells' that differ in their figures alone share a line."""
    # print_record has a line for those that did not converge.
    told = {warning: found for warning, found in cells_of.items() if warning.code != "not-converged"}
    for warnings, concerned in alike_warnings(told):
        others = f"; {len(warnings) - 1} more like it" if len(warnings) > 1 else ""
        where = f" (in {len(concerned)} of {cells} cells)" if concerned and cells > 1 else ""
        said = f"{warnings[0]}{others}{where}"
        hanging(out, ("warning: ", "bold yellow"), said, "yellow")


def verdict_table(record: Record) -> Table:
    """One line a check and pipeline: the value of its worst cell, and how many cells it stands for."""
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("", "check", "pipeline", "value", "limit", "cells"):
        right = name in ("value", "limit", "cells")
        table.add_column(name, justify="right" if right else "left", no_wrap=name != "check", overflow="fold")
    for row in rows_of(record):
        verdict = Text(row.worst.verdict, STYLES[row.worst.verdict])
        table.add_row(verdict, Text(row.worst.check), Text(row.pipeline), row.value, row.limit, row.count)
    return table


def print_reasons(out: Console, record: Record) -> None:
    """Why each check that did not pass did not, where print_failed has not said it."""
    failed = {c.reason for c in record.cells if c.status == "failed"}
    for row in rows_of(record):
        if row.bad and row.worst.reason not in failed:
            worst = f"; worst {row.where}" if row.where else ""
            others = f", {row.bad - row.alike} more INCONCLUSIVE" if row.bad > row.alike else ""
            where = f"{row.alike} of {row.cells} cells{others}{worst}" if row.cells > 1 else row.where
            of = f" · {row.pipeline}" if row.pipeline else ""
            said = f"{row.worst.check}{of}: {row.worst.reason}" + (f" ({where})" if where else "")
            hanging(out, (f"{row.worst.verdict} ", STYLES[row.worst.verdict]), said)


def verdict_line(record: Record) -> Text:
    counts = {v: sum(d.verdict == v for d in record.decisions) for v in STYLES}
    said = ", ".join(f"{n} {v.lower()}" for v, n in counts.items() if n)
    return Text.assemble(
        (record.verdict, STYLES[record.verdict]),
        f"  {count_of(len(record.decisions), 'check')}: {said}; {format_seconds(record.wall_s)}",
    )
