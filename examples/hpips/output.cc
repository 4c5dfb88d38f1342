// SPDX-License-Identifier: BSD-3-Clause
#include "examples/hpips/output.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "examples/hpips/tiff.h"
#include "examples/hpips/vips_image.h"

namespace hpips {

const char kOutputFormats[] = "tif, png, jpg, webp";

namespace {

constexpr int kBlockSide = 256;
constexpr int64_t kClassicBytesMax = 3'500'000'000;  // beyond: BigTIFF

// A file that goes away unless it is kept.
class Temporary {
public:
    explicit Temporary(std::string path) : path_(std::move(path)) {}
    ~Temporary() {
        if (!path_.empty()) unlink(path_.c_str());
    }
    Temporary(const Temporary &) = delete;
    Temporary &operator=(const Temporary &) = delete;
    const std::string &path() const { return path_; }

    // What is on the disk when the new name is there is the whole file.
    void rename_to(const std::string &target) {
        const int fd = open(path_.c_str(), O_RDONLY | O_CLOEXEC);
        const bool ok = fd >= 0 && fsync(fd) == 0;
        const int error = errno;
        if (fd >= 0) close(fd);
        if (!ok) throw StoreFailure(path_ + ": " + std::strerror(error));
        if (rename(path_.c_str(), target.c_str()) != 0)
            throw StoreFailure(target + ": " + std::strerror(errno));
        path_.clear();
    }

private:
    std::string path_;
};

void set_format(TIFF *tiff, const OutputSpec &spec) {
    const Format &format = spec.format;
    const int bits[] = {8, 16, 32};
    TIFFSetField(tiff, TIFFTAG_IMAGEWIDTH, static_cast<uint32_t>(spec.size.width));
    TIFFSetField(tiff, TIFFTAG_IMAGELENGTH, static_cast<uint32_t>(spec.size.height));
    TIFFSetField(tiff, TIFFTAG_BITSPERSAMPLE, bits[static_cast<int>(format.depth)]);
    TIFFSetField(tiff, TIFFTAG_SAMPLEFORMAT,
                 format.depth == Depth::kF32 ? SAMPLEFORMAT_IEEEFP : SAMPLEFORMAT_UINT);
    TIFFSetField(tiff, TIFFTAG_SAMPLESPERPIXEL, format.bands);
    TIFFSetField(tiff, TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG);
    TIFFSetField(tiff, TIFFTAG_ORIENTATION, ORIENTATION_TOPLEFT);
    TIFFSetField(tiff, TIFFTAG_TILEWIDTH, kBlockSide);
    TIFFSetField(tiff, TIFFTAG_TILELENGTH, kBlockSide);
    const int photometric[] = {PHOTOMETRIC_MINISBLACK, PHOTOMETRIC_RGB, PHOTOMETRIC_SEPARATED,
                               PHOTOMETRIC_MINISBLACK};
    TIFFSetField(tiff, TIFFTAG_PHOTOMETRIC, photometric[static_cast<int>(spec.colour)]);
    const int colours[] = {1, 3, 4, 1};
    std::vector<uint16_t> extra(
        static_cast<size_t>(std::max(0, format.bands - colours[static_cast<int>(spec.colour)])),
        EXTRASAMPLE_UNSPECIFIED);
    if (format.has_alpha)
        extra.back() = spec.is_premultiplied ? EXTRASAMPLE_ASSOCALPHA : EXTRASAMPLE_UNASSALPHA;
    if (!extra.empty())
        TIFFSetField(tiff, TIFFTAG_EXTRASAMPLES, static_cast<int>(extra.size()), extra.data());
    TIFFSetField(tiff, TIFFTAG_COMPRESSION, spec.compression);
    if (spec.compression != COMPRESSION_NONE)
        TIFFSetField(tiff, TIFFTAG_PREDICTOR,
                     format.depth == Depth::kF32 ? PREDICTOR_FLOATINGPOINT : PREDICTOR_HORIZONTAL);
}

void set_metadata(TIFF *tiff, const Metadata &metadata) {
    const auto set_blob = [tiff](uint32_t tag, const Bytes &bytes) {
        if (!bytes.empty())
            TIFFSetField(tiff, tag, static_cast<uint32_t>(bytes.size()), bytes.data());
    };
    set_blob(TIFFTAG_ICCPROFILE, metadata.icc);
    set_blob(TIFFTAG_XMLPACKET, metadata.xmp);
    write_tags(tiff, metadata.tags);
    if (metadata.x_per_mm <= 0 || metadata.y_per_mm <= 0) return;
    TIFFSetField(tiff, TIFFTAG_RESOLUTIONUNIT, RESUNIT_INCH);
    TIFFSetField(tiff, TIFFTAG_XRESOLUTION, metadata.x_per_mm * 25.4);
    TIFFSetField(tiff, TIFFTAG_YRESOLUTION, metadata.y_per_mm * 25.4);
}

// One row of blocks in memory at a time.
void write_blocks(const TileStore &store, const OutputSpec &spec, Tiff &tiff) {
    cv::Mat block(kBlockSide, kBlockSide, spec.format.cv_type());
    uint32_t index = 0;
    for (int y = 0; y < spec.size.height; y += kBlockSide) {
        const int rows = std::min(kBlockSide, spec.size.height - y);
        const cv::Mat band = store.read({0, y, spec.size.width, rows});
        for (int x = 0; x < spec.size.width; x += kBlockSide, ++index) {
            const int cols = std::min(kBlockSide, spec.size.width - x);
            if (rows < kBlockSide || cols < kBlockSide)
                std::memset(block.data, 0, block.total() * block.elemSize());
            band(cv::Rect(x, 0, cols, rows)).copyTo(block(cv::Rect(0, 0, cols, rows)));
            const auto bytes = static_cast<tmsize_t>(block.total() * block.elemSize());
            errno = 0;
            if (TIFFWriteEncodedTile(tiff.get(), index, block.data, bytes) != bytes)
                throw StoreFailure("cannot be written: " +
                                   (errno != 0 ? std::string(std::strerror(errno)) : tiff.error()));
        }
    }
}

void write_tiff(const TileStore &store, const OutputSpec &spec, const std::string &path) {
    const int64_t bytes = static_cast<int64_t>(spec.size.width) * spec.size.height *
                          static_cast<int64_t>(spec.format.pixel_bytes());
    Tiff tiff(path, bytes > kClassicBytesMax ? "w8" : "w");
    if (!tiff.is_open())
        throw StoreFailure("cannot be written: " + std::string(std::strerror(errno)));
    set_format(tiff.get(), spec);
    set_metadata(tiff.get(), spec.metadata);
    write_blocks(store, spec, tiff);
    if (!tiff.close()) throw StoreFailure("cannot be written: " + tiff.error());
}

Colour colour_after(const Plan &plan, const ImageInfo &info) {
    const int bands = plan.output_format().colour_bands();
    if (bands == info.format.colour_bands()) return info.colour;
    return bands == 1 ? Colour::kGrey : bands == 3 ? Colour::kRgb : Colour::kOther;
}

void check_holds(const std::string &extension, const Format &format, Colour colour, cv::Size size) {
    if (extension == "tif") return;
    const auto refuse = [&](const std::string &what) {
        throw Failure(extension + " cannot hold " + what + ": add --format tif");
    };
    if (format.depth == Depth::kF32) refuse("floats");
    if (format.depth == Depth::kU16 && extension != "png") refuse("16 bit");
    if (colour != Colour::kGrey && colour != Colour::kRgb &&
        !(colour == Colour::kCmyk && extension == "jpg"))
        refuse(std::to_string(format.bands) + " bands");
    if (format.has_alpha && extension == "jpg") refuse("alpha");
    const int side = extension == "webp" ? 16383 : extension == "jpg" ? 65535 : kSideMax;
    if (std::max(size.width, size.height) > side)
        refuse("more than " + std::to_string(side) + " pixels in a row");
}

}  // namespace

std::string known_extension(std::string extension) {
    std::transform(extension.begin(), extension.end(), extension.begin(), ::tolower);
    if (extension == "tiff") return "tif";
    if (extension == "jpeg") return "jpg";
    for (const char *known : {"tif", "png", "jpg", "webp"})
        if (extension == known) return extension;
    return "";
}

OutputSpec output_of(const Plan &plan, const ImageInfo &info, std::string extension) {
    OutputSpec spec;
    if (extension.empty()) extension = known_extension(info.file_format);
    spec.extension = extension.empty() ? "tif" : extension;
    spec.size = plan.output_size();
    spec.format = plan.output_format();
    spec.colour = colour_after(plan, info);
    spec.is_premultiplied = info.is_premultiplied;
    const uint16_t kept[] = {COMPRESSION_NONE, COMPRESSION_LZW, COMPRESSION_ADOBE_DEFLATE,
                             COMPRESSION_ZSTD};
    const bool keeps = info.file_format == "tif" && std::find(std::begin(kept), std::end(kept),
                                                              info.compression) != std::end(kept);
    spec.compression = keeps ? info.compression : COMPRESSION_ADOBE_DEFLATE;
    spec.metadata = info.metadata;
    move_geo_tags(spec.metadata.tags, plan.origin(), plan.scale());
    // A profile of three colours describes no grey.
    if (spec.colour != info.colour) spec.metadata.icc.clear();
    check_holds(spec.extension, spec.format, spec.colour, spec.size);
    return spec;
}

void write_output(const TileStore &store, const OutputSpec &spec, const std::string &path) {
    const bool is_tiff = spec.extension == "tif";
    Temporary tiff(path + ".hpips-new.tif");
    OutputSpec stored = spec;
    if (!is_tiff) stored.compression = COMPRESSION_NONE;
    write_tiff(store, stored, tiff.path());
    if (is_tiff) {
        tiff.rename_to(path);
        return;
    }
    Temporary converted(path + ".hpips-new." + spec.extension);
    convert_with_vips(tiff.path(), spec.metadata, spec.quality, converted.path());
    converted.rename_to(path);
}

}  // namespace hpips
