// SPDX-License-Identifier: BSD-3-Clause
//
// Scratch volumes: file systems of a fixed size, each in a file that takes its room from the disk
// at once. What a lease writes into one fills neither the owner's disk nor its inodes, and the disk
// that fills up elsewhere takes nothing from the lease. ext4 on a loop device: for root only.
//
// They are mounts of the machine: a daemon that was killed leaves them, and its next start takes
// them away (unmount_volume). Mounts of its own would end with it, but where the machine's are not
// shared it would then not see what is mounted later, such as the disk that results are to go to.
//
// Everything blocks on the disk. Thread-safe for different folders.
#pragma once

#include <cstdint>
#include <string>

#include "chain/base/result.h"

namespace chain::host {

// ext4 needs that much to be of use.
inline constexpr std::uint64_t kVolumeBytesMin = 16u << 20;

// Makes `file` and mounts the file system in it on `folder`, which is empty: no set-uid programs,
// no devices. Its root belongs to this user, with mode 0711. On failure nothing is left. Errors:
// kInvalidInput (below kVolumeBytesMin), kDiskFull, kPermission (not root, or no loop device here),
// kNotFound (no mkfs.ext4), kIo.
Status mount_volume(const std::string &file, const std::string &folder, std::uint64_t size_bytes);

// Mounts a `file` that mount_volume has made on `folder` again, after a restart of the machine;
// fine where it is mounted. Errors: kNotFound, kPermission, kIo (damaged).
Status remount_volume(const std::string &file, const std::string &folder);

// Gives what is free in the volume mounted on `folder` back to the disk: for one that nobody writes
// to any more. Fine where nothing is mounted, or the disk cannot.
void trim_volume(const std::string &folder);

// Unmounts whatever is mounted on `folder` and removes `file`; fine where neither is there. Errors:
// kIo, kPermission.
Status unmount_volume(const std::string &file, const std::string &folder);

// Ok where mount_volume works in `folder`; tried with a small one.
Status probe_volumes(const std::string &folder);

// What is free on the disk of `folder` for a user who is not root. Errors: kNotFound, kIo.
Result<std::uint64_t> free_disk_bytes(const std::string &folder);

}  // namespace chain::host
