"""seatrial tap: folders of taps, checked. For the format see docs/taps.md."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seatrial.cli.output import console, write_json
from seatrial.cli.shell import DebugOption, JsonOption, QuietOption, app, command
from seatrial.errors import ExitCode, count_of, short_list
from seatrial.report.hanging import hanging, sentence

if TYPE_CHECKING:
    from rich.console import Console

    from seatrial.taps.check import TapsCheck
    from seatrial.taps.folder import TapsFolder

tap_app = typer.Typer(help="What a pipeline had at each stage: folders of taps.", no_args_is_help=True)
app.add_typer(tap_app, name="tap")
MOST_LINES = 20


@command(
    group=tap_app,
    examples=[
        "seatrial tap check taps/",
        "seatrial tap check taps/ --images photos/",
        "seatrial tap check taps/ --json -",
    ],
    prints=True,
)
def check(
    folder: Annotated[Path, typer.Argument(help="A folder with taps.json in it.", show_default=False)],
    images: Annotated[
        Path | None,
        typer.Option("--images", metavar="DIR", help="The encoded images: names and digests have to agree."),
    ] = None,
    json: JsonOption = None,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> ExitCode:
    """Check a folder of taps, whoever wrote it: files, stages, types, shapes, and whose images they are."""
    from seatrial.taps.check import check_taps, images_in
    from seatrial.taps.folder import TapsFolder

    out = console(quiet, json)
    taps = TapsFolder.open(folder)
    given = images_in(images) if images else None
    with out.status("reading the taps") as status:
        found = check_taps(taps, given, lambda share: status.update(f"reading the taps … {share:.0%}"))
    _print(out, folder, found)
    write_json(json, _json(taps, found))
    return ExitCode.BAD_INPUT if found.problems else ExitCode.PASS


def _print(out: Console, folder: Path, found: TapsCheck) -> None:
    well = "sound" if not found.problems else f"{found.sound} of {found.images} are sound"
    sentence(out, f"{folder}: {count_of(found.images, 'image')}; {well}")
    for stage, values in found.seen.items():
        hanging(out, (f"  {stage}: ", ""), short_list(values, 3))
    for problem in found.problems[:MOST_LINES]:
        hanging(out, ("error: ", "bold red"), str(problem))
    if len(found.problems) > MOST_LINES:
        sentence(out, f"and {len(found.problems) - MOST_LINES} more; --json FILE has all")
    for note in found.notes:
        hanging(out, ("note: ", "bold yellow"), note, "yellow")


def _json(taps: TapsFolder, found: TapsCheck) -> dict[str, object]:
    return {
        "producer": taps.manifest.producer,
        "images": found.images,
        "sound": found.sound,
        "stages": {stage: list(values) for stage, values in found.seen.items()},
        "problems": [vars(problem) for problem in found.problems],
        "notes": list(found.notes),
    }
