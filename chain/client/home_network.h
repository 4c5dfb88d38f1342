// SPDX-License-Identifier: BSD-3-Clause
//
// HomeNetwork: the network namespace of mpirun, and of ranks on its machine, with the renter's
// device of the lease's network. plm/chain enters it before ORTE does anything, and hands the
// device over to the daemon with the lease.
//
// Owner: mpirun's first thread, then its event thread.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "chain/base/file.h"

namespace chain::client {

class HomeNetwork {
public:
    // Once, before this process has a second thread. What failed is said by take_device().
    static void enter();
    // Errors: kRefused, with the step that failed; also for a second call.
    static Result<FileDescriptor> take_device();

    // MCA parameters of all ranks of such a job, peers' too: the ports that the daemon lets
    // through.
    static std::vector<std::pair<std::string, std::string>> rank_parameters();
};

}  // namespace chain::client
