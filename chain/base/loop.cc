// SPDX-License-Identifier: BSD-3-Clause
#include "chain/base/loop.h"

#include <csignal>

#include <event2/event.h>
#include <event2/thread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "chain/base/result.h"

namespace chain {

struct LoopHandle::Watch {
    event *ev = nullptr;
    std::function<void()> fn;
    bool running = false;  // fn is on the stack: deletion waits for it
    bool cancelled = false;
};

namespace {

void free_watch(LoopHandle::Watch *watch) {
    event_free(watch->ev);
    delete watch;
}

void fire(evutil_socket_t, short, void *argument) {
    auto *watch = static_cast<LoopHandle::Watch *>(argument);
    watch->running = true;
    watch->fn();
    watch->running = false;
    if (watch->cancelled) free_watch(watch);
}

timeval to_timeval(std::uint64_t ms) {
    return {static_cast<time_t>(ms / 1000), static_cast<suseconds_t>(ms % 1000 * 1000)};
}

}  // namespace

void LoopHandle::WatchDeleter::operator()(Watch *watch) const {
    event_del(watch->ev);
    if (watch->running)
        watch->cancelled = true;
    else
        free_watch(watch);
}

Loop::Loop() {
    evthread_use_pthreads();
    signal(SIGPIPE, SIG_IGN);
    base_ = event_base_new();
    CHAIN_CHECK(base_ != nullptr);
    wake_fd_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    CHAIN_CHECK(wake_fd_ >= 0);
    wake_event_ = event_new(
        base_, wake_fd_, EV_READ | EV_PERSIST,
        [](evutil_socket_t, short, void *self) { static_cast<Loop *>(self)->drain_posted(); },
        this);
    CHAIN_CHECK(wake_event_ != nullptr && event_add(wake_event_, nullptr) == 0);
}

Loop::~Loop() {
    event_free(wake_event_);
    close(wake_fd_);
    // What libevent frees "at the next turn" (a bufferevent with its TLS state and buffers), each
    // of which may leave more for the turn after; event_base_free() would leak it. No callback of
    // ours is left: handles go before their loop.
    constexpr int kLastTurns = 8;
    for (int turn = 0; turn < kLastTurns; ++turn)
        if (event_base_loop(base_, EVLOOP_NONBLOCK) != 0) break;
    event_base_free(base_);
}

void Loop::run() {
    event_base_loop(base_, EVLOOP_NO_EXIT_ON_EMPTY);
}

void Loop::stop() {
    event_base_loopbreak(base_);
}

LoopHandle Loop::after_ms(std::uint64_t ms, std::function<void()> fn) {
    LoopHandle handle;
    handle.watch_.reset(new LoopHandle::Watch{nullptr, std::move(fn)});
    handle.watch_->ev = event_new(base_, -1, 0, fire, handle.watch_.get());
    const timeval delay = to_timeval(ms);
    CHAIN_CHECK(handle.watch_->ev != nullptr && event_add(handle.watch_->ev, &delay) == 0);
    return handle;
}

LoopHandle Loop::every_ms(std::uint64_t ms, std::function<void()> fn) {
    LoopHandle handle;
    handle.watch_.reset(new LoopHandle::Watch{nullptr, std::move(fn)});
    handle.watch_->ev = event_new(base_, -1, EV_PERSIST, fire, handle.watch_.get());
    const timeval delay = to_timeval(ms);
    CHAIN_CHECK(handle.watch_->ev != nullptr && event_add(handle.watch_->ev, &delay) == 0);
    return handle;
}

LoopHandle Loop::on_readable(int fd, std::function<void()> fn) {
    LoopHandle handle;
    handle.watch_.reset(new LoopHandle::Watch{nullptr, std::move(fn)});
    handle.watch_->ev = event_new(base_, fd, EV_READ | EV_PERSIST, fire, handle.watch_.get());
    CHAIN_CHECK(handle.watch_->ev != nullptr && event_add(handle.watch_->ev, nullptr) == 0);
    return handle;
}

LoopHandle Loop::on_signal(int signal_number, std::function<void()> fn) {
    LoopHandle handle;
    handle.watch_.reset(new LoopHandle::Watch{nullptr, std::move(fn)});
    handle.watch_->ev =
        event_new(base_, signal_number, EV_SIGNAL | EV_PERSIST, fire, handle.watch_.get());
    CHAIN_CHECK(handle.watch_->ev != nullptr && event_add(handle.watch_->ev, nullptr) == 0);
    return handle;
}

void Loop::post(std::function<void()> fn) {
    {
        const std::lock_guard lock(posted_mutex_);
        posted_.push_back(std::move(fn));
    }
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t put = write(wake_fd_, &one, sizeof one);
}

void Loop::drain_posted() {
    std::uint64_t count = 0;
    [[maybe_unused]] const ssize_t got = read(wake_fd_, &count, sizeof count);
    std::vector<std::function<void()>> batch;
    {
        const std::lock_guard lock(posted_mutex_);
        batch.swap(posted_);
    }
    for (auto &fn : batch) fn();
}

WorkerPool::WorkerPool(Loop &loop, unsigned thread_count) : loop_(loop) {
    CHAIN_CHECK(thread_count > 0);
    for (unsigned i = 0; i < thread_count; ++i) threads_.emplace_back([this] { work(); });
}

WorkerPool::~WorkerPool() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
        queue_.clear();
    }
    ready_.notify_all();
    for (auto &thread : threads_) thread.join();
}

void WorkerPool::run(std::function<void()> job, std::function<void()> done) {
    {
        const std::lock_guard lock(mutex_);
        queue_.push_back({std::move(job), std::move(done)});
    }
    ready_.notify_one();
}

void WorkerPool::work() {
    for (;;) {
        Work work;
        {
            std::unique_lock lock(mutex_);
            ready_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
            if (stopping_) return;
            work = std::move(queue_.front());
            queue_.pop_front();
        }
        work.job();
        loop_.post(std::move(work.done));
    }
}

}  // namespace chain
