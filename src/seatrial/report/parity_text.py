"""Where two pipelines part and what explains it, in the terminal: stages, findings, what was left out; the verdict last."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from seatrial.errors import count_of, printable
from seatrial.faults.catalogue import FAULTS
from seatrial.history.records.diagnosis import Diagnosis, ParityRecord
from seatrial.report.finding_words import alike_said, effects_said, explained_said, fix_said, title_of
from seatrial.report.hanging import hanging
from seatrial.report.localise_text import print_jumps
from seatrial.report.parity_words import (
    alone_said,
    beside_said,
    inside_how,
    inside_said,
    invariants_said,
    is_first,
    is_unexplained,
    metrics_said,
    nothing_said,
    number_said,
    stage_said,
    task_said,
)
from seatrial.units import format_seconds

STYLES = {"EQUAL": "bold green", "DIFFER": "bold red", "INCONCLUSIVE": "bold yellow"}
MOST_IMAGES = 5
# Another training moves every node: the page and the JSON have more.
MOST_NODES = 4
# Columns from which on the table says what each stage was begun from.
WIDE = 100
_MARKS = {True: ("✓ ", "green"), False: ("✗ ", "bold red"), None: ("? ", "yellow")}


def print_parity(out: Console, record: ParityRecord) -> None:
    hanging(out, ("reference  ", "bold"), record.reference)
    hanging(out, ("candidate  ", "bold"), record.candidate)
    for said in record.declared:
        hanging(out, ("declared   ", "dim"), said, "dim")
    if record.stages:
        out.print(stage_rows(record, out.width))
        hanging(out, ("by: ", "dim"), metrics_said(record.stages), "dim")
        for said in alone_said(record):
            hanging(out, ("note: ", "dim"), said, "dim")
    for figure in record.task:
        hanging(out, (f"{figure.metric}  ", "bold"), task_said(figure))
    for d in record.diagnosis:
        _print_finding(out, d)
    if is_unexplained(record):
        _print_nothing(out, record)
    elif beside_said(record):
        _print_rest(out, record)
    _print_inside(out, record)
    if record.verdict == "DIFFER":
        out.print()
    for holds, said in invariants_said(record.invariants):
        hanging(out, _MARKS[holds], said)
    if record.worst_images:
        worst = [f"{w.name} ({stage_said(w.stage)} {number_said(w.value)})" for w in record.worst_images[:MOST_IMAGES]]
        hanging(out, ("worst: ", "dim"), ", ".join(worst), "dim")
    for warning in record.warnings:
        hanging(out, ("warning: ", "bold yellow"), str(warning), "yellow")
    hanging(out, (f"{record.verdict}  ", STYLES[record.verdict]), f"{record.reason}; {_scope(record)}")


def print_mistakes(out: Console, diagnoses: Sequence[ParityRecord]) -> None:
    """Of a trial: one line a mistake, with the evidence; 'seatrial faults' has the rest."""
    for record in diagnoses:
        for d in record.diagnosis:
            said = (f"the candidate {d.what}", explained_said(d), d.at, f"seatrial faults {d.fault}")
            hanging(out, (f"{d.fault}  ", "bold red"), f"{record.candidate}: {'; '.join(filter(None, said))}")
        if record.inside:
            hanging(out, ("inside the model  ", "bold"), f"{record.candidate}: {inside_said(record.inside)}")


def _scope(record: ParityRecord) -> str:
    of = f" of {record.tried + record.left}" if record.left else ""
    tried = f", {record.tried}{of} mistakes tried" if record.tried != 1 or of else ", 1 mistake tried"
    tried = tried if record.tried or of else ""
    return f"{count_of(record.images, 'image')}{tried}, {format_seconds(record.wall_s)}"


def stage_rows(record: ParityRecord, width: int) -> Table:
    """One line a stage, judged from the candidate's own values of the stage before it."""
    wide = width >= WIDE
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("", "stage", *(("from",) if wide else ()), "differing", "by", "floor", "largest |Δ|", ""):
        right = name in ("differing", "by", "floor", "largest |Δ|")
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    for s in record.stages:
        differs = s.images > 0
        mark, style = _MARKS[not differs]
        table.add_row(
            Text(mark.strip(), style),
            Text(stage_said(printable(s.stage)), "bold" if differs else ""),
            *((stage_said(printable(s.start)),) if wide else ()),
            f"{s.images} of {s.of}",
            number_said(s.value),
            number_said(s.floor),
            number_said(s.largest),
            Text("← they part here" if is_first(record, s) else "", "bold red"),
        )
    return table


def _print_finding(out: Console, d: Diagnosis) -> None:
    """The name in bold, then all that stands behind it."""
    out.print()
    head = Text.assemble((printable(d.fault), "bold red"), f"  the candidate {printable(d.what)}")
    hanging(out, ("", ""), head)
    rows = (
        ("what it is", f"{title_of(d)}, at the {stage_said(d.stage)}"),
        ("evidence", explained_said(d)),
        ("but", alike_said(d)),
        ("effect", effects_said(d)),
        ("fix", fix_said(d)),
        ("plan", d.at),
        ("more", f"seatrial faults {d.fault}" if d.fault in FAULTS else ""),
    )
    for name, said in rows:
        if said:
            hanging(out, (f"  {name:<12}", "yellow" if name == "but" else "dim"), said)


def _print_nothing(out: Console, record: ParityRecord) -> None:
    out.print()
    first, *others = nothing_said(record)
    hanging(out, ("unexplained: ", "bold yellow"), first)
    for said in others:
        hanging(out, ("  ", ""), said)


def _print_rest(out: Console, record: ParityRecord) -> None:
    """What no known mistake explains beside what one does."""
    out.print()
    for said in beside_said(record):
        hanging(out, ("unexplained: ", "bold yellow"), said)


def _print_inside(out: Console, record: ParityRecord) -> None:
    how = inside_how(record)
    if how:
        hanging(out, ("inside: ", "dim"), how, "dim")
    if record.inside is None:
        return
    out.print()
    hanging(out, ("inside the models: ", "bold"), inside_said(record.inside))
    if record.inside.jumps:
        print_jumps(out, record.inside.jumps, MOST_NODES)
    for note in record.inside.notes:
        hanging(out, ("note: ", "dim"), note, "dim")
