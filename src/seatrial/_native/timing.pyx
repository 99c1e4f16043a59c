# cython: language_level=3, boundscheck=False, wraparound=False, embedsignature=True
# Joins csrc/timing to Python: checks sizes, forwards calls, nothing else.
from libc.stdint cimport int64_t
from libc.string cimport memcpy
from libcpp cimport bool as cbool

import numpy as np

cdef extern from "timing/clock.hpp" namespace "seatrial" nogil:
    int64_t _now_ns "seatrial::now_ns"() noexcept
    int64_t _clock_step_ns "seatrial::clock_step_ns"(int tries) noexcept

cdef extern from "timing/samples.hpp" namespace "seatrial" nogil:
    cdef cppclass _StageSamples "seatrial::StageSamples":
        # std::length_error and std::bad_alloc alike: the table does not fit.
        _StageSamples(size_t capacity, size_t stages) except +MemoryError
        cbool begin() noexcept
        void lap() noexcept
        cbool end() noexcept
        size_t rows() noexcept
        size_t capacity() noexcept
        size_t stages() noexcept
        size_t row_length() noexcept
        const int64_t* data() noexcept


def now_ns() -> int:
    return _now_ns()


def clock_step_ns(int tries=1000) -> int:
    if tries < 1:
        raise ValueError(f"tries must be at least 1, got {tries}")
    cdef int64_t step
    with nogil:
        step = _clock_step_ns(tries)
    return step


cdef class StageSamples:
    cdef _StageSamples* table

    def __cinit__(self, Py_ssize_t capacity, Py_ssize_t stages):
        if capacity < 1 or stages < 1:
            raise ValueError(f"capacity and stages must be at least 1, got {capacity} and {stages}")
        self.table = new _StageSamples(capacity, stages)

    def __dealloc__(self):
        del self.table

    def __len__(self) -> int:
        return self.table.rows()

    @property
    def capacity(self) -> int:
        return self.table.capacity()

    @property
    def stages(self) -> int:
        return self.table.stages()

    cpdef bint begin(self):
        return self.table.begin()

    cpdef void lap(self) noexcept:
        self.table.lap()

    cpdef bint end(self):
        return self.table.end()

    def to_array(self):
        out = np.empty((self.table.rows(), self.table.row_length()), dtype=np.int64)
        cdef int64_t[:, ::1] view = out
        if view.shape[0]:
            memcpy(&view[0, 0], self.table.data(), view.shape[0] * view.shape[1] * sizeof(int64_t))
        return out
