// SPDX-License-Identifier: BSD-3-Clause
// `hpips run` on rank 0: image after image. What is wrong with one is said, and the others are
// done.
#pragma once

#include <future>
#include <set>
#include <string>
#include <vector>

#include "examples/hpips/farm.h"
#include "examples/hpips/options.h"
#include "examples/hpips/output.h"

namespace hpips {

inline constexpr int kExitDone = 0;
inline constexpr int kExitImageFailed = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitOddRank = 5;

// A pipeline's text, or what is in the file that the word names.
Pipeline pipeline_of(const std::string &word);

// An input, opened, with all that follows from the pipeline.
struct Opened {
    std::unique_ptr<Image> image;
    std::shared_ptr<const Plan> plan;
    OutputSpec spec;
    std::string path;  // of the output
    int side = 0;      // of its tiles
};
// Failure: the input, or what the pipeline cannot do with it.
Opened open_job(const Job &job, const Pipeline &pipeline, const Options &options, int ranks);

class Batch {
public:
    Batch(const Options &options, Pipeline pipeline, Farm &farm, Progress &progress,
          ranks::VerifyPlan verify);
    // The exit code.
    int run();

private:
    struct Done {
        std::string input;
        std::string output;
        std::string error;  // why there is no output
        int64_t tiles = 0;
        int64_t kept_tiles = 0;  // of an earlier run
        int64_t verified_tiles = 0;
        double seconds = 0;
        std::set<int> contributors;
    };
    void do_image(size_t number);
    Opened open(size_t number);
    void open_ahead(size_t number, const std::string &not_this);
    void compute(size_t number, Done &done);
    void compute_opened(size_t number, Opened &opened, Done &done);
    void redo_what_odd_ranks_did();
    int summary() const;
    void write_report(double wall_s) const;

    const Options &options_;
    Pipeline pipeline_;
    Farm &farm_;
    Progress &progress_;
    ranks::VerifyPlan verify_;
    std::vector<Job> jobs_;
    std::vector<Done> done_;
    std::set<std::string> written_;
    std::set<std::string> lists_;  // of finished images, which this run began anew
    bool starts_anew_ = false;
    // Of the next image, which is read and decoded while this one is computed.
    size_t ahead_number_ = 0;
    std::future<Opened> ahead_;
};

}  // namespace hpips
