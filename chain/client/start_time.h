// SPDX-License-Identifier: BSD-3-Clause
//
// Start time: when a lease is to begin, as a person types it. Local means the time zone of this
// process (TZ, /etc/localtime). Pure functions otherwise; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "chain/base/result.h"

namespace chain::client {

inline constexpr std::string_view kStartTimeForm =
    "A time is written 2026-12-01T08:00 (local; or with Z or +01:00 at its end), 18:30 (the next "
    "one) or +2h.";

// Unix time in milliseconds, later than `now_ms`. Errors: kInvalidInput, with what is wrong in
// words: the form, a day or time that does not exist (also where clocks go forward), or one that
// has passed. Of a local time that comes twice, as clocks go back, the first one is meant.
Result<std::uint64_t> parse_start_time(std::string_view text, std::uint64_t now_ms);

// "Tue 2026-12-01 08:00 CET": for people, in local time. With seconds unless they are 0.
std::string format_local(std::uint64_t unix_ms);

}  // namespace chain::client
