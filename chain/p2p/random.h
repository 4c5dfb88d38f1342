// SPDX-License-Identifier: BSD-3-Clause
//
// Choices that nobody outside can foresee, from the operating system's generator.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "chain/base/bytes.h"

namespace chain::p2p {

// 0 … bound-1. Precondition: bound > 0. The bias is below bound / 2^64.
inline std::uint64_t random_below(std::uint64_t bound) {
    std::uint64_t random = 0;
    fill_random(&random, sizeof random);
    return random % bound;
}

// Somewhere in the upper half of `pause_ms`, so that many peers of a restarted one do not all come
// back at the same moment.
inline std::uint64_t jittered_ms(std::uint64_t pause_ms) {
    return pause_ms / 2 + random_below(pause_ms / 2 + 1);
}

// Leaves `count` of `items`, or all, in random order.
template <class Item>
void keep_random(std::vector<Item> &items, std::size_t count) {
    for (std::size_t i = 0; i < items.size() && i < count; ++i)
        std::swap(items[i], items[i + random_below(items.size() - i)]);
    if (items.size() > count) items.erase(items.begin() + static_cast<long>(count), items.end());
}

}  // namespace chain::p2p
