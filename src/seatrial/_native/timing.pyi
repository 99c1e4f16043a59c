from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

NO_DEADLINE_NS: int
"""A deadline that no loop meets: it ends for another reason."""

def now_ns() -> int:
    """Monotonic clock, nanoseconds since an arbitrary start."""

def clock_step_ns(tries: int = 1000) -> int:
    """Smallest step seen between two different clock readings, nanoseconds. ValueError where tries < 1."""

class StageSamples:
    """A preallocated table of stage times; a row goes begin(), lap() or give() once a stage, end()."""

    def __init__(self, capacity: int, stages: int, memory: Any = None) -> None:
        """memory: a writable buffer of 8 * words(capacity, stages) bytes, which another process may share; else its own.

        MemoryError where the table does not fit; ValueError where capacity or stages < 1, or memory is too small or not
        aligned to 8 bytes.
        """
    @staticmethod
    def words(capacity: int, stages: int) -> int:
        """int64 words that a table takes."""
    @staticmethod
    def read(memory: Any, stages: int) -> npt.NDArray[np.int64]:
        """The whole rows in a table's memory, whoever filled it and however that process ended; as to_array().

        ValueError where the memory cannot hold as many rows as its first word says.
        """
    def __len__(self) -> int: ...
    @property
    def capacity(self) -> int: ...
    @property
    def stages(self) -> int: ...
    def begin(self) -> bool:
        """Starts a row; False where the table is full."""
    def lap(self) -> None:
        """Ends the current stage and starts the next at the same reading."""
    def give(self, duration_ns: int) -> None:
        """Fills the next stage with a duration from another clock, such as a device's events; the host's stage goes on.

        A row with given stages need not add up to its end-to-end time. ValueError where duration_ns < 0.
        """
    def finish(self) -> None:
        """The request is over; what follows before end(), which may only be give(), is no part of it."""
    def end(self) -> bool:
        """Ends the row; False, and the row is dropped, where a stage is missing or one too many."""
    def to_array(self, first: int = 0) -> npt.NDArray[np.int64]:
        """Copy of the rows from `first` on, (rows, 1 + stages + 1) int64 nanoseconds: start, one a stage, end to end."""

class Work:
    """One request that a loop can time."""

    def check(self) -> None:
        """Raises what made the last request fail, once."""

class SpinWork(Work):
    """Keeps a core busy for service_ns a request; request `stall_at`, from 0, takes stall_ns longer, `fail_at` fails."""

    def __init__(self, service_ns: int = 0, stall_at: int = -1, stall_ns: int = 0, fail_at: int = -1) -> None: ...

class Lap:
    """What a PythonWork's callable ends its stages with; outside of a request it does nothing."""

    def __call__(self) -> None:
        """Ends the current stage, as StageSamples.lap."""
    def give(self, duration_ns: int) -> None:
        """Fills the next stage, as StageSamples.give. ValueError where duration_ns < 0."""

class PythonWork(Work):
    """A Python callable that ends each of its stages with lap(), or fills it with lap.give(ns). What it raises ends the loop."""

    def __init__(self, iterate: Callable[[Lap], None]) -> None: ...

class MixWork(Work):
    """Several kinds of requests, taken by the numbers in `order`, over and over. At most 256 kinds can be named."""

    def __init__(self, works: Sequence[Work], order: npt.ArrayLike) -> None: ...

class Halt:
    """Ends a loop from another thread, after the current request."""

    def ask(self) -> None: ...
    @property
    def asked(self) -> bool: ...

def closed_loop(
    work: Work, samples: StageSamples, *, deadline_ns: int, most: int = -1, gap_ns: int = 0, halt: Halt | None = None
) -> str:
    """One client's requests, one after another, each followed by gap_ns of sleep. Holds no GIL.

    Ends with 'count' after `most`, 'deadline' (no request starts after it), 'asked' by halt, or 'full' of samples. Raises
    what a request raised; the rows before it stay. A gap ends early at the deadline, and where halt is asked.
    """

def closed_loops(
    works: Sequence[Work], samples: Sequence[StageSamples], *, deadline_ns: int, most: int = -1, gap_ns: int = 0,
    halt: Halt | None = None,
) -> str:
    """A closed loop for each client, on threads of their own, started together. No work or table may be given twice.

    A request that fails ends the other clients after their current request; the first client's error is raised.
    """

def open_loop(
    works: Sequence[Work], samples: Sequence[StageSamples], arrivals_ns: npt.ArrayLike, *, first_ns: int, deadline_ns: int,
    halt: Halt | None = None,
) -> str:
    """Requests due at first_ns + arrivals_ns, taken in order by whichever server (a thread a work) is free.

    A row starts when its request was due; its first stage is the wait until a server took it. A request that was not taken
    before the deadline has no row. ValueError where arrivals do not ascend, or a work or table is given twice.
    """
