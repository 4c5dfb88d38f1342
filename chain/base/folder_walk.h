// SPDX-License-Identifier: BSD-3-Clause
//
// Walks through folders that a stranger's program wrote into: every step is an openat of one name
// with O_NOFOLLOW below a folder that is held open, so no symbolic link is followed, also none that
// is put in place meanwhile.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include <fcntl.h>
#include <sys/stat.h>

#include "chain/base/file.h"

namespace chain {

inline constexpr int kFolderFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

struct WalkEntry {
    std::string name;       // relative to the folder that is walked
    std::string base_name;  // its last part
    int parent_fd;          // the folder that holds it
    struct stat status;     // of the entry itself, not of what a link points to
};

// Calls `visit` for everything below `folder`, a folder before what it holds, until it returns
// false. Folders that cannot be opened are left out. Errors: kNotFound, kPermission, kIo (folder
// itself), kTooLarge (more than `limit_entries`, or deeper than names may be long).
Status walk_folder(const std::string &folder, std::size_t limit_entries,
                   const std::function<bool(const WalkEntry &)> &visit);

// The folder that holds `name` (is_safe_relative_path) below `root_fd`; `create`: makes the missing
// ones. `base_name` is set to the last part of `name`.
// Errors: kInvalidInput (name), kConflict when a part is there and is no folder, kNotFound,
// kDiskFull, kPermission, kIo.
Result<FileDescriptor> open_parent_beneath(int root_fd, std::string_view name, bool create,
                                           std::string &base_name);

// The regular file `name` below `root`, for reading; never a link, pipe or device. Errors:
// kNotFound, kConflict (something else is there), kPermission, kIo.
Result<FileDescriptor> open_file_beneath(const std::string &root, std::string_view name);

// rm -rf that gets through folders whose modes forbid it (as their owner, or root), and follows no
// link. A missing path is fine.
Status remove_hostile_tree(const std::string &path);

}  // namespace chain
