# cython: language_level=3, boundscheck=False, wraparound=False, embedsignature=True
# Joins csrc/cuda to Python: the driver's objects and kernels' launches. Checks sizes and types, forwards calls, nothing else.
cimport cython
from cpython.buffer cimport (
    PyBUF_STRIDES, PyBUF_WRITABLE, PyBuffer_FillInfo, PyBuffer_IsContiguous, PyBuffer_Release, PyObject_GetBuffer)
from libc.stdint cimport int64_t, uintptr_t
from libcpp cimport bool as cbool
from libcpp.memory cimport shared_ptr
from libcpp.string cimport string
from libcpp.vector cimport vector

from os import fsencode

import numpy as np

from seatrial._native.timing cimport CStageSamples, Work, enter_python, leave_python

cdef extern from *:
    """
    #include <new>
    #include <string>
    #include "cuda/errors.hpp"

    struct CaughtError {
        int kind, code;
        std::string message, call;
    };

    // Of the exception that is being handled.
    static CaughtError caught_error() {
        try {
            throw;
        } catch (const seatrial::cuda::Error& e) {
            return {static_cast<int>(e.kind), e.code, e.what(), e.call};
        } catch (const std::bad_alloc&) {
            return {-1, 0, "", ""};
        } catch (const std::exception& e) {
            return {0, 0, e.what(), ""};
        } catch (...) {
            return {0, 0, "an exception of no known type", ""};
        }
    }
    """
    cdef cppclass CaughtError:
        int kind, code
        string message, call
    CaughtError caught_error() except *

cdef extern from "cuda/driver.hpp" namespace "seatrial::cuda" nogil:
    string _version_text "seatrial::cuda::version_text"(int version) except +
    int kLeastVersion

cdef extern from "cuda/objects.hpp" namespace "seatrial::cuda" nogil:
    cdef cppclass CFacts "seatrial::cuda::DeviceFacts":
        string name, uuid
        int major, minor, multiprocessors
        size_t memory_bytes, l2_bytes
        cbool reads_pageable
    cdef cppclass CPointerFacts "seatrial::cuda::PointerFacts":
        cbool known, on_device, managed
        int ordinal
    int _device_count "seatrial::cuda::device_count"(const CDriver& driver) except +raise_error
    CFacts _device_facts "seatrial::cuda::device_facts"(const CDriver& driver, int ordinal) except +raise_error
    CPointerFacts _pointer_facts "seatrial::cuda::pointer_facts"(const CContext& context, Address pointer) except +raise_error
    size_t _allocated "seatrial::cuda::allocated_bytes"(
        const CContext& context, Address pointer, size_t size) except +raise_error
    void _push "seatrial::cuda::push"(const CContext& context) except +raise_error
    void _pop "seatrial::cuda::pop"(const CContext& context) except +raise_error
    cdef cppclass CEvent "seatrial::cuda::Event":
        CEvent(SharedContext context, cbool timed, cbool sleeps) except +raise_error
        void record(const CStream& stream) except +raise_error
        void synchronize() except +raise_error
        cbool is_done() except +raise_error
    cdef cppclass CDeviceMemory "seatrial::cuda::DeviceMemory":
        CDeviceMemory(SharedContext context, size_t bytes) except +raise_error
        Address address() noexcept
        size_t bytes() noexcept
    cdef cppclass CPinnedMemory "seatrial::cuda::PinnedMemory":
        CPinnedMemory(SharedContext context, size_t bytes) except +raise_error
        void* data() noexcept
        size_t bytes() noexcept
        Address device_address() except +raise_error
    cdef cppclass CGraph "seatrial::cuda::Graph":
        CGraph(const CStream& stream) except +raise_error
        GraphExecHandle* handle() noexcept
        size_t nodes() noexcept
        void launch(const CStream& stream) except +raise_error
    cdef cppclass CModule "seatrial::cuda::Module":
        CModule(SharedContext context, const string& ptx) except +raise_error
        FunctionHandle* function(const string& name) except +raise_error
    cdef cppclass CSize3 "seatrial::cuda::Size3":
        unsigned x, y, z
    void _launch "seatrial::cuda::launch"(
        const CStream& stream, FunctionHandle* function, const string& name, CSize3 grid, CSize3 block,
        unsigned shared_bytes, void** parameters) except +raise_error


