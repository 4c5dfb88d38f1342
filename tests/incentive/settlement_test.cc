// SPDX-License-Identifier: BSD-3-Clause
#include "incentive/settlement.h"

#include <limits>
#include <random>

#include <gtest/gtest.h>

namespace incentive {
namespace {

using chain::kCyclesPerGhzHour;
using chain::kMaxAmountUnits;

constexpr Amount kPrice{30'000'000};  // 0.03 tokens per GHz·h

TEST(Payment, RoundsDownAndEscrowRoundsUp) {
    const struct {
        std::int64_t price;
        Cycles cycles;
        std::int64_t payment, escrow;
    } cases[] = {
        {30'000'000, 0, 0, 0},
        {30'000'000, 1, 0, 1},
        {30'000'000, 120'000, 1, 1},  // exactly one unit
        {30'000'000, 120'001, 1, 2},
        {30'000'000, 119'999, 0, 1},
        {30'000'000, kCyclesPerGhzHour, 30'000'000, 30'000'000},
        {0, std::numeric_limits<Cycles>::max(), 0, 0},
        {1, kCyclesPerGhzHour - 1, 0, 1},
        {1, kCyclesPerGhzHour, 1, 1},
    };
    for (const auto &c : cases) {
        EXPECT_EQ(payment(Amount{c.price}, c.cycles)->units, c.payment) << c.cycles;
        EXPECT_EQ(escrow(Amount{c.price}, c.cycles)->units, c.escrow) << c.cycles;
    }
}

TEST(Payment, BeyondTheRangeIsAnErrorNotAWrap) {
    const Amount most{kMaxAmountUnits};
    EXPECT_EQ(payment(most, kCyclesPerGhzHour)->units, kMaxAmountUnits);
    for (const Cycles cycles : {kCyclesPerGhzHour + 1, std::numeric_limits<Cycles>::max()}) {
        const auto beyond = payment(most, cycles);
        ASSERT_FALSE(beyond.ok());
        EXPECT_EQ(beyond.error().code, chain::ErrorCode::kTooLarge);
        EXPECT_FALSE(escrow(most, cycles).ok());
    }
}

TEST(Collateral, RoundsUp) {
    Params params;
    EXPECT_EQ(collateral(Amount{0}, params)->units, 0);
    EXPECT_EQ(collateral(Amount{1}, params)->units, 1);
    EXPECT_EQ(collateral(Amount{10}, params)->units, 1);
    EXPECT_EQ(collateral(Amount{11}, params)->units, 2);
    params.collateral_ppm = 0;
    EXPECT_EQ(collateral(Amount{11}, params)->units, 0);
    params.collateral_ppm = chain::kPpm;
    EXPECT_EQ(collateral(Amount{kMaxAmountUnits}, params)->units, kMaxAmountUnits);
}

TEST(CyclesBound, IsExactAndSaturates) {
    constexpr Cycles kMost = std::numeric_limits<Cycles>::max();
    EXPECT_EQ(cycles_bound(2, 2'500'000'000, 3'600'000), 2ULL * 2'500'000'000 * 3600);
    EXPECT_EQ(cycles_bound(1, 999, 1), 0u);  // less than a cycle has not happened
    EXPECT_EQ(cycles_bound(1, 1'000, 1), 1u);
    EXPECT_EQ(cycles_bound(3, 333'333, 1'000), 999'999u);
    EXPECT_EQ(cycles_bound(0, kMost, kMost), 0u);
    EXPECT_EQ(cycles_bound(1, 1'000, kMost), kMost);
    EXPECT_EQ(cycles_bound(1, 1'001, kMost), kMost);
    EXPECT_EQ(cycles_bound(0xffffffff, kMost, kMost), kMost);
    EXPECT_EQ(cycles_bound(1, kMost, 1'000), kMost);
}

TEST(SettleLeg, Table) {
    const Params params;  // 5 % burned
    const struct {
        std::int64_t escrow, payment, collateral;
        std::int64_t to_provider, burned, refund;
    } cases[] = {
        {100, 100, 10, 95, 5, 0}, {100, 0, 10, 0, 0, 100},  {100, 1, 10, 0, 1, 99},
        {100, 19, 0, 18, 1, 81},  {100, 21, 10, 19, 2, 79}, {0, 0, 0, 0, 0, 0},
    };
    for (const auto &c : cases) {
        const auto parts =
            settle_leg(Amount{c.escrow}, Amount{c.payment}, Amount{c.collateral}, params);
        ASSERT_TRUE(parts.ok());
        const LegSettlement expected{Amount{c.to_provider}, Amount{c.burned}, Amount{c.refund},
                                     Amount{c.collateral}};
        EXPECT_EQ(*parts, expected) << c.escrow << " " << c.payment;
    }
    const auto too_much = settle_leg(Amount{100}, Amount{101}, Amount{10}, params);
    ASSERT_FALSE(too_much.ok());
    EXPECT_EQ(too_much.error().code, chain::ErrorCode::kInvalidInput);
}

// The figures of docs/money_rules.md, "A worked example".
TEST(WorkedExample, OfTheDocumentation) {
    const Params params;
    const Cycles cycles_max = cycles_bound(2, 2'500'000'000, 3'600'000);
    EXPECT_EQ(cycles_max, 18'000'000'000'000u);
    EXPECT_EQ(chain::format_ghz_hours(cycles_max, 0), "5");
    const Amount locked = *escrow(kPrice, cycles_max);
    EXPECT_EQ(locked.units, 150'000'000);
    EXPECT_EQ(collateral(locked, params)->units, 15'000'000);
    const Cycles used = 4'321'000'123'456;
    const Amount paid = *payment(kPrice, used);
    EXPECT_EQ(paid.units, 36'008'334);
    const LegSettlement parts = *settle_leg(locked, paid, Amount{15'000'000}, params);
    EXPECT_EQ(parts.burned.units, 1'800'417);
    EXPECT_EQ(parts.to_provider.units, 34'207'917);
    EXPECT_EQ(parts.refund.units, 113'991'666);
    EXPECT_EQ(parts.collateral.units, 15'000'000);
}

// Whatever the figures: every payment within cycles_max fits the escrow, the parts add up, more
// cycles never cost less, and burning never exceeds the payment.
TEST(Settlement, PropertiesOverRandomFigures) {
    const std::uint64_t seed = std::random_device{}();
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937_64 random(seed);
    for (int i = 0; i < 200'000; ++i) {
        Params params;
        params.burn_ppm = random() % (chain::kPpm + 1);
        params.collateral_ppm = random() % (chain::kPpm + 1);
        const Amount price{static_cast<std::int64_t>(random() >> (random() % 40 + 24))};
        const Cycles cycles_max = random() >> (random() % 50 + 14);
        const auto locked = escrow(price, cycles_max);
        ASSERT_TRUE(locked.ok());
        const Cycles cycles = cycles_max == 0 ? 0 : random() % (cycles_max + 1);
        const Amount paid = *payment(price, cycles);
        ASSERT_LE(paid, *locked) << price.units << " " << cycles << " of " << cycles_max;
        ASSERT_LE(paid, *payment(price, cycles_max));
        const Amount put_up = *collateral(*locked, params);
        const auto parts = settle_leg(*locked, paid, put_up, params);
        ASSERT_TRUE(parts.ok());
        ASSERT_EQ(parts->to_provider.units + parts->burned.units + parts->refund.units,
                  locked->units);
        ASSERT_EQ(parts->collateral, put_up);
        ASSERT_GE(parts->to_provider.units, 0);
        ASSERT_LE(parts->burned, paid);
    }
}

}  // namespace
}  // namespace incentive
