# cython: language_level=3, boundscheck=False, wraparound=False, embedsignature=True
# Joins csrc/timing to Python: checks sizes, forwards calls, nothing else.
from libc.stdint cimport int64_t, uint8_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy
from libcpp cimport bool as cbool

import numpy as np

cdef extern from "timing/clock.hpp" namespace "seatrial" nogil:
    int64_t _now_ns "seatrial::now_ns"() noexcept
    int64_t _clock_step_ns "seatrial::clock_step_ns"(int tries) noexcept

cdef extern from "<atomic>" namespace "std" nogil:
    cdef cppclass atomic_bool "std::atomic<bool>":
        void store(cbool value) noexcept
        cbool load() noexcept

cdef extern from "timing/loops.hpp" namespace "seatrial" nogil:
    cdef enum class CEnded "seatrial::Ended"(int):
        count
        deadline
        asked
        full
        failed
    cdef cppclass CUntil "seatrial::Until":
        int64_t deadline_ns, most
        atomic_bool* asked
    CEnded c_closed_loop "seatrial::closed_loop"(
        CWork work, CStageSamples& samples, CUntil until, int64_t gap_ns) noexcept
    CEnded c_closed_loops "seatrial::closed_loops"(
        const CWork* works, CStageSamples** samples, size_t clients, CUntil until, int64_t gap_ns) except +
    CEnded c_open_loop "seatrial::open_loop"(
        const CWork* works, CStageSamples** samples, size_t servers, const int64_t* arrivals_ns, int64_t count,
        int64_t first_ns, CUntil until) except +

# 146 years of a clock that begins when the machine does, and far enough from the end that a sum with it is a time.
NO_DEADLINE_NS = 1 << 62
_ENDED = ("count", "deadline", "asked", "full", "failed")


def now_ns() -> int:
    return _now_ns()


def clock_step_ns(int tries=1000) -> int:
    if tries < 1:
        raise ValueError(f"tries must be at least 1, got {tries}")
    cdef int64_t step
    with nogil:
        step = _clock_step_ns(tries)
    return step


cdef int64_t _duration(int64_t duration_ns) except -1:
    if duration_ns < 0:
        raise ValueError(f"duration_ns: expected 0 or more, got {duration_ns}")
    return duration_ns


cdef class StageSamples:
    def __cinit__(self, Py_ssize_t capacity, Py_ssize_t stages, memory=None):
        cdef size_t words = StageSamples.words(capacity, stages)
        self.memory = np.empty(words, np.int64) if memory is None else np.frombuffer(memory, np.int64)
        cdef int64_t[::1] view = self.memory
        if not self.memory.flags.aligned:
            raise ValueError("memory: expected an address that is a multiple of 8")
        if <size_t>view.shape[0] < words:
            raise ValueError(f"memory: expected at least {words * 8} bytes, got {view.shape[0] * 8}")
        self.table = new CStageSamples(&view[0], capacity, stages)

    def __dealloc__(self):
        del self.table

    @staticmethod
    def words(Py_ssize_t capacity, Py_ssize_t stages) -> int:
        if capacity < 1 or stages < 1:
            raise ValueError(f"capacity and stages must be at least 1, got {capacity} and {stages}")
        return CStageSamples.words(capacity, stages)

    @staticmethod
    def read(memory, Py_ssize_t stages):
        # Of whoever filled it, dead or alive: its first word counts the whole rows; the head is one cache line.
        if stages < 1:
            raise ValueError(f"stages must be at least 1, got {stages}")
        words = np.frombuffer(memory, np.int64)
        rows = int(words[0]) if len(words) else 0
        length = stages + 2
        if not 0 <= rows <= (len(words) - 8) // length:
            raise ValueError(f"memory: expected a table of {stages} stages, got a count of {rows} rows in {len(words)} words")
        return words[8 : 8 + rows * length].reshape(rows, length).copy()

    def __len__(self) -> int:
        return self.table.rows()

    @property
    def capacity(self) -> int:
        return self.table.capacity()

    @property
    def stages(self) -> int:
        return self.table.stages()

    def begin(self) -> bool:
        return self.table.begin()

    def lap(self) -> None:
        self.table.lap()

    def give(self, int64_t duration_ns) -> None:
        self.table.give(_duration(duration_ns))

    def finish(self) -> None:
        self.table.finish()

    def end(self) -> bool:
        return self.table.end()

    def to_array(self, Py_ssize_t first=0):
        cdef Py_ssize_t rows = self.table.rows(), length = self.table.row_length()
        if not 0 <= first <= rows:
            raise ValueError(f"first: expected 0 to {rows}, the number of rows, got {first}")
        out = np.empty((rows - first, length), dtype=np.int64)
        cdef int64_t[:, ::1] view = out
        if view.shape[0]:
            memcpy(&view[0, 0], self.table.data() + first * length, view.shape[0] * view.shape[1] * sizeof(int64_t))
        return out


