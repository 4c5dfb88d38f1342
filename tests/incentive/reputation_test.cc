// SPDX-License-Identifier: BSD-3-Clause
#include "incentive/reputation.h"

#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "tests/incentive/property.h"

namespace incentive {
namespace {

using chain::kMaxAmountUnits;
using test::Draw;
using test::for_all;
using test::say;
using Wide = unsigned __int128;

constexpr std::uint64_t kMostReputation = std::numeric_limits<std::uint64_t>::max();

// A whole number of any size, least significant 32 bits first: for t^16, which has 528 bits.
using Big = std::vector<std::uint32_t>;

Big times(const Big &a, std::uint64_t b) {
    Big out(a.size() + 2, 0);
    for (std::size_t i = 0; i < a.size(); ++i) {
        Wide carry = static_cast<Wide>(a[i]) * b;
        for (std::size_t j = i; carry != 0; ++j, carry >>= 32) {
            carry += out[j];
            out[j] = static_cast<std::uint32_t>(carry);
        }
    }
    return out;
}

// Whether t^16 <= 2^exponent.
bool sixteenth_power_is_within(std::uint64_t t, int exponent) {
    Big power{1};
    for (int i = 0; i < 16; ++i) power = times(power, t);
    int top = static_cast<int>(power.size()) * 32 - 1;
    const auto bit = [&](int at) { return power[at / 32] >> (at % 32) & 1; };
    while (top >= 0 && bit(top) == 0) --top;
    if (top != exponent) return top < exponent;
    for (int at = 0; at < exponent; ++at)
        if (bit(at) != 0) return false;
    return true;
}

// faded(2^32, i) is the table's i-th entry: the largest t with t^16 <= 2^(512 - i).
TEST(Faded, TheTableOfSixteenthsIsExact) {
    for (int i = 0; i < 16; ++i) {
        const std::uint64_t t = faded(std::uint64_t{1} << 32, static_cast<std::uint64_t>(i));
        EXPECT_TRUE(sixteenth_power_is_within(t, 512 - i)) << i;
        EXPECT_FALSE(sixteenth_power_is_within(t + 1, 512 - i)) << i;
    }
}

TEST(Faded, Table) {
    const struct {
        std::uint64_t value, steps, faded;
    } cases[] = {
        {0, 0, 0},
        {1'000'000, 0, 1'000'000},
        {1'000'000, 1, 957'603},
        {1'000'000, 8, 707'106},
        {1'000'000, 16, 500'000},
        {1'000'000, 17, 478'801},
        {1'000'000, 32, 250'000},
        {1, 1, 0},
        {kMostReputation, 0, kMostReputation},
        {kMostReputation, 16, kMostReputation / 2},
        {kMostReputation, 1'023, 1},
        {kMostReputation, 1'024, 0},
        {kMostReputation, kMostReputation, 0},
    };
    for (const auto &c : cases)
        EXPECT_EQ(faded(c.value, c.steps), c.faded) << c.value << " " << c.steps;
}

// Fading never makes anything grow, halves exactly after 16 steps, and keeps the order.
TEST(Faded, NeverGrowsAndHalvesInSixteenSteps) {
    for_all(200'000, [](Draw &draw) -> std::string {
        const std::uint64_t value = draw.sized(kMostReputation), smaller = draw.up_to(value);
        const std::uint64_t steps = draw.sized(2'000), more = steps + draw.sized(100);
        const bool right = faded(value, steps) <= value && faded(value, 16) == value / 2 &&
                           faded(value, more) <= faded(value, steps) &&
                           faded(smaller, steps) <= faded(value, steps) &&
                           faded(value, steps + 16) == faded(value, steps) / 2;
        return right ? "" : say(value, smaller, steps, more);
    });
}

// In n pieces instead of at once: at most n (v / 2^31 + 1) less, v being what is left at once, for
// each piece rounds down; and at most v / 2^31 + 1 more, for the table is rounded too. So no one
// gains by being looked at often.
TEST(Faded, InPiecesItIsTheSameButForRounding) {
    for_all(200'000, [](Draw &draw) -> std::string {
        const std::uint64_t value = draw.sized(kMostReputation);
        const std::uint64_t pieces = 1 + draw.up_to(20);
        std::uint64_t steps = 0, in_pieces = value;
        for (std::uint64_t i = 0; i < pieces; ++i) {
            const std::uint64_t piece = draw.sized(60);
            in_pieces = faded(in_pieces, piece);
            steps += piece;
        }
        const std::uint64_t at_once = faded(value, steps);
        const Wide step = (static_cast<Wide>(at_once) + 1) / (1ULL << 31) + 2;
        const bool right = in_pieces <= at_once + step && in_pieces + pieces * step >= at_once;
        return right ? "" : say(value, "in", pieces, "over", steps, in_pieces, at_once);
    });
}

Amount drawn_amount(Draw &draw) {
    return Amount{static_cast<std::int64_t>(draw.sized(kMaxAmountUnits))};
}

Reputation drawn_reputation(Draw &draw) {
    Reputation r;
    r.shares = draw.sized(kMostReputation);
    r.audit_score = draw.sized(kAuditScoreMax);
    for (Amount *sum : {&r.burned_as_provider, &r.burned_as_renter, &r.done, &r.failed, &r.on_time,
                        &r.late, &r.satisfied, &r.dissatisfied})
        *sum = drawn_amount(draw);
    return r;
}

std::string figures(const Reputation &r) {
    return say("shares", r.shares, "provider", r.burned_as_provider.units, "renter",
               r.burned_as_renter.units, "done", r.done.units, "failed", r.failed.units, "on time",
               r.on_time.units, "late", r.late.units, "audits", r.audit_score, "satisfied",
               r.satisfied.units, "dissatisfied", r.dissatisfied.units);
}

TEST(FadedTo, FadesEverySumAndNeverBack) {
    for_all(50'000, [](Draw &draw) -> std::string {
        Reputation r = drawn_reputation(draw);
        r.step = draw.sized(1'000);
        if (faded_to(r, draw.up_to(r.step)) != r) return say("a step that is past:", figures(r));
        const Reputation half = faded_to(r, r.step + 16);
        const bool right =
            half.step == r.step + 16 && half.shares == r.shares / 2 &&
            half.audit_score == r.audit_score / 2 && half.done.units == r.done.units / 2 &&
            half.burned_as_provider.units == r.burned_as_provider.units / 2 &&
            half.burned_as_renter.units == r.burned_as_renter.units / 2 &&
            half.failed.units == r.failed.units / 2 && half.on_time.units == r.on_time.units / 2 &&
            half.late.units == r.late.units / 2 && half.satisfied.units == r.satisfied.units / 2 &&
            half.dissatisfied.units == r.dissatisfied.units / 2;
        return right ? "" : figures(r);
    });
}

TEST(NoteLeg, EachEndCountsAsItShould) {
    const Amount burned{70}, at_stake{500};
    const Reputation credit = [] {
        Reputation r;
        r.done = r.on_time = r.burned_as_provider = Amount{70};
        return r;
    }();
    Reputation volume, blame;
    volume.burned_as_provider = Amount{70};
    blame.failed = blame.late = Amount{500};
    const struct {
        LegEnd end;
        Reputation after;
    } cases[] = {
        {LegEnd::kCompleted, credit},    {LegEnd::kLeft, volume},
        {LegEnd::kDisputed, volume},     {LegEnd::kReclaimed, volume},
        {LegEnd::kExpired, volume},      {LegEnd::kLost, blame},
        {LegEnd::kNotStarted, blame},    {LegEnd::kNeverSeen, blame},
        {LegEnd::kVoided, Reputation{}}, {LegEnd::kCancelled, volume},
        {LegEnd::kNoShow, Reputation{}},
    };
    for (const auto &c : cases) {
        Reputation r;
        note_leg_as_provider(r, c.end, burned, at_stake);
        EXPECT_EQ(r, c.after) << static_cast<int>(c.end);
    }
    Reputation running;
    EXPECT_DEATH(note_leg_as_provider(running, LegEnd::kRunning, burned, at_stake), "");
}

TEST(NoteLeg, SumsSaturate) {
    Reputation r;
    const Amount most{kMaxAmountUnits};
    for (int i = 0; i < 2; ++i) {
        note_leg_as_provider(r, LegEnd::kCompleted, most, most);
        note_leg_as_provider(r, LegEnd::kLost, most, most);
        note_leg_as_renter(r, most);
    }
    for (const Amount sum :
         {r.done, r.on_time, r.burned_as_provider, r.burned_as_renter, r.failed, r.late})
        EXPECT_EQ(sum, most);
}

// What a failure weighs is never less than what the same leg burned.
TEST(FeeAtStake, IsWhatTheWholeEscrowWouldBurn) {
    Params params;
    EXPECT_EQ(fee_at_stake(Amount{0}, params)->units, 0);
    EXPECT_EQ(fee_at_stake(Amount{1}, params)->units, 1);
    EXPECT_EQ(fee_at_stake(Amount{150'000'000}, params)->units, 7'500'000);
    for_all(100'000, [](Draw &draw) -> std::string {
        Params p;
        p.burn_ppm = static_cast<std::uint32_t>(draw.up_to(chain::kPpm));
        const Amount locked = drawn_amount(draw);
        const Amount paid{static_cast<std::int64_t>(draw.up_to(locked.units))};
        const Amount burned = settle_leg(locked, paid, Amount{}, LegEnd::kLost, p)->burned;
        return *fee_at_stake(locked, p) >= burned ? "" : say(locked.units, paid.units, p.burn_ppm);
    });
}

TEST(NoteRating, TheRentersWordWeighsWhatItCost) {
    const Params params;  // an audit needs 1,000 units
    const struct {
        Rating rating;
        LegEnd end;
        std::int64_t burned;
        std::int64_t satisfied, dissatisfied, late;
        std::uint64_t audit_score;
    } cases[] = {
        {{}, LegEnd::kCompleted, 5'000, 0, 0, 0, 9'001},
        {{Satisfaction::kSatisfied}, LegEnd::kCompleted, 5'000, 5'000, 0, 0, 9'001},
        {{Satisfaction::kDissatisfied}, LegEnd::kLeft, 5'000, 0, 5'000, 0, 9'001},
        {{{}, {}, true}, LegEnd::kLeft, 5'000, 0, 0, 5'000, 9'001},
        {{{}, {}, true}, LegEnd::kCompleted, 5'000, 0, 0, 0, 9'001},
        {{{}, {}, true}, LegEnd::kReclaimed, 5'000, 0, 0, 0, 9'001},
        {{{}, Audit::kPassed}, LegEnd::kCompleted, 1'000, 0, 0, 0, 10'001},
        {{{}, Audit::kPassed}, LegEnd::kCompleted, 999, 0, 0, 0, 9'001},
        {{{}, Audit::kFault}, LegEnd::kCompleted, 1'000, 0, 0, 0, 6'000},  // 3,000.33 taken: up
        {{{}, Audit::kFault}, LegEnd::kCompleted, 999, 0, 0, 0, 9'001},
        {{Satisfaction::kDissatisfied, Audit::kFault, true}, LegEnd::kLeft, 0, 0, 0, 0, 9'001},
    };
    for (const auto &c : cases) {
        Reputation r;
        r.audit_score = 9'001;
        note_rating(r, c.rating, c.end, Amount{c.burned}, params);
        Reputation expected;
        expected.satisfied = Amount{c.satisfied};
        expected.dissatisfied = Amount{c.dissatisfied};
        expected.late = Amount{c.late};
        expected.audit_score = c.audit_score;
        EXPECT_EQ(r, expected) << figures(r);
    }
}

TEST(NoteRating, AFaultAlwaysLowersTheScoreAndItSaturates) {
    const Params params;
    Reputation r;
    r.audit_score = kAuditScoreMax - 1;
    note_rating(r, {{}, Audit::kPassed}, LegEnd::kCompleted, Amount{1'000}, params);
    EXPECT_EQ(r.audit_score, kAuditScoreMax);
    for (std::uint64_t before = r.audit_score; before > 0; before = r.audit_score) {
        note_rating(r, {{}, Audit::kFault}, LegEnd::kCompleted, Amount{1'000}, params);
        ASSERT_LT(r.audit_score, before);
        ASSERT_LE(r.audit_score, before * 2 / 3);
    }
    note_rating(r, {{}, Audit::kFault}, LegEnd::kCompleted, Amount{1'000}, params);
    EXPECT_EQ(r.audit_score, 0u);
}

}  // namespace
}  // namespace incentive
