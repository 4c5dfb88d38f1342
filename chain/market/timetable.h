// SPDX-License-Identifier: BSD-3-Clause
//
// Timetable: what of a machine is promised when. One entry per lease that runs or is reserved, from
// its begin to the latest moment at which it can still hold what it has.
//
// Plain values; any thread. Entries are few (Bookings::kBookingsMax), so every question looks at
// all of them.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace chain::market {

// From `from_ms` on, until before `until_ms`; Unix time. Empty when they are equal.
struct Period {
    std::uint64_t from_ms = 0;
    std::uint64_t until_ms = 0;
    bool overlaps(const Period &other) const {
        return from_ms < other.until_ms && other.from_ms < until_ms && from_ms < until_ms &&
               other.from_ms < other.until_ms;
    }
};

struct Load {
    std::uint64_t slots = 0;
    std::uint64_t memory_bytes = 0;
    friend bool operator==(const Load &, const Load &) = default;
};

class Timetable {
public:
    void add(const Period &period, const Load &load) { entries_.push_back({period, load}); }

    // The most of each that is promised at any one moment of `period`; both need not come at the
    // same moment.
    Load peak(const Period &period) const;

    // The first moment of `period` at which `load` more would be above `capacity`; nullopt: it fits
    // all the time.
    std::optional<std::uint64_t> first_conflict(const Period &period, const Load &load,
                                                const Load &capacity) const;

private:
    struct Entry {
        Period period;
        Load load;
    };
    Load at(std::uint64_t ms) const;
    std::vector<std::uint64_t> rises_in(const Period &period) const;

    std::vector<Entry> entries_;
};

}  // namespace chain::market
