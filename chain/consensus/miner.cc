// SPDX-License-Identifier: BSD-3-Clause
#include "chain/consensus/miner.h"

#include <cerrno>
#include <cstring>

#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>

#include "chain/base/clock.h"
#include "chain/base/log.h"
#include "incentive/reputation.h"

namespace chain::consensus {
namespace {

constexpr std::uint64_t kRateWindowMs = 60'000;
constexpr std::uint64_t kRateNoteMs = 1'000;
constexpr std::uint64_t kCounterMask = (std::uint64_t{1} << 56) - 1;

// The threads' numbers keep their nonces apart; where each begins is random, so that miners with
// the same header, on several machines, do not repeat each other's work. No thread comes to its
// 2^56th hash, so no nonce is tried twice for a job, even if it is searched in several turns.
std::uint64_t first_nonce(unsigned thread_number) {
    std::uint64_t start = 0;
    fill_random(&start, sizeof start);
    return std::uint64_t{thread_number} << 56 | (start & kCounterMask);
}

std::uint64_t next_nonce(std::uint64_t nonce) {
    return (nonce & ~kCounterMask) | ((nonce + 1) & kCounterMask);
}

// For this thread, from here on: only what no other thread of the machine wants.
void enter_background(unsigned thread_number) {
    const sched_param none{};
    if (sched_setscheduler(0, SCHED_IDLE, &none) == 0) return;
    const int refused = errno;
    const bool nice = setpriority(PRIO_PROCESS, 0, 19) == 0;
    if (thread_number == 0)  // the others fare alike
        log(LogLevel::kWarning, "consensus", "mining threads cannot have SCHED_IDLE (",
            std::strerror(refused), "); ", nice ? "they run at nice 19" : "nor nice 19");
}

}  // namespace

void HashRate::note(std::uint64_t steady_ms, std::uint64_t hash_count) {
    notes_.push_back({steady_ms, hash_count});
    while (notes_.size() > 2 && steady_ms - notes_[1].steady_ms >= kRateWindowMs)
        notes_.pop_front();
}

std::uint64_t HashRate::per_s() const {
    if (notes_.size() < 2) return 0;
    const std::uint64_t elapsed_ms = notes_.back().steady_ms - notes_.front().steady_ms;
    if (elapsed_ms == 0) return 0;
    return (notes_.back().hash_count - notes_.front().hash_count) * 1000 / elapsed_ms;
}

struct Miner::Search {
    const Job job;
    bool block_found = false;  // under mutex_
};

// What is posted to the loop has a weak pointer to this, as it may come after the miner's end.
struct Miner::Outbox {
    const Callbacks callbacks;
    std::atomic<unsigned> shares_waiting{0};
};

Miner::Miner(Loop &loop, const PowFunction &pow_function, unsigned thread_count,
             Callbacks callbacks)
    : loop_(loop), pow_(pow_function), outbox_(new Outbox{std::move(callbacks)}) {
    CHAIN_CHECK(thread_count <= kMinerThreadsMax);
    if (thread_count == 0) return;
    const auto note = [this] { rate_.note(system_clock().steady_ms(), hash_count_); };
    note();
    rate_timer_ = loop_.every_ms(kRateNoteMs, note);
    for (unsigned number = 0; number < thread_count; ++number)
        threads_.emplace_back([this, number] { mine(number); });
}

Miner::~Miner() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
        interrupt();
    }
    for (std::thread &thread : threads_) thread.join();
}

void Miner::set_job(Job job) {
    const std::lock_guard lock(mutex_);
    search_ = std::make_shared<Search>(Search{std::move(job)});
    interrupt();
}

void Miner::pause(std::string reason) {
    CHAIN_CHECK(!reason.empty());
    const std::lock_guard lock(mutex_);
    pause_reason_ = std::move(reason);
    interrupt();
}

void Miner::resume() {
    const std::lock_guard lock(mutex_);
    pause_reason_.clear();
    interrupt();
}

std::string Miner::pause_reason() const {
    const std::lock_guard lock(mutex_);
    return pause_reason_;
}

// Precondition: mutex_ is held.
void Miner::interrupt() {
    ++turn_;
    changed_.notify_all();
}

void Miner::mine(unsigned thread_number) {
    pthread_setname_np(pthread_self(), ("chain-miner-" + std::to_string(thread_number)).c_str());
    std::uint64_t nonce = first_nonce(thread_number);
    std::uint64_t turn = 0;
    bool in_background = false;
    while (const std::shared_ptr<Search> found = next_search(turn)) {
        if (!in_background) {
            // The first hash of all fills RandomX's cache. Left to the idle time of a busy machine,
            // that would take minutes, in which whoever checks a header had to wait for it.
            const auto hash = pow_.hash({});
            if (!hash.ok()) {
                give_up(hash.error());
                continue;
            }
            enter_background(thread_number);
            in_background = true;
        }
        nonce = search(*found, turn, nonce);
    }
}

// Waits until there is something to do; nullptr: the end.
std::shared_ptr<Miner::Search> Miner::next_search(std::uint64_t &turn) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] {
        return stopping_ || (pause_reason_.empty() && search_ != nullptr && !search_->block_found);
    });
    turn = turn_;
    return stopping_ ? nullptr : search_;
}

// Until the turn is over. Returns the nonce to go on with.
std::uint64_t Miner::search(Search &search, std::uint64_t turn, std::uint64_t nonce) {
    const Job &job = search.job;
    Bytes header = job.header_prefix;
    append_u64_le(header, 0);
    header += job.header_suffix;
    for (; turn_ == turn; nonce = next_nonce(nonce)) {
        for (std::size_t i = 0; i < 8; ++i)
            header[job.header_prefix.size() + i] = static_cast<char>(nonce >> (8 * i));
        const auto hash = pow_.hash(header);
        if (!hash.ok()) {
            give_up(hash.error());
            break;
        }
        hash_count_.fetch_add(1, std::memory_order_relaxed);
        if (hash_meets(*hash, job.base, job.multiplier_q16))
            report_block(search, {job.job_id, nonce, *hash});
        else if (hash_meets(*hash, job.share_target, incentive::kQ16))
            report_share({job.job_id, nonce, *hash});
    }
    return nonce;
}

// All threads fail alike: the first says so.
void Miner::give_up(const Error &error) {
    const std::lock_guard lock(mutex_);
    if (!pause_reason_.empty()) return;
    log(LogLevel::kWarning, "consensus", "mining is paused: ", error.message);
    pause_reason_ = error.message;
    interrupt();
}

void Miner::report_block(Search &search, const Found &found) {
    {
        const std::lock_guard lock(mutex_);
        if (search.block_found) return;
        search.block_found = true;
        interrupt();
    }
    loop_.post([to = std::weak_ptr<Outbox>(outbox_), found] {
        if (const auto outbox = to.lock()) outbox->callbacks.on_block(found);
    });
}

void Miner::report_share(const Found &found) {
    if (outbox_->shares_waiting >= kSharesWaitingMax) return;
    ++outbox_->shares_waiting;
    loop_.post([to = std::weak_ptr<Outbox>(outbox_), found] {
        const auto outbox = to.lock();
        if (outbox == nullptr) return;
        --outbox->shares_waiting;
        outbox->callbacks.on_share(found);
    });
}

}  // namespace chain::consensus
