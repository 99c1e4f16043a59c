"""What every process that measures does first: it dies with its parent, and stays on its cores."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path


def die_with_parent() -> None:
    """Linux: this process is killed when whoever started it goes, so that a cancelled job leaves nothing running."""
    if sys.platform == "linux":
        PR_SET_PDEATHSIG = 1
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def pin(threads: int) -> list[int]:
    """Keeps this process on as many cores as it has threads: the last ones, since interrupts prefer the first.

    Hyper-threads of one core share its arithmetic units, so one of each physical core is taken first.
    """
    cores = cores_for(threads)
    if cores:
        os.sched_setaffinity(0, cores)
    return cores


def cores_for(threads: int) -> list[int]:
    """The cores that `pin` would choose; empty where the system has no such thing."""
    if not hasattr(os, "sched_setaffinity"):
        return []
    usable = sorted(os.sched_getaffinity(0), reverse=True)
    first_of_core = {_siblings(core): core for core in reversed(usable)}
    preferred = [core for core in usable if first_of_core[_siblings(core)] == core]
    return sorted((preferred + [core for core in usable if core not in preferred])[:threads])


def _siblings(core: int) -> str:
    try:
        return Path(f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list").read_text("utf-8")
    except OSError:
        return str(core)
