// SPDX-License-Identifier: BSD-3-Clause
#include "chain/consensus/miner.h"

#include <chrono>
#include <ctime>
#include <map>
#include <optional>
#include <set>

#include <gtest/gtest.h>
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>

#include "chain_config.h"
#include "incentive/reputation.h"
#include "tests/chain/consensus/targets.h"

namespace chain::consensus {
namespace {

using incentive::kQ16;

// sha256d that remembers which threads asked, and can be made to fail.
class ProbePow final : public PowFunction {
public:
    struct Asker {
        std::string name;
        int policy = 0, nice = 0;
        clockid_t cpu_clock{};
    };
    std::string_view name() const override { return "probe"; }
    Result<Bytes32> hash(std::string_view header) const override {
        if (failing) return make_error(ErrorCode::kTooLarge, "no memory in this test");
        if (!header.empty()) note_asker();
        return sha256d_->hash(header);
    }
    std::vector<Asker> askers() const {
        const std::lock_guard lock(mutex_);
        std::vector<Asker> all;
        for (const auto &[thread, asker] : askers_) all.push_back(asker);
        return all;
    }
    std::atomic<bool> failing{false};

private:
    void note_asker() const {
        const std::lock_guard lock(mutex_);
        if (askers_.count(pthread_self()) != 0) return;
        Asker &asker = askers_[pthread_self()];
        char name[16] = "";
        pthread_getname_np(pthread_self(), name, sizeof name);
        asker.name = name;
        asker.policy = sched_getscheduler(0);
        asker.nice = getpriority(PRIO_PROCESS, 0);
        pthread_getcpuclockid(pthread_self(), &asker.cpu_clock);
    }
    const std::unique_ptr<PowFunction> sha256d_ = make_pow("sha256d", {}).value();
    mutable std::mutex mutex_;
    mutable std::map<pthread_t, Asker> askers_;
};

class MinerTest : public testing::Test {
protected:
    void start(unsigned thread_count, const PowFunction *pow = nullptr) {
        miner_.emplace(loop_, pow != nullptr ? *pow : probe_, thread_count,
                       Miner::Callbacks{[this](const Found &found) {
                                            blocks_.push_back(found);
                                            if (on_block_) on_block_();
                                        },
                                        [this](const Found &found) { shares_.push_back(found); }});
    }

