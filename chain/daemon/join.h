// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "chain/daemon/daemon.h"

namespace chain::daemon {

// `--join FILE`: puts what the file has into the data folder, where later starts find it, and fills
// what the command line left open. Without the option: from the file that an earlier start took in,
// if there is one. Errors: kCorrupt, kConflict (the folder belongs to another network or wallet),
// kNotFound, kDiskFull, kIo.
Status apply_join_file(DaemonOptions &options, const std::string &join_path);

}  // namespace chain::daemon
