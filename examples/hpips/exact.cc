// SPDX-License-Identifier: BSD-3-Clause
#include "examples/hpips/exact.h"

#include <cfenv>
#include <cmath>

namespace hpips {
namespace {

constexpr double kLn2High = 0x1.62e42fefa0000p-1;  // few enough bits that k * kLn2High is exact
constexpr double kLn2Low = 0x1.cf79abc9e3b3ap-40;

// `row` with `radius` mirrored pixels on either side.
void pad_row(const float *row, int width, int bands, int radius, float *padded) {
    for (int x = -radius; x < width + radius; ++x) {
        const float *from = row + static_cast<ptrdiff_t>(mirrored(x, width)) * bands;
        for (int band = 0; band < bands; ++band) *padded++ = from[band];
    }
}

void add_pair(float *sum, const float *one, const float *other, float weight, int count) {
    for (int i = 0; i < count; ++i) sum[i] += weight * (one[i] + other[i]);
}

void set_scaled(float *sum, const float *from, float weight, int count) {
    for (int i = 0; i < count; ++i) sum[i] = weight * from[i];
}

template <class T>
void round_row(const float *from, T *to, int count) {
    for (int i = 0; i < count; ++i) to[i] = sample_of<T>(from[i]);
}

}  // namespace

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
    cv::Mat across(pixels.rows, pixels.cols, pixels.type());
    std::vector<float> padded(static_cast<size_t>(pixels.cols + 2 * radius) * bands);
    for (int y = 0; y < pixels.rows; ++y) {
        pad_row(pixels.ptr<float>(y), pixels.cols, bands, radius, padded.data());
        float *sum = across.ptr<float>(y);
        const float *middle = padded.data() + static_cast<ptrdiff_t>(radius) * bands;
        set_scaled(sum, middle, weights[0], samples);
        for (int k = 1; k <= radius; ++k)
            add_pair(sum, middle - k * bands, middle + k * bands, weights[k], samples);
    }
    cv::Mat down(pixels.rows, pixels.cols, pixels.type());
    for (int y = 0; y < pixels.rows; ++y) {
        float *sum = down.ptr<float>(y);
        set_scaled(sum, across.ptr<float>(y), weights[0], samples);
        for (int k = 1; k <= radius; ++k)
            add_pair(sum, across.ptr<float>(mirrored(y - k, pixels.rows)),
                     across.ptr<float>(mirrored(y + k, pixels.rows)), weights[k], samples);
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
