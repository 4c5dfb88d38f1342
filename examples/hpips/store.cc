// SPDX-License-Identifier: BSD-3-Clause
#include "examples/hpips/store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cinttypes>
#include <cstring>
#include <fstream>
#include <sstream>

namespace hpips {
namespace {

constexpr char kMagic[] = "hpips-journal 1";
constexpr int64_t kTilesMax = 200'000'000;
constexpr int64_t kClassicBytesMax = 3'500'000'000;  // beyond: BigTIFF

std::string journal_path(const std::string &output) {
    return output + ".hpips-journal";
}

std::string hex(uint64_t value) {
    char text[17];
    std::snprintf(text, sizeof text, "%016" PRIx64, value);
    return text;
}

// The line without the checksum at its end; nothing: torn or damaged.
std::optional<std::string> intact(const std::string &line) {
    constexpr size_t kSum = 17;  // a space and 16 digits
    if (line.size() < kSum) return {};
    const std::string words = line.substr(0, line.size() - kSum);
    if (line.substr(words.size()) != " " + hex(checksum(words.data(), words.size()))) return {};
    return words;
}

void write_all(int fd, const void *data, size_t bytes, off_t offset, const std::string &path) {
    const auto *from = static_cast<const char *>(data);
    while (bytes > 0) {
        const ssize_t wrote = pwrite(fd, from, bytes, offset);
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote <= 0)
            throw StoreFailure(path + ": " + std::strerror(errno) +
                               "; what is done is kept: run the same again with --resume");
        from += wrote;
        bytes -= static_cast<size_t>(wrote);
        offset += wrote;
    }
}

// What was never written is 0: no checksum will match.
void read_all(int fd, void *data, size_t bytes, off_t offset) {
    auto *to = static_cast<char *>(data);
    while (bytes > 0) {
        const ssize_t got = pread(fd, to, bytes, offset);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) {
            std::memset(to, 0, bytes);
            return;
        }
        to += got;
        bytes -= static_cast<size_t>(got);
        offset += got;
    }
}

uint64_t mixed(uint64_t sum, uint64_t word) {
    sum = (sum ^ word) * 0x9E3779B97F4A7C15ULL;
    return sum ^ (sum >> 29);
}

uint64_t add_bytes(uint64_t sum, const void *data, size_t bytes) {
    const auto *from = static_cast<const unsigned char *>(data);
    for (; bytes >= 8; from += 8, bytes -= 8) {
        uint64_t word;
        std::memcpy(&word, from, 8);
        sum = mixed(sum, word);
    }
    uint64_t rest = bytes;
    for (size_t i = 0; i < bytes; ++i) rest = rest << 8 | from[i];
    return mixed(sum, rest);
}

}  // namespace

uint64_t checksum(const void *data, size_t bytes) {
    return add_bytes(bytes, data, bytes);
}

uint64_t checksum(const cv::Mat &pixels) {
    uint64_t sum = pixels.total();
    for (int y = 0; y < pixels.rows; ++y)
        sum = add_bytes(sum, pixels.ptr(y), pixels.cols * pixels.elemSize());
    return sum;
}

TileStore::TileStore(std::string output, const Grid &grid, Format format)
    : output_(std::move(output)),
      pixels_path_(output_ + ".hpips-part"),
      grid_(grid),
      format_(format) {
    if (grid.count() > kTilesMax) throw Failure("has too many tiles: take a larger --tile");
    done_.resize(static_cast<size_t>(grid.count()));
}

TileStore::~TileStore() {
    if (pixels_fd_ >= 0) close(pixels_fd_);
    if (journal_fd_ >= 0) close(journal_fd_);
}

std::unique_ptr<TileStore> TileStore::open(const std::string &output, const std::string &identity,
                                           const Grid &grid, Format format, Start start) {
    std::unique_ptr<TileStore> store(new TileStore(output, grid, format));
    store->open_files(identity, start);
    return store;
}

