// SPDX-License-Identifier: BSD-3-Clause
#include "examples/hpips/output.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <deque>
#include <filesystem>
#include <future>

#include "examples/hpips/tiff.h"
#include "examples/hpips/viewer.h"
#include "examples/hpips/vips_image.h"

namespace hpips {

namespace fs = std::filesystem;

const char kOutputFormats[] = "tif, png, jpg, webp, dzi";

namespace {

// With the predictor a higher level gains at most a few percent of a photograph, and takes up to
// four times as long.
constexpr int kDeflateLevel = 1;
constexpr int kZstdLevel = 3;

// Whoever waited for rows of an image that is not written after all.
class CalledOff : public std::exception {
public:
    const char *what() const noexcept override { return "called off"; }
};

void wait_rows(RowGate &gate, int rows) {
    if (!gate.wait_rows(rows)) throw CalledOff();
}

void wait_finish(RowGate &gate) {
    if (!gate.wait_finish()) throw CalledOff();
}

// What is on the disk when the new name is there is the whole file.
void move_to(const std::string &path, const std::string &target) {
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    const bool ok = fd >= 0 && fsync(fd) == 0;
    const int error = errno;
    if (fd >= 0) close(fd);
    if (!ok) throw StoreFailure(path + ": " + std::strerror(error));
    if (rename(path.c_str(), target.c_str()) != 0)
        throw StoreFailure(target + ": " + std::strerror(errno));
}

[[noreturn]] void fail_to_write(const Tiff &tiff) {
    throw StoreFailure("cannot be written: " +
                       (errno != 0 ? std::string(std::strerror(errno)) : tiff.error()));
}

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