cdef class Work:
    cpdef void check(self) except *:
        pass


cdef class SpinWork(Work):
    cdef CSpin spin

    def __cinit__(self, int64_t service_ns=0, int64_t stall_at=-1, int64_t stall_ns=0, int64_t fail_at=-1):
        self.spin.service_ns = service_ns
        self.spin.stall_at = stall_at
        self.spin.stall_ns = stall_ns
        self.spin.fail_at = fail_at
        self.c.call = CSpin.call
        self.c.self = &self.spin

    cpdef void check(self) except *:
        if self.spin.failed:
            self.spin.failed = False
            raise RuntimeError(f"request {self.spin.fail_at} was told to fail")


cdef extern from "Python.h" nogil:
    ctypedef struct PyThreadState:
        pass
    ctypedef enum PyGILState_STATE:
        pass
    PyGILState_STATE PyGILState_Ensure()
    void PyGILState_Release(PyGILState_STATE state)
    PyThreadState* PyEval_SaveThread()
    void PyEval_RestoreThread(PyThreadState* thread)


cdef struct _KnownThread:
    PyGILState_STATE state
    PyThreadState* thread


# A thread that the interpreter knows keeps its state, and users' thread-local caches, from request to request.
cdef void* enter_python() noexcept nogil:
    cdef _KnownThread* known = <_KnownThread*>malloc(sizeof(_KnownThread))
    if known:
        known.state = PyGILState_Ensure()
        known.thread = PyEval_SaveThread()
    return known


cdef void leave_python(void* token) noexcept nogil:
    cdef _KnownThread* known = <_KnownThread*>token
    if known:
        PyEval_RestoreThread(known.thread)
        PyGILState_Release(known.state)
        free(known)


cdef int _call_python(void* self, CStageSamples& samples) noexcept nogil:
    with gil:
        work = <PythonWork>self
        work.lap.table = &samples
        try:
            work.iterate(work.lap)
        except BaseException as e:
            work.error = e
        work.lap.table = NULL
        return 0 if work.error is None else 1


cdef class Lap:
    # The table changes from loop to loop; the callable that a stage calls stays the same.
    cdef CStageSamples* table

    def __call__(self):
        if self.table:
            self.table.lap()

    def give(self, int64_t duration_ns) -> None:
        _duration(duration_ns)
        if self.table:
            self.table.give(duration_ns)


cdef class PythonWork(Work):
    cdef object iterate, error
    cdef Lap lap

    def __cinit__(self, iterate):
        self.iterate = iterate
        self.lap = Lap()
        self.c.call = _call_python
        self.c.self = <void*>self
        self.c.enter = enter_python
        self.c.leave = leave_python

    cpdef void check(self) except *:
        if self.error is not None:
            error, self.error = self.error, None
            raise error


cdef class MixWork(Work):
    cdef CMix mix
    cdef CWork* kinds
    cdef object order, works

    def __cinit__(self, works, order):
        self.works = list(works)
        _no_pause(self.works, "other kinds of requests between them")
        given = np.asarray(order)
        if not self.works or not given.size:
            raise ValueError(f"expected works and an order, got {len(self.works)} and {given.size}")
        if given.ndim != 1 or given.dtype.kind not in "iu":
            raise ValueError(f"order: expected a row of whole numbers, got {given.ndim} dimensions of {given.dtype}")
        # Before they become bytes, which would wrap round.
        if not 0 <= given.min() <= given.max() < min(256, len(self.works)):
            raise ValueError(
                f"order: expected numbers from 0 to {min(256, len(self.works)) - 1}, got {given.min()} to {given.max()}")
        self.order = np.ascontiguousarray(given, np.uint8)
        cdef const uint8_t[::1] view = self.order
        self.kinds = _works(self.works)
        self.mix.kinds = self.kinds
        self.mix.order = &view[0]
        self.mix.length = view.shape[0]
        self.c.call = CMix.call
        self.c.self = &self.mix
        # All are of one backend, so that one of them speaks for the others.
        self.c.enter = self.kinds[0].enter
        self.c.leave = self.kinds[0].leave

    def __dealloc__(self):
        free(self.kinds)

    cpdef void check(self) except *:
        _check_all(self.works)