void TileStore::open_files(const std::string &identity, Start start) {
    const std::string journal = journal_path(output_);
    const int flags = O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW;
    const bool was_there = access(journal.c_str(), F_OK) == 0;
    if (was_there && start == Start::kNew)
        throw Failure("an earlier run was interrupted here: go on with --resume, or remove " +
                      journal + " and " + pixels_path_);
    journal_fd_ = ::open(journal.c_str(), flags, 0666);
    if (journal_fd_ < 0) throw StoreFailure(journal + ": " + std::strerror(errno));
    if (flock(journal_fd_, LOCK_EX | LOCK_NB) != 0)
        throw Failure("another hpips is at work on " + output_);
    const int truncate = was_there ? 0 : O_TRUNC;
    pixels_fd_ =
        ::open(pixels_path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | truncate, 0666);
    if (pixels_fd_ < 0) throw StoreFailure(pixels_path_ + ": " + std::strerror(errno));
    if (was_there) replay(journal, identity);
    struct stat status {};
    if (fstat(journal_fd_, &status) == 0 && status.st_size > 0) {
        // The last line may be torn: what comes next begins on a line of its own.
        write_all(journal_fd_, "\n", 1, 0, journal);
        return;
    }
    note(kMagic);
    note("identity " + identity);
    note("side " + std::to_string(grid_.side()));
}

void TileStore::replay(const std::string &journal, const std::string &identity) {
    std::ifstream file(journal, std::ios::binary);
    std::string line;
    bool same = false;
    bool any = false;
    while (std::getline(file, line)) {
        const auto words = intact(line);
        if (!words) continue;
        any = true;
        std::istringstream in(*words);
        std::string word;
        int64_t tile = -1;
        std::string sum;
        in >> word;
        if (word == "identity") same = *words == "identity " + identity;
        if (word == "side" && *words != "side " + std::to_string(grid_.side()))
            throw Failure("was begun with other tiles: --resume needs the same --tile");
        if (word != "tile" && word != "not") continue;
        if (!(in >> tile) || tile < 0 || tile >= grid_.count()) continue;
        const bool is_there =
            word == "tile" && (in >> sum) && hex(checksum(read_tile(tile))) == sum;
        done_[static_cast<size_t>(tile)] = is_there;
    }
    if (any && !same)
        throw Failure("was begun with another pipeline or another input: remove " + journal +
                      " to begin anew");
    for (const bool is_there : done_) done_count_ += is_there ? 1 : 0;
    advance();
}

void TileStore::advance() {
    while (first_missing_ < grid_.count() && done_[static_cast<size_t>(first_missing_)])
        ++first_missing_;
}

int TileStore::rows_done() const {
    if (first_missing_ == grid_.count()) return grid_.size().height;
    return grid_.tile(first_missing_).y;
}

bool TileStore::is_big() const {
    return block_count() * block_bytes() > kClassicBytesMax;
}

int64_t TileStore::block_count() const {
    return Grid(grid_.size(), kBlockSide).count();
}

int64_t TileStore::block_bytes() const {
    return int64_t{kBlockSide} * kBlockSide * static_cast<int64_t>(format_.pixel_bytes());
}

cv::Rect TileStore::block(int64_t index) const {
    return Grid(grid_.size(), kBlockSide).tile(index);
}

void TileStore::note(const std::string &words) {
    // O_APPEND: the offset does not matter.
    const std::string line = words + " " + hex(checksum(words.data(), words.size())) + "\n";
    write_all(journal_fd_, line.data(), line.size(), 0, journal_path(output_));
}

// Calls use(block, part of the block, the same part of the region) for each block in it.
template <class Use>
void TileStore::for_blocks(cv::Rect region, Use use) const {
    const int columns = Grid(grid_.size(), kBlockSide).columns();
    for (int row = region.y / kBlockSide; row * kBlockSide < region.br().y; ++row)
        for (int col = region.x / kBlockSide; col * kBlockSide < region.br().x; ++col) {
            const cv::Point corner(col * kBlockSide, row * kBlockSide);
            const cv::Rect common = cv::Rect(corner, cv::Size(kBlockSide, kBlockSide)) & region;
            use(static_cast<int64_t>(row) * columns + col, common - corner, common - region.tl());
        }
}

// In one go what reaches from side to side of a block, or to the image's edge: what is beyond that
// is 0 anyway. Anything else row by row.
void TileStore::write_part(int64_t index, cv::Rect part, const cv::Mat &pixels) {
    const size_t pixel = format_.pixel_bytes();
    const size_t row_bytes = kBlockSide * pixel;
    const int64_t offset = offset_of(index) + static_cast<int64_t>(part.y * row_bytes);
    if (part.x == 0 && part.width == block(index).width) {
        std::vector<char> rows(part.height * row_bytes);
        for (int y = 0; y < part.height; ++y)
            std::memcpy(rows.data() + y * row_bytes, pixels.ptr(y), part.width * pixel);
        write_all(pixels_fd_, rows.data(), rows.size(), offset, pixels_path_);
        return;
    }
    for (int y = 0; y < part.height; ++y)
        write_all(pixels_fd_, pixels.ptr(y), part.width * pixel,
                  offset + static_cast<int64_t>(y * row_bytes + part.x * pixel), pixels_path_);
}

