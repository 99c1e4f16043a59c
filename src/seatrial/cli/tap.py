"""seatrial tap: folders of taps, written of a plan's pipeline, and checked whoever wrote them (docs/taps.md)."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from seatrial.cli.output import console, shown, write_json
from seatrial.cli.shell import AllowCodeOption, DebugOption, JsonOption, QuietOption, app, command
from seatrial.cli.words import LONGEST_S
from seatrial.errors import DataError, ExitCode, UsageError, count_of, printable, short_list
from seatrial.report.hanging import hanging, sentence

if TYPE_CHECKING:
    from rich.console import Console

    from seatrial.taps.check import TapsCheck
    from seatrial.taps.folder import TapsFolder

WRITE = "write"
MOST_LINES = 20


class _Taps(TyperGroup):
    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        """What is none of its words is a plan: `seatrial tap trial.yaml` needs no second one."""
        if args and args[0] not in {*self.commands, *self.get_help_option_names(ctx)}:
            args = [WRITE, *args]
        return super().parse_args(ctx, args)


tap_app = typer.Typer(
    cls=_Taps, help="What a pipeline has at each stage, image by image: folders of taps.", no_args_is_help=True
)
app.add_typer(tap_app, name="tap")


@command(
    group=tap_app,
    name=WRITE,
    examples=[
        "seatrial tap trial.yaml --out taps/",
        "seatrial tap write trial.yaml --pipeline candidate --out taps/",
        "seatrial tap trial.yaml --pipeline candidate.openvino-cpu.fp16.b4 --images photos/ --out taps/",
    ],
)
def write(
    plan: Annotated[str, typer.Argument(help="A trial plan, or 'demo'.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="The folder to write; it has to be empty.")],
    pipeline: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="A pipeline of the plan, or one of its cells.", show_default="the reference"),
    ] = None,
    images: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Other images than the plan's.", show_default=False)
    ] = None,
    allow_code: AllowCodeOption = False,
    json: JsonOption = None,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> ExitCode:
    """Write what a plan's pipeline has at each stage of each image; 'write' may be left out."""
    from seatrial.cells.preflight import preflight
    from seatrial.cli.subjects import is_plan
    from seatrial.demo import PLAN
    from seatrial.diagnosis.sides import reference_side, side_of
    from seatrial.diagnosis.tap import tap_side
    from seatrial.history.run_folder import new_run
    from seatrial.plan import load_plan
    from seatrial.taps.writer import check_empty

    if not is_plan(plan):
        raise UsageError(
            f"expected a trial plan (.yaml) or 'demo', got {plan!r}; or check, with a folder of taps behind it"
        )
    if images is not None and not images.exists():
        raise DataError(f"{images}: no such picture or folder of pictures")
    check_empty(out)
    console_ = console(quiet, json)
    laid_over = {} if images is None else {"images": {"path": str(images.absolute())}}
    file = load_plan(PLAN if plan == "demo" else Path(plan), laid_over)
    side = side_of(file, pipeline) if pipeline else reference_side(file)
    with (
        tempfile.TemporaryDirectory(prefix="seatrial-tap-") as work,
        new_run(Path(work), "tap") as run,
        console_.status("checking") as status,
    ):
        ready = preflight(file, allow_code, lambda what: status.update(f"checking {what}"))
        found = tap_side(ready, run, side, out, LONGEST_S, lambda step, share: status.update(f"{step} … {share:.0%}"))
    sentence(console_, f"{shown(out)}: {count_of(found.images, 'image')} of {side.id}: {', '.join(found.stages)}")
    for stage in found.changed:
        said = f"a later stage changes {stage} in place: what is kept is from before; let it work on a copy"
        hanging(console_, ("warning: ", "bold yellow"), said, "yellow")
    told = {"side": side.id, "images": found.images, "stages": list(found.stages), "changed": list(found.changed)}
    write_json(json, {"taps": str(out), **told})
    return ExitCode.PASS


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
    _print(out, taps, folder, found)
    write_json(json, _json(taps, found))
    return ExitCode.BAD_INPUT if found.problems else ExitCode.PASS


def _print(out: Console, taps: TapsFolder, folder: Path, found: TapsCheck) -> None:
    well = "sound" if not found.problems else f"{found.sound} of {found.images} are sound"
    sentence(out, f"{folder}: {count_of(found.images, 'image')}; {well}")
    for what, said in (("precision", taps.manifest.precision), ("backend", taps.manifest.backend)):
        if said:
            hanging(out, (f"  {what}: ", ""), printable(said))
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
        "precision": taps.manifest.precision,
        "backend": taps.manifest.backend,
        "images": found.images,
        "sound": found.sound,
        "stages": {stage: list(values) for stage, values in found.seen.items()},
        "problems": [vars(problem) for problem in found.problems],
        "notes": list(found.notes),
    }
