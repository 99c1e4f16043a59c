// Random cases for the kernels: every level this machine has must give the scalar level's bytes, and write nowhere else.
// Buffers are exactly as long as the kernels may read and write, so that a sanitizer sees a byte too many. Used by
// levels.cpp (a pseudo-random stream) and fuzz.cpp (a fuzzer's bytes).
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <limits>
#include <vector>

#include "../kernels.hpp"
#include "../postprocess/instance_masks.hpp"

namespace seatrial::tests {

struct Choices {
    virtual ~Choices() = default;
    virtual std::uint32_t word() = 0;
    std::int64_t below(std::int64_t n) { return static_cast<std::int64_t>(word() % static_cast<std::uint32_t>(n)); }
    std::int64_t between(std::int64_t low, std::int64_t high) { return low + below(high - low + 1); }
    bool chance(int percent) { return below(100) < percent; }
    float unit() { return static_cast<float>(word() >> 8) / 16777216.0f; }
    // A side of an image: mostly ordinary, sometimes 1, sometimes long.
    std::int64_t side() { return chance(10) ? 1 : chance(5) ? between(100, 700) : between(1, 90); }
};

// Exactly `size` elements on the heap, without a vector's spare capacity.
template <typename T>
std::unique_ptr<T[]> exactly(std::size_t size) {
    return std::unique_ptr<T[]>(new T[size]());
}

inline bool differ(const char* what, const char* level, const void* expected, const void* given, std::size_t size) {
    if (std::memcmp(expected, given, size) == 0) return false;
    std::size_t at = 0;
    while (static_cast<const char*>(expected)[at] == static_cast<const char*>(given)[at]) ++at;
    std::fprintf(stderr, "%s: level %s differs from scalar at byte %zu of %zu\n", what, level, at, size);
    return true;
}

// ---- preprocessing

struct Picture {
    Image image{};
    std::unique_ptr<std::uint8_t[]> pixels, chroma;

    explicit Picture(Choices& pick) {
        image.height = pick.side();
        image.width = pick.side();
        const int kinds[5] = {1, 3, 4, 1, 1};
        const std::int64_t kind = pick.below(5);
        image.channels = kinds[kind];
        image.reversed = image.channels == 3 && pick.chance(30);
        image.pixels = plane(pick, image.height, image.width * image.channels, image.row_stride, pixels);
        if (kind < 3) return;
        image.chroma_step = kind == 3 ? 2 : 1;
        const std::int64_t h = (image.height + 1) / 2, w = (image.width + 1) / 2;
        // I420: U's rows, then V's.
        const std::uint8_t* first = plane(pick, kind == 3 ? h : 2 * h, kind == 3 ? 2 * w : w, image.chroma_stride, chroma);
        image.u = first;
        image.v = kind == 3 ? first + 1 : first + h * image.chroma_stride;
        image.yuv = pick.chance(50) ? YuvCoefficients{16, 1220542, 2116026, -409993, -852492, 1673527}
                                    : YuvCoefficients{0, 1048576, 1945738, -196424, -490864, 1651297};
    }

