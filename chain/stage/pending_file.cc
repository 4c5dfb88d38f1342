// SPDX-License-Identifier: BSD-3-Clause
#include "chain/stage/pending_file.h"

#include <cerrno>
#include <cstdio>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "chain/wire/frame.h"

namespace chain::stage {
namespace {

// Calls `take` with every piece of what `fd` holds.
template <class Take>
Result<Bytes32> read_pieces(int fd, const std::string &name, Take take) {
    if (lseek(fd, 0, SEEK_SET) < 0) return errno_error(errno, "read " + name);
    Sha256 hash;
    std::string buffer(wire::kStageChunkBytes, '\0');
    for (;;) {
        CHAIN_ASSIGN(const std::size_t got,
                     read_some(fd, buffer.data(), buffer.size(), "read " + name));
        if (got == 0) return hash.finish();
        const auto piece = std::string_view(buffer).substr(0, got);
        hash.update(piece);
        CHAIN_TRY(take(piece));
    }
}

}  // namespace

Result<Bytes32> hash_open_file(int fd, const std::string &name) {
    return read_pieces(fd, name, [](std::string_view) { return ok_status(); });
}

PendingFile::~PendingFile() {
    if (!name_.empty()) unlinkat(folder_fd_, name_.c_str(), 0);
}

Result<int> PendingFile::make(const StagedFile &file) {
    const std::string doing = "write " + file.name;
    std::uint64_t number;
    fill_random(&number, sizeof number);
    std::string name = ".ompi-chain-part-" + std::to_string(number);
    file_ = FileDescriptor(openat(folder_fd_, name.c_str(),
                                  O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!file_.valid()) return errno_error(errno, doing);
    name_ = std::move(name);
    if (fchmod(file_.get(), file.mode & 0777) != 0) return errno_error(errno, doing);
    return file_.get();
}

Result<bool> PendingFile::copy_from(int from_fd, const StagedFile &file) {
    CHAIN_ASSIGN(const int to_fd, make(file));
    CHAIN_ASSIGN(const Bytes32 sha256, read_pieces(from_fd, file.name, [&](std::string_view piece) {
                     return write_all(to_fd, piece, "write " + file.name);
                 }));
    return sha256 == file.sha256;
}

Status PendingFile::sync(const std::string &name) {
    if (fsync(file_.get()) != 0) return errno_error(errno, "write " + name);
    is_synced_ = true;
    return ok_status();
}

bool PendingFile::rename_to(const std::string &name, bool replace) {
    // A full disk may come to light only here (NFS, quotas).
    if (file_.valid() && close(file_.release()) != 0) return false;
    if (renameat2(folder_fd_, name_.c_str(), folder_fd_, name.c_str(),
                  replace ? 0 : RENAME_NOREPLACE) != 0)
        return false;
    name_.clear();
    // Whoever hears that it is there may throw away his copy. A file system that cannot: no matter.
    if (is_synced_) static_cast<void>(fsync(folder_fd_));
    return true;
}

}  // namespace chain::stage
