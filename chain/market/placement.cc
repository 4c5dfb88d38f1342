// SPDX-License-Identifier: BSD-3-Clause
#include "chain/market/placement.h"

#include <algorithm>
#include <bit>
#include <numeric>

#include "chain/base/result.h"

namespace chain::market {

unsigned distance_class(std::uint32_t round_trip_us) {
    if (round_trip_us == 0) return kFarthest;
    return static_cast<unsigned>(std::bit_width((round_trip_us - 1) / kNearUs));
}

Distances::Distances(std::uint32_t count)
    : count_(count), classes_(std::size_t{count} * count, kFarthest) {}

void Distances::measured(std::uint32_t one, std::uint32_t other, std::uint32_t round_trip_us) {
    if (one >= count_ || other >= count_ || one == other) return;
    for (const std::size_t at :
         {std::size_t{one} * count_ + other, std::size_t{other} * count_ + one})
        classes_[at] = static_cast<std::uint8_t>(
            std::min<unsigned>(classes_[at], distance_class(round_trip_us)));
}

unsigned Distances::between(std::uint32_t one, std::uint32_t other) const {
    CHAIN_CHECK(one < count_ && other < count_);
    return one == other ? 0 : classes_[std::size_t{one} * count_ + other];
}

std::vector<std::uint32_t> neighbour_order(const Distances &distances, std::uint32_t first) {
    std::vector<std::uint32_t> order(distances.count() - std::min(first, distances.count()));
    std::iota(order.begin(), order.end(), first);
    for (std::size_t placed = 1; placed + 1 < order.size(); ++placed) {
        const std::uint32_t last = order[placed - 1];
        // The first of equals is the lowest: those that are left stay in their order.
        const auto nearest = std::min_element(
            order.begin() + static_cast<std::ptrdiff_t>(placed), order.end(),
            [&](std::uint32_t one, std::uint32_t other) {
                return distances.between(last, one) < distances.between(last, other);
            });
        std::rotate(order.begin() + static_cast<std::ptrdiff_t>(placed), nearest, nearest + 1);
    }
    return order;
}

}  // namespace chain::market
