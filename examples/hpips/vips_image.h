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

}  // namespace hpips
