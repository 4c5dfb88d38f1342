// SPDX-License-Identifier: BSD-3-Clause
//
// LeaseFolder: what one leg of a lease has on the provider's disk, and whose it is.
//
//   <scratch root>/<lease id>-<leg>/   the daemon's; others may pass through, not list
//       job/         the ranks' working folder, writable to them
//       outside/     files with absolute names, below it under the same name; read-only inside
//       ranks/       what ranks say of themselves (chain/meter/rank_file.h), writable to them
//       components/  MCA components that are loaded into ranks; read-only inside
//       root/        the image that the job runs in, if any: unpacked, the leg's
//       etc/         made-up passwd, group, hosts; read-only inside
//   <scratch root>/<lease id>-<leg>.disk      where volumes can be made: all of the above is in it
//   <scratch root>/<lease id>-<leg>.sandbox   its uid, pids and start times, for reap_leftovers
//   <scratch root>/<lease id>-<leg>.results   what of job/ its renter is still to get
//
// A daemon that is root gives each leg a uid of its own, which no account uses; job/ and ranks/
// belong to it. A daemon that is not root owns everything itself.
//
// Everything blocks on the disk: for a worker when folders are large. Thread-safe for different
// folders.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <sys/types.h>

#include "chain/base/bytes.h"
#include "chain/base/result.h"
#include "chain/identity/keys.h"

namespace chain::provider {

// Uids of legs: above those of people, services and systemd's containers.
inline constexpr uid_t kLegUidFirst = 1'900'000'000;
inline constexpr uid_t kLegUidCount = 65'536;
// Files with absolute names in one lease: each is a mount.
inline constexpr std::size_t kOutsideFilesMax = 1'000;

// Of a daemon with that node key, where nothing else is said. Below /var/tmp, because a lease runs
// under a uid of its own that could not pass through a home folder. The name is known to everybody
// there, so what stands under it must be ours. Errors: kPermission, kIo.
Result<std::string> default_scratch_root(const PublicKey &node_key);

// Ok for a folder that belongs to this user alone. Errors: kPermission, kIo, kDiskFull.
Status make_scratch_root(const std::string &scratch_root);

// Makes the folder of a leg. `volume_bytes_max` not 0: on a volume (host::mount_volume), of that
// size or half of what is free on the disk, whichever is less. The scratch root must be reachable
// for any uid (/var/tmp/…, not below /root) when the daemon is root. Errors: kConflict when it
// exists, kPermission, kDiskFull, kIo, kNotFound when Open MPI's side of this package
// (mca_hook_chain.so) is not installed.
Result<std::string> prepare_lease_folder(const std::string &scratch_root,
                                         const std::string &lease_id_hex, std::uint32_t leg,
                                         std::uint64_t volume_bytes_max = 0);
// 0: it is on none.
std::uint64_t lease_volume_bytes(const std::string &lease_folder);
inline constexpr std::uint64_t kLeaseVolumeBytesMin = 64ULL << 20;

// What the leg has written, in whole blocks of its disk: for where no volume bounds it. What is
// unlinked and still open, or in a folder that its owner closed, is not seen. Errors: kTooLarge
// (more files than can be counted), kIo.
Result<std::uint64_t> lease_folder_bytes(const std::string &lease_folder);

// The uid that the leg runs as: the owner of job/. Errors: kPermission when that is no uid of legs
// (root) or not the daemon's own (not root).
Result<uid_t> leg_uid(const std::string &lease_folder);

// Gives what was staged into job/ and outside/ to the leg's uid. Before start; Sandbox::start does
// it. Follows no symbolic link. Errors: kPermission, kIo, kTooLarge.
Status hand_over_to_leg(const std::string &lease_folder);

// {host path, path inside} of every regular file below outside/, for SandboxSpec::read_only.
// Errors: kPermission for a path that the system owns (is_system_path), kTooLarge, kIo.
Result<std::vector<std::pair<std::string, std::string>>> outside_bindings(
    const std::string &lease_folder);

// True where nothing of a renter may appear: "/", /usr, /etc, /proc, /dev, /sys, /run/ompi-chain …,
// everything below them, and paths that are not absolute and plain ("/a/../b", "/a//b").
bool is_system_path(const std::string &path);

// What of a leg's folder is still for its renter, in the words of who keeps it: stands beside it,
// and holds reap_leftovers from removing the folder. Errors: kDiskFull, kPermission, kIo,
// kTooLarge.
Status write_results_list(const std::string &lease_folder, std::string_view list);
Result<Bytes> read_results_list(const std::string &lease_folder);
// Folders that have one; of a volume that is not mounted any more, it is again. One that cannot be
// used is logged and left out.
std::vector<std::string> folders_with_results(const std::string &scratch_root);

// Removes a leg's folder, whatever the job left in it. A missing one is fine.
Status remove_lease_folder(const std::string &lease_folder);

// Of every leg below `scratch_root`, so that reap_leftovers removes them.
void forget_results(const std::string &scratch_root);

// After a restart: kills sandboxes that are recorded below `scratch_root` and still run, removes
// their folders but those with results. Returns how many folders it removed.
Result<std::uint32_t> reap_leftovers(const std::string &scratch_root);

// The whole environment of orted and its ranks in a sandbox.
// `component_dir`: of the Open MPI inside; empty: this system's.
std::vector<std::pair<std::string, std::string>> launch_environment(
    const std::string &lease_id_hex, const std::string &job_folder, std::uint64_t hz,
    std::uint64_t memory_bytes, std::uint32_t slot_count, const std::string &component_dir = {});

// Used by Sandbox: one line "pid start_ticks" per process.
Status record_sandbox(const std::string &lease_folder, const std::vector<int> &pids);

}  // namespace chain::provider
