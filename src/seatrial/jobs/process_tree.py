"""A process that measures, together with whatever it starts: begun marked, ended whole.

For: whoever starts one (process.py, compare/turner.py). Not for: what it is told (task.py) or does first (child.py).
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import psutil

from seatrial.jobs.child import STARTER

# What cannot be killed within it hangs in the kernel, as on a dead network disk.
PATIENCE_S = 5.0


class ProcessTree(subprocess.Popen[bytes]):
    """A child in a session of its own, so that Ctrl-C reaches only us. `end` ends it with all that it started.

    Everything that it starts inherits the mark in its environment, wherever it moves: into another session, or to another
    parent when its own has gone. What cleans its environment is found as a descendant while its parents live.
    """

    def __init__(self, words: Sequence[str], *, env: Mapping[str, str], **options: Any) -> None:
        """options: as Popen has them."""
        self._mark = f"{os.getpid()}-{secrets.token_hex(8)}"
        super().__init__(words, env={**env, STARTER: self._mark}, **(options | {"start_new_session": True}))

    def end(self) -> None:
        """Kills the process where it still runs, and its helpers in whatever session they are. Returns when they are gone."""
        helpers = _descendants(self.pid)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        # A process that has only just begun may have no group of its own yet.
        self.kill()
        self.wait()
        patience = time.monotonic() + PATIENCE_S
        while helpers := [p for p in {*helpers, *self._marked()} if _runs(p)]:
            for helper in helpers:
                with contextlib.suppress(psutil.Error):
                    helper.kill()
            if time.monotonic() > patience:
                return
            time.sleep(0.01)

    def _marked(self) -> Iterator[psutil.Process]:
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):  # it has ended, or is another user's
                if process.environ().get(STARTER) == self._mark:
                    yield process


def _descendants(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []


def _runs(process: psutil.Process) -> bool:
    """Not so where it only waits for a parent that may never ask how it ended."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
