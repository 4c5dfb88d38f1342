// SPDX-License-Identifier: BSD-3-Clause
// The finished tiles of one output, beside the place where it will be: their pixels in
// OUTPUT.hpips-part, and a journal of which are there, with a checksum of each, in
// OUTPUT.hpips-journal. What is torn by a kill or a crash is seen and computed anew.
//
// The pixels lie as in the TIFF without compression that the file becomes when a directory is put
// behind them: blocks of kBlockSide, in reading order, after the place of the file's header.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "examples/hpips/plan.h"

namespace hpips {

inline constexpr int kBlockSide = 256;

uint64_t checksum(const void *data, size_t bytes);
uint64_t checksum(const cv::Mat &pixels);  // row by row

// The disk is full, or the like: the journal stays, and --resume goes on from there.
class StoreFailure : public Failure {
public:
    using Failure::Failure;
};

class TileStore {
public:
    enum class Start { kNew, kResume };

    // `identity`, one line: what must be the same for tiles to be of use to another run: pipeline
    // and input. With kNew something that lies there is a Failure that says so; with kResume what
    // lies there of another identity is. A second program at work on the same output is, too.
    static std::unique_ptr<TileStore> open(const std::string &output, const std::string &identity,
                                           const Grid &grid, Format format, Start start);
    ~TileStore();
    TileStore(const TileStore &) = delete;
    TileStore &operator=(const TileStore &) = delete;

    const Grid &grid() const { return grid_; }
    const std::vector<bool> &done() const { return done_; }
    int64_t done_count() const { return done_count_; }

    // Of the image's first rows: those of tiles that are done, with all before them done.
    class Listener {
    public:
        virtual ~Listener() = default;
        virtual void rows_done(int rows) = 0;
        // Some that were said to be done are not: which are, is said anew.
        virtual void rows_withdrawn() = 0;
    };
    // From now on; null: nobody.
    void tell(Listener *listener) { listener_ = listener; }
    int rows_done() const;

    // Pixels, not yet counted as done. StoreFailure.
    void write(int64_t tile, const cv::Mat &pixels);
    // What write() wrote is the tile: goes into the journal.
    void mark_done(int64_t tile, const cv::Mat &pixels);
    // It is not, after all.
    void withdraw(int64_t tile);
    cv::Mat read_tile(int64_t tile) const { return read(grid_.tile(tile)); }
    // Any region, from tiles that are there.
    cv::Mat read(cv::Rect region) const;

    // What a writer of files needs: the blocks, and where they begin and end in pixels_path().
    const std::string &pixels_path() const { return pixels_path_; }
    int pixels_fd() const { return pixels_fd_; }
    bool is_big() const;  // more than a classic TIFF can hold
    int64_t blocks_begin() const { return is_big() ? 16 : 8; }
    int64_t blocks_end() const { return blocks_begin() + block_count() * block_bytes(); }
    int64_t block_count() const;
    int64_t block_bytes() const;
    cv::Rect block(int64_t index) const;      // as far as the image goes
    cv::Mat read_block(int64_t index) const;  // kBlockSide x kBlockSide; 0 beyond the image

    // The output is in its place, or there will be none: both files go.
    void remove();

private:
    TileStore(std::string output, const Grid &grid, Format format);
    void open_files(const std::string &identity, Start start);
    void replay(const std::string &journal, const std::string &identity);
    void note(const std::string &words);
    void advance();
    int64_t offset_of(int64_t block) const { return blocks_begin() + block * block_bytes(); }
    void write_part(int64_t block, cv::Rect part, const cv::Mat &pixels);
    void read_part(int64_t block, cv::Rect part, cv::Mat pixels) const;
    template <class Use>
    void for_blocks(cv::Rect region, Use use) const;

    std::string output_;
    std::string pixels_path_;
    Grid grid_;
    Format format_;
    std::vector<bool> done_;
    int64_t done_count_ = 0;
    int64_t first_missing_ = 0;
    Listener *listener_ = nullptr;
    int pixels_fd_ = -1;
    int journal_fd_ = -1;
};

// The side of the tiles of what was interrupted, as its journal says; nothing: no journal.
std::optional<int> interrupted_tile_side(const std::string &output);

// What tells one version of an input file from another: size, time of the last change, and a
// checksum of its ends. Failure: cannot be read.
std::string file_identity(const std::string &path);

}  // namespace hpips
