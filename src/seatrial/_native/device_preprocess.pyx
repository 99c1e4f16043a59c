# cython: language_level=3, boundscheck=False, wraparound=False, embedsignature=True
# Joins csrc/cuda/preprocess to Python: tables for a card, and the kernels' body on the host. seatrial.cuda checks.
from libc.stdint cimport int32_t, int64_t, uintptr_t
from libc.string cimport memcpy
from libcpp.vector cimport vector

import numpy as np

cdef extern from "preprocess/taps.hpp" namespace "seatrial" nogil:
    cdef enum class Interpolation:
        nearest
    cdef struct Axis:
        int64_t source, resized, begin, count
    Axis visible(int64_t source, int64_t resized, int64_t offset, int64_t out)

cdef extern from "cuda/preprocess/tables.hpp" namespace "seatrial::device" nogil:
    cdef enum Method:
        copy
    cdef cppclass TapTable:
        vector[int32_t] first, length, weights
        int64_t stride
    cdef cppclass Tables:
        Method method
        TapTable columns, rows
        int32_t box_width, box_height
        float box_scale
    Tables tables_of(Interpolation interpolation, const Axis& columns, const Axis& rows) except +

cdef extern from "cuda/preprocess/host.hpp" namespace "seatrial::device" nogil:
    cdef struct Image:
        pass
    cdef struct Settings:
        pass
    void run_on_host(int method, int kind, const Image* images, unsigned char* out, const Settings& settings)
    int ROWS_A_THREAD, BLOCK_COLUMNS, BLOCK_THREADS_DOWN

IMAGE_BYTES = sizeof(Image)
SETTINGS_BYTES = sizeof(Settings)
BLOCK = (BLOCK_COLUMNS, BLOCK_THREADS_DOWN)
THREAD_ROWS = ROWS_A_THREAD


cdef object _array(const vector[int32_t]& values):
    cdef int32_t[::1] view
    array = np.empty(values.size(), np.int32)
    if values.size():
        view = array
        memcpy(&view[0], values.data(), values.size() * sizeof(int32_t))
    return array


cdef object _table(const TapTable& table):
    return _array(table.first), _array(table.length), _array(table.weights), table.stride


def tables(geometry, int interpolation):
    cdef Axis columns = visible(
        geometry.source_hw[1], geometry.resized_hw[1], geometry.offset_x, geometry.input_hw[1])
    cdef Axis rows = visible(
        geometry.source_hw[0], geometry.resized_hw[0], geometry.offset_y, geometry.input_hw[0])
    cdef Tables made
    with nogil:
        made = tables_of(<Interpolation>interpolation, columns, rows)
    return (
        int(made.method), (columns.begin, columns.count), (rows.begin, rows.count), _table(made.columns), _table(made.rows),
        (made.box_width, made.box_height, made.box_scale),
    )


def run(int method, int kind, uintptr_t images, uintptr_t out, const unsigned char[::1] settings):
    cdef Settings copied
    memcpy(&copied, &settings[0], sizeof(Settings))
    with nogil:
        run_on_host(method, kind, <const Image*>images, <unsigned char*>out, copied)
