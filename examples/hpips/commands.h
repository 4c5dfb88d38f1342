// SPDX-License-Identifier: BSD-3-Clause
// `hpips ops` and `hpips info`.
#pragma once

#include "examples/hpips/options.h"

namespace hpips {

int list_operators(const Options &options);
int show_files(const Options &options);

}  // namespace hpips
