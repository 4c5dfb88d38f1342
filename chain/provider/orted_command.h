// SPDX-License-Identifier: BSD-3-Clause
//
// Orted command: from the typed fields of a stranger's Launch to the one command line that is
// started in the sandbox. Never a shell, never a string of the stranger's as an option of its own.
// Pure functions; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "chain/base/result.h"
#include "chain/wire/peer.pb.h"

namespace chain::provider {

inline constexpr const char *kOrtedPath = "/usr/bin/orted";  // inside the sandbox
inline constexpr std::uint32_t kDaemonCountMax = 10'000;
inline constexpr std::size_t kNodeRegexBytesMax = 16u << 10;
inline constexpr std::size_t kHnpUriBytesMax = 4u << 10;
inline constexpr std::size_t kHnpAddressesMax = 64;

// Is every field what mpirun would send, and nothing else? Errors: kProtocol, naming the field.
Status check_launch(const wire::Launch &launch);

// argv of orted for `launch`. Without --daemonize: in a pid namespace that would end the sandbox.
// Errors: as check_launch. Precondition: orted_path is absolute.
Result<std::vector<std::string>> orted_command(const wire::Launch &launch,
                                               const std::string &orted_path = kOrtedPath);

}  // namespace chain::provider
