"""Ctrl-C, and the signals that mean the same, at the moments when they must wait, and where others swallow them.

It waits while a process is started and nobody is in charge of it yet, and while a record is written. Libraries that call back
into Python turn it into an error of their own (pydantic's serialisers do), which somebody takes for bad data: it is noted.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

# The terminal's Ctrl-C, a cancelled job, a terminal that is closed: the command line has the last two raise what Ctrl-C raises.
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
Handler = Callable[[int, FrameType | None], object]


@contextlib.contextmanager
def interrupts_held() -> Iterator[list[int]]:
    """A Ctrl-C that comes inside is raised behind it: what was started in there is registered with whoever ends it by then.
    The list has the signals that came so far, for work that can be told to stop.

    Where a signal is ignored it stays so, for the process that is started too; where it ends the process at once, so does it
    here. Outside the main thread there is no Ctrl-C.
    """
    came: list[int] = []
    heard = _heard()
    with _handled({number: lambda number, _frame: came.append(number) for number in heard}):
        yield came
    # Not where the block has failed: why says more than that somebody had lost patience.
    if came:
        heard[came[0]](came[0], None)


_came = False


@contextlib.contextmanager
def interrupts_noted() -> Iterator[None]:
    """While inside, `interrupted` knows of every Ctrl-C that came, whatever became of the KeyboardInterrupt."""
    global _came
    heard = _heard()

    def note(number: int, frame: FrameType | None) -> None:
        global _came
        _came = True
        heard[number](number, frame)

    if not heard:
        yield
        return
    _came = False
    try:
        with _handled(dict.fromkeys(heard, note)):
            yield
    finally:
        _came = False


def interrupted() -> bool:
    """Whether a Ctrl-C has come inside `interrupts_noted`."""
    return _came


def raise_swallowed() -> None:
    """KeyboardInterrupt where one has come: called by loops that wait, where it would have ended the wait."""
    if _came:
        raise KeyboardInterrupt


def _heard() -> dict[int, Handler]:
    """The signals that end a command and are heard by Python, each with its handler."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    handlers = {number: signal.getsignal(number) for number in ENDING}
    return {number: handler for number, handler in handlers.items() if callable(handler)}


@contextlib.contextmanager
def _handled(handlers: dict[int, Handler]) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
