// SPDX-License-Identifier: BSD-3-Clause
// Means of similar neighbours. At the edge of the image it is mirrored about its last pixel.
#include <algorithm>
#include <opencv2/photo.hpp>

#include "examples/hpips/exact.h"
#include "examples/hpips/operators.h"

namespace hpips {
namespace {

constexpr int kJointBandsMax = 4;  // OpenCV compares no more bands at once

// Non-local means, in integers. The search looks `search` pixels around, at patches that reach
// `patch` further.
cv::Mat non_local_means(const cv::Mat &colour, const Values &values) {
    const int patch = 2 * values.integer("patch") + 1;
    const int search = 2 * values.integer("search") + 1;
    const bool is_8_bit = colour.depth() == CV_8U;
    // Strength is in steps of 8 bit, for 16 bit as well.
    const float strength = static_cast<float>(values.real("strength") * (is_8_bit ? 1 : 257));
    const int norm = is_8_bit ? cv::NORM_L2 : cv::NORM_L1;
    const auto denoise = [&](const cv::Mat &bands) {
        cv::Mat clean;
        cv::fastNlMeansDenoising(bands, clean, std::vector<float>{strength}, patch, search, norm);
        return clean;
    };
    if (colour.channels() <= kJointBandsMax) return denoise(colour);
    std::vector<cv::Mat> bands;
    cv::split(colour, bands);
    for (cv::Mat &band : bands) band = denoise(band);
    cv::Mat clean;
    cv::merge(bands, clean);
    return clean;
}

Operator denoise() {
    return {
        .name = "denoise",
        .help = "non-local means: the mean of what looks alike nearby",
        .parameters = {real_parameter("strength", "7", 0.1, 100,
                                      "noise to take away, in steps of 8 bit"),
                       integer_parameter("search", 10, 1, 50, "how far to look, in pixels"),
                       integer_parameter("patch", 3, 1, 10, "how much must look alike")},
        .cost = Cost::kHeavy,
        .radius = [](const Values &values,
                     const Format &) { return values.integer("search") + values.integer("patch"); },
        .format =
            [](const Values &, const Format &format) {
                if (format.depth == Depth::kF32)
                    throw Failure(
                        "denoise takes 8 and 16 bit; put `depth to=16` before it for floats "
                        "from 0 to 1");
                return format;
            },
        .apply =
            [](const cv::Mat &pixels, const Tile &tile) {
                return keep_alpha(pixels, tile.format, [&](const cv::Mat &colour) {
                    return non_local_means(colour, tile.values);
                });
            }};
}

// Weights by difference: steps of a kBins-th of sigma, as far as they matter.
constexpr int kBins = 1024;
constexpr int kSigmas = 6;

std::vector<float> difference_weights() {
    std::vector<float> weights(static_cast<size_t>(kBins) * kSigmas);
    for (size_t i = 0; i < weights.size(); ++i) {
        const double sigmas = static_cast<double>(i) / kBins;
        weights[i] = static_cast<float>(exact_exp(-sigmas * sigmas / 2));
    }
    return weights;
}

struct Neighbour {
    int dx;
    int dy;
    float weight;
};

std::vector<Neighbour> disk(int radius) {
    const double sigma = radius / 2.0;
    std::vector<Neighbour> neighbours;
    for (int dy = -radius; dy <= radius; ++dy)
        for (int dx = -radius; dx <= radius; ++dx) {
            const int square = dx * dx + dy * dy;
            if (square > radius * radius || square == 0) continue;
            neighbours.push_back(
                {dx, dy, static_cast<float>(exact_exp(-square / (2 * sigma * sigma)))});
        }
    return neighbours;
}

cv::Mat padded_by(const cv::Mat &colour, int radius) {
    const size_t bytes = colour.elemSize();
    cv::Mat padded(colour.rows + 2 * radius, colour.cols + 2 * radius, colour.type());
    for (int y = 0; y < padded.rows; ++y) {
        const uchar *from = colour.ptr(mirrored(y - radius, colour.rows));
        for (int x = 0; x < padded.cols; ++x)
            std::copy_n(from + mirrored(x - radius, colour.cols) * bytes, bytes,
                        padded.ptr(y) + x * bytes);
    }
    return padded;
}

// One pixel: `at` is its place in the padded image.
void bilateral_pixel(const float *at, const std::vector<ptrdiff_t> &offsets,
                     const std::vector<Neighbour> &neighbours, const std::vector<float> &table,
                     float scale, int bands, float *to) {
    float total = 1;
    float sums[kBandsMax];
    std::copy_n(at, bands, sums);
    const float limit = static_cast<float>(table.size());
    for (size_t i = 0; i < neighbours.size(); ++i) {
        const float *other = at + offsets[i];
        float difference = 0;
        for (int b = 0; b < bands; ++b) {
            const float d = other[b] - at[b];
            difference += d < 0 ? -d : d;
        }
        const float bin = difference * scale;
        if (!(bin < limit)) continue;  // too different, or not a number
        const float weight = neighbours[i].weight * table[static_cast<size_t>(bin)];
        total += weight;
        for (int b = 0; b < bands; ++b) sums[b] += weight * other[b];
    }
    for (int b = 0; b < bands; ++b) to[b] = sums[b] / total;
}

cv::Mat bilateral_of(const cv::Mat &colour, const Tile &tile) {
    const int radius = tile.values.integer("radius");
    const int bands = colour.channels();
    const double sigma = tile.values.real("strength") * full_scale(tile.format.depth) / 255;
    const float scale = static_cast<float>(kBins / sigma);
    const std::vector<float> table = difference_weights();
    const std::vector<Neighbour> neighbours = disk(radius);
    const cv::Mat padded = padded_by(to_float(colour), radius);
    const ptrdiff_t step = static_cast<ptrdiff_t>(padded.step1());
    std::vector<ptrdiff_t> offsets;
    for (const Neighbour &one : neighbours) offsets.push_back(one.dy * step + one.dx * bands);
    cv::Mat smooth(colour.rows, colour.cols, CV_MAKETYPE(CV_32F, bands));
    for (int y = 0; y < colour.rows; ++y)
        for (int x = 0; x < colour.cols; ++x)
            bilateral_pixel(padded.ptr<float>(y + radius) + (x + radius) * bands, offsets,
                            neighbours, table, scale, bands, smooth.ptr<float>(y) + x * bands);
    return from_float(smooth, tile.format.depth);
}

Operator bilateral() {
    return {.name = "bilateral",
            .help = "smooths what is alike, keeps edges",
            .parameters = {integer_parameter("radius", 5, 1, 50, "in pixels"),
                           real_parameter("strength", "30", 0.1, 1000,
                                          "differences that count as alike, in steps of 8 bit")},
            .cost = Cost::kHeavy,
            .radius = [](const Values &values, const Format &) { return values.integer("radius"); },
            .apply =
                [](const cv::Mat &pixels, const Tile &tile) {
                    return keep_alpha(pixels, tile.format, [&](const cv::Mat &colour) {
                        return bilateral_of(colour, tile);
                    });
                }};
}

}  // namespace

std::vector<Operator> denoise_operators() {
    return {denoise(), bilateral()};
}

}  // namespace hpips
