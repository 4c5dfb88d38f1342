// SPDX-License-Identifier: BSD-3-Clause
//
// HomeFiles: what ranks on the renter's machine need so that a job's words mean the same there as
// at peers. Files of the system that an argument names are at peers under a name of ours in the job
// folder (StagePlan); here links of these names lead to them, as long as this object lives.
//
// Owner: mpirun's event thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "chain/client/stage_plan.h"

namespace chain::client {

class HomeFiles {
public:
    // Errors: kInvalidInput (a working folder, or objects of stores, that only peers can have),
    // kConflict (another job in this folder, or the rest of one), kPermission, kIo. What was made
    // is removed again.
    static Result<std::unique_ptr<HomeFiles>> make(const StagePlan &plan);
    ~HomeFiles();
    HomeFiles(const HomeFiles &) = delete;
    HomeFiles &operator=(const HomeFiles &) = delete;

private:
    HomeFiles() = default;
    Status link(const std::string &folder, const wire::StageItem &item);
    Status make_folders(const std::string &folder, const std::string &name);

    std::vector<std::string> links_;
    std::vector<std::string> folders_;  // of the links, that were not there; outer ones first
};

}  // namespace chain::client
