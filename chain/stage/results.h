// SPDX-License-Identifier: BSD-3-Clause
//
// Results at the renter's side: files that came back from a leased machine, put where the job was
// started, never over something that changed meanwhile.
//
// Blocks on the disk: for a worker. Thread-safe for different folders.
#pragma once

#include <optional>
#include <string>

#include "chain/base/bytes.h"
#include "chain/stage/staged_file.h"

namespace chain::stage {

struct PlacedResult {
    enum class How {
        kWritten,    // under its own name
        kUnchanged,  // the same content is there already; nothing was written
        kDamaged,    // the source holds something else than `file`; nothing was written
        kBeside,     // as <name>.from-<host>, because something else has the name: tell the user
    };
    How how = How::kWritten;
    std::string name;  // relative to the folder: the name used
};

// Copies what `source_fd` holds to `file.name` below `folder`, making the folders between. Its own
// name is used if that is free, or if what is there still has `staged_hash`, the content that was
// sent to the peers (nullopt: was not sent). Appears whole or not at all; follows no symbolic link
// below `folder`. Errors: kInvalidInput (name, host), kConflict (a folder's name is taken; 100
// versions are there), kNotFound, kDiskFull, kPermission, kIo. Nothing changed then, but folders.
Result<PlacedResult> place_result(const std::string &folder, const StagedFile &file, int source_fd,
                                  const std::optional<Bytes32> &staged_hash,
                                  const std::string &host);

}  // namespace chain::stage
