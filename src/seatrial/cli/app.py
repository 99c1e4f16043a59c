"""The `seatrial` command: its groups, the options that every command has, and errors to exit codes."""

from __future__ import annotations

import io
import sys

from seatrial.cli.shell import (
    app,
)
from seatrial.errors import ExitCode
from seatrial.standard_streams import open_standard_streams


def main() -> None:
    """Entry point."""
    open_standard_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without ✓ gets a question mark, not a crash
    try:
        from seatrial.cli import (  # noqa: F401 - each registers its commands
            bench,
            build,
            compare,
            convert,
            doctor,
            faults,
            inspect,
            kernels,
            parity,
            plans,
            quick,
            schema,
            tap,
            trials,
        )
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)
    # The shortest way: a model's file in place of a command.
    if len(sys.argv) > 1 and sys.argv[1].lower().endswith(".onnx"):
        sys.argv.insert(1, "try")
    app()
