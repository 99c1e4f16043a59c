"""seatrial inspect: a model's file on one screen, and which backends take it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seatrial.cli.output import console, write_json
from seatrial.cli.shell import DebugOption, JsonOption, QuietOption, ShapeOption, command
from seatrial.cli.words import shapes_of
from seatrial.errors import ExitCode
from seatrial.report.inspection_text import (
    BackendLine,
    print_backend_lines,
    print_inspection,
    print_nodes,
    print_recognised,
    shapes_said,
)
from seatrial.units import format_seconds

if TYPE_CHECKING:
    from seatrial.jobs.look import Look
    from seatrial.jobs.opening import Opening

MOST_OPERATORS = 12


@command(
    name="inspect",
    examples=[
        "seatrial inspect model.onnx",
        "seatrial inspect model.onnx --shape images=1x3x640x640",
        "seatrial inspect model.onnx --json model.json",
    ],
    prints=True,
)
def inspect_command(
    model: Annotated[Path, typer.Argument(help="An ONNX file.", show_default=False)],
    shape: ShapeOption = None,
    nodes: Annotated[bool, typer.Option("--nodes", help="List every node's name, by operator.")] = False,
    json: JsonOption = None,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> ExitCode:
    """Show what a model is: tensors, weights, FLOPs, operators, what its head may be, and which backends take it."""
    from seatrial.jobs.look import look_at, look_json

    out = console(quiet, json)
    shapes = shapes_of(shape)
    with out.status("reading the file") as status:
        look = look_at(model, shapes, None, status.update)
    print_inspection(out, look.info, look.contents, look.cost, look.no_cost, MOST_OPERATORS)
    print_recognised(out, look.guess.why if look.guess else (), look.guess.unsure if look.guess else (), look.no_guess)
    print_backend_lines(out, backend_lines(look))
    if nodes:
        print_nodes(out, look.contents)
    write_json(json, look_json(look))
    return ExitCode.PASS


def backend_lines(look: Look) -> list[BackendLine]:
    """Every backend that exists: whether it takes the model, in its own words where not."""
    from seatrial.jobs.look import why_absent

    # What the file or the user says needs no second mention.
    at = "" if look.cost else shapes_said(look.opened_at)
    lines: list[BackendLine] = []
    problems: set[str] = set()
    for o in look.openings:
        again = not o.opens and o.problem in problems
        problems.add(o.problem)
        said = "refuses it for the same reason" if again else _said(o, at)
        lines.append(BackendLine(o.backend, "opens" if o.opens else "refuses", said))
    return [*lines, *(BackendLine(a.name, "absent", why_absent(a)) for a in look.absent)]


def _said(o: Opening, at: str) -> str:
    if not o.opens:
        return f"refuses it: {o.problem}"
    opened = f"opens it in {format_seconds(o.load_s)}"
    where = f" at {at}, which is a guess" if at else ""
    if o.run_problem:
        return f"{opened}, but does not run it on made-up values{where}: {o.run_problem}"
    return opened if o.run_s is None else f"{opened}, and runs it on made-up values{where}"
