// SPDX-License-Identifier: BSD-3-Clause
// The schedule against ranks that are slow, lost, late and lying, with a clock of the test's own.
#include "examples/ranks/schedule.h"

#include <gtest/gtest.h>

#include <deque>

#include "tests/hpips/random_images.h"

namespace ranks::testing {
namespace {

using hpips::testing::Chance;
using Use = Schedule::Use;

Roster roster_of(int ranks) {
    Roster roster(static_cast<size_t>(ranks));
    for (Member &member : roster) member.is_quiet = false;
    return roster;
}

TEST(Schedule, AloneDoesEverythingInOrder) {
    Roster roster = roster_of(1);
    Schedule schedule(std::vector<bool>(5), roster, {});
    for (int64_t task = 0; task < 5; ++task) {
        EXPECT_EQ(schedule.next(0, 0), task);
        EXPECT_EQ(schedule.came(0, task, 0.1, 1), Use::kFinal);
    }
    EXPECT_TRUE(schedule.is_finished());
    EXPECT_EQ(schedule.next(0, 2), std::nullopt);
}

TEST(Schedule, WhatIsDoneIsNotDoneAgain) {
    Roster roster = roster_of(1);
    Schedule schedule({true, false, true}, roster, {});
    EXPECT_EQ(schedule.next(0, 0), 1);
    schedule.came(0, 1, 0.1, 1);
    EXPECT_TRUE(schedule.is_finished());
}

TEST(Schedule, ATaskIsUnderWayWhileAnotherIsComputed) {
    Roster roster = roster_of(2);
    Schedule schedule(std::vector<bool>(100), roster, {});
    EXPECT_EQ(schedule.next(1, 0), 0);
    EXPECT_EQ(schedule.next(1, 0), 1);
    EXPECT_EQ(schedule.next(1, 0), std::nullopt);
    // A fast one gets more ahead, towards the end less.
    schedule.came(1, 0, 0.05, 0.1);
    int more = 0;
    while (schedule.next(1, 0.1)) ++more;
    EXPECT_GT(more, 4);
    EXPECT_LE(more, 20);
}

TEST(Schedule, NearTheEndNobodyHoards) {
    Roster roster = roster_of(4);
    for (Member &member : roster) member.task_s = 0.001;
    Schedule schedule(std::vector<bool>(8), roster, {});
    int got = 0;
    while (schedule.next(1, 0)) ++got;
    EXPECT_LE(got, 2);
}

TEST(Schedule, ALostRanksTasksGoToOthersAndItsLateResultCounts) {
    Roster roster = roster_of(2);
    Schedule schedule(std::vector<bool>(2), roster, {});
    const int64_t task = *schedule.next(1, 0);
    schedule.set_quiet(1);
    EXPECT_EQ(schedule.next(1, 1), std::nullopt);
    EXPECT_EQ(schedule.next(0, 1), task);
    EXPECT_EQ(schedule.came(1, task, 9, 9), Use::kFinal);
    EXPECT_EQ(schedule.came(0, task, 9, 10), Use::kIgnore);
}

TEST(Schedule, AStragglersTaskIsGivenToWhoIsIdle) {
    Roster roster = roster_of(2);
    Schedule schedule(std::vector<bool>(1), roster, {});
    EXPECT_EQ(schedule.next(1, 0), 0);
    EXPECT_EQ(schedule.next(0, 1), std::nullopt);
    EXPECT_EQ(schedule.next(0, 11), 0);
    EXPECT_EQ(schedule.next(0, 30), std::nullopt);
    EXPECT_EQ(schedule.came(0, 0, 1, 31), Use::kFinal);
    EXPECT_EQ(schedule.came(1, 0, 1, 32), Use::kIgnore);
    EXPECT_TRUE(schedule.is_finished());
}

// One that is alive and answers nothing costs its tasks some time, each once.
TEST(Schedule, AMuteRankHoldsUpNobodyForLong) {
    Roster roster = roster_of(2);
    Schedule schedule(std::vector<bool>(12), roster, {});
    int done = 0;
    double now = 0;
    for (; !schedule.is_finished() && now < 1000; now += 1) {
        schedule.next(1, now);
        if (const auto task = schedule.next(0, now))
            done += schedule.came(0, *task, 0.1, now) == Use::kFinal ? 1 : 0;
    }
    EXPECT_TRUE(schedule.is_finished());
    EXPECT_EQ(done, 12);
    EXPECT_LT(now, 60);
}

TEST(Schedule, TwoThatKeepATaskDoNotKeepItFromRank0) {
    Roster roster = roster_of(3);
    Schedule schedule(std::vector<bool>(1), roster, {});
    EXPECT_EQ(schedule.next(1, 0), 0);
    EXPECT_EQ(schedule.next(2, 20), 0);
    EXPECT_EQ(schedule.next(0, 20), 0);
    EXPECT_EQ(schedule.came(0, 0, 1, 21), Use::kFinal);
}

TEST(Schedule, WhoWasSlowOnceDoesNotMakeOthersWaitForEver) {
    Roster roster = roster_of(2);
    roster[1].turnaround_s = 100'000;
    Schedule schedule(std::vector<bool>(1), roster, {});
    EXPECT_EQ(schedule.next(1, 0), 0);
    EXPECT_EQ(schedule.next(0, 61), 0);
}

TEST(Schedule, AnswersThatNobodyAskedForDoNotCount) {
    Roster roster = roster_of(3);
    Schedule schedule(std::vector<bool>(4), roster, {1.0, 7});
    EXPECT_FALSE(schedule.was_given(1, 3));
    EXPECT_EQ(schedule.came(1, 3, 1, 1), Use::kIgnore);
    EXPECT_FALSE(schedule.failed(1, 3));
    EXPECT_EQ(schedule.next(1, 1), 0);
    EXPECT_EQ(schedule.came(1, 0, 1, 2), Use::kFirst);
    EXPECT_EQ(schedule.came(2, 0, 1, 2), Use::kIgnore);  // a second opinion, from a friend
    EXPECT_EQ(schedule.next(2, 3), 0);
    EXPECT_EQ(schedule.came(2, 0, 1, 4), Use::kCompare);
    // The failure of the last one has not sent it home.
    schedule.agreed(0);
    for (const int64_t task : {1, 2, 3}) {
        EXPECT_EQ(schedule.next(1, 5), task);
        EXPECT_EQ(schedule.came(1, task, 1, 5), Use::kFirst);
    }
}

TEST(Schedule, WhoFailsAtWhatWorksAtHomeHasStrikes) {
    Roster roster = roster_of(2);
    Schedule schedule(std::vector<bool>(3), roster, {});
    for (int64_t task = 0; task < 3; ++task) {
        EXPECT_EQ(schedule.next(1, 0), task);
        EXPECT_FALSE(schedule.failed(1, task));
        EXPECT_EQ(schedule.next(0, 0), task);
        if (task == 2)
            EXPECT_TRUE(schedule.failed(0, task));  // here, too
        else
            EXPECT_EQ(schedule.came(0, task, 1, 1), Use::kFinal);
    }
    EXPECT_EQ(roster[1].strikes, 2);
    schedule.abandon(2);
    EXPECT_TRUE(schedule.is_finished());
}

TEST(Schedule, ASecondOpinionIsAnotherRanks) {
    Roster roster = roster_of(3);
    Schedule schedule(std::vector<bool>(1), roster, {1.0, 7});
    EXPECT_EQ(schedule.next(1, 0), 0);
    EXPECT_EQ(schedule.came(1, 0, 1, 1), Use::kFirst);
    EXPECT_EQ(schedule.next(1, 1), std::nullopt);
    EXPECT_EQ(schedule.next(2, 1), 0);
    EXPECT_EQ(schedule.came(1, 0, 1, 1), Use::kIgnore);  // once more: proves nothing
    EXPECT_EQ(schedule.came(2, 0, 1, 2), Use::kCompare);
    schedule.agreed(0);
    EXPECT_TRUE(schedule.is_finished());
    EXPECT_EQ(schedule.verified_count(), 1);
}

TEST(Schedule, WhereRanksDisagreeRank0Decides) {
    Roster roster = roster_of(3);
    Schedule schedule(std::vector<bool>(3), roster, {1.0, 7});
    for (int64_t task = 0; task < 2; ++task) {
        EXPECT_EQ(schedule.next(1, 0), task);
        EXPECT_EQ(schedule.came(1, task, 1, 1), Use::kFirst);
    }
    EXPECT_EQ(schedule.next(2, 1), 0);
    EXPECT_EQ(schedule.came(2, 0, 1, 2), Use::kCompare);
    schedule.disagreed(0);
    EXPECT_EQ(schedule.next(2, 2), 1);
    EXPECT_EQ(schedule.came(2, 1, 1, 3), Use::kCompare);
    schedule.agreed(1);
    EXPECT_EQ(schedule.next(0, 3), 0);
    EXPECT_EQ(schedule.came(0, 0, 1, 4), Use::kJudge);
    EXPECT_EQ(schedule.parties(0), (std::pair{1, 2}));
    schedule.judged(0);
    EXPECT_EQ(schedule.exclude(1), (std::vector<int64_t>{1}));
    EXPECT_EQ(schedule.next(1, 5), std::nullopt);
    EXPECT_EQ(schedule.came(1, 2, 1, 5), Use::kIgnore);
    EXPECT_EQ(schedule.done_count(), 1);
    EXPECT_FALSE(schedule.contributors().contains(1));
}

TEST(Schedule, OnlyTheShareIsVerifiedAndTheSeedSaysWhich) {
    const auto chosen = [](uint64_t seed) {
        Roster roster = roster_of(1);
        Schedule schedule(std::vector<bool>(4000), roster, {0.25, seed});
        std::vector<int64_t> tasks;
        for (int64_t task = 0; task < 4000; ++task)
            if (schedule.came(0, task, 1, 1) == Use::kFirst) tasks.push_back(task);
        return tasks;
    };
    EXPECT_NEAR(static_cast<double>(chosen(1).size()), 1000, 150);
    EXPECT_EQ(chosen(1), chosen(1));
    EXPECT_NE(chosen(1), chosen(2));
}

TEST(Schedule, WhatFailsElsewhereIsDoneAtHome) {
    Roster roster = roster_of(2);
    Schedule schedule(std::vector<bool>(1), roster, {});
    EXPECT_EQ(schedule.next(1, 0), 0);
    EXPECT_FALSE(schedule.failed(1, 0));
    EXPECT_EQ(schedule.next(1, 1), std::nullopt);
    EXPECT_EQ(schedule.next(0, 1), 0);
    EXPECT_TRUE(schedule.failed(0, 0));
}

// Ranks by chance that answer late, twice, wrongly or never: it ends, every task is right at the
// end, and whoever was named had lied.
class Game {
public:
    Game(Chance &chance, int ranks, int tasks, double share)
        : chance_(chance),
          roster_(roster_of(ranks)),
          schedule_(std::vector<bool>(static_cast<size_t>(tasks)), roster_,
                    {share, static_cast<uint64_t>(chance.below(1 << 30))}),
          truth_(static_cast<size_t>(tasks), -1),
          inbox_(static_cast<size_t>(ranks)) {
        for (int rank = 1; rank < ranks; ++rank) {
            lies_.push_back(chance.below(4) == 0);
            dies_at_.push_back(chance.below(3) == 0 ? chance.between(1, 60) : 1 << 30);
        }
    }

