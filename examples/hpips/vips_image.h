// SPDX-License-Identifier: BSD-3-Clause
// libvips: images of other formats than TIFF, and the writing of them. On rank 0 only.
#pragma once

#include <string>

#include "examples/hpips/image.h"

namespace hpips {

// Once, before anything else of this; one thread, no cache, no decoder that libvips itself would
// not trust with strangers' files.
void start_vips();
// "8.14.1"
std::string vips_version();

// The image in the TIFF `tiff_path` as `path`, whose extension says the format, with `metadata`.
// Failure: what libvips says.
void convert_with_vips(const std::string &tiff_path, const Metadata &metadata, int quality,
                       const std::string &path);

// The same as deep-zoom tiles of JPEG: `base`.dzi, and `base`_files with a folder for each level.
void deep_zoom_with_vips(const std::string &tiff_path, int tile_side, int overlap, int quality,
                         const std::string &base);

}  // namespace hpips
