// SPDX-License-Identifier: BSD-3-Clause
// The filter itself, without MPI: a band of rows in, the drawing of its inner rows out.
#pragma once

#include <opencv2/core.hpp>

namespace edges {

// One pass of non-local means looks this far: half its search window plus half its template.
inline constexpr int kSearchSize = 21;
inline constexpr int kTemplateSize = 7;
inline constexpr int kPassReach = kSearchSize / 2 + kTemplateSize / 2;
// The gradient looks one row further, the thinning of its ridges another one.
inline constexpr int kDrawReach = 2;

// Rows above and below that decide what a row of the drawing looks like.
constexpr int halo_row_count(int passes) {
    return passes * kPassReach + kDrawReach;
}

// Any picture that OpenCV can decode -> 8 bit, grey or BGR; what was transparent becomes white.
// More than 8 bits: the darkest value becomes 0, the brightest 255 (with alpha: 65535 becomes 255).
// Throws cv::Exception for a number of channels that is neither grey nor colour.
cv::Mat to_8_bit(const cv::Mat &decoded);

// `band` is 8 bit with 1 or 3 channels. Integer arithmetic only, and nothing depends on where the
// band was cut, so that the rows further than halo_row_count() from a cut are those of the whole
// picture, whatever processor they are computed on. The result is CV_8UC1, as many rows as `band`.
cv::Mat draw_edges(const cv::Mat &band, int passes, int strength);

}  // namespace edges
