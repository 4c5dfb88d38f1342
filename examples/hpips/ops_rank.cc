// SPDX-License-Identifier: BSD-3-Clause
// Neighbours put in order: median, and the smallest and largest. At the edge of the image its last
// pixel is repeated.
#include <algorithm>
#include <opencv2/imgproc.hpp>

#include "examples/hpips/exact.h"
#include "examples/hpips/operators.h"

namespace hpips {
namespace {

constexpr int kMedianRadiusMax = 100;  // 8 bit: OpenCV's histograms hold no more
constexpr int kSortedRadiusMax = 15;   // where each neighbourhood is sorted by itself

int clamped(int index, int count) {
    return std::clamp(index, 0, count - 1);
}

// Samples as integers in their order.
cv::Mat to_keys(const cv::Mat &band) {
    cv::Mat keys(band.rows, band.cols, CV_32S);
    for (int y = 0; y < band.rows; ++y)
        for (int x = 0; x < band.cols; ++x)
            keys.ptr<int32_t>(y)[x] = band.depth() == CV_8U    ? band.ptr<uint8_t>(y)[x]
                                      : band.depth() == CV_16U ? band.ptr<uint16_t>(y)[x]
                                                               : order_key(band.ptr<float>(y)[x]);
    return keys;
}

cv::Mat from_keys(const cv::Mat &keys, int depth) {
    cv::Mat band(keys.rows, keys.cols, CV_MAKETYPE(depth, 1));
    for (int y = 0; y < keys.rows; ++y) {
        for (int x = 0; x < keys.cols; ++x) {
            const int32_t key = keys.ptr<int32_t>(y)[x];
            if (depth == CV_8U)
                band.ptr<uint8_t>(y)[x] = static_cast<uint8_t>(key);
            else if (depth == CV_16U)
                band.ptr<uint16_t>(y)[x] = static_cast<uint16_t>(key);
            else
                band.ptr<float>(y)[x] = from_order_key(key);
        }
    }
    return band;
}

cv::Mat per_band(const cv::Mat &pixels, const std::function<cv::Mat(const cv::Mat &)> &change) {
    std::vector<cv::Mat> bands;
    cv::split(pixels, bands);
    for (cv::Mat &band : bands) band = change(band);
    cv::Mat merged;
    cv::merge(bands, merged);
    return merged;
}

cv::Mat sorted_median(const cv::Mat &band, int radius) {
    const cv::Mat keys = to_keys(band);
    cv::Mat medians(band.rows, band.cols, CV_32S);
    std::vector<int32_t> window;
    for (int y = 0; y < band.rows; ++y) {
        for (int x = 0; x < band.cols; ++x) {
            window.clear();
            for (int dy = -radius; dy <= radius; ++dy) {
                const int32_t *row = keys.ptr<int32_t>(clamped(y + dy, band.rows));
                for (int dx = -radius; dx <= radius; ++dx)
                    window.push_back(row[clamped(x + dx, band.cols)]);
            }
            const auto middle = window.begin() + static_cast<ptrdiff_t>(window.size() / 2);
            std::nth_element(window.begin(), middle, window.end());
            medians.ptr<int32_t>(y)[x] = *middle;
        }
    }
    return from_keys(medians, band.depth());
}

cv::Mat median_of(const cv::Mat &colour, int radius) {
    const int bands = colour.channels();
    if (colour.depth() == CV_8U && (bands == 1 || bands == 3 || bands == 4)) {
        cv::Mat medians;
        cv::medianBlur(colour, medians, 2 * radius + 1);
        return medians;
    }
    return per_band(colour, [=](const cv::Mat &band) {
        if (band.depth() != CV_8U) return sorted_median(band, radius);
        cv::Mat medians;
        cv::medianBlur(band, medians, 2 * radius + 1);
        return medians;
    });
}

Operator median() {
    return {.name = "median",
            .help = "the median of the neighbourhood: takes specks away, keeps edges",
            .parameters = {integer_parameter("radius", 1, 1, kMedianRadiusMax,
                                             "in pixels; 16 bit and float: at most 15")},
            .cost = Cost::kHeavy,
            .radius = [](const Values &values, const Format &) { return values.integer("radius"); },
            .format =
                [](const Values &values, const Format &format) {
                    if (format.depth != Depth::kU8 && values.integer("radius") > kSortedRadiusMax)
                        throw Failure("median: more than 8 bit take a radius of at most " +
                                      std::to_string(kSortedRadiusMax) +
                                      "; put `depth to=8` before it");
                    return format;
                },
            .apply =
                [](const cv::Mat &pixels, const Tile &tile) {
                    return keep_alpha(pixels, tile.format, [&](const cv::Mat &colour) {
                        return median_of(colour, tile.values.integer("radius"));
                    });
                }};
}

// How far a neighbourhood reaches to either side in the row dy away; -1: not at all.
int reach_in_row(int radius, int dy, bool is_disk) {
    if (!is_disk) return radius;
    int reach = radius;
    while (reach >= 0 && reach * reach + dy * dy > radius * radius + radius) --reach;
    return reach;
}

// The smallest, or largest, of `reach` samples to either side.
void extreme_row(const int32_t *from, int width, int reach, bool largest, int32_t *to) {
    for (int x = 0; x < width; ++x) {
        const int32_t *first = from + std::max(0, x - reach);
        const int32_t *last = from + std::min(width - 1, x + reach);
        to[x] = largest ? *std::max_element(first, last + 1) : *std::min_element(first, last + 1);
    }
}

cv::Mat extreme(const cv::Mat &keys, int radius, bool is_disk, bool largest) {
    cv::Mat result(keys.rows, keys.cols, CV_32S);
    // Of each reach the rows once: in a square all are the same.
    std::map<int, cv::Mat> across;
    for (int dy = -radius; dy <= radius; ++dy) {
        const int reach = reach_in_row(radius, dy, is_disk);
        if (reach < 0 || across.contains(reach)) continue;
        cv::Mat rows(keys.rows, keys.cols, CV_32S);
        for (int y = 0; y < keys.rows; ++y)
            extreme_row(keys.ptr<int32_t>(y), keys.cols, reach, largest, rows.ptr<int32_t>(y));
        across[reach] = rows;
    }
    for (int y = 0; y < keys.rows; ++y) {
        int32_t *to = result.ptr<int32_t>(y);
        std::copy_n(across.at(reach_in_row(radius, 0, is_disk)).ptr<int32_t>(y), keys.cols, to);
        for (int dy = -radius; dy <= radius; ++dy) {
            const int reach = reach_in_row(radius, dy, is_disk);
            if (reach < 0 || y + dy < 0 || y + dy >= keys.rows) continue;
            const int32_t *from = across.at(reach).ptr<int32_t>(y + dy);
            for (int x = 0; x < keys.cols; ++x)
                to[x] = largest ? std::max(to[x], from[x]) : std::min(to[x], from[x]);
        }
    }
    return result;
}

// Of integers OpenCV does it: their smallest is the same in whatever order they are looked at.
cv::Mat extreme_of_integers(const cv::Mat &colour, int radius, bool is_disk, bool largest) {
    const int side = 2 * radius + 1;
    cv::Mat shape(side, side, CV_8U, cv::Scalar(1));
    for (int dy = -radius; dy <= radius; ++dy)
        for (int dx = -radius; dx <= radius; ++dx)
            shape.at<uint8_t>(dy + radius, dx + radius) =
                std::abs(dx) <= reach_in_row(radius, dy, is_disk) ? 1 : 0;
    cv::Mat result;
    if (largest)
        cv::dilate(colour, result, shape);
    else
        cv::erode(colour, result, shape);
    return result;
}

cv::Mat morph(const cv::Mat &colour, int radius, bool is_disk, const std::vector<bool> &passes) {
    if (colour.depth() != CV_32F) {
        cv::Mat result = colour;
        for (const bool largest : passes)
            result = extreme_of_integers(result, radius, is_disk, largest);
        return result;
    }
    return per_band(colour, [&](const cv::Mat &band) {
        cv::Mat keys = to_keys(band);
        for (const bool largest : passes) keys = extreme(keys, radius, is_disk, largest);
        return from_keys(keys, band.depth());
    });
}

// `passes`: true where the largest is taken.
Operator morphology(std::string name, std::string help, std::vector<bool> passes) {
    const int count = static_cast<int>(passes.size());
    return {.name = std::move(name),
            .help = std::move(help),
            .parameters = {integer_parameter("radius", 1, 1, 50, "of the neighbourhood, in pixels"),
                           word_parameter("shape", {"disk", "square"}, "of the neighbourhood")},
            .radius = [=](const Values &values,
                          const Format &) { return count * values.integer("radius"); },
            .apply =
                [=](const cv::Mat &pixels, const Tile &tile) {
                    const int radius = tile.values.integer("radius");
                    const bool is_disk = tile.values.word("shape") == "disk";
                    return keep_alpha(pixels, tile.format, [&](const cv::Mat &colour) {
                        return morph(colour, radius, is_disk, passes);
                    });
                }};
}

}  // namespace

std::vector<Operator> rank_operators() {
    return {median(), morphology("erode", "the darkest of the neighbourhood", {false}),
            morphology("dilate", "the brightest of the neighbourhood", {true}),
            morphology("open", "erode, then dilate: takes bright specks away", {false, true}),
            morphology("close", "dilate, then erode: fills dark specks", {true, false})};
}

}  // namespace hpips
