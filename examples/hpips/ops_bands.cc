// SPDX-License-Identifier: BSD-3-Clause
// Of images with many bands, as satellites take them. Bands are counted from 1, in the order of the
// file.
#include "examples/hpips/exact.h"
#include "examples/hpips/operators.h"

namespace hpips {
namespace {

Parameter band_parameter(const char *name, int standard, const char *help) {
    return integer_parameter(name, standard, 1, kBandsMax, help);
}

// Format of one band out of `format`. Failure: a parameter names a band that the image lacks.
Format one_band(const Values &values, const Format &format, const std::string &op,
                std::initializer_list<const char *> bands, Depth depth) {
    for (const char *name : bands)
        if (values.integer(name) > format.colour_bands())
            throw Failure(op + ": " + name + "=" + std::to_string(values.integer(name)) +
                          ", and the image has " + std::to_string(format.colour_bands()) +
                          " bands");
    return {depth, 1, false};
}

// to[x] of the samples of one pixel as floats.
template <class Compute>
cv::Mat for_pixels(const cv::Mat &pixels, int type, Compute compute) {
    const cv::Mat samples = to_float(pixels);
    const int bands = samples.channels();
    cv::Mat out(samples.rows, samples.cols, type);
    for (int y = 0; y < samples.rows; ++y) {
        const float *pixel = samples.ptr<float>(y);
        for (int x = 0; x < samples.cols; ++x, pixel += bands) compute(pixel, out.ptr(y), x);
    }
    return out;
}

Operator band() {
    return {.name = "band",
            .help = "one band of many",
            .parameters = {band_parameter("number", 1, "which, counted from 1")},
            .cost = Cost::kIo,
            .format =
                [](const Values &values, const Format &format) {
                    return one_band(values, format, "band", {"number"}, format.depth);
                },
            .apply =
                [](const cv::Mat &pixels, const Tile &tile) {
                    cv::Mat one;
                    cv::extractChannel(pixels, one, tile.values.integer("number") - 1);
                    return one;
                }};
}

// Where both are 0 there is nothing to be said of the place: 0.
Operator normalized_difference() {
    return {
        .name = "normdiff",
        .help = "(a - b) / (a + b) as floats from -1 to 1: with near infrared and red, vegetation",
        .parameters = {band_parameter("a", 4, "band; Landsat 5 and 7: 4 is near infrared"),
                       band_parameter("b", 3, "band; Landsat 5 and 7: 3 is red")},
        .cost = Cost::kIo,
        .format =
            [](const Values &values, const Format &format) {
                return one_band(values, format, "normdiff", {"a", "b"}, Depth::kF32);
            },
        .apply =
            [](const cv::Mat &pixels, const Tile &tile) {
                const int a = tile.values.integer("a") - 1;
                const int b = tile.values.integer("b") - 1;
                return for_pixels(pixels, CV_32F, [=](const float *pixel, uchar *row, int x) {
                    const float sum = pixel[a] + pixel[b];
                    reinterpret_cast<float *>(row)[x] =
                        sum != 0 ? (pixel[a] - pixel[b]) / sum : 0.0F;
                });
            }};
}

// Bright, white, and brighter in blue than what is red: the whiteness and haze tests of Z. Zhu and
// C. E. Woodcock, "Object-based cloud and cloud shadow detection in Landsat imagery", Remote
// Sensing of Environment 118 (2012), on samples from 0 to 1 instead of reflectances.
bool is_cloud(float blue, float green, float red, float brightness, float whiteness) {
    const float mean = (blue + green + red) / 3;
    if (!(mean >= brightness)) return false;
    const auto far = [mean](float sample) { return sample < mean ? mean - sample : sample - mean; };
    return far(blue) + far(green) + far(red) < whiteness * mean && blue - 0.5F * red - 0.08F > 0;
}

Operator clouds() {
    return {.name = "clouds",
            .help = "a mask: white where bright and white enough for a cloud, else black",
            .parameters = {band_parameter("blue", 1, "band"), band_parameter("green", 2, "band"),
                           band_parameter("red", 3, "band"),
                           real_parameter("brightness", "0.5", 0, 1,
                                          "mean of the three at least; 1 is white"),
                           real_parameter("whiteness", "0.7", 0, 3,
                                          "how far the three may be from their mean, together")},
            .cost = Cost::kIo,
            .format =
                [](const Values &values, const Format &format) {
                    return one_band(values, format, "clouds", {"blue", "green", "red"}, Depth::kU8);
                },
            .apply =
                [](const cv::Mat &pixels, const Tile &tile) {
                    const int blue = tile.values.integer("blue") - 1;
                    const int green = tile.values.integer("green") - 1;
                    const int red = tile.values.integer("red") - 1;
                    const float white = static_cast<float>(full_scale(tile.format.depth));
                    const float brightness = static_cast<float>(tile.values.real("brightness"));
                    const float whiteness = static_cast<float>(tile.values.real("whiteness"));
                    return for_pixels(pixels, CV_8U, [=](const float *pixel, uchar *row, int x) {
                        row[x] = is_cloud(pixel[blue] / white, pixel[green] / white,
                                          pixel[red] / white, brightness, whiteness)
                                     ? 255
                                     : 0;
                    });
                }};
}

}  // namespace

std::vector<Operator> band_operators() {
    return {band(), normalized_difference(), clouds()};
}

}  // namespace hpips