cdef extern from "cuda/event_timer.hpp" namespace "seatrial::cuda" nogil:
    cdef cppclass CCheck "seatrial::cuda::ClockCheck":
        double device_ns, least_ns, most_ns
    cdef cppclass CTimer "seatrial::cuda::EventTimer":
        CTimer(shared_ptr[const CStream] stream, size_t intervals) except +raise_error
        void start() except +raise_error
        void mark() except +raise_error
        vector[double] intervals_ns() except +raise_error
        const CCheck& check() noexcept

cdef extern from "cuda/request.hpp" namespace "seatrial::cuda" nogil:
    cdef cppclass GraphExecHandle:
        pass
    cdef cppclass CCopy "seatrial::cuda::Copy":
        Address device
        void* host
        size_t bytes
    cdef cppclass CSlot "seatrial::cuda::Slot":
        vector[CCopy] to_device, to_host
        GraphExecHandle* graph
        int (*enqueue)(void* self, StreamHandle* stream) noexcept
        void* self
    cdef cppclass CSettings "seatrial::cuda::RequestSettings":
        cbool transfers, sleeps, holds
        int64_t hold_limit_ns
        size_t flush_bytes
    cdef cppclass CRequest "seatrial::cuda::Request":
        CRequest(shared_ptr[const CStream] stream, vector[CSlot] slots, CSettings settings) except +raise_error
        size_t stages() noexcept
        cbool run(size_t slot) except +raise_error
        cbool settle() except +raise_error
        const CCheck& check() noexcept
        int64_t checked() noexcept
        @staticmethod
        int call(void* self, CStageSamples& samples) noexcept


class CudaError(RuntimeError):
    call = ""
    code = 0

    def __init__(self, message, call="", code=0):
        super().__init__(message)
        self.call = call
        self.code = code


class CudaUnavailableError(CudaError):
    pass


class OutOfDeviceMemoryError(CudaError):
    pass


class ClockDisagreementError(CudaError):
    pass


cdef int raise_error() except *:
    cdef CaughtError caught = caught_error()
    if caught.kind < 0:
        raise MemoryError
    message = caught.message.decode(errors="replace")
    if caught.kind == 4:
        raise ValueError(message)
    kind = {1: CudaUnavailableError, 2: OutOfDeviceMemoryError, 3: ClockDisagreementError}.get(caught.kind, CudaError)
    raise kind(message, caught.call.decode(), caught.code)


LEAST_VERSION = kLeastVersion
_default = None


def load(str path="libcuda.so.1") -> Driver:
    global _default
    cdef Driver driver = Driver.__new__(Driver)
    cdef string file = fsencode(path)
    driver.driver = &CDriver.load(file)
    _default = driver
    return driver


cdef Driver _driver(driver):
    if driver is not None:
        return driver
    return _default if _default is not None else load()


def driver_version() -> int:
    return _driver(None).version


def device_count() -> int:
    return _driver(None).device_count()


def version_text(int version) -> str:
    return _version_text(version).decode()


@cython.no_gc
cdef class Driver:
    def __init__(self):
        raise TypeError("expected load(path) to make a Driver")

    @property
    def version(self) -> int:
        return self.driver.version()

    @property
    def path(self) -> str:
        return self.driver.path().decode(errors="surrogateescape")

    def require(self, int version, str who) -> None:
        self.driver.require(version, who.encode())

    def device_count(self) -> int:
        cdef int count
        with nogil:
            count = _device_count(self.driver[0])
        return count


cdef class Device:
    cdef readonly int ordinal, multiprocessors
    cdef readonly str name, uuid
    cdef readonly tuple compute_capability
    cdef readonly size_t total_memory_bytes, l2_bytes

    def __cinit__(self, int ordinal=0, Driver driver=None):
        cdef Driver own = _driver(driver)
        cdef CFacts facts
        with nogil:
            facts = _device_facts(own.driver[0], ordinal)
        self.ordinal = ordinal
        self.name = facts.name.decode(errors="replace")
        self.uuid = facts.uuid.decode()
        self.compute_capability = (facts.major, facts.minor)
        self.multiprocessors = facts.multiprocessors
        self.total_memory_bytes = facts.memory_bytes
        self.l2_bytes = facts.l2_bytes

    def __repr__(self) -> str:
        major, minor = self.compute_capability
        return f"Device({self.ordinal}, {self.name!r}, sm_{major}{minor})"


