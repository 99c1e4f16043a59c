from collections.abc import Sequence
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt
from typing_extensions import Buffer

from seatrial._native.timing import Work
from seatrial.cuda.request import Slot


LEAST_VERSION: int
"""What a driver must serve, as 11040 for CUDA 11.4."""

class CudaError(RuntimeError):
    """A function of the driver failed; the text names it, says what its code means, and what helps."""

    call: str
    """As 'cuMemAlloc'; empty where no function of the driver failed."""
    code: int
    """CUresult; 0 where no function of the driver failed."""
    def __init__(self, message: str, call: str = "", code: int = 0) -> None: ...

class CudaUnavailableError(CudaError):
    """There is no driver or device to work with: not installed, too old, none visible, held by another process."""

class OutOfDeviceMemoryError(CudaError):
    """The text says what was asked for and what is free."""

class ClockDisagreementError(CudaError):
    """What the device's events say did not fit into the time that passed on the host's clock."""

HostMemory = Buffer | npt.NDArray[Any]

class Memory(Protocol):
    """Device memory: a DeviceBuffer, or seatrial.cuda's DeviceArray."""

    @property
    def pointer(self) -> int: ...
    @property
    def nbytes(self) -> int: ...

def load(path: str = "libcuda.so.1") -> Driver:
    """The driver's library at `path`, from now on the one that is meant where none is named. Loaded once a path.

    CudaUnavailableError where it cannot be loaded, is no CUDA driver, or serves less than CUDA 11.4. No device is needed yet.
    """

def driver_version() -> int:
    """The CUDA version that the driver serves: 12020 for 12.2. Loads the driver where none was."""

def device_count() -> int:
    """At least 1. CudaUnavailableError where the driver sees no device."""

def version_text(version: int) -> str:
    """'12.2' for 12020."""

class Driver:
    @property
    def version(self) -> int: ...
    @property
    def path(self) -> str: ...
    def require(self, version: int, who: str) -> None:
        """CudaUnavailableError '`who` needs driver >= 13.0, found 12.2' where the driver is older than `version`."""
    def device_count(self) -> int: ...

