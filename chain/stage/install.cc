// SPDX-License-Identifier: BSD-3-Clause
#include "chain/stage/install.h"

#include <cerrno>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "chain/base/folder_walk.h"
#include "chain/stage/pending_file.h"
#include "chain/wire/frame.h"

namespace chain::stage {
namespace {

// The folder in which `file` belongs.
Result<FileDescriptor> open_parent(const InstallFolders &folders, const StagedFile &file,
                                   std::string &base_name) {
    const bool absolute = file.name.starts_with('/');
    const std::string &root = absolute ? folders.outside : folders.job;
    const FileDescriptor root_fd(open(root.c_str(), kFolderFlags));
    if (!root_fd.valid()) return errno_error(errno, "open the folder " + root);
    return open_parent_beneath(root_fd.get(), absolute ? file.name.substr(1) : file.name, true,
                               base_name);
}

Result<bool> move_file(int parent_fd, const std::string &base_name, const StagedFile &file,
                       ContentStore::Content &content) {
    CHAIN_ASSIGN(const FileDescriptor from, content.open());
    CHAIN_ASSIGN(const Bytes32 sha256, hash_open_file(from.get(), file.name));
    if (sha256 != file.sha256) return false;
    if (fchmod(from.get(), file.mode) != 0 ||
        renameat(AT_FDCWD, content.path().c_str(), parent_fd, base_name.c_str()) != 0)
        return errno_error(errno, "write " + file.name);
    content.forget();
    return true;
}

}  // namespace

Result<bool> install_file(const InstallFolders &folders, const StagedFile &file,
                          ContentStore::Content &content, bool may_move) {
    std::string base_name;
    CHAIN_ASSIGN(const FileDescriptor parent, open_parent(folders, file, base_name));
    if (may_move) return move_file(parent.get(), base_name, file, content);
    CHAIN_ASSIGN(const FileDescriptor from, content.open());
    PendingFile pending(parent.get());
    CHAIN_ASSIGN(const bool is_right, pending.copy_from(from.get(), file));
    if (!is_right) return false;
    if (!pending.rename_to(base_name, true)) return errno_error(errno, "write " + file.name);
    return true;
}

Status install_object(const InstallFolders &folders, const StagedFile &file,
                      const WebManner &manner) {
    std::string base_name;
    CHAIN_ASSIGN(const FileDescriptor parent, open_parent(folders, file, base_name));
    PendingFile pending(parent.get());
    CHAIN_ASSIGN(const int fd, pending.make(file));
    CHAIN_TRY(web_get(file.url, {file.size_bytes, file.etag}, fd, manner));
    if (!pending.rename_to(base_name, true)) return errno_error(errno, "write " + file.name);
    return ok_status();
}

}  // namespace chain::stage
