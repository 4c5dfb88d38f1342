// SPDX-License-Identifier: BSD-3-Clause
//
// Install: staged files in the folders of a leg, before its program runs.
//
// Blocks on the disk: for a worker. Thread-safe for different folders.
#pragma once

#include <atomic>
#include <string>

#include "chain/stage/receiver.h"

namespace chain::stage {

struct InstallFolders {
    std::string job;      // of relative names
    std::string outside;  // of absolute ones, below it
};

// For Receiver::place. The file appears under its name whole and verified, or not at all; follows
// no symbolic link. Errors: kConflict (a folder's name is taken), kDiskFull, kPermission, kIo.
Result<bool> install_file(const InstallFolders &folders, const StagedFile &file,
                          ContentStore::Content &content, bool may_move);

// For Receiver::fetch, of a file in a store. Errors: also those of web_get.
Status install_object(const InstallFolders &folders, const StagedFile &file,
                      const WebManner &manner);

}  // namespace chain::stage
