// SPDX-License-Identifier: BSD-3-Clause
// Arithmetic that is the same, to the bit, on every machine and wherever a tile was cut: only + - *
// / and sqrt, which IEEE 754 defines, in a fixed order. (libm's exp differs from version to
// version, and a compiler that may fuse a * b + c does so on some processors: -ffp-contract=off.)
#pragma once

#include <cstdint>
#include <cstring>
#include <opencv2/core.hpp>
#include <vector>

#include "examples/hpips/hpips.h"

namespace hpips {

double exact_exp(double x);                // 0 below -700; for x up to 700
double exact_ln(double x);                 // for x > 0
double exact_pow(double x, double power);  // for x >= 0; 0 to any power is 0

// The middle and one side of a Gaussian, as far as three sigma (at least one pixel), sum 1.
std::vector<float> gaussian_weights(double sigma);
int gaussian_radius(double sigma);

// Sum of weights[0] * middle + weights[k] * (left + right), in both directions; outside of the
// image it is mirrored about the edge pixel. `pixels` has depth CV_32F and any number of bands.
cv::Mat convolve(const cv::Mat &pixels, const std::vector<float> &weights);

// `row`, of width x bands samples, with `radius` mirrored pixels on either side.
void pad_row(const float *row, int width, int bands, int radius, float *padded);

// The index of the pixel that stands for one outside of 0 … count - 1.
int mirrored(int index, int count);

// The nearest sample, halves upward; what is not a number becomes 0 in integers.
template <class T>
inline T sample_of(float value) {
    const float most = sizeof(T) == 1 ? 255.0F : 65535.0F;
    const float low = value > 0.0F ? value : 0.0F;
    const float bounded = low < most ? low : most;
    return static_cast<T>(bounded + 0.5F);
}
template <>
inline float sample_of<float>(float value) {
    return value;
}

cv::Mat to_float(const cv::Mat &pixels);                 // samples as they are, as CV_32F
cv::Mat from_float(const cv::Mat &pixels, Depth depth);  // rounded by sample_of

// Floats as integers of the same order: so that minima and medians are decided to the bit, whatever
// order the samples come in, -0 and not-a-number included.
inline int32_t order_key(float value) {
    int32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits < 0 ? bits ^ 0x7fffffff : bits;
}
inline float from_order_key(int32_t key) {
    const int32_t bits = key < 0 ? key ^ 0x7fffffff : key;
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

// All that is not a number gets one and the same pattern: which one an operation yields is the
// compiler's choice.
void unify_nans(cv::Mat &pixels);

// What the arithmetic relies on: rounding to nearest, and no flushing of tiny numbers to zero,
// which some libraries turn on when they are loaded. For each thread that computes.
void set_arithmetic();

}  // namespace hpips
