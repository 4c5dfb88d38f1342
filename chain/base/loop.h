// SPDX-License-Identifier: BSD-3-Clause
//
// Loop: the daemon's one event loop (libevent), and WorkerPool: threads for work that would block
// it. Everything the daemon owns lives on the loop's thread; `post` is the only way in from
// another.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

struct event_base;
struct event;

namespace chain {

// A timer or watch that ends when it is destroyed. Movable; belongs to the loop's thread.
class LoopHandle {
public:
    LoopHandle() = default;
    LoopHandle(LoopHandle &&) noexcept = default;
    LoopHandle &operator=(LoopHandle &&) noexcept = default;
    ~LoopHandle() = default;
    bool active() const { return watch_ != nullptr; }
    void cancel() { watch_.reset(); }

    struct Watch;  // opaque

private:
    friend class Loop;
    struct WatchDeleter {
        void operator()(Watch *watch) const;
    };
    std::unique_ptr<Watch, WatchDeleter> watch_;
};

class Loop {
public:
    Loop();
    ~Loop();
    Loop(const Loop &) = delete;
    Loop &operator=(const Loop &) = delete;

    void run();   // until stop()
    void stop();  // from the loop's thread, or through post

    // Calls `fn` once, or every `ms` until the handle is cancelled. `fn` may cancel its own handle.
    [[nodiscard]] LoopHandle after_ms(std::uint64_t ms, std::function<void()> fn);
    [[nodiscard]] LoopHandle every_ms(std::uint64_t ms, std::function<void()> fn);
    // Calls `fn` whenever `fd` is readable. The fd stays the caller's.
    [[nodiscard]] LoopHandle on_readable(int fd, std::function<void()> fn);
    // Calls `fn` on the loop's thread for each delivery of `signal_number`.
    [[nodiscard]] LoopHandle on_signal(int signal_number, std::function<void()> fn);

    // Runs `fn` on the loop's thread soon. Any thread.
    void post(std::function<void()> fn);

    event_base *base() { return base_; }

private:
    void drain_posted();

    event_base *base_ = nullptr;
    event *wake_event_ = nullptr;
    int wake_fd_ = -1;
    std::mutex posted_mutex_;
    std::vector<std::function<void()>> posted_;
};

class WorkerPool {
public:
    WorkerPool(Loop &loop, unsigned thread_count);
    ~WorkerPool();  // waits for the jobs that run; drops those that wait, and their `done`

    // Runs `job` on a worker, then `done` on the loop's thread. Exceptions abort.
    void run(std::function<void()> job, std::function<void()> done);

private:
    struct Work {
        std::function<void()> job;
        std::function<void()> done;
    };
    void work();

    Loop &loop_;
    std::mutex mutex_;
    std::condition_variable ready_;
    std::deque<Work> queue_;
    bool stopping_ = false;
    std::vector<std::thread> threads_;
};

}  // namespace chain
