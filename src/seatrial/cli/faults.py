"""seatrial faults: the known mistakes of vision pipelines, one explained with its picture, and pictures that show them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from seatrial.cli.output import console, shown, write_json
from seatrial.cli.shell import DebugOption, JsonOption, QuietOption, command
from seatrial.errors import ExitCode, ResultsError, UsageError, count_of, did_you_mean
from seatrial.faults.catalogue import FAULTS
from seatrial.faults.fault import Fault


@command(
    name="faults",
    examples=[
        "seatrial faults",
        "seatrial faults channel-order",
        "seatrial faults antialias --output antialias.png",
        "seatrial faults --pictures telling/",
    ],
    prints=True,
)
def faults_command(
    fault: Annotated[
        str | None, typer.Argument(help="The fault to explain; all are listed without one.", show_default=False)
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write the fault's picture as PNG.", show_default=False),
    ] = None,
    pictures: Annotated[
        Path | None,
        typer.Option(
            "--pictures",
            metavar="FOLDER",
            help="Write pictures that show what others hide: of the fault, or all.",
            show_default=False,
        ),
    ] = None,
    json: JsonOption = None,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> ExitCode:
    """List the mistakes that seatrial knows, or explain one: what it is, how it shows, its cure, right beside wrong."""
    from seatrial.report.faults_text import print_fault, print_faults

    found = _named(fault)
    if output and not found:
        raise UsageError(f"--output: expected a fault whose picture to write, such as seatrial faults exif -o {output}")
    if output and output.suffix.lower() != ".png":
        raise UsageError(f"--output: expected a file that ends in .png, got {str(output)!r}")
    out = console(quiet, json)
    if pictures:
        write_json(json, _write_pictures(out, pictures, fault or ""))
        return ExitCode.PASS
    if found is None:
        print_faults(out, list(FAULTS.values()))
        write_json(json, [_facts(f) for f in FAULTS.values()])
        return ExitCode.PASS
    print_fault(out, found)
    picture = _show_picture(out, found, output)
    write_json(json, {**_facts(found), **picture})
    return ExitCode.PASS


def _named(fault: str | None) -> Fault | None:
    if fault is None:
        return None
    if fault not in FAULTS:
        near = did_you_mean(fault, list(FAULTS))
        raise UsageError(f"no fault is called {fault!r}{near}; seatrial faults lists them")
    return FAULTS[fault]


def _facts(fault: Fault) -> dict[str, Any]:
    return {key.rstrip("_"): value for key, value in asdict(fault).items()}


def _show_picture(out: Any, fault: Fault, output: Path | None) -> dict[str, Any]:
    """In the terminal, or as a file; says why where there is none."""
    from seatrial.diagnosis.illustration.picture import UNSEEN, picture_of
    from seatrial.history.files import write_named
    from seatrial.report.faults_text import labelled, print_sides

    why = UNSEEN.get(fault.name, "")
    if why:
        labelled(out, "no picture", why)
        return {"picture": None, "no_picture": why}
    if output is None and not (out.is_terminal and out.color_system):
        labelled(out, "picture", f"seatrial faults {fault.name} --output {fault.name}.png writes it")
        return {"picture": None}
    picture = picture_of(fault.name)
    assert picture
    labelled(out, "picture", f"{picture.image}; the wrong side {picture.what}")
    if output is None:
        print_sides(out, picture.images)
    else:
        write_named(output, picture.png, named_by="output")
        out.print(f"wrote {shown(output)}", soft_wrap=True)
    return {"picture": str(output) if output else None, "wrong_side": picture.what, "image": picture.image}


def _write_pictures(out: Any, folder: Path, fault: str) -> list[dict[str, Any]]:
    from seatrial.demo import PICTURE
    from seatrial.faults.pictures import PICTURES, write_pictures
    from seatrial.report.faults_text import print_pictures

    own = [p for p in PICTURES if fault in p.tells or not fault]
    if not own:
        raise UsageError(f"--pictures: no picture shows {fault}; seatrial faults {fault} says why")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_pictures(folder, PICTURE.parent, own)
    except OSError as e:
        why = e.strerror or str(e)
        raise ResultsError(
            f"--pictures {folder}: cannot be written: {why}; name a folder that you may write to"
        ) from None
    print_pictures(out, own)
    out.print(f"wrote {count_of(len(own), 'picture')} to {shown(folder)}", soft_wrap=True)
    return [{"file": p.file, "has": p.has, "shows": list(p.tells)} for p in own]
