// SPDX-License-Identifier: BSD-3-Clause
// From the store of finished tiles to the file that was asked for. The same bytes however the tiles
// were cut and in whatever order they came.
#pragma once

#include <exception>
#include <memory>
#include <string>
#include <thread>

#include "examples/hpips/image.h"
#include "examples/hpips/row_gate.h"
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

// Writes beside `path`, while the tiles still come, and renames. On Failure, and without finish(),
// nothing is left of it.
class OutputWriter : private TileStore::Listener {
public:
    // All of these outlive it. `threads` compress, where the format lets several.
    OutputWriter(TileStore &store, const OutputSpec &spec, const std::string &path, int threads);
    ~OutputWriter() override;
    OutputWriter(const OutputWriter &) = delete;
    OutputWriter &operator=(const OutputWriter &) = delete;

    // When all tiles are there: waits until the file is in its place. Throws what the writing
    // threw.
    void finish();

private:
    void start();
    void stop();
    void rows_done(int rows) override;
    void rows_withdrawn() override;

    TileStore &store_;
    const OutputSpec &spec_;
    const std::string path_;
    const int threads_;
    std::unique_ptr<RowGate> gate_;
    std::exception_ptr failure_;  // of the thread; after it was joined
    std::thread thread_;
};

}  // namespace hpips
