// SPDX-License-Identifier: BSD-3-Clause
// TIFFs whose blocks (strips or tiles) can be read one by one: 8 and 16 bit and floats, grey, RGB,
// CMYK and many bands. The others are left to libvips.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <list>
#include <unordered_map>

#include "examples/hpips/tiff.h"

namespace hpips {
namespace {

constexpr int64_t kCacheBytes = 64LL << 20;       // of decoded blocks
constexpr int64_t kCacheBytesMax = 2048LL << 20;  // when a row of tiles needs more

// Decoded blocks, the least recently used of which go first.
class BlockCache {
public:
    void set_capacity(int64_t bytes) { capacity_bytes_ = bytes; }

    const cv::Mat *find(int64_t key) {
        const auto found = places_.find(key);
        if (found == places_.end()) return nullptr;
        blocks_.splice(blocks_.begin(), blocks_, found->second);
        return &found->second->second;
    }

    const cv::Mat &add(int64_t key, cv::Mat block) {
        bytes_ += bytes_of(block);
        blocks_.emplace_front(key, std::move(block));
        places_[key] = blocks_.begin();
        while (bytes_ > capacity_bytes_ && blocks_.size() > 1) {
            bytes_ -= bytes_of(blocks_.back().second);
            places_.erase(blocks_.back().first);
            blocks_.pop_back();
        }
        return blocks_.front().second;
    }

private:
    static int64_t bytes_of(const cv::Mat &block) {
        return static_cast<int64_t>(block.total() * block.elemSize());
    }
    using Blocks = std::list<std::pair<int64_t, cv::Mat>>;
    Blocks blocks_;
    std::unordered_map<int64_t, Blocks::iterator> places_;
    int64_t bytes_ = 0;
    int64_t capacity_bytes_ = kCacheBytes;
};

std::string compression_name(uint16_t compression) {
    switch (compression) {
        case COMPRESSION_NONE: return "not compressed";
        case COMPRESSION_LZW: return "lzw";
        case COMPRESSION_ADOBE_DEFLATE:
        case COMPRESSION_DEFLATE: return "deflate";
        case COMPRESSION_ZSTD: return "zstd";
        case COMPRESSION_JPEG: return "jpeg";
        case COMPRESSION_PACKBITS: return "packbits";
        default: return "compression " + std::to_string(compression);
    }
}

template <class T>
T field(TIFF *tiff, uint32_t tag, T otherwise) {
    T value = otherwise;
    TIFFGetFieldDefaulted(tiff, tag, &value);
    return value;
}

Bytes blob(TIFF *tiff, uint32_t tag) {
    uint32_t count = 0;
    const uint8_t *data = nullptr;
    if (TIFFGetField(tiff, tag, &count, &data) != 1 || count > kMetadataBytesMax) return {};
    return {data, data + count};
}

class TiffImage : public Image {
public:
    TiffImage(const std::string &path, int page) : tiff_(path, "rm"), page_(page) {}

    bool is_readable() const {
        return tiff_.is_open() &&
               (page_ == 0 || TIFFSetDirectory(tiff_.get(), static_cast<tdir_t>(page_)) == 1);
    }
    const std::string &error() const { return tiff_.error(); }

    // False: not a kind of TIFF that this can read.
    bool open() {
        if (!set_format() || !set_colour()) return false;
        if (field<uint16_t>(tiff_.get(), TIFFTAG_ORIENTATION, 1) != 1) return false;
        check_limits(info_.size, info_.format);
        if (!set_blocks()) return false;
        set_metadata();
        return true;
    }

    void expect_rows(int height) override {
        const int64_t blocks = (height - 1) / block_.height + 2;
        const int64_t needed = blocks * info_.block_row_bytes;
        cache_.set_capacity(std::clamp(needed, kCacheBytes, kCacheBytesMax));
    }

    cv::Mat read(cv::Rect region) override {
        cv::Mat pixels(region.height, region.width, info_.format.cv_type());
        const int first_x = region.x / block_.width;
        const int first_y = region.y / block_.height;
        for (int by = first_y; by * static_cast<int64_t>(block_.height) < region.br().y; ++by)
            for (int bx = first_x; bx * static_cast<int64_t>(block_.width) < region.br().x; ++bx) {
                const cv::Rect place(
                    bx * block_.width, by * block_.height, block_.width,
                    std::min(block_.height, info_.size.height - by * block_.height));
                const cv::Rect common = place & region;
                block(bx, by)(common - place.tl()).copyTo(pixels(common - region.tl()));
            }
        return pixels;
    }

private:
    bool set_format();
    bool set_colour();
    bool set_blocks();
    void set_metadata();
    const cv::Mat &block(int bx, int by);
    cv::Mat decode(uint32_t index, int rows, int bands);

