"""What a timed request on a device is made of: the buffers, what moves between them, and what computes.

For: whoever makes a Request. Not for: timing it, which the loops do (timing, loads).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from seatrial._native.cuda import CudaError, Graph, Stream

if TYPE_CHECKING:
    from seatrial._native.cuda import HostMemory, Memory


@dataclass(frozen=True)
class Slot:
    """One request in flight. compute: a captured graph, or a function that enqueues on the stream whose handle it is given.

    The function may give False where it failed, as TensorRT's execute_async_v3 does. Host memory is pinned (PinnedBuffer), or
    the driver stages it, which takes longer and waits. owner: whatever else must live as long as the request does.
    """

    compute: Graph | Callable[[int], object]
    to_device: Sequence[tuple[Memory, HostMemory]] = ()
    to_host: Sequence[tuple[HostMemory, Memory]] = ()
    owner: object = None


def captured(stream: Stream, enqueue: Callable[[int], object]) -> Graph:
    """What `enqueue` asks of the stream, as a graph, which keeps it. Run it once before: what loads or allocates cannot be
    captured.

    CudaError where something could not be captured or enqueue gave False, ValueError where nothing was. The stream is free
    again either way.
    """
    stream.begin_capture()
    try:
        if enqueue(stream.handle) is False:
            raise CudaError("what was to be captured gave False: it enqueued nothing; its own log says why")
    except BaseException:
        with suppress(CudaError, ValueError):  # the first error says more
            stream.end_capture()
        raise
    return stream.end_capture(enqueue)


def check_transfers(stream: Stream, slot: Slot) -> None:
    """CudaError unless the device holds what the host does, after a run of the slot.

    A driver or a library that copies when something is bound, and not in each run, answers for an input of before.
    """
    for number, (device, host) in enumerate(slot.to_device):
        there = np.empty(device.nbytes, np.uint8)
        stream.copy_to_host(there, device)
        stream.synchronize()
        if not np.array_equal(there, np.frombuffer(memoryview(cast(Any, host)).cast("B"), np.uint8)):
            raise CudaError(
                f"input {number} on the device is not what the host holds: it was not copied in this run, or was written over; "
                "give each input a buffer of its own, and copy it in each run"
            )