    static const std::uint8_t* plane(Choices& pick, std::int64_t rows, std::int64_t bytes, std::ptrdiff_t& stride,
                                     std::unique_ptr<std::uint8_t[]>& memory) {
        stride = bytes + (pick.chance(50) ? pick.below(9) : 0);
        const std::size_t size = static_cast<std::size_t>((rows - 1) * stride + bytes);
        memory = exactly<std::uint8_t>(size);
        std::uint32_t state = pick.word() | 1;
        for (std::size_t i = 0; i < size; ++i) {
            state = state * 1664525u + 1013904223u;
            memory[i] = static_cast<std::uint8_t>(state >> 24);
        }
        if (!pick.chance(20)) return memory.get();
        stride = -stride;  // bottom up
        return memory.get() - (rows - 1) * stride;
    }
};

inline Placement placement(Choices& pick, const Image& image) {
    Placement p{};
    p.interpolation = static_cast<Interpolation>(pick.below(6));
    p.pad = static_cast<std::uint8_t>(pick.below(256));
    p.resized_height = pick.side();
    p.resized_width = pick.side();
    const std::int64_t factor = pick.below(5);
    if (factor == 0) p.resized_height = image.height, p.resized_width = image.width;
    else if (factor < 4 && image.height % factor == 0 && image.width % factor == 0)
        p.resized_height = image.height / factor, p.resized_width = image.width / factor;
    p.out_height = pick.chance(50) ? p.resized_height : pick.side();
    p.out_width = pick.chance(50) ? p.resized_width : pick.side();
    const auto offset = [&](std::int64_t out, std::int64_t resized) {
        return pick.chance(60) ? (out - resized) / 2 : pick.between(-3, 3);
    };
    p.offset_y = offset(p.out_height, p.resized_height);
    p.offset_x = offset(p.out_width, p.resized_width);
    return p;
}

// float to IEEE half, nearest even: what hardware and NumPy do, written out.
inline std::uint16_t half(float value) {
    const std::uint16_t sign = std::signbit(value) ? 0x8000 : 0;
    const double size = std::fabs(static_cast<double>(value));
    if (size >= 65520.0) return static_cast<std::uint16_t>(sign | 0x7c00);
    if (size < 0x1p-14) return static_cast<std::uint16_t>(sign | static_cast<std::uint16_t>(std::nearbyint(size * 0x1p24)));
    const int exponent = std::ilogb(size);
    // A carry out of the mantissa raises the exponent, as it should.
    return static_cast<std::uint16_t>(
        sign | (((exponent + 14) << 10) + static_cast<int>(std::nearbyint(std::ldexp(size, 10 - exponent)))));
}

struct Tables {
    Values values{};
    std::vector<float> floats;
    std::vector<std::uint16_t> halves;
    std::vector<std::uint8_t> bytes;