class Device:
    """What a device is; asked once, when this is made."""

    def __init__(self, ordinal: int = 0, driver: Driver | None = None) -> None: ...
    @property
    def ordinal(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def uuid(self) -> str:
        """'GPU-…', as nvidia-smi has it."""
    @property
    def compute_capability(self) -> tuple[int, int]: ...
    @property
    def multiprocessors(self) -> int: ...
    @property
    def total_memory_bytes(self) -> int: ...
    @property
    def l2_bytes(self) -> int: ...

class Context:
    """The primary context of a device, kept for as long as this or anything in it lives.

    It is the one that torch, cupy and the CUDA runtime use. Each call here makes it current for as long as it lasts. As a
    context manager it is current for the block too, for who uses the driver on his own, as pycuda's users do.
    """

    driver: Driver
    def __init__(self, ordinal: int = 0, driver: Driver | None = None) -> None: ...
    @property
    def ordinal(self) -> int: ...
    @property
    def device(self) -> Device: ...
    def memory_info(self) -> tuple[int, int]:
        """(free, total) bytes of the device, other processes' included."""
    def synchronize(self) -> None:
        """Waits for all that was asked of the device in this context, by whomever."""
    def pointer_device(self, pointer: int) -> int | None:
        """The device on which memory lies; None for the host's, whether CUDA knows it or not."""
    def allocated_bytes(self, pointer: int, nbytes: int) -> int:
        """How much of `nbytes` is allocated from there on; all where the driver does not tell."""
    def is_pinned(self, pointer: int) -> bool:
        """Whether CUDA knows memory of the host, so that the device copies from and to it by itself."""
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

class Stream:
    """A stream of its own, or somebody else's by its handle, whose owner is kept.

    ValueError where the handle is of another context. Host memory that a copy reads or writes must live until the stream was
    waited for; where it is not pinned, the driver stages it and the copy may wait itself, or the device reads it on its own
    (GH200): what copy_to_device was given is kept until synchronize().
    """

    context: Context
    def __init__(self, context: Context, handle: int | None = None, owner: object = None) -> None:
        """handle: a CUstream; 0 or 1 is the legacy default stream, 2 the thread's own default stream."""
    @property
    def handle(self) -> int: ...
    @property
    def is_own(self) -> bool: ...
    def __cuda_stream__(self) -> tuple[int, int]: ...
    def synchronize(self) -> None: ...
    def wait_for(self, other: Stream) -> None:
        """What is asked of this stream from now on waits for what was asked of the other so far; the host does not."""
    def copy_to_device(self, to: Memory, source: HostMemory) -> None:
        """ValueError where the two are not of as many bytes, not in C order and one piece, or are written and read-only, here
        and below."""
    def copy_to_host(self, to: HostMemory, source: Memory) -> None: ...
    def copy_on_device(self, to: Memory, source: Memory) -> None: ...
    def fill(self, to: Memory, value: int) -> None:
        """Every byte."""
    def begin_capture(self) -> None:
        """What this thread asks of the stream is kept for a graph instead of done, until end_capture()."""
    def end_capture(self, kept: object = None) -> Graph:
        """kept: whatever else the graph needs for as long as it lives. CudaError where something could not be captured;
        ValueError where nothing was."""

class Event:
    """timed: it has a time. sleeps: waiting for it gives the core away."""

    context: Context
    def __init__(self, context: Context, *, timed: bool = True, sleeps: bool = False) -> None: ...
    def record(self, stream: Stream) -> None:
        """ValueError where the stream is of another device."""
    def synchronize(self) -> None: ...
    @property
    def is_done(self) -> bool: ...

class DeviceBuffer:
    """Device memory. OutOfDeviceMemoryError says what was asked for and what is free."""

    context: Context
    def __init__(self, context: Context, nbytes: int) -> None: ...
    @property
    def pointer(self) -> int: ...
    @property
    def nbytes(self) -> int: ...

class PinnedBuffer:
    """Host memory that the device copies from and to by itself; a buffer, so that np.frombuffer reads and writes it."""

    context: Context
    def __init__(self, context: Context, nbytes: int) -> None: ...
    @property
    def nbytes(self) -> int: ...
    def as_array(self, dtype: npt.DTypeLike = ..., shape: Sequence[int] | None = None) -> npt.NDArray[Any]:
        """Its memory, without a copy: of uint8 and one dimension unless said otherwise."""
    @property
    def device_pointer(self) -> int:
        """Where a kernel finds it."""
    def __buffer__(self, flags: int, /) -> memoryview: ...

class Graph:
    """What a stream captured, ready to be launched.

    It keeps the kernels that were launched on that Stream object and the memory that was named to it; what a library enqueued by
    the stream's handle, by `kept`.
    """

    context: Context
    def __init__(self, stream: Stream, kept: object = None) -> None:
        """Ends the stream's capture, as Stream.end_capture()."""
    @property
    def nodes(self) -> int: ...
    def launch(self, stream: Stream) -> None: ...

class Module:
    """A module from PTX. CudaError has the log of the driver's compiler."""

    context: Context
    def __init__(self, context: Context, ptx: str) -> None: ...
    def function(self, name: str) -> Function: ...

class Function:
    """A kernel; module.function(name) makes it."""

    name: str
    def launch(
        self, stream: Stream, grid: int | Sequence[int], block: int | Sequence[int], arguments: Sequence[Any], *,
        shared_bytes: int = 0,
    ) -> None:
        """arguments: NumPy scalars of exactly the kernel's types, device memory for a pointer, or a structure's bytes.

        Their sizes are not checked: a kernel does not tell them.
        """

class EventTimer:
    """How long a stream takes between marks, by the device's events, held against the host's clock.

    Neighbouring events are subtracted by the device, in floats of milliseconds, and summed here in doubles.
    """

    def __init__(self, stream: Stream, intervals: int) -> None: ...
    @property
    def stream(self) -> Stream: ...
    def start(self) -> None:
        """Begins anew. Waits for its event, so that the host knows when it was."""
    def mark(self) -> None:
        """Ends an interval and begins the next. ValueError where there are no more, or start() was not called."""
    def intervals_ns(self) -> npt.NDArray[np.float64]:
        """One a mark() since start(). Waits for the last.

        CudaError names an event that was never recorded. ClockDisagreementError: the sum is less or more than what can have
        passed by the host's clock, by 2 µs, half a microsecond an interval and 0.1 %.
        """
    @property
    def clocks_ns(self) -> tuple[float, float, float]:
        """Of the last intervals_ns(): what the device says, and the least and the most that passed on the host."""

class Request(Work):
    """Requests on a device for the timing loops: copies there, a graph or a function, copies back.

    One slot is synchronous: a request ends before the next begins; with an open loop it is paced. More slots are pipelined: as
    many requests in flight, on streams of their own for copies in either direction; for closed loops only. A row is always one
    request's, from before it was enqueued until the host saw its end, so that latency is lived through and no sum of stages.

    After a loop, check() (which the loops call) waits for what is in flight, and raises what failed: CudaError with the call,
    what `compute` raised, ClockDisagreementError where the events of all the loop's requests do not fit into the time on the
    host's clock.
    """

    def __init__(
        self, stream: Stream, slots: Sequence[Slot], *, transfers: bool = True, synchronisation: str = "spin", hold: bool = False,
        hold_limit_ns: int = 1_000_000_000, flush_bytes: int = 0,
    ) -> None:
        """transfers: False leaves the copies, and their stages, out. synchronisation: 'spin' keeps a core busy while it waits,
        'block' gives it away. hold: a kernel holds the stream until all is enqueued, so that compute has no launch gaps; run()
        comes before. flush_bytes: so much memory (the device's l2_bytes) is written before each request, outside of its row.

        ValueError where sizes differ, memory is not on the stream's device, copies would write over each other (each slot has
        device memory, outputs and a graph of its own), or the settings exclude each other.
        """
    @property
    def stream(self) -> Stream: ...
    @property
    def transfers(self) -> bool: ...
    @property
    def pinned(self) -> bool:
        """Whether all of the host's memory is."""
    @property
    def slots(self) -> int: ...
    @property
    def is_pipelined(self) -> bool: ...
    @property
    def stage_names(self) -> tuple[str, ...]:
        """enqueue and wait by the host's clock, then h2d, compute and d2h by the device's events; compute alone without
        transfers. The device's lie within the host's, so that they do not add up to the whole."""
    def run(self, slot: int = 0) -> None:
        """One inference, neither timed nor held."""
    @property
    def clocks_ns(self) -> tuple[float, float, float]:
        """Of the last loop, from its first request to its last: what the device says, and the least and most of the host."""
    @property
    def checked(self) -> int:
        """Requests in that."""
