"""Which images a process was at when it ended without a word: written down in front of each.

For: code of others that exits, or crashes inside a library. Not for: errors that can be caught, which name their own images.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seatrial.errors import ExitCode, Failure, SeatrialError, error_of, printable, short_list
from seatrial.jobs.process import Ended

FILE = "begun"


def begin(folder: Path, names: Sequence[str]) -> None:
    (folder / FILE).write_text(printable(short_list(names)), "utf-8")


def failed(
    ended: Ended[Any], what: str, folder: Path, otherwise: type[SeatrialError], within: str = ""
) -> SeatrialError:
    """Of a process without an answer. what: whose it was; folder: its own. otherwise: the kind of error where nothing says more
    than that it failed, such as PlanError of code that a plan names. within: whose an error was that says what it is about."""
    failure = ended.failure or Failure.of_text("ended without a word")
    if failure.exit_code == ExitCode.FAIL:
        return error_of(failure, what + _at(folder), otherwise)
    return error_of(failure, within)


def _at(folder: Path) -> str:
    """' on scene-06.jpg'; '' where it had not come to its first image."""
    with contextlib.suppress(OSError):
        return f" on {(folder / FILE).read_text('utf-8')}"
    return ""
