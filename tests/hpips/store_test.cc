// SPDX-License-Identifier: BSD-3-Clause
// The journal after kills, damage and other runs; and files of several formats with what they
// carry.
#include "examples/hpips/store.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <thread>

#include "examples/hpips/image.h"
#include "examples/hpips/options.h"
#include "examples/hpips/output.h"
#include "examples/hpips/tiff.h"
#include "examples/hpips/vips_image.h"
#include "tests/hpips/random_images.h"

namespace hpips::testing {
namespace {

namespace fs = std::filesystem;

class Files : public ::testing::Test {
protected:
    void SetUp() override {
        char pattern[] = "/tmp/hpips-test-XXXXXX";
        folder_ = mkdtemp(pattern);
    }
    void TearDown() override { fs::remove_all(folder_); }
    std::string path(const std::string &name) const { return folder_ + "/" + name; }

    std::unique_ptr<TileStore> open(TileStore::Start start, const std::string &identity = "same",
                                    int side = 16) const {
        return TileStore::open(path("out.tif"), identity, Grid(kSize, side), kFormat, start);
    }
    std::string text_of(const std::string &name) const {
        std::ifstream file(path(name), std::ios::binary);
        return {std::istreambuf_iterator<char>(file), {}};
    }
    void write_text(const std::string &name, const std::string &text) const {
        std::ofstream(path(name), std::ios::binary) << text;
    }

