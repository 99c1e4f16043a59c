"""seatrial run, demo, report, results: trials and what they left."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from seatrial.cli.output import console, shown, write_json
from seatrial.cli.shell import DebugOption, JsonOption, QuietOption, ResultsOption, command
from seatrial.errors import ExitCode, ResultsError, UsageError, did_you_mean
from seatrial.history.find import heading, load_record
from seatrial.history.run_folder import RunFolder
from seatrial.report.hanging import hanging

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

    again = ["seatrial", "run", str(plan), "--resume", *_again(results), *(["--allow-code"] if allow_code else [])]
    return _run(load_plan(plan), console(quiet, json), results, resume, allow_code, json, shlex.join(again))


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
    """Run the bundled trial: version 2 of a small detector against version 1, on two runtimes, in fp32 and int8-u8."""
    from seatrial.demo import ALIASES, FAULTS, PLAN
    from seatrial.plan import load_plan

    out = console(quiet, json)
    if fault == "list":
        for name, broken in FAULTS.items():
            hanging(out, (f"{name:<16} ", "bold"), broken.what)
        write_json(json, {name: broken.what for name, broken in FAULTS.items()})
        return ExitCode.PASS
    fault = ALIASES.get(fault, fault) if fault else fault
    if fault is not None and fault not in FAULTS:
        raise UsageError(
            f"--break: expected one of {', '.join(FAULTS)}, got {fault!r}{did_you_mean(fault, list(FAULTS))}"
        )
    changes = FAULTS[fault].changes if fault else {}
    if fault:
        hanging(out, ("broken on purpose: ", "yellow"), FAULTS[fault].what, "yellow")
    again = ["seatrial", "demo", *(["--break", fault] if fault else []), "--resume", *_again(results)]
    return _run(load_plan(PLAN, changes), out, results, resume, False, json, shlex.join(again))


def _again(results: Path) -> list[str]:
    return ["--results", str(results)] if results != DEFAULT_RESULTS else []


def _run(
    plan: object, out: Console, results: Path, resume: bool, allow_code: bool, json: Path | None, again: str
) -> ExitCode:
    from seatrial.cli.progress import ProgressWatcher
    from seatrial.plan import PlanFile
    from seatrial.report.html import write_report
    from seatrial.report.percentiles import asked_percentiles
    from seatrial.report.tables import print_record, verdict_line
    from seatrial.trial.run import run_trial

    assert isinstance(plan, PlanFile)
    asked = asked_percentiles(b.model_dump() for b in plan.plan.budgets)
    with ProgressWatcher(out, *asked[-1:]) as watcher:
        outcome = run_trial(plan, results, allow_code=allow_code, resume=resume, watcher=watcher)
    out.print()
    print_record(out, outcome.record)
    write_json(json, outcome.record.to_json())
    out.print()
    if outcome.record.status == "interrupted":
        done = sum(c.status != "skipped" for c in outcome.record.cells)
        kept = "1 cell is kept" if done == 1 else f"{done} cells are kept"
        out.print(Text.assemble(("interrupted", "bold yellow"), f"; {kept}"))
        out.print(f"carry on with: {again}", markup=False, soft_wrap=True)
        return outcome.exit_code
    out.print(verdict_line(outcome.record))
    # Last: on a full disk the verdict is said and recorded, only its page is missing.
    out.print(f"report: {shown(write_report(outcome.run))}", markup=False, soft_wrap=True)
    return outcome.exit_code


@command(
    examples=[
        "seatrial report latest",
        "seatrial report results/host/2026-11-23-0512-c867",
        "seatrial report latest --output trial.html",
    ],
    prints=True,
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
    from seatrial.history.files import write_named
    from seatrial.history.find import find_run
    from seatrial.report.bench_text import print_bench
    from seatrial.report.comparison_text import print_verdict
    from seatrial.report.html import render, write_report
    from seatrial.report.tables import print_record, verdict_line

    out = console(quiet, json)
    found = find_run(run, results)
    record = load_record(found)
    if record.kind == "bench":
        print_bench(out, record)
    else:
        print_record(out, record)
    write_json(json, record.to_json())
    if output is not None:
        write_named(output, render(found).encode(), named_by="output")
    path = output or write_report(found)
    out.print()
    if record.kind == "compare":
        print_verdict(out, record)
    elif record.kind == "trial":
        out.print(verdict_line(record))
    out.print(f"report: {shown(path)}", markup=False, soft_wrap=True)
    return ExitCode.PASS


@command(examples=["seatrial results", "seatrial results --results /data/trials --json runs.json"], prints=True)
def results(
    results: ResultsOption = DEFAULT_RESULTS,
    json: JsonOption = None,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> ExitCode:
    """List the runs that are kept, with their verdicts."""
    from seatrial.history.find import list_all
    from seatrial.report.runs_text import print_runs

    rows = [_listed(run) for run in list_all(results)]
    print_runs(console(quiet, json), rows, results)
    write_json(json, rows)
    return ExitCode.PASS


def _listed(found: RunFolder) -> dict[str, object]:
    """One run as a row; a damaged or unfinished one must not hide the others."""
    row: dict[str, object] = {"run": found.path.name, "machine": found.path.parent.name}
    try:
        h = heading(found)
    except ResultsError as e:
        return row | {"verdict": "unreadable", "why": e.for_command_line()}
    took = {} if h.wall_s is None else {"wall_s": h.wall_s}
    return row | {"kind": h.kind, "verdict": h.state, "cells": h.cells, **took, "plan": h.subject}
