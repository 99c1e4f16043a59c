"""What every command has: its options, and errors to exit codes. Not for: what it prints and writes (output.py)."""

from __future__ import annotations

import contextlib
import functools
import shlex
import signal
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from seatrial.cli.output import check_json, print_error, take_unwritten, write_out
from seatrial.errors import ExitCode, ResultsError, SeatrialError

JsonOption = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Write the result as JSON; '-' is standard output.")
]


QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]


DebugOption = Annotated[bool, typer.Option("--debug", help="Show tracebacks.")]


AllowCodeOption = Annotated[bool, typer.Option("--allow-code", help="Let a plan's Python stages run.")]
LoopOption = Annotated[str, typer.Option("--loop", help="native: ONNX Runtime's C API; python: its Python binding.")]
ShapeOption = Annotated[
    list[str] | None,
    typer.Option("--shape", metavar="NAME=SHAPE", help="Shape of an input, such as x=1x3x640x640."),
]
ResultsOption = Annotated[Path, typer.Option("--results", metavar="FOLDER", help="Where results are kept.")]


class _Command(TyperCommand):
    def get_params(self, ctx: Any) -> Any:
        return _without_types(super().get_params(ctx))


class _Commands(TyperGroup):
    def get_params(self, ctx: Any) -> Any:
        return _without_types(super().get_params(ctx))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """A picture in front of its model is no unknown command."""
        first, *others = args
        model = next((word for word in others if word.lower().endswith(".onnx")), "")
        if self.get_command(ctx, first) is None and model and Path(first).exists():
            ctx.fail(f"The model comes first: {shlex.join(['seatrial', model, first])}")
        return super().resolve_command(ctx, args)


def _without_types(params: Sequence[Any]) -> Sequence[Any]:
    """A flag takes no value: help names no type behind it."""
    for param in params:
        if getattr(param, "is_flag", False) and param.metavar is None:
            param.metavar = ""
    return params


app = typer.Typer(
    name="seatrial",
    cls=_Commands,
    help="Sea trials for computer-vision models: run, time, compare and judge a whole pipeline before it ships.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="First steps:\n\n  seatrial demo\n\n  seatrial model.onnx photos/\n\n"
    "  seatrial init model.onnx && seatrial run trial.yaml\n\n"
    "Exit codes: 0 pass, 1 fail, 2 usage, 3 inconclusive, 4 bad plan, model or data, 5 environment, 70 internal error, "
    "130 interrupted.",
)


def command(
    *, group: typer.Typer = app, name: str | None = None, examples: list[str], prints: bool = False
) -> Callable[[Any], Any]:
    """Registers a command with its examples; a SeatrialError becomes one clear message and its exit code.

    prints: whether what it prints is all that it makes, so that it has failed where nobody could take that.
    """

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def guarded(*args: Any, **kwargs: Any) -> None:
            take_unwritten(prints)
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
            except Exception as e:
                if kwargs.get("debug"):
                    traceback.print_exc()
                print_error(f"internal error: {type(e).__name__}: {e}\nthis is a bug in seatrial; --debug shows where")
                code = ExitCode.INTERNAL
            for unwritten in take_unwritten(prints):
                print_error(unwritten.for_command_line())
                code = max(code or ExitCode.PASS, unwritten.exit_code)
            raise typer.Exit(int(code or 0))

        epilog = "Examples:\n\n" + "\n\n".join(f"  {line}" for line in examples)
        group.command(name=name, cls=_Command, epilog=epilog, no_args_is_help=False)(guarded)
        return function

    return register


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


def _show_version(value: bool) -> None:
    if value:
        from seatrial import __version__

        try:
            write_out(f"seatrial {__version__}\n")
        except ResultsError as e:
            print_error(e.for_command_line())
            raise typer.Exit(e.exit_code) from None
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass
