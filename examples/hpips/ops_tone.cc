// SPDX-License-Identifier: BSD-3-Clause
// Pixel by pixel. Integers by a table, which is computed once for each tile; floats one by one.
#include <cmath>

#include "examples/hpips/exact.h"
#include "examples/hpips/operators.h"

namespace hpips {
namespace {

using Curve = std::function<double(double)>;  // 0 … 1 (floats: anything) to the same

template <class T>
void look_up(const cv::Mat &from, const std::vector<T> &table, cv::Mat &to) {
    const int count = from.cols * from.channels();
    for (int y = 0; y < from.rows; ++y) {
        const T *in = from.ptr<T>(y);
        T *out = to.ptr<T>(y);
        for (int i = 0; i < count; ++i) out[i] = table[in[i]];
    }
}

template <class T>
cv::Mat by_table(const cv::Mat &pixels, double most, const Curve &curve) {
    std::vector<T> table(static_cast<size_t>(most) + 1);
    for (size_t i = 0; i < table.size(); ++i)
        table[i] = sample_of<T>(static_cast<float>(curve(static_cast<double>(i) / most) * most));
    cv::Mat changed(pixels.rows, pixels.cols, pixels.type());
    look_up(pixels, table, changed);
    return changed;
}

cv::Mat apply_curve(const cv::Mat &pixels, const Tile &tile, const Curve &curve) {
    return keep_alpha(pixels, tile.format, [&](const cv::Mat &colour) {
        if (colour.depth() == CV_8U) return by_table<uint8_t>(colour, 255, curve);
        if (colour.depth() == CV_16U) return by_table<uint16_t>(colour, 65535, curve);
        cv::Mat changed(colour.rows, colour.cols, colour.type());
        const int count = colour.cols * colour.channels();
        for (int y = 0; y < colour.rows; ++y)
            for (int i = 0; i < count; ++i)
                changed.ptr<float>(y)[i] = static_cast<float>(curve(colour.ptr<float>(y)[i]));
        return changed;
    });
}

Operator invert() {
    return {.name = "invert",
            .help = "dark to bright and bright to dark",
            .cost = Cost::kIo,
            .apply = [](const cv::Mat &pixels, const Tile &tile) {
                return apply_curve(pixels, tile, [](double v) { return 1 - v; });
            }};
}

Operator levels() {
    return {.name = "levels",
            .help = "stretches the tones from black to white over the whole range",
            .parameters = {real_parameter("black", "0", -1000, 1000, "what becomes 0; 1 is white"),
                           real_parameter("white", "1", -1000, 1000, "what becomes 1")},
            .cost = Cost::kIo,
            .format =
                [](const Values &values, const Format &format) {
                    if (values.real("white") == values.real("black"))
                        throw Failure("levels: black and white are the same");
                    return format;
                },
            .apply =
                [](const cv::Mat &pixels, const Tile &tile) {
                    const double black = tile.values.real("black");
                    const double range = tile.values.real("white") - black;
                    return apply_curve(pixels, tile, [=](double v) { return (v - black) / range; });
                }};
}

Operator gamma() {
    return {.name = "gamma",
            .help = "brightens (above 1) or darkens (below 1) the middle tones",
            .parameters = {real_parameter("value", "2.2", 0.01, 100, "tone = tone ^ (1 / value)")},
            .cost = Cost::kIo,
            .apply = [](const cv::Mat &pixels, const Tile &tile) {
                const double power = 1 / tile.values.real("value");
                return apply_curve(pixels, tile, [=](double v) { return exact_pow(v, power); });
            }};
}

Operator threshold() {
    return {.name = "threshold",
            .help = "black below the level, white from it on",
            .parameters = {real_parameter("level", "0.5", -1000, 1000, "1 is white")},
            .cost = Cost::kIo,
            .apply = [](const cv::Mat &pixels, const Tile &tile) {
                const double level = tile.values.real("level");
                return apply_curve(pixels, tile, [=](double v) { return v >= level ? 1.0 : 0.0; });
            }};
}

// ITU-R BT.601. In integers: 65536ths.
template <class T>
void grey_row(const T *in, int bands, T *out, int width, bool has_alpha) {
    for (int x = 0; x < width; ++x, in += bands) {
        const uint32_t sum = 19595U * in[0] + 38470U * in[1] + 7471U * in[2] + 32768U;
        *out++ = static_cast<T>(sum >> 16);
        if (has_alpha) *out++ = in[3];
    }
}
template <>
void grey_row(const float *in, int bands, float *out, int width, bool has_alpha) {
    for (int x = 0; x < width; ++x, in += bands) {
        *out++ = in[0] * 0.299F + in[1] * 0.587F + in[2] * 0.114F;
        if (has_alpha) *out++ = in[3];
    }
}

cv::Mat to_grey(const cv::Mat &pixels, const Tile &tile) {
    if (tile.format.colour_bands() == 1) return pixels;
    const bool alpha = tile.format.has_alpha;
    cv::Mat grey(pixels.rows, pixels.cols, CV_MAKETYPE(pixels.depth(), alpha ? 2 : 1));
    for (int y = 0; y < pixels.rows; ++y) {
        if (pixels.depth() == CV_8U)
            grey_row(pixels.ptr<uint8_t>(y), pixels.channels(), grey.ptr<uint8_t>(y), pixels.cols,
                     alpha);
        else if (pixels.depth() == CV_16U)
            grey_row(pixels.ptr<uint16_t>(y), pixels.channels(), grey.ptr<uint16_t>(y), pixels.cols,
                     alpha);
        else
            grey_row(pixels.ptr<float>(y), pixels.channels(), grey.ptr<float>(y), pixels.cols,
                     alpha);
    }
    return grey;
}

Operator grayscale() {
    return {.name = "grayscale",
            .help = "one band of brightness out of red, green and blue",
            .cost = Cost::kIo,
            .format =
                [](const Values &, Format format) {
                    if (format.colour_bands() != 1 && format.colour_bands() != 3)
                        throw Failure("grayscale takes 1 or 3 bands, not " +
                                      std::to_string(format.colour_bands()));
                    format.bands = format.has_alpha ? 2 : 1;
                    return format;
                },
            .apply = to_grey};
}

Depth depth_of(const std::string &word) {
    return word == "8" ? Depth::kU8 : word == "16" ? Depth::kU16 : Depth::kF32;
}

cv::Mat change_depth(const cv::Mat &pixels, const Tile &tile) {
    const Depth depth = depth_of(tile.values.word("to"));
    if (depth == tile.format.depth) return pixels;
    const float from = static_cast<float>(full_scale(tile.format.depth));
    const float to = static_cast<float>(full_scale(depth));
    cv::Mat floats = to_float(pixels);
    for (int y = 0; y < floats.rows; ++y) {
        float *row = floats.ptr<float>(y);
        for (int i = 0; i < floats.cols * floats.channels(); ++i) row[i] = row[i] * to / from;
    }
    return from_float(floats, depth);
}

Operator depth() {
    return {.name = "depth",
            .help = "8 or 16 bits, or floats from 0 to 1",
            .parameters = {word_parameter("to", {"8", "16", "float"}, "of each sample")},
            .cost = Cost::kIo,
            .format =
                [](const Values &values, Format format) {
                    format.depth = depth_of(values.word("to"));
                    return format;
                },
            .apply = change_depth};
}

}  // namespace

std::vector<Operator> tone_operators() {
    return {invert(), levels(), gamma(), threshold(), grayscale(), depth()};
}

}  // namespace hpips
