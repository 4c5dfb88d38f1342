// SPDX-License-Identifier: BSD-3-Clause
// From the store of finished tiles to the file that was asked for. The same bytes however the tiles
// were cut and in whatever order they came.
#pragma once

#include <string>

#include "examples/hpips/image.h"
#include "examples/hpips/store.h"

namespace hpips {

struct OutputSpec {
    std::string extension;  // "tif", "png", "jpg", "webp"
    cv::Size size;
    Format format;
    Colour colour = Colour::kGrey;
    bool is_premultiplied = false;
    uint16_t compression = 8;  // TIFF's number; deflate
    int quality = 90;          // jpg and webp
    Metadata metadata;
};

// The extensions that are written, in words.
extern const char kOutputFormats[];
// "jpeg" -> "jpg"; "": not one that is written.
std::string known_extension(std::string extension);
// What becomes of an image by a plan; without `extension` it stays what it was, or becomes TIFF.
// Failure: the format cannot hold it.
OutputSpec output_of(const Plan &plan, const ImageInfo &info, std::string extension);

// Writes beside `path` and renames. On Failure nothing is left of it.
void write_output(const TileStore &store, const OutputSpec &spec, const std::string &path);

}  // namespace hpips
