// SPDX-License-Identifier: BSD-3-Clause
#include "incentive/rewards.h"

#include <limits>

#include <gtest/gtest.h>

#include "tests/incentive/property.h"

namespace incentive {
namespace {

using chain::kMaxAmountUnits;
using test::Draw;
using test::for_all;
using test::say;

constexpr std::uint64_t kMostReward = std::numeric_limits<std::uint64_t>::max();

TEST(Emitted, HalvesInEachPeriod) {
    const struct {
        std::int64_t pool;
        std::uint64_t halving_ms, elapsed_ms;
        std::int64_t emitted;
    } cases[] = {
        {1'000, 100, 0, 0},
        {1'000, 100, 1, 5},
        {1'000, 100, 50, 250},
        {1'000, 100, 99, 495},
        {1'000, 100, 100, 500},
        {1'000, 100, 150, 625},
        {1'000, 100, 200, 750},
        {1'000, 100, 300, 875},
        {1'000, 100, 400, 938},
        {1'000, 100, 900, 999},
        {1'000, 100, 999, 999},
        {1'000, 100, 1'000, 1'000},
        {1, 100, 0, 0},
        {1, 100, 99, 0},
        {1, 100, 100, 1},
        {0, 100, 1'000, 0},
        {7, 1, kMostReward, 7},
        {7, kMostReward, kMostReward, 4},
        {kMaxAmountUnits, 1, 61, kMaxAmountUnits - 1},
        {kMaxAmountUnits, 1, 62, kMaxAmountUnits},
    };
    for (const auto &c : cases)
        EXPECT_EQ(emitted(Amount{c.pool}, c.halving_ms, c.elapsed_ms).units, c.emitted)
            << c.pool << " " << c.elapsed_ms;
}

TEST(Emitted, NeverFallsAndReachesThePoolExactly) {
    for_all(200'000, [](Draw &draw) -> std::string {
        const Amount pool{static_cast<std::int64_t>(draw.sized(kMaxAmountUnits))};
        const std::uint64_t halving_ms = 1 + draw.sized(kMostReward / 64 - 1);
        const std::uint64_t earlier = draw.up_to(63 * halving_ms);
        const std::uint64_t later = earlier + draw.sized(halving_ms);
        const Amount a = emitted(pool, halving_ms, earlier), b = emitted(pool, halving_ms, later);
        if (a.units < 0 || a > b || b > pool)
            return say(pool.units, halving_ms, earlier, later, "give", a.units, b.units);
        return emitted(pool, halving_ms, 62 * halving_ms) == pool ? "" : say("left over");
    });
}

// Whatever the times of blocks, and however many there are, their rewards add up to what was to be
// paid out by the last one: also when time stands still between two, or goes back.
TEST(BlockReward, AddsUpToWhatIsEmitted) {
    for_all(5'000, [](Draw &draw) -> std::string {
        Params params;
        params.reward_pool_units = draw.sized(kMaxAmountUnits);
        params.reward_halving_ms = 1 + draw.sized(1'000'000'000'000);
        const Amount pool{static_cast<std::int64_t>(params.reward_pool_units)};
        std::uint64_t now = 0;
        std::int64_t sum = 0;
        for (std::uint64_t blocks = draw.up_to(200); blocks > 0; --blocks) {
            const std::uint64_t next = now + draw.sized(params.reward_halving_ms);
            if (block_reward(params, next, now).units != 0) return say("paid for time that passed");
            sum += block_reward(params, now, next).units;
            now = next;
        }
        const std::int64_t out = emitted(pool, params.reward_halving_ms, now).units;
        return sum == out ? "" : say(sum, "of", out, "by", now, "pool", pool.units);
    });
}

TEST(BlockReward, WithoutAPoolThereIsNone) {
    EXPECT_EQ(block_reward(Params{}, 0, kMostReward).units, 0);
}

}  // namespace
}  // namespace incentive