cdef class Context:
    def __cinit__(self, int ordinal=0, Driver driver=None):
        self.driver = _driver(driver)
        self.reads_pageable = -1
        cdef const CDriver* c = self.driver.driver
        cdef CContext* made
        with nogil:
            made = new CContext(c[0], ordinal)
        self.shared.reset(<const CContext*>made)

    @property
    def ordinal(self) -> int:
        return self.shared.get().ordinal()

    @property
    def device(self) -> Device:
        return Device(self.ordinal, self.driver)

    def memory_info(self) -> tuple[int, int]:
        cdef size_t free = 0, total = 0
        with nogil:
            self.shared.get().memory_info(free, total)
        return free, total

    def synchronize(self) -> None:
        with nogil:
            self.shared.get().synchronize()

    def pointer_device(self, Address pointer):
        cdef CPointerFacts facts
        with nogil:
            facts = _pointer_facts(self.shared.get()[0], pointer)
        return facts.ordinal if facts.known and facts.on_device else None

    # Whether a copy from host memory may still read it when the call has returned.
    cdef bint reads_late(self, size_t pointer) except *:
        cdef CFacts facts
        if self.reads_pageable < 0:
            with nogil:
                facts = _device_facts(self.driver.driver[0], self.shared.get().ordinal())
            self.reads_pageable = facts.reads_pageable
        return self.reads_pageable and not self.is_pinned(pointer)

    def allocated_bytes(self, Address pointer, size_t nbytes) -> int:
        cdef size_t found
        with nogil:
            found = _allocated(self.shared.get()[0], pointer, nbytes)
        return found

    def is_pinned(self, Address pointer) -> bool:
        cdef CPointerFacts facts
        with nogil:
            facts = _pointer_facts(self.shared.get()[0], pointer)
        return facts.known and not facts.on_device

    def __enter__(self):
        _push(self.shared.get()[0])
        return self

    def __exit__(self, *_):
        _pop(self.shared.get()[0])


cdef class Stream:
    def __cinit__(self, Context context not None, handle=None, owner=None):
        self.context = context
        self.owner = owner
        cdef StreamHandle* foreign = NULL
        if handle is not None:
            foreign = <StreamHandle*><uintptr_t>handle
        cdef cbool own = handle is None
        cdef CStream* made
        with nogil:
            made = new CStream(context.shared) if own else new CStream(context.shared, foreign)
        self.shared.reset(<const CStream*>made)
        self.stream = made

    @property
    def handle(self) -> int:
        return <uintptr_t>self.stream.handle()

    @property
    def is_own(self) -> bool:
        return self.stream.is_own()

    def __cuda_stream__(self) -> tuple[int, int]:
        return 0, self.handle

    def synchronize(self) -> None:
        with nogil:
            self.stream.synchronize()
        self.sent = None

    def wait_for(self, Stream other not None) -> None:
        with nogil:
            self.stream.wait_for(other.stream[0])

    def copy_to_device(self, to, source) -> None:
        cdef _Span there = _span(to, True)
        with _Host(source, False) as host:
            _same_size(there.bytes, host.nbytes)
            _copy_to_device(self, there.address, host)
            if self.captured is None and self.context.reads_late(<size_t>(<_Host>host).view.buf):
                self._send(source)
        self._keep(to, source)

    def copy_to_host(self, to, source) -> None:
        cdef _Span here = _span(source, False)
        with _Host(to, True) as host:
            _same_size(host.nbytes, here.bytes)
            _copy_to_host(self, host, here.address)
        self._keep(to, source)

    def copy_on_device(self, to, source) -> None:
        cdef _Span there = _span(to, True), here = _span(source, False)
        _same_size(there.bytes, here.bytes)
        with nogil:
            self.stream.copy_on_device(there.address, here.address, there.bytes)
        self._keep(to, source)

    def fill(self, to, unsigned char value) -> None:
        cdef _Span there = _span(to, True)
        with nogil:
            self.stream.fill(there.address, value, there.bytes)
        self._keep(to)

    def begin_capture(self) -> None:
        self.stream.begin_capture()
        self.captured = []

    def end_capture(self, kept=None) -> Graph:
        return Graph(self, kept)

    # A temporary would be gone, and its memory another's, before the device reads it. Of many the stream is waited for.
    def _send(self, source) -> None:
        if self.sent is None:
            self.sent = []
        self.sent.append(source)
        if len(self.sent) > 64:
            self.synchronize()

    # A graph launches kernels and moves memory by their addresses, long after.
    def _keep(self, *used) -> None:
        if self.captured is not None:
            self.captured.extend(used)


