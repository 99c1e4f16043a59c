"""A GPU's clocks held at one speed for a while, where that is allowed, and let go again however it ends.

For: measurements that a clock of its own would blur. Not for: reading clocks (nvml.py). Only SIGKILL, a crash of the
interpreter or a loss of power leave a GPU locked; `nvidia-smi --reset-gpu-clocks` lets it go.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Any

from seatrial.machine.nvml import Device

# What would end the process without a word to Python. Ctrl-C raises, and so needs nothing here.
_ENDING = (signal.SIGTERM, signal.SIGHUP)
_CURE = "let them go by nvidia-smi --reset-gpu-clocks"
# Bit of the clock reasons: somebody has set the clocks.
_SET = 0x2


@dataclass(frozen=True)
class ClockLock:
    """Whether the clocks are held at mhz; why not, where they are not: then they are only observed."""

    mhz: int
    held: bool
    why: str = ""


@contextlib.contextmanager
def locked_clocks(device: Device, mhz: int) -> Iterator[ClockLock]:
    """Holds the SM clock at mhz inside the block, and always lets it go behind it: also on an exception, Ctrl-C, SIGTERM,
    SIGHUP and where the interpreter ends. Where it is not permitted, or somebody has set the clocks before, nothing is
    changed."""
    reasons = device.read().clock_reasons
    if reasons is not None and reasons & _SET:
        yield ClockLock(mhz, held=False, why="the clocks are set already, and letting them go would undo that")
        return
    n = device.library
    pending = True

    def let_go() -> None:
        nonlocal pending
        if pending:
            device.missing.pop("unlock", None)
            device.ask("unlock", lambda: n.nvmlDeviceResetGpuLockedClocks(device.handle))
            # Only now: what comes in between, a signal or Ctrl-C, must find that it is still to be done.
            pending = False
            if why := device.missing.get("unlock"):
                warnings.warn(
                    f"the GPU's clocks are still held at {mhz} MHz: {why}; {_CURE}", RuntimeWarning, stacklevel=2
                )

    # Armed before the lock: a signal between the two finds somebody who unlocks.
    with _signals_heard(let_go):
        atexit.register(let_go)
        try:
            device.missing.pop("lock", None)
            device.ask("lock", lambda: n.nvmlDeviceSetGpuLockedClocks(device.handle, mhz, mhz))
            why = device.missing.get("lock", "")
            if why:
                pending = False
            yield ClockLock(mhz, held=not why, why=why)
        finally:
            try:
                let_go()
            finally:
                # Ctrl-C may come into it: once more, while the library is open.
                let_go()
                atexit.unregister(let_go)


@contextlib.contextmanager
def _signals_heard(let_go: Any) -> Iterator[None]:
    """What would end the process at once lets the clocks go first. A signal that is ignored, or handled by another, stays so: a
    handler that raises comes past `finally`. Outside the main thread nobody can listen."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, _frame: FrameType | None) -> None:
        let_go()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    heard = [s for s in _ENDING if signal.getsignal(s) is signal.SIG_DFL]
    for number in heard:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in heard:
            signal.signal(number, signal.SIG_DFL)
