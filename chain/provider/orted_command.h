// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <string>
#include <vector>
#include "chain/base/result.h"
#include "chain/wire/peer.pb.h"
namespace chain::provider {
Result<std::vector<std::string>> orted_command(const wire::Launch &launch);
}