    void move_to(const std::string &target) {
        hpips::move_to(path_, target);
        path_.clear();
    }

private:
    std::string path_;
};

void set_format(TIFF *tiff, const OutputSpec &spec, cv::Size size) {
    const Format &format = spec.format;
    const int bits[] = {8, 16, 32};
    TIFFSetField(tiff, TIFFTAG_IMAGEWIDTH, static_cast<uint32_t>(size.width));
    TIFFSetField(tiff, TIFFTAG_IMAGELENGTH, static_cast<uint32_t>(size.height));
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
    if (spec.compression == COMPRESSION_ADOBE_DEFLATE)
        TIFFSetField(tiff, TIFFTAG_ZIPQUALITY, kDeflateLevel);
    if (spec.compression == COMPRESSION_ZSTD) TIFFSetField(tiff, TIFFTAG_ZSTD_LEVEL, kZstdLevel);
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

const char *write_mode(const TileStore &store) {
    return store.is_big() ? "w8" : "w";
}

void start_file(const Tiff &tiff, const OutputSpec &spec) {
    if (!tiff.is_open()) fail_to_write(tiff);
    set_format(tiff.get(), spec, spec.size);
    set_metadata(tiff.get(), spec.metadata);
}

// What a TIFF of that format has for a block.
Bytes compress(const OutputSpec &spec, const cv::Mat &block) {
    Tiff::Memory memory;
    Tiff tiff(memory);
    if (!tiff.is_open()) fail_to_write(tiff);
    set_format(tiff.get(), spec, block.size());
    const auto bytes = static_cast<tmsize_t>(block.total() * block.elemSize());
    if (TIFFWriteEncodedTile(tiff.get(), 0, block.data, bytes) != bytes) fail_to_write(tiff);
    const auto begin =
        memory.bytes.begin() + static_cast<std::ptrdiff_t>(TIFFGetStrileOffset(tiff.get(), 0));
    return {begin, begin + static_cast<std::ptrdiff_t>(TIFFGetStrileByteCount(tiff.get(), 0))};
}

void write_compressed(const TileStore &store, const OutputSpec &spec, const std::string &path,
                      RowGate &gate, int threads) {
    errno = 0;
    Tiff tiff(path, write_mode(store));
    start_file(tiff, spec);
    std::deque<std::future<Bytes>> under_way;
    int64_t next = 0;
    const auto write_next = [&] {
        Bytes bytes = under_way.front().get();
        under_way.pop_front();
        const auto size = static_cast<tmsize_t>(bytes.size());
        errno = 0;
        if (TIFFWriteRawTile(tiff.get(), static_cast<uint32_t>(next++), bytes.data(), size) != size)
            fail_to_write(tiff);
    };
    for (int64_t index = 0; index < store.block_count(); ++index) {
        wait_rows(gate, store.block(index).br().y);
        if (under_way.size() == static_cast<size_t>(threads)) write_next();
        under_way.push_back(std::async(std::launch::async, [&store, &spec, index] {
            return compress(spec, store.read_block(index));
        }));
    }
    while (!under_way.empty()) write_next();
    if (!tiff.close()) throw StoreFailure("cannot be written: " + tiff.error());
}

// Makes a TIFF of the store's pixels where they are: a header before them, a directory after them.
void complete_in_place(const TileStore &store, OutputSpec spec) {
    spec.compression = COMPRESSION_NONE;
    if (ftruncate(store.pixels_fd(), store.blocks_end()) != 0)
        throw StoreFailure(store.pixels_path() + ": " + std::strerror(errno));
    Tiff::BlocksInPlace file{store.pixels_fd(), store.blocks_begin(), store.blocks_end()};
    Tiff tiff(file, store.pixels_path(), write_mode(store));
    start_file(tiff, spec);
    std::vector<uint8_t> untouched(static_cast<size_t>(store.block_bytes()));
    for (int64_t index = 0; index < store.block_count(); ++index) {
        const int64_t place = store.blocks_begin() + index * store.block_bytes();
        if (TIFFWriteRawTile(tiff.get(), static_cast<uint32_t>(index), untouched.data(),
                             store.block_bytes()) != store.block_bytes() ||
            TIFFGetStrileOffset(tiff.get(), static_cast<uint32_t>(index)) !=
                static_cast<uint64_t>(place))
            fail_to_write(tiff);
    }
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
    const bool is_jpeg = extension == "jpg" || extension == "dzi";
    if (format.has_alpha && is_jpeg) refuse("alpha");
    const int side = extension == "webp" ? 16383 : extension == "jpg" ? 65535 : kSideMax;
    if (std::max(size.width, size.height) > side)
        refuse("more than " + std::to_string(side) + " pixels in a row");
}

}  // namespace

std::string known_extension(std::string extension) {
    std::transform(extension.begin(), extension.end(), extension.begin(), ::tolower);
    if (extension == "tiff") return "tif";
    if (extension == "jpeg") return "jpg";
    for (const char *known : {"tif", "png", "jpg", "webp", "dzi"})
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

namespace {

// NAME.dzi, NAME_files and NAME.html, which shows them. They are made aside; while those of an
// earlier run are replaced there is no NAME.dzi.
void write_deep_zoom(const TileStore &store, const OutputSpec &spec, const std::string &path) {
    constexpr int kTileSide = 254;
    constexpr int kOverlap = 1;
    const fs::path target = fs::path(path).replace_extension();
    const std::string name = target.filename().string();
    const fs::path aside = path + ".hpips-new";
    try {
        fs::remove_all(aside);
        fs::create_directory(aside);
        deep_zoom_with_vips(store.pixels_path(), kTileSide, kOverlap, spec.quality,
                            (aside / name).string());
        write_viewer({name, spec.size, kTileSide, kOverlap}, (aside / (name + ".html")).string());
        fs::remove(path);
        for (const char *part : {"_files", ".html", ".dzi"}) {
            fs::remove_all(target.string() + part);
            fs::rename(aside / (name + part), target.string() + part);
        }
        fs::remove_all(aside);
    } catch (const fs::filesystem_error &problem) {
        throw StoreFailure(path + ": " + problem.code().message());
    }
}

void write_converted(const TileStore &store, const OutputSpec &spec, const std::string &path,
                     RowGate &gate) {
    std::atomic<bool> is_called_off = false;
    const auto read = [&](cv::Rect region) {
        if (!gate.wait_rows(region.br().y)) {
            is_called_off = true;
            throw CalledOff();
        }
        return store.read(region);
    };
    try {
        save_with_vips({spec.size, spec.format, spec.colour, read}, spec.metadata, spec.quality,
                       path);
    } catch (const Failure &) {
        if (is_called_off) throw CalledOff();
        throw;
    }
}

void write_output(const TileStore &store, const OutputSpec &spec, const std::string &path,
                  RowGate &gate, int threads) {
    const bool is_tiff = spec.extension == "tif";
    if (spec.extension == "dzi" || (is_tiff && spec.compression == COMPRESSION_NONE)) {
        wait_finish(gate);
        complete_in_place(store, spec);
        return is_tiff ? move_to(store.pixels_path(), path) : write_deep_zoom(store, spec, path);
    }
    Temporary file(path + ".hpips-new." + spec.extension);
    if (is_tiff)
        write_compressed(store, spec, file.path(), gate, threads);
    else
        write_converted(store, spec, file.path(), gate);
    wait_finish(gate);
    file.move_to(path);
}

}  // namespace

OutputWriter::OutputWriter(TileStore &store, const OutputSpec &spec, const std::string &path,
                           int threads)
    : store_(store), spec_(spec), path_(path), threads_(threads) {
    start();
    store_.tell(this);
}

OutputWriter::~OutputWriter() {
    store_.tell(nullptr);
    stop();
}

void OutputWriter::start() {
    gate_ = std::make_unique<RowGate>();
    gate_->open(store_.rows_done());
    failure_ = nullptr;
    thread_ = std::thread([this, gate = gate_.get()] {
        try {
            write_output(store_, spec_, path_, *gate, threads_);
        } catch (...) {
            failure_ = std::current_exception();
        }
    });
}

void OutputWriter::stop() {
    gate_->close();
    if (thread_.joinable()) thread_.join();
}

void OutputWriter::rows_done(int rows) {
    gate_->open(rows);
}

void OutputWriter::rows_withdrawn() {
    stop();
    start();
}

void OutputWriter::finish() {
    if (store_.done_count() != store_.grid().count()) throw Failure("lacks tiles");
    gate_->finish();
    thread_.join();
    if (failure_) std::rethrow_exception(failure_);
}

}  // namespace hpips
