// SPDX-License-Identifier: BSD-3-Clause
//
// Log: one line per event, `time level category text`, to stderr or to a file. Categories are
// folders ("market", "ledger"). Every move of money is logged once, with ids; keys and payloads
// never. Thread-safe.
#pragma once

#include <string>
#include <string_view>

#include "chain/base/result.h"

namespace chain {

enum class LogLevel { kDebug, kNote, kWarning, kError };

Result<LogLevel> parse_log_level(std::string_view text);  // debug | note | warning | error
void set_log_level(LogLevel least);
bool log_enabled(LogLevel level);
void log_line(LogLevel level, std::string_view category, std::string_view text);

template <class... Parts>
void log(LogLevel level, std::string_view category, const Parts &...parts) {
    if (!log_enabled(level)) return;
    std::string text;
    (detail::append_part(text, parts), ...);
    log_line(level, category, text);
}

}  // namespace chain
