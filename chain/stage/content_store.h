// SPDX-License-Identifier: BSD-3-Clause
//
// ContentStore: files by what is in them, so that nothing is sent twice.
//
//   <folder>/<owner>/<sha256>        whole, as far as anybody knows
//   <folder>/<owner>/<sha256>.part   on its way, or what is left of a transfer that was cut off
//
// Each owner (an account) meets only what it sent itself: whether a machine has a file is nobody
// else's to learn, and naming its hash is no way to get it (docs/adr/0016). Names say nothing of
// contents that a disk has damaged: whoever takes a content checks it.
//
// Blocks on the disk: for a worker, but for append(). Thread-safe; it outlives its Contents.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "chain/base/bytes.h"
#include "chain/base/file.h"

namespace chain::stage {

inline constexpr std::size_t kCacheContentsMax = 20'000;

struct StoreLimits {
    std::uint64_t bytes_max = 0;  // for all contents together, those on their way counted whole
    std::uint64_t disk_left_bytes = 0;  // of its disk, for others
    // What was used least lately goes for what is new; else that does not fit.
    bool may_evict = false;
    std::size_t contents_max = 100'000;
};

class ContentStore {
public:
    using Key = std::pair<Bytes32, Bytes32>;  // owner, sha256

    // One content in the hands of one transfer: till it is destroyed nothing throws it out, and
    // nobody else writes it. Belongs to one thread at a time.
    class Content {
    public:
        Content(ContentStore &store, Key key, std::uint64_t size_bytes);
        ~Content();
        Content(const Content &) = delete;
        Content &operator=(const Content &) = delete;

        // What is there of it; size_bytes() when it is all there.
        std::uint64_t offset_bytes() const { return offset_bytes_; }
        std::uint64_t size_bytes() const { return size_bytes_; }
        bool is_complete() const { return offset_bytes_ == size_bytes_; }
        // Adds to what is there. Errors: kDiskFull, kIo. Precondition: it fits.
        Status append(std::string_view piece);
        // No more is appended for now.
        void pause() { file_.reset(); }
        Result<FileDescriptor> open() const;
        std::string path() const;
        // It was read, and has the hash that it should have.
        Status keep();
        // It has not, or was moved away: the next append begins it anew.
        void forget();

    private:
        ContentStore &store_;
        const Key key_;
        const std::uint64_t size_bytes_;
        std::uint64_t offset_bytes_ = 0;
        bool whole_ = false;  // under its own name
        FileDescriptor file_;
    };

    // Makes the folder (0700) and takes stock of what is there. Errors: kPermission, kIo,
    // kDiskFull.
    static Result<std::unique_ptr<ContentStore>> open(std::string folder,
                                                      const StoreLimits &limits);

    // nullptr: it does not fit into the limits or onto the disk, or another transfer writes it.
    std::unique_ptr<Content> take(const Bytes32 &owner, const Bytes32 &sha256,
                                  std::uint64_t size_bytes);

    std::uint64_t used_bytes() const;

private:
    struct Entry {
        std::uint64_t size_bytes = 0;
        std::int64_t used_at_ns = 0;  // Unix time; kept as the file's mtime
        bool taken = false;
        bool is_whole = false;
    };

    ContentStore(std::string folder, const StoreLimits &limits)
        : folder_(std::move(folder)), limits_(limits) {}
    Status take_stock();
    bool make_room(std::uint64_t size_bytes, bool is_new);
    void remove(const Key &key);
    std::string path(const Key &key, bool is_whole) const;

    const std::string folder_;
    const StoreLimits limits_;
    mutable std::mutex mutex_;
    std::map<Key, Entry> entries_;
    std::uint64_t used_bytes_ = 0;  // sum of all sizes
};

}  // namespace chain::stage
