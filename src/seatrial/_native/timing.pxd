# What other extensions need of timing.pyx: work that a loop can time.
from libc.stdint cimport int64_t, uint8_t
from libcpp cimport bool as cbool

cdef extern from "timing/samples.hpp" namespace "seatrial" nogil:
    cdef cppclass CStageSamples "seatrial::StageSamples":
        CStageSamples(int64_t* memory, size_t capacity, size_t stages) noexcept
        @staticmethod
        size_t words(size_t capacity, size_t stages) except +MemoryError
        cbool begin() noexcept
        cbool begin_at(int64_t start_ns) noexcept
        void lap() noexcept
        void give(int64_t duration_ns) noexcept
        void finish() noexcept
        cbool end() noexcept
        size_t rows() noexcept
        size_t capacity() noexcept
        size_t stages() noexcept
        size_t row_length() noexcept
        const int64_t* data() noexcept

cdef extern from "timing/work.hpp" namespace "seatrial" nogil:
    cdef cppclass CWork "seatrial::Work":
        int (*call)(void* self, CStageSamples& samples) noexcept
        void* self
        void* (*enter)() noexcept
        void (*leave)(void* token) noexcept
    cdef cppclass CSpin "seatrial::Spin":
        int64_t service_ns, stall_at, stall_ns, fail_at, done
        cbool failed
        @staticmethod
        int call(void* self, CStageSamples& samples) noexcept
    cdef cppclass CMix "seatrial::Mix":
        const CWork* kinds
        const uint8_t* order
        int64_t length, next
        @staticmethod
        int call(void* self, CStageSamples& samples) noexcept


# Around all requests of a thread whose work calls Python.
cdef void* enter_python() noexcept nogil
cdef void leave_python(void* token) noexcept nogil


cdef class Work:
    cdef CWork c
    cpdef void check(self) except *


cdef class StageSamples:
    cdef CStageSamples* table
    cdef object memory
