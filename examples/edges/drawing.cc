// SPDX-License-Identifier: BSD-3-Clause
#include "examples/edges/drawing.h"

#include <algorithm>
#include <cstdlib>
#include <opencv2/imgproc.hpp>
#include <opencv2/photo.hpp>

namespace edges {
namespace {

// A Scharr gradient of an 8 bit picture reaches 16 * 255 each way.
constexpr int kFaintest = 160;
constexpr int kInkShift = 3;
constexpr int kShadeShift = 6;
constexpr int kWhite = 255;

cv::Mat over_white(const cv::Mat &bgra) {
    cv::Mat bgr(bgra.size(), CV_8UC3);
    for (int y = 0; y < bgra.rows; ++y) {
        const auto *from = bgra.ptr<cv::Vec4b>(y);
        auto *to = bgr.ptr<cv::Vec3b>(y);
        for (int x = 0; x < bgra.cols; ++x) {
            const int alpha = from[x][3];
            for (int c = 0; c < 3; ++c) {
                const int mixed = from[x][c] * alpha + kWhite * (255 - alpha);
                to[x][c] = static_cast<uchar>((mixed + 127) / 255);
            }
        }
    }
    return bgr;
}

// The gradient of whichever channel changes most, pixel by pixel: an edge between two colours of
// the same brightness is an edge.
struct Gradient {
    cv::Mat dx;
    cv::Mat dy;
    cv::Mat strength;  // |dx| + |dy|, CV_32S
};

Gradient strongest_gradient(const cv::Mat &clean) {
    cv::Mat all_dx;
    cv::Mat all_dy;
    cv::Scharr(clean, all_dx, CV_16S, 1, 0);
    cv::Scharr(clean, all_dy, CV_16S, 0, 1);
    const int channels = clean.channels();
    Gradient result{cv::Mat(clean.size(), CV_16S), cv::Mat(clean.size(), CV_16S),
                    cv::Mat(clean.size(), CV_32S)};
    for (int y = 0; y < clean.rows; ++y) {
        const auto *dx = all_dx.ptr<short>(y);
        const auto *dy = all_dy.ptr<short>(y);
        for (int x = 0; x < clean.cols; ++x) {
            int best = x * channels;
            for (int i = best + 1; i < (x + 1) * channels; ++i)
                if (std::abs(dx[i]) + std::abs(dy[i]) > std::abs(dx[best]) + std::abs(dy[best]))
                    best = i;
            result.dx.at<short>(y, x) = dx[best];
            result.dy.at<short>(y, x) = dy[best];
            result.strength.at<int>(y, x) = std::abs(dx[best]) + std::abs(dy[best]);
        }
    }
    return result;
}

// Whether the pixel is the ridge of its edge: stronger than its two neighbours across the edge.
bool is_ridge(const cv::Mat &strength, int x, int y, int dx, int dy) {
    const int across = std::abs(dx);
    const int along = std::abs(dy);
    // Steeper than 22.5 degrees (tan = 0.4142): not a purely horizontal or vertical step.
    const bool moves_x = across * 10000 > along * 4142;
    const bool moves_y = along * 10000 > across * 4142;
    const int step_x = moves_x ? 1 : 0;
    const int step_y = moves_y ? ((moves_x && (dx > 0) != (dy > 0)) ? -1 : 1) : 0;
    auto at = [&](int px, int py) {
        if (px < 0 || py < 0 || px >= strength.cols || py >= strength.rows) return 0;
        return strength.at<int>(py, px);
    };
    const int here = strength.at<int>(y, x);
    return here >= at(x + step_x, y + step_y) && here > at(x - step_x, y - step_y);
}

}  // namespace

cv::Mat to_8_bit(const cv::Mat &decoded) {
    const int channels = decoded.channels();
    if (channels == 2 || channels > 4)
        CV_Error(cv::Error::StsUnsupportedFormat, "not a grey or a colour picture");
    cv::Mat picture = decoded;
    if (picture.depth() != CV_8U) {
        double darkest = 0;
        double brightest = 65535;
        // With alpha in it the range says nothing about the colours: the format's range is taken.
        if (channels != 4 || picture.depth() != CV_16U)
            cv::minMaxLoc(picture.reshape(1), &darkest, &brightest);
        const double scale = brightest > darkest ? 255.0 / (brightest - darkest) : 0;
        decoded.convertTo(picture, CV_8U, scale, -darkest * scale);
    }
    return channels == 4 ? over_white(picture) : picture;
}

cv::Mat draw_edges(const cv::Mat &band, int passes, int strength) {
    cv::Mat clean = band;
    for (int pass = 0; pass < passes; ++pass) {
        cv::Mat next;
        cv::fastNlMeansDenoising(clean, next, static_cast<float>(strength), kTemplateSize,
                                 kSearchSize);
        clean = next;
    }
    const Gradient gradient = strongest_gradient(clean);
    cv::Mat drawing(band.size(), CV_8UC1);
    for (int y = 0; y < band.rows; ++y) {
        for (int x = 0; x < band.cols; ++x) {
            const int edge = gradient.strength.at<int>(y, x);
            int ink = edge >> kShadeShift;
            if (edge >= kFaintest && is_ridge(gradient.strength, x, y, gradient.dx.at<short>(y, x),
                                              gradient.dy.at<short>(y, x)))
                ink += edge >> kInkShift;
            drawing.at<uchar>(y, x) = static_cast<uchar>(kWhite - std::min(ink, kWhite));
        }
    }
    return drawing;
}

}  // namespace edges
