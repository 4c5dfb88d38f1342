// SPDX-License-Identifier: BSD-3-Clause
//
// Placement: who is near whom. Distances are round trips, as peers measured them, in classes of a
// factor of two: what differs by less is noise, and decides nothing.
//
// Pure functions; any thread.
#pragma once

#include <cstdint>
#include <vector>

namespace chain::market {

// Below this everything is near: one room, or one machine.
inline constexpr std::uint32_t kNearUs = 500;
inline constexpr unsigned kFarthest = 255;  // nobody has measured it

// 0 up to kNearUs, 1 up to twice that, and so on.
unsigned distance_class(std::uint32_t round_trip_us);  // 0: not known

// Between `count` peers, and as far both ways.
class Distances {
public:
    explicit Distances(std::uint32_t count);
    // The shorter of what both ends say. Peers that are not here, and 0, say nothing.
    void measured(std::uint32_t one, std::uint32_t other, std::uint32_t round_trip_us);
    unsigned between(std::uint32_t one, std::uint32_t other) const;
    std::uint32_t count() const { return count_; }

private:
    std::uint32_t count_;
    std::vector<std::uint8_t> classes_;
};

// All peers from `first` on, that one first, each followed by the nearest of those that are left;
// of equally near ones the lowest. So ranks with neighbouring numbers, which most programs let talk
// most, are near each other.
std::vector<std::uint32_t> neighbour_order(const Distances &distances, std::uint32_t first);

}  // namespace chain::market
