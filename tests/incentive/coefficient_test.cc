// SPDX-License-Identifier: BSD-3-Clause
//
// The resource coefficient: its bounds, its direction in each input, and what it means for it to be
// cut into several accounts. What does not hold is here too, as a test that shows it.
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "incentive/reputation.h"
#include "tests/incentive/property.h"

namespace incentive {
namespace {

using chain::kMaxAmountUnits;
using test::Draw;
using test::for_all;
using test::say;
using Wide = unsigned __int128;

constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();

// A record, and what else the coefficient depends on.
struct Account {
    Reputation reputation;
    Amount stake;
    std::uint64_t blocks_since_own = 0;

    Coefficient coefficient(const Params &params) const {
        return incentive::coefficient(reputation, stake, blocks_since_own, params);
    }
};

// Every sum of an account: its name, whether more of it is good, and where it is.
struct Input {
    const char *name;
    bool good;
    std::uint64_t Account::*plain_count;
    std::uint64_t Reputation::*count;
    Amount Reputation::*sum;
};
constexpr Input kInputs[] = {
    {"shares", true, nullptr, &Reputation::shares, nullptr},
    {"burned as provider", true, nullptr, nullptr, &Reputation::burned_as_provider},
    {"burned as renter", true, nullptr, nullptr, &Reputation::burned_as_renter},
    {"done", true, nullptr, nullptr, &Reputation::done},
    {"failed", false, nullptr, nullptr, &Reputation::failed},
    {"on time", true, nullptr, nullptr, &Reputation::on_time},
    {"late", false, nullptr, nullptr, &Reputation::late},
    {"audit score", true, nullptr, &Reputation::audit_score, nullptr},
    {"satisfied", true, nullptr, nullptr, &Reputation::satisfied},
    {"dissatisfied", false, nullptr, nullptr, &Reputation::dissatisfied},
    {"stake", true, nullptr, nullptr, nullptr},
    {"blocks since its own", true, &Account::blocks_since_own, nullptr, nullptr},
};

std::uint64_t get(const Account &account, const Input &input) {
    if (input.plain_count != nullptr) return account.*input.plain_count;
    if (input.count != nullptr) return account.reputation.*input.count;
    const Amount sum = input.sum != nullptr ? account.reputation.*input.sum : account.stake;
    return static_cast<std::uint64_t>(sum.units);
}

void set(Account &account, const Input &input, std::uint64_t value) {
    if (input.plain_count != nullptr) {
        account.*input.plain_count = value;
    } else if (input.count != nullptr) {
        account.reputation.*input.count = value;
    } else {
        Amount &sum = input.sum != nullptr ? account.reputation.*input.sum : account.stake;
        sum.units = static_cast<std::int64_t>(value);
    }
}

std::uint64_t most_of(const Input &input) {
    if (input.plain_count != nullptr) return kMost;
    if (input.count == &Reputation::audit_score) return kAuditScoreMax;
    return input.count != nullptr ? kMost : static_cast<std::uint64_t>(kMaxAmountUnits);
}

std::string figures(const Account &account) {
    std::string text;
    for (const Input &input : kInputs) text += say(input.name, get(account, input));
    return text;
}

// An account that is good enough often enough: one with as much bad as good has hardly a boost.
Account drawn_account(Draw &draw) {
    Account account;
    const bool mostly_good = draw.coin();
    for (const Input &input : kInputs) {
        const std::uint64_t value = draw.sized(most_of(input));
        set(account, input, !input.good && mostly_good ? value >> draw.up_to(63) : value);
    }
    return account;
}

// Parameters other than the ones that we propose, as a genesis file may hold them.
Params drawn_params(Draw &draw) {
    Params params;
    if (draw.coin()) return params;
    params.volume_half_units = 1 + draw.sized(kMost - 1);
    params.shares_half = 1 + draw.sized(kMost - 1);
    params.prior_units = draw.sized(kMost);
    params.stake_full_units = 1 + draw.sized(kMaxAmountUnits - 1);
    params.boost_max = static_cast<std::uint32_t>(1 + draw.up_to(15));
    params.recovery_blocks = draw.sized(100'000);
    return params;
}

TEST(Coefficient, IsWithinItsBounds) {
    for_all(300'000, [](Draw &draw) -> std::string {
        const Params params = drawn_params(draw);
        const Account account = drawn_account(draw);
        const Coefficient c = account.coefficient(params);
        const bool right = c.volume <= kQ16 && c.completion <= kQ16 && c.run_time <= kQ16 &&
                           c.verification >= kQ16 * 2 / 3 && c.verification <= kQ16 &&
                           c.satisfaction >= kQ16 * 9 / 10 && c.satisfaction <= kQ16 * 11 / 10 &&
                           c.quality <= kQ16 && c.stake <= kQ16 && c.recovery <= kQ16 &&
                           c.multiplier >= kQ16 && c.multiplier <= kQ16 * params.boost_max &&
                           c.quality == quality_q16(account.reputation, params);
        return right ? "" : figures(account);
    });
}

TEST(Coefficient, ANewcomerHasOneAndNobodyHasMoreThanTheMost) {
    const Params params;
    const Coefficient newcomer = coefficient({}, Amount{kMaxAmountUnits}, kMost, params);
    EXPECT_EQ(newcomer.multiplier, kQ16);
    EXPECT_EQ(newcomer.quality, 0u);
    EXPECT_EQ(newcomer.verification, 43'691u);
    EXPECT_EQ(newcomer.satisfaction, 58'982u);
    Account best;
    for (const Input &input : kInputs) set(best, input, input.good ? most_of(input) : 0);
    EXPECT_EQ(best.coefficient(params).quality, kQ16);
    EXPECT_EQ(best.coefficient(params).multiplier, 4 * kQ16);
}

// More of a good input never lowers the coefficient, more of a bad one never raises it.
TEST(Coefficient, IsMonotoneInEachInput) {
    for (const Input &input : kInputs) {
        SCOPED_TRACE(input.name);
        for_all(50'000, [&](Draw &draw) -> std::string {
            const Params params = drawn_params(draw);
            const Account less = drawn_account(draw);
            Account more = less;
            const std::uint64_t before = get(less, input);
            set(more, input, before + draw.sized(most_of(input) - before));
            const std::uint32_t m_less = less.coefficient(params).multiplier;
            const std::uint32_t m_more = more.coefficient(params).multiplier;
            const bool right = input.good ? m_more >= m_less : m_more <= m_less;
            return right ? "" : say(m_less, m_more, get(more, input), "for", figures(less));
        });
    }
}

// The same for what happens: good events never lower the quality, bad ones never raise it.
TEST(Coefficient, EventsMoveTheQualityTheRightWay) {
    for_all(100'000, [](Draw &draw) -> std::string {
        const Params params = drawn_params(draw);
        const Reputation before = drawn_account(draw).reputation;
        const Amount burned{static_cast<std::int64_t>(draw.sized(kMaxAmountUnits))};
        const auto end = static_cast<LegEnd>(1 + draw.up_to(kLegEndCount - 2));
        const std::uint32_t q = quality_q16(before, params);
        Reputation leg = before;
        note_leg_as_provider(leg, end, burned, burned);
        const bool failed =
            end == LegEnd::kLost || end == LegEnd::kNotStarted || end == LegEnd::kNeverSeen;
        const std::uint32_t q_leg = quality_q16(leg, params);
        if (failed ? q_leg > q : q_leg < q) return say("end", static_cast<int>(end), burned.units);
        Reputation praised = before, blamed = before, renter = before;
        note_rating(praised, {Satisfaction::kSatisfied, Audit::kPassed}, end, burned, params);
        note_rating(blamed, {Satisfaction::kDissatisfied, Audit::kFault, true}, end, burned,
                    params);
        note_leg_as_renter(renter, burned);
        const bool right = quality_q16(praised, params) >= q && quality_q16(blamed, params) <= q &&
                           quality_q16(renter, params) >= q;
        return right ? "" : say("rating of", burned.units, "at", q);
    });
}

// ---- cut into several accounts

// Which inputs are cut in the same proportions: the good and the bad of one kind.
int kind_of(const Input &input) {
    if (input.sum == &Reputation::failed) return kind_of(kInputs[3]);
    if (input.sum == &Reputation::late) return kind_of(kInputs[5]);
    if (input.sum == &Reputation::dissatisfied) return kind_of(kInputs[8]);
    return static_cast<int>(&input - kInputs);
}
constexpr int kKinds = std::size(kInputs);

using Weights = std::vector<std::uint64_t>;
Weights drawn_weights(Draw &draw, std::size_t parts) {
    Weights weights(parts);
    for (std::uint64_t &weight : weights) weight = draw.sized(0xffff);
    weights[draw.up_to(parts - 1)] += 1;
    return weights;
}

std::uint64_t sum_of(const Weights &weights) {
    std::uint64_t sum = 0;
    for (const std::uint64_t weight : weights) sum += weight;
    return sum;
}

// `value` in parts by weight, each rounded down or up so that they add up.
Weights cut(std::uint64_t value, const Weights &weights, std::size_t first_up) {
    const std::uint64_t sum = sum_of(weights);
    Weights parts;
    std::uint64_t rest = value;
    for (const std::uint64_t weight : weights) {
        parts.push_back(static_cast<std::uint64_t>(static_cast<Wide>(value) * weight / sum));
        rest -= parts.back();
    }
    for (std::size_t i = 0; i < rest; ++i) ++parts[(first_up + i) % parts.size()];
    return parts;
}

// The multiplier if each ratio were one step of Q16 higher.
std::uint32_t a_step_above(const Coefficient &c, const Params &params) {
    const Wide product = static_cast<Wide>(c.volume) * (c.completion + 1) * (c.run_time + 1) *
                         c.verification * (c.satisfaction + 1);
    const auto quality = static_cast<std::uint64_t>(std::min<Wide>(product >> 64, kQ16));
    const Wide boost = static_cast<Wide>(params.boost_max - 1) * c.stake * quality * c.recovery;
    return kQ16 + static_cast<std::uint32_t>(boost >> 32);
}

// A million accounts, each cut in 2 to 64 parts, record and stake alike, however the parts are
// rounded to whole units. No part has a higher multiplier than the whole had, so neither has any
// share of the hash power. Rounding to whole units can shift a ratio by less than 1 / prior: by a
// step of Q16 at the very most.
TEST(Cutting, ProRataGainsNothing) {
    const Params params;
    for_all(1'000'000, [&](Draw &draw) -> std::string {
        const Account whole = drawn_account(draw);
        const std::size_t count = 2 + draw.sized(62);
        const Weights weights = drawn_weights(draw, count);
        std::vector<Account> parts(count);
        for (const Input &input : kInputs) {
            const Weights cuts = cut(get(whole, input), weights, draw.up_to(count - 1));
            for (std::size_t i = 0; i < count; ++i) set(parts[i], input, cuts[i]);
        }
        const Coefficient of_whole = whole.coefficient(params);
        const std::uint32_t most = a_step_above(of_whole, params);
        for (Account &part : parts) {
            part.blocks_since_own = whole.blocks_since_own;
            const Coefficient c = part.coefficient(params);
            const bool right = c.volume <= of_whole.volume && c.stake <= of_whole.stake &&
                               c.verification <= of_whole.verification && c.multiplier <= most &&
                               c.completion <= of_whole.completion + 1 &&
                               c.run_time <= of_whole.run_time + 1 &&
                               c.satisfaction <= of_whole.satisfaction + 1;
            if (!right) return say(figures(part), "of", figures(whole));
        }
        return "";
    });
}

// Each kind of input in proportions of its own, the good and the bad of a kind together, without
// rounding: no part has a higher multiplier than the whole, and neither has their mean, weighted by
// any shares of the hash power.
TEST(Cutting, EachKindInItsOwnProportionsGainsNothing) {
    for_all(100'000, [](Draw &draw) -> std::string {
        const Params params = drawn_params(draw);
        const std::size_t count = 2 + draw.sized(62);
        std::vector<Weights> weights;
        for (int kind = 0; kind < kKinds; ++kind) weights.push_back(drawn_weights(draw, count));
        Account whole;
        std::vector<Account> parts(count);
        for (const Input &input : kInputs) {
            const Weights &shares = weights[kind_of(input)];
            const std::uint64_t base = draw.sized(most_of(input) / sum_of(shares));
            set(whole, input, base * sum_of(shares));
            for (std::size_t i = 0; i < count; ++i) set(parts[i], input, base * shares[i]);
        }
        const std::uint32_t most = whole.coefficient(params).multiplier;
        const Weights hash_power = drawn_weights(draw, count);
        Wide weighted = 0;
        for (std::size_t i = 0; i < count; ++i) {
            parts[i].blocks_since_own = whole.blocks_since_own;
            const std::uint32_t m = parts[i].coefficient(params).multiplier;
            if (m > most) return say(m, "of", most, figures(parts[i]), "of", figures(whole));
            weighted += static_cast<Wide>(m) * hash_power[i];
        }
        return weighted <= static_cast<Wide>(most) * sum_of(hash_power) ? "" : figures(whole);
    });
}

// Damping recovers for each account by itself: one that seals 1/n as often is less damped. Up to
// stake_full that gains nothing either, because stake is cut as well: n parts, each n times as
// long since its last block, have no more than the whole (but for rec and sigma, rounded down: a
// step of Q16 each).
TEST(Cutting, GainsNothingByDampingUpToTheFullStake) {
    const Params params;
    for_all(200'000, [&](Draw &draw) -> std::string {
        const std::uint64_t count = 2 + draw.up_to(62);
        Account part = drawn_account(draw), whole;
        for (const Input &input : kInputs) {
            const std::uint64_t most =
                input.sum == nullptr && input.count == nullptr && input.plain_count == nullptr
                    ? params.stake_full_units
                    : most_of(input);
            set(part, input, std::min(get(part, input), most / count));
            set(whole, input, get(part, input) * count);
        }
        whole.blocks_since_own = draw.sized(400);
        part.blocks_since_own = whole.blocks_since_own * count;
        const Coefficient of_whole = whole.coefficient(params);
        const Coefficient of_part = part.coefficient(params);
        const Wide boost = static_cast<Wide>(params.boost_max - 1) * (of_whole.stake + 1) *
                           of_whole.quality * (of_whole.recovery + 1);
        return of_part.multiplier - kQ16 <= boost >> 32
                   ? ""
                   : say(of_part.multiplier, of_whole.multiplier, count, figures(whole));
    });
}

