// SPDX-License-Identifier: BSD-3-Clause
//
// Programs of the system that a command runs and waits for: tar, ldd, umoci, skopeo.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "chain/base/bytes.h"

namespace chain::cli {

inline constexpr std::size_t kProgramBytesMax = 1u
                                                << 20;  // of what it prints; the rest is left out

// Runs argv[0], a path, without a shell, in the C locale, with no input. What it printed on both
// outputs, and its exit code (-1: a signal). Errors: kNotFound, kPermission, kIo.
Result<std::pair<Bytes, int>> run_program(std::vector<std::string> argv);

// In /usr/local/bin, /usr/bin or /bin. Errors: kNotFound, with the Debian package.
Result<std::string> find_program(const std::string &name, const std::string &package);

}  // namespace chain::cli
