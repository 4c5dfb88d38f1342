// SPDX-License-Identifier: BSD-3-Clause
//
// Image: a root folder that the renter brought, as a tar, for a job that runs in another system
// than the provider's: another distribution, other libraries, its own Open MPI 4.1.
//
// What is in it is a stranger's. It is unpacked by tar in a sandbox of the leg, into the leg's own
// folder; here it is only looked at, without following a link.
#pragma once

#include <string>

#include "chain/provider/sandbox.h"

namespace chain::provider {

// Of a leg: <lease folder>/root.
std::string image_root_of(const std::string &lease_folder);

// Makes the folder, the leg's, and says how the image is unpacked into it: by a sandbox that ends
// with exit status 0, in the limits that `spec` has. Errors: kPermission, kIo, kDiskFull.
Status prepare_unpacking(SandboxSpec &spec);

// Its Open MPI, as paths inside.
struct ImageMpi {
    std::string orted;
    std::string component_dir;
};
// Blocks on the disk: for a worker. Errors: kNotFound (none in it), kTooLarge, kIo.
Result<ImageMpi> find_image_mpi(const std::string &root_folder);

// Makes what `spec` mounts upon in its root: bubblewrap follows links there, and the image's may
// lead out of it. Errors: kPermission (a link, or a file for a folder, is where something belongs),
// kIo, kDiskFull.
Status make_mount_points(const SandboxSpec &spec);

}  // namespace chain::provider
