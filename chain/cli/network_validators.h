// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "chain/cli/cli.h"

namespace chain::cli {

inline constexpr char kDefaultPort[] = "7660";

// `network new --validators …`.
Result<int> found_validators(Invocation &invocation);

}  // namespace chain::cli
