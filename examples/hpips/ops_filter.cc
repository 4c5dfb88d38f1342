// SPDX-License-Identifier: BSD-3-Clause
// Weighted sums of neighbours, in floats. At the edge of the image it is mirrored about its last
// pixel.
#include <cmath>

#include "examples/hpips/exact.h"
#include "examples/hpips/operators.h"

namespace hpips {
namespace {

// What is left of one row of `out` when `combine` has seen the samples of both.
template <class Combine>
void for_samples(cv::Mat &out, const cv::Mat &in, Combine combine) {
    const int count = out.cols * out.channels();
    for (int y = 0; y < out.rows; ++y) {
        float *to = out.ptr<float>(y);
        const float *from = in.ptr<float>(y);
        for (int i = 0; i < count; ++i) to[i] = combine(to[i], from[i]);
    }
}

// The colour bands as floats, changed, and rounded again.
cv::Mat in_floats(const cv::Mat &pixels, const Tile &tile,
                  const std::function<cv::Mat(const cv::Mat &)> &change) {
    return keep_alpha(pixels, tile.format, [&](const cv::Mat &colour) {
        return from_float(change(to_float(colour)), tile.format.depth);
    });
}

Operator blur() {
    return {.name = "blur",
            .help = "Gaussian blur",
            .parameters = {real_parameter("sigma", "2", 0.1, 100, "in pixels")},
            .radius = [](const Values &values,
                         const Format &) { return gaussian_radius(values.real("sigma")); },
            .apply =
                [](const cv::Mat &pixels, const Tile &tile) {
                    const auto weights = gaussian_weights(tile.values.real("sigma"));
                    return in_floats(pixels, tile, [&](const cv::Mat &colour) {
                        return convolve(colour, weights);
                    });
                }};
}

cv::Mat unsharp(const cv::Mat &colour, const Values &values, double white) {
    const float amount = static_cast<float>(values.real("amount"));
    const float least = static_cast<float>(values.real("threshold") * white);
    cv::Mat sharp = convolve(colour, gaussian_weights(values.real("radius")));
    for_samples(sharp, colour, [=](float smooth, float sample) {
        const float detail = sample - smooth;
        const float size = detail < 0 ? -detail : detail;
        return size >= least ? sample + amount * detail : sample;
    });
    return sharp;
}

Operator sharpen() {
    return {.name = "sharpen",
            .help = "unsharp mask: more of what a blur would take away",
            .parameters = {real_parameter("radius", "1", 0.1, 100, "sigma of the blur, in pixels"),
                           real_parameter("amount", "0.5", 0, 20, "how much more"),
                           real_parameter("threshold", "0", 0, 1,
                                          "differences below it stay; 1 is white")},
            .radius = [](const Values &values,
                         const Format &) { return gaussian_radius(values.real("radius")); },
            .apply =
                [](const cv::Mat &pixels, const Tile &tile) {
                    return in_floats(pixels, tile, [&](const cv::Mat &colour) {
                        return unsharp(colour, tile.values, full_scale(tile.format.depth));
                    });
                }};
}

// 1 2 1 across the other direction, both; the length of the gradient. The rows have a pixel more on
// either side.
void gradient_row(const float *above, const float *here, const float *below, int bands, float scale,
                  float *to, int count) {
    for (int left = 0; left < count; ++left) {
        const int middle = left + bands;
        const int right = middle + bands;
        const float dx = (above[right] + 2 * here[right] + below[right]) -
                         (above[left] + 2 * here[left] + below[left]);
        const float dy = (below[left] + 2 * below[middle] + below[right]) -
                         (above[left] + 2 * above[middle] + above[right]);
        to[left] = scale * std::sqrt(dx * dx + dy * dy);
    }
}

cv::Mat gradient(const cv::Mat &colour, float scale) {
    const int bands = colour.channels();
    const int count = colour.cols * bands;
    cv::Mat padded(colour.rows, colour.cols + 2, colour.type());
    for (int y = 0; y < colour.rows; ++y)
        pad_row(colour.ptr<float>(y), colour.cols, bands, 1, padded.ptr<float>(y));
    cv::Mat length(colour.rows, colour.cols, colour.type());
    for (int y = 0; y < colour.rows; ++y)
        gradient_row(padded.ptr<float>(mirrored(y - 1, colour.rows)), padded.ptr<float>(y),
                     padded.ptr<float>(mirrored(y + 1, colour.rows)), bands, scale,
                     length.ptr<float>(y), count);
    return length;
}

Operator sobel() {
    return {.name = "sobel",
            .help = "edges: the length of the gradient in each band",
            .parameters = {real_parameter("scale", "1", 0.001, 1000, "what it is multiplied by")},
            .radius = [](const Values &, const Format &) { return 1; },
            .apply =
                [](const cv::Mat &pixels, const Tile &tile) {
                    const float scale = static_cast<float>(tile.values.real("scale"));
                    return in_floats(pixels, tile, [=](const cv::Mat &colour) {
                        return gradient(colour, scale);
                    });
                }};
}

// Richardson and Lucy: what image, blurred, would be the one that was taken?
cv::Mat richardson_lucy(const cv::Mat &taken, double sigma, int iterations, double white) {
    const auto weights = gaussian_weights(sigma);
    const float least = static_cast<float>(white * 1e-6);
    cv::Mat guess = taken.clone();
    for (int i = 0; i < iterations; ++i) {
        cv::Mat ratio = convolve(guess, weights);
        for_samples(ratio, taken, [=](float blurred, float sample) {
            return blurred > least ? sample / blurred : 1.0F;
        });
        for_samples(guess, convolve(ratio, weights),
                    [](float sample, float factor) { return sample * factor; });
    }
    return guess;
}

Operator deconvolve() {
    return {.name = "deconvolve",
            .help = "takes a Gaussian blur away (Richardson-Lucy)",
            .parameters = {real_parameter("sigma", "1.5", 0.1, 20, "of the blur, in pixels"),
                           integer_parameter("iterations", 10, 1, 200, "more: sharper, noisier")},
            .cost = Cost::kHeavy,
            // Each iteration blurs twice.
            .radius =
                [](const Values &values, const Format &) {
                    return 2 * values.integer("iterations") * gaussian_radius(values.real("sigma"));
                },
            .apply =
                [](const cv::Mat &pixels, const Tile &tile) {
                    return in_floats(pixels, tile, [&](const cv::Mat &colour) {
                        return richardson_lucy(colour, tile.values.real("sigma"),
                                               tile.values.integer("iterations"),
                                               full_scale(tile.format.depth));
                    });
                }};
}

}  // namespace

std::vector<Operator> filter_operators() {
    return {blur(), sharpen(), sobel(), deconvolve()};
}

}  // namespace hpips
