// SPDX-License-Identifier: BSD-3-Clause
//
// How much of the blocks, and of the chain's work, comes of how much of the hash power under proof
// of resource (docs/consensus.md): as the rule itself decides, on chains that grow by chance.
//
// Usage: por_share_test [BLOCKS of each chain: then all rows]
#include <cmath>
#include <cstdlib>
#include <iomanip>
#include <iostream>

#include <gtest/gtest.h>

#include "tests/chain/consensus/por_simulation.h"

namespace chain::consensus {
namespace {

std::size_t block_count = 2'500;
bool all_rows = false;  // or those that take seconds
std::uint64_t first_seed = 1;

constexpr std::size_t kMany = 64;
constexpr double kErrors = 4;  // so many standard errors are chance
const incentive::Params kParams;
const Amount kFullStake{static_cast<std::int64_t>(kParams.stake_full_units)};
const PorOptions kDamped;       // as in a genesis that says nothing else
const PorOptions kUndamped{1};  // all of the boost is back with the next block

// Each chain its own, whatever other tests run.
std::uint64_t next_seed() {
    static std::uint64_t seed = first_seed;
    return seed++;
}

// With m from 1 to 4 once it has recovered.
PorMember member_of(double boost, std::size_t group = 0) {
    const auto quality = static_cast<std::uint32_t>(std::lround(boost / 3 * incentive::kQ16));
    return {1, quality, kFullStake, group};
}

// Boosts of the others: those of newcomers, of people of all kinds, and of nobody but the best.
std::vector<double> boosts_of(const std::string &kind) {
    std::vector<double> boosts;
    for (std::size_t i = 0; i < kMany; ++i) {
        if (kind == "m = 1") boosts.push_back(0);
        if (kind == "m = 1 to 4") boosts.push_back(3 * (static_cast<double>(i) + 0.5) / kMany);
        if (kind == "m = 2.5") boosts.push_back(1.5);
        if (kind == "m = 4") boosts.push_back(3);
    }
    CHAIN_CHECK(!boosts.empty());
    return boosts;
}

std::vector<PorMember> members_of(const std::vector<double> &boosts) {
    std::vector<PorMember> members;
    for (const double boost : boosts) members.push_back(member_of(boost));
    return members;
}

std::string percent(double share) {
    std::ostringstream out;
    out << std::fixed << std::setprecision(2) << 100 * share;
    return out.str();
}
std::string percent(const Measured &share) {
    return percent(share.value) + " ± " + percent(share.error);
}

// ---- two chains

struct Race {
    const char *honest;     // boosts_of()
    std::size_t attackers;  // accounts at the top, on a chain of their own
    PorOptions options;
    const char *documented = nullptr;
    bool always = false;
};

// The attacker's share of the hash power with which its chain gains work as fast as the honest one.
// How the base target of either moves does not matter: a block found with base x m stands for
// 1 / base of work, so a chain gains hashes x m, the mean m of who hashes.
double break_even(double honest, double attacker) {
    return honest / (honest + attacker);
}

Measured measure(const Race &race) {
    const auto grown = [&](const std::vector<double> &boosts) {
        PorChain chain(race.options, members_of(boosts), next_seed());
        return chain.grow(block_count).work_per_hash;
    };
    const Measured honest = grown(boosts_of(race.honest));
    const Measured attacker = grown(std::vector<double>(race.attackers, 3));
    const double share = break_even(honest.value, attacker.value);
    return {share, share * (1 - share) *
                       std::hypot(honest.error / honest.value, attacker.error / attacker.value)};
}

TEST(PorShare, AnAttackersChainIsAsFastAsTheHonestOne) {
    const PorOptions damped64{64}, from_nothing{64, true};
    const Race races[] = {
        {"m = 1 to 4", 1, kUndamped, "38.5", true},
        {"m = 1 to 4", 1, from_nothing, "64.6", true},
        {"m = 1 to 4", 1, damped64},
        {"m = 2.5", 1, damped64},
        {"m = 1 to 4", 1, kDamped, nullptr, true},
        {"m = 1", 1, kUndamped},
        {"m = 1", 1, kDamped},
        {"m = 4", 1, kUndamped},
        {"m = 4", 1, kDamped},
        {"m = 1 to 4", kMany, kDamped, nullptr, true},
        {"m = 1", kMany, kDamped},
        {"m = 4", kMany, kDamped},
    };
    std::cout << "| 64 honest accounts | attacker, m = 4 | recovery_blocks | expected | measured | "
                 "documented |\n|---|---|--:|--:|--:|--:|\n";
    for (const Race &race : races) {
        if (!race.always && !all_rows) continue;
        const double expected = break_even(
            expected_work_per_hash(boosts_of(race.honest), race.options),
            expected_work_per_hash(std::vector<double>(race.attackers, 3), race.options));
        const Measured measured = measure(race);
        std::cout << "| " << race.honest << " | " << race.attackers
                  << (race.attackers == 1 ? " account | " : " accounts | ")
                  << race.options.recovery_blocks
                  << (race.options.starts_from_nothing ? ", from nothing" : "") << " | "
                  << percent(expected) << " | " << percent(measured) << " | "
                  << (race.documented != nullptr ? race.documented : "") << " |\n";
        // The theory's "many others" are 63: a fifth of a percent.
        EXPECT_NEAR(measured.value, expected, kErrors * measured.error + 0.002);
        if (race.documented == nullptr) continue;
        EXPECT_NEAR(100 * measured.value, std::atof(race.documented),
                    100 * kErrors * measured.error + 0.05);
    }
}

// ---- one chain

// The record of an account that has all there is, and of which many can be made.
struct Record {
    incentive::Reputation reputation;
    Amount stake;
};
Record top_record() {
    Record top;
    incentive::Reputation &r = top.reputation;
    const Amount tokens{1'000 * 1'000'000'000LL};
    r.shares = 1'000'000'000;
    r.burned_as_provider = r.burned_as_renter = r.done = r.on_time = r.satisfied = tokens;
    r.audit_score = incentive::kAuditScoreMax;
    top.stake = kFullStake;
    return top;
}
Record cut(const Record &whole, std::int64_t parts) {
    Record part = whole;
    incentive::Reputation &r = part.reputation;
    r.shares /= static_cast<std::uint64_t>(parts);
    r.audit_score /= static_cast<std::uint64_t>(parts);
    for (Amount *sum : {&r.burned_as_provider, &r.burned_as_renter, &r.done, &r.on_time,
                        &r.satisfied, &part.stake})
        sum->units /= parts;
    return part;
}

enum class Who { kNewcomer, kTop, kTopCut, kManyTops };

// `share` of the hash power against 64 accounts of all kinds: group 0 of two.
Measured share_of_blocks(Who who, double share, const PorOptions &options) {
    std::vector<PorMember> members = members_of(boosts_of("m = 1 to 4"));
    for (PorMember &member : members) {
        member.group = 1;
        member.hash_power = (1 - share) / kMany;
    }
    const std::size_t parts = who == Who::kTopCut || who == Who::kManyTops ? kMany : 1;
    Record record = top_record();
    if (who == Who::kNewcomer) record.reputation = {};
    if (who == Who::kTopCut) record = cut(record, kMany);
    for (std::size_t i = 0; i < parts; ++i)
        members.push_back({share / static_cast<double>(parts),
                           incentive::quality_q16(record.reputation, kParams), record.stake, 0});
    PorChain chain(options, std::move(members), next_seed());
    return chain.grow(block_count).block_share[0];
}

TEST(PorShare, OfBlocksGrowsWithHashPowerAndIsNotGainedByBeingMany) {
    std::cout << "| of the hash power | newcomer, undamped | newcomer | top, undamped | top | "
                 "the top one cut into 64 | 64 at the top |\n|--:|--:|--:|--:|--:|--:|--:|\n";
    const std::pair<Who, PorOptions> columns[] = {
        {Who::kNewcomer, kUndamped}, {Who::kNewcomer, kDamped}, {Who::kTop, kUndamped},
        {Who::kTop, kDamped},        {Who::kTopCut, kDamped},   {Who::kManyTops, kDamped}};
    std::vector<Measured> before(std::size(columns));
    for (const double share :
         all_rows ? std::vector{0.01, 0.05, 0.1, 0.2, 0.33, 0.5} : std::vector{0.1, 0.33, 0.5}) {
        std::vector<Measured> row;
        std::cout << "| " << percent(share);
        for (const auto &[who, options] : columns) {
            row.push_back(share_of_blocks(who, share, options));
            std::cout << " | " << percent(row.back());
        }
        std::cout << " |" << std::endl;
        for (std::size_t i = 0; i < row.size(); ++i)
            EXPECT_GT(row[i].value, before[i].value) << "column " << i << " at " << share;
        // Undamped it is a formula: everybody's part of hash power x m, which is 2.5 on average.
        for (const std::size_t i : {0, 2}) {
            const double mine = share * (i == 0 ? 1 : 4);
            EXPECT_NEAR(row[i].value, mine / (mine + 2.5 * (1 - share)), kErrors * row[i].error);
        }
        const Measured &top = row[3], &parts = row[4], &tops = row[5];
        EXPECT_LT(parts.value, top.value + kErrors * std::hypot(parts.error, top.error));
        EXPECT_LT(top.value, row[2].value + kErrors * std::hypot(top.error, row[2].error));
        EXPECT_LT(tops.value, 4 * share / (4 * share + 1 - share)) << "what m = 4 against 1 gets";
        before = row;
    }
}

}  // namespace
}  // namespace chain::consensus

int main(int argc, char **argv) {
    testing::InitGoogleTest(&argc, argv);
    if (argc > 1) {
        chain::consensus::block_count = std::strtoull(argv[1], nullptr, 10);
        chain::consensus::all_rows = true;
    }
    if (const char *const seed = std::getenv("SIMULATION_SEED"))
        chain::consensus::first_seed = std::strtoull(seed, nullptr, 10);
    std::cout << "chains of " << chain::consensus::block_count << " blocks, seeds from "
              << chain::consensus::first_seed << "; percent ± one standard error\n";
    return RUN_ALL_TESTS();
}