cdef CWork* _works(list works) except NULL:
    cdef Work work
    for work in works:
        _ready(work)
    cdef CWork* array = <CWork*>malloc(max(1, len(works)) * sizeof(CWork))
    if not array:
        raise MemoryError
    for i, work in enumerate(works):
        array[i] = work.c
    return array


cdef int _ready(Work work) except -1:
    if work is None or work.c.call == NULL:
        raise TypeError(f"expected work that a loop can call, got {'None' if work is None else type(work).__name__}")
    return 0


# Who keeps requests in flight between calls would count the pause, or the other kinds' requests, into their latency.
cdef int _no_pause(list works, str between) except -1:
    for work in works:
        if getattr(work, "is_pipelined", False):
            raise ValueError(
                f"expected requests of one slot with {between}, got pipelined ones, whose rows would have it in them; give one "
                "slot, or leave it out")
    return 0


# The first error is raised; the others are forgotten, so that none is left for a later loop to raise.
cdef int _check_all(list works) except -1:
    first = None
    for work in works:
        try:
            (<Work>work).check()
        except BaseException as e:
            if first is None:
                first = e
    if first is not None:
        raise first
    return 0


cdef class Halt:
    cdef atomic_bool flag

    def __cinit__(self):
        self.flag.store(False)

    def ask(self):
        self.flag.store(True)

    @property
    def asked(self):
        return self.flag.load()


cdef CUntil _until(int64_t deadline_ns, int64_t most, Halt halt):
    cdef CUntil until
    until.deadline_ns = deadline_ns
    until.most = most
    until.asked = &halt.flag if halt is not None else NULL
    return until


def closed_loop(Work work not None, StageSamples samples not None, *, int64_t deadline_ns, int64_t most=-1,
                int64_t gap_ns=0, Halt halt=None) -> str:
    cdef CUntil until = _until(deadline_ns, most, halt)
    cdef CEnded ended
    _ready(work)
    if gap_ns > 0:
        _no_pause([work], "a gap between them")
    with nogil:
        ended = c_closed_loop(work.c, samples.table[0], until, gap_ns)
    work.check()
    return _ENDED[<int>ended]


def closed_loops(works, samples, *, int64_t deadline_ns, int64_t most=-1, int64_t gap_ns=0, Halt halt=None) -> str:
    return _many(works, samples, None, 0, _until(deadline_ns, most, halt), gap_ns)


def open_loop(works, samples, arrivals_ns, *, int64_t first_ns, int64_t deadline_ns, Halt halt=None) -> str:
    arrivals = np.ascontiguousarray(arrivals_ns, np.int64)
    # Compared, not subtracted, which may wrap round.
    if arrivals.ndim != 1 or (arrivals[1:] < arrivals[: max(0, len(arrivals) - 1)]).any():
        raise ValueError("arrivals_ns: expected ascending times")
    if len(arrivals) and not 0 <= int(first_ns) + int(arrivals.min()) <= int(first_ns) + int(arrivals.max()) < 2**63:
        raise ValueError("arrivals_ns: expected times that the clock can show")
    return _many(works, samples, arrivals, first_ns, _until(deadline_ns, -1, halt), 0)


cdef str _many(works, samples, arrivals, int64_t first_ns, CUntil until, int64_t gap_ns):
    works, samples = list(works), list(samples)
    if gap_ns > 0:
        _no_pause(works, "a gap between them")
    if not works or len(works) != len(samples):
        raise ValueError(f"expected one table for each of at least one work, got {len(works)} and {len(samples)}")
    # Two threads in one table would write behind its end.
    if len({id(each) for each in (*works, *samples)}) != 2 * len(works):
        raise ValueError("expected works and tables of their own for each client, got one of them twice")
    cdef size_t clients = len(works)
    cdef const int64_t[::1] due
    cdef StageSamples table
    cdef CEnded ended
    for table in samples:
        if table is None:
            raise TypeError("expected tables, got None")
    cdef CWork* array = _works(works)
    cdef CStageSamples** tables = <CStageSamples**>malloc(clients * sizeof(CStageSamples*))
    try:
        if not tables:
            raise MemoryError
        for i, table in enumerate(samples):
            tables[i] = table.table
        if arrivals is None:
            with nogil:
                ended = c_closed_loops(array, tables, clients, until, gap_ns)
        elif len(arrivals):
            due = arrivals
            with nogil:
                ended = c_open_loop(array, tables, clients, &due[0], due.shape[0], first_ns, until)
        else:
            ended = CEnded.count
    finally:
        free(array)
        free(tables)
    _check_all(works)
    return _ENDED[<int>ended]
