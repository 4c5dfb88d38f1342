// SPDX-License-Identifier: BSD-3-Clause
#include "chain/provider/results.h"

#include <cerrno>
#include <cstdio>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "chain/provider/folder_walk.h"
#include "chain/wire/frame.h"

namespace chain::provider {
namespace {

constexpr int kVersionsMax = 100;
constexpr std::size_t kNameBytesMax = 255;

// What is at a name now. No hash: something that is no readable regular file.
struct Occupant {
    bool there = false;
    std::optional<Bytes32> sha256;
};

Result<Bytes32> hash_open_file(int fd, const std::string &name) {
    Sha256 hash;
    std::string buffer(wire::kStageChunkBytes, '\0');
    for (;;) {
        const ssize_t got = read(fd, buffer.data(), buffer.size());
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return errno_error(errno, "read " + name);
        if (got == 0) return hash.finish();
        hash.update(std::string_view(buffer).substr(0, static_cast<std::size_t>(got)));
    }
}

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

// A file under a name of ours beside its place; unlinked unless it was renamed.
class PendingFile {
public:
    explicit PendingFile(int folder_fd) : folder_fd_(folder_fd) {}
    ~PendingFile() {
        if (!name_.empty()) unlinkat(folder_fd_, name_.c_str(), 0);
    }

    Status copy_from(const StagedFile &source) {
        FileDescriptor from(
            open(source.source_path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
        if (!from.valid()) return errno_error(errno, "read " + source.source_path);
        std::uint64_t number;
        fill_random(&number, sizeof number);
        std::string name = ".ompi-chain-result-" + std::to_string(number);
        FileDescriptor to(openat(folder_fd_, name.c_str(),
                                 O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
        if (!to.valid()) return errno_error(errno, "write " + source.name);
        name_ = std::move(name);
        Sha256 hash;
        std::string buffer(wire::kStageChunkBytes, '\0');
        for (;;) {
            const ssize_t got = read(from.get(), buffer.data(), buffer.size());
            if (got < 0 && errno == EINTR) continue;
            if (got < 0) return errno_error(errno, "read " + source.source_path);
            if (got == 0) break;
            const auto piece = std::string_view(buffer).substr(0, static_cast<std::size_t>(got));
            hash.update(piece);
            CHAIN_TRY(write_all(to.get(), piece, "write " + source.name));
        }
        if (hash.finish() != source.sha256)
            return make_error(ErrorCode::kConflict, source.source_path,
                              " changed since it was received");
        if (fchmod(to.get(), source.mode & 0777) != 0 || fsync(to.get()) != 0)
            return errno_error(errno, "write " + source.name);
        return ok_status();
    }

    // `replace` false: errno EEXIST when something has the name.
    bool rename_to(const std::string &name, bool replace) {
        if (renameat2(folder_fd_, name_.c_str(), folder_fd_, name.c_str(),
                      replace ? 0 : RENAME_NOREPLACE) != 0)
            return false;
        name_.clear();
        return true;
    }

private:
    int folder_fd_;
    std::string name_;
};

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

Result<PlacedResult> place_result(const std::string &folder, const StagedFile &file,
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
    CHAIN_TRY(pending.copy_from(file));
    if (!occupant.there) {
        if (pending.rename_to(base_name, false))
            return PlacedResult{PlacedResult::How::kWritten, file.name};
        if (errno != EEXIST) return errno_error(errno, "write " + file.name);
    }
    // Looked at again: copying took time, in which the user may have saved a file.
    CHAIN_ASSIGN(occupant, look_at(parent.get(), base_name));
    if (occupant.sha256 && occupant.sha256 == staged_hash) {
        if (!pending.rename_to(base_name, true)) return errno_error(errno, "write " + file.name);
        return PlacedResult{PlacedResult::How::kWritten, file.name};
    }
    CHAIN_ASSIGN(PlacedResult placed, place_beside(parent.get(), base_name, file, host, pending));
    placed.name = prefix + placed.name;
    return placed;
}

}  // namespace chain::provider
