# cython: language_level=3, boundscheck=False, wraparound=False, embedsignature=True
# Joins csrc's kernels to Python: forwards addresses and sizes that seatrial.kernels has checked; nothing else.
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uintptr_t
from libcpp cimport bool as cbool
from libcpp.vector cimport vector

import numpy as np

cdef extern from "kernels.hpp" namespace "seatrial" nogil:
    cdef cppclass RowKernels:
        pass
    cdef cppclass Kernels:
        const char* name
        const RowKernels& rows
    const Kernels* const* _available "seatrial::available"(size_t* count) noexcept
    const Kernels* _active "seatrial::active"() noexcept
    cbool _select "seatrial::select"(const char* name) noexcept

cdef extern from "preprocess/preprocess.hpp" namespace "seatrial" nogil:
    cdef enum class Interpolation:
        nearest
        linear
        area
        cubic
        antialias_linear
        antialias_cubic
    cdef enum class ElementType:
        f32
        f16
        u8
    cdef enum class Form:
        table
    cdef struct YuvCoefficients:
        int32_t y_offset, y_gain, u_to_b, u_to_g, v_to_g, v_to_r
    cdef struct Image:
        const uint8_t* pixels
        Py_ssize_t row_stride
        int64_t height, width
        int channels
        cbool reversed
        const uint8_t* u
        const uint8_t* v
        Py_ssize_t chroma_stride
        int chroma_step
        YuvCoefficients yuv
    cdef struct Placement:
        int64_t resized_height, resized_width, offset_y, offset_x, out_height, out_width
        Interpolation interpolation
        uint8_t pad
    cdef struct Channel:
        const void* table
        float scale, mean, std, reciprocal
    cdef struct CValues "seatrial::Values":
        ElementType type
        cbool planar, gray, reversed
        int channels
        Form form
        Channel channel[3]
    cdef struct Output:
        void* data
        Py_ssize_t channel_stride, row_stride
    cdef struct Job:
        Image image
        Placement placement
        Output output
    Form _cheapest_form "seatrial::cheapest_form"(const CValues& values, const float* floats) noexcept
    void _preprocess_batch "seatrial::preprocess_batch"(
        const RowKernels& kernels, const Job* jobs, size_t count, const CValues& values, int threads) except +


def simd_levels() -> tuple:
    cdef size_t count = 0
    cdef const Kernels* const* found = _available(&count)
    return tuple([found[i].name.decode() for i in range(count)])


def simd_level():
    cdef const Kernels* level = _active()
    return None if level == NULL else level.name.decode()


def select_simd(str name) -> None:
    if not _select(name.encode()):
        raise ValueError(f"SIMD level: expected one of {', '.join(simd_levels())} on this machine, got {name!r}")


cdef const Kernels* _level() except NULL:
    cdef const Kernels* level = _active()
    if level == NULL:
        import os

        raise ValueError(
            f"SEATRIAL_SIMD: expected one of {', '.join(simd_levels())} on this machine, got "
            f"{os.environ.get('SEATRIAL_SIMD')!r}; unset it for the best one"
        )
    return level


cdef class Values:
    """How levels become values: the tables of all channels. Immutable; keeps its tables alive."""

    cdef CValues c
    cdef object tables, floats

    def __cinit__(self, tables, floats, scale, mean, std, *, bint planar, bint gray, bint reversed):
        self.tables, self.floats = tables, floats
        types = {"float32": ElementType.f32, "float16": ElementType.f16, "uint8": ElementType.u8, "int8": ElementType.u8}
        cdef uintptr_t address = tables.ctypes.data
        cdef uintptr_t float_address = 0 if floats is None else floats.ctypes.data
        cdef float deviation
        self.c.type = types[tables.dtype.name]
        self.c.planar, self.c.gray, self.c.reversed = planar, gray, reversed
        self.c.channels = len(tables)
        for i in range(self.c.channels):
            deviation = std[i]
            self.c.channel[i].table = <const void*><uintptr_t>(address + i * tables.strides[0])
            self.c.channel[i].scale = scale
            self.c.channel[i].mean = mean[i]
            self.c.channel[i].std = deviation
            self.c.channel[i].reciprocal = <float>1.0 / deviation
        self.c.form = _cheapest_form(self.c, <const float*>float_address)


cdef class Jobs:
    """Images and where each goes. Keeps every array that it points into alive."""

    cdef vector[Job] jobs
    cdef list kept

    def __cinit__(self):
        self.kept = []

    def add(
        self, uintptr_t pixels, Py_ssize_t row_stride, int64_t height, int64_t width, int channels, bint reversed,
        chroma, geometry, int interpolation, int pad, uintptr_t out, Py_ssize_t channel_stride, Py_ssize_t row_stride_out, kept,
    ):
        cdef Job job
        job.image = Image(<const uint8_t*>pixels, row_stride, height, width, channels, reversed, NULL, NULL, 0, 0)
        if chroma is not None:
            u, v, stride, step, k = chroma
            job.image.u = <const uint8_t*><uintptr_t>u
            job.image.v = <const uint8_t*><uintptr_t>v
            job.image.chroma_stride = stride
            job.image.chroma_step = step
            job.image.yuv = YuvCoefficients(k[0], k[1], k[2], k[3], k[4], k[5])
        job.placement = Placement(
            geometry.resized_hw[0], geometry.resized_hw[1], geometry.offset_y, geometry.offset_x,
            geometry.input_hw[0], geometry.input_hw[1], <Interpolation>interpolation, pad,
        )
        job.output = Output(<void*>out, channel_stride, row_stride_out)
        self.jobs.push_back(job)
        self.kept.append(kept)

    def run(self, Values values, int threads):
        cdef const Kernels* level = _level()
        with nogil:
            _preprocess_batch(level.rows, self.jobs.data(), self.jobs.size(), values.c, threads)
