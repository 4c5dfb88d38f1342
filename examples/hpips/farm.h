// SPDX-License-Identifier: BSD-3-Clause
// Rank 0 at work: reads tiles, has ranks compute them, checks and stores what comes back. The
// thread that made it owns it, and is the one that speaks MPI.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "examples/hpips/crew.h"
#include "examples/hpips/image.h"
#include "examples/hpips/progress.h"
#include "examples/hpips/store.h"
#include "examples/ranks/schedule.h"

namespace hpips {

// What a rank did, over all images.
struct RankAccount {
    std::string host = "?";
    int64_t tiles = 0;
    double pixels = 0;
    double compute_s = 0;
    bool is_lost = false;
    bool is_odd = false;  // its result differed from those of the others
};

struct FarmOptions {
    ranks::VerifyPlan verify;
    double silent_s = 20;  // a rank that says nothing for so long is given up, until it does
};

class Farm {
public:
    Farm(std::vector<std::unique_ptr<Worker>> workers, FarmOptions options, Progress &progress);

    // Until all ranks have said a word, or so long.
    void wait_for_hellos(double seconds);

    struct Outcome {
        std::set<int> contributors;
        int64_t verified_tiles = 0;
    };
    // All tiles of one image that `store` lacks. Failure: the image; StoreFailure: the store.
    Outcome compute(Image &image, const std::shared_ptr<const Plan> &plan, TileStore &store);

    // Something slow, on a thread of its own, while the ranks are kept company. What it throws is
    // thrown here.
    void beside(const std::function<void()> &task);

    const std::vector<RankAccount> &accounts() const { return accounts_; }
    const std::vector<std::unique_ptr<Worker>> &workers() const { return workers_; }
    const std::set<int> &odd_ranks() const { return odd_; }
    int home_threads() const { return workers_.front()->threads(); }
    int rank_count() const { return static_cast<int>(workers_.size()); }
    void end();

private:
    struct Current;
    bool collect(Current *current);
    bool hand_out(Current &current);
    void tick(Current *current);
    void accept(Current &current, int rank, const TileResult &result);
    void keep(Current &current, int rank, const TileResult &result);
    void compare(Current &current, int rank, const TileResult &result);
    void judge(Current &current, const TileResult &result);
    void name_odd(Current &current, int rank, int64_t tile);
    void give_up(Current *current, int rank, const std::string &why, bool for_good);
    int usable_count() const;
    std::string rank_text(int rank) const;

    std::vector<std::unique_ptr<Worker>> workers_;
    FarmOptions options_;
    Progress &progress_;
    ranks::Roster roster_;
    ranks::Watch watch_;
    std::vector<RankAccount> accounts_;
    std::set<int> odd_;
    uint64_t job_ = 0;
};

// Within `tolerance` in each sample; 0: the same bytes.
bool are_same(const cv::Mat &one, const cv::Mat &other, double tolerance);

}  // namespace hpips
