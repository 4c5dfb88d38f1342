// SPDX-License-Identifier: BSD-3-Clause
#include "chain/market/placement.h"

#include <algorithm>
#include <random>
#include <set>

#include <gtest/gtest.h>

namespace chain::market::test {
namespace {

TEST(Placement, DistancesAreClasses) {
    const struct {
        std::uint32_t us;
        unsigned distance;
    } rows[] = {{1, 0},       {kNearUs, 0},     {kNearUs + 1, 1},     {2 * kNearUs, 1},
                {1'001, 2},   {4 * kNearUs, 2}, {4 * kNearUs + 1, 3}, {20'000, 6},
                {100'000, 8}, {0, kFarthest},   {UINT32_MAX, 24}};
    for (const auto &row : rows) EXPECT_EQ(distance_class(row.us), row.distance) << row.us;
}

TEST(Placement, TheShorterWordCountsAndNonsenseDoesNot) {
    Distances distances(3);
    EXPECT_EQ(distances.between(0, 1), kFarthest);
    EXPECT_EQ(distances.between(1, 1), 0u);
    distances.measured(0, 1, 5'000);
    distances.measured(1, 0, 900);
    distances.measured(0, 1, 0);
    distances.measured(0, 3, 1);
    distances.measured(3, 0, 1);
    distances.measured(2, 2, 1);
    EXPECT_EQ(distances.between(0, 1), distance_class(900));
    EXPECT_EQ(distances.between(1, 0), distance_class(900));
    EXPECT_EQ(distances.between(0, 2), kFarthest);
}

TEST(Placement, NeighboursAreNear) {
    // Two rooms: even peers in one, odd ones in the other.
    Distances distances(6);
    for (std::uint32_t one = 0; one < 6; ++one)
        for (std::uint32_t other = 0; other < one; ++other)
            distances.measured(one, other, (one + other) % 2 == 0 ? 300 : 20'000);
    EXPECT_EQ(neighbour_order(distances, 0), (std::vector<std::uint32_t>{0, 2, 4, 1, 3, 5}));
    EXPECT_EQ(neighbour_order(Distances(1), 0), std::vector<std::uint32_t>{0});
    EXPECT_TRUE(neighbour_order(Distances(0), 0).empty());
    EXPECT_EQ(neighbour_order(Distances(3), 0), (std::vector<std::uint32_t>{0, 1, 2}))
        << "nothing known: as it was";
    EXPECT_EQ(neighbour_order(distances, 1), (std::vector<std::uint32_t>{1, 3, 5, 2, 4}));
    EXPECT_TRUE(neighbour_order(distances, 7).empty());
}

// Whatever is measured: everybody once, the first first; and rooms whose insides are nearer than
// anything else stay together.
TEST(Placement, RoomsStayTogether) {
    const auto seed = std::random_device{}();
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    for (int round = 0; round < 200; ++round) {
        const std::uint32_t count = 1 + random() % 20;
        const std::uint32_t rooms = 1 + random() % 4;
        std::vector<std::uint32_t> room(count);
        for (std::uint32_t &number : room) number = random() % rooms;
        Distances distances(count);
        for (std::uint32_t one = 0; one < count; ++one)
            for (std::uint32_t other = 0; other < one; ++other)
                distances.measured(one, other,
                                   room[one] == room[other]
                                       ? 1 + static_cast<std::uint32_t>(random() % 2'000)
                                       : 5'000 + static_cast<std::uint32_t>(random() % 90'000));
        const auto order = neighbour_order(distances, 0);
        ASSERT_EQ(std::set<std::uint32_t>(order.begin(), order.end()).size(), count);
        ASSERT_EQ(order.front(), 0u);
        std::set<std::uint32_t> left;
        for (std::size_t i = 1; i < order.size(); ++i) {
            if (room[order[i]] == room[order[i - 1]]) continue;
            left.insert(room[order[i - 1]]);
            EXPECT_FALSE(left.contains(room[order[i]])) << "came back into a room";
        }
    }
}

}  // namespace
}  // namespace chain::market::test
