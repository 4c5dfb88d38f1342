// SPDX-License-Identifier: BSD-3-Clause
#include "examples/hpips/vips_image.h"

#include <vips/vips.h>

#include <algorithm>
#include <cstring>
#include <mutex>
#include <string_view>

namespace hpips {
namespace {

struct Unref {
    void operator()(void *object) const { g_object_unref(object); }
};
using Handle = std::unique_ptr<VipsImage, Unref>;

// What libvips said, first line only.
std::string vips_error() {
    std::string text = vips_error_buffer();
    vips_error_clear();
    text = text.substr(0, text.find('\n'));
    if (text.ends_with("operation is blocked"))
        return "is of a format whose reader is not made for strangers' files";
    return text.empty() ? "cannot be read" : text;
}

struct BlobName {
    const char *name;
    Bytes Metadata::*bytes;
};
constexpr BlobName kBlobs[] = {{VIPS_META_ICC_NAME, &Metadata::icc},
                               {VIPS_META_XMP_NAME, &Metadata::xmp},
                               {VIPS_META_IPTC_NAME, &Metadata::iptc},
                               {VIPS_META_EXIF_NAME, &Metadata::exif}};

void *keep_exif_field(VipsImage *, const char *name, GValue *value, void *fields) {
    // The pixels are turned upright: set_metadata says so.
    const std::string_view word(name);
    if (word.starts_with("exif-") && !word.ends_with("-Orientation") &&
        G_VALUE_TYPE(value) == VIPS_TYPE_REF_STRING)
        (*static_cast<std::map<std::string, std::string> *>(fields))[name] =
            vips_value_get_ref_string(value, nullptr);
    return nullptr;
}

Metadata metadata_of(VipsImage *image) {
    Metadata metadata;
    for (const BlobName &blob : kBlobs) {
        const void *data = nullptr;
        size_t size = 0;
        if (vips_image_get_typeof(image, blob.name) == 0 ||
            vips_image_get_blob(image, blob.name, &data, &size) != 0 ||
            size > static_cast<size_t>(kMetadataBytesMax))
            continue;
        const auto *bytes = static_cast<const uint8_t *>(data);
        metadata.*blob.bytes = {bytes, bytes + size};
    }
    vips_image_map(image, keep_exif_field, &metadata.exif_fields);
    // 1 is what libvips says when the file says nothing.
    if (vips_image_get_xres(image) != 1.0 || vips_image_get_yres(image) != 1.0) {
        metadata.x_per_mm = vips_image_get_xres(image);
        metadata.y_per_mm = vips_image_get_yres(image);
    }
    vips_error_clear();
    return metadata;
}

Colour colour_of(VipsImage *image) {
    switch (vips_image_guess_interpretation(image)) {
        case VIPS_INTERPRETATION_B_W:
        case VIPS_INTERPRETATION_GREY16: return Colour::kGrey;
        case VIPS_INTERPRETATION_sRGB:
        case VIPS_INTERPRETATION_RGB:
        case VIPS_INTERPRETATION_RGB16:
        case VIPS_INTERPRETATION_scRGB: return Colour::kRgb;
        case VIPS_INTERPRETATION_CMYK: return Colour::kCmyk;
        default: return Colour::kOther;
    }
}

std::string short_name(std::string loader) {
    for (const auto &[prefix, name] : {std::pair{"VipsForeignLoadJpeg", "jpg"},
                                       {"VipsForeignLoadPng", "png"},
                                       {"VipsForeignLoadTiff", "tif"},
                                       {"VipsForeignLoadWebp", "webp"}})
        if (loader.starts_with(prefix)) return name;
    constexpr std::string_view kPrefix = "VipsForeignLoad";
    if (loader.starts_with(kPrefix)) loader = loader.substr(kPrefix.size());
    if (loader.ends_with("File")) loader.resize(loader.size() - 4);
    std::transform(loader.begin(), loader.end(), loader.begin(), ::tolower);
    return loader;
}

class VipsFile : public Image {
public:
    VipsFile(const std::string &path, int page) {
        const char *loader = vips_foreign_find_load(path.c_str());
        if (loader == nullptr) {
            vips_error_clear();
            throw Failure("is no image of a format that is read here: make it a PNG or TIFF");
        }
        info_.file_format = short_name(loader);
        const bool in_parts =
            (vips_foreign_flags(loader, path.c_str()) & VIPS_FOREIGN_PARTIAL) != 0;
        // Only loaders of files with pages know the option.
        const std::string option = page == 0 ? "" : "[page=" + std::to_string(page) + "]";
        Handle opened(vips_image_new_from_file((path + option).c_str(), "fail_on",
                                               VIPS_FAIL_ON_TRUNCATED, "access", VIPS_ACCESS_RANDOM,
                                               nullptr));
        if (!opened) throw Failure(vips_error());
        set_format(opened.get());
        check_limits(info_.size, info_.format);
        const int64_t bytes = static_cast<int64_t>(info_.size.width) * info_.size.height *
                              static_cast<int64_t>(info_.format.pixel_bytes());
        if (!in_parts && bytes > kWholeDecodeMax)
            throw Failure("has to be decoded as a whole, which are " + std::to_string(bytes >> 20) +
                          " MiB; at most " + std::to_string(kWholeDecodeMax >> 20) + " MiB are");
        VipsImage *upright = nullptr;
        if (vips_autorot(opened.get(), &upright, nullptr) != 0) throw Failure(vips_error());
        image_.reset(upright);
        info_.size = {vips_image_get_width(upright), vips_image_get_height(upright)};
        info_.metadata = metadata_of(upright);
        info_.layout = in_parts ? "read in parts" : "decoded as a whole";
        info_.block_row_bytes = static_cast<int64_t>(info_.size.width) *
                                static_cast<int64_t>(info_.format.pixel_bytes());
    }

