"""Every error that seatrial raises on purpose. For: exit codes and messages. Not for: bugs, which keep their traceback.

    SeatrialError                    exit code
    ├── UsageError                   2   the command's words are off
    ├── PlanError                    4   the trial plan is wrong: file, line, key, what was expected
    ├── ModelError                   4   a model can't be read, or does not fit the plan
    ├── DataError                    4   an image or its annotations can't be used
    ├── CodeRefusedError             4   the plan names Python code, which was not allowed to run
    ├── BackendUnavailableError      5   a backend, its device or a SIMD level is not on this machine
    ├── ResultsError                 5   results can't be written or read
    ├── CellError                    1   a cell broke while it ran (recorded, never shown as a traceback)
    └── BrokenProcessError           70  a process broke where 1 means something else: that two sides differ

A message says what was expected, what came, and the cure, in one breath. What it is about is data beside the text: a plan's
key, or an option, which is `max_time` to who calls from Python and `--max-time` on the command line.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from enum import IntEnum
from pathlib import Path
from typing import ClassVar, Self

# Drawn anew in each process, so that no text out of a file can hold it.
MARK = f"\N{INVISIBLE SEPARATOR}{os.urandom(8).hex()}\N{INVISIBLE SEPARATOR}"


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


def option(name: str) -> str:
    """An option that an error's text names, such as `max_time` in a cure, between two marks. str() leaves the marks out, the
    command line shows `--max-time` in their place."""
    return f"{MARK}{name}{MARK}"


def flag(name: str) -> str:
    """'--max-time' for max_time: in texts that are the command line's alone, such as a record's and a command in full."""
    return f"--{name.replace('_', '-')}"


class SeatrialError(Exception):
    """Base of every deliberate error; its text is for the user.

    In front of the text stands what it is about. subject: a file, a pipeline, one side of a comparison; key: of the plan, such
    as `pipelines.a.preprocess.size`; option: by its Python name, with the value that was given where it matters which.
    refusal: whether a runtime would not load or run a model, so that the text is the runtime's own.
    """

    exit_code: ClassVar[ExitCode] = ExitCode.FAIL

    def __init__(
        self,
        text: str,
        *,
        subject: str | Path = "",
        key: str = "",
        option: str = "",
        value: str = "",
        refusal: bool = False,
    ) -> None:
        self.text = text
        self.subject = str(subject)
        self.key = key
        self.option = option
        self.value = value
        self.refusal = refusal
        super().__init__(self.raw.replace(MARK, ""))

    @property
    def raw(self) -> str:
        """The whole message, its options still marked: for another error's text."""
        asked = f"{MARK}{self.option}{MARK}" if self.option else ""
        asked += f" {self.value}" if self.value else ""
        return ": ".join(filter(None, (self.subject, self.key, asked, self.text)))

    def for_command_line(self) -> str:
        parts = self.raw.split(MARK)
        parts[1::2] = map(flag, parts[1::2])
        return "".join(parts)


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


class BrokenProcessError(SeatrialError):
    exit_code = ExitCode.INTERNAL


@dataclass(frozen=True)
class Failure:
    """An error on its way from one process to another, whose marks are others. text: in parts, every second one an option."""

    exit_code: int
    text: tuple[str, ...]
    subject: str = ""
    key: str = ""
    option: str = ""
    value: str = ""
    refusal: bool = False

    @classmethod
    def of(cls, e: SeatrialError) -> Self:
        return cls(int(e.exit_code), tuple(e.text.split(MARK)), e.subject, e.key, e.option, e.value, e.refusal)

    @classmethod
    def of_text(cls, text: str, exit_code: ExitCode = ExitCode.FAIL) -> Self:
        """Without an error that was raised."""
        return cls(int(exit_code), tuple(text.split(MARK)))

    @property
    def reason(self) -> str:
        """As the command line says it, and a record keeps it."""
        return error_of(self).for_command_line()


def error_of(failure: Failure, within: str = "", otherwise: type[SeatrialError] = CellError) -> SeatrialError:
    """What another process ended with, as an error of this one. within: whose it was, where the error itself does not say.
    otherwise: of what kind where its exit code says no more than that it failed."""
    kinds = {ExitCode.USAGE: UsageError, ExitCode.BAD_INPUT: ModelError, ExitCode.ENVIRONMENT: BackendUnavailableError}
    kind: type[SeatrialError] = {int(code): kind for code, kind in kinds.items()}.get(failure.exit_code, otherwise)
    subject = ": ".join(filter(None, (within, failure.subject)))
    f = failure
    return kind(MARK.join(f.text), subject=subject, key=f.key, option=f.option, value=f.value, refusal=f.refusal)


_CONTROLS = ("Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp")
# They stand inside emoji and in several scripts, and turn nothing round.
_JOINERS = "\u200c\u200d"


def printable(text: str) -> str:
    """Text from a file in one line that no terminal and no YAML reader takes for more: what controls either is escaped."""
    return "".join(
        c if c in _JOINERS or unicodedata.category(c) not in _CONTROLS else c.encode("unicode_escape").decode("ascii")
        for c in text
    )


NOT_UTF8 = "expected a path in UTF-8, which records and runtimes can name; rename the file or its folder"


def is_utf8(path: str | Path) -> bool:
    """Python makes lone surrogates of a name's bytes that are no UTF-8."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _form(text: str) -> str:
    if unicodedata.is_normalized("NFC", text):
        return "NFC"
    return "NFD" if unicodedata.is_normalized("NFD", text) else "of both kinds"


def did_you_mean(word: str, known: list[str]) -> str:
    """' (did you mean 'x'?)' for the nearest known word, or an empty string where none is near."""
    composed = unicodedata.normalize("NFC", word)
    if same := next((k for k in known if k != word and unicodedata.normalize("NFC", k) == composed), ""):
        return (
            f" ('{same}' has the same letters in Unicode's form {_form(same)}, this one in {_form(word)}: rename one)"
        )
    begun = [k for k in known if word and k.startswith(word)]
    near = begun or get_close_matches(word, known, n=1, cutoff=0.5)
    return f" (did you mean '{near[0]}'?)" if near else ""


def short_list(items: Sequence[str], most: int = 5) -> str:
    """'a, b, c, d, e, …' for a message."""
    return ", ".join(items[:most]) + (", …" if len(items) > most else "")


def count_of(number: int, one: str, many: str | None = None) -> str:
    """'1 label', '3 labels'."""
    return f"{number} {one if number == 1 else many or one + 's'}"
