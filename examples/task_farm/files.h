// SPDX-License-Identifier: BSD-3-Clause
// Whole files, as programs that send them to ranks need them.
#pragma once

#include <string>

#include "examples/task_farm/task_farm.h"

namespace task_farm {

inline constexpr size_t kFileBytesMax = 256 << 20;

// std::runtime_error: none, empty, no plain file, too large, or not to be read.
Bytes read_file(const std::string &path);

// Under a temporary name first: nobody sees half a file. std::runtime_error.
void write_file(const std::string &path, const void *data, size_t size);

}  // namespace task_farm
