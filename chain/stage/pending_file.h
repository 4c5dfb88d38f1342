// SPDX-License-Identifier: BSD-3-Clause
//
// PendingFile: a file under a name of ours beside its place; it gets that name when it is whole, or
// goes.
#pragma once

#include <string>

#include "chain/stage/staged_file.h"

namespace chain::stage {

class PendingFile {
public:
    // Below `folder_fd`, which outlives it.
    explicit PendingFile(int folder_fd) : folder_fd_(folder_fd) {}
    ~PendingFile();
    PendingFile(const PendingFile &) = delete;
    PendingFile &operator=(const PendingFile &) = delete;

    // Makes it, empty, with the mode of `file`; to be written to. Errors: as below.
    Result<int> make(const StagedFile &file);
    // Copies what `from_fd` holds, from its beginning; false when that is not `file`'s content.
    // Errors: kDiskFull, kPermission, kIo.
    Result<bool> copy_from(int from_fd, const StagedFile &file);
    // A power cut takes nothing of it from now on. Errors: kDiskFull, kIo.
    Status sync(const std::string &name);
    // False: errno says why; EEXIST without `replace` when something has the name.
    bool rename_to(const std::string &name, bool replace);

private:
    const int folder_fd_;
    std::string name_;
    FileDescriptor file_;
    bool is_synced_ = false;
};

// From its beginning. Errors: kIo.
Result<Bytes32> hash_open_file(int fd, const std::string &name);

}  // namespace chain::stage
