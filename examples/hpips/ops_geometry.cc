// SPDX-License-Identifier: BSD-3-Clause
// Which pixels, and how many. Alpha is a band like the others here.
#include "examples/hpips/exact.h"
#include "examples/hpips/operators.h"

namespace hpips {
namespace {

Operator crop() {
    return {
        .name = "crop",
        .help = "a part of the image",
        .parameters = {integer_parameter("x", 0, 0, kSideMax, "pixels to leave out at the left"),
                       integer_parameter("y", 0, 0, kSideMax, "pixels to leave out at the top"),
                       integer_parameter("width", 0, 0, kSideMax, "0: as far as it goes"),
                       integer_parameter("height", 0, 0, kSideMax, "0: as far as it goes")},
        .cost = Cost::kIo,
        .geometry =
            [](const Values &values, cv::Size size) {
                const cv::Point origin(values.integer("x"), values.integer("y"));
                cv::Size part(values.integer("width"), values.integer("height"));
                if (part.width == 0) part.width = size.width - origin.x;
                if (part.height == 0) part.height = size.height - origin.y;
                if (part.width < 1 || part.height < 1 || origin.x > size.width - part.width ||
                    origin.y > size.height - part.height)
                    throw Failure("crop: the part does not lie in the image, which has " +
                                  std::to_string(size.width) + " x " + std::to_string(size.height) +
                                  " pixels");
                return Geometry{part, 1, origin};
            },
        .apply = [](const cv::Mat &pixels, const Tile &) { return pixels; }};
}

// The mean of each cell: integers exactly, halves upward; floats summed in reading order.
template <class T, class Sum>
void mean_rows(const cv::Mat &in, int factor, cv::Mat &out) {
    const int bands = in.channels();
    std::vector<Sum> sums(static_cast<size_t>(out.cols) * bands);
    for (int oy = 0; oy < out.rows; ++oy) {
        std::fill(sums.begin(), sums.end(), Sum{});
        const int last = std::min(in.rows, (oy + 1) * factor);
        for (int y = oy * factor; y < last; ++y) {
            const T *row = in.ptr<T>(y);
            Sum *sum = sums.data();
            for (int begin = 0; begin < in.cols; begin += factor, sum += bands)
                for (int x = begin; x < std::min(in.cols, begin + factor); ++x)
                    for (int band = 0; band < bands; ++band) sum[band] += *row++;
        }
        T *to = out.ptr<T>(oy);
        for (int ox = 0; ox < out.cols; ++ox) {
            const int width = std::min(in.cols, (ox + 1) * factor) - ox * factor;
            const Sum count = static_cast<Sum>(static_cast<int64_t>(width) * (last - oy * factor));
            for (int band = 0; band < bands; ++band, ++to) {
                const Sum sum = sums[static_cast<size_t>(ox) * bands + band];
                if constexpr (std::is_floating_point_v<T>)
                    *to = static_cast<T>(sum / count);
                else
                    *to = static_cast<T>((sum + count / 2) / count);
            }
        }
    }
}

cv::Mat shrink_area(const cv::Mat &pixels, const Tile &tile) {
    const int factor = tile.values.integer("factor");
    const auto shrunk = [&](int length) { return (length + factor - 1) / factor; };
    cv::Mat means(shrunk(pixels.rows), shrunk(pixels.cols), pixels.type());
    if (pixels.depth() == CV_8U)
        mean_rows<uint8_t, uint32_t>(pixels, factor, means);
    else if (pixels.depth() == CV_16U)
        mean_rows<uint16_t, uint64_t>(pixels, factor, means);
    else
        mean_rows<float, double>(pixels, factor, means);
    return means;
}

Operator shrink() {
    return {.name = "shrink",
            .help = "the mean of each cell of factor x factor pixels",
            .parameters = {integer_parameter("factor", 2, 1, 1024,
                                             "cells at the right and the bottom may be smaller")},
            .cost = Cost::kIo,
            .geometry =
                [](const Values &values, cv::Size size) {
                    const int factor = values.integer("factor");
                    return Geometry{
                        {(size.width + factor - 1) / factor, (size.height + factor - 1) / factor},
                        factor,
                        {}};
                },
            .apply = shrink_area};
}

}  // namespace

std::vector<Operator> geometry_operators() {
    return {crop(), shrink()};
}

}  // namespace hpips
