// SPDX-License-Identifier: BSD-3-Clause
#include "incentive/settlement.h"

#include <algorithm>
#include <limits>

#include <gtest/gtest.h>

#include "tests/incentive/property.h"

namespace incentive {
namespace {

using chain::kCyclesPerGhzHour;
using chain::kMaxAmountUnits;
using test::Draw;
using test::for_all;
using test::say;

constexpr Amount kSettledPrice{30'000'000};  // 0.03 tokens per GHz·h

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

// One slot for up to an hour, so large that the floor of at-risk earnings does not matter.
LegTerms leg_of(std::int64_t price, Cycles cycles_max) {
    return {Amount{price}, 1, 1, cycles_max};
}

TEST(Collateral, FallsEvenlyWithQualityAndRoundsUp) {
    const Params params;  // 20 % .. 5 %
    const struct {
        std::int64_t price;
        Cycles cycles_max;
        std::uint32_t quality_q16;
        std::int64_t collateral;
    } cases[] = {
        {150'000'000, kCyclesPerGhzHour, 0, 30'000'000},
        {150'000'000, kCyclesPerGhzHour, 32'768, 18'750'000},
        {150'000'000, kCyclesPerGhzHour, 65'536, 7'500'000},
        {150'000'000, kCyclesPerGhzHour, 0xffffffff, 7'500'000},  // more than all is all
        {150'000'000, kCyclesPerGhzHour, 1, 29'999'657},          // 29,999,656.68
        {10, kCyclesPerGhzHour, 0, 2},
        {11, kCyclesPerGhzHour, 0, 3},  // 2.2
        {1, 1, 65'536, 1},              // the smallest leg still has something to lose
        {0, kCyclesPerGhzHour, 0, 0},
        {150'000'000, 0, 0, 0},
    };
    for (const auto &c : cases)
        EXPECT_EQ(collateral(leg_of(c.price, c.cycles_max), c.quality_q16, params)->units,
                  c.collateral)
            << c.price << " " << c.quality_q16;
}

TEST(Collateral, IsNeverLessThanWhatIsAtRisk) {
    Params params;
    // 2 slots at 2.5 GHz earn, in 10 s, 5e10 cycles x 30,000,000 / 3.6e12 = 416,666.67 units.
    LegTerms leg{kSettledPrice, 2, 2'500'000'000, cycles_bound(2, 2'500'000'000, 10'000)};
    EXPECT_EQ(collateral(leg, 0, params)->units, 416'667);
    EXPECT_EQ(collateral(leg, 65'536, params)->units, 416'667);
    leg.cycles_max = cycles_bound(2, 2'500'000'000, 1'000);  // shorter: all of it
    EXPECT_EQ(collateral(leg, 65'536, params)->units, escrow(kSettledPrice, leg.cycles_max)->units);
    leg.cycles_max = cycles_bound(2, 2'500'000'000, 3'600'000);
    EXPECT_EQ(collateral(leg, 65'536, params)->units, 7'500'000);  // 5 % of an hour is more
    params.collateral_max_ppm = params.collateral_min_ppm = 0;
    EXPECT_EQ(collateral(leg, 0, params)->units, 416'667);
    params.collateral_at_risk_ms = 0;
    EXPECT_EQ(collateral(leg, 0, params)->units, 0);
    params.collateral_at_risk_ms = std::numeric_limits<std::uint64_t>::max();
    EXPECT_EQ(collateral(leg, 0, params)->units, escrow(kSettledPrice, leg.cycles_max)->units);
}

TEST(Collateral, BeyondTheRangeIsAnErrorNotAWrap) {
    const auto beyond = collateral(leg_of(kMaxAmountUnits, kCyclesPerGhzHour + 1), 0, Params{});
    ASSERT_FALSE(beyond.ok());
    EXPECT_EQ(beyond.error().code, chain::ErrorCode::kTooLarge);
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
    const Params params;  // 5 % burned; 10 % and all of the collateral forfeited
    const Amount not_signed{30};
    const struct {
        LegEnd end;
        std::int64_t escrow, payment, collateral;
        std::int64_t to_provider, burned, refund, penalty, collateral_back, forfeit;
    } cases[] = {
        {LegEnd::kCompleted, 100, 100, 10, 95, 5, 0, 0, 10, 0},
        {LegEnd::kCompleted, 100, 0, 10, 0, 0, 100, 0, 10, 0},
        {LegEnd::kCompleted, 100, 1, 10, 0, 1, 99, 0, 10, 0},
        {LegEnd::kCompleted, 100, 19, 0, 18, 1, 81, 0, 0, 0},
        {LegEnd::kCompleted, 100, 21, 10, 19, 2, 79, 0, 10, 0},
        {LegEnd::kCompleted, 0, 0, 0, 0, 0, 0, 0, 0, 0},
        {LegEnd::kLeft, 100, 21, 10, 19, 2, 79, 0, 10, 0},
        {LegEnd::kDisputed, 100, 21, 10, 19, 2, 49, 30, 10, 0},
        {LegEnd::kDisputed, 100, 80, 10, 76, 4, 0, 20, 10, 0},  // no more than is left
        {LegEnd::kReclaimed, 100, 21, 10, 19, 2, 79, 0, 10, 0},
        {LegEnd::kExpired, 100, 21, 10, 19, 2, 79, 0, 10, 0},
        {LegEnd::kLost, 100, 21, 10, 19, 2, 79, 0, 0, 10},
        {LegEnd::kNotStarted, 100, 21, 10, 0, 0, 100, 0, 9, 1},
        {LegEnd::kNotStarted, 100, 0, 11, 0, 0, 100, 0, 9, 2},  // 1.1: up
        {LegEnd::kNeverSeen, 100, 21, 10, 0, 0, 100, 0, 0, 10},
        {LegEnd::kVoided, 100, 21, 10, 0, 0, 100, 0, 10, 0},
        {LegEnd::kCancelled, 100, 0, 10, 0, 0, 100, 0, 10, 0},
        {LegEnd::kNoShow, 100, 0, 10, 0, 0, 100, 0, 10, 0},
    };
    for (const auto &c : cases) {
        const auto parts = settle_leg(Amount{c.escrow}, Amount{c.payment}, Amount{c.collateral},
                                      c.end, params, not_signed);
        ASSERT_TRUE(parts.ok());
        const LegSettlement expected{.to_provider = Amount{c.to_provider},
                                     .burned = Amount{c.burned},
                                     .refund = Amount{c.refund},
                                     .penalty = Amount{c.penalty},
                                     .collateral = Amount{c.collateral_back},
                                     .forfeit = Amount{c.forfeit}};
        EXPECT_EQ(*parts, expected) << static_cast<int>(c.end) << " " << c.payment;
    }
    for (std::uint32_t end = 1; end < kLegEndCount; ++end) {
        const auto too_much =
            settle_leg(Amount{100}, Amount{101}, Amount{10}, static_cast<LegEnd>(end), params);
        ASSERT_FALSE(too_much.ok());
        EXPECT_EQ(too_much.error().code, chain::ErrorCode::kInvalidInput);
        const auto too_large = settle_leg(Amount{100}, Amount{1}, Amount{10},
                                          static_cast<LegEnd>(end), params, {}, {Amount{101}});
        ASSERT_FALSE(too_large.ok());
        EXPECT_EQ(too_large.error().code, chain::ErrorCode::kInvalidInput);
    }
    EXPECT_DEATH((void)settle_leg(Amount{1}, Amount{1}, Amount{1}, LegEnd::kRunning, params), "");
}

TEST(Deposit, RoundsUpAndStaysWithinTheEscrow) {
    Params params;  // 10 %
    const std::pair<std::int64_t, std::int64_t> cases[] = {
        {0, 0},  {1, 1},  // no reservation is for nothing
        {10, 1}, {11, 2}, {150'000'000, 15'000'000}, {kMaxAmountUnits, kMaxAmountUnits / 10},
    };
    for (const auto &[locked, least] : cases)
        EXPECT_EQ(deposit(Amount{locked}, params)->units, least) << locked;
    params.deposit_ppm = 0;
    EXPECT_EQ(deposit(Amount{11}, params)->units, 0);
    params.deposit_ppm = chain::kPpm;
    EXPECT_EQ(deposit(Amount{11}, params)->units, 11);
    EXPECT_EQ(deposit(Amount{kMaxAmountUnits}, params)->units, kMaxAmountUnits);
    params.deposit_ppm = chain::kPpm + 1;
    EXPECT_DEATH((void)deposit(Amount{1}, params), "");
}

TEST(SettleLeg, OfAReservation) {
    const Params params;  // 5 % burned
    constexpr DueDeposit kPaid{Amount{40}, DueDeposit::To::kProvider};
    constexpr DueDeposit kBurned{Amount{40}, DueDeposit::To::kBurned};
    const struct {
        LegEnd end;
        DueDeposit due;
        std::int64_t payment, not_signed;
        std::int64_t to_provider, burned, refund, penalty;
    } cases[] = {
        {LegEnd::kCompleted, kPaid, 39, 30, 38, 2, 60, 0},    // it is the least
        {LegEnd::kCompleted, kPaid, 41, 30, 38, 3, 59, 0},    // and no more
        {LegEnd::kCompleted, kBurned, 39, 30, 37, 2, 60, 1},  // so does one that burns
        {LegEnd::kCompleted, kBurned, 41, 30, 38, 3, 59, 0},
        {LegEnd::kCancelled, kPaid, 0, 30, 38, 2, 60, 0},
        {LegEnd::kNoShow, kBurned, 0, 30, 0, 0, 60, 40},
        {LegEnd::kLeft, kBurned, 15, 30, 14, 1, 60, 25},
        {LegEnd::kDisputed, kBurned, 5, 30, 4, 1, 60, 35},  // the larger of the two
        {LegEnd::kDisputed, kBurned, 20, 30, 19, 1, 50, 30},
        {LegEnd::kDisputed, kBurned, 90, 30, 85, 5, 0, 10},
        {LegEnd::kDisputed, kPaid, 5, 30, 38, 2, 30, 30},
        {LegEnd::kNotStarted, kPaid, 0, 30, 0, 0, 100, 0},  // who never ran is paid nothing
        {LegEnd::kNeverSeen, kBurned, 0, 30, 0, 0, 100, 0},
        {LegEnd::kVoided, kBurned, 0, 30, 0, 0, 100, 0},
    };
    for (const auto &c : cases) {
        const auto parts = settle_leg(Amount{100}, Amount{c.payment}, Amount{}, c.end, params,
                                      Amount{c.not_signed}, c.due);
        ASSERT_TRUE(parts.ok());
        const LegSettlement expected{.to_provider = Amount{c.to_provider},
                                     .burned = Amount{c.burned},
                                     .refund = Amount{c.refund},
                                     .penalty = Amount{c.penalty},
                                     .collateral = {},
                                     .forfeit = {}};
        EXPECT_EQ(*parts, expected) << static_cast<int>(c.end) << " " << c.payment;
    }
}

// The figures of docs/money_rules.md, Payment.
TEST(WorkedExample, OfTheDocumentation) {
    const Params params;
    const Cycles cycles_max = cycles_bound(2, 2'500'000'000, 3'600'000);
    EXPECT_EQ(cycles_max, 18'000'000'000'000u);
    EXPECT_EQ(chain::format_ghz_hours(cycles_max, 0), "5");
    const Amount locked = *escrow(kSettledPrice, cycles_max);
    EXPECT_EQ(locked.units, 150'000'000);
    const Amount put_up = *collateral({kSettledPrice, 2, 2'500'000'000, cycles_max}, 0, params);
    EXPECT_EQ(put_up.units, 30'000'000);
    const Cycles used = 4'321'000'123'456;
    const Amount paid = *payment(kSettledPrice, used);
    EXPECT_EQ(paid.units, 36'008'334);
    const LegSettlement parts = *settle_leg(locked, paid, put_up, LegEnd::kCompleted, params);
    EXPECT_EQ(parts.burned.units, 1'800'417);
    EXPECT_EQ(parts.to_provider.units, 34'207'917);
    EXPECT_EQ(parts.refund.units, 113'991'666);
    EXPECT_EQ(parts.collateral.units, 30'000'000);
    EXPECT_EQ(parts.forfeit.units, 0);
}

// Any parameters that a genesis file may hold.
Params drawn_settlement_params(Draw &draw) {
    Params params;
    const auto ppm = [&] { return static_cast<std::uint32_t>(draw.up_to(chain::kPpm)); };
    params.burn_ppm = ppm();
    params.collateral_max_ppm = ppm();
    params.collateral_min_ppm = static_cast<std::uint32_t>(draw.up_to(params.collateral_max_ppm));
    params.collateral_at_risk_ms = draw.sized(std::numeric_limits<std::uint64_t>::max());
    params.start_forfeit_ppm = ppm();
    params.lost_forfeit_ppm = ppm();
    params.unsigned_work_ms = draw.sized(std::numeric_limits<std::uint64_t>::max());
    params.deposit_ppm = ppm();
    return params;
}

LegTerms drawn_leg(Draw &draw) {
    LegTerms leg;
    leg.price_per_ghz_h = Amount{static_cast<std::int64_t>(draw.sized(1'000'000'000'000))};
    leg.slot_count = static_cast<std::uint32_t>(draw.sized(4096));
    leg.hz_max = draw.sized(1'000'000'000'000);
    leg.cycles_max = draw.sized(std::uint64_t{1} << 62);
    return leg;
}

std::string figures(const LegTerms &leg) {
    return say("price", leg.price_per_ghz_h.units, "slots", leg.slot_count, "hz", leg.hz_max,
               "cycles", leg.cycles_max);
}

// Every payment within cycles_max fits the escrow; both sums are exact, however the leg ended; and
// the renter's refund never holds a unit of the collateral.
TEST(SettleLeg, AddsUpForEveryEnd) {
    for_all(100'000, [](Draw &draw) -> std::string {
        const Params params = drawn_settlement_params(draw);
        const LegTerms leg = drawn_leg(draw);
        const auto locked = escrow(leg.price_per_ghz_h, leg.cycles_max);
        if (!locked.ok()) return "";
        const Cycles used = draw.up_to(leg.cycles_max);
        const Amount paid = *payment(leg.price_per_ghz_h, used);
        if (paid > *locked) return say("does not fit:", paid.units, figures(leg));
        const Amount not_signed = *unsigned_work(leg, used, params);
        const Amount put_up{static_cast<std::int64_t>(draw.sized(kMaxAmountUnits))};
        for (std::uint32_t i = 1; i < kLegEndCount; ++i) {
            const auto end = static_cast<LegEnd>(i);
            const auto parts = settle_leg(*locked, paid, put_up, end, params, not_signed);
            if (!parts.ok()) return say("end", i, parts.error().message, figures(leg));
            const bool ran =
                end != LegEnd::kNotStarted && end != LegEnd::kNeverSeen && end != LegEnd::kVoided;
            const std::int64_t due = ran ? paid.units : 0;
            const std::int64_t penalty =
                end == LegEnd::kDisputed ? std::min(not_signed.units, locked->units - paid.units)
                                         : 0;
            const bool right = parts->to_provider.units + parts->burned.units +
                                       parts->refund.units + parts->penalty.units ==
                                   locked->units &&
                               parts->collateral.units + parts->forfeit.units == put_up.units &&
                               parts->refund.units == locked->units - due - penalty &&
                               parts->penalty.units == penalty && parts->to_provider.units >= 0 &&
                               parts->burned.units >= 0 && parts->collateral.units >= 0 &&
                               parts->forfeit.units >= 0;
            if (!right) return say("end", i, "paid", paid.units, "put up", put_up.units);
        }
        return "";
    });
}

// Whatever was signed, a due deposit is what the leg costs at least, and no unit more than without
// it if that was more; all of it goes to where it is due, and both sums stay exact.
TEST(SettleLeg, ADepositIsTheLeastAndNoMore) {
    for_all(100'000, [](Draw &draw) -> std::string {
        const Params params = drawn_settlement_params(draw);
        const Amount locked{static_cast<std::int64_t>(draw.sized(kMaxAmountUnits))};
        const Amount paid{
            static_cast<std::int64_t>(draw.up_to(static_cast<std::uint64_t>(locked.units)))};
        const Amount not_signed{static_cast<std::int64_t>(draw.sized(kMaxAmountUnits))};
        const Amount least = *deposit(locked, params);
        const bool burns = draw.coin();
        const DueDeposit due{least, burns ? DueDeposit::To::kBurned : DueDeposit::To::kProvider};
        if (least > locked) return say("above the escrow", least.units, locked.units);
        for (const LegEnd end : {LegEnd::kCompleted, LegEnd::kLeft, LegEnd::kDisputed}) {
            const auto with = settle_leg(locked, paid, Amount{}, end, params, not_signed, due);
            const auto without = settle_leg(locked, paid, Amount{}, end, params, not_signed);
            const std::int64_t income = with->to_provider.units + with->burned.units;
            const std::int64_t cost = locked.units - with->refund.units;
            const std::int64_t usual = locked.units - without->refund.units;
            const bool sums = income + with->penalty.units == cost && with->refund.units >= 0;
            const bool right = burns
                                   ? income == paid.units && cost == std::max(usual, least.units)
                                   : income == std::max(paid.units, least.units) && cost >= usual &&
                                         with->penalty.units <= without->penalty.units;
            if (!sums || !right)
                return say("end", static_cast<int>(end), "burns", burns, "escrow", locked.units,
                           "paid", paid.units, "deposit", least.units);
        }
        return "";
    });
}

// More cycles never cost less, and neither does a dearer price.
TEST(Payment, NeverFalls) {
    for_all(100'000, [](Draw &draw) -> std::string {
        const Amount price{static_cast<std::int64_t>(draw.sized(1'000'000'000))};
        const Cycles most = draw.sized(std::uint64_t{1} << 60), some = draw.up_to(most);
        const Amount cheaper{static_cast<std::int64_t>(draw.up_to(price.units))};
        const bool right = payment(price, some)->units <= payment(price, most)->units &&
                           payment(cheaper, some)->units <= payment(price, some)->units;
        return right ? "" : say(price.units, cheaper.units, some, most);
    });
}

// The collateral never rises with quality, is never above the escrow, and never below what the leg
// can earn before the renter's next check.
TEST(Collateral, FallsWithQualityAndAlwaysExceedsWhatIsAtRisk) {
    for_all(100'000, [](Draw &draw) -> std::string {
        const Params params = drawn_settlement_params(draw);
        const LegTerms leg = drawn_leg(draw);
        const auto whole = escrow(leg.price_per_ghz_h, leg.cycles_max);
        if (!whole.ok()) return "";
        const auto better = static_cast<std::uint32_t>(draw.up_to(65'536));
        const auto worse = static_cast<std::uint32_t>(draw.up_to(better));
        const Amount less = *collateral(leg, better, params),
                     more = *collateral(leg, worse, params);
        const Amount most = *collateral(leg, 0, params), least = *collateral(leg, 65'536, params);
        if (less > more || more > most || least > less || most > *whole)
            return say("quality", worse, better, figures(leg));
        const Cycles ahead = std::min(
            leg.cycles_max, cycles_bound(leg.slot_count, leg.hz_max, params.collateral_at_risk_ms));
        return least >= *payment(leg.price_per_ghz_h, ahead) ? "" : say("at risk", figures(leg));
    });
}

}  // namespace
}  // namespace incentive
