// SPDX-License-Identifier: BSD-3-Clause
//
// Parallel: many small pieces of work with one deadline, spread over all cores: hashes and
// signatures of a block's transactions. (WorkerPool in loop.h is for single long jobs.) Each piece
// writes to a place of its own, so results do not depend on the number of threads.
//
// Thread-safe: several threads may have work done at the same time. Whoever waits works too, so
// work gets done even if no other thread is free; a piece may not start work of its own here.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace chain {

class Parallel {
public:
    // Besides the callers. 0: the callers do everything.
    explicit Parallel(unsigned thread_count);
    ~Parallel();
    Parallel(const Parallel &) = delete;
    Parallel &operator=(const Parallel &) = delete;

    // One thread less than there are cores, since the caller makes one more. Made at the first use;
    // never destroyed, so that threads that outlive main() may still use it.
    static Parallel &all_cores();

    struct Work;  // opaque
    using Handle = std::shared_ptr<Work>;
    // Begins to call `piece` with each number below `count`, `chunk` consecutive ones at a time, on
    // the other threads. What `piece` uses must live until finish() has returned. Pieces throw
    // nothing.
    [[nodiscard]] Handle start(std::size_t count, std::size_t chunk,
                               std::function<void(std::size_t)> piece);
    // Takes part in the work until all of it, or the piece with this number, is done.
    static void finish(const Handle &work);
    static void finish_one(const Handle &work, std::size_t piece_number);
    void for_each(std::size_t count, std::size_t chunk, std::function<void(std::size_t)> piece) {
        finish(start(count, chunk, std::move(piece)));
    }

private:
    void serve();

    std::mutex mutex_;
    std::condition_variable ready_;
    std::deque<Handle> waiting_;  // work that has chunks to hand out
    bool stopping_ = false;
    std::vector<std::thread> threads_;
};

}  // namespace chain