    Tables(Choices& pick, bool gray_source) {
        values.type = static_cast<ElementType>(pick.below(3));
        values.planar = pick.chance(50);
        values.gray = !gray_source && pick.chance(25);
        values.reversed = !gray_source && pick.chance(50);
        values.channels = gray_source || values.gray ? 1 : 3;
        const std::int64_t kind = pick.below(4);
        for (int c = 0; c < values.channels; ++c) {
            Channel& channel = values.channel[c];
            channel.scale = kind == 0 ? 1.0f / 255 : (pick.unit() - 0.5f) / 64;
            channel.mean = kind < 2 ? 0.0f : pick.unit();
            channel.std = kind < 3 ? 1.0f : pick.unit() + 0.05f;
            channel.reciprocal = 1.0f / channel.std;
            const auto added = static_cast<std::uint8_t>(pick.below(256));
            for (int level = 0; level < 256; ++level) {
                const float scaled = static_cast<float>(level) * channel.scale;
                const float centred = scaled - channel.mean;
                floats.push_back(centred / channel.std);
                bytes.push_back(static_cast<std::uint8_t>(kind == 0 ? level + added : level * 7 + added));
                halves.push_back(half(centred / channel.std));
            }
        }
        for (int c = 0; c < values.channels; ++c) {
            const void* tables[3] = {floats.data() + 256 * c, halves.data() + 256 * c, bytes.data() + 256 * c};
            values.channel[c].table = tables[static_cast<int>(values.type)];
        }
        values.form = cheapest_form(values, floats.data());
    }
};

inline bool preprocess_case(Choices& pick) {
    const Picture picture(pick);
    const Placement place = placement(pick, picture.image);
    const Tables tables(pick, picture.image.channels == 1 && !picture.image.u);
    const Values& v = tables.values;
    const std::int64_t item = v.type == ElementType::f32 ? 4 : v.type == ElementType::f16 ? 2 : 1;
    const std::int64_t row = place.out_width * item * (v.planar ? 1 : v.channels);
    const std::ptrdiff_t row_stride = row + (pick.chance(40) ? item * pick.below(5) : 0);
    const std::int64_t planes = v.planar ? v.channels : 1;
    const std::size_t size = static_cast<std::size_t>((planes * place.out_height - 1) * row_stride + row);
    std::size_t levels = 0;
    const Kernels* const* found = available(&levels);
    std::unique_ptr<char[]> expected;
    for (std::size_t i = 0; i < levels; ++i) {
        auto out = exactly<char>(size);
        std::memset(out.get(), 0x5a, size);  // bytes between rows must stay
        const Job job{picture.image, place, {out.get(), row_stride * place.out_height, row_stride}};
        preprocess_batch(found[i]->rows, &job, 1, v, 1);
        if (i == 0) expected = std::move(out);
        else if (differ("preprocess", found[i]->name, expected.get(), out.get(), size)) {
            std::fprintf(stderr, "  %lld x %lld, %d channels%s, to %lld x %lld by %d in %lld x %lld at %lld, %lld; type %d form %d\n",
                         (long long)picture.image.height, (long long)picture.image.width, picture.image.channels,
                         picture.image.u ? " + chroma" : "", (long long)place.resized_height, (long long)place.resized_width,
                         static_cast<int>(place.interpolation), (long long)place.out_height, (long long)place.out_width,
                         (long long)place.offset_y, (long long)place.offset_x, static_cast<int>(v.type), static_cast<int>(v.form));
            return false;
        }
    }
    return true;
}

// ---- postprocessing

inline std::unique_ptr<float[]> scores(Choices& pick, std::size_t size, float scale) {
    auto out = exactly<float>(size);
    const float special[6] = {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                              -std::numeric_limits<float>::infinity(), 0.0f, -0.0f, 3e38f};
    const int odd = pick.chance(30) ? 3 : 0;
    const bool ties = pick.chance(20);
    for (std::size_t i = 0; i < size; ++i) {
        out[i] = pick.unit() * scale;
        if (ties) out[i] = std::floor(out[i] * 8) / 8;
        if (odd && pick.chance(odd)) out[i] = special[pick.below(6)];
    }
    return out;
}

inline bool detect_case(Choices& pick) {
    DetectorOutput o{};
    o.format = static_cast<Format>(pick.below(7));
    o.input_height = 32 * pick.between(1, 3);
    o.input_width = 32 * pick.between(1, 3);
    o.classes = pick.between(2, 20);
    o.anchors = pick.chance(10) ? pick.between(500, 700) : pick.between(1, 70);
    if (o.format == Format::yolox) {
        o.anchors = 0;
        for (int s = 8; s <= 32; s *= 2) o.anchors += (o.input_height / s) * (o.input_width / s);
    }
    const bool one = o.format <= Format::end_to_end;
    o.extra = one && pick.chance(30) ? pick.between(1, 40) : 0;
    const std::int64_t own = !one ? 4 : o.format == Format::end_to_end ? 6 : o.format == Format::yolov8 ? 4 + o.classes : 5 + o.classes;
    const std::int64_t width = own + o.extra;
    const auto first = scores(pick, static_cast<std::size_t>(o.anchors * width), pick.chance(50) ? 1.0f : 60.0f);
    const auto second = scores(pick, static_cast<std::size_t>(o.anchors * o.classes), 1.0f);
    o.first = first.get();
    o.second = one ? nullptr : second.get();
    const std::size_t most = static_cast<std::size_t>(pick.between(1, 50));
    const DetectionRules rules{pick.chance(20) ? 0.0f : pick.unit(), pick.unit(), static_cast<std::int64_t>(most), pick.chance(30)};
    const ToImage to{0.5, 0.25, 3, -2, 100, 150};
    std::size_t levels = 0;
    const Kernels* const* found = available(&levels);
    std::unique_ptr<float[]> expected_boxes, expected_scores;
    std::unique_ptr<std::int64_t[]> expected_ids, expected_rows;
    std::int64_t expected = 0;
    for (std::size_t i = 0; i < levels; ++i) {
        auto boxes = exactly<float>(4 * most), score = exactly<float>(most);
        auto ids = exactly<std::int64_t>(most), rows = exactly<std::int64_t>(most);
        const std::int64_t written = detect(found[i]->loops, o, rules, to, {boxes.get(), score.get(), ids.get(), rows.get()});
        if (i == 0) {
            expected = written;
            expected_boxes = std::move(boxes), expected_scores = std::move(score), expected_ids = std::move(ids);
            expected_rows = std::move(rows);
        } else if (written != expected || differ("boxes", found[i]->name, expected_boxes.get(), boxes.get(), 16 * most) ||
                   differ("scores", found[i]->name, expected_scores.get(), score.get(), 4 * most) ||
                   differ("classes", found[i]->name, expected_ids.get(), ids.get(), 8 * most) ||
                   differ("rows", found[i]->name, expected_rows.get(), rows.get(), 8 * most)) {
            std::fprintf(stderr, "  detect: format %d, %lld anchors, %lld classes, level %s: %lld against %lld\n",
                         static_cast<int>(o.format), (long long)o.anchors, (long long)o.classes, found[i]->name,
                         (long long)written, (long long)expected);
            return false;
        }
    }
    return true;
}

// NaN compare as equal whatever their sign and payload.
inline void plain_nan(float* values, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i)
        if (values[i] != values[i]) values[i] = std::numeric_limits<float>::quiet_NaN();
}

