"""The `seatrial` command: its groups, the options that every command has, and errors to exit codes."""

from __future__ import annotations

import functools
import json
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from seatrial.errors import ExitCode, ResultsError, SeatrialError

JsonOption = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Write the result as JSON; '-' is standard output.")
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show tracebacks.")]
ResultsOption = Annotated[Path, typer.Option("--results", metavar="FOLDER", help="Where results are kept.")]

app = typer.Typer(
    name="seatrial",
    help="Sea trials for computer-vision models: run, time, compare and judge a whole pipeline before it ships.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="First steps:\n\n  seatrial demo\n\n  seatrial init model.onnx && seatrial run trial.yaml\n\n"
    "Exit codes: 0 pass, 1 fail, 2 usage, 3 inconclusive, 4 bad plan, model or data, 5 environment, 130 interrupted.",
)


def console(quiet: bool = False) -> Console:
    """Standard output. Without a terminal there is no width to ask for, and 80 columns would break every table."""
    return Console(quiet=quiet, highlight=False, width=None if sys.stdout.isatty() else 128)


def command(*, group: typer.Typer = app, name: str | None = None, examples: list[str]) -> Callable[[Any], Any]:
    """Registers a command with its examples; a SeatrialError becomes one clear message and its exit code."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def guarded(*args: Any, **kwargs: Any) -> None:
            try:
                code = function(*args, **kwargs)
            except SeatrialError as e:
                if kwargs.get("debug"):
                    traceback.print_exc()
                print_error(str(e))
                code = e.exit_code
            except KeyboardInterrupt:
                print_error("interrupted")
                code = ExitCode.INTERRUPTED
            except BrokenPipeError:  # whoever read our output has seen enough
                os._exit(ExitCode.PASS)
            except Exception as e:
                if kwargs.get("debug"):
                    raise
                print_error(f"internal error: {type(e).__name__}: {e}\nthis is a bug in seatrial; --debug shows where")
                code = ExitCode.FAIL
            raise typer.Exit(int(code or 0))

        epilog = "Examples:\n\n" + "\n\n".join(f"  {line}" for line in examples)
        group.command(name=name, epilog=epilog, no_args_is_help=False)(guarded)
        return function

    return register


def print_error(text: str) -> None:
    stream = Console(stderr=True, highlight=False, soft_wrap=True)
    for number, line in enumerate(text.splitlines() or [""]):
        stream.print("[bold red]error:[/] " if number == 0 else "       ", end="")
        stream.print(line, markup=False)


def write_json(path: Path | None, data: Any) -> None:
    """`--json FILE`: '-' is standard output."""
    if path is None:
        return
    text = json.dumps(data, indent=1, ensure_ascii=False) + "\n"
    if str(path) == "-":
        sys.stdout.write(text)
        return
    try:
        path.write_text(text, "utf-8")
    except OSError as e:
        raise ResultsError(
            f"--json {path}: cannot be written: {e.strerror}; name a file in a folder that you may write to"
        ) from None


def _show_version(value: bool) -> None:
    if value:
        from seatrial import __version__

        print(f"seatrial {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Entry point."""
    from seatrial.cli import bench, doctor, plans, trials  # noqa: F401 - each registers its commands

    app()
