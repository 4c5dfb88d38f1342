// SPDX-License-Identifier: BSD-3-Clause
//
// Stage plan: which files of the renter a job needs on its peers, under which names, and what the
// command lines become there. Looks at file names and sizes, reads no contents.
#pragma once

#include <string>
#include <vector>

#include "chain/client/lease_spec.h"

namespace chain::client {

inline constexpr std::size_t kStageItemsMax = 20'000;  // of one lease; bounds the request's size

// Stands in a folder that `ompi-chain bundle` made: with a program of it, all of it goes.
inline constexpr std::string_view kBundleMark = ".ompi-chain-bundle";

// One program of the job; argv[0] is the program.
struct StageApp {
    std::vector<std::string> argv;
    std::string cwd;
};

struct StagePlan {
    std::vector<wire::StageItem> items;
    std::string job_folder;       // of the renter: where results come back to
    std::string peer_job_folder;  // the same folder as the ranks see it
    std::vector<StageApp> apps;   // with argv and cwd as they are on the peer
    std::string image_name;       // which of the items is the image that the job runs in
    std::uint64_t total_bytes = 0;
    // Arguments that name places outside of the job folder where a rank at a peer may mean to
    // write: nothing comes back from there.
    std::vector<std::string> outside;
};

// `apps` share `apps[0].cwd` or are below it. `search_path` as $PATH. Errors: kNotFound (program,
// --chain-stage-in), kTooLarge (bytes, files), kInvalidInput (a folder elsewhere).
Result<StagePlan> plan_stage(const std::vector<StageApp> &apps, const LeaseOrder &order,
                             const std::string &search_path);

// Below a folder that a peer has itself: /usr /bin /sbin /lib* /etc /proc /sys /dev /run /boot.
bool is_system_path(std::string_view absolute_path);

}  // namespace chain::client
