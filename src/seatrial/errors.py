"""Every error that seatrial raises on purpose. For: exit codes and messages. Not for: bugs, which keep their traceback.

    SeatrialError                    exit code
    ├── UsageError                   2   the command's words are off
    ├── PlanError                    4   the trial plan is wrong: file, line, key, what was expected
    ├── ModelError                   4   a model can't be read, or does not fit the plan
    ├── DataError                    4   an image or its annotations can't be used
    ├── CodeRefusedError             4   the plan names Python code and --allow-code is not given
    ├── BackendUnavailableError      5   a backend, its device or a SIMD level is not on this machine
    ├── ResultsError                 5   results can't be written or read
    └── CellError                    1   a cell broke while it ran (recorded, never shown as a traceback)

A message says what was expected, what came, and the cure, in one breath.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from difflib import get_close_matches
from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    PASS = 0
    FAIL = 1
    USAGE = 2
    INCONCLUSIVE = 3
    BAD_INPUT = 4
    ENVIRONMENT = 5
    INTERNAL = 70
    INTERRUPTED = 130


OUT_OF_MEMORY = "out of memory; use a smaller batch or a machine with more"


class SeatrialError(Exception):
    """Base of every deliberate error; its text is for the user."""

    exit_code: ClassVar[ExitCode] = ExitCode.FAIL


class UsageError(SeatrialError):
    exit_code = ExitCode.USAGE


class PlanError(SeatrialError):
    exit_code = ExitCode.BAD_INPUT


class ModelError(SeatrialError):
    exit_code = ExitCode.BAD_INPUT


class DataError(SeatrialError):
    exit_code = ExitCode.BAD_INPUT


class CodeRefusedError(SeatrialError):
    exit_code = ExitCode.BAD_INPUT


class BackendUnavailableError(SeatrialError):
    exit_code = ExitCode.ENVIRONMENT


class ResultsError(SeatrialError):
    exit_code = ExitCode.ENVIRONMENT


class CellError(SeatrialError):
    exit_code = ExitCode.FAIL


def error_of(exit_code: int, text: str) -> SeatrialError:
    """What another process ended with, as an error of this one."""
    kinds = {ExitCode.USAGE: UsageError, ExitCode.BAD_INPUT: ModelError, ExitCode.ENVIRONMENT: BackendUnavailableError}
    return {int(code): kind for code, kind in kinds.items()}.get(exit_code, CellError)(text)


_CONTROLS = ("Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp")
# They stand inside emoji and in several scripts, and turn nothing round.
_JOINERS = "\u200c\u200d"


def printable(text: str) -> str:
    """Text from a file in one line that no terminal and no YAML reader takes for more: what controls either is escaped."""
    return "".join(
        c if c in _JOINERS or unicodedata.category(c) not in _CONTROLS else c.encode("unicode_escape").decode("ascii")
        for c in text
    )


def did_you_mean(word: str, known: list[str]) -> str:
    """' (did you mean 'x'?)' for the nearest known word, or an empty string where none is near."""
    begun = [k for k in known if word and k.startswith(word)]
    near = begun or get_close_matches(word, known, n=1, cutoff=0.5)
    return f" (did you mean '{near[0]}'?)" if near else ""


def short_list(items: Sequence[str], most: int = 5) -> str:
    """'a, b, c, d, e, …' for a message."""
    return ", ".join(items[:most]) + (", …" if len(items) > most else "")


def count_of(number: int, one: str, many: str | None = None) -> str:
    """'1 label', '3 labels'."""
    return f"{number} {one if number == 1 else many or one + 's'}"
