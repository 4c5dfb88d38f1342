// SPDX-License-Identifier: BSD-3-Clause
// libvips: images of other formats than TIFF, and the writing of them. On rank 0 only.
#pragma once

#include <functional>
#include <string>

#include "examples/hpips/image.h"

namespace hpips {

// Once, before anything else of this; one thread, no cache, no decoder that libvips itself would
// not trust with strangers' files.
void start_vips();
// "8.14.1"
std::string vips_version();

struct PixelSource {
    cv::Size size;
    Format format;
    Colour colour = Colour::kGrey;
    // Any region, from whichever thread; what it throws is lost on the way, and ends the writing.
    std::function<cv::Mat(cv::Rect)> read;
};

// An image as `path`, whose extension says the format, with `metadata`. Its pixels are asked for in
// strips, from the top down. Failure: what libvips says.
void save_with_vips(const PixelSource &source, const Metadata &metadata, int quality,
                    const std::string &path);

// The image in the TIFF `tiff_path` as deep-zoom tiles of JPEG: `base`.dzi, and `base`_files with a
// folder for each level.
void deep_zoom_with_vips(const std::string &tiff_path, int tile_side, int overlap, int quality,
                         const std::string &base);

}  // namespace hpips
