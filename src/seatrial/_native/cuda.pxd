# What other extensions need of cuda.pyx: contexts and streams, and how its errors become Python's.
from libcpp cimport bool as cbool
from libcpp.memory cimport shared_ptr
from libcpp.string cimport string

ctypedef unsigned long long Address

# Raises the C++ exception that is being handled.
cdef int raise_error() except *

cdef extern from "cuda/driver.hpp" namespace "seatrial::cuda" nogil:
    cdef cppclass StreamHandle:
        pass
    cdef cppclass FunctionHandle:
        pass
    cdef cppclass CDriver "seatrial::cuda::Driver":
        @staticmethod
        const CDriver& load(const string& path) except +raise_error
        int version() noexcept
        string path() except +raise_error
        void require(int version, const string& who) except +raise_error

cdef extern from "cuda/objects.hpp" namespace "seatrial::cuda" nogil:
    cdef cppclass CContext "seatrial::cuda::Context":
        CContext(const CDriver& driver, int ordinal) except +raise_error
        int ordinal() noexcept
        void memory_info(size_t& free, size_t& total) except +raise_error
        void synchronize() except +raise_error
    ctypedef shared_ptr[const CContext] SharedContext "seatrial::cuda::SharedContext"
    cdef cppclass CStream "seatrial::cuda::Stream":
        CStream(SharedContext context) except +raise_error
        CStream(SharedContext context, StreamHandle* handle) except +raise_error
        StreamHandle* handle() noexcept
        cbool is_own() noexcept
        void synchronize() except +raise_error
        void wait_for(const CStream& other) except +raise_error
        void copy_to_device(Address to, const void* source, size_t bytes) except +raise_error
        void copy_to_host(void* to, Address source, size_t bytes) except +raise_error
        void copy_on_device(Address to, Address source, size_t bytes) except +raise_error
        void fill(Address to, unsigned char value, size_t bytes) except +raise_error
        void begin_capture() except +raise_error


cdef class Driver:
    cdef const CDriver* driver


cdef class Context:
    cdef SharedContext shared
    cdef readonly Driver driver
    # Of the device: -1 until it was asked.
    cdef int reads_pageable
    cdef bint reads_late(self, size_t pointer) except *


cdef class Stream:
    cdef shared_ptr[const CStream] shared
    cdef const CStream* stream
    cdef readonly Context context
    cdef object owner
    # Of a capture: what it launches and moves.
    cdef list captured
    # What copies that are not over may still read.
    cdef list sent
