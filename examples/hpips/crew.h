// SPDX-License-Identifier: BSD-3-Clause
// The ranks of a run, as rank 0 sees them: itself, and the others behind MPI. And the other side:
// what a rank other than 0 does.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "examples/hpips/plan.h"
#include "examples/ranks/link.h"

namespace hpips {

struct TileResult {
    uint64_t job = 0;
    int64_t tile = 0;
    cv::Mat pixels;
    double seconds = 0;  // of a processor
    std::string error;   // why there are no pixels
};

class Worker {
public:
    virtual ~Worker() = default;
    // Tiles from now on are of this job.
    virtual void start(uint64_t job, std::shared_ptr<const Plan> plan, const Grid &grid) = 0;
    virtual void give(int64_t tile, const cv::Mat &input) = 0;
    // At most one thing that happened. Results may be of an earlier job.
    virtual ranks::News poll(TileResult &result) = 0;
    virtual ranks::Link *link() { return nullptr; }  // to where it is; nullptr: this process
    virtual std::string host() const = 0;
    virtual int threads() const = 0;
};

// This process.
std::unique_ptr<Worker> make_home_worker(int threads);
// Another rank.
std::unique_ptr<Worker> make_remote_worker(int rank);

// The life of a rank other than 0: ranks::serve_rank_0.
int serve_rank_0(int threads);

}  // namespace hpips
