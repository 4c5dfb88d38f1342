// SPDX-License-Identifier: BSD-3-Clause
//
// JSON of what the daemon says, as `--json` and --chain-report write it: snake_case, money both as
// an integer of base units and as a decimal string, times as RFC 3339 in UTC (null: not yet).
#pragma once

#include <cstdint>
#include <string>

#include <nlohmann/json.hpp>

#include "chain/wire/control.pb.h"

namespace chain::client {

using Json = nlohmann::ordered_json;

// {"units": 30000000, "tokens": "0.03"}
Json json_amount(std::int64_t units);
// "2026-11-22T10:03:07Z", or null for 0.
Json json_time(std::uint64_t unix_ms);
Json json_bill(const wire::Bill &bill);
// Two spaces deep, with a line feed at the end; bytes that are no UTF-8 are replaced.
std::string json_text(const Json &json);

}  // namespace chain::client
