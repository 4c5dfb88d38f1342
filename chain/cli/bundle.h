// SPDX-License-Identifier: BSD-3-Clause
//
// Bundle: a program with the shared libraries that it needs, for peers that lack them.
//
//   NAME.bundle/
//       NAME                 a shell script: what mpirun starts
//       bin/NAME             the program
//       lib/                 its libraries, but those that belong to a system or to its Open MPI
//       .ompi-chain-bundle   (client::kBundleMark) says that all of the folder goes to the peers
//       together
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "chain/base/result.h"

namespace chain::cli {

inline constexpr std::size_t kBundleLibrariesMax = 2'000;

struct SharedObjects {
    std::vector<std::string> packed;    // paths
    std::vector<std::string> of_peers;  // names: what every peer has, and has to have of its own
    std::vector<std::string> missing;   // names
};

// From what ldd(1) prints.
SharedObjects parse_ldd(std::string_view text);
// By running ldd on `program`; nothing for a script or a static program. Errors: kNotFound (no
// ldd), kIo (it failed, and what it says).
Result<SharedObjects> find_shared_objects(const std::string &program);

struct BundlePlan {
    std::string program;            // path
    std::string folder;             // to be made
    std::vector<std::string> also;  // paths: libraries go to lib/, the rest to bin/
    bool replace = false;           // a bundle that is there
};

// Errors: kNotFound, kPermission (no program), kConflict (`folder` is there; two files of one
// name), kRefused (libraries are missing here, too), kDiskFull, kIo. On failure what was there
// stays.
Result<SharedObjects> make_bundle(const BundlePlan &plan);

}  // namespace chain::cli
