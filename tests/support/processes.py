"""Commands of tests in processes of their own: Ctrl-C reaches them whoever started pytest, and none is left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

import psutil
import warm

SEATRIAL = [sys.executable, "-c", "from seatrial.cli import main; main()"]
# Nothing takes so long; what hangs ends its test, and not the test run.
TIMEOUT_S = 300.0


@contextlib.contextmanager
def started(command: Sequence[object], **options: Any) -> Iterator[subprocess.Popen[str]]:
    """The command with its output in pipes, as text. It and all that it started are ended with the block."""
    options = {
        "stdin": subprocess.DEVNULL,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "text": True,
    } | options
    with ctrl_c_of_a_terminal():
        process = subprocess.Popen([*map(str, command)], **options)
    with process:
        try:
            yield process
        finally:
            end_with_all_below(process)


def ran(command: Sequence[object], timeout_s: float = TIMEOUT_S, **options: Any) -> subprocess.CompletedProcess[str]:
    """Like subprocess.run; where it takes too long, what it started goes with it."""
    with started(command, **options) as process:
        stdout, stderr = process.communicate(timeout=timeout_s)
        return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


@contextlib.contextmanager
def ctrl_c_of_a_terminal() -> Iterator[None]:
    """What is started here heeds SIGINT, also where pytest was started by a background shell, which has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def all_gone(processes: Sequence[psutil.Process], within_s: float = 60.0) -> bool:
    """Whether they end by themselves; one that nobody has waited for yet has ended too."""
    deadline = time.monotonic() + within_s
    while any(map(_runs, processes)):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def below() -> list[psutil.Process]:
    """What runs below this process, without the server that forks for the tests."""
    found = psutil.Process().children(recursive=True)
    return [p for p in found if _runs(p) and p.pid != warm.server_pid()]


def descriptors() -> list[str]:
    """This process's open files. The tests' own server of processes is begun by whoever needs it first, and keeps one."""
    begin = getattr(subprocess.Popen, "server", None)
    if begin:
        begin()
    return sorted(os.listdir("/proc/self/fd"))


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def end_with_all_below(process: subprocess.Popen[Any]) -> None:
    if process.poll() is not None:
        return
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in psutil.Process(process.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
    process.kill()
