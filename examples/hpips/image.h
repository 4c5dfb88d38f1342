// SPDX-License-Identifier: BSD-3-Clause
// Images in files: any region of one, with bounded memory, and what goes with its pixels. TIFF is
// read by libtiff where its layout allows, everything else by libvips.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <opencv2/core.hpp>
#include <string>
#include <vector>

#include "examples/hpips/hpips.h"

namespace hpips {

using Bytes = std::vector<uint8_t>;

// A tag of a TIFF that is carried over as it is.
struct TiffTag {
    uint32_t tag;
    std::string text;              // of ASCII tags
    std::vector<uint16_t> shorts;  // of SHORT tags
    std::vector<double> doubles;   // of DOUBLE tags
    bool operator==(const TiffTag &) const = default;
};

// What an image has besides its pixels.
struct Metadata {
    Bytes icc;
    Bytes xmp;
    Bytes iptc;
    Bytes exif;
    // EXIF once more, field by field ("exif-ifd0-Make"): libvips drops those that are not here.
    std::map<std::string, std::string> exif_fields;
    std::vector<TiffTag> tags;  // geo, description, …
    double x_per_mm = 0;        // resolution; 0: not said
    double y_per_mm = 0;
};

enum class Colour { kGrey, kRgb, kCmyk, kOther };

struct ImageInfo {
    std::string file_format;  // "tif", "png", "jpg", or what libvips calls it
    cv::Size size;
    Format format;
    Colour colour = Colour::kGrey;
    bool is_premultiplied = false;  // colour bands by alpha
    std::string layout;             // "tiles of 256 x 256, deflate"
    uint16_t compression = 1;       // TIFF's number
    int64_t block_row_bytes = 0;    // decoded, of the blocks that one row of pixels touches
    Metadata metadata;
};

// One image. For one thread.
class Image {
public:
    virtual ~Image() = default;
    const ImageInfo &info() const { return info_; }
    // `region` lies in the image. Failure: the file is damaged there. How many bytes of decoded
    // blocks are kept is the image's own business: at least what a row of tiles needs.
    virtual cv::Mat read(cv::Rect region) = 0;
    // Tiles of so many pixels in height will be read, row by row.
    virtual void expect_rows(int /*height*/) {}

protected:
    ImageInfo info_;
};

// `page`: of a TIFF, one of pages_of(). Failure, without the file's name: what it is not, or which
// limit it breaks.
std::unique_ptr<Image> open_image(const std::string &path, int page = 0);
// The directories of a TIFF that hold images of their own, not smaller copies or masks of others;
// {0} of everything else. Failure: more than kPagesMax.
std::vector<int> pages_of(const std::string &path);

// nullptr: not a TIFF, or one that libvips is to read.
std::unique_ptr<Image> open_tiff(const std::string &path, int page);
std::unique_ptr<Image> open_with_vips(const std::string &path, int page);

void check_limits(cv::Size size, const Format &format);

// Geo tags of the part that begins at `origin`, at 1 / scale of the size.
void move_geo_tags(std::vector<TiffTag> &tags, cv::Point origin, int scale);

}  // namespace hpips
