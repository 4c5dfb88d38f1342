// SPDX-License-Identifier: BSD-3-Clause
#include "chain/market/timetable.h"

#include <algorithm>

namespace chain::market {
namespace {

std::uint64_t add_up(std::uint64_t a, std::uint64_t b) {
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

}  // namespace

Load Timetable::at(std::uint64_t ms) const {
    Load load;
    for (const Entry &entry : entries_) {
        if (ms < entry.period.from_ms || ms >= entry.period.until_ms) continue;
        load.slots = add_up(load.slots, entry.load.slots);
        load.memory_bytes = add_up(load.memory_bytes, entry.load.memory_bytes);
    }
    return load;
}

// Load grows at the begin of an entry only: looking at these moments, and at the first one, is
// looking at all.
std::vector<std::uint64_t> Timetable::rises_in(const Period &period) const {
    if (period.from_ms >= period.until_ms) return {};
    std::vector<std::uint64_t> moments = {period.from_ms};
    for (const Entry &entry : entries_)
        if (entry.period.from_ms > period.from_ms && entry.period.from_ms < period.until_ms)
            moments.push_back(entry.period.from_ms);
    std::sort(moments.begin(), moments.end());
    return moments;
}

Load Timetable::peak(const Period &period) const {
    Load peak;
    for (const std::uint64_t ms : rises_in(period)) {
        const Load load = at(ms);
        peak.slots = std::max(peak.slots, load.slots);
        peak.memory_bytes = std::max(peak.memory_bytes, load.memory_bytes);
    }
    return peak;
}

std::optional<std::uint64_t> Timetable::first_conflict(const Period &period, const Load &load,
                                                       const Load &capacity) const {
    for (const std::uint64_t ms : rises_in(period)) {
        const Load taken = at(ms);
        if (add_up(taken.slots, load.slots) > capacity.slots ||
            add_up(taken.memory_bytes, load.memory_bytes) > capacity.memory_bytes)
            return ms;
    }
    return std::nullopt;
}

}  // namespace chain::market
