# cython: language_level=3, boundscheck=False, wraparound=False, embedsignature=True
# Joins csrc's kernels to Python: forwards addresses and sizes that seatrial.kernels has checked; nothing else.
from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uintptr_t
from libcpp cimport bool as cbool
from libcpp.vector cimport vector

import os

import numpy as np

cdef extern from "kernels.hpp" namespace "seatrial" nogil:
    cdef cppclass RowKernels:
        pass
    cdef cppclass LoopKernels:
        pass
    cdef cppclass Kernels:
        const char* name
        const RowKernels& rows
        const LoopKernels& loops
    const Kernels* const* _available "seatrial::available"(size_t* count) noexcept
    const Kernels* _active "seatrial::active"() noexcept
    cbool _select "seatrial::select"(const char* name) noexcept

cdef extern from "floor.hpp" namespace "seatrial" nogil:
    int64_t _read_rows "seatrial::read_rows"(
        const uint8_t* pixels, Py_ssize_t row_stride, int64_t row_bytes, const int64_t* rows, int64_t count) noexcept

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

cdef extern from "postprocess/postprocess.hpp" namespace "seatrial" nogil:
    cdef enum class Format:
        yolov8
        yolov5
        yolox
        end_to_end
        ssd
        detr
        rtdetr
    cdef enum class Activation:
        softmax
        sigmoid
        none
    cdef enum class ScoreType:
        f32
        f64
        i32
        i64
        u8
    cdef struct DetectorOutput:
        Format format
        const float* first
        const float* second
        int64_t anchors, classes, extra, input_height, input_width
    cdef struct DetectionRules:
        float confidence, iou
        int64_t most
        cbool class_agnostic
    cdef struct ToImage:
        double scale_x, scale_y, offset_x, offset_y, width, height
    cdef struct DetectionArrays:
        float* boxes_xyxy
        float* scores
        int64_t* class_ids
        int64_t* rows
    cdef struct MaskJob:
        ScoreType type
        const void* scores
        int64_t classes, cell_rows, cell_columns
        const int64_t* rows
        const int64_t* columns
        int64_t height, width
        cbool wide
        uint16_t ignore
        void* mask
    cdef struct Axis:
        int64_t source, resized, offset, input
    cdef struct LinearMaskJob:
        const float* scores
        int64_t classes, cell_rows, cell_columns
        Axis down, across
        const uint8_t* cut_rows
        const uint8_t* cut_columns
        cbool wide
        uint16_t ignore
        void* mask
    int64_t _detect "seatrial::detect"(
        const LoopKernels& kernels, const DetectorOutput& output, const DetectionRules& rules, const ToImage& to_image,
        const DetectionArrays& out) except +
    void _classify "seatrial::classify"(
        const LoopKernels& kernels, const float* logits, int64_t rows, int64_t classes, Activation activation,
        int64_t k, int64_t* class_ids, float* scores) except +
    void _argmax_mask "seatrial::argmax_mask"(const LoopKernels& kernels, const MaskJob& job) except +
    void _argmax_linear "seatrial::argmax_linear"(const LoopKernels& kernels, const LinearMaskJob& job) except +


cdef extern from "postprocess/instance_masks.hpp" namespace "seatrial" nogil:
    cdef struct PrototypeMask:
        const float* coefficients
        int64_t coefficient_stride
        const float* prototypes
        int64_t channels, cell_rows, cell_columns
        Axis rows, columns
        float box_xyxy[4]
    void _instance_mask "seatrial::instance_mask"(const PrototypeMask& mask, vector[uint32_t]& runs) except +


def simd_levels() -> tuple:
    cdef size_t count = 0
    cdef const Kernels* const* found = _available(&count)
    return tuple([found[i].name.decode() for i in range(count)])


def simd_level():
    cdef const Kernels* level = _active()
    return None if level == NULL else level.name.decode()


def select_simd(str name) -> None:
    if name not in simd_levels() or not _select(name.encode()):
        raise ValueError(f"SIMD level: expected one of {', '.join(simd_levels())} on this machine, got {name!r}")


def read_rows(const uint8_t[:, ::1] pixels, const int64_t[::1] rows) -> int:
    cdef int64_t total
    if rows.shape[0] == 0 or pixels.shape[1] == 0:
        return 0
    if np.min(rows) < 0 or np.max(rows) >= pixels.shape[0]:
        raise IndexError(f"rows: expected indices from 0 to {pixels.shape[0] - 1}, got {np.min(rows)} to {np.max(rows)}")
    with nogil:
        total = _read_rows(&pixels[0, 0], pixels.strides[0], pixels.shape[1], &rows[0], rows.shape[0])
    return total


cdef const Kernels* _level() except NULL:
    cdef const Kernels* level = _active()
    if level == NULL:
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

    @property
    def form(self):
        return <int>self.c.form


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
        job.image = Image(
            <const uint8_t*>pixels, row_stride, height, width, channels, reversed, NULL, NULL, 0, 0, YuvCoefficients(0, 0, 0, 0, 0, 0)
        )
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
        cdef size_t done = 0, some
        cdef int64_t pixels
        try:
            while done < self.jobs.size():
                # A quarter of a second's work at a time, so that Ctrl-C need not wait for all.
                some, pixels = 0, 0
                while done + some < self.jobs.size() and (some < <size_t>threads or pixels < (1 << 27)):
                    pixels += self.jobs[done + some].image.height * self.jobs[done + some].image.width
                    some += 1
                with nogil:
                    _preprocess_batch(level.rows, self.jobs.data() + done, some, values.c, threads)
                done += some
                PyErr_CheckSignals()
        except MemoryError:
            raise MemoryError(
                "preprocess: not even a few rows of an image fit into memory; use fewer threads or smaller images"
            ) from None


