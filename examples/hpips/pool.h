// SPDX-License-Identifier: BSD-3-Clause
// Threads that compute tiles, on rank 0 and on the others alike. The thread that made it feeds it
// and collects, and never waits.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "examples/hpips/plan.h"

namespace hpips {

struct TileResult {
    uint64_t job = 0;
    int64_t tile = 0;
    cv::Mat pixels;
    double seconds = 0;  // of a processor
    std::string error;   // why there are no pixels
};

class Pool {
public:
    explicit Pool(int threads);
    ~Pool();  // waits for the tiles that are being computed
    Pool(const Pool &) = delete;
    Pool &operator=(const Pool &) = delete;

    // What waits of earlier jobs is dropped.
    void start(uint64_t job, std::shared_ptr<const Plan> plan, const Grid &grid);
    void add(int64_t tile, cv::Mat input);
    bool take(TileResult &result);
    int threads() const { return static_cast<int>(threads_.size()); }
    // For the end of the program: the threads are left to themselves.
    void abandon();

private:
    struct Task {
        uint64_t job;
        std::shared_ptr<const Plan> plan;
        int64_t tile;
        cv::Rect place;
        cv::Mat input;
    };
    void work();
    static TileResult compute(const Task &task);

    std::mutex mutex_;  // guards what follows
    std::condition_variable wake_;
    std::deque<Task> tasks_;
    std::deque<TileResult> results_;
    bool is_ending_ = false;

    uint64_t job_ = 0;  // the feeding thread's
    std::shared_ptr<const Plan> plan_;
    Grid grid_{{1, 1}, 1};
    std::vector<std::thread> threads_;
};

}  // namespace hpips