    static constexpr Format kFormat{Depth::kU8, 3, false};
    const cv::Size kSize{50, 40};
    std::string folder_;
};

cv::Mat tile_pixels(const TileStore &store, int64_t tile) {
    return {store.grid().tile(tile).size(), CV_8UC3,
            cv::Scalar::all(static_cast<double>(tile + 1))};
}

void put(TileStore &store, int64_t tile) {
    store.write(tile, tile_pixels(store, tile));
    store.mark_done(tile, tile_pixels(store, tile));
}

using Journal = Files;

TEST_F(Journal, GoesOnWhereItWas) {
    {
        auto store = open(TileStore::Start::kNew);
        for (const int tile : {0, 5, 11}) put(*store, tile);
        store->write(7, tile_pixels(*store, 7));  // not marked
        store->withdraw(5);
    }
    auto store = open(TileStore::Start::kResume);
    EXPECT_EQ(store->done_count(), 2);
    EXPECT_TRUE(store->done()[0] && store->done()[11] && !store->done()[5] && !store->done()[7]);
    EXPECT_TRUE(same_bytes(store->read_tile(11), tile_pixels(*store, 11)));
    EXPECT_EQ(interrupted_tile_side(path("out.tif")), 16);
    store->remove();
    EXPECT_TRUE(fs::is_empty(folder_));
}

TEST_F(Journal, SaysThatSomethingLiesThere) {
    open(TileStore::Start::kNew);
    EXPECT_THROW(open(TileStore::Start::kNew), Failure);
    EXPECT_THROW(open(TileStore::Start::kResume, "another"), Failure);
    EXPECT_THROW(open(TileStore::Start::kResume, "same", 32), Failure);
    EXPECT_NO_THROW(open(TileStore::Start::kResume));
}

TEST_F(Journal, IsOneProgramsOnly) {
    const auto store = open(TileStore::Start::kNew);
    EXPECT_THROW(open(TileStore::Start::kResume), Failure);
}

TEST_F(Journal, DamagedPixelsAreComputedAnew) {
    {
        auto store = open(TileStore::Start::kNew);
        for (int tile = 0; tile < 12; ++tile) put(*store, tile);
    }
    std::string pixels = text_of("out.tif.hpips-part");
    pixels[8 + 3 * 16 * 3] ^= 1;  // behind the place of the header, at x = 48
    write_text("out.tif.hpips-part", pixels.substr(0, pixels.size() - 1));
    auto store = open(TileStore::Start::kResume);
    EXPECT_EQ(store->done_count(), 10);
    EXPECT_FALSE(store->done()[3] || store->done()[11]);
}

// Cut or changed anywhere: what is still counted as done is right, and work can go on.
TEST_F(Journal, AnyDamage) {
    {
        auto store = open(TileStore::Start::kNew);
        for (int tile = 0; tile < 12; ++tile) put(*store, tile);
    }
    const std::string journal = text_of("out.tif.hpips-journal");
    Chance chance;
    for (int round = 0; round < 400; ++round) {
        std::string damaged = journal.substr(
            0, static_cast<size_t>(chance.below(static_cast<int>(journal.size()) + 1)));
        if (chance.below(2) == 0 && !damaged.empty())
            damaged[static_cast<size_t>(chance.below(static_cast<int>(damaged.size())))] ^=
                static_cast<char>(chance.between(1, 255));
        write_text("out.tif.hpips-journal", damaged);
        try {
            auto store = open(TileStore::Start::kResume);
            for (int tile = 0; tile < 12; ++tile)
                EXPECT_TRUE(!store->done()[static_cast<size_t>(tile)] ||
                            same_bytes(store->read_tile(tile), tile_pixels(*store, tile)));
            const int64_t before = store->done_count();
            if (!store->done()[2]) put(*store, 2);
            const bool was_done = before == store->done_count();
            store.reset();
            // Nothing but a torn line is between what was and what is added.
            store = open(TileStore::Start::kResume);
            EXPECT_EQ(store->done_count(), before + (was_done ? 0 : 1));
        } catch (const Failure &) {
            continue;  // its first lines are gone
        }
    }
}

TEST_F(Journal, AFullDiskIsSaidAndWorkGoesOn) {
    put(*open(TileStore::Start::kNew), 0);
    auto store = open(TileStore::Start::kResume);
    rlimit before{};
    getrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, SIG_IGN);
    const rlimit small{2000, before.rlim_max};
    setrlimit(RLIMIT_FSIZE, &small);
    EXPECT_THROW(put(*store, 10), StoreFailure);
    setrlimit(RLIMIT_FSIZE, &before);
    store.reset();
    store = open(TileStore::Start::kResume);
    EXPECT_EQ(store->done_count(), 1);
    put(*store, 10);
    EXPECT_EQ(store->done_count(), 2);
}

TEST_F(Journal, RegionsGoAcrossTiles) {
    auto store = open(TileStore::Start::kNew);
    cv::Mat whole(kSize, CV_8UC3);
    for (int64_t tile = 0; tile < store->grid().count(); ++tile) {
        put(*store, tile);
        tile_pixels(*store, tile).copyTo(whole(store->grid().tile(tile)));
    }
    Chance chance;
    for (int round = 0; round < 100; ++round) {
        const int x = chance.below(50);
        const int y = chance.below(40);
        const cv::Rect region(x, y, chance.between(1, 50 - x), chance.between(1, 40 - y));
        EXPECT_TRUE(same_bytes(store->read(region), whole(region).clone()));
    }
}

// ---- images in files

class Codecs : public Files {
protected:
    // `image` as a file, by way of a store, as a run does it.
    void write(const cv::Mat &image, OutputSpec spec, const std::string &name, int side = 32) {
        spec.size = image.size();
        const Grid grid(image.size(), side);
        auto store = TileStore::open(path(name), "x", grid, spec.format, TileStore::Start::kNew);
        for (int64_t tile = 0; tile < grid.count(); ++tile) {
            const cv::Mat pixels = image(grid.tile(tile)).clone();
            store->write(tile, pixels);
            store->mark_done(tile, pixels);
        }
        OutputWriter(*store, spec, path(name), chance_.between(1, 4)).finish();
        store->remove();
    }
    Chance chance_;

