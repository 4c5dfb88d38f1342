// SPDX-License-Identifier: BSD-3-Clause
#include "examples/hpips/exact.h"

#include <algorithm>
#include <cfenv>
#include <cmath>

namespace hpips {
namespace {

constexpr double kLn2High = 0x1.62e42fefa0000p-1;  // few enough bits that k * kLn2High is exact
constexpr double kLn2Low = 0x1.cf79abc9e3b3ap-40;

// Sums of a chunk of samples stay in registers; each sum is added up in the same order whichever
// of the processor's vectors it is in.
constexpr int kChunk = 64;

template <class Count>
[[gnu::always_inline]] inline void sum_chunk(const float *middle, const float *const *before,
                                             const float *const *after, const float *weights,
                                             int radius, float *sums, ptrdiff_t at, Count count) {
    float chunk[kChunk];
    for (int i = 0; i < count; ++i) chunk[i] = weights[0] * middle[at + i];
    for (int k = 1; k <= radius; ++k) {
        const float *one = before[k] + at;
        const float *other = after[k] + at;
        for (int i = 0; i < count; ++i) chunk[i] += weights[k] * (one[i] + other[i]);
    }
    for (int i = 0; i < count; ++i) sums[at + i] = chunk[i];
}

[[gnu::always_inline]] inline void sum_row(const float *middle, const float *const *before,
                                           const float *const *after, const float *weights,
                                           int radius, float *sums, int count) {
    int at = 0;
    for (; at + kChunk <= count; at += kChunk)
        sum_chunk(middle, before, after, weights, radius, sums, at,
                  std::integral_constant<int, kChunk>{});
    sum_chunk(middle, before, after, weights, radius, sums, at, count - at);
}

[[gnu::target("avx2")]] void sum_row_avx2(const float *middle, const float *const *before,
                                          const float *const *after, const float *weights,
                                          int radius, float *sums, int count) {
    sum_row(middle, before, after, weights, radius, sums, count);
}

void sum_row_plain(const float *middle, const float *const *before, const float *const *after,
                   const float *weights, int radius, float *sums, int count) {
    sum_row(middle, before, after, weights, radius, sums, count);
}

// weights[0] * middle + weights[k] * (before[k] + after[k]), sample by sample.
void weighted_row(const float *middle, const std::vector<const float *> &before,
                  const std::vector<const float *> &after, const std::vector<float> &weights,
                  float *sums, int count) {
    static const auto best = __builtin_cpu_supports("avx2") ? sum_row_avx2 : sum_row_plain;
    best(middle, before.data(), after.data(), weights.data(), static_cast<int>(weights.size()) - 1,
         sums, count);
}

template <class T>
void round_row(const float *from, T *to, int count) {
    for (int i = 0; i < count; ++i) to[i] = sample_of<T>(from[i]);
}

}  // namespace

void pad_row(const float *row, int width, int bands, int radius, float *padded) {
    const auto put = [&](int x) {
        std::copy_n(row + static_cast<ptrdiff_t>(mirrored(x, width)) * bands, bands,
                    padded + static_cast<ptrdiff_t>(x + radius) * bands);
    };
    for (int x = -radius; x < 0; ++x) put(x);
    std::copy_n(row, static_cast<ptrdiff_t>(width) * bands,
                padded + static_cast<ptrdiff_t>(radius) * bands);
    for (int x = width; x < width + radius; ++x) put(x);
}

double exact_exp(double x) {
    if (!(x > -700.0)) return 0.0;
    const int k = static_cast<int>(std::floor(x / 0.6931471805599453 + 0.5));
    const double r = (x - k * kLn2High) - k * kLn2Low;  // |r| < 0.35: 16 terms are enough
    double sum = 1.0;
    for (int term = 16; term >= 1; --term) sum = 1.0 + r * sum / term;
    return std::ldexp(sum, k);
}

double exact_ln(double x) {
    int exponent = 0;
    double m = std::frexp(x, &exponent);  // 0.5 … 1
    if (m < 0.7071067811865476) {
        m *= 2;
        --exponent;
    }
    const double s = (m - 1) / (m + 1);  // |s| < 0.172: s^40 is below the last bit
    const double square = s * s;
    double sum = 0.0;
    for (int term = 39; term >= 1; term -= 2) sum = 1.0 / term + square * sum;
    return exponent * kLn2High + (exponent * kLn2Low + 2 * s * sum);
}

double exact_pow(double x, double power) {
    return x > 0 ? exact_exp(power * exact_ln(x)) : 0.0;
}

int gaussian_radius(double sigma) {
    return std::max(1, static_cast<int>(std::ceil(3 * sigma)));
}

std::vector<float> gaussian_weights(double sigma) {
    const int radius = gaussian_radius(sigma);
    std::vector<double> weights(radius + 1);
    for (int i = 0; i <= radius; ++i) weights[i] = exact_exp(-i * i / (2 * sigma * sigma));
    double sum = weights[0];
    for (int i = 1; i <= radius; ++i) sum += 2 * weights[i];
    std::vector<float> rounded(radius + 1);
    for (int i = 0; i <= radius; ++i) rounded[i] = static_cast<float>(weights[i] / sum);
    return rounded;
}

int mirrored(int index, int count) {
    if (count == 1) return 0;
    const int period = 2 * count - 2;
    index %= period;
    if (index < 0) index += period;
    return index < count ? index : period - index;
}

cv::Mat convolve(const cv::Mat &pixels, const std::vector<float> &weights) {
    const int bands = pixels.channels();
    const int radius = static_cast<int>(weights.size()) - 1;
    const int samples = pixels.cols * bands;
    std::vector<const float *> before(weights.size());
    std::vector<const float *> after(weights.size());
    cv::Mat across(pixels.rows, pixels.cols, pixels.type());
    std::vector<float> padded(static_cast<size_t>(pixels.cols + 2 * radius) * bands);
    const float *middle = padded.data() + static_cast<ptrdiff_t>(radius) * bands;
    for (int k = 1; k <= radius; ++k) {
        before[k] = middle - static_cast<ptrdiff_t>(k) * bands;
        after[k] = middle + static_cast<ptrdiff_t>(k) * bands;
    }
    for (int y = 0; y < pixels.rows; ++y) {
        pad_row(pixels.ptr<float>(y), pixels.cols, bands, radius, padded.data());
        weighted_row(middle, before, after, weights, across.ptr<float>(y), samples);
    }
    cv::Mat down(pixels.rows, pixels.cols, pixels.type());
    for (int y = 0; y < pixels.rows; ++y) {
        for (int k = 1; k <= radius; ++k) {
            before[k] = across.ptr<float>(mirrored(y - k, pixels.rows));
            after[k] = across.ptr<float>(mirrored(y + k, pixels.rows));
        }
        weighted_row(across.ptr<float>(y), before, after, weights, down.ptr<float>(y), samples);
    }
    return down;
}

cv::Mat to_float(const cv::Mat &pixels) {
    cv::Mat floats;
    pixels.convertTo(floats, CV_32F);
    return floats;
}

cv::Mat from_float(const cv::Mat &pixels, Depth depth) {
    if (depth == Depth::kF32) return pixels;
    const bool small = depth == Depth::kU8;
    cv::Mat samples(pixels.rows, pixels.cols,
                    CV_MAKETYPE(small ? CV_8U : CV_16U, pixels.channels()));
    const int count = pixels.cols * pixels.channels();
    for (int y = 0; y < pixels.rows; ++y) {
        if (small)
            round_row(pixels.ptr<float>(y), samples.ptr<uint8_t>(y), count);
        else
            round_row(pixels.ptr<float>(y), samples.ptr<uint16_t>(y), count);
    }
    return samples;
}

void unify_nans(cv::Mat &pixels) {
    if (pixels.depth() != CV_32F) return;
    for (int y = 0; y < pixels.rows; ++y) {
        float *row = pixels.ptr<float>(y);
        for (int i = 0; i < pixels.cols * pixels.channels(); ++i)
            if (row[i] != row[i]) row[i] = std::numeric_limits<float>::quiet_NaN();
    }
}

void set_arithmetic() {
    std::fesetenv(FE_DFL_ENV);
}

}  // namespace hpips
