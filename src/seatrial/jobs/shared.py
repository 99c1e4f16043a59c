"""Sample tables in memory that a process shares with its parent: what was measured outlives a crash, a kill and Ctrl-C."""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from seatrial._native.timing import StageSamples
from seatrial.errors import ResultsError

I64 = npt.NDArray[np.int64]
FD_VARIABLE = "SEATRIAL_SAMPLES_FD"


@dataclass(frozen=True)
class SharedSamples:
    """One table a client, one behind the other. The parent makes it and closes it; the child attaches to the descriptor."""

    descriptor: int
    clients: int
    capacity: int
    stages: int

    @classmethod
    def create(cls, clients: int, capacity: int, stages: int) -> SharedSamples:
        """ResultsError where the system has no room for them."""
        try:
            shared = cls(anonymous_file(), clients, capacity, stages)
            # Pages that nobody writes cost nothing.
            try:
                os.ftruncate(shared.descriptor, clients * shared._bytes)
            except OSError:
                shared.close()
                raise
        except OSError as e:
            raise ResultsError(f"the system gives no memory for samples: {e.strerror or e}; raise its limits") from e
        return shared

    @property
    def _bytes(self) -> int:
        """Of one table, in whole pages, since a mapping starts on one."""
        return (
            -(-8 * StageSamples.words(self.capacity, self.stages) // mmap.ALLOCATIONGRANULARITY)
            * mmap.ALLOCATIONGRANULARITY
        )

    @property
    def bytes_of_all(self) -> int:
        """Memory that the tables take in a process that fills them."""
        return self.clients * self._bytes

    def tables(self) -> list[StageSamples]:
        """For the process that fills them."""
        return [
            StageSamples(self.capacity, self.stages, mmap.mmap(self.descriptor, self._bytes, offset=i * self._bytes))
            for i in range(self.clients)
        ]

    def read(self) -> list[I64]:
        """The whole rows of each client; for the parent, at any time."""
        return [
            StageSamples.read(os.pread(self.descriptor, self._bytes, i * self._bytes), self.stages)
            for i in range(self.clients)
        ]

    def close(self) -> None:
        os.close(self.descriptor)


def merged(tables: Sequence[I64]) -> I64:
    """Rows of all clients in the order in which they started."""
    rows = np.concatenate(list(tables))
    return np.asarray(rows[np.argsort(rows[:, 0], kind="stable")])


def anonymous_file() -> int:
    # Pythons that were built against a glibc before 2.27, such as conda's, lack it whatever the kernel can do.
    if hasattr(os, "memfd_create"):
        return os.memfd_create("seatrial-samples")
    with tempfile.TemporaryFile() as stream:
        return os.dup(stream.fileno())
