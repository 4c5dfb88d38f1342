// SPDX-License-Identifier: BSD-3-Clause
#include "chain/stage/results.h"

#include <cerrno>
#include <cstdio>
#include <mutex>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "chain/base/folder_walk.h"
#include "chain/stage/pending_file.h"
#include "chain/wire/frame.h"

namespace chain::stage {
namespace {

constexpr int kVersionsMax = 100;
constexpr std::size_t kNameBytesMax = 255;

// What is at a name now. No hash: something that is no readable regular file.
struct Occupant {
    bool there = false;
    std::optional<Bytes32> sha256;
};

Result<Occupant> look_at(int folder_fd, const std::string &name) {
    Occupant occupant;
    struct stat status {};
    if (fstatat(folder_fd, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno == ENOENT) return occupant;
        return errno_error(errno, "look at " + name);
    }
    occupant.there = true;
    if (!S_ISREG(status.st_mode)) return occupant;
    const FileDescriptor file(
        openat(folder_fd, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!file.valid()) return occupant;
    CHAIN_ASSIGN(occupant.sha256, hash_open_file(file.get(), name));
    return occupant;
}

std::string beside_name(const std::string &base_name, const std::string &host, int version) {
    std::string suffix = ".from-" + host;
    if (version > 1) suffix += "." + std::to_string(version);
    return base_name.substr(0, kNameBytesMax - suffix.size()) + suffix;
}

Result<PlacedResult> place_beside(int parent_fd, const std::string &base_name,
                                  const StagedFile &file, const std::string &host,
                                  PendingFile &pending) {
    for (int version = 1; version <= kVersionsMax; ++version) {
        const std::string name = beside_name(base_name, host, version);
        CHAIN_ASSIGN(const Occupant occupant, look_at(parent_fd, name));
        if (occupant.sha256 == file.sha256)
            return PlacedResult{PlacedResult::How::kUnchanged, name};
        if (occupant.there) continue;
        if (pending.rename_to(name, false)) return PlacedResult{PlacedResult::How::kBeside, name};
        if (errno != EEXIST) return errno_error(errno, "write " + name);
    }
    return make_error(ErrorCode::kConflict, kVersionsMax, " versions of ", base_name, " from ",
                      host, " are there already");
}

}  // namespace

Result<PlacedResult> place_result(const std::string &folder, const StagedFile &file, int source_fd,
                                  const std::optional<Bytes32> &staged_hash,
                                  const std::string &host) {
    if (!is_safe_relative_path(file.name) || !wire::is_valid_host_name(host))
        return make_error(ErrorCode::kInvalidInput, "a result has an unsafe name");
    const FileDescriptor root(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!root.valid()) return errno_error(errno, "open the folder " + folder);
    std::string base_name;
    CHAIN_ASSIGN(const FileDescriptor parent,
                 open_parent_beneath(root.get(), file.name, true, base_name));
    const std::string prefix = file.name.substr(0, file.name.size() - base_name.size());

    CHAIN_ASSIGN(Occupant occupant, look_at(parent.get(), base_name));
    if (occupant.sha256 == file.sha256)
        return PlacedResult{PlacedResult::How::kUnchanged, file.name};
    PendingFile pending(parent.get());
    CHAIN_ASSIGN(const bool is_right, pending.copy_from(source_fd, file));
    if (!is_right) return PlacedResult{PlacedResult::How::kDamaged, file.name};
    CHAIN_TRY(pending.sync(file.name));
    if (!occupant.there) {
        if (pending.rename_to(base_name, false))
            return PlacedResult{PlacedResult::How::kWritten, file.name};
        if (errno != EEXIST) return errno_error(errno, "write " + file.name);
    }
    // Looked at again: copying took time, in which the user may have saved a file, or another
    // peer's result taken the place; with that one at a time.
    static std::mutex one_at_a_time;
    const std::lock_guard lock(one_at_a_time);
    CHAIN_ASSIGN(occupant, look_at(parent.get(), base_name));
    if (occupant.sha256 == file.sha256)
        return PlacedResult{PlacedResult::How::kUnchanged, file.name};
    if (occupant.sha256 && occupant.sha256 == staged_hash) {
        if (!pending.rename_to(base_name, true)) return errno_error(errno, "write " + file.name);
        return PlacedResult{PlacedResult::How::kWritten, file.name};
    }
    CHAIN_ASSIGN(PlacedResult placed, place_beside(parent.get(), base_name, file, host, pending));
    placed.name = prefix + placed.name;
    return placed;
}

}  // namespace chain::stage
