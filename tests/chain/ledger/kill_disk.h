// SPDX-License-Identifier: BSD-3-Clause
//
// Where a chain of kill_test.cc lies.
#pragma once

#include <fstream>
#include <string>

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "tests/chain/ledger/ledger_fixture.h"

namespace chain::ledger {

inline constexpr std::uint64_t kDiskBytes = 128u << 20;

class Disk {
public:
    // `small`: a file system of its own, which can be full; else a folder on the machine's disk.
    explicit Disk(bool small) : small_(small) {
        if (!small_) return;
        const std::string options = "size=" + std::to_string(kDiskBytes) + ",mode=0700";
        CHAIN_CHECK(mount("tmpfs", folder_.path().c_str(), "tmpfs", 0, options.c_str()) == 0);
    }
    ~Disk() {
        if (small_) umount2(folder_.path().c_str(), MNT_DETACH);
    }
    std::string path() const { return folder_.path() + "/chain"; }
    bool can_be_full() const { return small_; }

    void fill(std::uint64_t left_bytes) {
        const FileDescriptor file(
            open(ballast().c_str(), O_CREAT | O_WRONLY | O_CLOEXEC | O_TRUNC, 0600));
        struct statvfs status {};
        CHAIN_CHECK(statvfs(folder_.path().c_str(), &status) == 0);
        const std::uint64_t free_bytes = std::uint64_t{status.f_bavail} * status.f_frsize;
        if (free_bytes > left_bytes)
            (void)fallocate(file.get(), 0, 0, static_cast<off_t>(free_bytes - left_bytes));
    }
    void make_space() { unlink(ballast().c_str()); }

    // True if LevelDB's own log ends amid writing out its memory or a compaction.
    bool is_amid_background_work() const {
        std::ifstream log(path() + "/LOG");
        bool amid = false;
        for (std::string line; std::getline(log, line);) {
            if (line.find(": started") != std::string::npos ||
                line.find("Compacting ") != std::string::npos)
                amid = true;
            if (line.find("bytes OK") != std::string::npos ||
                line.find("ompacted to") != std::string::npos)
                amid = false;
        }
        return amid;
    }

private:
    std::string ballast() const { return folder_.path() + "/ballast"; }

    const bool small_;
    TemporaryFolder folder_;
};

}  // namespace chain::ledger
