// SPDX-License-Identifier: BSD-3-Clause
#include "chain/provider/owner_policy.h"

#include <random>

#include <gtest/gtest.h>

namespace chain::provider {
namespace {

constexpr std::uint64_t kMinute = 60'000;

OwnerRules test_rules() {
    OwnerRules rules;
    rules.leave_ms = 30'000;
    return rules;
}

OwnerSigns quiet_at(std::uint64_t now_ms) {
    OwnerSigns signs;
    signs.now_ms = now_ms;
    signs.input_idle_ms = 60 * kMinute;
    return signs;
}

// ---- what keeps a machine closed, and what reads in `node policy`

struct ClosedCase {
    const char *name;
    std::function<void(OwnerRules &, OwnerSigns &)> set;
    OwnerReason reason;
    const char *rule;    // part of it
    const char *change;  // part of it
};

const ClosedCase kClosed[] = {
    {"Input", [](OwnerRules &, OwnerSigns &s) { s.input_idle_ms = 14 * kMinute; },
     OwnerReason::kInput, "last input was 14 min ago", "another 60 s"},
    {"Load", [](OwnerRules &, OwnerSigns &s) { s.load_permille = 310; }, OwnerReason::kLoad,
     "keep 0.31 cores busy", "0.30 or less"},
    {"Battery", [](OwnerRules &, OwnerSigns &s) { s.on_battery = true; }, OwnerReason::kBattery,
     "battery", "mains"},
    {"Window",
     [](OwnerRules &r, OwnerSigns &s) {
         r.windows = {{60, 120}};
         s.week_minute = 120;
     },
     OwnerReason::kWindow, "outside of the times", "next window"},
    {"Application",
     [](OwnerRules &r, OwnerSigns &s) {
         r.applications = {"blender"};
         s.application = "blender";
     },
     OwnerReason::kApplication, "\"blender\" runs", "its end"},
    {"Memory", [](OwnerRules &, OwnerSigns &s) { s.memory_stall_permille = 150; },
     OwnerReason::kMemory, "15 %", "at most 10 %"},
    {"Paused", [](OwnerRules &, OwnerSigns &s) { s.paused = true; }, OwnerReason::kPaused, "paused",
     "node resume"},
    // The owner's word goes before everything else that is so, too.
    {"PausedFirst",
     [](OwnerRules &, OwnerSigns &s) {
         s.paused = true;
         s.on_battery = true;
         s.input_idle_ms = 0;
     },
     OwnerReason::kPaused, "paused", "node resume"},
};

class ClosedTest : public ::testing::TestWithParam<ClosedCase> {};

TEST_P(ClosedTest, NothingIsTaken) {
    OwnerRules rules = test_rules();
    OwnerSigns signs = quiet_at(1'000);
    GetParam().set(rules, signs);
    ASSERT_TRUE(OwnerPolicy::check(rules).ok());
    OwnerPolicy policy(rules);
    const LendDecision &decision = policy.look(signs, false);
    EXPECT_EQ(decision.state, LendState::kClosed);
    EXPECT_EQ(decision.reason, GetParam().reason);
    EXPECT_NE(decision.rule.find(GetParam().rule), std::string::npos) << decision.rule;
    EXPECT_NE(decision.change.find(GetParam().change), std::string::npos) << decision.change;
}

// The same signs on a machine that has leases: they are given notice (load has to last).
TEST_P(ClosedTest, WhatRunsIsGivenNotice) {
    OwnerRules rules = test_rules();
    OwnerSigns signs = quiet_at(1'000);
    OwnerRules open = rules;
    GetParam().set(rules, signs);
    rules.start_load_permille = rules.busy_load_permille = 300;
    OwnerPolicy policy(rules);
    OwnerSigns before = quiet_at(1'000);
    before.week_minute = 60;
    ASSERT_EQ(policy.look(before, false).state, LendState::kOpen);
    signs.now_ms = 1'000 + 60 * kMinute;
    policy.look(signs, true);
    signs.now_ms += rules.busy_ms;
    const LendDecision &decision = policy.look(signs, true);
    EXPECT_EQ(decision.state, LendState::kLeaving);
    EXPECT_EQ(decision.reason, GetParam().reason);
    EXPECT_GE(decision.leave_at_ms, 1'000 + 60 * kMinute + rules.leave_ms);
}

INSTANTIATE_TEST_SUITE_P(Tables, ClosedTest, ::testing::ValuesIn(kClosed),
                         [](const auto &param) { return std::string(param.param.name); });

// ---- a day of an owner

TEST(OwnerPolicy, ADay) {
    OwnerRules rules = test_rules();
    OwnerPolicy policy(rules);
    OwnerSigns signs = quiet_at(0);
    signs.input_idle_ms = 0;
    EXPECT_EQ(policy.look(signs, false).state, LendState::kClosed);
    signs.now_ms = 15 * kMinute;
    signs.input_idle_ms = 15 * kMinute;
    EXPECT_EQ(policy.look(signs, false).state, LendState::kOpen);
    // A lease runs; short bursts of load are no owner.
    for (int burst = 0; burst < 10; ++burst) {
        signs.now_ms += 60'000;
        signs.load_permille = burst % 2 == 0 ? 2'000 : 0;
        EXPECT_EQ(policy.look(signs, true).state, LendState::kOpen);
    }
    // The mouse moves.
    signs.now_ms += 1'000;
    signs.input_idle_ms = 100;
    const LendDecision leaving = policy.look(signs, true);
    EXPECT_EQ(leaving.state, LendState::kLeaving);
    EXPECT_EQ(leaving.leave_at_ms, signs.now_ms + rules.leave_ms);
    EXPECT_NE(leaving.rule.find("end in 30 s"), std::string::npos) << leaving.rule;
    // A notice stands, also when the owner goes again; and it is not made longer.
    signs.now_ms += 20'000;
    signs.input_idle_ms = 20'100;
    EXPECT_EQ(policy.look(signs, true).leave_at_ms, leaving.leave_at_ms);
    // They have left.
    signs.now_ms += 15'000;
    EXPECT_EQ(policy.look(signs, false).state, LendState::kClosed);
    signs.now_ms += 16 * kMinute;
    signs.input_idle_ms = 16 * kMinute;
    EXPECT_EQ(policy.look(signs, false).state, LendState::kOpen);
}

TEST(OwnerPolicy, SuspendsForAWhileIfTheOwnerWantsSo) {
    OwnerRules rules = test_rules();
    rules.suspend_ms = 10 * kMinute;
    OwnerPolicy policy(rules);
    OwnerSigns signs = quiet_at(kMinute);
    policy.look(signs, false);
    signs.now_ms += kMinute;
    signs.input_idle_ms = 0;
    EXPECT_EQ(policy.look(signs, true).state, LendState::kSuspended);
    // Five minutes later nobody has touched it again.
    signs.now_ms += 5 * kMinute;
    signs.input_idle_ms = 5 * kMinute;
    EXPECT_EQ(policy.look(signs, true).state, LendState::kOpen);
    // What went on is not taken for the owner's return.
    signs.now_ms += 1'000;
    signs.input_idle_ms = 5 * kMinute + 1'000;
    EXPECT_EQ(policy.look(signs, true).state, LendState::kOpen);
    signs.now_ms += kMinute;
    signs.input_idle_ms = 0;
    EXPECT_EQ(policy.look(signs, true).state, LendState::kSuspended);
    signs.now_ms += 10 * kMinute;
    EXPECT_EQ(policy.look(signs, true).state, LendState::kLeaving);
}

TEST(OwnerPolicy, WithoutAWayToSeeInputOnlyTheRestCounts) {
    OwnerPolicy policy(test_rules());
    OwnerSigns signs = quiet_at(0);
    signs.input_idle_ms.reset();
    EXPECT_EQ(policy.look(signs, false).state, LendState::kOpen);
}

TEST(OwnerPolicy, WindowsRunOverTheEndOfTheWeek) {
    const WeekWindow night{6 * 1440 + 22 * 60, 6 * 60};  // Sunday 22:00 to Monday 06:00
    EXPECT_TRUE(night.contains(kMinutesPerWeek - 1));
    EXPECT_TRUE(night.contains(0));
    EXPECT_TRUE(night.contains(359));
    EXPECT_FALSE(night.contains(360));
    EXPECT_FALSE(night.contains(6 * 1440 + 22 * 60 - 1));
    EXPECT_TRUE((WeekWindow{7, 7}.contains(99)));
}

TEST(OwnerPolicy, RefusesRulesThatMakeNoSense) {
    const std::pair<std::function<void(OwnerRules &)>, const char *> cases[] = {
        {[](OwnerRules &r) { r.busy_load_permille = 100; }, "by turns"},
        {[](OwnerRules &r) { r.continue_idle_ms = r.start_idle_ms + 1; }, "longer pause"},
        {[](OwnerRules &r) { r.leave_ms = kLeaveMsMax + 1; }, "10 minutes"},
        {[](OwnerRules &r) { r.busy_ms = 25 * 60 * kMinute; }, "longer than a day"},
        {[](OwnerRules &r) { r.memory_stall_permille = 0; }, "memory"},
        {[](OwnerRules &r) {
             r.windows = {{0, kMinutesPerWeek}};
         },
         "outside of the week"},
        {[](OwnerRules &r) { r.windows.resize(65); }, "64 windows"},
        {[](OwnerRules &r) { r.applications = {""}; }, "no name"},
    };
    EXPECT_TRUE(OwnerPolicy::check(OwnerRules()).ok());
    for (const auto &[spoil, why] : cases) {
        OwnerRules rules;
        spoil(rules);
        const Status checked = OwnerPolicy::check(rules);
        ASSERT_FALSE(checked.ok()) << why;
        EXPECT_NE(checked.error().message.find(why), std::string::npos) << checked.error().message;
    }
}

// Whatever owners do: leases are taken from a quiet machine only; input is followed by giving way
// at once; a notice ends in time; every state has a reason and words.
TEST(OwnerPolicy, HoldsForRandomOwners) {
    for (std::uint64_t seed = 1; seed <= 2'000; ++seed) {
        std::mt19937_64 random(seed);
        OwnerRules rules;
        rules.suspend_ms = random() % 2 * 60'000;
        rules.leave_ms = random() % 60'000;
        OwnerPolicy policy(rules);
        OwnerSigns signs;
        std::uint64_t input_at_ms = 0;
        bool has_leases = false;
        for (int step = 0; step < 200; ++step) {
            signs.now_ms += random() % (5 * kMinute);
            if (random() % 8 == 0) input_at_ms = signs.now_ms;
            signs.input_idle_ms = signs.now_ms - input_at_ms;
            signs.load_permille =
                static_cast<std::uint32_t>(random() % (random() % 4 == 0 ? 2'000 : 300));
            signs.on_battery = random() % 16 == 0;
            signs.paused = random() % 32 == 0;
            const LendState before = policy.decision().state;
            const std::uint64_t leave_at_ms = policy.decision().leave_at_ms;
            const LendDecision &after = policy.look(signs, has_leases);
            SCOPED_TRACE("seed " + std::to_string(seed) + " step " + std::to_string(step));
            if (before == LendState::kClosed && after.state == LendState::kOpen) {
                EXPECT_GE(*signs.input_idle_ms, rules.start_idle_ms);
                EXPECT_LE(signs.load_permille, rules.start_load_permille);
                EXPECT_FALSE(signs.on_battery || signs.paused);
            }
            if (before == LendState::kOpen && after.state == LendState::kOpen && step > 0) {
                EXPECT_GT(*signs.input_idle_ms, 0u);
            }
            if (before == LendState::kLeaving && after.state == LendState::kLeaving) {
                EXPECT_EQ(after.leave_at_ms, leave_at_ms);
            }
            if (!has_leases) {
                EXPECT_TRUE(after.state == LendState::kOpen || after.state == LendState::kClosed);
            }
            EXPECT_EQ(after.reason == OwnerReason::kNone, after.state == LendState::kOpen);
            EXPECT_FALSE(after.rule.empty() || after.change.empty());
            // The provider: takes leases when open, ends them when told to.
            if (after.state == LendState::kOpen) has_leases |= random() % 2 == 0;
            if (after.state == LendState::kLeaving && signs.now_ms >= after.leave_at_ms)
                has_leases = false;
        }
    }
}

}  // namespace
}  // namespace chain::provider