cdef int _same_size(to, source) except -1:
    if to != source:
        raise ValueError(f"expected as many bytes on both sides, got {source} to copy to {to}")
    return 0


cdef struct _Span:
    Address address
    size_t bytes


# Of device memory. An array may have gaps or be read-only, where plain memory cannot.
cdef _Span _span(memory, bint written) except *:
    if not getattr(memory, "is_contiguous", True):
        raise ValueError(
            f"expected device memory in one piece, got an array of strides {memory.strides} bytes for shape "
            f"{list(memory.shape)}; make it contiguous")
    if written and getattr(memory, "read_only", False):
        raise ValueError("expected device memory that can be written, got a read-only array; copy it")
    cdef _Span span
    span.address, span.bytes = memory.pointer, memory.nbytes
    return span


cdef int _copy_to_device(Stream stream, Address to, _Host host) except -1:
    with nogil:
        stream.stream.copy_to_device(to, host.view.buf, host.view.len)
    return 0


cdef int _copy_to_host(Stream stream, _Host host, Address source) except -1:
    with nogil:
        stream.stream.copy_to_host(host.view.buf, source, host.view.len)
    return 0


# A buffer's bytes, held for as long as the block lasts.
cdef class _Host:
    cdef Py_buffer view
    cdef bint held

    def __cinit__(self, source, bint writable):
        PyObject_GetBuffer(source, &self.view, PyBUF_STRIDES | (PyBUF_WRITABLE if writable else 0))
        self.held = True
        # Device memory has C order: bytes in another one would be a transposed array there.
        if not PyBuffer_IsContiguous(&self.view, b"C"):
            raise ValueError(
                "expected host memory in C order and one piece, got a transposed or strided array; make it contiguous "
                "(np.ascontiguousarray)")

    def __dealloc__(self):
        self.release()

    cdef void release(self):
        if self.held:
            self.held = False
            PyBuffer_Release(&self.view)

    @property
    def nbytes(self):
        return self.view.len

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.release()


cdef class Event:
    cdef CEvent* event
    cdef readonly Context context

    def __cinit__(self, Context context not None, *, bint timed=True, bint sleeps=False):
        self.context = context
        self.event = new CEvent(context.shared, timed, sleeps)

    def __dealloc__(self):
        del self.event

    def record(self, Stream stream not None) -> None:
        with nogil:
            self.event.record(stream.stream[0])

    def synchronize(self) -> None:
        with nogil:
            self.event.synchronize()

    @property
    def is_done(self) -> bool:
        return self.event.is_done()


cdef class DeviceBuffer:
    cdef CDeviceMemory* memory
    cdef readonly Context context

    def __cinit__(self, Context context not None, size_t nbytes):
        self.context = context
        with nogil:
            self.memory = new CDeviceMemory(context.shared, nbytes)

    def __dealloc__(self):
        with nogil:
            del self.memory

    @property
    def pointer(self) -> int:
        return self.memory.address()

    @property
    def nbytes(self) -> int:
        return self.memory.bytes()


cdef class PinnedBuffer:
    cdef CPinnedMemory* memory
    cdef readonly Context context

    def __cinit__(self, Context context not None, size_t nbytes):
        self.context = context
        with nogil:
            self.memory = new CPinnedMemory(context.shared, nbytes)

    def __dealloc__(self):
        with nogil:
            del self.memory

    @property
    def nbytes(self) -> int:
        return self.memory.bytes()

    def as_array(self, dtype=np.uint8, shape=None):
        array = np.frombuffer(self, dtype)
        return array if shape is None else array.reshape(shape)

    @property
    def device_pointer(self) -> int:
        return self.memory.device_address()

    def __getbuffer__(self, Py_buffer* view, int flags):
        PyBuffer_FillInfo(view, self, self.memory.data(), self.memory.bytes(), False, flags)


