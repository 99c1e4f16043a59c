"""seatrial run, demo, report, results: trials and what they left."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from seatrial.cli.app import DebugOption, JsonOption, QuietOption, ResultsOption, command, console, write_json
from seatrial.errors import ExitCode, UsageError, did_you_mean

DEFAULT_RESULTS = Path("results")


@command(
    examples=[
        "seatrial run trial.yaml",
        "seatrial run trial.yaml --resume",
        "seatrial run trial.yaml --results /data/trials --json verdict.json",
    ]
)
def run(
    plan: Annotated[Path, typer.Argument(help="The trial plan, a YAML file.", show_default=False)],
    results: ResultsOption = DEFAULT_RESULTS,
    resume: Annotated[
        bool, typer.Option("--resume", help="Carry on the newest interrupted run of this trial.")
    ] = False,
    allow_code: Annotated[bool, typer.Option("--allow-code", help="Let the plan's Python stages run.")] = False,
    json: JsonOption = None,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> ExitCode:
    """Run a trial plan: every cell, parity, budgets, verdict, report."""
    from seatrial.plan import load_plan

    return _run(load_plan(plan), console(quiet), results, resume, allow_code, json, f"seatrial run {plan} --resume")


@command(examples=["seatrial demo", "seatrial demo --break channel-order", "seatrial demo --break list"])
def demo(
    fault: Annotated[
        str | None, typer.Option("--break", metavar="FAULT", help="Break the candidate; 'list' shows the faults.")
    ] = None,
    results: ResultsOption = DEFAULT_RESULTS,
    resume: Annotated[
        bool, typer.Option("--resume", help="Carry on the newest interrupted run of this trial.")
    ] = False,
    json: JsonOption = None,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> ExitCode:
    """Run the bundled trial: version 2 of a small detector against version 1, on two runtimes, in fp32 and int8."""
    from seatrial.demo import FAULTS, PLAN
    from seatrial.plan import load_plan

    out = console(quiet)
    if fault == "list":
        for name, broken in FAULTS.items():
            out.print(f"[bold]{name:<16}[/] {broken.what}")
        write_json(json, {name: broken.what for name, broken in FAULTS.items()})
        return ExitCode.PASS
    if fault is not None and fault not in FAULTS:
        raise UsageError(
            f"--break: expected one of {', '.join(FAULTS)}, got {fault!r}{did_you_mean(fault, list(FAULTS))}"
        )
    changes = FAULTS[fault].changes if fault else {}
    if fault:
        out.print(f"broken on purpose: {FAULTS[fault].what}", style="yellow")
    again = "seatrial demo" + (f" --break {fault}" if fault else "") + " --resume"
    return _run(load_plan(PLAN, changes), out, results, resume, False, json, again)


def _run(
    plan: object, out: Console, results: Path, resume: bool, allow_code: bool, json: Path | None, again: str
) -> ExitCode:
    from seatrial.cli.progress import ProgressWatcher
    from seatrial.cli.tables import print_record, verdict_line
    from seatrial.plan import PlanFile
    from seatrial.report.run import run_and_report

    assert isinstance(plan, PlanFile)
    with ProgressWatcher(out) as watcher:
        outcome = run_and_report(plan, results, allow_code=allow_code, resume=resume, watcher=watcher)
    out.print()
    print_record(out, outcome.record)
    write_json(json, outcome.record.to_json())
    out.print()
    if outcome.record.status == "interrupted":
        done = sum(c.status != "skipped" for c in outcome.record.cells)
        out.print(f"[bold yellow]interrupted[/]; {done} cells are kept in {outcome.run.path}; carry on with: {again}")
        return outcome.exit_code
    out.print(verdict_line(outcome.record))
    out.print(f"report: {outcome.run.path / 'report.html'}", soft_wrap=True)
    return outcome.exit_code


@command(
    examples=[
        "seatrial report latest",
        "seatrial report results/host/2026-11-23-0512-c867",
        "seatrial report latest --output trial.html",
    ]
)
def report(
    run: Annotated[
        str, typer.Argument(help="A run's folder, its name or part of it, or 'latest'.", show_default=False)
    ],
    results: ResultsOption = DEFAULT_RESULTS,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write the page here instead.")
    ] = None,
    json: JsonOption = None,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> ExitCode:
    """Print a run's tables again and render its report.html anew."""
    from seatrial.cli.tables import print_record, verdict_line
    from seatrial.history.store import find_run, load_record, write_atomic
    from seatrial.report.html import render, write_report

    out = console(quiet)
    found = find_run(run, results)
    record = load_record(found)
    print_record(out, record)
    write_json(json, record.to_json())
    if output is not None:
        write_atomic(output, render(found).encode())
    path = output or write_report(found)
    out.print()
    if record.kind == "trial":
        out.print(verdict_line(record))
    out.print(f"report: {path}", soft_wrap=True)
    return ExitCode.PASS


@command(examples=["seatrial results", "seatrial results --results /data/trials --json runs.json"])
def results(
    results: ResultsOption = DEFAULT_RESULTS,
    json: JsonOption = None,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> ExitCode:
    """List the runs that are kept, with their verdicts."""
    from seatrial.cli.tables import STYLES
    from seatrial.errors import ResultsError
    from seatrial.history.store import list_runs, load_record
    from seatrial.units import format_seconds

    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("run", "machine", "verdict", "cells", "took", "plan"):
        table.add_column(name)
    rows = []
    for found in list_runs(results):
        machine = found.path.parent.name
        if not found.complete:
            cells = len(found.finished_cells())
            rows.append({"run": found.path.name, "machine": machine, "verdict": "interrupted", "cells": cells})
            table.add_row(
                found.path.name, machine, "interrupted", str(cells), "–", str(found.start().get("plan", "bench"))
            )
            continue
        try:
            record = load_record(found)
        except ResultsError as e:
            rows.append({"run": found.path.name, "machine": machine, "verdict": "unreadable", "why": str(e)})
            table.add_row(found.path.name, machine, "[red]unreadable[/]", "–", "–", str(e))
            continue
        ran = sum(c.status == "ok" for c in record.cells)
        verdict = record.verdict if record.kind == "trial" else "measured"
        plan = str(record.plan.get("path") or next(iter(record.models.values()), {}).get("path", ""))
        rows.append(
            {
                "run": record.id,
                "machine": machine,
                "verdict": verdict,
                "cells": ran,
                "wall_s": record.wall_s,
                "plan": plan,
            }
        )
        style = STYLES.get(verdict, "")
        table.add_row(
            record.id,
            machine,
            f"[{style}]{verdict}[/]" if style else verdict,
            str(ran),
            format_seconds(record.wall_s),
            plan,
        )
    out = console(quiet)
    if rows:
        out.print(table)
    else:
        out.print(f"no runs in {results}; 'seatrial demo' makes the first one")
    write_json(json, rows)
    return ExitCode.PASS
