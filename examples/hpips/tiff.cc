// SPDX-License-Identifier: BSD-3-Clause
#include "examples/hpips/tiff.h"

#include <unistd.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <mutex>

namespace hpips {
namespace {

constexpr uint32_t kTextTags[] = {
    TIFFTAG_IMAGEDESCRIPTION,  TIFFTAG_MAKE,   TIFFTAG_MODEL,     TIFFTAG_SOFTWARE,
    TIFFTAG_DATETIME,          TIFFTAG_ARTIST, TIFFTAG_COPYRIGHT, 34737 /* GeoAsciiParams */,
    42112 /* GDAL_METADATA */, 42113 /* GDAL_NODATA */};
constexpr uint32_t kDoubleTags[] = {33550 /* ModelPixelScale */, 33922 /* ModelTiepoint */,
                                    34264 /* ModelTransformation */, 34736 /* GeoDoubleParams */};
constexpr uint32_t kGeoKeyDirectory = 34735;

TIFFExtendProc next_extender = nullptr;

void add_geo_fields(TIFF *tiff) {
    static char names[][22] = {"ModelPixelScale", "ModelTiepoint",   "ModelTransformation",
                               "GeoKeyDirectory", "GeoDoubleParams", "GeoAsciiParams",
                               "GDALMetadata",    "GDALNoData"};
    static const TIFFFieldInfo fields[] = {
        {33550, -1, -1, TIFF_DOUBLE, FIELD_CUSTOM, 1, 1, names[0]},
        {33922, -1, -1, TIFF_DOUBLE, FIELD_CUSTOM, 1, 1, names[1]},
        {34264, -1, -1, TIFF_DOUBLE, FIELD_CUSTOM, 1, 1, names[2]},
        {34735, -1, -1, TIFF_SHORT, FIELD_CUSTOM, 1, 1, names[3]},
        {34736, -1, -1, TIFF_DOUBLE, FIELD_CUSTOM, 1, 1, names[4]},
        {34737, -1, -1, TIFF_ASCII, FIELD_CUSTOM, 1, 0, names[5]},
        {42112, -1, -1, TIFF_ASCII, FIELD_CUSTOM, 1, 0, names[6]},
        {42113, -1, -1, TIFF_ASCII, FIELD_CUSTOM, 1, 0, names[7]},
    };
    TIFFMergeFieldInfo(tiff, fields, sizeof fields / sizeof fields[0]);
    if (next_extender != nullptr) next_extender(tiff);
}

// How libtiff gets at a file of which it must not write the middle.
namespace in_place {

using File = Tiff::BlocksInPlace;

tmsize_t read(thandle_t handle, void *data, tmsize_t bytes) {
    auto &file = *static_cast<File *>(handle);
    const ssize_t got = pread(file.fd, data, static_cast<size_t>(bytes), file.position);
    file.position += std::max<ssize_t>(got, 0);
    return got;
}

tmsize_t write(thandle_t handle, void *data, tmsize_t bytes) {
    auto &file = *static_cast<File *>(handle);
    const bool is_block = file.position >= file.begin && file.position + bytes <= file.end;
    if (!is_block && pwrite(file.fd, data, static_cast<size_t>(bytes), file.position) != bytes)
        return -1;
    file.position += bytes;
    file.size = std::max(file.size, file.position);
    return bytes;
}

toff_t seek(thandle_t handle, toff_t offset, int whence) {
    auto &file = *static_cast<File *>(handle);
    const int64_t from = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? file.position : file.size;
    file.position = from + static_cast<int64_t>(offset);
    return static_cast<toff_t>(file.position);
}

int close(thandle_t) {
    return 0;
}

toff_t size(thandle_t handle) {
    return static_cast<toff_t>(static_cast<File *>(handle)->size);
}

}  // namespace in_place

namespace in_memory {

using File = Tiff::Memory;

tmsize_t read(thandle_t handle, void *data, tmsize_t bytes) {
    auto &file = *static_cast<File *>(handle);
    const size_t there = file.bytes.size() - std::min(file.bytes.size(), file.position);
    const size_t got = std::min(there, static_cast<size_t>(bytes));
    std::copy_n(file.bytes.begin() + static_cast<std::ptrdiff_t>(file.position), got,
                static_cast<uint8_t *>(data));
    file.position += got;
    return static_cast<tmsize_t>(got);
}

tmsize_t write(thandle_t handle, void *data, tmsize_t bytes) {
    auto &file = *static_cast<File *>(handle);
    const size_t end = file.position + static_cast<size_t>(bytes);
    if (file.bytes.size() < end) file.bytes.resize(end);
    std::copy_n(static_cast<const uint8_t *>(data), bytes,
                file.bytes.begin() + static_cast<std::ptrdiff_t>(file.position));
    file.position = end;
    return bytes;
}

toff_t size(thandle_t handle) {
    return static_cast<File *>(handle)->bytes.size();
}

toff_t seek(thandle_t handle, toff_t offset, int whence) {
    auto &file = *static_cast<File *>(handle);
    const toff_t from = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? file.position : size(handle);
    file.position = from + offset;
    return file.position;
}

int close(thandle_t) {
    return 0;
}

}  // namespace in_memory

int ignore_warning(TIFF *, void *, const char *, const char *, va_list) {
    return 1;
}

}  // namespace

int Tiff::keep_error(TIFF *, void *self, const char *, const char *format, va_list arguments) {
    char text[512];
    std::vsnprintf(text, sizeof text, format, arguments);
    static_cast<Tiff *>(self)->error_ = text;
    return 1;  // no other handler
}

TIFFOpenOptions *Tiff::options() {
    static std::once_flag once;
    std::call_once(once, [] { next_extender = TIFFSetTagExtender(add_geo_fields); });
    TIFFOpenOptions *options = TIFFOpenOptionsAlloc();
    TIFFOpenOptionsSetErrorHandlerExtR(options, keep_error, this);
    TIFFOpenOptionsSetWarningHandlerExtR(options, ignore_warning, nullptr);
    TIFFOpenOptionsSetMaxSingleMemAlloc(options, kBlockBytesMax);
    return options;
}

Tiff::Tiff(const std::string &path, const char *mode) {
    TIFFOpenOptions *const how = options();
    tiff_ = TIFFOpenExt(path.c_str(), mode, how);
    TIFFOpenOptionsFree(how);
}

Tiff::Tiff(BlocksInPlace &file, const std::string &path, const char *mode) {
    TIFFOpenOptions *const how = options();
    tiff_ =
        TIFFClientOpenExt(path.c_str(), mode, &file, in_place::read, in_place::write,
                          in_place::seek, in_place::close, in_place::size, nullptr, nullptr, how);
    TIFFOpenOptionsFree(how);
}

Tiff::Tiff(Memory &memory) {
    TIFFOpenOptions *const how = options();
    tiff_ = TIFFClientOpenExt("memory", "w", &memory, in_memory::read, in_memory::write,
                              in_memory::seek, in_memory::close, in_memory::size, nullptr, nullptr,
                              how);
    TIFFOpenOptionsFree(how);
}

Tiff::~Tiff() {
    if (tiff_ != nullptr) TIFFClose(tiff_);
}

bool Tiff::close() {
    error_.clear();
    const bool flushed = TIFFFlush(tiff_) == 1;
    TIFFClose(tiff_);
    tiff_ = nullptr;
    return flushed && error_.empty();
}

std::vector<TiffTag> read_tags(TIFF *tiff) {
    std::vector<TiffTag> tags;
    for (const uint32_t tag : kTextTags) {
        const char *text = nullptr;
        if (TIFFGetField(tiff, tag, &text) == 1 && text != nullptr)
            tags.push_back({tag, text, {}, {}});
    }
    for (const uint32_t tag : kDoubleTags) {
        uint16_t count = 0;
        const double *values = nullptr;
        if (TIFFGetField(tiff, tag, &count, &values) == 1)
            tags.push_back({tag, "", {}, {values, values + count}});
    }
    uint16_t count = 0;
    const uint16_t *keys = nullptr;
    if (TIFFGetField(tiff, kGeoKeyDirectory, &count, &keys) == 1)
        tags.push_back({kGeoKeyDirectory, "", {keys, keys + count}, {}});
    return tags;
}

void write_tags(TIFF *tiff, const std::vector<TiffTag> &tags) {
    for (const TiffTag &tag : tags) {
        if (!tag.shorts.empty())
            TIFFSetField(tiff, tag.tag, static_cast<int>(tag.shorts.size()), tag.shorts.data());
        else if (!tag.doubles.empty())
            TIFFSetField(tiff, tag.tag, static_cast<int>(tag.doubles.size()), tag.doubles.data());
        else
            TIFFSetField(tiff, tag.tag, tag.text.c_str());
    }
}

}  // namespace hpips