# What it launches must outlive it, also where a collection ends both.
@cython.no_gc_clear
cdef class Graph:
    cdef CGraph* graph
    cdef readonly Context context
    cdef object kept

    def __cinit__(self, Stream stream not None, kept=None):
        self.context = stream.context
        self.kept = stream.captured, kept
        stream.captured = None
        with nogil:
            self.graph = new CGraph(stream.stream[0])

    def __dealloc__(self):
        with nogil:
            del self.graph

    @property
    def nodes(self) -> int:
        return self.graph.nodes()

    def launch(self, Stream stream not None) -> None:
        with nogil:
            self.graph.launch(stream.stream[0])


cdef class Module:
    cdef CModule* module
    cdef readonly Context context

    def __cinit__(self, Context context not None, str ptx):
        self.context = context
        cdef string text = ptx.encode()
        with nogil:
            self.module = new CModule(context.shared, text)

    def __dealloc__(self):
        with nogil:
            del self.module

    def function(self, str name) -> Function:
        cdef Function function = Function.__new__(Function)
        function.function = self.module.function(name.encode())
        function.module = self
        function.name = name
        return function


cdef class Function:
    cdef FunctionHandle* function
    cdef Module module
    cdef readonly str name

    def __init__(self):
        raise TypeError("expected module.function(name) to make a Function")

    def launch(self, Stream stream not None, grid, block, arguments, *, unsigned shared_bytes=0) -> None:
        # The driver reads the values before it returns.
        values = [_value(each) for each in arguments]
        cdef vector[void*] addresses
        for each in values:
            addresses.push_back(<void*><char*>each)
        addresses.push_back(NULL)
        cdef CSize3 grid_size = _size3("grid", grid), block_size = _size3("block", block)
        cdef string name = self.name.encode()
        with nogil:
            _launch(stream.stream[0], self.function, name, grid_size, block_size, shared_bytes, addresses.data())
        stream._keep(self, *arguments)


cdef bytes _value(argument):
    if isinstance(argument, bytes):
        return argument
    if isinstance(argument, np.generic):
        return argument.tobytes()
    if hasattr(argument, "pointer"):
        return np.uint64(argument.pointer).tobytes()
    raise TypeError(
        f"arguments: expected NumPy scalars of the kernel's own types, device memory or bytes, got {type(argument).__name__}, "
        "whose size a kernel does not know")


cdef CSize3 _size3(str name, given) except *:
    sizes = [given] if isinstance(given, int) else list(given)
    if not 1 <= len(sizes) <= 3 or any(s < 1 for s in sizes):
        raise ValueError(f"{name}: expected 1 to 3 sizes from 1 on, got {given}")
    cdef CSize3 size
    size.x, size.y, size.z = (*sizes, 1, 1)[:3]
    return size


cdef class EventTimer:
    cdef CTimer* timer
    cdef readonly Stream stream

    def __cinit__(self, Stream stream not None, Py_ssize_t intervals):
        if intervals < 1:
            raise ValueError(f"intervals: expected at least 1, got {intervals}")
        self.stream = stream
        self.timer = new CTimer(stream.shared, intervals)

    def __dealloc__(self):
        del self.timer

    def start(self) -> None:
        with nogil:
            self.timer.start()

    def mark(self) -> None:
        self.timer.mark()

    def intervals_ns(self):
        cdef vector[double] found
        with nogil:
            found = self.timer.intervals_ns()
        return np.array(found, np.float64)

    @property
    def clocks_ns(self) -> tuple[float, float, float]:
        return _clocks(self.timer.check())


cdef tuple _clocks(const CCheck& check):
    return check.device_ns, check.least_ns, check.most_ns


# Of a slot: a callable, and what it raised.
cdef class _Enqueue:
    cdef object call, error


cdef int _enqueue_python(void* self, StreamHandle* stream) noexcept nogil:
    with gil:
        enqueue = <_Enqueue>self
        try:
            if enqueue.call(<uintptr_t>stream) is False:
                raise CudaError("what computes gave False: it enqueued nothing; its own log says why")
        except BaseException as e:
            enqueue.error = e
            return 1
        return 0