def detect(
    str format, const float[:, ::1] first, const float[:, ::1] second, int64_t extra, input_hw, float confidence, float iou,
    bint class_agnostic, geometry, float[:, ::1] boxes_xyxy, float[::1] scores, int64_t[::1] class_ids, int64_t[::1] rows,
) -> int:
    cdef const Kernels* level = _level()
    cdef DetectorOutput output
    formats = {
        "yolov8": Format.yolov8, "yolov5": Format.yolov5, "yolox": Format.yolox, "end_to_end": Format.end_to_end,
        "ssd": Format.ssd, "detr": Format.detr, "rtdetr": Format.rtdetr,
    }
    output.format = formats[format]
    output.anchors, output.classes, output.extra = first.shape[0], 0, extra
    output.input_height, output.input_width = input_hw
    if output.format == Format.yolov8:
        output.anchors, output.classes = first.shape[1], first.shape[0] - 4 - extra
    elif output.format == Format.yolov5 or output.format == Format.yolox:
        output.classes = first.shape[1] - 5 - extra
    elif second is not None:
        output.classes = second.shape[1]
    if output.anchors == 0:
        return 0
    output.first = &first[0, 0]
    output.second = NULL
    if second is not None:
        output.second = &second[0, 0]
    cdef DetectionRules rules = DetectionRules(confidence, iou, scores.shape[0], class_agnostic)
    cdef ToImage to_image = ToImage(
        geometry.scale_x, geometry.scale_y, geometry.offset_x, geometry.offset_y,
        geometry.source_hw[1], geometry.source_hw[0],
    )
    cdef DetectionArrays out = DetectionArrays(&boxes_xyxy[0, 0], &scores[0], &class_ids[0], &rows[0])
    cdef int64_t found
    with nogil:
        found = _detect(level.loops, output, rules, to_image, out)
    return found


cdef Axis _down(geometry):
    return Axis(geometry.source_hw[0], geometry.resized_hw[0], geometry.offset_y, geometry.input_hw[0])


cdef Axis _across(geometry):
    return Axis(geometry.source_hw[1], geometry.resized_hw[1], geometry.offset_x, geometry.input_hw[1])


def instance_runs(
    const float[:, ::1] coefficients, const float[:, :, ::1] prototypes, const float[:, ::1] boxes_xyxy, geometry
) -> tuple:
    cdef PrototypeMask mask
    cdef vector[uint32_t] runs
    cdef int64_t i, k
    starts = np.zeros(coefficients.shape[0] + 1, np.int64)
    cdef int64_t[::1] at = starts
    mask.coefficient_stride = 1
    mask.channels, mask.cell_rows, mask.cell_columns = prototypes.shape[0], prototypes.shape[1], prototypes.shape[2]
    mask.rows, mask.columns = _down(geometry), _across(geometry)
    if coefficients.shape[0] and prototypes.shape[0] and mask.cell_rows and mask.cell_columns:
        mask.prototypes = &prototypes[0, 0, 0]
        with nogil:
            for i in range(coefficients.shape[0]):
                mask.coefficients = &coefficients[i, 0]
                for k in range(4):
                    mask.box_xyxy[k] = boxes_xyxy[i, k]
                _instance_mask(mask, runs)
                at[i + 1] = runs.size()
    found = np.empty(runs.size(), np.uint32)
    cdef uint32_t[::1] out = found
    for i in range(<int64_t>runs.size()):
        out[i] = runs[i]
    return found, starts


def classify(const float[:, ::1] logits, str activation, int64_t[:, ::1] class_ids, float[:, ::1] scores) -> None:
    cdef const Kernels* level = _level()
    cdef Activation kind = {
        "softmax": Activation.softmax, "sigmoid": Activation.sigmoid, "none": Activation.none
    }[activation]
    if logits.shape[0] == 0:
        return
    with nogil:
        _classify(
            level.loops, &logits[0, 0], logits.shape[0], logits.shape[1], kind, class_ids.shape[1], &class_ids[0, 0],
            &scores[0, 0])


def argmax_mask(scores, const int64_t[::1] rows, const int64_t[::1] columns, int ignore, mask) -> None:
    cdef const Kernels* level = _level()
    cdef MaskJob job
    types = {
        "float32": ScoreType.f32, "float64": ScoreType.f64, "int32": ScoreType.i32, "int64": ScoreType.i64,
        "uint8": ScoreType.u8,
    }
    job.type = types[scores.dtype.name]
    job.classes, job.cell_rows, job.cell_columns = scores.shape
    job.rows, job.columns = &rows[0], &columns[0]
    job.height, job.width = rows.shape[0], columns.shape[0]
    job.wide, job.ignore = mask.dtype.itemsize == 2, ignore
    cdef uintptr_t address = scores.ctypes.data
    job.scores = <const void*>address
    address = mask.ctypes.data
    job.mask = <void*>address
    with nogil:
        _argmax_mask(level.loops, job)


def argmax_linear(
    const float[:, :, ::1] scores, geometry, const uint8_t[::1] cut_rows, const uint8_t[::1] cut_columns, int ignore, mask
) -> None:
    cdef const Kernels* level = _level()
    cdef LinearMaskJob job
    job.scores = &scores[0, 0, 0]
    job.classes, job.cell_rows, job.cell_columns = scores.shape[0], scores.shape[1], scores.shape[2]
    job.down, job.across = _down(geometry), _across(geometry)
    job.cut_rows, job.cut_columns = &cut_rows[0], &cut_columns[0]
    job.wide, job.ignore = mask.dtype.itemsize == 2, ignore
    cdef uintptr_t address = mask.ctypes.data
    job.mask = <void*>address
    with nogil:
        _argmax_linear(level.loops, job)
