// SPDX-License-Identifier: BSD-3-Clause
//
// The sandbox's inside, as arguments of bubblewrap. Builds text and touches nothing but the lease's
// etc/ folder.
#pragma once

#include <string>
#include <vector>

#include "chain/provider/sandbox.h"

namespace chain::provider {

// The uid and gid that programs see inside; outside they are the leg's.
inline constexpr unsigned kInsideUid = 1000;

// Writes passwd, group, hosts into <lease_folder>/etc. Errors: kDiskFull, kPermission, kIo.
Status write_etc(const SandboxSpec &spec);

// What stands before "--" and the command, without "bwrap" itself. The descriptors are numbers in
// bwrap's process. Errors: kInvalidInput for a spec that could reach outside of its
// lease (paths that is_system_path refuses, an odd host name), kTooLarge.
Result<std::vector<std::string>> bwrap_arguments(const SandboxSpec &spec, int seccomp_fd,
                                                 int info_fd, int block_fd);

}  // namespace chain::provider
