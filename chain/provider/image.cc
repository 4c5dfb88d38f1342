// SPDX-License-Identifier: BSD-3-Clause
#include "chain/provider/image.h"

#include <array>
#include <cerrno>

#include <fcntl.h>
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
                 "--anchored",
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

Status make_mount_points(const SandboxSpec &spec) {
    const FileDescriptor root(open(spec.root_folder.c_str(), kFolderFlags));
    if (!root.valid()) return errno_error(errno, "open " + spec.root_folder);
    const auto make = [&](const std::string &inside, bool is_folder) -> Status {
        for (const std::string_view covered : {"/tmp/", "/var/tmp/", "/dev/", "/proc/"})
            if (inside.starts_with(covered)) return ok_status();  // not the image's
        std::string base_name;
        const auto parent = open_parent_beneath(root.get(), inside.substr(1), true, base_name);
        if (!parent.ok())
            return make_error(ErrorCode::kPermission,
                              "the image has a link, or a file, on the way "
                              "to ",
                              inside, ": ", parent.error().message);
        if (is_folder) {
            if (mkdirat(parent->get(), base_name.c_str(), 0755) != 0 && errno != EEXIST)
                return errno_error(errno, "make " + inside + " in the image");
        } else {
            const FileDescriptor file(
                openat(parent->get(), base_name.c_str(),
                       O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0644));
            if (!file.valid() && errno != EACCES && errno != EISDIR)
                return make_error(ErrorCode::kPermission, "the image has something else at ",
                                  inside, ", where a file belongs");
        }
        struct stat status {};
        const bool is_right =
            fstatat(parent->get(), base_name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 &&
            (is_folder ? S_ISDIR(status.st_mode) : S_ISREG(status.st_mode));
        if (is_right) return ok_status();
        return make_error(ErrorCode::kPermission, "the image has a link, or something else, at ",
                          inside, ", which belongs to the sandbox");
    };
    for (const char *folder : {"/proc", "/dev", "/tmp", "/var/tmp", "/run/ompi-chain/ranks",
                               "/run/ompi-chain/components", "/sys/devices/system",
                               "/sys/class/net", "/sys/devices/virtual/net"})
        CHAIN_TRY(make(folder, true));
    for (const char *file : {"/etc/passwd", "/etc/group", "/etc/hosts"})
        CHAIN_TRY(make(file, false));
    CHAIN_TRY(make(spec.job_folder, true));
    for (const auto &[source, inside] : spec.read_only) CHAIN_TRY(make(inside, false));
    return ok_status();
}

}  // namespace chain::provider
