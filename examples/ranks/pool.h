// SPDX-License-Identifier: BSD-3-Clause
// Threads that do a rank's tasks. The thread that made the pool feeds it and collects, and never
// waits: it is the one that speaks MPI.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

namespace ranks {

template <typename Result>
class Pool {
public:
    using Task = std::function<Result()>;  // does not throw

    // `begin`: what each thread does first.
    explicit Pool(
        int threads, const std::function<void()> &begin = [] {}) {
        for (int i = 0; i < threads; ++i)
            threads_.emplace_back([this, begin] {
                begin();
                work();
            });
    }
    // Waits for the tasks that are under way.
    ~Pool() {
        {
            const std::lock_guard lock(mutex_);
            is_ending_ = true;
            tasks_.clear();
        }
        wake_.notify_all();
        for (std::thread &thread : threads_) thread.join();
    }
    Pool(const Pool &) = delete;
    Pool &operator=(const Pool &) = delete;

    // What waits is dropped, and so are results that nobody took.
    void clear() {
        const std::lock_guard lock(mutex_);
        tasks_.clear();
        results_.clear();
    }
    void add(Task task) {
        {
            const std::lock_guard lock(mutex_);
            tasks_.push_back(std::move(task));
        }
        wake_.notify_one();
    }
    std::optional<Result> take() {
        const std::lock_guard lock(mutex_);
        if (results_.empty()) return std::nullopt;
        std::optional<Result> result(std::move(results_.front()));
        results_.pop_front();
        return result;
    }
    int threads() const { return static_cast<int>(threads_.size()); }
    // For the end of the program: the threads are left to themselves.
    void abandon() {
        for (std::thread &thread : threads_) thread.detach();
        threads_.clear();
    }

private:
    void work() {
        std::unique_lock lock(mutex_);
        for (;;) {
            wake_.wait(lock, [this] { return is_ending_ || !tasks_.empty(); });
            if (is_ending_) return;
            const Task task = std::move(tasks_.front());
            tasks_.pop_front();
            lock.unlock();
            Result result = task();
            lock.lock();
            results_.push_back(std::move(result));
        }
    }

    std::mutex mutex_;  // guards what follows
    std::condition_variable wake_;
    std::deque<Task> tasks_;
    std::deque<Result> results_;
    bool is_ending_ = false;

    std::vector<std::thread> threads_;  // the feeding thread's
};

}  // namespace ranks
