// SPDX-License-Identifier: BSD-3-Clause
// The ranks of a run, as rank 0 sees them: itself, and the others behind MPI. And the other side:
// what a rank other than 0 does.
#pragma once

#include <memory>
#include <string>

#include "examples/hpips/plan.h"
#include "examples/hpips/pool.h"

namespace hpips {

class Worker {
public:
    enum class News { kNothing, kAlive, kResult, kNonsense };
    virtual ~Worker() = default;
    // Tiles from now on are of this job.
    virtual void start(uint64_t job, std::shared_ptr<const Plan> plan, const Grid &grid) = 0;
    virtual void give(int64_t tile, const cv::Mat &input) = 0;
    // At most one thing that happened. Results may be of an earlier job.
    virtual News poll(TileResult &result) = 0;
    virtual void say_alive() {}
    virtual std::string host() const = 0;
    virtual int threads() const = 0;
};

// This process.
std::unique_ptr<Worker> make_home_worker(int threads);
// Another rank.
std::unique_ptr<Worker> make_remote_worker(int rank);

// Tells ranks that all is done, and waits a little for them to take it; never for the dead.
void send_home(const std::vector<std::unique_ptr<Worker>> &workers);

// The life of a rank other than 0. Returns when rank 0 says so: 0; or rank 0 was silent: 4.
int serve_rank_0(int threads);

std::string host_name();
void sleep_a_little();
double now_s();  // steady

}  // namespace hpips
