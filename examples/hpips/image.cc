// SPDX-License-Identifier: BSD-3-Clause
#include "examples/hpips/image.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstring>

namespace hpips {
namespace {

enum GeoTag : uint32_t {
    kModelPixelScale = 33550,
    kModelTiepoint = 33922,
    kModelTransformation = 34264,
};

// Of each tie point: column, row, level of the raster; x, y, z of the model.
void move_tiepoints(std::vector<double> &values, cv::Point origin, int scale) {
    for (size_t i = 0; i + 5 < values.size(); i += 6) {
        values[i] = (values[i] - origin.x) / scale;
        values[i + 1] = (values[i + 1] - origin.y) / scale;
    }
}

// Rows of a 4 x 4 matrix from raster to model.
void move_transformation(std::vector<double> &matrix, cv::Point origin, int scale) {
    if (matrix.size() != 16) return;
    for (size_t row = 0; row < 12; row += 4) {
        matrix[row + 3] += matrix[row] * origin.x + matrix[row + 1] * origin.y;
        matrix[row] *= scale;
        matrix[row + 1] *= scale;
    }
}

}  // namespace

void check_limits(cv::Size size, const Format &format) {
    if (size.width < 1 || size.height < 1) throw Failure("an image without pixels");
    const int64_t pixels = static_cast<int64_t>(size.width) * size.height;
    if (size.width > kSideMax || size.height > kSideMax || pixels > kPixelsMax)
        throw Failure("says that it has " + std::to_string(size.width) + " x " +
                      std::to_string(size.height) + " pixels; at most " +
                      std::to_string(kPixelsMax / 1'000'000'000) + " gigapixels are read");
    if (format.bands < 1 || format.bands > kBandsMax)
        throw Failure("has " + std::to_string(format.bands) + " bands; at most " +
                      std::to_string(kBandsMax) + " are read");
}

void move_geo_tags(std::vector<TiffTag> &tags, cv::Point origin, int scale) {
    for (TiffTag &tag : tags) {
        if (tag.tag == kModelTiepoint) move_tiepoints(tag.doubles, origin, scale);
        if (tag.tag == kModelTransformation) move_transformation(tag.doubles, origin, scale);
        if (tag.tag != kModelPixelScale) continue;
        for (size_t i = 0; i < 2 && i < tag.doubles.size(); ++i) tag.doubles[i] *= scale;
    }
}

std::unique_ptr<Image> open_image(const std::string &path, int page) {
    struct stat status {};
    if (stat(path.c_str(), &status) != 0) throw Failure(std::strerror(errno));
    // A pipe or a device may never end, or never begin.
    if (!S_ISREG(status.st_mode)) throw Failure("is not a file");
    auto image = open_tiff(path, page);
    return image ? std::move(image) : open_with_vips(path, page);
}

}  // namespace hpips