    cv::Mat read(cv::Rect region) override {
        const VipsRect rect{region.x, region.y, region.width, region.height};
        // A new one each time: a region belongs to the thread that made it.
        const std::unique_ptr<VipsRegion, Unref> prepared(vips_region_new(image_.get()));
        if (vips_region_prepare(prepared.get(), &rect) != 0)
            throw Failure("is damaged: " + vips_error());
        cv::Mat pixels(region.height, region.width, info_.format.cv_type());
        const size_t row_bytes = pixels.cols * pixels.elemSize();
        for (int y = 0; y < region.height; ++y)
            std::memcpy(pixels.ptr(y), VIPS_REGION_ADDR(prepared.get(), region.x, region.y + y),
                        row_bytes);
        return pixels;
    }

private:
    void set_format(VipsImage *image) {
        info_.size = {vips_image_get_width(image), vips_image_get_height(image)};
        info_.format.bands = vips_image_get_bands(image);
        info_.format.has_alpha = info_.format.bands > 1 && vips_image_hasalpha(image) != 0;
        info_.colour = colour_of(image);
        const VipsBandFormat format = vips_image_get_format(image);
        if (vips_image_get_coding(image) != VIPS_CODING_NONE ||
            (format != VIPS_FORMAT_UCHAR && format != VIPS_FORMAT_USHORT &&
             format != VIPS_FORMAT_FLOAT))
            throw Failure(std::string("has samples of a kind that is not done here: ") +
                          vips_enum_nick(VIPS_TYPE_BAND_FORMAT, format));
        info_.format.depth = format == VIPS_FORMAT_UCHAR    ? Depth::kU8
                             : format == VIPS_FORMAT_USHORT ? Depth::kU16
                                                            : Depth::kF32;
    }

