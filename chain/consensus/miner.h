// SPDX-License-Identifier: BSD-3-Clause
//
// Miner: threads that look for the nonce of a header, in what the machine has left over:
// SCHED_IDLE, and not at all while paused.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "chain/base/loop.h"
#include "chain/consensus/pow.h"
#include "chain/consensus/target.h"

namespace chain::consensus {

// What to look for: a nonce for which the hash of prefix, nonce (8 bytes, little-endian) and suffix
// meets base x multiplier_q16 / 2^16 (a block) or at least share_target (a share).
struct Job {
    std::uint64_t job_id = 0;  // the owner's; comes back with what is found
    Bytes header_prefix;
    Bytes header_suffix;
    Target base;
    std::uint32_t multiplier_q16 = 0;
    Target share_target;  // default: no shares
};

struct Found {
    std::uint64_t job_id = 0;
    std::uint64_t nonce = 0;
    Bytes32 hash{};
};

// Hashes per second over the last minute, or since the first note if that is less long ago.
class HashRate {
public:
    void note(std::uint64_t steady_ms, std::uint64_t hash_count);
    std::uint64_t per_s() const;  // rounded down; 0 before the second note

private:
    struct Note {
        std::uint64_t steady_ms;
        std::uint64_t hash_count;
    };
    std::deque<Note> notes_;  // the first is the latest that is a minute old, if there is one
};

inline constexpr unsigned kMinerThreadsMax = 256;  // the thread's number is a nonce's first byte
// Shares that the loop has not taken yet; further ones are dropped until it has.
inline constexpr unsigned kSharesWaitingMax = 1'000;

// Owner: the loop's thread, which makes, calls and destroys it; the callbacks come there, and may
// do all of this. Nothing comes after destruction. Loop and function must outlive the miner.
class Miner {
public:
    struct Callbacks {  // both must be there
        // Once per job at most; then the threads rest until the next one. May come after set_job
        // or pause, for the job that was: what was found is not thrown away.
        std::function<void(const Found &)> on_block;
        std::function<void(const Found &)> on_share;  // meets share_target, and is no block
    };
    // `thread_count` 0: mines nothing. At most kMinerThreadsMax.
    Miner(Loop &loop, const PowFunction &pow_function, unsigned thread_count, Callbacks callbacks);
    // Waits for the hashes that are being computed: in the idle time of a busy machine, seconds.
    ~Miner();
    Miner(const Miner &) = delete;
    Miner &operator=(const Miner &) = delete;

    void set_job(Job job);  // instead of the one before
    // Each thread ends the hash that it is at, and begins no other: less than a second of CPU time
    // (RandomX: tens of milliseconds of idle time; a thread's first hash is at usual priority, and
    // the first of all takes half a second more). Jobs may be set while paused. The miner pauses
    // itself if hashing fails, with the error's message. Precondition: a reason.
    void pause(std::string reason);
    void resume();
    std::string pause_reason() const;  // empty: not paused

    std::uint64_t hash_count() const { return hash_count_; }  // since it was made
    std::uint64_t hashes_per_s() const { return rate_.per_s(); }

private:
    struct Search;
    struct Outbox;

    void mine(unsigned thread_number);
    std::shared_ptr<Search> next_search(std::uint64_t &turn);
    std::uint64_t search(Search &search, std::uint64_t turn, std::uint64_t nonce);
    void give_up(const Error &error);
    void report_block(Search &search, const Found &found);
    void report_share(const Found &found);
    void interrupt();

    Loop &loop_;
    const PowFunction &pow_;
    const std::shared_ptr<Outbox> outbox_;
    std::atomic<std::uint64_t> hash_count_{0};
    // Counts what makes the threads look at what follows: they compare it after each hash.
    std::atomic<std::uint64_t> turn_{0};

    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::shared_ptr<Search> search_;  // the current job; none at first
    std::string pause_reason_;        // empty: not paused
    bool stopping_ = false;

    HashRate rate_;
    LoopHandle rate_timer_;
    std::vector<std::thread> threads_;
};

}  // namespace chain::consensus
