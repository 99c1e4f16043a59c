"""What every command has: its options, its console, and errors to exit codes."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from seatrial.errors import ExitCode, ResultsError, SeatrialError, printable

JsonOption = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Write the result as JSON; '-' is standard output.")
]


QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]


DebugOption = Annotated[bool, typer.Option("--debug", help="Show tracebacks.")]


AllowCodeOption = Annotated[bool, typer.Option("--allow-code", help="Let a plan's Python stages run.")]
LoopOption = Annotated[str, typer.Option("--loop", help="native: ONNX Runtime's C API; python: its Python binding.")]
ResultsOption = Annotated[Path, typer.Option("--results", metavar="FOLDER", help="Where results are kept.")]


app = typer.Typer(
    name="seatrial",
    help="Sea trials for computer-vision models: run, time, compare and judge a whole pipeline before it ships.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="First steps:\n\n  seatrial demo\n\n  seatrial init model.onnx && seatrial run trial.yaml\n\n"
    "Exit codes: 0 pass, 1 fail, 2 usage, 3 inconclusive, 4 bad plan, model or data, 5 environment, 70 internal error, "
    "130 interrupted.",
)


class PatientConsole(Console):
    """A console whose reader may leave: what is measured goes on, only the printing stops."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        # Python would complain about the pipe once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def print(self, *objects: Any, **options: Any) -> None:
        try:
            super().print(*objects, **options)
        except OSError:  # a full disk behind a redirection
            self.quiet = True


def console(quiet: bool = False, json: Path | None = None) -> Console:
    """Where people read: standard output, or standard error where `--json -` has the other to itself.

    Without a terminal there is no width to ask for, and 80 columns would break every table.
    """
    aside = str(json) == "-"
    stream = sys.stderr if aside else sys.stdout
    if stream is None:
        return PatientConsole(quiet=True, file=io.StringIO())
    return PatientConsole(quiet=quiet, highlight=False, stderr=aside, width=None if stream.isatty() else 128)


def command(*, group: typer.Typer = app, name: str | None = None, examples: list[str]) -> Callable[[Any], Any]:
    """Registers a command with its examples; a SeatrialError becomes one clear message and its exit code."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def guarded(*args: Any, **kwargs: Any) -> None:
            try:
                check_json(kwargs.get("json"))
                with exit_politely():
                    code = function(*args, **kwargs)
            except SeatrialError as e:
                if kwargs.get("debug"):
                    traceback.print_exc()
                print_error(e.for_command_line())
                code = e.exit_code
            except KeyboardInterrupt:
                print_error("interrupted")
                code = ExitCode.INTERRUPTED
            except BrokenPipeError:  # whoever read our output has seen enough
                os._exit(ExitCode.PASS)
            except Exception as e:
                if kwargs.get("debug"):
                    traceback.print_exc()
                print_error(f"internal error: {type(e).__name__}: {e}\nthis is a bug in seatrial; --debug shows where")
                code = ExitCode.INTERNAL
            raise typer.Exit(int(code or 0))

        epilog = "Examples:\n\n" + "\n\n".join(f"  {line}" for line in examples)
        group.command(name=name, epilog=epilog, no_args_is_help=False)(guarded)
        return function

    return register


def print_error(text: str) -> None:
    stream = Console(stderr=True, highlight=False, soft_wrap=True)
    for number, line in enumerate(text.splitlines() or [""]):
        stream.print("[bold red]error:[/] " if number == 0 else "       ", end="")
        # A name out of a file may hold what moves the cursor.
        stream.print(printable(line), markup=False)


@contextlib.contextmanager
def exit_politely() -> Iterator[None]:
    """A cancelled job or a closed terminal ends like Ctrl-C: what is done is kept.

    A signal that whoever started us has had ignored stays so: nohup means what it says, as `&` in a script does for Ctrl-C.
    """

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    heeded = [s for s in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(s) != signal.SIG_IGN]
    before = {s: signal.signal(s, interrupt) for s in heeded}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def check_json(path: Path | None) -> None:
    """Fails before the work, not after it, where `--json FILE` can't be written."""
    if path is None or str(path) == "-":
        return
    existed = path.exists()
    try:
        path.open("ab").close()
        if not existed:
            path.unlink()
    except OSError as e:
        raise ResultsError(
            f"--json {path}: cannot be written: {e.strerror}; name a file in a folder that you may write to"
        ) from None


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
