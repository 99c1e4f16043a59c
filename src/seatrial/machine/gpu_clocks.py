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
# Of the highest clock: steps of 15 MHz are the GPU's own.
_LOWER = 0.03
# What blocks of this process hold, by the GPU's index, the innermost last: NVML does not tell it.
_HELD: dict[int, list[int]] = {}
UNTOLD = (
    "NVML does not tell a lock that was set before: where there was one it is gone behind this, and has to be set again"
)


@dataclass(frozen=True)
class ClockLock:
    """Whether the clocks are held at mhz; why not, where they are not: then they are only observed. note: what is not known
    where they are."""

    mhz: int
    held: bool
    why: str = ""
    note: str = ""


@contextlib.contextmanager
def locked_clocks(device: Device, mhz: int) -> Iterator[ClockLock]:
    """Holds the SM clock at mhz inside the block, and always lets it go behind it: also on an exception, Ctrl-C, SIGTERM,
    SIGHUP and where the interpreter ends. A block within another gives the outer one's clock back. Where it is not permitted,
    or the GPU shows that somebody has set the clocks before, nothing is changed."""
    outer = list(_HELD.get(device.index, ()))
    if not outer and (why := _held_by_others(device)):
        yield ClockLock(mhz, held=False, why=why)
        return
    n = device.library
    pending = True

    def let_go() -> None:
        nonlocal pending
        if pending:
            device.missing.pop("unlock", None)
            if outer:
                device.ask("unlock", lambda: n.nvmlDeviceSetGpuLockedClocks(device.handle, outer[-1], outer[-1]))
            else:
                device.ask("unlock", lambda: n.nvmlDeviceResetGpuLockedClocks(device.handle))
            # Only now: what comes in between, a signal or Ctrl-C, must find that it is still to be done.
            pending = False
            _HELD[device.index] = outer
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
            else:
                _HELD[device.index] = [*outer, mhz]
            yield ClockLock(mhz, held=not why, why=why, note="" if why or outer else UNTOLD)
        finally:
            try:
                let_go()
            finally:
                # Ctrl-C may come into it: once more, while the library is open.
                let_go()
                atexit.unregister(let_go)


def _held_by_others(device: Device) -> str:
    """Why the clocks are somebody's, as far as the GPU shows it; ''. Of an idle one nobody can say."""
    read = device.read()
    if read.clock_reasons is not None and read.clock_reasons & _SET:
        return "the clocks are set already, and letting them go would undo that"
    highest = device.facts().max_sm_clock_mhz
    if read.clock_reasons == 0 and read.sm_clock_mhz and highest and read.sm_clock_mhz < (1 - _LOWER) * highest:
        return (
            f"the clock is at {read.sm_clock_mhz} of {highest} MHz and the driver names no reason: somebody may hold it there, "
            f"and letting it go would undo that; {_CURE} first"
        )
    return ""


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