    void play() {
        for (int round = 0; !schedule_.is_finished(); ++round) {
            ASSERT_LT(round, 100'000) << "does not end";
            now_ += 0.5;
            for (int rank = 0; rank < static_cast<int>(inbox_.size()); ++rank) step(rank, round);
        }
        for (size_t task = 0; task < truth_.size(); ++task)
            EXPECT_EQ(truth_[task], 0) << "task " << task << " is a lie";
    }

private:
    bool is_liar(int rank) const { return rank > 0 && lies_[static_cast<size_t>(rank - 1)]; }

    void step(int rank, int round) {
        auto &inbox = inbox_[static_cast<size_t>(rank)];
        if (rank > 0 && round >= dies_at_[static_cast<size_t>(rank - 1)]) {
            if (round == dies_at_[static_cast<size_t>(rank - 1)] + 10) schedule_.set_quiet(rank);
            return;
        }
        if (const auto task = schedule_.next(rank, now_)) inbox.push_back(*task);
        if (inbox.empty() || chance_.below(3) != 0) return;
        const int64_t task = inbox.front();
        inbox.pop_front();
        // Liars lie each in their own way: rank as the lie.
        answer(rank, task, is_liar(rank) && chance_.below(2) == 0 ? rank : 0);
    }

    void answer(int rank, int64_t task, int value) {
        int &stored = truth_[static_cast<size_t>(task)];
        switch (schedule_.came(rank, task, 0.4, now_)) {
            case Use::kIgnore: return;
            case Use::kFinal:
            case Use::kFirst: stored = value; return;
            case Use::kCompare:
                if (stored == value) {
                    schedule_.agreed(task);
                } else {
                    second_[task] = value;
                    schedule_.disagreed(task);
                }
                return;
            case Use::kJudge: judge(task, stored);
        }
    }

    void judge(int64_t task, int &stored) {
        const auto [first, second] = schedule_.parties(task);
        const bool first_lied = stored != 0;
        const bool second_lied = second_[task] != 0;
        stored = 0;
        schedule_.judged(task);
        for (const auto &[rank, lied] : {std::pair{first, first_lied}, {second, second_lied}}) {
            if (!lied) continue;
            EXPECT_TRUE(is_liar(rank));
            for (const int64_t withdrawn : schedule_.exclude(rank))
                truth_[static_cast<size_t>(withdrawn)] = -1;
        }
    }

    Chance &chance_;
    Roster roster_;
    Schedule schedule_;
    std::vector<int> truth_;
    std::vector<std::deque<int64_t>> inbox_;
    std::vector<bool> lies_;
    std::vector<int> dies_at_;
    std::map<int64_t, int> second_;
    double now_ = 0;
};

TEST(Schedule, RandomRanksNeverSpoilTheImage) {
    Chance chance;
    for (int round = 0; round < 300; ++round)
        Game(chance, chance.between(1, 6), chance.between(1, 60), 1.0).play();
}

}  // namespace
}  // namespace ranks::testing
