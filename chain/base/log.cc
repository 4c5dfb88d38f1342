// SPDX-License-Identifier: BSD-3-Clause
#include "chain/base/log.h"

#include <atomic>
#include <cstdio>
#include <ctime>

#include <unistd.h>

namespace chain {
namespace {

std::atomic<LogLevel> least_level{LogLevel::kNote};

constexpr std::string_view kLevelNames[] = {"debug", "note", "warning", "error"};

}  // namespace

Result<LogLevel> parse_log_level(std::string_view text) {
    for (std::size_t i = 0; i < std::size(kLevelNames); ++i)
        if (kLevelNames[i] == text) return static_cast<LogLevel>(i);
    return make_error(ErrorCode::kInvalidInput, "log level \"", text,
                      "\" is none of debug, note, warning, error");
}

void set_log_level(LogLevel least) {
    least_level = least;
}

bool log_enabled(LogLevel level) {
    return level >= least_level;
}

void log_line(LogLevel level, std::string_view category, std::string_view text) {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    tm utc{};
    gmtime_r(&now.tv_sec, &utc);
    char stamp[40];
    const std::size_t length = strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &utc);
    std::snprintf(stamp + length, sizeof stamp - length, ".%03ldZ ", now.tv_nsec / 1'000'000);
    std::string line = stamp;
    line += kLevelNames[static_cast<std::size_t>(level)];
    line += ' ';
    line += category;
    line += ": ";
    for (const char c : text) line += c == '\n' || c == '\r' ? ' ' : c;  // one event, one line
    line += '\n';
    // One write keeps lines whole between threads; a log that cannot be written stops nothing.
    [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace chain
