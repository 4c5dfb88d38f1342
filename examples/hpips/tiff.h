// SPDX-License-Identifier: BSD-3-Clause
// libtiff, tamed: errors are kept as text for each file, allocations are bounded, and geo tags are
// known to it.
#pragma once

#include <tiffio.h>

#include <memory>
#include <string>
#include <vector>

#include "examples/hpips/image.h"

namespace hpips {

class Tiff {
public:
    // `mode` as TIFFOpen takes it. A file that cannot be opened: is_open() is false.
    Tiff(const std::string &path, const char *mode);
    // In a file whose blocks lie where libtiff would put them, from `blocks_begin` on: libtiff
    // writes what is around them, and blocks that are handed to it are not touched.
    struct BlocksInPlace {
        int fd;
        int64_t begin;
        int64_t end;
        int64_t position = 0;
        int64_t size = 0;  // as libtiff sees the file
    };
    Tiff(BlocksInPlace &file, const std::string &path, const char *mode);
    // In memory, to be written.
    struct Memory {
        Bytes bytes;
        size_t position = 0;
    };
    explicit Tiff(Memory &memory);
    ~Tiff();
    Tiff(const Tiff &) = delete;
    Tiff &operator=(const Tiff &) = delete;

    bool is_open() const { return tiff_ != nullptr; }
    TIFF *get() const { return tiff_; }
    // What libtiff said last, in one line.
    const std::string &error() const { return error_; }
    // Before the file is complete there may be an error that is only seen now: false.
    bool close();

private:
    TIFFOpenOptions *options();
    static int keep_error(TIFF *tiff, void *self, const char *module, const char *format,
                          va_list arguments);
    std::string error_;
    TIFF *tiff_ = nullptr;
};

// Tags that describe an image and do not depend on how its pixels are stored.
std::vector<TiffTag> read_tags(TIFF *tiff);
void write_tags(TIFF *tiff, const std::vector<TiffTag> &tags);

}  // namespace hpips
