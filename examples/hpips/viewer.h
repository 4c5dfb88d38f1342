// SPDX-License-Identifier: BSD-3-Clause
// A page that shows a deep-zoom image in any browser, from a server or from a folder.
#pragma once

#include <string>

#include "examples/hpips/store.h"

namespace hpips {

struct DeepZoom {
    std::string name;  // of NAME_files, beside the page
    cv::Size size;
    int tile_side = 0;
    int overlap = 0;
};

// StoreFailure: cannot be written.
void write_viewer(const DeepZoom &zoom, const std::string &path);

}  // namespace hpips
