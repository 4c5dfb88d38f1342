// SPDX-License-Identifier: BSD-3-Clause
#include "chain/base/parallel.h"

#include <algorithm>

#include "chain/base/result.h"

namespace chain {

struct Parallel::Work {
    Work(std::size_t piece_count, std::size_t chunk_size, std::function<void(std::size_t)> call)
        : count(piece_count),
          chunk(chunk_size),
          piece(std::move(call)),
          chunk_count((piece_count + chunk_size - 1) / chunk_size),
          done(std::make_unique<std::atomic<bool>[]>(chunk_count)) {}

    bool all_taken() const { return next >= chunk_count; }

    // False: every chunk is taken, though perhaps not done.
    bool do_one() {
        const std::size_t taken = next.fetch_add(1);
        if (taken >= chunk_count) return false;
        const std::size_t end = std::min((taken + 1) * chunk, count);
        for (std::size_t i = taken * chunk; i < end; ++i) piece(i);
        {
            const std::lock_guard lock(mutex);
            done[taken] = true;
        }
        some_done.notify_all();
        return true;
    }

    void wait_for(std::size_t number) {
        while (!done[number]) {
            if (do_one()) continue;
            std::unique_lock lock(mutex);
            some_done.wait(lock, [&] { return done[number].load(); });
        }
    }

    const std::size_t count;
    const std::size_t chunk;
    const std::function<void(std::size_t)> piece;
    const std::size_t chunk_count;
    std::atomic<std::size_t> next{0};                 // the first chunk that nobody has taken
    const std::unique_ptr<std::atomic<bool>[]> done;  // by chunk
    std::mutex mutex;
    std::condition_variable some_done;
};

Parallel::Parallel(unsigned thread_count) {
    for (unsigned i = 0; i < thread_count; ++i) threads_.emplace_back([this] { serve(); });
}

Parallel::~Parallel() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    ready_.notify_all();
    for (std::thread &thread : threads_) thread.join();
}

Parallel &Parallel::all_cores() {
    static Parallel *const made =
        new Parallel(std::max(std::thread::hardware_concurrency(), 1u) - 1);
    return *made;
}

Parallel::Handle Parallel::start(std::size_t count, std::size_t chunk,
                                 std::function<void(std::size_t)> piece) {
    CHAIN_CHECK(chunk > 0);
    auto work = std::make_shared<Work>(count, chunk, std::move(piece));
    if (count <= chunk || threads_.empty()) return work;  // not worth waking anybody
    {
        const std::lock_guard lock(mutex_);
        waiting_.push_back(work);
    }
    ready_.notify_all();
    return work;
}

void Parallel::finish(const Handle &work) {
    for (std::size_t number = 0; number < work->chunk_count; ++number) work->wait_for(number);
}

void Parallel::finish_one(const Handle &work, std::size_t piece_number) {
    CHAIN_CHECK(piece_number < work->count);
    work->wait_for(piece_number / work->chunk);
}

void Parallel::serve() {
    for (;;) {
        Handle work;
        {
            std::unique_lock lock(mutex_);
            ready_.wait(lock, [this] {
                while (!waiting_.empty() && waiting_.front()->all_taken()) waiting_.pop_front();
                return stopping_ || !waiting_.empty();
            });
            if (stopping_) return;
            work = waiting_.front();
        }
        while (work->do_one()) {
        }
    }
}

}  // namespace chain