    // True as soon as `condition` holds, which is asked on the loop's thread. The limit is
    // generous: on a machine with other work the miner's threads get a few thousandths of a core.
    bool run_until(const std::function<bool()> &condition) {
        bool held = false;
        const LoopHandle check = loop_.every_ms(5, [&] {
            held = condition();
            if (held) loop_.stop();
        });
        const LoopHandle too_late = loop_.after_ms(120'000, [this] { loop_.stop(); });
        loop_.run();
        return held;
    }

    void run_for_ms(std::uint64_t ms) {
        const LoopHandle end = loop_.after_ms(ms, [this] { loop_.stop(); });
        loop_.run();
    }

    // What the threads have used so far: hashes, and nanoseconds of CPU time.
    std::pair<std::uint64_t, std::uint64_t> used() const {
        std::uint64_t cpu_ns = 0;
        for (const ProbePow::Asker &asker : probe_.askers()) {
            timespec time{};
            clock_gettime(asker.cpu_clock, &time);
            cpu_ns += static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 +
                      static_cast<std::uint64_t>(time.tv_nsec);
        }
        return {miner_->hash_count(), cpu_ns};
    }

    // Waits until a fifth of a second passes in which nothing is used.
    bool wait_for_rest() {
        for (int turn = 0; turn < 100; ++turn) {
            const auto before = used();
            std::this_thread::sleep_for(std::chrono::milliseconds(200));
            if (used() == before) return true;
        }
        return false;
    }

    static Job job(std::uint64_t id, const Target &base, const Target &share_target = {}) {
        return {id, "prefix " + std::to_string(id), "suffix", base, kQ16, share_target};
    }

    static void expect_hash_is_right(const Found &found, const Job &job) {
        Bytes header = job.header_prefix;
        append_u64_le(header, found.nonce);
        header += job.header_suffix;
        EXPECT_EQ(make_pow("sha256d", {}).value()->hash(header).value(), found.hash);
    }

    ProbePow probe_;
    Loop loop_;
    std::optional<Miner> miner_;
    std::vector<Found> blocks_, shares_;
    std::function<void()> on_block_;
};

TEST_F(MinerTest, FindsOneBlockForEachJob) {
    start(2);
    Job easy = job(0, power_of_two(246));
    easy.multiplier_q16 = 4 * kQ16;  // every 256th hash
    on_block_ = [&] {
        if (blocks_.size() == 20) return;
        easy.job_id = blocks_.size();
        miner_->set_job(easy);
    };
    miner_->set_job(easy);
    ASSERT_TRUE(run_until([&] { return blocks_.size() == 20; }));
    EXPECT_TRUE(wait_for_rest());  // there is no job any more
    run_for_ms(20);
    ASSERT_EQ(blocks_.size(), 20u);
    for (std::size_t i = 0; i < blocks_.size(); ++i) {
        EXPECT_EQ(blocks_[i].job_id, i);
        EXPECT_TRUE(hash_meets(blocks_[i].hash, easy.base, easy.multiplier_q16));
        expect_hash_is_right(blocks_[i], easy);
    }
    EXPECT_TRUE(shares_.empty());
}

TEST_F(MinerTest, ReportsSharesOfAllThreadsAndNoNonceTwice) {
    start(3);
    const Job hard = job(7, kHardestTarget, power_of_two(250));
    miner_->set_job(hard);
    std::set<std::uint64_t> threads;
    const auto all_threads_found = [&](std::size_t count) {
        threads.clear();
        for (const Found &share : shares_) threads.insert(share.nonce >> 56);
        return shares_.size() >= count && threads.size() == 3;
    };
    ASSERT_TRUE(run_until([&] { return all_threads_found(100); }));
    miner_->pause("between two turns of the same job");
    ASSERT_TRUE(wait_for_rest());
    run_for_ms(20);
    miner_->resume();
    const std::size_t before = shares_.size();
    ASSERT_TRUE(run_until([&] { return all_threads_found(before + 100); }));
    EXPECT_EQ(threads, (std::set<std::uint64_t>{0, 1, 2}));

    std::set<std::uint64_t> nonces;
    for (const Found &share : shares_) {
        EXPECT_EQ(share.job_id, 7u);
        EXPECT_TRUE(hash_meets(share.hash, hard.share_target, kQ16));
        EXPECT_TRUE(nonces.insert(share.nonce).second) << share.nonce;
        expect_hash_is_right(share, hard);
    }
    EXPECT_TRUE(blocks_.empty());
}

TEST_F(MinerTest, RestsWhilePausedAndWithoutAJob) {
    start(2);
    ASSERT_TRUE(wait_for_rest());
    EXPECT_EQ(miner_->hash_count(), 0u);
    miner_->set_job(job(1, kHardestTarget));
    ASSERT_TRUE(run_until([&] { return miner_->hash_count() > 1'000 && used().second > 0; }));

    const auto at_pause = used();
    miner_->pause("the owner is here");
    EXPECT_EQ(miner_->pause_reason(), "the owner is here");
    ASSERT_TRUE(wait_for_rest());
    const auto at_rest = used();
    EXPECT_LT(at_rest.second - at_pause.second, 1'000'000'000u);  // of both threads: within 1 s
    miner_->set_job(job(2, kHardestTarget));
    run_for_ms(300);
    EXPECT_EQ(miner_->hash_count(), at_rest.first);
    EXPECT_TRUE(wait_for_rest());

    miner_->resume();
    EXPECT_EQ(miner_->pause_reason(), "");
    EXPECT_TRUE(run_until([&] { return miner_->hash_count() > at_rest.first + 1'000; }));
}

TEST_F(MinerTest, TakesOnlyWhatTheMachineHasLeftOver) {
    start(2);
    miner_->set_job(job(1, kHardestTarget));
    ASSERT_TRUE(run_until([&] { return probe_.askers().size() == 2; }));
    std::set<std::string> names;
    for (const ProbePow::Asker &asker : probe_.askers()) {
        names.insert(asker.name);
        EXPECT_TRUE(asker.policy == SCHED_IDLE || asker.nice == 19) << asker.policy;
    }
    EXPECT_EQ(names, (std::set<std::string>{"chain-miner-0", "chain-miner-1"}));
}

TEST_F(MinerTest, PausesItselfWhenHashingFails) {
    start(2);
    probe_.failing = true;
    miner_->set_job(job(1, all_ones()));
    ASSERT_TRUE(run_until([&] { return miner_->pause_reason() == "no memory in this test"; }));
    EXPECT_EQ(miner_->hash_count(), 0u);
    miner_->resume();  // tries again
    ASSERT_TRUE(run_until([&] { return miner_->pause_reason() == "no memory in this test"; }));
    probe_.failing = false;
    miner_->resume();
    EXPECT_TRUE(run_until([&] { return blocks_.size() == 1; }));
    EXPECT_EQ(miner_->pause_reason(), "");
}

TEST_F(MinerTest, SharesThatTheLoopDoesNotTakeAreDropped) {
    start(2);
    miner_->set_job(job(1, Target{}, all_ones()));
    while (miner_->hash_count() < 10 * kSharesWaitingMax) std::this_thread::yield();
    miner_->pause("to count");
    ASSERT_TRUE(wait_for_rest());
    run_for_ms(20);
    EXPECT_GE(shares_.size(), kSharesWaitingMax);
    EXPECT_LE(shares_.size(), kSharesWaitingMax + 1);  // one more for the second thread
    miner_->resume();
    EXPECT_TRUE(run_until([&] { return shares_.size() > 3 * kSharesWaitingMax; }));
}

TEST_F(MinerTest, NothingComesAfterItsEnd) {
    start(2);
    miner_->set_job(job(1, Target{}, all_ones()));
    while (miner_->hash_count() < 100) std::this_thread::yield();
    miner_.reset();
    run_for_ms(20);
    EXPECT_TRUE(shares_.empty());
}

TEST_F(MinerTest, CanBeDestroyedByItsOwnCallback) {
    start(2);
    on_block_ = [this] { miner_.reset(); };
    miner_->set_job(job(1, all_ones()));
    EXPECT_TRUE(run_until([&] { return !miner_.has_value(); }));
    EXPECT_EQ(blocks_.size(), 1u);
}

TEST_F(MinerTest, WithoutThreadsItDoesNothing) {
    start(0);
    miner_->set_job(job(1, all_ones(), all_ones()));
    run_for_ms(50);
    EXPECT_EQ(miner_->hash_count(), 0u);
    EXPECT_EQ(miner_->hashes_per_s(), 0u);
    EXPECT_TRUE(blocks_.empty());
}

TEST_F(MinerTest, SaysHowManyHashesASecond) {
    start(1);
    miner_->set_job(job(1, kHardestTarget));
    EXPECT_EQ(miner_->hashes_per_s(), 0u);
    ASSERT_TRUE(run_until([&] { return miner_->hashes_per_s() > 0; }));
    EXPECT_LE(miner_->hashes_per_s(), 2 * miner_->hash_count());  // about a second has passed
}

#ifdef HAVE_RANDOMX
TEST_F(MinerTest, MinesWithRandomx) {
    const auto pow = make_pow("randomx", {}).value();
    start(2, pow.get());
    const Job easy = job(1, power_of_two(255));  // every other hash
    miner_->set_job(easy);
    ASSERT_TRUE(run_until([&] { return blocks_.size() == 1; }));
    Bytes header = easy.header_prefix;
    append_u64_le(header, blocks_[0].nonce);
    EXPECT_EQ(pow->hash(header + easy.header_suffix).value(), blocks_[0].hash);

    miner_->set_job(job(2, kHardestTarget));
    const std::uint64_t before = miner_->hash_count();
    ASSERT_TRUE(run_until([&] { return miner_->hash_count() > before; }));
    const std::uint64_t at_pause = miner_->hash_count();
    miner_->pause("the owner is here");
    run_for_ms(1'000);
    EXPECT_LE(miner_->hash_count() - at_pause, 4u);  // those of two threads that were on their way
    miner_.reset();                                  // before its function
}
#endif

TEST(HashRate, IsOfTheLastMinute) {
    HashRate rate;
    EXPECT_EQ(rate.per_s(), 0u);
    rate.note(5'000, 100);
    EXPECT_EQ(rate.per_s(), 0u);
    rate.note(5'000, 100);
    EXPECT_EQ(rate.per_s(), 0u);
    rate.note(7'000, 301);
    EXPECT_EQ(rate.per_s(), 100u);
    // A steady 50 a second: after a minute what was before does not count.
    for (std::uint64_t second = 1; second <= 70; ++second)
        rate.note(7'000 + second * 1'000, 301 + second * 50);
    EXPECT_EQ(rate.per_s(), 50u);
    // Paused: it falls to 0 within a minute, though the loop was late.
    rate.note(137'500, 301 + 70 * 50);
    EXPECT_EQ(rate.per_s(), 0u);
}

}  // namespace
}  // namespace chain::consensus
