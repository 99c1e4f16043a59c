"""Ctrl-C at the moments when it must wait, and where others swallow it.

It waits while a process is started and nobody is in charge of it yet, and while a record is written. Libraries that call back
into Python turn it into an error of their own (pydantic's serialisers do), which somebody takes for bad data: it is noted.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


@contextlib.contextmanager
def interrupts_held() -> Iterator[None]:
    """A Ctrl-C that comes inside is raised behind it: what was started in there is registered with whoever ends it by then.

    Where SIGINT is ignored it stays so, for the process that is started too. Outside the main thread there is no Ctrl-C.
    """
    handler = signal.getsignal(signal.SIGINT)
    if not callable(handler) or threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _frame: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
    # Not where the block has failed: why says more than that somebody had lost patience.
    if came:
        handler(came[0], None)


_came = False


@contextlib.contextmanager
def interrupts_noted() -> Iterator[None]:
    """While inside, `interrupted` knows of every Ctrl-C that came, whatever became of the KeyboardInterrupt."""
    global _came
    handler = signal.getsignal(signal.SIGINT)
    if not callable(handler) or threading.current_thread() is not threading.main_thread():
        yield
        return
    own = handler

    def note(number: int, frame: FrameType | None) -> None:
        global _came
        _came = True
        own(number, frame)

    _came = False
    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        _came = False


def interrupted() -> bool:
    """Whether a Ctrl-C has come inside `interrupts_noted`."""
    return _came


def raise_swallowed() -> None:
    """KeyboardInterrupt where one has come: called by loops that wait, where it would have ended the wait."""
    if _came:
        raise KeyboardInterrupt
