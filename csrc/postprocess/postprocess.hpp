// Raw outputs of one image to detections, best classes or a class a pixel. Every result equals that of the twin in
// seatrial.kernels.reference: the same boxes in the same order, the same bits. Knows no Python.
#pragma once

#include <cstddef>
#include <cstdint>

#include "between.hpp"

namespace seatrial {

struct LoopKernels;

enum class Format { yolov8, yolov5, yolox, end_to_end, ssd, detr, rtdetr };

// float32, contiguous. yolov8: first (4 + classes + extra, anchors). yolov5, yolox: first (anchors, 5 + classes + extra).
// end_to_end: first (anchors, 6 + extra). extra: columns that detection does not read, such as a mask's coefficients.
// ssd, detr, rtdetr: first (anchors, 4), second (anchors, classes), with the column that is no class.
struct DetectorOutput {
    Format format;
    const float *first, *second;
    std::int64_t anchors, classes, extra;
    std::int64_t input_height, input_width;
};

struct DetectionRules {
    float confidence, iou;
    std::int64_t most;
    bool class_agnostic;
};

// x_source = (x_input - offset_x) / scale_x, clipped to 0 and width.
struct ToImage {
    double scale_x, scale_y, offset_x, offset_y, width, height;
};

// rows: which of the output's anchors each detection is.
struct DetectionArrays {
    float* boxes_xyxy;
    float* scores;
    std::int64_t* class_ids;
    std::int64_t* rows;
};

// Number of detections written, at most rules.most. Throws std::bad_alloc.
std::int64_t detect(
    const LoopKernels& kernels, const DetectorOutput& output, const DetectionRules& rules, const ToImage& to_image,
    const DetectionArrays& out);

enum class Activation { softmax, sigmoid, none };

// The k best of `classes` scores, ties by lower index, NaN last; k is at most `classes`. Throws std::bad_alloc.
void classify(
    const LoopKernels& kernels, const float* logits, std::int64_t rows, std::int64_t classes, Activation activation,
    std::int64_t k, std::int64_t* class_ids, float* scores);

enum class ScoreType { f32, f64, i32, i64, u8 };

// Scores (classes, cell_rows, cell_columns), contiguous. `rows` and `columns` have the cell of each source pixel, or -1
// where a crop cut it away, which gives `ignore`. The mask is uint8, or uint16 where `wide`; rows are contiguous.
struct MaskJob {
    ScoreType type;
    const void* scores;
    std::int64_t classes, cell_rows, cell_columns;
    const std::int64_t *rows, *columns;
    std::int64_t height, width;
    bool wide;
    std::uint16_t ignore;
    void* mask;
};

void argmax_mask(const LoopKernels& kernels, const MaskJob& job);

// The same of float32 scores that are drawn out linearly to the source's size, along the rows first. across, down: the way from
// the source's columns and rows to the input's. cut_rows, cut_columns: where a crop cut a row or column away, which gives `ignore`.
// NaN never wins. Throws std::bad_alloc.
struct LinearMaskJob {
    const float* scores;
    std::int64_t classes, cell_rows, cell_columns;
    Axis down, across;
    const std::uint8_t *cut_rows, *cut_columns;
    bool wide;
    std::uint16_t ignore;
    void* mask;
};

void argmax_linear(const LoopKernels& kernels, const LinearMaskJob& job);

}  // namespace seatrial
