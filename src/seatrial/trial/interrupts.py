"""Ctrl-C at the moments when it must wait: while a process is started and nobody is in charge of it yet, and while a record is
written."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator


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