    Handle image_;
};

VipsInterpretation interpretation_of(Colour colour, bool is_wide) {
    switch (colour) {
        case Colour::kGrey: return is_wide ? VIPS_INTERPRETATION_GREY16 : VIPS_INTERPRETATION_B_W;
        case Colour::kRgb: return is_wide ? VIPS_INTERPRETATION_RGB16 : VIPS_INTERPRETATION_sRGB;
        case Colour::kCmyk: return VIPS_INTERPRETATION_CMYK;
        case Colour::kOther: return VIPS_INTERPRETATION_MULTIBAND;
    }
    return VIPS_INTERPRETATION_MULTIBAND;
}

// What libvips calls for a region of an image that a PixelSource has.
int generate(VipsRegion *out, void *, void *source, void *, gboolean *) {
    const VipsRect &place = out->valid;
    try {
        const cv::Mat pixels = static_cast<const PixelSource *>(source)->read(
            {place.left, place.top, place.width, place.height});
        for (int y = 0; y < place.height; ++y)
            std::memcpy(VIPS_REGION_ADDR(out, place.left, place.top + y), pixels.ptr(y),
                        pixels.cols * pixels.elemSize());
    } catch (const std::exception &problem) {
        ::vips_error("hpips", "%s", problem.what());
        return -1;
    }
    return 0;
}

void set_metadata(VipsImage *image, const Metadata &metadata) {
    for (const BlobName &blob : kBlobs) {
        const Bytes &bytes = metadata.*blob.bytes;
        if (!bytes.empty()) vips_image_set_blob_copy(image, blob.name, bytes.data(), bytes.size());
    }
    for (const auto &[name, value] : metadata.exif_fields)
        vips_image_set_string(image, name.c_str(), value.c_str());
    vips_image_set_int(image, VIPS_META_ORIENTATION, 1);
}

}  // namespace

void start_vips() {
    static std::once_flag once;
    std::call_once(once, [] {
        if (vips_init("hpips") != 0) throw Failure("libvips does not start: " + vips_error());
        vips_concurrency_set(1);
        vips_cache_set_max(0);
        vips_block_untrusted_set(TRUE);
        // What it has to say comes as an error of ours.
        g_log_set_handler(
            "VIPS", G_LOG_LEVEL_MASK, [](auto...) {}, nullptr);
    });
}

std::string vips_version() {
    return vips_version_string();
}

std::unique_ptr<Image> open_with_vips(const std::string &path, int page) {
    start_vips();
    return std::make_unique<VipsFile>(path, page);
}

void deep_zoom_with_vips(const std::string &tiff_path, int tile_side, int overlap, int quality,
                         const std::string &base) {
    start_vips();
    const Handle image(
        vips_image_new_from_file(tiff_path.c_str(), "access", VIPS_ACCESS_SEQUENTIAL, nullptr));
    const std::string suffix = ".jpg[Q=" + std::to_string(quality) + "]";
    if (!image || vips_dzsave(image.get(), base.c_str(), "tile_size", tile_side, "overlap", overlap,
                              "suffix", suffix.c_str(), nullptr) != 0)
        throw Failure(vips_error());
}

void save_with_vips(const PixelSource &source, const Metadata &metadata, int quality,
                    const std::string &path) {
    start_vips();
    const Handle image(vips_image_new());
    const bool is_wide = source.format.depth == Depth::kU16;
    const bool is_sized = metadata.x_per_mm > 0 && metadata.y_per_mm > 0;
    vips_image_init_fields(image.get(), source.size.width, source.size.height, source.format.bands,
                           is_wide ? VIPS_FORMAT_USHORT : VIPS_FORMAT_UCHAR, VIPS_CODING_NONE,
                           interpretation_of(source.colour, is_wide),
                           is_sized ? metadata.x_per_mm : 1.0, is_sized ? metadata.y_per_mm : 1.0);
    set_metadata(image.get(), metadata);
    if (is_sized) vips_image_set_string(image.get(), VIPS_META_RESOLUTION_UNIT, "in");
    auto *const from = const_cast<PixelSource *>(&source);
    if (vips_image_pipelinev(image.get(), VIPS_DEMAND_STYLE_THINSTRIP, nullptr) != 0 ||
        vips_image_generate(image.get(), nullptr, generate, nullptr, from, nullptr) != 0)
        throw Failure(vips_error());
    const bool has_quality = path.ends_with(".jpg") || path.ends_with(".webp");
    const int failed =
        has_quality ? vips_image_write_to_file(image.get(), path.c_str(), "Q", quality, nullptr)
                    : vips_image_write_to_file(image.get(), path.c_str(), nullptr);
    if (failed != 0) throw Failure(vips_error());
}

}  // namespace hpips
