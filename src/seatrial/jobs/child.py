"""What every process that measures does first: it dies with its parent, and stays on its cores."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path

# Set by process_tree.py: the process id of whoever started this one, and a word of its own behind it.
STARTER = "SEATRIAL_STARTER"


def die_with_parent() -> None:
    """This process is killed when whoever started it goes, so that a cancelled job leaves nothing running.

    The kernel tells only of deaths from now on: where the starter went before, this process ends at once.
    """
    PR_SET_PDEATHSIG = 1
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    starter = os.environ.get(STARTER, "").partition("-")[0]
    if starter and not descends_from(int(starter)):
        sys.exit("whoever started this process has ended")


def descends_from(ancestor: int) -> bool:
    """Whether the process is our parent or above it: a wrapper around an interpreter may stand between.

    Orphans are handed to another parent at once, also while the dead one has not been waited for.
    """
    parent = os.getppid()
    while parent > 1 and parent != ancestor:
        try:
            # The name in brackets may hold anything; behind it come the state and the parent.
            parent = int(Path(f"/proc/{parent}/stat").read_text("utf-8").rpartition(")")[2].split()[1])
        except OSError:  # it has ended meanwhile, or /proc is not there: then nobody can say
            return os.getppid() > 1
    return parent == ancestor


def pin(threads: int) -> list[int]:
    """Keeps this process on as many cores as it has threads: the last ones, since interrupts prefer the first.

    Hyper-threads of one core share its arithmetic units, so one of each physical core is taken first.
    """
    cores = cores_for(threads)
    os.sched_setaffinity(0, cores)
    return cores


def cores_for(threads: int) -> list[int]:
    """The cores that `pin` would choose."""
    usable = sorted(os.sched_getaffinity(0), reverse=True)
    first_of_core = {_siblings(core): core for core in reversed(usable)}
    preferred = [core for core in usable if first_of_core[_siblings(core)] == core]
    return sorted((preferred + [core for core in usable if core not in preferred])[:threads])


def _siblings(core: int) -> str:
    try:
        return Path(f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list").read_text("utf-8")
    except OSError:
        return str(core)