    cv::Mat read_all(Image &image) { return image.read({{0, 0}, image.info().size}); }
};

Colour colour_of(const Format &format) {
    return format.colour_bands() == 1   ? Colour::kGrey
           : format.colour_bands() == 3 ? Colour::kRgb
                                        : Colour::kOther;
}

TEST_F(Codecs, TiffsOfAllFormatsRoundTrip) {
    for (int round = 0; round < 60; ++round) {
        const Format format = chance_.format();
        const cv::Mat image = chance_.image(chance_.size(600), format);
        const int compressions[] = {1, 5, 8, 50000};
        const OutputSpec spec{.extension = "tif",
                              .format = format,
                              .colour = colour_of(format),
                              .compression = static_cast<uint16_t>(compressions[chance_.below(4)])};
        const std::string name = std::to_string(round) + ".tif";
        write(image, spec, name, chance_.between(16, 300));
        const auto opened = open_image(path(name));
        EXPECT_EQ(opened->info().format, format);
        EXPECT_EQ(opened->info().colour, colour_of(format));
        ASSERT_TRUE(same_bytes(read_all(*opened), image)) << format.text();
        const cv::Rect part(image.cols / 3, image.rows / 3, (image.cols + 1) / 2,
                            (image.rows + 1) / 2);
        EXPECT_TRUE(same_bytes(opened->read(part), image(part).clone()));
    }
}

TEST_F(Codecs, TheFileIsTheSameForEverySideOfTiles) {
    const cv::Mat image = chance_.image({300, 270}, kFormat);
    for (const char *extension : {"tif", "png"}) {
        const OutputSpec spec{.extension = extension, .format = kFormat, .colour = Colour::kRgb};
        write(image, spec, std::string("a.") + extension, 16);
        write(image, spec, std::string("b.") + extension, 200);
        EXPECT_EQ(text_of(std::string("a.") + extension), text_of(std::string("b.") + extension));
    }
}

// In any order, some of them wrong at first and taken back; the file is begun while they come.
TEST_F(Codecs, TheFileIsTheSameHoweverTilesCome) {
    for (int round = 0; round < 40; ++round) {
        const cv::Mat image = chance_.image(chance_.size(700), kFormat);
        const char *const extensions[] = {"tif", "png", "webp"};
        const int compressions[] = {1, 5, 8, 50000};
        const std::string extension = extensions[chance_.below(3)];
        OutputSpec spec{.extension = extension,
                        .size = image.size(),
                        .format = kFormat,
                        .colour = Colour::kRgb,
                        .compression = static_cast<uint16_t>(compressions[chance_.below(4)])};
        write(image, spec, "straight." + extension);
        const std::string name = path("mixed." + extension);
        const Grid grid(image.size(), chance_.between(16, 200));
        const auto store = TileStore::open(name, "x", grid, kFormat, TileStore::Start::kNew);
        std::vector<int64_t> order(static_cast<size_t>(grid.count()));
        std::iota(order.begin(), order.end(), 0);
        if (chance_.below(2) == 0) std::shuffle(order.begin(), order.end(), chance_.engine());
        {
            OutputWriter writer(*store, spec, name, chance_.between(1, 4));
            for (const int64_t tile : order) {
                const cv::Mat right = image(grid.tile(tile)).clone();
                if (chance_.below(4) == 0) {
                    const cv::Mat wrong = ~right;
                    store->write(tile, wrong);
                    store->mark_done(tile, wrong);
                    if (chance_.below(2) == 0) std::this_thread::yield();
                    store->withdraw(tile);
                }
                store->write(tile, right);
                store->mark_done(tile, right);
            }
            EXPECT_FALSE(fs::exists(name));
            writer.finish();
        }
        store->remove();
        ASSERT_EQ(text_of("mixed." + extension), text_of("straight." + extension))
            << extension << ", compression " << spec.compression << ", " << image.size();
        fs::remove(name);
    }
}

TEST_F(Codecs, AnUnfinishedFileLeavesNothing) {
    for (const char *extension : {"tif", "png"}) {
        const OutputSpec spec{
            .extension = extension, .size = kSize, .format = kFormat, .colour = Colour::kRgb};
        const std::string name = path(std::string("a.") + extension);
        const auto store =
            TileStore::open(name, "x", Grid(kSize, 16), kFormat, TileStore::Start::kNew);
        {
            OutputWriter writer(*store, spec, name, 2);
            for (int tile = 0; tile < 8; ++tile) put(*store, tile);
            EXPECT_THROW(writer.finish(), Failure);  // four are missing
        }
        store->remove();
        EXPECT_TRUE(fs::is_empty(folder_));
    }
}

TEST_F(Codecs, DeepZoomHasEveryLevelAndItsPage) {
    const OutputSpec spec{.extension = "dzi", .format = kFormat, .colour = Colour::kRgb};
    for (const int side : {700, 300}) {  // the second replaces the first
        write(chance_.image({side, side / 2}, kFormat), spec, "a <b>.dzi");
        EXPECT_TRUE(fs::exists(path("a <b>.dzi")));
        const std::string page = text_of("a <b>.html");
        EXPECT_NE(page.find("<title>a &lt;b></title>"), std::string::npos);
        EXPECT_NE(page.find("\"width\":" + std::to_string(side)), std::string::npos);
        const int levels = side == 700 ? 11 : 10;  // 1, 2, 4 … pixels, to the whole
        for (int level = 0; level < levels; ++level)
            EXPECT_TRUE(fs::exists(path("a <b>_files/" + std::to_string(level) + "/0_0.jpg")));
        EXPECT_FALSE(fs::exists(path("a <b>_files/" + std::to_string(levels))));
        EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 3);
    }
}