@cython.no_gc_clear
cdef class Request(Work):
    cdef CRequest* request
    cdef readonly Stream stream
    cdef readonly bint transfers, pinned
    cdef readonly int slots
    cdef list kept, enqueues

    def __cinit__(self, Stream stream not None, slots, *, bint transfers=True, str synchronisation="spin", bint hold=False,
                  int64_t hold_limit_ns=1_000_000_000, size_t flush_bytes=0):
        if synchronisation not in ("spin", "block"):
            raise ValueError(f"synchronisation: expected 'spin' or 'block', got {synchronisation!r}")
        if hold_limit_ns < 1:
            raise ValueError(f"hold_limit_ns: expected at least 1, got {hold_limit_ns}")
        self.stream = stream
        self.transfers = transfers
        self.pinned = True
        self.kept, self.enqueues = [], []
        cdef vector[CSlot] made
        for slot in slots:
            made.push_back(self._slot(slot))
        self.slots = <int>made.size()
        if hold and transfers and not self.pinned:
            raise ValueError(
                "hold: expected pinned host memory, since a copy from other memory waits for the stream that is held; use "
                "PinnedBuffer")
        cdef CSettings settings
        settings.transfers = transfers
        settings.sleeps = synchronisation == "block"
        settings.holds = hold
        settings.hold_limit_ns = hold_limit_ns
        settings.flush_bytes = flush_bytes
        with nogil:
            self.request = new CRequest(stream.shared, made, settings)
        self.c.call = CRequest.call
        self.c.self = self.request
        if self.enqueues:
            self.c.enter = enter_python
            self.c.leave = leave_python

    def __dealloc__(self):
        with nogil:
            del self.request

    cdef CSlot _slot(self, slot) except *:
        cdef CSlot made
        cdef _Enqueue enqueue
        made.graph = NULL
        made.enqueue = NULL
        made.self = NULL
        if isinstance(slot.compute, Graph):
            made.graph = (<Graph>slot.compute).graph.handle()
        elif callable(slot.compute):
            enqueue = _Enqueue()
            enqueue.call = slot.compute
            self.enqueues.append(enqueue)
            made.enqueue = _enqueue_python
            made.self = <void*>enqueue
        else:
            raise TypeError(f"compute: expected a Graph or a callable, got {type(slot.compute).__name__}")
        self.kept.append(slot)
        for device, host in slot.to_device:
            made.to_device.push_back(self._copy(device, host, False))
        for host, device in slot.to_host:
            made.to_host.push_back(self._copy(device, host, True))
        return made

    cdef CCopy _copy(self, device, host, bint writable) except *:
        # Held as long as the request lives: it must not move.
        cdef _Host memory = _Host(host, writable)
        cdef _Span span = _span(device, not writable)
        _same_size(span.bytes, memory.nbytes)
        self.kept.append((device, memory))
        there = self.stream.context.pointer_device(span.address)
        if there != self.stream.context.ordinal:
            where = "the host" if there is None else f"device {there}"
            raise ValueError(f"expected memory of device {self.stream.context.ordinal}, got memory of {where}")
        self.pinned = self.pinned and self.stream.context.is_pinned(<uintptr_t>memory.view.buf)
        cdef CCopy copy
        copy.device = span.address
        copy.host = memory.view.buf
        copy.bytes = memory.view.len
        return copy

    @property
    def stage_names(self) -> tuple[str, ...]:
        return ("enqueue", "wait", "h2d", "compute", "d2h") if self.transfers else ("enqueue", "wait", "compute")

    @property
    def is_pipelined(self) -> bool:
        return self.slots > 1

    @property
    def clocks_ns(self) -> tuple[float, float, float]:
        return _clocks(self.request.check())

    @property
    def checked(self) -> int:
        return self.request.checked()

    def run(self, Py_ssize_t slot=0) -> None:
        if not 0 <= slot < self.slots:
            raise IndexError(f"slot: expected 0 to {self.slots - 1}, got {slot}")
        cdef cbool ok
        with nogil:
            ok = self.request.run(slot)
        if not ok:
            self._raise_enqueue()

    cpdef void check(self) except *:
        cdef cbool ok
        with nogil:
            ok = self.request.settle()
        if not ok:
            self._raise_enqueue()

    def _raise_enqueue(self):
        cdef _Enqueue enqueue
        for enqueue in self.enqueues:
            if enqueue.error is not None:
                error, enqueue.error = enqueue.error, None
                raise error
