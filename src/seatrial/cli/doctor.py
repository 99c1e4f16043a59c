"""seatrial doctor and backends: what this machine can run, and what would disturb a measurement."""

from __future__ import annotations

from typing import Annotated

import typer

from seatrial.cli.output import console, write_json
from seatrial.cli.shell import DebugOption, JsonOption, QuietOption, command
from seatrial.cli.words import backend_names, check_backend_name
from seatrial.errors import ExitCode


@command(examples=["seatrial doctor", "seatrial doctor --measure", "seatrial doctor --json doctor.json"], prints=True)
def doctor(
    measure: Annotated[
        bool, typer.Option("--measure", help="Also measure the harness itself here: about half a minute.")
    ] = False,
    json: JsonOption = None,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> ExitCode:
    """Print what this machine can run and what would disturb a measurement, each with its cure."""
    from seatrial._native.kernels import simd_levels
    from seatrial.backends import availability
    from seatrial.compare.harness import measure_harness
    from seatrial.demo import MODEL
    from seatrial.machine.environment import environment
    from seatrial.report.machine_text import print_backends, print_disturbances, print_harness, print_machine
    from seatrial.runtimes.names import known_names

    out = console(quiet, json)
    facts = environment()
    print_machine(out, facts, simd_levels())
    backends = [availability(n) for n in known_names() if n != "fake"]
    out.print("\nBackends", style="bold")
    print_backends(out, map(vars, backends), indent="  ")
    print_disturbances(out, facts["disturbances"])
    harness = None
    if measure:
        out.print("\nThe harness itself", style="bold")
        with out.status("measuring") as status:
            harness = measure_harness(
                MODEL, lambda step, share: status.update(f"{step} {share:.0%}"), "doctor --measure"
            )
        print_harness(out, harness)
    facts_of = {"environment": facts, "backends": [vars(b) for b in backends]}
    write_json(json, {"schema": "seatrial.doctor/1"} | facts_of | ({"harness": harness.to_dict()} if harness else {}))
    return ExitCode.PASS if any(b.ok for b in backends) else ExitCode.ENVIRONMENT


@command(
    examples=["seatrial backends", "seatrial backends openvino-cpu", "seatrial backends --json backends.json"],
    prints=True,
)
def backends(
    name: Annotated[
        str | None, typer.Argument(help="Of this one alone, with its options.", autocompletion=backend_names)
    ] = None,
    json: JsonOption = None,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> ExitCode:
    """List the backends, and for those that cannot run here, why and the cure."""
    from seatrial.backends import availability
    from seatrial.backends.catalogue import takes
    from seatrial.report.machine_text import print_backends, print_clashes, print_settings
    from seatrial.runtimes.names import clashes, known_names

    check_backend_name(name, "NAME")
    out = console(quiet, json)
    found = [availability(n) for n in ([name] if name else known_names())]
    print_backends(out, map(vars, found))
    if name:
        print_settings(out, takes(name))
    else:
        print_clashes(out, clashes())
    listed = [vars(b) | {"options": [s.to_dict() for s in takes(b.name)]} for b in found]
    write_json(json, {"schema": "seatrial.backends/1", "backends": listed, "left_out": [] if name else list(clashes())})
    return ExitCode.PASS