    Tiff tiff_;
    int page_;
    BlockCache cache_;
    bool is_tiled_ = false;
    bool is_planar_ = false;  // each band has blocks of its own
    cv::Size block_;
    int blocks_across_ = 1;
    int blocks_down_ = 1;
};

bool TiffImage::set_format() {
    const uint16_t bits = field<uint16_t>(tiff_.get(), TIFFTAG_BITSPERSAMPLE, 1);
    const uint16_t kind = field<uint16_t>(tiff_.get(), TIFFTAG_SAMPLEFORMAT, SAMPLEFORMAT_UINT);
    if (kind == SAMPLEFORMAT_UINT && bits == 8)
        info_.format.depth = Depth::kU8;
    else if (kind == SAMPLEFORMAT_UINT && bits == 16)
        info_.format.depth = Depth::kU16;
    else if (kind == SAMPLEFORMAT_IEEEFP && bits == 32)
        info_.format.depth = Depth::kF32;
    else
        return false;
    info_.format.bands = field<uint16_t>(tiff_.get(), TIFFTAG_SAMPLESPERPIXEL, 1);
    const uint32_t width = field<uint32_t>(tiff_.get(), TIFFTAG_IMAGEWIDTH, 0);
    const uint32_t height = field<uint32_t>(tiff_.get(), TIFFTAG_IMAGELENGTH, 0);
    info_.size = {static_cast<int>(std::min<uint32_t>(width, INT32_MAX)),
                  static_cast<int>(std::min<uint32_t>(height, INT32_MAX))};
    uint16_t count = 0;
    const uint16_t *kinds = nullptr;
    TIFFGetFieldDefaulted(tiff_.get(), TIFFTAG_EXTRASAMPLES, &count, &kinds);
    info_.format.has_alpha =
        count > 0 && info_.format.bands > 1 &&
        (kinds[count - 1] == EXTRASAMPLE_ASSOCALPHA || kinds[count - 1] == EXTRASAMPLE_UNASSALPHA);
    info_.is_premultiplied = info_.format.has_alpha && kinds[count - 1] == EXTRASAMPLE_ASSOCALPHA;
    return true;
}

bool TiffImage::set_colour() {
    switch (field<uint16_t>(tiff_.get(), TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_MINISBLACK)) {
        case PHOTOMETRIC_MINISBLACK: info_.colour = Colour::kGrey; break;
        case PHOTOMETRIC_RGB: info_.colour = Colour::kRgb; break;
        case PHOTOMETRIC_SEPARATED: info_.colour = Colour::kCmyk; break;
        default: return false;
    }
    const int colours[] = {1, 3, 4};
    if (info_.format.colour_bands() < colours[static_cast<int>(info_.colour)]) return false;
    if (info_.colour == Colour::kGrey && info_.format.colour_bands() > 1)
        info_.colour = Colour::kOther;
    return true;
}

bool TiffImage::set_blocks() {
    TIFF *tiff = tiff_.get();
    info_.compression = field<uint16_t>(tiff, TIFFTAG_COMPRESSION, COMPRESSION_NONE);
    is_planar_ =
        info_.format.bands > 1 &&
        field<uint16_t>(tiff, TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG) != PLANARCONFIG_CONTIG;
    is_tiled_ = TIFFIsTiled(tiff) != 0;
    uint32_t width = static_cast<uint32_t>(info_.size.width);
    uint32_t height = 0;
    if (is_tiled_) {
        width = field<uint32_t>(tiff, TIFFTAG_TILEWIDTH, 0);
        height = field<uint32_t>(tiff, TIFFTAG_TILELENGTH, 0);
    } else {
        height = std::min(field<uint32_t>(tiff, TIFFTAG_ROWSPERSTRIP, UINT32_MAX),
                          static_cast<uint32_t>(info_.size.height));
    }
    const uint64_t bytes = is_tiled_ ? TIFFTileSize64(tiff) : TIFFStripSize64(tiff);
    if (width == 0 || height == 0 || width > kSideMax || height > kSideMax || bytes == 0 ||
        bytes > static_cast<uint64_t>(kBlockBytesMax) ||
        TIFFIsCODECConfigured(info_.compression) == 0)
        return false;
    block_ = {static_cast<int>(width), static_cast<int>(height)};
    blocks_across_ = (info_.size.width - 1) / block_.width + 1;
    blocks_down_ = (info_.size.height - 1) / block_.height + 1;
    info_.block_row_bytes =
        static_cast<int64_t>(bytes) * blocks_across_ * (is_planar_ ? info_.format.bands : 1);
    info_.file_format = "tif";
    info_.layout = (is_tiled_ ? "tiles of " : "strips of ") + std::to_string(block_.width) + " x " +
                   std::to_string(block_.height) + ", " + compression_name(info_.compression);
    return true;
}

void TiffImage::set_metadata() {
    TIFF *tiff = tiff_.get();
    Metadata &metadata = info_.metadata;
    metadata.icc = blob(tiff, TIFFTAG_ICCPROFILE);
    metadata.xmp = blob(tiff, TIFFTAG_XMLPACKET);
    metadata.tags = read_tags(tiff);
    float x = 0;
    float y = 0;
    const uint16_t unit = field<uint16_t>(tiff, TIFFTAG_RESOLUTIONUNIT, RESUNIT_INCH);
    if (unit == RESUNIT_NONE || TIFFGetField(tiff, TIFFTAG_XRESOLUTION, &x) != 1 ||
        TIFFGetField(tiff, TIFFTAG_YRESOLUTION, &y) != 1)
        return;
    const double unit_mm = unit == RESUNIT_CENTIMETER ? 10.0 : 25.4;
    metadata.x_per_mm = x / unit_mm;
    metadata.y_per_mm = y / unit_mm;
}

cv::Mat TiffImage::decode(uint32_t index, int rows, int bands) {
    TIFF *tiff = tiff_.get();
    cv::Mat pixels(rows, block_.width, CV_MAKETYPE(CV_MAT_DEPTH(info_.format.cv_type()), bands));
    const auto bytes = static_cast<tmsize_t>(pixels.total() * pixels.elemSize());
    // libtiff takes a list of blocks that is too short for one of empty blocks.
    int failed = 0;
    if (TIFFGetStrileByteCountWithErr(tiff, index, &failed) == 0 || failed != 0)
        throw Failure("is damaged: block " + std::to_string(index) + " is not in the file");
    const tmsize_t got = is_tiled_ ? TIFFReadEncodedTile(tiff, index, pixels.data, bytes)
                                   : TIFFReadEncodedStrip(tiff, index, pixels.data, bytes);
    if (got != bytes)
        throw Failure("is damaged at block " + std::to_string(index) +
                      (tiff_.error().empty() ? "" : ": " + tiff_.error()));
    return pixels;
}

const cv::Mat &TiffImage::block(int bx, int by) {
    const uint32_t index = static_cast<uint32_t>(by) * static_cast<uint32_t>(blocks_across_) +
                           static_cast<uint32_t>(bx);
    if (const cv::Mat *known = cache_.find(index)) return *known;
    const int rows =
        is_tiled_ ? block_.height : std::min(block_.height, info_.size.height - by * block_.height);
    if (!is_planar_) return cache_.add(index, decode(index, rows, info_.format.bands));
    std::vector<cv::Mat> bands;
    const auto per_band =
        static_cast<uint32_t>(blocks_across_) * static_cast<uint32_t>(blocks_down_);
    for (int band = 0; band < info_.format.bands; ++band)
        bands.push_back(decode(static_cast<uint32_t>(band) * per_band + index, rows, 1));
    cv::Mat merged;
    cv::merge(bands, merged);
    return cache_.add(index, merged);
}

bool is_tiff(const std::string &path) {
    std::error_code error;
    if (!std::filesystem::is_regular_file(path, error)) return false;  // a pipe may never begin
    std::string head(4, '\0');
    std::ifstream(path, std::ios::binary).read(head.data(), 4);
    const std::string heads[] = {{"II*\0", 4}, {"II+\0", 4}, {"MM\0*", 4}, {"MM\0+", 4}};
    return std::find(std::begin(heads), std::end(heads), head) != std::end(heads);
}

}  // namespace

std::unique_ptr<Image> open_tiff(const std::string &path, int page) {
    if (!is_tiff(path)) return nullptr;
    auto image = std::make_unique<TiffImage>(path, page);
    if (!image->is_readable()) throw Failure("is damaged: " + image->error());
    if (!image->open()) return nullptr;
    return image;
}

std::vector<int> pages_of(const std::string &path) {
    std::vector<int> pages;
    if (!is_tiff(path)) return {0};
    const Tiff tiff(path, "rm");
    if (!tiff.is_open()) return {0};  // said when it is opened
    for (int directory = 0; directory <= kPagesMax; ++directory) {
        const auto kind = field<uint32_t>(tiff.get(), TIFFTAG_SUBFILETYPE, 0);
        if ((kind & (FILETYPE_REDUCEDIMAGE | FILETYPE_MASK)) == 0) pages.push_back(directory);
        if (TIFFReadDirectory(tiff.get()) != 1) return pages.empty() ? std::vector{0} : pages;
    }
    throw Failure("has more than " + std::to_string(kPagesMax) + " pages");
}

}  // namespace hpips
