// SPDX-License-Identifier: BSD-3-Clause
#include "tests/hpips/random_images.h"

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <limits>

namespace hpips::testing {

Chance::Chance() {
    const char *given = std::getenv("HPIPS_SEED");
    const unsigned seed = given != nullptr ? static_cast<unsigned>(std::strtoul(given, nullptr, 10))
                                           : std::random_device{}();
    std::cout << "HPIPS_SEED=" << seed << "\n";
    engine_.seed(seed);
}

cv::Size Chance::size(int most) {
    // Thin ones more often than by pure chance.
    const auto side = [&] { return below(4) == 0 ? between(1, 5) : between(1, most); };
    const int width = side();
    return {width, side()};
}

Format Chance::format() {
    const int bands[] = {1, 2, 3, 4, 4, 6};
    const int which = below(6);
    Format format;
    format.depth = static_cast<Depth>(below(3));
    format.bands = bands[which];
    format.has_alpha = which == 1 || which == 3;
    return format;
}

cv::Mat Chance::image(cv::Size size, const Format &format) {
    cv::Mat pixels(size, format.cv_type());
    const int count = pixels.cols * pixels.channels();
    const int style = below(3);
    const double white = full_scale(format.depth);
    for (int y = 0; y < pixels.rows; ++y)
        for (int i = 0; i < count; ++i) {
            const double noise = below(4096) / 4095.0;
            double value = noise;
            if (style == 1) value = 0.3 * ((i / 9 + y / 7) % 3) + 0.1 * noise;
            if (style == 2) value = below(50) == 0 ? noise : 0.5;
            value *= white;
            if (format.depth == Depth::kU8) pixels.ptr<uint8_t>(y)[i] = static_cast<uint8_t>(value);
            if (format.depth == Depth::kU16)
                pixels.ptr<uint16_t>(y)[i] = static_cast<uint16_t>(value);
            if (format.depth != Depth::kF32) continue;
            float &sample = pixels.ptr<float>(y)[i];
            sample = static_cast<float>(value * 3 - 1);
            if (style == 2 && below(300) == 0) sample = std::numeric_limits<float>::quiet_NaN();
            if (style == 2 && below(300) == 0) sample = std::numeric_limits<float>::infinity();
        }
    return pixels;
}

std::string Chance::step() {
    const auto n = [&](int least, int most) { return std::to_string(between(least, most)); };
    const auto shape = [&] { return below(2) == 0 ? " shape=disk" : " shape=square"; };
    switch (below(21)) {
        case 0: return "invert";
        case 1: return "levels black=0." + n(0, 3) + " white=0." + n(5, 9);
        case 2: return "gamma value=" + n(1, 3);
        case 3: return "threshold level=0." + n(1, 9);
        case 4: return "grayscale";
        case 5:
            return below(3) == 0 ? "depth to=16" : below(2) == 0 ? "depth to=8" : "depth to=float";
        case 6: return "crop x=" + n(0, 9) + " y=" + n(0, 9);
        case 7: return "shrink factor=" + n(1, 5);
        case 8: return "blur sigma=" + n(1, 4);
        case 9:
            return "sharpen radius=" + n(1, 3) + " amount=" + n(0, 2) + " threshold=0.0" + n(0, 5);
        case 10: return "sobel scale=0." + n(1, 9);
        case 11: return "deconvolve sigma=1 iterations=" + n(1, 4);
        case 12: return "median radius=" + n(1, 4);
        case 13: return "erode radius=" + n(1, 6) + shape();
        case 14: return "dilate radius=" + n(1, 6) + shape();
        case 15: return (below(2) == 0 ? "open radius=" : "close radius=") + n(1, 4) + shape();
        case 16: return "bilateral radius=" + n(1, 4) + " strength=" + n(5, 80);
        case 17: return "band number=" + n(1, 3);
        case 18: return "normdiff a=" + n(1, 3) + " b=" + n(1, 2);
        case 19: return "clouds brightness=0." + n(1, 6) + " whiteness=" + n(0, 2);
        default: return "denoise strength=" + n(3, 30) + " search=" + n(1, 5) + " patch=" + n(1, 2);
    }
}

cv::Mat untiled(const Plan &plan, const cv::Mat &image) {
    const cv::Rect whole({0, 0}, plan.output_size());
    return plan.run(image(plan.input_region(whole)).clone(), whole);
}

cv::Mat tiled(const Plan &plan, const cv::Mat &image, int side) {
    cv::Mat result(plan.output_size(), plan.output_format().cv_type());
    const Grid grid(plan.output_size(), side);
    for (int64_t tile = 0; tile < grid.count(); ++tile) {
        const cv::Rect place = grid.tile(tile);
        plan.run(image(plan.input_region(place)).clone(), place).copyTo(result(place));
    }
    return result;
}

bool same_bytes(const cv::Mat &one, const cv::Mat &other) {
    if (one.size() != other.size() || one.type() != other.type()) return false;
    for (int y = 0; y < one.rows; ++y)
        if (std::memcmp(one.ptr(y), other.ptr(y), one.cols * one.elemSize()) != 0) return false;
    return true;
}

}  // namespace hpips::testing