Metadata some_metadata() {
    Metadata metadata;
    metadata.icc = Bytes(500, 7);
    metadata.xmp = {'<', 'x', '/', '>'};
    metadata.tags = {{270, "a hill", {}, {}},
                     {33550, "", {}, {10.0, 10.0, 0.0}},
                     {33922, "", {}, {0, 0, 0, 500'000, 4'000'000, 0}},
                     {34735, "", {1, 1, 0, 1, 1024, 0, 1, 1}, {}},
                     {34737, "UTM|", {}, {}}};
    metadata.x_per_mm = 300 / 25.4;
    metadata.y_per_mm = 300 / 25.4;
    return metadata;
}

TEST_F(Codecs, TiffsKeepTheirTags) {
    OutputSpec spec{.extension = "tif", .format = kFormat, .colour = Colour::kRgb};
    spec.metadata = some_metadata();
    write(chance_.image({40, 30}, kFormat), spec, "geo.tif");
    const auto opened = open_image(path("geo.tif"));
    const Metadata &got = opened->info().metadata;
    EXPECT_EQ(got.icc, spec.metadata.icc);
    EXPECT_EQ(got.xmp, spec.metadata.xmp);
    EXPECT_NEAR(got.x_per_mm, spec.metadata.x_per_mm, 1e-4);
    for (const TiffTag &tag : spec.metadata.tags)
        EXPECT_NE(std::find(got.tags.begin(), got.tags.end(), tag), got.tags.end()) << tag.tag;
}

TEST_F(Codecs, GeoTagsFollowThePixels) {
    const Format format{Depth::kU8, 3, false};
    ImageInfo info;
    info.file_format = "tif";
    info.size = {400, 300};
    info.format = format;
    info.colour = Colour::kRgb;
    info.metadata = some_metadata();
    const Plan plan(Pipeline::parse("crop x=100 y=50 | shrink factor=4"), format, info.size);
    const OutputSpec spec = output_of(plan, info, "");
    const auto &tags = spec.metadata.tags;
    EXPECT_EQ(tags[1].doubles, (std::vector<double>{40, 40, 0}));
    // Raster (-25, -12.5) of the part is where (0, 0) was.
    EXPECT_EQ(tags[2].doubles, (std::vector<double>{-25, -12.5, 0, 500'000, 4'000'000, 0}));
}

TEST_F(Codecs, PngAndJpegRoundTrip) {
    for (int round = 0; round < 20; ++round) {
        Format format = chance_.format();
        if (format.depth == Depth::kF32 || format.colour_bands() > 3) continue;
        const cv::Mat image = chance_.image(chance_.size(200), format);
        write(image, {.extension = "png", .format = format, .colour = colour_of(format)}, "a.png");
        const auto opened = open_image(path("a.png"));
        EXPECT_EQ(opened->info().format, format);
        EXPECT_TRUE(same_bytes(read_all(*opened), image)) << format.text();
    }
    const cv::Mat flat(64, 64, CV_8UC3, cv::Scalar(200, 100, 50));
    write(flat, {.extension = "jpg", .format = kFormat, .colour = Colour::kRgb}, "a.jpg");
    EXPECT_LE(cv::norm(read_all(*open_image(path("a.jpg"))), flat, cv::NORM_INF), 3);
}

TEST_F(Codecs, WhatAFormatCannotHoldIsSaidBeforeTheWork) {
    ImageInfo info;
    info.size = {9, 9};
    const auto refuses = [&](Format format, Colour colour, const char *extension) {
        info.format = format;
        info.colour = colour;
        const Plan plan(Pipeline::parse("invert"), format, info.size);
        EXPECT_THROW(output_of(plan, info, extension), Failure) << extension << format.text();
        EXPECT_NO_THROW(output_of(plan, info, "tif"));
    };
    refuses({Depth::kF32, 3, false}, Colour::kRgb, "png");
    refuses({Depth::kU16, 3, false}, Colour::kRgb, "jpg");
    refuses({Depth::kU8, 4, true}, Colour::kRgb, "jpg");
    refuses({Depth::kU8, 6, false}, Colour::kOther, "png");
}

TEST_F(Codecs, AFailedWriteLeavesNothingUnderTheName) {
    write_text("a.tif", "before");
    const OutputSpec spec{
        .extension = "tif", .size = kSize, .format = kFormat, .colour = Colour::kRgb};
    const auto store = open(TileStore::Start::kNew);
    for (int tile = 0; tile < 12; ++tile) put(*store, tile);
    rlimit before{};
    getrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, SIG_IGN);
    const rlimit small{100, before.rlim_max};
    setrlimit(RLIMIT_FSIZE, &small);
    EXPECT_THROW(OutputWriter(*store, spec, path("a.tif"), 2).finish(), StoreFailure);
    setrlimit(RLIMIT_FSIZE, &before);
    EXPECT_EQ(text_of("a.tif"), "before");
    EXPECT_FALSE(fs::exists(path("a.tif.hpips-new.tif")));
}

// Strips, planes, both byte orders: as other programs write them.
TEST_F(Codecs, TiffsOfOthers) {
    const cv::Mat image = chance_.image({77, 53}, {Depth::kU16, 3, false});
    for (const char *mode : {"w", "wb", "w8"})
        for (const int planes : {PLANARCONFIG_CONTIG, PLANARCONFIG_SEPARATE}) {
            Tiff tiff(path("other.tif"), mode);
            TIFFSetField(tiff.get(), TIFFTAG_IMAGEWIDTH, 77);
            TIFFSetField(tiff.get(), TIFFTAG_IMAGELENGTH, 53);
            TIFFSetField(tiff.get(), TIFFTAG_BITSPERSAMPLE, 16);
            TIFFSetField(tiff.get(), TIFFTAG_SAMPLESPERPIXEL, 3);
            TIFFSetField(tiff.get(), TIFFTAG_PLANARCONFIG, planes);
            TIFFSetField(tiff.get(), TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_RGB);
            TIFFSetField(tiff.get(), TIFFTAG_ROWSPERSTRIP, 10);
            std::vector<cv::Mat> bands;
            cv::split(image, bands);
            for (int band = 0; band < (planes == PLANARCONFIG_CONTIG ? 1 : 3); ++band)
                for (int y = 0; y < 53; ++y) {
                    const cv::Mat &from = planes == PLANARCONFIG_CONTIG ? image : bands[band];
                    std::vector<uchar> row(from.ptr(y), from.ptr(y) + 77 * from.elemSize());
                    TIFFWriteScanline(tiff.get(), row.data(), y, static_cast<uint16_t>(band));
                }
            EXPECT_TRUE(tiff.close());
            EXPECT_TRUE(same_bytes(read_all(*open_image(path("other.tif"))), image))
                << mode << planes;
        }
}

// A stack: pages are images of their own, the smaller copies of a pyramid are not.
TEST_F(Codecs, StacksHavePages) {
    std::vector<cv::Mat> images;
    {
        Tiff tiff(path("stack.tif"), "w");
        for (int page = 0; page < 4; ++page) {
            images.push_back(chance_.image({31, 20 + page}, {Depth::kU8, 1, false}));
            TIFFSetField(tiff.get(), TIFFTAG_SUBFILETYPE, page == 1 ? FILETYPE_REDUCEDIMAGE : 0);
            TIFFSetField(tiff.get(), TIFFTAG_IMAGEWIDTH, images[page].cols);
            TIFFSetField(tiff.get(), TIFFTAG_IMAGELENGTH, images[page].rows);
            TIFFSetField(tiff.get(), TIFFTAG_BITSPERSAMPLE, 8);
            TIFFSetField(tiff.get(), TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_MINISBLACK);
            for (int y = 0; y < images[page].rows; ++y)
                TIFFWriteScanline(tiff.get(), images[page].ptr(y), y, 0);
            TIFFWriteDirectory(tiff.get());
        }
    }
    EXPECT_EQ(pages_of(path("stack.tif")), (std::vector<int>{0, 2, 3}));
    for (const int page : {0, 2, 3})
        EXPECT_TRUE(same_bytes(read_all(*open_image(path("stack.tif"), page)), images[page]));
    const auto jobs = jobs_of_pages({{path("stack.tif"), path("out.png"), "png"}});
    ASSERT_EQ(jobs.size(), 3u);
    EXPECT_EQ(jobs[1].output, path("out-0002.png"));
    EXPECT_EQ(jobs[1].page, 2);
    EXPECT_THROW(open_image(path("stack.tif"), 9), Failure);
    EXPECT_EQ(pages_of(path("none.tif")), std::vector<int>{0});
}

// Any file cut or changed anywhere: an image or a Failure, in bounded time and memory.
TEST_F(Codecs, AnyDamage) {
    const cv::Mat image = chance_.image({120, 90}, kFormat);
    for (const char *name : {"a.tif", "a.png", "a.jpg"}) {
        write(image,
              {.extension = std::string(name).substr(2), .format = kFormat, .colour = Colour::kRgb},
              name);
        const std::string whole = text_of(name);
        for (int round = 0; round < 150; ++round) {
            std::string damaged = whole;
            if (chance_.below(2) == 0)
                damaged.resize(static_cast<size_t>(chance_.below(static_cast<int>(whole.size()))));
            for (int more = chance_.below(5); more > 0 && !damaged.empty(); --more)
                damaged[static_cast<size_t>(chance_.below(static_cast<int>(damaged.size())))] =
                    static_cast<char>(chance_.below(256));
            write_text("damaged", damaged);
            try {
                const auto opened = open_image(path("damaged"));
                const cv::Size size = opened->info().size;
                opened->read({0, 0, std::min(size.width, 64), std::min(size.height, 64)});
            } catch (const Failure &) {
                continue;
            }
        }
    }
}

TEST_F(Codecs, AbsurdSizesAreRefusedBeforeAnythingIsAllocated) {
    // A PNG that says 2 000 000 x 2 000 000, with a right checksum.
    const unsigned char png[] = {0x89, 'P',  'N', 'G', '\r', '\n', 0x1a, '\n', 0,    0, 0,
                                 13,   'I',  'H', 'D', 'R',  0,    0x1e, 0x84, 0x80, 0, 0x1e,
                                 0x84, 0x80, 8,   2,   0,    0,    0,    0,    0,    0, 0};
    write_text("bomb.png", std::string(reinterpret_cast<const char *>(png), sizeof png));
    EXPECT_THROW(open_image(path("bomb.png")), Failure);
    EXPECT_THROW(open_image(path("none.png")), Failure);
    EXPECT_THROW(open_image(folder_), Failure);
    EXPECT_THROW(check_limits({kSideMax, kSideMax}, kFormat), Failure);
    EXPECT_THROW(check_limits({10, 10}, {Depth::kU8, 100, false}), Failure);
}

}  // namespace
}  // namespace hpips::testing
