"""seatrial schema: the JSON Schemas of what is read and written. Not for: what the fields mean (docs/records.md)."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from seatrial.cli.output import write_json, write_out
from seatrial.cli.shell import DebugOption, JsonOption, QuietOption, command
from seatrial.errors import ExitCode

Of = Literal["plan", "parity", "record", "taps"]


@command(examples=["seatrial schema parity > parity.schema.json", "seatrial schema plan --json trial.schema.json"])
def schema(
    of: Annotated[Of, typer.Argument(help="What it describes.", show_default=False)],
    json: JsonOption = None,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> ExitCode:
    """Print the JSON Schema of a plan, of what 'parity' and 'run' write, or of a folder of taps."""
    return print_schema(of, json, quiet)


def print_schema(of: Of, json: Path | None, quiet: bool) -> ExitCode:
    data = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema_of(of)}
    if json is None and not quiet:
        write_out(json_module.dumps(data, indent=1) + "\n")
    write_json(json, data)
    return ExitCode.PASS


def schema_of(of: Of) -> dict[str, Any]:
    """Of what is written, every field is there; of what is read, those without a default."""
    from pydantic import TypeAdapter

    from seatrial.history.records import ParityRecord, Record
    from seatrial.history.records.inside import ModelsParity
    from seatrial.plan import Plan
    from seatrial.taps.manifest import TapsManifest

    if of == "parity":
        # Of a plan's two sides, or of two models.
        both: TypeAdapter[Any] = TypeAdapter(ParityRecord | ModelsParity)
        return both.json_schema(mode="serialization", by_alias=True)
    if of == "record":
        return Record.model_json_schema(mode="serialization", by_alias=True)
    return (Plan if of == "plan" else TapsManifest).model_json_schema(by_alias=True)
