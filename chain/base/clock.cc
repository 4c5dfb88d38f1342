// SPDX-License-Identifier: BSD-3-Clause
#include "chain/base/clock.h"

#include <ctime>

namespace chain {
namespace {

std::uint64_t read_ms(clockid_t id) {
    timespec now{};
    clock_gettime(id, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1000 +
           static_cast<std::uint64_t>(now.tv_nsec) / 1'000'000;
}

class SystemClock final : public Clock {
public:
    std::uint64_t unix_ms() const override { return read_ms(CLOCK_REALTIME); }
    std::uint64_t steady_ms() const override { return read_ms(CLOCK_MONOTONIC); }
};

}  // namespace

const Clock &system_clock() {
    static const SystemClock clock;
    return clock;
}

std::string format_utc(std::uint64_t unix_ms) {
    const auto seconds = static_cast<time_t>(unix_ms / 1000);
    tm utc{};
    gmtime_r(&seconds, &utc);
    char text[32];
    return std::string(text, strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc));
}

}  // namespace chain
