// SPDX-License-Identifier: BSD-3-Clause
#include "incentive/mining.h"

#include <limits>

#include <gtest/gtest.h>

#include "incentive/params.h"
#include "tests/incentive/property.h"

namespace incentive {
namespace {

using test::Draw;
using test::for_all;
using test::say;
using Wide = unsigned __int128;

constexpr std::uint64_t kMostMined = std::numeric_limits<std::uint64_t>::max();

TEST(TokensBought, Table) {
    const struct {
        std::uint64_t income, price;
        std::int64_t bought;
    } cases[] = {
        {0, 1, 0},
        {125'000, 40, 3'125'000'000'000},
        {125'000, 37, 3'378'378'378'378},  // ….378
        {1, 1'000'000'000, 1},
        {1, 1'000'000'001, 0},  // too little to buy a unit
        {4'000'000'000, 1, chain::kMaxAmountUnits},
        {kMostMined, kMostMined, 1'000'000'000},
    };
    for (const auto &c : cases)
        EXPECT_EQ(tokens_bought(c.income, c.price)->units, c.bought) << c.income << " " << c.price;
}

TEST(TokensBought, NoPriceAndTooMuchAreErrors) {
    EXPECT_EQ(tokens_bought(1, 0).error().code, chain::ErrorCode::kInvalidInput);
    EXPECT_EQ(tokens_bought(4'000'000'001, 1).error().code, chain::ErrorCode::kTooLarge);
    EXPECT_EQ(tokens_bought(kMostMined, 1).error().code, chain::ErrorCode::kTooLarge);
}

TEST(AskFloor, Table) {
    const struct {
        std::int64_t mined;
        Cycles cycles;
        std::uint32_t margin_ppm;
        std::int64_t floor;
    } cases[] = {
        {0, 1, 0, 0},
        {30'000'000, chain::kCyclesPerGhzHour, 0, 30'000'000},
        {30'000'000, chain::kCyclesPerGhzHour, 100'000, 33'000'000},
        {30'000'000, chain::kCyclesPerGhzHour, 52'632, 31'578'960},
        {10, 3 * chain::kCyclesPerGhzHour, 0, 4},  // 3.33: up
        {10, 3 * chain::kCyclesPerGhzHour, 1, 5},  // 4.000004: up again
        {1, kMostMined, 0, 1},
    };
    for (const auto &c : cases)
        EXPECT_EQ(ask_floor_per_ghz_h(Amount{c.mined}, c.cycles, c.margin_ppm)->units, c.floor)
            << c.mined << " " << c.cycles;
    EXPECT_EQ(ask_floor_per_ghz_h(Amount{1}, 0, 0).error().code, chain::ErrorCode::kInvalidInput);
    EXPECT_EQ(ask_floor_per_ghz_h(Amount{chain::kMaxAmountUnits}, 1, 0).error().code,
              chain::ErrorCode::kTooLarge);
}

// Never more than the income is worth, and less than a unit short of it.
TEST(TokensBought, IsTheIncomesWorthRoundedDown) {
    for_all(200'000, [](Draw &draw) -> std::string {
        const std::uint64_t income = draw.sized(4'000'000'000);
        const std::uint64_t price = 1 + draw.sized(kMostMined - 1);
        const auto bought = static_cast<Wide>(tokens_bought(income, price)->units);
        const Wide worth = static_cast<Wide>(income) * chain::kUnitsPerToken;
        return bought * price <= worth && worth < (bought + 1) * price ? "" : say(income, price);
    });
}

// What a GHz·h earns at the floor, after the burned part, is not less than mining brought in, when
// the margin covers the burned part.
TEST(AskFloor, AtTheFloorLendingIsNotWorseThanMining) {
    for_all(200'000, [](Draw &draw) -> std::string {
        const Params params;
        const Amount mined{static_cast<std::int64_t>(draw.sized(1'000'000'000'000))};
        const Cycles cycles = 1 + draw.sized(kMostMined - 1);
        const auto plain = ask_floor_per_ghz_h(mined, cycles, 0);
        if (!plain.ok()) return "";
        const auto worth = static_cast<Wide>(mined.units) * chain::kCyclesPerGhzHour;
        if (static_cast<Wide>(plain->units) * cycles < worth) return say(mined.units, cycles);
        const auto floor = ask_floor_per_ghz_h(mined, cycles, 52'632);
        if (!floor.ok()) return "";
        const auto kept = static_cast<Wide>(floor->units) * (chain::kPpm - params.burn_ppm);
        const auto least = static_cast<Wide>(plain->units) * chain::kPpm;
        return kept >= least ? "" : say("burned away:", mined.units, cycles);
    });
}

}  // namespace
}  // namespace incentive
