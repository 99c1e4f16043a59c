"""Where a command's words go, and what becomes of them where nobody takes them.

Whoever reads may leave, a disk may be full, a stream may be closed: what is measured goes on, and the verdict stays the exit
code. For: the console, errors, `--json`. Not for: what is printed (report/), or a command's options (shell.py).
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import re
import stat
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

from rich.console import Console
from rich.segment import Segment
from rich.text import Text

from seatrial.errors import ResultsError, printable
from seatrial.report.hanging import hanging, sentence

# Columns without a terminal; and the most that COLUMNS may ask for.
PIPED, WIDEST = 128, 10_000
# What was asked for and could not be written: told at the end, since it is no reason to lose the rest.
_unwritten: list[ResultsError] = []


# Why standard output took no more of what was printed, where it was no reader that had seen enough.
_unprinted: list[ResultsError] = []


class PatientConsole(Console):
    """A console whose reader may leave: what is measured goes on, only the printing stops."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        _silence(self.file)

    def _render_buffer(self, buffer: Iterable[Segment]) -> str:
        """Without the blanks that fill up a table's lines, which a log would keep."""
        return re.sub(r" +(?=\n)", "", super()._render_buffer(buffer))

    def _check_buffer(self) -> None:
        """All that is written goes through here, a bar's last line too."""
        try:
            super()._check_buffer()
        except OSError as e:  # a full disk behind a redirection
            if not self.stderr:
                _unprinted.append(_no_output(e.strerror or str(e)))
            self.on_broken_pipe()
            super()._check_buffer()  # quiet by now: lets go of what nobody took


def console(quiet: bool = False, json: Path | None = None) -> Console:
    """Where people read: standard output, or standard error where `--json -` has the other to itself.

    Without a terminal there is no width to ask for but COLUMNS, and 80 columns would break every table. Nothing is read as
    markup: a name such as a[b]c.onnx is shown whole.
    """
    aside = str(json) == "-"
    stream = sys.stderr if aside else sys.stdout
    if stream is None:
        if not aside and not quiet:
            _unprinted.append(_no_output("it is closed"))
        return PatientConsole(quiet=True, file=io.StringIO())
    return PatientConsole(
        quiet=quiet, highlight=False, markup=False, stderr=aside, width=None if stream.isatty() else _piped_width()
    )


def _piped_width() -> int:
    """COLUMNS, where somebody set a number."""
    given = os.environ.get("COLUMNS", "")
    return int(given) if given.isdecimal() and 0 < int(given) <= WIDEST else PIPED


def shown(path: Path) -> Path:
    """Without the working folder, where it lies below that: as a user would type it."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def print_error(text: str) -> None:
    """On a terminal its lines break between words; elsewhere, and where they are commands to copy, each stays whole."""
    stream = PatientConsole(stderr=True, highlight=False)
    for number, line in enumerate(text.splitlines() or [""]):
        mark = ("error: ", "bold red") if number == 0 else ("       ", "")
        if stream.is_terminal and not line.startswith("seatrial "):
            hanging(stream, mark, line)
        else:
            # A name out of a file may hold what moves the cursor.
            stream.print(Text.assemble(mark, printable(line)), soft_wrap=True)


def print_taken(out: Console, taken: str) -> None:
    """What was taken from a model's metadata, where anything was."""
    if taken:
        sentence(out, taken, "dim")


def write_out(text: str) -> None:
    """All of it on standard output; whoever leaves has seen enough. ResultsError where it takes no more."""
    stream = sys.stdout
    if stream is None:
        raise _no_output("it is closed")
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        _silence(stream)
    except OSError as e:
        _silence(stream)
        raise _no_output(e.strerror or str(e)) from None


def _no_output(why: str) -> ResultsError:
    return ResultsError(
        f"standard output cannot be written: {why}; send it to a file on a disk with room, or to a pipe"
    )


def _silence(stream: IO[str]) -> None:
    """What is left in its buffer goes nowhere: Python would fail with it once more, when it flushes at exit."""
    with contextlib.suppress(OSError):  # it stands for no file
        nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def check_json(path: Path | None) -> None:
    """Fails before the work, not after it, where `--json FILE` can't be written."""
    if path is None:
        return
    if str(path) == "-":
        if sys.stdout is None:
            raise ResultsError("--json -: standard output is closed; open it, or name a file")
        return
    try:
        _try_to_write(path)
    except OSError as e:
        raise _no_json(path, e) from None


def _try_to_write(path: Path) -> None:
    """Leaves what it finds. Whoever reads a pipe would take a writer that goes for the end: that is asked, not opened."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        # Behind a link that leads nowhere yet, which is to stay a link.
        file = Path(os.path.realpath(path))
        file.open("xb").close()
        file.unlink()
        return
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        path.open("ab").close()
    elif not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def write_json(path: Path | None, data: Any) -> None:
    """`--json FILE`: '-' is standard output. Where it can't be written, the command goes on, and says so at its end."""
    if path is None:
        return
    # A name that is no UTF-8 is kept as JSON can say it.
    content = (json.dumps(data, indent=1, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")
    try:
        if str(path) == "-":
            write_out(content.decode())
        else:
            path.write_bytes(content)
    except BrokenPipeError:  # whoever reads that pipe has seen enough
        return
    except OSError as e:
        _unwritten.append(_no_json(path, e))
    except ResultsError as e:
        _unwritten.append(e)


def _no_json(path: Path, error: OSError) -> ResultsError:
    why = error.strerror or str(error)
    return ResultsError(f"--json {path}: cannot be written: {why}; name a file in a folder that you may write to")


def take_unwritten(printed: bool) -> list[ResultsError]:
    """What `write_json` could not write since it was asked last. printed: and what could not be printed."""
    taken = [*_unwritten, *(_unprinted[:1] if printed else [])]
    _unwritten.clear()
    _unprinted.clear()
    return taken
