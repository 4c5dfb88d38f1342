// SPDX-License-Identifier: BSD-3-Clause
#include "chain/provider/image.h"

#include <array>
#include <cerrno>

#include <sys/stat.h>
#include <unistd.h>

#include "chain/base/folder_walk.h"
#include "chain/provider/lease_folder.h"
#include "chain/stage/staged_file.h"

namespace chain::provider {
namespace {

constexpr std::size_t kEntriesMax = 2'000'000;
constexpr const char *kTar = "/usr/bin/tar";
constexpr const char *kImageInside = "/image";
constexpr const char *kRootInside = "/image-root";

}  // namespace

std::string image_root_of(const std::string &lease_folder) {
    return lease_folder + "/root";
}

Status prepare_unpacking(SandboxSpec &spec) {
    const std::string root = image_root_of(spec.lease_folder);
    CHAIN_ASSIGN(const uid_t uid, leg_uid(spec.lease_folder));
    if (mkdir(root.c_str(), 0755) != 0 || (geteuid() == 0 && lchown(root.c_str(), uid, uid) != 0))
        return errno_error(errno, "make the folder " + root);
    spec.host_name = "unpack";
    spec.job_folder = "/job";
    // Devices are nobody's to make, and /dev, /proc and /sys come from the sandbox.
    spec.argv = {kTar,
                 "--extract",
                 std::string("--file=") + kImageInside,
                 std::string("--directory=") + kRootInside,
                 "--no-same-owner",
                 "--exclude=./dev/*",
                 "--exclude=dev/*",
                 "--exclude=./proc/*",
                 "--exclude=./sys/*"};
    spec.environment = {{"PATH", "/usr/bin:/bin"}, {"LANG", "C.UTF-8"}};
    spec.read_only = {
        {spec.lease_folder + "/outside" + std::string(stage::kImageName), kImageInside}};
    spec.writable = {{root, kRootInside}};
    return ok_status();
}

Result<ImageMpi> find_image_mpi(const std::string &root_folder) {
    constexpr std::array<const char *, 5> kPlaces = {"usr/bin/orted", "usr/local/bin/orted",
                                                     "opt/openmpi/bin/orted",
                                                     "usr/lib64/openmpi/bin/orted", "bin/orted"};
    ImageMpi found;
    for (const char *place : kPlaces) {
        if (!open_file_beneath(root_folder, place).ok()) continue;
        found.orted = std::string("/") + place;
        break;
    }
    if (found.orted.empty())
        return make_error(ErrorCode::kNotFound,
                          "the image has no orted: Open MPI 4.1 belongs into it (Debian: "
                          "openmpi-bin)");
    CHAIN_TRY(walk_folder(root_folder, kEntriesMax, [&](const WalkEntry &entry) {
        if (entry.base_name != "mca_ess_env.so" || !S_ISREG(entry.status.st_mode)) return true;
        found.component_dir = "/" + entry.name.substr(0, entry.name.rfind('/'));
        return false;
    }));
    if (found.component_dir.empty())
        return make_error(ErrorCode::kNotFound, "the image's Open MPI has no components");
    return found;
}

}  // namespace chain::provider