inline bool classify_case(Choices& pick) {
    const std::int64_t rows = pick.between(1, 3), classes = pick.chance(20) ? pick.between(100, 500) : pick.between(1, 40);
    const std::int64_t k = pick.between(1, classes);
    const auto activation = static_cast<Activation>(pick.below(3));
    const auto logits = scores(pick, static_cast<std::size_t>(rows * classes), pick.chance(50) ? 10.0f : -120.0f);
    const auto size = static_cast<std::size_t>(rows * k);
    std::size_t levels = 0;
    const Kernels* const* found = available(&levels);
    std::unique_ptr<std::int64_t[]> expected_ids;
    std::unique_ptr<float[]> expected;
    for (std::size_t i = 0; i < levels; ++i) {
        auto ids = exactly<std::int64_t>(size);
        auto best = exactly<float>(size);
        classify(found[i]->loops, logits.get(), rows, classes, activation, k, ids.get(), best.get());
        plain_nan(best.get(), size);
        if (i == 0) expected_ids = std::move(ids), expected = std::move(best);
        else if (differ("class ids", found[i]->name, expected_ids.get(), ids.get(), 8 * size) ||
                 differ("class scores", found[i]->name, expected.get(), best.get(), 4 * size))
            return false;
    }
    return true;
}

// Whether every level fills a mask of so many pixels alike.
template <typename Job>
bool same_mask(const char* what, Job& job, std::int64_t pixels, void (*fill)(const LoopKernels&, const Job&)) {
    const auto size = static_cast<std::size_t>(pixels * (job.wide ? 2 : 1));
    std::size_t levels = 0;
    const Kernels* const* found = available(&levels);
    std::unique_ptr<char[]> expected;
    for (std::size_t i = 0; i < levels; ++i) {
        auto mask = exactly<char>(size);
        job.mask = mask.get();
        fill(found[i]->loops, job);
        if (i == 0) expected = std::move(mask);
        else if (differ(what, found[i]->name, expected.get(), mask.get(), size)) return false;
    }
    return true;
}

inline bool mask_case(Choices& pick) {
    MaskJob job{};
    job.type = static_cast<ScoreType>(pick.below(5));
    const std::int64_t sizes[5] = {4, 8, 4, 8, 1};
    job.classes = pick.between(2, 9);
    job.cell_rows = pick.between(1, 20);
    job.cell_columns = pick.between(1, 60);
    job.height = pick.between(1, 30);
    job.width = pick.between(1, 80);
    job.wide = pick.chance(30);
    job.ignore = job.wide ? 65535 : 255;
    const auto count = static_cast<std::size_t>(job.classes * job.cell_rows * job.cell_columns);
    const auto floats = scores(pick, count, 50.0f);
    auto memory = exactly<char>(count * static_cast<std::size_t>(sizes[static_cast<int>(job.type)]));
    for (std::size_t i = 0; i < count; ++i) {
        const float finite = std::isfinite(floats[i]) && std::fabs(floats[i]) < 1e6f ? floats[i] : 7.0f;
        const double d = floats[i];
        const auto i32 = static_cast<std::int32_t>(finite);
        const auto i64 = static_cast<std::int64_t>(i32);
        const auto u8 = static_cast<std::uint8_t>(i32);
        const void* from[5] = {&floats[i], &d, &i32, &i64, &u8};
        const auto size = static_cast<std::size_t>(sizes[static_cast<int>(job.type)]);
        std::memcpy(memory.get() + i * size, from[static_cast<int>(job.type)], size);
    }
    job.scores = memory.get();
    std::vector<std::int64_t> rows, columns;
    for (std::int64_t y = 0; y < job.height; ++y) rows.push_back(pick.chance(10) ? -1 : pick.below(job.cell_rows));
    for (std::int64_t x = 0; x < job.width; ++x) columns.push_back(pick.chance(10) ? -1 : pick.below(job.cell_columns));
    job.rows = rows.data();
    job.columns = columns.data();
    return same_mask("mask", job, job.height * job.width, argmax_mask);
}

