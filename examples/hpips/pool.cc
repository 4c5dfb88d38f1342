// SPDX-License-Identifier: BSD-3-Clause
#include "examples/hpips/pool.h"

#include <chrono>

#include "examples/hpips/exact.h"

namespace hpips {

Pool::Pool(int threads) {
    for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
}

Pool::~Pool() {
    {
        const std::lock_guard lock(mutex_);
        is_ending_ = true;
        tasks_.clear();
    }
    wake_.notify_all();
    for (std::thread &thread : threads_) thread.join();
}

void Pool::abandon() {
    for (std::thread &thread : threads_) thread.detach();
    threads_.clear();
}

void Pool::start(uint64_t job, std::shared_ptr<const Plan> plan, const Grid &grid) {
    job_ = job;
    plan_ = std::move(plan);
    grid_ = grid;
    const std::lock_guard lock(mutex_);
    tasks_.clear();
    results_.clear();
}

void Pool::add(int64_t tile, cv::Mat input) {
    {
        const std::lock_guard lock(mutex_);
        tasks_.push_back({job_, plan_, tile, grid_.tile(tile), std::move(input)});
    }
    wake_.notify_one();
}

bool Pool::take(TileResult &result) {
    const std::lock_guard lock(mutex_);
    if (results_.empty()) return false;
    result = std::move(results_.front());
    results_.pop_front();
    return true;
}

void Pool::work() {
    set_arithmetic();
    std::unique_lock lock(mutex_);
    for (;;) {
        wake_.wait(lock, [this] { return is_ending_ || !tasks_.empty(); });
        if (is_ending_) return;
        const Task task = std::move(tasks_.front());
        tasks_.pop_front();
        lock.unlock();
        TileResult result = compute(task);
        lock.lock();
        results_.push_back(std::move(result));
    }
}

TileResult Pool::compute(const Task &task) {
    TileResult result;
    result.job = task.job;
    result.tile = task.tile;
    const auto begin = std::chrono::steady_clock::now();
    try {
        result.pixels = task.plan->run(task.input, task.place);
    } catch (const std::exception &problem) {
        result.error = problem.what();
        if (result.error.empty()) result.error = "failed";
    }
    result.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    return result;
}

}  // namespace hpips