void TileStore::write(int64_t tile, const cv::Mat &pixels) {
    for_blocks(grid_.tile(tile), [&](int64_t index, cv::Rect part, cv::Rect of_tile) {
        write_part(index, part, pixels(of_tile));
        // The disk begins at once, so that there is little to wait for in the end. Not with blocks
        // of which more is to come.
        if (part.size() == block(index).size())
            sync_file_range(pixels_fd_, offset_of(index), block_bytes(), SYNC_FILE_RANGE_WRITE);
    });
}

void TileStore::mark_done(int64_t tile, const cv::Mat &pixels) {
    note("tile " + std::to_string(tile) + " " + hex(checksum(pixels)));
    if (!done_[static_cast<size_t>(tile)]) ++done_count_;
    done_[static_cast<size_t>(tile)] = true;
    const int before = rows_done();
    advance();
    if (listener_ != nullptr && rows_done() > before) listener_->rows_done(rows_done());
}

void TileStore::withdraw(int64_t tile) {
    if (!done_[static_cast<size_t>(tile)]) return;
    note("not " + std::to_string(tile));
    done_[static_cast<size_t>(tile)] = false;
    --done_count_;
    const int before = rows_done();
    first_missing_ = std::min(first_missing_, tile);
    if (listener_ == nullptr || rows_done() == before) return;
    listener_->rows_withdrawn();
    listener_->rows_done(rows_done());
}

void TileStore::read_part(int64_t index, cv::Rect part, cv::Mat pixels) const {
    const size_t pixel = format_.pixel_bytes();
    const size_t row_bytes = kBlockSide * pixel;
    const int64_t offset = offset_of(index) + static_cast<int64_t>(part.y * row_bytes);
    if (part.width * 4 < kBlockSide) {
        for (int y = 0; y < part.height; ++y)
            read_all(pixels_fd_, pixels.ptr(y), part.width * pixel,
                     offset + static_cast<int64_t>(y * row_bytes + part.x * pixel));
        return;
    }
    std::vector<char> rows(part.height * row_bytes);
    read_all(pixels_fd_, rows.data(), rows.size(), offset);
    for (int y = 0; y < part.height; ++y)
        std::memcpy(pixels.ptr(y), rows.data() + y * row_bytes + part.x * pixel,
                    part.width * pixel);
}

cv::Mat TileStore::read(cv::Rect region) const {
    cv::Mat pixels(region.height, region.width, format_.cv_type());
    for_blocks(region, [&](int64_t index, cv::Rect part, cv::Rect of_region) {
        read_part(index, part, pixels(of_region));
    });
    return pixels;
}

cv::Mat TileStore::read_block(int64_t index) const {
    cv::Mat pixels(kBlockSide, kBlockSide, format_.cv_type());
    read_all(pixels_fd_, pixels.data, static_cast<size_t>(block_bytes()), offset_of(index));
    return pixels;
}

void TileStore::remove() {
    unlink(pixels_path_.c_str());
    unlink(journal_path(output_).c_str());
}

std::optional<int> interrupted_tile_side(const std::string &output) {
    std::ifstream file(journal_path(output), std::ios::binary);
    std::string line;
    while (std::getline(file, line)) {
        const auto words = intact(line);
        int side = 0;
        if (words && std::sscanf(words->c_str(), "side %d", &side) == 1 && side >= kTileSideMin &&
            side <= kTileSideMax)
            return side;
    }
    return {};
}

std::string file_identity(const std::string &path) {
    constexpr std::streamoff kEnd = 64 * 1024;
    struct stat status {};
    std::ifstream file(path, std::ios::binary);
    if (stat(path.c_str(), &status) != 0 || !file) throw Failure(std::strerror(errno));
    std::string ends(2 * kEnd, '\0');
    file.read(ends.data(), kEnd);
    file.clear();
    file.seekg(-std::min<std::streamoff>(kEnd, status.st_size), std::ios::end);
    file.read(ends.data() + kEnd, kEnd);
    return std::to_string(status.st_size) + "/" + std::to_string(status.st_mtim.tv_sec) + "." +
           std::to_string(status.st_mtim.tv_nsec) + "/" + hex(checksum(ends.data(), ends.size()));
}

}  // namespace hpips
