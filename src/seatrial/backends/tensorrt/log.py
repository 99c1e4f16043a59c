"""What TensorRT says while it works: hundreds of lines, of which the first error is the reason.

An error is often followed by another, of a driver that is not there and was not needed. For: hearing it and asking for the
reason. Not for: what a user is told (refusals.py).
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from seatrial.backends.tensorrt.library import Library

_ERRORS = ("INTERNAL_ERROR", "ERROR")
_OF_DRIVER = re.compile(r"cudaError \d+|CUDA initialization failure")
_NO_ROOM = re.compile(
    r"out ?_?of ?_?memory|enough (?:free )?memory|could not be allocated|cudaError 2\b", re.IGNORECASE
)
# Which node was being parsed: the parser's own list of errors says it better.
_TRACE = re.compile(r"ModelImporter\.cpp:\d+: (While parsing|--- )")
_PLACE = re.compile(r"\s*In \w+ at /\S+?:\d+\)?")
_CALL = re.compile(r"^(?:I\w+::\w+: |\[\w+\.cpp::\w+::\d+\] )?Error Code \d+: (?:[A-Z][\w ]*? )?\((.*?)\)?$", re.DOTALL)
# Its own conditions, functions and dumps of graphs, which tell a user nothing.
_INSIDE = (
    (re.compile(r"^Assertion failed: (?:.*?\)+: (?=[A-Z]))?"), ""),
    (re.compile(r"^Assertion \S+(?: [<>=!]+ \S+)? failed\. "), ""),
    (re.compile(r"^\[\w+\] "), ""),
    (re.compile(r"(for operation): +\d+: (\w+):.*"), r"\1 \2"),
    (re.compile(r" Please set k[A-Z].*"), ""),
)
# Warnings after which answers differ from what the file says.
_TELLING = re.compile(
    r"double|clamp|out of range|outside the range|precision loss|Defaulting|weights are affected", re.I
)


class Log:
    """Warnings and errors as (severity, text), in order."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def hear(self, severity: str, text: str) -> None:
        if severity in ("WARNING", *_ERRORS):
            self.lines.append((severity, text.strip()))

    def clear(self) -> None:
        self.lines.clear()

    def first_error(self) -> str:
        """What went wrong first, as the library wrote it; '' where nothing did."""
        errors = [text for severity, text in self.lines if severity in _ERRORS and not _TRACE.search(text)]
        reasons = [e for e in errors if not _OF_DRIVER.search(e)] or errors
        return reasons[0] if reasons else ""

    def is_out_of_memory(self) -> bool:
        """Whether an error says that the device had no room; an illegal access to memory is another thing."""
        return any(severity in _ERRORS and _NO_ROOM.search(text) for severity, text in self.lines)

    def telling_warnings(self) -> tuple[str, ...]:
        """Those that say that numbers are not what the file has, each once."""
        said = [plain(t) for severity, t in self.lines if severity == "WARNING" and _TELLING.search(t)]
        return tuple(dict.fromkeys(said))


def plain(text: str) -> str:
    """One line of the library's, without the call, the condition and the place in its source."""
    text = _PLACE.sub("", re.sub(r"\w+\.cpp:\d+: ", "", text)).strip()
    match = _CALL.match(text)
    text = " ".join((match[1] if match else text).split())
    for pattern, kept in _INSIDE:
        text = pattern.sub(kept, text)
    return text.rstrip(". ")


@cache
def _logger_of(trt: Any) -> tuple[Any, Log]:
    """One a process and library: TensorRT keeps the first that it is given, and writes to it for ever."""
    log = Log()

    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()

        def log(self, severity: Any, text: str) -> None:
            # What is raised in here is swallowed.
            log.hear(severity.name, text)

    return Logger(), log


def logger_of(library: Library) -> tuple[Any, Log]:
    """The library's logger, and what it hears from now on."""
    logger, log = _logger_of(library.trt)
    log.clear()
    return logger, log