// Pixels are a class, or what is cut away is ignored.
inline bool linear_mask_case(Choices& pick) {
    LinearMaskJob job{};
    job.classes = pick.chance(10) ? pick.between(250, 300) : pick.between(2, 9);
    job.cell_rows = pick.between(1, 20);
    job.cell_columns = pick.between(1, 40);
    for (Axis* axis : {&job.down, &job.across}) {
        axis->source = pick.between(1, 60);
        axis->input = pick.between(1, 80);
        axis->resized = pick.between(1, 120);
        axis->offset = pick.between(-60, 60);
    }
    job.wide = job.classes > 255;
    job.ignore = job.wide ? 65535 : 255;
    const auto values = scores(pick, static_cast<std::size_t>(job.classes * job.cell_rows * job.cell_columns), 50.0f);
    job.scores = values.get();
    auto cut_rows = exactly<std::uint8_t>(static_cast<std::size_t>(job.down.source));
    auto cut_columns = exactly<std::uint8_t>(static_cast<std::size_t>(job.across.source));
    for (std::int64_t y = 0; y < job.down.source; ++y) cut_rows[static_cast<std::size_t>(y)] = pick.chance(10);
    for (std::int64_t x = 0; x < job.across.source; ++x) cut_columns[static_cast<std::size_t>(x)] = pick.chance(10);
    job.cut_rows = cut_rows.get(), job.cut_columns = cut_columns.get();
    return same_mask("linear mask", job, job.down.source * job.across.source, argmax_linear);
}

// Runs are lengths of pixels in turn, none of them empty but perhaps the first, and together the whole picture; behind those
// that were there before.
inline bool instance_case(Choices& pick) {
    PrototypeMask m{};
    m.channels = pick.between(1, 9);
    m.cell_rows = pick.between(1, 20);
    m.cell_columns = pick.between(1, 20);
    m.coefficient_stride = pick.between(1, 3);
    for (Axis* axis : {&m.rows, &m.columns}) {
        axis->source = pick.between(1, 90);
        axis->input = pick.between(1, 80);
        axis->resized = pick.between(1, 120);
        axis->offset = pick.between(-60, 60);
    }
    const auto coefficients = scores(pick, static_cast<std::size_t>(m.channels * m.coefficient_stride), 3.0f);
    const auto prototypes = scores(pick, static_cast<std::size_t>(m.channels * m.cell_rows * m.cell_columns), 3.0f);
    m.coefficients = coefficients.get();
    m.prototypes = prototypes.get();
    for (float& corner : m.box_xyxy) corner = static_cast<float>(pick.between(-20, 110)) + pick.unit();
    std::vector<std::uint32_t> runs(static_cast<std::size_t>(pick.below(3)), 7u);
    const std::size_t before = runs.size();
    instance_mask(m, runs);
    std::int64_t pixels = 0;
    for (std::size_t i = before; i < runs.size(); ++i) {
        pixels += runs[i];
        if (runs[i] == 0 && i != before) return false;
    }
    return pixels == m.rows.source * m.columns.source;
}

inline bool any_case(Choices& pick) {
    switch (pick.below(8)) {
        case 0: return detect_case(pick);
        case 1: return classify_case(pick);
        case 2: return mask_case(pick);
        case 3: return instance_case(pick);
        case 4: return linear_mask_case(pick);
        default: return preprocess_case(pick);
    }
}

}  // namespace seatrial::tests
