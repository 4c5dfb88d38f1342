// SPDX-License-Identifier: BSD-3-Clause
#include "chain/stage/content_store.h"

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <filesystem>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "chain/base/folder_walk.h"
#include "chain/base/log.h"

namespace chain::stage {
namespace {

constexpr std::string_view kPartSuffix = ".part";
constexpr std::size_t kEntriesLookedAt = 200'000;

std::int64_t nanoseconds(const timespec &time) {
    return time.tv_sec * std::int64_t{1'000'000'000} + time.tv_nsec;
}

std::int64_t now_ns() {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    return nanoseconds(now);
}

bool disk_has(const std::string &folder, std::uint64_t bytes) {
    struct statvfs disk {};
    if (statvfs(folder.c_str(), &disk) != 0) return false;
    return disk.f_bavail * std::uint64_t{disk.f_frsize} >= bytes;
}

}  // namespace

Result<std::unique_ptr<ContentStore>> ContentStore::open(std::string folder,
                                                         const StoreLimits &limits) {
    CHAIN_TRY(make_folders(folder, 0700));
    std::unique_ptr<ContentStore> store(new ContentStore(std::move(folder), limits));
    CHAIN_TRY(store->take_stock());
    return store;
}

// What has no name of ours was not made by us, or is of a version to come: it stays, uncounted.
Status ContentStore::take_stock() {
    CHAIN_TRY(walk_folder(folder_, kEntriesLookedAt, [&](const WalkEntry &entry) {
        if (!S_ISREG(entry.status.st_mode)) return true;
        const std::size_t slash = entry.name.find('/');
        if (slash == std::string::npos) return true;
        std::string_view name = entry.base_name;
        const bool is_part = name.ends_with(kPartSuffix);
        if (is_part) name.remove_suffix(kPartSuffix.size());
        const auto owner = bytes32_from_hex(entry.name.substr(0, slash), "owner");
        const auto sha256 = bytes32_from_hex(name, "content");
        if (!owner.ok() || !sha256.ok()) return true;
        const auto [at, is_new] = entries_.try_emplace({*owner, *sha256});
        if (!is_new) {  // a kill between two steps: the part is of no use
            unlinkat(entry.parent_fd, (to_hex(*sha256) + std::string(kPartSuffix)).c_str(), 0);
            at->second.is_whole = true;
            return true;
        }
        at->second = {static_cast<std::uint64_t>(entry.status.st_size),
                      nanoseconds(entry.status.st_mtim), false, !is_part};
        used_bytes_ += at->second.size_bytes;
        return true;
    }));
    const std::lock_guard lock(mutex_);
    make_room(0, false);
    return ok_status();
}

std::string ContentStore::path(const Key &key, bool is_whole) const {
    std::string path = folder_ + "/" + to_hex(key.first) + "/" + to_hex(key.second);
    if (!is_whole) path += kPartSuffix;
    return path;
}

void ContentStore::remove(const Key &key) {
    const auto found = entries_.find(key);
    if (found == entries_.end()) return;
    unlink(path(key, found->second.is_whole).c_str());
    used_bytes_ -= found->second.size_bytes;
    entries_.erase(found);
    const auto next = entries_.lower_bound({key.first, Bytes32{}});
    const bool was_last = next == entries_.end() || next->first.first != key.first;
    if (was_last) rmdir((folder_ + "/" + to_hex(key.first)).c_str());
}

// Throws out what was used least lately until `size_bytes` more fit.
bool ContentStore::make_room(std::uint64_t size_bytes, bool is_new) {
    if (size_bytes > limits_.bytes_max) return false;
    const auto fits = [&] {
        return used_bytes_ + size_bytes <= limits_.bytes_max &&
               entries_.size() + (is_new ? 1 : 0) <= limits_.contents_max &&
               disk_has(folder_, size_bytes + limits_.disk_left_bytes);
    };
    if (fits()) return true;
    if (!limits_.may_evict) return false;
    std::vector<std::pair<std::int64_t, Key>> oldest_first;
    for (const auto &[key, entry] : entries_)
        if (!entry.taken) oldest_first.emplace_back(entry.used_at_ns, key);
    std::sort(oldest_first.begin(), oldest_first.end());
    for (const auto &[used_at_ns, key] : oldest_first) {
        remove(key);
        if (fits()) return true;
    }
    return false;
}

std::unique_ptr<ContentStore::Content> ContentStore::take(const Bytes32 &owner,
                                                          const Bytes32 &sha256,
                                                          std::uint64_t size_bytes) {
    const Key key{owner, sha256};
    const std::lock_guard lock(mutex_);
    auto found = entries_.find(key);
    if (found != entries_.end() && found->second.taken) return nullptr;
    if (found != entries_.end()) {
        // A size that differs: damaged, or named by somebody who has another file in mind.
        Entry &entry = found->second;
        const bool is_usable =
            entry.is_whole ? entry.size_bytes == size_bytes : entry.size_bytes <= size_bytes;
        if (!is_usable) {
            remove(key);
            found = entries_.end();
        }
    }
    const std::uint64_t there_bytes = found == entries_.end() ? 0 : found->second.size_bytes;
    if (found != entries_.end()) found->second.taken = true;  // not thrown out for its own rest
    const bool is_new = found == entries_.end();
    const bool has_room =
        (!is_new && there_bytes == size_bytes) || make_room(size_bytes - there_bytes, is_new);
    if (found != entries_.end()) found->second.taken = false;
    if (!has_room) return nullptr;
    const std::string owner_folder = folder_ + "/" + to_hex(owner);
    if (mkdir(owner_folder.c_str(), 0700) != 0 && errno != EEXIST) return nullptr;
    Entry &entry = entries_[key];
    used_bytes_ += size_bytes - entry.size_bytes;
    entry.size_bytes = size_bytes;
    entry.used_at_ns = now_ns();
    entry.taken = true;
    return std::make_unique<Content>(*this, key, size_bytes);
}

std::uint64_t ContentStore::used_bytes() const {
    const std::lock_guard lock(mutex_);
    return used_bytes_;
}

// Precondition: the store is locked, and `key` is an entry that was just taken.
ContentStore::Content::Content(ContentStore &store, Key key, std::uint64_t size_bytes)
    : store_(store), key_(key), size_bytes_(size_bytes) {
    Entry &entry = store_.entries_[key_];
    struct stat status {};
    const std::string name = store_.path(key_, entry.is_whole);
    if (lstat(name.c_str(), &status) == 0 && S_ISREG(status.st_mode)) {
        offset_bytes_ = static_cast<std::uint64_t>(status.st_size);
        utimensat(AT_FDCWD, name.c_str(), nullptr, 0);
        whole_ = entry.is_whole;
    } else {
        entry.is_whole = false;
    }
    if (offset_bytes_ > size_bytes_) offset_bytes_ = 0;  // append begins it anew
}

ContentStore::Content::~Content() {
    const std::lock_guard lock(store_.mutex_);
    const auto found = store_.entries_.find(key_);
    CHAIN_CHECK(found != store_.entries_.end());
    found->second.taken = false;
    if (offset_bytes_ == 0 && !whole_) {
        store_.remove(key_);
        return;
    }
    // From now on it takes what it takes.
    store_.used_bytes_ -= found->second.size_bytes - offset_bytes_;
    found->second.size_bytes = offset_bytes_;
}

std::string ContentStore::Content::path() const {
    return store_.path(key_, whole_);
}

Status ContentStore::Content::append(std::string_view piece) {
    CHAIN_CHECK(!whole_ && piece.size() <= size_bytes_ - offset_bytes_);
    if (!file_.valid()) {
        const int begin = offset_bytes_ == 0 ? O_TRUNC : 0;
        file_ = FileDescriptor(::open(
            path().c_str(), O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC | begin, 0600));
        if (!file_.valid()) return errno_error(errno, "write " + path());
    }
    if (const Status written = write_all(file_.get(), piece, "keep what is sent"); !written.ok()) {
        // A part of the piece may be there: what is there counts from its end.
        struct stat status {};
        if (fstat(file_.get(), &status) == 0)
            offset_bytes_ = std::min<std::uint64_t>(size_bytes_, status.st_size);
        return written;
    }
    offset_bytes_ += piece.size();
    return ok_status();
}

Result<FileDescriptor> ContentStore::Content::open() const {
    if (size_bytes_ == 0 && !whole_) {  // nobody sends an empty file
        FileDescriptor made(
            ::open(path().c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
        if (!made.valid()) return errno_error(errno, "write " + path());
        return made;
    }
    FileDescriptor file(::open(path().c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
    if (!file.valid()) return errno_error(errno, "read " + path());
    return file;
}

Status ContentStore::Content::keep() {
    if (whole_) return ok_status();
    file_.reset();
    const std::lock_guard lock(store_.mutex_);
    if (rename(path().c_str(), store_.path(key_, true).c_str()) != 0)
        return errno_error(errno, "keep what was sent");
    whole_ = true;
    store_.entries_[key_].is_whole = true;
    return ok_status();
}

void ContentStore::Content::forget() {
    file_.reset();
    unlink(path().c_str());
    const std::lock_guard lock(store_.mutex_);
    whole_ = false;
    offset_bytes_ = 0;
    store_.entries_[key_].is_whole = false;
}

}  // namespace chain::stage