// ---- what does not hold, and what it costs

Account top_account(std::int64_t stake_tokens) {
    Account top;
    for (const Input &input : kInputs) set(top, input, input.good ? 1'000'000'000'000 : 0);
    top.reputation.audit_score = kAuditScoreMax;
    top.stake.units = stake_tokens * chain::kUnitsPerToken;
    return top;
}

// Leaving the failures behind with one half does gain: the other is as if nothing had happened. It
// gains no more than never having failed, with what was earned.
TEST(NotCutting, LeavingFailuresBehindGains) {
    const Params params;
    Account whole = top_account(1'000);
    whole.reputation.failed = whole.reputation.late = Amount{500'000'000'000};
    Account good = whole, bad;
    good.reputation.failed = good.reputation.late = Amount{0};
    bad.reputation.failed = bad.reputation.late = whole.reputation.failed;
    EXPECT_GT(good.coefficient(params).multiplier, whole.coefficient(params).multiplier);
    EXPECT_EQ(good.coefficient(params), top_account(1'000).coefficient(params));
    EXPECT_EQ(bad.coefficient(params).multiplier, kQ16);
}

// Above stake_full and far above volume_half, an account gains by being several, since each of them
// recovers by itself: the damping slows accounts, not persons.
TEST(NotCutting, MoreThanTheFullStakeGainsFromSeveralAccounts) {
    const Params params;
    Account whole = top_account(4'000);
    whole.blocks_since_own = params.recovery_blocks / 4;
    Account quarter = top_account(1'000);
    for (const Input &input : kInputs)
        if (input.sum != nullptr) set(quarter, input, get(whole, input) / 4);
    quarter.blocks_since_own = params.recovery_blocks;
    EXPECT_GT(quarter.coefficient(params).multiplier, 2 * whole.coefficient(params).multiplier);
}

// Ratios that start from a half would pay for cutting a bad record (docs/adr/0010).
TEST(NotCutting, RatiosFromAHalfWouldReward) {
    const Wide prior = 10'000'000, failed = 1'000'000'000;
    const auto from_a_half = [&](Wide good, Wide bad) {
        return static_cast<std::uint32_t>((good + prior / 2) * kQ16 / (good + bad + prior));
    };
    EXPECT_EQ(from_a_half(0, failed), 324u);
    EXPECT_EQ(from_a_half(0, failed / 2), 642u);
    EXPECT_EQ(from_a_half(0, failed / 64), 12'787u);
}

}  // namespace
}  // namespace incentive
